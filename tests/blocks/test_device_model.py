"""Blocks B and N: what a station says of its components is kept under their names; what they notify is logged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from csms.domain.events import ComponentNotified, ConnectorChanged, ReportCompleted, ReportExceeded
from csms.domain.reports import MOST_PARTS
from tests.blocks.conversation import Conversation, after, stamp


def variable(name: str = "Power", value: str = "1", component: str = "Meter", **fields: Any) -> dict:
    attribute = {"value": value} | fields.pop("attribute", {})
    return {"component": {"name": component}, "variable": {"name": name}, "variableAttribute": [attribute]} | fields


def part(number: int, *data: dict, request: int = 7, more: bool = True) -> dict:
    fields = {"requestId": request, "seqNo": number, "generatedAt": stamp(0), "tbc": more}
    return fields | ({"reportData": list(data)} if data else {})


def monitors(number: int, *ids: int, severity: int = 2, more: bool = False) -> dict:
    about = [
        {"id": id, "transaction": False, "value": 5.0, "type": "UpperThreshold", "severity": severity} for id in ids
    ]
    data = {"component": {"name": "Meter"}, "variable": {"name": "Power"}, "variableMonitoring": about}
    return {"requestId": 8, "seqNo": number, "generatedAt": stamp(0), "tbc": more, "monitor": [data]}


def happened(component: str, name: str, value: str, minutes: float = 0, **fields: Any) -> dict:
    evse = fields.pop("evse", None)
    place = {} if evse is None else {"evse": evse}
    return {
        "eventId": 1, "timestamp": stamp(minutes), "trigger": "Alerting", "actualValue": value,
        "eventNotificationType": "HardWiredNotification", "component": {"name": component} | place,
        "variable": {"name": name},
    } | fields  # fmt: skip


async def notify(station: Conversation, *data: dict) -> None:
    await station.say("NotifyEvent", {"generatedAt": stamp(0), "seqNo": 0, "eventData": list(data)})


def kept(station: Conversation, kind: str) -> dict[str, Any]:
    return {key: json.loads(data) for (_, of, key), data in station.records.latest.items() if of == kind}


class TestReports:
    async def test_variables_are_kept_under_their_names(self, v201):
        placed = variable("State", "x", "Connector")
        placed["component"] |= {"instance": "left", "evse": {"id": 1, "connectorId": 2}}
        whole_evse = variable("State", "y", "EVSE")
        whole_evse["component"] |= {"evse": {"id": 1}}
        await v201.say("NotifyReport", part(0, variable(), placed, whole_evse, more=False))
        assert [*kept(v201, "variable")] == ["Meter/Power", "Connector[left]@1.2/State", "EVSE@1/State"]
        assert kept(v201, "variable")["Meter/Power"] == variable()

    async def test_newer_value_takes_the_place_of_the_older(self, v201):
        await v201.say("NotifyReport", part(0, variable(value="1"), more=False))
        await v201.say("NotifyReport", part(0, variable(value="2"), request=9, more=False))
        assert kept(v201, "variable")["Meter/Power"]["variableAttribute"] == [{"value": "2"}]

    async def test_value_that_can_only_be_written_is_not_kept(self, v201):
        secret = variable("BasicAuthPassword", "secret", attribute={"mutability": "WriteOnly"})
        await v201.say("NotifyReport", part(0, secret, more=False))
        assert kept(v201, "variable")["Meter/BasicAuthPassword"]["variableAttribute"] == [{"mutability": "WriteOnly"}]

    async def test_T85_parts_out_of_order_make_one_whole_report(self, v201):
        for number, more in ((2, False), (0, True), (0, True), (1, True), (2, False)):
            await v201.say("NotifyReport", part(number, variable(f"V{number}"), more=more))
        assert len(kept(v201, "variable")) == 3
        (event,) = v201.events(ReportCompleted)
        assert (event.report, event.request_id, event.parts) == ("variables", 7, 3)

    async def test_T85_two_requests_interleaved_are_two_reports(self, v201):
        for number in (0, 1):
            for request in (7, 8):
                await v201.say("NotifyReport", part(number, variable(), request=request, more=number == 0))
        assert [event.request_id for event in v201.events(ReportCompleted)] == [7, 8]

    async def test_T85_report_without_its_last_part_is_never_called_whole(self, v201):
        await v201.say("NotifyReport", part(0, variable()))
        assert v201.events(ReportCompleted) == []
        v201.now = after(11)  # It has expired: what comes now begins another.
        await v201.say("NotifyReport", part(1, variable(), more=False))
        assert v201.events(ReportCompleted) == []

    async def test_report_goes_on_after_a_restart(self, v201):
        await v201.say("NotifyReport", part(0, variable()))
        await v201.restart()
        await v201.say("NotifyReport", part(1, more=False))
        assert len(v201.events(ReportCompleted)) == 1

    async def test_I7_endless_report_is_answered_and_no_longer_kept(self, v201):
        for number in (MOST_PARTS, MOST_PARTS + 1, -1):
            await v201.say("NotifyReport", part(number, variable(f"V{number}")))
        assert kept(v201, "variable") == {}
        assert [event.request_id for event in v201.events(ReportExceeded)] == [7]

    async def test_empty_report_is_whole(self, v201):
        await v201.say("NotifyReport", part(0, more=False))
        assert len(v201.events(ReportCompleted)) == 1

    async def test_monitors_are_kept_by_their_ids(self, v201):
        await v201.say("NotifyMonitoringReport", monitors(0, 1, more=True))
        await v201.say("NotifyMonitoringReport", monitors(1, 2, 3))
        assert [*kept(v201, "monitor")] == ["1", "2", "3"]
        assert [event.report for event in v201.events(ReportCompleted)] == ["monitors"]


class TestEvents:
    @pytest.mark.parametrize(
        ("fields", "severity"),
        [
            ({}, 5),
            ({"trigger": "Delta"}, 8),
            ({"trigger": "Periodic"}, 9),
            ({"cleared": True}, 7),
            ({"variableMonitoringId": 1}, 2),
            ({"variableMonitoringId": 1, "cleared": True}, 7),
            ({"variableMonitoringId": 99}, 5),
        ],
    )
    async def test_severity_is_the_monitors_or_that_of_the_trigger(self, v201, fields, severity):
        await v201.say("NotifyMonitoringReport", monitors(0, 1))
        await notify(v201, happened("Meter", "Power", "6", **fields))
        ((_, note),) = v201.records.log
        (event,) = v201.events(ComponentNotified)
        assert (note.severity, event.severity) == (severity, severity)

    async def test_events_are_logged_as_sent_and_told(self, v201):
        sent = happened("ConnectorPlugRetentionLock", "Problem", "true", 3, evse={"id": 1, "connectorId": 1})
        await notify(v201, sent, happened("Meter", "Power", "6"))
        first, second = (note for _, note in v201.records.log)
        assert {first.code, second.code} == {"ConnectorPlugRetentionLock@1.1/Problem", "Meter/Power"}
        assert json.loads(second.data) == sent
        assert (second.at, second.kind, second.text) == (after(3), "event", "true")
        told = v201.events(ComponentNotified)[1]
        assert (told.component, told.variable, told.value, told.evse_id) == (
            "ConnectorPlugRetentionLock", "Problem", "true", 1,
        )  # fmt: skip

    async def test_I6_event_that_is_sent_again_is_logged_and_told_once(self, v201):
        """A lost answer, then the same again: alone, with another, after a restart."""
        first, second = happened("Meter", "Power", "6"), happened("Meter", "Power", "6", eventId=2)
        for sent in ([first, first], [first], [second, first]):
            await notify(v201, *sent)
            await v201.restart()
        assert [json.loads(note.data)["eventId"] for _, note in v201.records.log] == [1, 2]
        assert len(v201.events(ComponentNotified)) == 2

    @pytest.mark.parametrize("word", ["Available", "Occupied", "Reserved", "Unavailable", "Faulted", "fAuLtEd"])
    async def test_availability_is_a_status_like_any_other(self, v201, word):
        await notify(v201, happened("Connector", "AvailabilityState", word, evse={"id": 2, "connectorId": 3}))
        assert v201.station.connectors[2, 3].status == word.lower()
        assert len(v201.events(ConnectorChanged)) == 1
        assert v201.records.log == []

    async def test_availability_of_the_station_is_that_of_no_connector(self, v201):
        await notify(v201, happened("ChargingStation", "AvailabilityState", "Unavailable"))
        assert [*v201.station.connectors] == [(0, 0)]

    async def test_T39_latest_of_several_events_counts_and_older_ones_change_nothing(self, v201):
        evse = {"id": 1, "connectorId": 1}
        await notify(
            v201, happened("Connector", "AvailabilityState", "Occupied", 5, evse=evse),
            happened("Connector", "AvailabilityState", "Available", 4, evse=evse),
        )  # fmt: skip
        assert v201.station.connectors[1, 1].status == "occupied"
        await notify(v201, happened("Connector", "AvailabilityState", "Faulted", 3, evse=evse))
        assert v201.station.connectors[1, 1].status == "occupied"

    async def test_T34_evse_without_known_connectors_has_one_and_no_phantom(self, v201):
        await notify(v201, happened("EVSE", "AvailabilityState", "Faulted", evse={"id": 1}))
        await notify(v201, happened("Connector", "AvailabilityState", "Reserved", 1, evse={"id": 1}))
        assert {ref: connector.status for ref, connector in v201.station.connectors.items()} == {(1, 1): "reserved"}

    @pytest.mark.parametrize(("word", "statuses"), [("Unavailable", {"unavailable"}), ("Occupied", {"available"})])
    async def test_evse_with_several_connectors_tells_what_holds_for_all(self, v201, word, statuses):
        for connector in (1, 2):
            place = {"id": 1, "connectorId": connector}
            await notify(v201, happened("Connector", "AvailabilityState", "Available", evse=place))
        await notify(v201, happened("EVSE", "AvailabilityState", word, 1, evse={"id": 1}))
        assert {connector.status for connector in v201.station.connectors.values()} == statuses

    @pytest.mark.parametrize(
        ("component", "word"), [("Connector", "Sleeping"), ("Connector", "Available"), ("Meter", "Available")]
    )
    async def test_availability_of_nothing_we_know_is_an_event_like_others(self, v201, component, word):
        evse = {"evse": {"id": 1}} if word == "Sleeping" or component == "Meter" else {}
        await notify(v201, happened(component, "AvailabilityState", word, **evse))
        assert v201.station.connectors is None
        assert len(v201.records.log) == 1
