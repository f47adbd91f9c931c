"""What the system asks of stations by itself."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from csms.blocks.asking import Question
from csms.cluster.followups import FollowUps
from csms.domain.stations import Station
from csms.ocpp.catalogue import Version
from tests.cluster.conftest import Office
from tests.cluster.line import JoinedLine

pytestmark = pytest.mark.asyncio(loop_scope="module")


def station_of(office: Office, line: JoinedLine) -> Station:
    station = Station(office.target.id, office.target.operator_id, office.target.operator, office.target.identity)
    station.link = office.connect(line)
    return station


async def settled(followups: FollowUps) -> None:
    while followups._tasks:
        await asyncio.wait(followups._tasks)


async def test_question_is_a_command_like_any_other(office: Office):
    followups = FollowUps(office.desk)
    line = JoinedLine(Version.V16, reply=lambda call: {"status": "Accepted"})

    async def make() -> Question:
        return Question("Reset", {"type": "Soft"})

    followups.after(station_of(office, line), make)
    await settled(followups)
    assert [call.action for call in line.asked] == ["Reset"]
    command = await office.log.find(int(line.asked[0].id))
    assert (command.status, command.request) == ("answered", {"type": "Soft"})


async def test_nothing_to_ask_asks_nothing(office: Office):
    followups, line = FollowUps(office.desk), JoinedLine(Version.V16)

    async def make() -> None:
        return None

    followups.after(station_of(office, line), make)
    await settled(followups)
    assert line.asked == []


async def test_failure_is_logged_and_concerns_nobody_else(office: Office):
    followups, line = FollowUps(office.desk), JoinedLine(Version.V16)

    async def make() -> Question:
        raise OSError("the authority is away")

    with capture_logs() as logs:
        followups.after(station_of(office, line), make)
        await settled(followups)
    assert [(entry["event"], entry["station"]) for entry in logs] == [("followup.failed", office.target.identity)]


async def test_there_are_never_more_than_so_many_under_way(office: Office):
    followups, line = FollowUps(office.desk, most=2), JoinedLine(Version.V16)
    held = asyncio.Event()

    async def make() -> None:
        await held.wait()

    with capture_logs() as logs:
        for _ in range(3):
            followups.after(station_of(office, line), make)
    assert len(followups._tasks) == 2 and [entry["event"] for entry in logs] == ["followup.dropped"]
    await followups.close()
