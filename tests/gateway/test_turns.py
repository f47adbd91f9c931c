"""Turns: handle, commit, answer, one call of a station at a time, and never an answer to what was not kept."""

from __future__ import annotations

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from csms.blocks import dispatch
from csms.domain.ports import StorageUnavailable
from csms.ocpp import v16
from tests.conftest import Server
from tests.gateway.wire import Raw, framed

START = {"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": "2026-05-04T12:00:00Z"}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
VALUES = {"connectorId": 1, "meterValue": [{"timestamp": "2026-05-04T12:00:00Z", "sampledValue": [{"value": "1"}]}]}
STOP = {"transactionId": 9, "meterStop": 0, "timestamp": "2026-05-04T12:00:00Z"}
EVENT = {
    "eventType": "Started", "timestamp": "2026-05-04T12:00:00Z", "triggerReason": "Trigger", "seqNo": 0,
    "transactionInfo": {"transactionId": "T"},
}  # fmt: skip


async def test_answer_comes_after_the_commit(quick: Server):
    client = await quick.connect()
    quick.records.hold()
    await client.send("StatusNotification", STATUS)
    answer = asyncio.create_task(client.receive())
    await quick.until(lambda: quick.records.held)
    await asyncio.sleep(0.005)
    assert not answer.done()
    quick.records.release()
    assert (await answer)[2] == {}


async def test_G1_what_was_answered_is_in_the_database(server: Server):
    client = await server.connect()
    answer = await client.call("StartTransaction", START)
    assert answer == {"idTagInfo": {"status": "Accepted"}, "transactionId": 1}
    assert await server.rows("SELECT transaction_id, token FROM sessions") == [("1", "TAG")]


async def test_whole_2x_transaction_goes_through(server: Server):
    client = await server.connect(version="2.0.1")
    await client.boot()
    assert await client.call("TransactionEvent", EVENT) == {}
    assert await client.call("TransactionEvent", EVENT | {"eventType": "Ended", "seqNo": 1}) == {"totalCost": 0.0}
    assert await server.rows("SELECT transaction_id, seen, ended_at IS NULL FROM sessions") == [("T", "[[0,1]]", 0)]
    assert server.gateway.stations[1].sessions is None


async def test_one_unit_of_a_station_at_a_time_while_others_go_on(quick: Server):
    await quick.add_station("CS-2")
    held, other = await quick.connect(), await quick.connect("CS-2")
    await other.call("Heartbeat")
    quick.records.hold()
    await held.send("StatusNotification", STATUS)
    await held.send("StatusNotification", STATUS | {"connectorId": 2})
    await quick.until(lambda: quick.records.held)
    assert "currentTime" in await other.call("Heartbeat")
    assert quick.records.held == 1, "the second waits for its turn"
    quick.records.release()
    assert [(await held.receive())[1] for _ in range(2)] == ["m1", "m2"]


async def test_heartbeat_waits_behind_a_unit_of_its_own_station(quick: Server):
    client = await quick.connect()
    quick.records.hold()
    await client.send("StatusNotification", STATUS, "first")
    await client.send("Heartbeat", {}, "second")
    await quick.until(lambda: quick.records.held)
    quick.records.release()
    assert [(await client.receive())[1] for _ in range(2)] == ["first", "second"]


async def test_2000_calls_in_one_segment_are_answered_in_order(server: Server):
    raw = await Raw.open(server)
    calls = []
    for number in range(2_000):
        action, payload = ("Heartbeat", {}) if number % 20 else ("StatusNotification", STATUS | {"connectorId": number})
        calls.append(framed([2, f"{number}", action, payload]))
    raw.writer.write(b"".join(calls))
    assert [(await raw.receive())[1] for _ in range(2_000)] == [f"{number}" for number in range(2_000)]
    assert await server.rows("SELECT count(*) FROM connectors") == [(100,)]


@pytest.mark.parametrize(
    ("version", "action", "payload"),
    [
        ("1.6", "StartTransaction", START), ("1.6", "StopTransaction", STOP), ("1.6", "MeterValues", VALUES),
        ("2.0.1", "TransactionEvent", EVENT), ("1.6", "StatusNotification", STATUS),
    ],
)  # fmt: skip
async def test_G3_T66_message_that_cannot_be_stored_is_never_answered(quick: Server, version, action, payload):
    client = await quick.connect(version=version)
    await client.boot()
    quick.records.fault = lambda unit: StorageUnavailable("disk full")
    await client.send(action, payload)
    assert await client.rest() == []
    assert await client.closed() == 1013


async def test_G3_station_sends_again_and_gets_its_answer(quick: Server):
    client = await quick.connect()
    quick.records.fault = lambda unit: StorageUnavailable("disk full") if unit.opened else None
    await client.send("StartTransaction", START)
    assert await client.closed() == 1013
    quick.records.fault = lambda unit: None
    assert (await (await quick.connect()).call("StartTransaction", START))["transactionId"] == 1


async def test_hot_state_is_unchanged_when_the_commit_failed(quick: Server):
    client = await quick.connect()
    quick.records.fault = lambda unit: StorageUnavailable("disk full") if unit.opened else None
    station = quick.gateway.stations[1]
    await client.send("StartTransaction", START)
    await client.closed()
    assert (station.sessions, station.next_transaction) == (None, 1)


