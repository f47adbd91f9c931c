"""The record of commands: opened, settled once, forgotten by nobody."""

from __future__ import annotations

import json
from typing import Any

import pytest

from csms.domain.asked import ListInstalled, ReservationMade
from csms.domain.commands import Command
from csms.domain.unit import ReservationMoved
from csms.storage.commands import CommandLog, command_from, end_forgotten
from csms.storage.listings import COMMANDS
from csms.storage.queries import Queries
from csms.storage.records import open_records
from tests.conftest import NOW
from tests.storage.conftest import after


def command(id: int = 7, **fields: Any) -> Command:
    named = {
        "operator": "default",
        "station": "CS-1",
        "action": "Reset",
        "request": {"type": "Hard"},
        "created_at": NOW,
    }
    return Command(id=id, **named | fields)


def settled(id: int = 7, **fields: Any) -> Command:
    return command(id, **{"status": "answered", "response": {"status": "Accepted"}, "settled_at": after(1)} | fields)


@pytest.fixture
def log(database, station) -> CommandLog:
    return CommandLog(database)


async def test_opened_command_is_pending_and_found(log):
    await log.opened(command(), 1, 1)
    assert await log.find(7) == command()


async def test_unknown_command_is_not_found(log):
    assert await log.find(7) is None


async def test_outcome_is_kept_exactly(log):
    outcomes = [
        settled(1, sent_at=NOW),
        settled(2, status="error", response=None, error={"code": "X", "description": "", "details": {}}),
        settled(3, status="offline", response=None),
        settled(4, response={}),
        settled(5, response={"big": 10**30, "text": "ä\u0000"}),
    ]
    for outcome in outcomes:
        await log.opened(command(outcome.id), 1, 1)
        await log.settled(outcome, 1)
    assert [await log.find(outcome.id) for outcome in outcomes] == outcomes


async def test_event_stands_in_the_outbox(log, rows):
    await log.opened(command(), 1, 1)
    await log.settled(settled(), 1)
    [(operator, station, events)] = await rows("SELECT operator, station, events FROM outbox")
    assert (operator, station) == ("default", "CS-1")
    [event] = json.loads(events)
    assert (event["type"], event["command"], event["status"]) == ("command.settled", 7, "answered")


async def test_first_outcome_stays_and_is_told_once(log, rows):
    await log.opened(command(), 1, 1)
    await log.settled(settled(), 1)
    await log.settled(settled(status="timeout", response=None), 1)
    assert await log.find(7) == settled()
    assert await rows("SELECT count(*) FROM outbox") == [(1,)]


async def test_outcome_is_not_kept_without_its_event(log, database, rows):
    await log.opened(command(), 1, 1)
    await database.writer.run(lambda connection: connection.exec_driver_sql("DROP TABLE outbox") and None)
    with pytest.raises(Exception, match="outbox"):
        await log.settled(settled(), 1)
    assert await rows("SELECT status FROM commands") == [("pending",)]


async def test_commands_of_a_killed_server_are_unknown_to_the_next(log, database):
    await log.opened(command(7), 1, 1)
    await log.opened(command(8), 1, 1)
    await log.settled(settled(8), 1)
    await open_records(database, NOW)
    assert [(await log.find(id)).status for id in (7, 8)] == ["unknown", "answered"]


async def test_any_number_of_commands_that_a_killed_server_left_open_ends(log, database, rows, monkeypatch):
    monkeypatch.setattr("csms.storage.commands._SLICE", 2)  # Databases take so many ids at a time.
    for id in range(1, 6):
        await log.opened(command(id), 1, 1)
    await open_records(database, NOW)
    assert await rows("SELECT status, count(*) FROM commands GROUP BY status") == [("unknown", 5)]
    assert await rows("SELECT count(*) FROM outbox") == [(5,)], "each is told"


async def test_nothing_forgotten_nothing_ended(log, database, rows):
    await database.writer.run(lambda connection: end_forgotten(connection, NOW))
    assert await rows("SELECT count(*) FROM commands") == [(0,)]


async def test_what_a_killed_server_left_open_is_unknown_and_told(log, database, rows, station):
    await log.opened(command(), station.operator_id, station.id)
    await open_records(database, NOW)
    ((status, settled_at),) = await rows("SELECT status, settled_at FROM commands")
    assert status == "unknown" and settled_at is not None
    ((events,),) = await rows("SELECT events FROM outbox")
    assert '"type":"command.settled"' in events and '"status":"unknown"' in events


async def test_answer_and_what_it_changed_are_kept_together(log, rows):
    made = ReservationMade(reservation_id=3, status="accepted", token="TAG", expires_at=after(60))
    await log.opened(command(), 1, 1)
    await log.settled(settled(), 1, [made])
    await log.settled(settled(), 1, [ReservationMoved(3, "cancelled")])  # Settled already: nothing changes.
    assert await rows("SELECT reservation_id, status FROM reservations") == [(3, "accepted")]


async def test_ids_of_ours_are_counted_for_good_and_lists_by_station(log, database):
    assert [await log.opened(command(id), 1, 1, (("type",),)) for id in (1, 2)] == [1, 2]
    assert (await log.find(2)).request == {"type": 2}
    assert await CommandLog(database).opened(command(3), 1, 1, (("x",),)) == 3
    assert await log.opened(command(4, action="SendLocalList"), 1, 1, (("v",),)) == 1
    await log.settled(settled(4), 1, [ListInstalled(version=8, full=True, entries={})])
    assert await log.opened(command(5, action="SendLocalList"), 1, 1, (("v",),)) == 9


async def test_page_of_commands_is_the_latest_first(log, database):
    for id in (1, 2, 3):
        await log.opened(command(id, action="Reset" if id < 3 else "ClearCache"), 1, 1)

    async def ids(**filters) -> list[int]:
        found = await Queries(database.reader).page(COMMANDS, **filters)
        return [command_from(row).id for row in found.rows]

    assert await ids() == [3, 2, 1]
    assert await ids(action="Reset") == [2, 1]
    assert await ids(station="CS-2") == []
    assert await ids(operator="default") == [3, 2, 1]
    assert await ids(status="answered") == []
