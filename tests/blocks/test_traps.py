"""Traps that concern several blocks, or the disk."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import Phase, given, settings

from csms.ocpp.catalogue import Version, actions
from csms.storage import admin
from csms.storage.database import Database
from csms.storage.records import open_records
from tests import schema_strategy
from tests.blocks.conversation import NOON, Conversation, stamp
from tests.blocks.test_availability import status_16
from tests.blocks.test_transactions import TAG, event, start, stop


async def test_T13_T33_another_token_of_the_group_stops_and_gets_its_group(v16, v201):
    for station in (v16, v201):
        station.token("TAG", group="G")
        station.token("SECOND", group="G")
    first = await v16.say("StartTransaction", start())
    assert first["idTagInfo"]["parentIdTag"] == "G"
    ended = await v16.say("StopTransaction", stop(1, idTag="SECOND"))
    assert ended["idTagInfo"] == {"status": "Accepted", "parentIdTag": "G"}
    group = {"status": "Accepted", "groupIdToken": {"idToken": "G", "type": "Central"}}
    second = TAG | {"idToken": "SECOND"}
    assert (await v201.say("Authorize", {"idToken": second}))["idTokenInfo"] == group
    for message in (event("Started", 0, idToken=TAG), event("Ended", 1, idToken=second)):
        assert (await v201.say("TransactionEvent", message))["idTokenInfo"] == group
    for station in (v16, v201):
        assert (station.session.token, station.session.stop_token) == ("TAG", "SECOND")


async def test_T33_group_named_as_a_token_is_refused_in_every_message(v16, v201):
    for station in (v16, v201):
        station.token("TAG", group="G")
    assert (await v16.say("StartTransaction", start(tag="G")))["idTagInfo"]["status"] == "Invalid"
    answer = await v201.say("TransactionEvent", event("Started", 0, idToken=TAG | {"idToken": "G"}))
    assert answer["idTokenInfo"]["status"] == "Unknown"


async def test_T57_numbers_are_never_rescaled_by_guess(v16):
    """A register of 12.5 labelled Wh may mean kWh: it stays what the station said."""
    value = {"timestamp": stamp(0), "sampledValue": [{"value": "12.5", "unit": "Wh"}]}
    await v16.say("MeterValues", {"connectorId": 1, "meterValue": [value]})
    assert v16.records.samples[0][2].register_wh == 12.5


@pytest.mark.parametrize("unit", ["Celcius", "Celsius"])
async def test_T62_both_spellings_of_a_degree_are_taken(v16, unit):
    value = {"timestamp": stamp(0), "sampledValue": [{"value": "21.5", "measurand": "Temperature", "unit": unit}]}
    assert await v16.say("MeterValues", {"connectorId": 1, "meterValue": [value]}) == {}
    assert v16.records.samples[0][2].samples[0].unit == unit


class Disk:
    """Stations that talk to a database file."""

    def __init__(self, database: Database, records):
        self.database = database
        self.records = records

    async def station(self, identity: str, version: Version) -> Conversation:
        operator = await self.database.writer.run(admin.ensure_operator("default"))
        await self.database.writer.run(admin.put_station(operator, identity, {"registration": "accepted"}, NOON))
        station = Conversation(version)
        station.records = self.records
        station.station = await self.records.station(await self.records.known("default", identity))
        return station


@pytest.fixture
async def disk(database: Database) -> Disk:
    return Disk(database, await open_records(database, NOON))


async def test_T35_first_reports_of_many_stations_at_once_are_all_kept(disk, database):
    stations = [await disk.station(f"CS-{number}", Version.V16) for number in range(40)]
    answers = await asyncio.gather(
        *(station.say("StatusNotification", status_16("Available", 0)) for station in stations)
    )
    assert answers == [{}] * 40
    async with database.reader.connect() as connection:
        kept = await connection.exec_driver_sql(
            "SELECT count(*) FROM connectors WHERE evse_id = 0 AND connector_id = 0"
        )
        assert kept.scalar_one() == 40


def drawn(version: Version, action: str) -> list[dict]:
    """A few valid messages, the same at every run."""
    found: list[dict] = []

    @settings(max_examples=4, phases=[Phase.generate])
    @given(schema_strategy.valid(version, f"{action}Request"))
    def collect(payload: dict) -> None:
        found.append(payload)

    collect()
    return found


@pytest.mark.parametrize("version", [Version.V16, Version.V201])
async def test_what_memory_takes_the_disk_takes(disk, version):
    """Drawn messages of every kind, with all the odd text that the schemas allow."""
    station = await disk.station("CS-1", version)
    for name, action in actions(version).items():
        for payload in drawn(version, name) if action.from_station else ():
            await station.say(name, payload)


async def test_reports_are_read_back_from_the_disk(disk):
    station = await disk.station("CS-1", Version.V201)
    part = {"requestId": 1, "generatedAt": stamp(0), "reportData": [{
        "component": {"name": "Meter"}, "variable": {"name": "Power"}, "variableAttribute": [{"value": "é漢😀"}],
    }]}  # fmt: skip
    await station.say("NotifyReport", part | {"seqNo": 0})
    found = await disk.records.reported(station.station.id, "variable", ["Meter/Power", "Meter/None"])
    assert [json.loads(data)["variableAttribute"] for data in found.values()] == [[{"value": "é漢😀"}]]
    assert await disk.records.reported(station.station.id, "variable", []) == {}
