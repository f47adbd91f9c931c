"""What stations answer to the desk's questions: brought back as it was sent, however odd."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from csms.ocpp.catalogue import Version
from tests.cluster.conftest import Office
from tests.cluster.line import JoinedLine
from tests.cluster.test_desk import ACCEPTED, clear

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "answer",
    [{}, {"status": "Perhaps"}, {"status": 1}, {"status": "accepted"}, ACCEPTED | {"vendorX": None}],
    ids=["missing", "word", "type", "case", "extra"],
)
@pytest.mark.parametrize("version", [Version.V16, Version.V201])
async def test_odd_answer_is_brought_back_as_it_was_sent(office: Office, version: Version, answer: Any) -> None:
    office.connect(JoinedLine(version, reply=lambda call: answer))
    command = await office.desk.ask(office.target, clear)
    assert (command.status, command.response, command.error) == ("answered", answer, None)


async def test_null_is_how_16_may_write_an_empty_answer(office: Office) -> None:
    office.connect(JoinedLine(Version.V16, reply=lambda call: None))
    command = await office.desk.ask_raw(office.target, "GetConfiguration", b"{}")
    assert (command.status, command.response) == ("answered", {})


@pytest.mark.parametrize("answer", [ACCEPTED | {"vendorX": 1}, {"status": "accepted"}, {"status": 1}])
async def test_new_password_outlives_an_odd_answer(office: Office, answer: Any) -> None:
    """It may be the one that the station uses from now on: a station must not lock itself out."""
    office.connect(JoinedLine(Version.V16, reply=lambda call: answer))
    payload = b'{"key":"AuthorizationKey","value":"30313233343536373839303132333435"}'
    await office.desk.ask_raw(office.target, "ChangeConfiguration", payload)
    async with office.database.reader.connect() as connection:
        query = "SELECT password_hash, password_next FROM stations WHERE id = ?"
        kept = (await connection.exec_driver_sql(query, (office.target.id,))).one()
    assert b"hash of" in b"".join(each or b"" for each in kept)


async def test_details_of_a_callerror_are_brought_back(office: Office) -> None:
    line = office.connect(JoinedLine(Version.V16))
    for sent, told in (('{"x":1}', {"x": 1}), ('"text"', {}), ("null", {})):
        asking = asyncio.ensure_future(office.desk.ask(office.target, clear))
        call = await line.next_call(len(line.asked) + 1)
        line.hear(f'[4,"{call.id}","NotSupported","no",{sent}]'.encode())
        assert (await asking).error == {"code": "NotSupported", "description": "no", "details": told}


@pytest.mark.parametrize("answer", [[1], "text", None], ids=["list", "text", "null"])
async def test_answer_that_is_no_object_is_an_error_even_to_an_unknown_action(office: Office, answer: Any) -> None:
    office.connect(JoinedLine(reply=lambda call: answer))
    assert (await office.desk.ask_raw(office.target, "NobodyKnows", b"{}")).status == "error"


async def test_answer_may_hold_numbers_of_any_size(office: Office) -> None:
    answer = ACCEPTED | {"customData": {"vendorId": "v", "serial": 10**30}}
    office.connect(JoinedLine(reply=lambda call: answer))
    command = await office.desk.ask(office.target, clear)
    assert await office.log.find(command.id) == command
