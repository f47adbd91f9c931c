"""The desk: every command ends once, on record, whatever becomes of the line."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from csms.domain.commands import Command
from csms.domain.ports import StorageUnavailable
from csms.ocpp import frames, v16, v201
from csms.ocpp.catalogue import Version
from csms.ocpp.errors import Fault, OcppError
from csms.ocpp.peer import MAX_QUEUED, Ignored, Pending
from tests.cluster.conftest import Office
from tests.cluster.line import JoinedLine
from tests.conftest import NOW

pytestmark = pytest.mark.asyncio(loop_scope="module")

ACCEPTED = {"status": "Accepted"}


def clear(version: Version) -> msgspec.Struct:
    return v16.ClearCache() if version is Version.V16 else v201.ClearCache()


def just_now(moment: datetime | None) -> bool:
    return moment is not None and NOW - timedelta(seconds=5) < moment <= NOW


async def test_answer_is_brought_back_and_recorded(office: Office) -> None:
    line = office.connect(JoinedLine(reply=lambda call: ACCEPTED))
    command = await office.desk.ask(office.target, clear)
    assert (command.status, command.response, command.error) == ("answered", ACCEPTED, None)
    assert (command.created_at, command.settled_at) == (NOW, NOW)
    assert just_now(command.sent_at)
    assert line.asked[0].action == "ClearCache"
    assert line.asked[0].id == str(command.id)
    assert await office.log.find(command.id) == command


async def test_refusal_of_the_station_is_an_answer(office: Office) -> None:
    office.connect(JoinedLine(reply=lambda call: {"status": "Rejected"}))
    command = await office.desk.ask(office.target, clear)
    assert (command.status, command.response) == ("answered", {"status": "Rejected"})


@pytest.mark.parametrize("version", [Version.V16, Version.V201])
async def test_request_is_built_for_the_version_of_the_line(office: Office, version: Version) -> None:
    built: list[Version] = []
    office.connect(JoinedLine(version, reply=lambda call: ACCEPTED))
    await office.desk.ask(office.target, lambda spoken: built.append(spoken) or clear(spoken))
    assert built == [version]


async def test_callerror_is_an_error_with_the_code_as_sent(office: Office) -> None:
    line = office.connect(JoinedLine(Version.V16))
    asking = asyncio.ensure_future(office.desk.ask(office.target, clear))
    call = await line.next_call()
    line.hear(frames.call_error(call.id, OcppError(Fault.FORMAT, "No."), Version.V16))
    command = await asking
    assert (command.status, command.response) == ("error", None)
    assert command.error == {"code": "FormationViolation", "description": "No.", "details": {}}
    assert command.sent_at is not None


async def test_silence_ends_as_timeout_and_a_late_answer_changes_nothing(office: Office) -> None:
    line = office.connect(JoinedLine())
    asking = asyncio.ensure_future(office.desk.ask(office.target, clear))
    call = await line.next_call()
    line.until(29.9)
    await asyncio.sleep(0)
    assert not asking.done()
    line.until(30.0)
    command = await asking
    assert command.status == "timeout" and just_now(command.sent_at)
    assert isinstance(line.hear(frames.call_result(call.id, b'{"status":"Accepted"}')), Ignored)
    assert await office.log.find(command.id) == command
    assert len(await office.outbox()) == 1


@pytest.mark.parametrize("wait", [30, 60])
async def test_who_waits_as_long_as_the_station_has_learns_of_its_silence(office: Office, wait: float) -> None:
    line = office.connect(JoinedLine())
    asking = asyncio.ensure_future(office.desk.ask(office.target, clear, wait=wait))
    await line.next_call()
    line.until(30.0)
    assert (await asking).status == "timeout"


async def test_slow_actions_may_be_given_longer(office: Office) -> None:
    office.desk._timeouts = {"ClearCache": 90.0}
    line = office.connect(JoinedLine())
    asking = asyncio.ensure_future(office.desk.ask(office.target, clear))
    await line.next_call()
    line.until(89.9)
    await asyncio.sleep(0)
    assert not asking.done()
    line.until(90.0)
    assert (await asking).status == "timeout"


async def test_who_does_not_wait_learns_at_once_that_the_station_is_away(office: Office) -> None:
    assert (await office.desk.ask(office.target, clear, wait=0)).status == "offline"
    assert (await office.desk.ask(office.target, clear, wait=0, queue=30)).status == "pending"
    await office.desk.close()


async def two_asked(office: Office) -> tuple[JoinedLine, frames.Call, asyncio.Future[Command], asyncio.Future[Command]]:
    """The line, the first question as the station got it, and both commands; the second one waits for its turn."""
    line = office.connect(JoinedLine())
    first = asyncio.ensure_future(office.desk.ask(office.target, clear))
    call = await line.next_call()
    second = asyncio.ensure_future(office.desk.ask(office.target, clear))
    while not line.queued:
        await asyncio.sleep(0)
    return line, call, first, second


async def test_time_of_sending_is_that_of_its_turn(office: Office) -> None:
    line, call, first, second = await two_asked(office)
    line.now -= 3600  # So that a real moment shows.
    line.answer(call, ACCEPTED)
    line.answer(await line.next_call(2), ACCEPTED)
    assert (await first).sent_at - (await second).sent_at > timedelta(minutes=59)


async def test_who_waits_no_longer_is_told_that_it_is_pending_and_it_goes_on(office: Office) -> None:
    line = office.connect(JoinedLine())
    command = await office.desk.ask(office.target, clear, wait=0)
    assert (command.status, command.settled_at) == ("pending", None)
    line.answer(await line.next_call(), ACCEPTED)
    await office.desk.close()
    assert (await office.log.find(command.id)).status == "answered"


async def test_command_waits_for_a_station_that_is_to_come(office: Office) -> None:
    asking = asyncio.ensure_future(office.desk.ask(office.target, clear, queue=30))
    while not office.desk._awaited:
        await asyncio.sleep(0)
    office.connect(JoinedLine(reply=lambda call: ACCEPTED))
    office.desk.station_ready(office.target.id)
    assert (await asking).status == "answered"


async def test_waiting_for_a_station_ends(office: Office) -> None:
    assert (await office.desk.ask(office.target, clear, queue=0.05)).status == "offline"
    assert office.desk._awaited == {}


async def test_T42_command_waits_until_the_boot_is_accepted(office: Office) -> None:
    line = office.connect(JoinedLine(reply=lambda call: ACCEPTED))
    line.registration = None
    asking = asyncio.ensure_future(office.desk.ask(office.target, clear))
    while not office.desk._awaited:
        await asyncio.sleep(0)
    assert line.asked == []
    line.registration = "accepted"
    office.desk.station_ready(office.target.id)
    assert (await asking).status == "answered"


async def test_T42_station_that_never_boots_is_asked_after_a_moment(office: Office) -> None:
    office.connect(JoinedLine(reply=lambda call: ACCEPTED)).registration = None
    assert (await office.desk.ask(office.target, clear)).status == "answered"


@pytest.mark.parametrize(
    ("registration", "action", "payload", "status"),
    [
        ("pending", "GetBaseReport", b'{"requestId":1,"reportBase":"FullInventory"}', "answered"),
        ("pending", "RequestStartTransaction", b'{"remoteStartId":1,"idToken":{"idToken":"T","type":"Local"}}', "offline"),
        ("pending", "RequestStopTransaction", b'{"transactionId":"T"}', "offline"),
        ("rejected", "GetBaseReport", b'{"requestId":1,"reportBase":"FullInventory"}', "offline"),
        ("rejected", "TriggerMessage", b'{"requestedMessage":"Heartbeat"}', "offline"),
        ("rejected", "TriggerMessage", b'{"requestedMessage":"BootNotification"}', "answered"),
    ],
)  # fmt: skip
async def test_T42_what_a_station_may_be_asked_depends_on_its_boot(office, registration, action, payload, status):
    line = office.connect(JoinedLine(reply=lambda call: ACCEPTED))
    line.registration = registration
    command = await office.desk.ask_raw(office.target, action, payload)
    assert command.status == status
    assert command.error is None or registration in command.error["description"]


@pytest.mark.parametrize(
    ("action", "payload", "allowed"),
    [
        ("GetBaseReport", b'{"requestId":1,"reportBase":"FullInventory"}', {"NotifyReport"}),
        ("TriggerMessage", b'{"requestedMessage":"StatusNotification"}', {"StatusNotification"}),
        ("TriggerMessage", b'{"requestedMessage":"SignChargingStationCertificate"}', {"SignCertificate"}),
        ("ClearCache", b"{}", set()),
    ],
)
async def test_T43_what_was_asked_for_before_acceptance_is_let_in(office, action, payload, allowed):
    line = office.connect(JoinedLine(reply=lambda call: ACCEPTED))
    line.registration = "pending"
    await office.desk.ask_raw(office.target, action, payload)
    assert line.allowed == allowed


async def test_id_that_is_left_out_is_given_and_never_twice(office: Office) -> None:
    line = office.connect(JoinedLine(reply=lambda call: ACCEPTED))
    for _ in range(2):
        await office.desk.ask_raw(office.target, "GetBaseReport", b'{"reportBase":"FullInventory"}')
    asked = [json.loads(bytes(call.payload)) for call in line.asked]
    assert [list(each) for each in asked] == [["reportBase", "requestId"]] * 2
    assert 0 < asked[0]["requestId"] < asked[1]["requestId"]
    await office.desk.ask_raw(office.target, "GetBaseReport", b'{"requestId":7,"reportBase":"FullInventory"}')
    assert bytes(line.asked[2].payload) == b'{"requestId":7,"reportBase":"FullInventory"}'


async def test_T81_version_of_a_local_list_rises_from_one(office: Office) -> None:
    line = office.connect(JoinedLine(reply=lambda call: ACCEPTED))
    for _ in range(2):
        await office.desk.ask_raw(office.target, "SendLocalList", b'{"updateType":"Full"}')
    assert [json.loads(bytes(call.payload))["versionNumber"] for call in line.asked] == [1, 2]


async def test_password_is_sent_and_not_recorded(office: Office) -> None:
    line = office.connect(JoinedLine(Version.V16, reply=lambda call: ACCEPTED))
    payload = b'{"key":"AuthorizationKey","value":"30313233343536373839616263646566"}'
    command = await office.desk.ask_raw(office.target, "ChangeConfiguration", payload)
    assert bytes(line.asked[0].payload) == payload
    assert command.request == {"key": "AuthorizationKey", "value": "********"}
    assert (await office.log.find(command.id)).request == command.request


async def test_unconnected_station_is_offline_and_its_last_version_is_recorded(office: Office) -> None:
    command = await office.desk.ask(office.target, clear)
    assert (command.status, command.sent_at, command.settled_at) == ("offline", None, NOW)
    assert await office.log.find(command.id) == command


async def test_connection_lost_after_sending_leaves_it_unknown(office: Office) -> None:
    line = office.connect(JoinedLine())
    asking = asyncio.ensure_future(office.desk.ask(office.target, clear))
    await line.next_call()
    line.lose()
    command = await asking
    assert command.status == "unknown" and just_now(command.sent_at)


async def test_connection_lost_before_the_turn_came_means_that_nothing_was_sent(office: Office) -> None:
    line = office.connect(JoinedLine())
    first = asyncio.ensure_future(office.desk.ask(office.target, clear))
    await line.next_call()
    second = asyncio.ensure_future(office.desk.ask(office.target, clear))
    while not line.queued:
        await asyncio.sleep(0)
    line.lose()
    assert [(await first).status, (await second).status] == ["unknown", "offline"]
    assert (await second).sent_at is None


async def test_connection_lost_while_the_command_is_recorded_is_noticed(office: Office) -> None:
    """The line was there when the command was taken, and gone when it was on disk: nobody would answer on it."""
    line = office.connect(JoinedLine())
    office.meanwhile(lambda: (office.lines.clear(), line.lose()))
    async with asyncio.timeout(2):
        command = await office.desk.ask(office.target, clear)
    assert (command.status, command.sent_at) == ("offline", None)
    assert line.asked == []


@pytest.mark.parametrize(
    ("version", "payload", "validate", "status"),
    [
        (Version.V201, {"type": "Immediate"}, True, "answered"),
        (Version.V16, {"type": "Immediate"}, True, "offline"),
        (Version.V16, {"type": "Immediate"}, False, "answered"),
        (Version.V16, {"type": "Soft"}, True, "answered"),
    ],
)
async def test_T70_command_follows_a_station_that_reconnects_where_its_version_knows_it(
    office: Office, version: Version, payload: Any, validate: bool, status: str
) -> None:
    old = office.connect(JoinedLine())
    new = JoinedLine(version, reply=lambda call: ACCEPTED)
    office.meanwhile(lambda: (office.connect(new), old.lose()))
    command = await office.desk.ask_raw(office.target, "Reset", msgspec.json.encode(payload), validate=validate)
    assert command.status == status
    assert (old.asked, len(new.asked)) == ([], int(status == "answered"))


async def test_second_command_waits_for_the_first(office: Office) -> None:
    line, call, first, second = await two_asked(office)
    line.answer(call, ACCEPTED)
    line.answer(await line.next_call(2), {"status": "Rejected"})
    assert (await first).response == ACCEPTED
    assert (await second).response == {"status": "Rejected"}


async def test_full_queue_sends_nothing(office: Office) -> None:
    line = office.connect(JoinedLine())
    for _ in range(1 + MAX_QUEUED):
        line.occupy()
    command = await office.desk.ask(office.target, clear)
    assert (command.status, command.sent_at) == ("offline", None)
    assert command.error["code"] == "NotSent" and "Send it again" in command.error["description"]


async def test_command_whose_turn_does_not_come_in_time_is_not_sent(office: Office) -> None:
    line = office.connect(JoinedLine())
    line.call(Pending("other", "ClearCache", b"{}", 60.0, lambda outcome: None))
    asking = asyncio.ensure_future(office.desk.ask(office.target, clear, wait=0.01))
    assert (await asking).status == "pending", "whoever asked is told after the time they gave"
    while not line.queued:
        await asyncio.sleep(0)
    line.until(60.0)
    await office.desk.close()
    assert [call.id for call in line.asked] == ["other"]
    found = await office.log.find(asking.result().id)
    assert (found.status, found.sent_at, found.error["code"]) == ("offline", None, "NotSent")


async def test_T83_refused_capability_is_remembered_until_it_is_shown(office: Office) -> None:
    line = office.connect(JoinedLine())

    async def ask(fault: Fault | None) -> list[tuple[str, str]]:
        asking = asyncio.ensure_future(office.desk.ask(office.target, clear))
        call = await line.next_call(len(line.asked) + 1)
        answer = ACCEPTED if fault is None else OcppError(fault, "No.")
        line.answer(call, answer) if fault is None else line.hear(frames.call_error(call.id, answer, Version.V201))
        assert (await asking).status == ("answered" if fault is None else "error")
        async with office.database.reader.connect() as connection:
            sql = "SELECT key, data FROM reported WHERE kind = 'unsupported' AND station_id = ?"
            rows = await connection.exec_driver_sql(sql, (office.target.id,))
            return [(row[0], json.loads(row[1])["code"]) for row in rows]

    assert await ask(Fault.FORMAT) == [], "an answer that was not understood says nothing of what it can do"
    assert await ask(Fault.NOT_IMPLEMENTED) == [("ClearCache", "NotImplemented")]
    assert await ask(None) == []


async def test_command_is_carried_through_though_its_caller_went_away(office: Office) -> None:
    line = office.connect(JoinedLine())
    asking = asyncio.ensure_future(office.desk.ask(office.target, clear))
    call = await line.next_call()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    line.answer(call, ACCEPTED)
    await office.desk.close()
    assert (await office.log.find(int(call.id))).status == "answered"
    assert len(await office.outbox()) == 1


async def test_command_is_on_record_before_anything_is_sent(office: Office) -> None:
    line = office.connect(JoinedLine())
    asking = asyncio.ensure_future(office.desk.ask(office.target, clear))
    call = await line.next_call()
    command = await office.log.find(int(call.id))
    assert (command.status, command.sent_at, command.settled_at) == ("pending", None, None)
    line.answer(call, ACCEPTED)
    await asking


async def test_outcome_and_its_event_are_stored_together(office: Office) -> None:
    line = office.connect(JoinedLine())
    asking = asyncio.ensure_future(office.desk.ask(office.target, clear))
    call = await line.next_call()
    assert await office.outbox() == []
    line.answer(call, ACCEPTED)
    command = await asking
    [(operator, events)] = await office.outbox()
    [event] = json.loads(events)
    assert operator == "default"
    assert (event["command"], event["action"], event["status"]) == (command.id, "ClearCache", "answered")


async def test_raw_request_is_sent_as_given(office: Office) -> None:
    line = office.connect(JoinedLine(reply=lambda call: {"anything": [1]}))
    payload = b'{"zebra":1.0, "apple":{"x":null}}'
    command = await office.desk.ask_raw(office.target, "NobodyKnows", payload)
    assert bytes(line.asked[0].payload) == payload
    assert (command.action, command.request) == ("NobodyKnows", {"zebra": 1.0, "apple": {"x": None}})
    assert (command.status, command.response) == ("answered", {"anything": [1]})


async def test_error_while_building_reaches_the_caller_and_leaves_no_record(office: Office) -> None:
    def refuse(version: Version) -> msgspec.Struct:
        raise LookupError("not in this version")

    with pytest.raises(LookupError):
        await office.desk.ask(office.target, refuse)
    assert await office.outbox() == []


async def test_nothing_is_sent_when_the_command_cannot_be_recorded(office: Office) -> None:
    line = office.connect(JoinedLine())
    office.fail("opened")
    with pytest.raises(StorageUnavailable):
        await office.desk.ask(office.target, clear)
    assert line.asked == []


async def test_answer_reaches_the_caller_though_it_cannot_be_recorded(office: Office) -> None:
    """The station has acted: to say «nothing was changed» would be wrong."""
    office.connect(JoinedLine(reply=lambda call: ACCEPTED))
    office.fail("settled")
    with capture_logs() as logs:
        command = await office.desk.ask(office.target, clear)
    assert command.status == "answered"
    assert [(line["event"], line["log_level"]) for line in logs][-1] == ("command.not_recorded", "error")
    assert (await office.log.find(command.id)).status == "pending"


async def test_closing_an_idle_desk_takes_no_time(office: Office) -> None:
    async with asyncio.timeout(1):
        await office.desk.close()


async def test_line_that_ends_after_the_loop_cancelled_the_command_disturbs_nobody(office: Office) -> None:
    line = office.connect(JoinedLine())
    asking = asyncio.ensure_future(office.desk.ask(office.target, clear))
    await line.next_call()
    next(task for task in asyncio.all_tasks() if task.get_name() == "command-ClearCache").cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    line.lose()


async def test_settling_is_told_in_one_line_with_its_ids(office: Office) -> None:
    with capture_logs() as logs:
        command = await office.desk.ask(office.target, clear)
    assert logs == [
        {
            "event": "command.settled", "log_level": "info", "operator": "default",
            "station": office.target.identity, "command": command.id, "action": "ClearCache", "status": "offline",
        }
    ]  # fmt: skip
