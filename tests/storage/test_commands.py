"""The record of commands: opened before anything is sent, settled once."""

from __future__ import annotations

import msgspec
import pytest

from csms.domain.commands import Command
from csms.storage.commands import CommandLog
from csms.storage.records import open_records
from tests.conftest import NOW
from tests.storage.conftest import after

ASKED = Command(id=5, operator="default", station="CS-1", action="Reset", request={"type": "Soft"}, created_at=NOW)


@pytest.fixture
async def log(database, station) -> CommandLog:
    log = CommandLog(database)
    await log.opened(ASKED, 1, 1)
    return log


async def test_opened_command_is_found_as_it_was_asked(log):
    assert await log.find(5) == ASKED
    assert await log.find(6) is None


async def test_settled_command_has_its_outcome_and_its_event(log, rows):
    settled = msgspec.structs.replace(
        ASKED, status="answered", response={"status": "Accepted"}, sent_at=after(1), settled_at=after(2)
    )
    await log.settled(settled)
    assert await log.find(5) == settled
    ((told,),) = await rows("SELECT events FROM outbox")
    assert msgspec.json.decode(told)[0]["type"] == "command.settled"


async def test_G9_command_is_settled_once(log, rows):
    first = msgspec.structs.replace(ASKED, status="error", error={"code": "GenericError"}, settled_at=after(2))
    await log.settled(first)
    await log.settled(msgspec.structs.replace(ASKED, status="timeout", settled_at=after(3)))
    assert await log.find(5) == first
    assert await rows("SELECT count(*) FROM outbox") == [(1,)]


async def test_what_became_of_a_forgotten_command_is_unknown(log, database):
    await open_records(database, after(60))
    assert (await log.find(5)).status == "unknown"