async def test_commit_that_fails_for_one_station_fails_no_other(quick: Server):
    await quick.add_station("CS-2")
    bad, good = await quick.connect(), await quick.connect("CS-2")
    quick.records.fault = lambda unit: ValueError("bad row") if unit.opened and unit.station.id == 1 else None
    await bad.send("StartTransaction", START)
    assert (await good.call("StartTransaction", START))["transactionId"] == 1
    refused = (await bad.receive())[2]
    assert (refused["idTagInfo"]["status"], refused["transactionId"]) == ("Invalid", 1), "an id all the same (1.6 4.8)"


@pytest.mark.parametrize(
    ("action", "payload"),
    [("StopTransaction", {"transactionId": 1, "meterStop": 1, "timestamp": "2026-05-04T12:00:00Z"}),
     ("MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": "2026-05-04T12:00:00Z", "sampledValue": [{"value": "1"}]}]})],
)  # fmt: skip
async def test_G4_transaction_message_that_cannot_be_applied_is_kept_raw_and_does_not_block_the_queue(
    server: Server, monkeypatch, action, payload
):
    async def broken(request: object, ctx: object) -> None:
        raise ValueError("bug")

    monkeypatch.setitem(dispatch._HANDLERS, getattr(v16, action), broken)
    client = await server.connect()
    assert await client.call(action, payload) == {}
    ((kept_action, reason, kept),) = await server.rows("SELECT action, reason, payload FROM unmatched")
    assert (kept_action, reason, json.loads(kept)) == (action, "failed: ValueError", payload)


async def test_I3_transaction_message_that_cannot_be_understood_is_refused_and_kept_raw(server: Server):
    client = await server.connect()
    refusal = await client.call("StopTransaction", {"meterStop": 7})
    assert refusal[2] == "OccurenceConstraintViolation"
    ((reason, kept),) = await server.rows("SELECT reason, payload FROM unmatched")
    assert reason.startswith("refused: ") and json.loads(kept) == {"meterStop": 7}


async def test_own_fault_in_another_message_is_an_internal_error(quick: Server):
    client = await quick.connect()
    quick.records.fault = lambda unit: ValueError("bad row") if unit.connectors else None
    with capture_logs() as logs:
        refusal = await client.call("StatusNotification", STATUS)
    assert refusal[2:] == ["InternalError", "The message could not be processed.", {}]
    assert [line["event"] for line in logs] == ["message.failed"]
    assert "currentTime" in await client.call("Heartbeat"), "the conversation goes on"


@pytest.mark.parametrize(("action", "payload"), [("StartTransaction", START), ("Authorize", {"idTag": "TAG"})])
async def test_failing_look_up_closes_for_a_transaction_and_refuses_otherwise(quick: Server, action, payload):
    client = await quick.connect()

    def broken(*place: object) -> asyncio.Future:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(OSError("reader gone"))
        return future

    quick.records.token = broken
    await client.send(action, payload)
    if action == "Authorize":
        assert (await client.receive())[2] == "InternalError"
    else:
        assert await client.rest() == []
        assert await client.closed() == 1013


async def test_fault_of_ours_before_any_wait_ends_the_turn_too(quick: Server, monkeypatch):
    async def broken(request: v16.Heartbeat, ctx: object) -> None:
        raise ValueError("bug")

    monkeypatch.setitem(dispatch._HANDLERS, v16.Heartbeat, broken)
    client = await quick.connect()
    assert (await client.call("Heartbeat"))[2] == "InternalError"
    assert await client.call("StatusNotification", STATUS) == {}


async def test_nothing_after_a_message_that_was_given_back_takes_effect(quick: Server, monkeypatch):
    """G6: the station will send both again, in order."""

    async def broken(request: v16.StartTransaction, ctx: object) -> None:
        raise OSError("disk gone")

    monkeypatch.setitem(dispatch._HANDLERS, v16.StartTransaction, broken)
    raw = await Raw.open(quick)
    station = quick.gateway.stations[1]
    await quick.until(lambda: not station.busy)
    raw.writer.write(framed([2, "1", "StartTransaction", START]) + framed([2, "2", "StatusNotification", STATUS]))
    assert await raw.closed() == 1013
    await quick.until(lambda: not quick.gateway.stations)
    assert quick.records.connectors == {}


async def test_refused_message_is_refused_in_its_turn(quick: Server):
    client = await quick.connect()
    await client.send("StatusNotification", STATUS)
    await client.send("StatusNotification", {"connectorId": 1})
    await client.send("Heartbeat")
    frames = [await client.receive() for _ in range(3)]
    assert [frame[0] for frame in frames] == [3, 4, 3]
    assert frames[1][2] == "OccurenceConstraintViolation"


async def test_repair_is_logged_and_the_message_answered(quick: Server):
    client = await quick.connect()
    with capture_logs() as logs:
        assert await client.call("StatusNotification", STATUS | {"connectorId": "1"}) == {}
    (line,) = [line for line in logs if line["event"] == "message.repaired"]
    assert (line["station"], line["action"]) == ("CS-1", "StatusNotification")
    assert line["repairs"][0].startswith("number_from_text connectorId")


async def test_R7_parallel_starts_of_many_stations_keep_apart(server: Server):
    for number in range(2, 12):
        await server.add_station(f"CS-{number}")
    clients = [await server.connect(f"CS-{number}") for number in range(1, 12)]
    answers = await asyncio.gather(*(client.call("StartTransaction", START) for client in clients))
    assert {answer["transactionId"] for answer in answers} == {1}
    counted = await server.rows("SELECT count(*), count(DISTINCT id), count(DISTINCT station_id) FROM sessions")
    assert counted == [(11, 11, 11)]
