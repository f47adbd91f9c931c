"""Block E: whatever a station tells, in whatever order and how often, it is one session with the right energy."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.domain.events import MessageUnmatched, SessionClosed, SessionMetered, SessionOpened
from csms.domain.sessions import METER_FELL, NO_START, REFUSED, SUPERSEDED, UNPLAUSIBLE_TIME
from csms.domain.tariffs import Tariff
from csms.ocpp.catalogue import Version
from tests.blocks.conversation import Conversation, after, stamp


def start(minutes: float = 0, *, connector: int = 1, tag: str = "TAG", meter: int = 1_000, **fields) -> dict:
    return {"connectorId": connector, "idTag": tag, "meterStart": meter, "timestamp": stamp(minutes)} | fields


def stop(transaction: int = 1, minutes: float = 60, *, meter: int = 21_000, **fields) -> dict:
    return {"transactionId": transaction, "meterStop": meter, "timestamp": stamp(minutes)} | fields


def event(
    kind: str, seq: int, minutes: float = 0, *, wh: float | None = None, transaction: str = "T", **fields
) -> dict:
    info = {"transactionId": transaction} | fields.pop("info", {})
    context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}.get(kind, "Sample.Periodic")
    metered = [{"timestamp": stamp(minutes), "sampledValue": [{"value": wh, "context": context}]}]
    return {
        "eventType": kind, "timestamp": stamp(minutes), "triggerReason": "Trigger", "seqNo": seq,
        "transactionInfo": info,
    } | ({} if wh is None else {"meterValue": metered}) | fields  # fmt: skip


TAG = {"idToken": "TAG", "type": "ISO14443"}
STORY = [
    event("Started", 0, 0, wh=1_000.0, evse={"id": 2, "connectorId": 1}, info={"chargingState": "EVConnected"}),
    event("Updated", 1, 1, idToken=TAG),
    event("Updated", 2, 20, wh=4_000.0, info={"chargingState": "Charging"}),
    event("Updated", 3, 40, wh=9_000.0),
    event("Ended", 4, 60, wh=16_000.0, idToken=TAG, info={"stoppedReason": "EVDisconnected"}),
]


async def tell(station: Conversation, *story: dict[str, Any]) -> None:
    for message in story:
        await station.say("TransactionEvent", message)


async def begin(station: Conversation, **fields: Any) -> int:
    return (await station.say("StartTransaction", start(**fields)))["transactionId"]


class TestOcpp16:
    async def test_start_and_stop_make_one_session(self, v16):
        v16.token("TAG", group="G")
        answer = await v16.say("StartTransaction", start(reservationId=5))
        assert answer == {"idTagInfo": {"status": "Accepted", "parentIdTag": "G"}, "transactionId": 1}
        assert await v16.say("StopTransaction", stop(idTag="TAG", reason="EVDisconnected")) == {
            "idTagInfo": {"status": "Accepted", "parentIdTag": "G"}
        }
        session = v16.session
        assert (session.evse_id, session.connector_id, session.token, session.group) == (1, 1, "TAG", "G")
        assert (session.started_at, session.ended_at, session.energy_wh) == (after(0), after(60), 20_000.0)
        assert (session.stop_reason, session.stop_token, session.reservation_id) == ("EVDisconnected", "TAG", 5)
        assert session.complete and session.flags == ()

    async def test_start_later_than_all_before_is_not_looked_up(self, v16, monkeypatch):
        asked = []
        look_up = v16.records.session_by_start
        monkeypatch.setattr(v16.records, "session_by_start", lambda id, key: asked.append(key) or look_up(id, key))
        for minutes in (0, 10):
            await v16.say("StartTransaction", start(minutes))
        assert asked == [], "it repeats none: the station had no session, or earlier ones only"
        await v16.say("StartTransaction", start(5))
        assert len(asked) == 1

    async def test_opening_and_closing_are_told_once(self, v16):
        v16.token("TAG")
        for _ in range(2):
            await v16.say("StartTransaction", start())
        for _ in range(2):
            await v16.say("StopTransaction", stop())
        (opened,), (closed,) = v16.events(SessionOpened), v16.events(SessionClosed)
        assert (opened.token, opened.authorization, opened.evse_id, opened.started_at) == (
            "TAG",
            "accepted",
            1,
            after(0),
        )
        assert (closed.energy_wh, closed.reason, closed.ended_at, closed.flags) == (20_000.0, "Local", after(60), ())

    @pytest.mark.parametrize("number", [9, -16, 0, 2**31 - 1])
    async def test_T01_stop_of_an_unknown_transaction_is_answered_and_kept(self, v16, number):
        await begin(v16)
        assert await v16.say("StopTransaction", stop(number)) == {}
        assert [message.action for message in v16.records.unmatched] == ["StopTransaction"]
        assert len(v16.events(MessageUnmatched)) == 1
        assert v16.session.is_open

    async def test_T02_T03_T04_stops_of_minus_one_end_nobody_elses_session(self, v16):
        await begin(v16)
        for minutes in (10, 20):
            await v16.say("StopTransaction", stop(-1, minutes, idTag="TAG"))
        assert v16.session.is_open
        assert [b"-1" in message.payload for message in v16.records.unmatched] == [True, True]

    async def test_T05_two_connectors_in_one_second_get_different_ids(self, v16):
        assert [await begin(v16, connector=1), await begin(v16, connector=2)] == [1, 2]

    async def test_T05_ids_are_not_used_again_after_a_restart(self, v16):
        first = await begin(v16)
        await v16.say("StopTransaction", stop(first))
        await v16.restart()
        assert await begin(v16, minutes=90) == first + 1

    async def test_T06_ids_begin_at_one(self, v16):
        assert await begin(v16) == 1

    @pytest.mark.parametrize(
        ("token", "word"),
        [({"status": "blocked"}, "Blocked"), ({"expires_at": after(-1)}, "Expired"), (None, "Invalid")],
    )
    async def test_T07_T08_refused_start_gets_an_id_and_its_stop_matches(self, v16, token, word):
        if token:
            v16.token("TAG", **token)
        answer = await v16.say("StartTransaction", start())
        assert (answer["idTagInfo"]["status"], answer["transactionId"]) == (word, 1)
        await v16.say("StopTransaction", stop(1))
        assert v16.session.flags == (REFUSED,)
        assert v16.session.energy_wh == 20_000.0

    async def test_T09_second_start_marks_the_first_which_stays_until_its_own_stop(self, v16):
        v16.token("TAG")
        first, second = await begin(v16), await begin(v16, minutes=90)
        early, late = v16.sessions
        assert early.is_open and early.flags == (SUPERSEDED,)
        assert late.is_open and late.flags == ()
        await v16.say("StopTransaction", stop(first, 60))
        assert [session.is_open for session in v16.sessions] == [False, True]
        assert v16.sessions[0].flags == ()
        assert second == first + 1

    async def test_T09_start_at_another_connector_supersedes_nothing(self, v16):
        v16.token("TAG")
        await begin(v16)
        await begin(v16, connector=2, minutes=5)
        assert [session.flags for session in v16.sessions] == [(), ()]

    async def test_T10_second_start_with_lost_answer_gets_the_same_transaction_id(self, v16):
        assert await begin(v16) == await begin(v16)
        assert v16.session.is_open

    async def test_T10_start_repeated_after_a_restart_gets_the_same_transaction_id(self, v16):
        first = await begin(v16)
        await v16.restart()
        assert await begin(v16) == first
        assert v16.session

    async def test_T10_start_repeated_after_its_stop_gets_the_same_transaction_id(self, v16):
        first = await begin(v16)
        await v16.say("StopTransaction", stop(first))
        assert await begin(v16) == first
        assert not v16.session.is_open

    @pytest.mark.parametrize("other", [{"minutes": 1}, {"connector": 2}, {"tag": "OTHER"}, {"meter": 1_001}])
    async def test_T10_start_that_says_anything_else_is_another(self, v16, other):
        assert await begin(v16) != await begin(v16, **other)

    async def test_T11_repeated_stop_gets_the_same_answer_and_changes_nothing(self, v16):
        v16.token("TAG")
        await begin(v16)
        first = await v16.say("StopTransaction", stop(1, idTag="TAG"))
        kept = v16.session
        assert await v16.say("StopTransaction", stop(1, 70, meter=99_000, idTag="TAG")) == first
        assert v16.session == kept

    async def test_T12_token_is_judged_again_when_the_transaction_starts(self, v16):
        v16.token("TAG")
        assert (await v16.say("Authorize", {"idTag": "TAG"}))["idTagInfo"]["status"] == "Accepted"
        v16.token("TAG", status="blocked")
        assert (await v16.say("StartTransaction", start()))["idTagInfo"]["status"] == "Blocked"

    async def test_T13_T14_stop_with_another_token_or_without_reason_is_recorded(self, v16):
        await begin(v16)
        answer = await v16.say("StopTransaction", stop(1, idTag="OTHER"))
        assert answer == {"idTagInfo": {"status": "Invalid"}}
        assert (v16.session.stop_token, v16.session.stop_reason) == ("OTHER", "Local")

    @pytest.mark.parametrize("meter", [0, 999, -5])
    async def test_T15_fallen_register_is_flagged_and_not_billed(self, v16, meter):
        v16.token("TAG")
        await begin(v16)
        assert await v16.say("StopTransaction", stop(1, meter=meter)) == {}
        assert (v16.session.energy_wh, v16.session.flags) == (0.0, (METER_FELL,))

    async def test_T17_readings_in_the_stop_are_kept_and_not_twice(self, v16):
        await begin(v16)
        value = {"timestamp": stamp(30), "sampledValue": [{"value": "9000"}]}
        await v16.say("MeterValues", {"connectorId": 1, "transactionId": 1, "meterValue": [value]})
        end = {"timestamp": stamp(60), "sampledValue": [{"value": "OCMF|", "format": "SignedData"}]}
        await v16.say("StopTransaction", stop(1, transactionData=[value, end]))
        assert [reading.at for _, _, reading in v16.records.samples] == [after(30), after(60)]
        assert v16.records.samples[1][2].samples[0].signed == "OCMF|"

    async def test_T49_start_without_a_clock_counts_from_receipt_and_is_flagged(self, v16):
        v16.token("TAG")
        await v16.say("StartTransaction", start() | {"timestamp": "1970-01-01T00:00:05Z"})
        assert (v16.session.started_at, v16.session.flags) == (v16.now, (UNPLAUSIBLE_TIME,))

    async def test_T49_stop_without_a_clock_counts_from_receipt_and_is_flagged(self, v16):
        v16.token("TAG")
        await begin(v16)
        v16.now = after(60)
        await v16.say("StopTransaction", stop(1) | {"timestamp": "2000-01-01T00:00:00Z"})
        assert (v16.session.ended_at, v16.session.flags) == (after(60), (UNPLAUSIBLE_TIME,))

    async def test_start_from_the_far_future_counts_from_receipt_and_is_flagged(self, v16):
        v16.token("TAG")
        await v16.say("StartTransaction", start() | {"timestamp": "2099-01-01T00:00:00Z"})
        assert (v16.session.started_at, v16.session.flags) == (v16.now, (UNPLAUSIBLE_TIME,))

    async def test_station_without_a_clock_may_begin_alike_twice(self, v16):
        same = start() | {"timestamp": "1970-01-01T00:00:05Z"}
        first = (await v16.say("StartTransaction", same))["transactionId"]
        assert (await v16.say("StartTransaction", same))["transactionId"] == first, "while it is open it is a repeat"
        await v16.say("StopTransaction", stop(first))
        assert (await v16.say("StartTransaction", same))["transactionId"] == first + 1
        assert [session.incarnation for session in v16.sessions] == [0, 1]

    async def test_start_at_the_whole_station_has_no_connector(self, v16):
        await begin(v16, connector=0)
        assert (v16.session.evse_id, v16.session.connector_id) == (0, 0)

    async def test_stop_never_ends_another_stations_session(self, v16):
        """R6, S14."""
        await begin(v16)
        other = Conversation(v16.version, v16.records, "CS-2")
        await other.say("StopTransaction", stop(1))
        assert v16.session.is_open
        assert other.sessions == []

    @settings(max_examples=25)
    @given(st.lists(st.integers(0, 2), min_size=3, max_size=8))
    def test_repeats_of_start_meter_and_stop_give_one_session(self, repeats: list[int]):
        """R3, R7: retries come in the order of the first attempts."""
        meter = {"timestamp": stamp(30), "sampledValue": [{"value": "9000"}]}
        story = [
            ("StartTransaction", start()),
            ("MeterValues", {"connectorId": 1, "transactionId": 1, "meterValue": [meter]}),
            ("StopTransaction", stop(1)),
        ]

        async def told() -> None:
            station = Conversation(Version.V16)
            ids = set()
            for number in [0, *sorted(repeats), 2]:
                ids.add((await station.say(*story[number])).get("transactionId", 1))
            assert ids == {1}
            assert (station.session.energy_wh, station.session.complete) == (20_000.0, True)
            assert len(station.records.samples) <= 1

        asyncio.run(told())


class TestOcpp2:
    async def test_story_makes_one_session(self, v201):
        v201.token("TAG", group="G")
        await tell(v201, *STORY)
        session = v201.session
        assert (session.evse_id, session.connector_id, session.token, session.group) == (2, 1, "TAG", "G")
        assert (session.started_at, session.ended_at, session.energy_wh) == (after(0), after(60), 15_000.0)
        assert (session.stop_reason, session.authorization, session.phase) == ("EVDisconnected", "accepted", "ended")
        assert session.complete and session.flags == ()
        assert len(v201.events(SessionOpened)) == len(v201.events(SessionClosed)) == 1
        assert len(v201.events(SessionMetered)) == 3

    @settings(max_examples=40)
    @given(st.permutations(STORY), st.lists(st.sampled_from(STORY), max_size=4))
    def test_T18_T20_any_order_and_any_repeats_give_the_same_session(self, story: list, again: list):
        """R4."""

        async def told() -> None:
            station = Conversation(Version.V201)
            station.token("TAG")
            await tell(station, *story, *again)
            session = station.session
            assert (session.energy_wh, session.started_at, session.ended_at) == (15_000.0, after(0), after(60))
            assert (session.seen, session.complete, session.phase) == (((0, 4),), True, "ended")
            assert (session.evse_id, session.token, session.stop_reason) == (2, "TAG", "EVDisconnected")
            assert (session.flags, session.power_w) == ((), None)
            assert len(station.records.samples) == 4
            assert station.station.sessions is None
            told = station.events(SessionClosed)
            assert (told[-1].energy_wh, told[-1].ended_at, told[-1].incomplete) == (15_000.0, after(60), False)
            assert len({(event.energy_wh, event.flags, event.incomplete) for event in told}) == len(told)

        asyncio.run(told())

    async def test_T18_late_message_tells_the_end_again_only_if_it_changes_it(self, v201):
        await tell(v201, *STORY)
        told = v201.events(SessionMetered)
        await tell(v201, event("Updated", 9, 5, wh=1_500.0), event("Ended", 10, 90))
        assert len(v201.events(SessionClosed)) == 1 and v201.events(SessionMetered) == told
        await tell(v201, event("Ended", 11, 70, wh=20_000.0))
        assert [closed.energy_wh for closed in v201.events(SessionClosed)] == [15_000.0, 19_000.0]

    async def test_T19_session_with_a_gap_is_not_complete_until_the_gap_is_filled(self, v201):
        await tell(v201, STORY[0], STORY[1], STORY[3], STORY[4])
        assert not v201.session.is_open and not v201.session.complete
        assert [event.incomplete for event in v201.events(SessionClosed)] == [True]
        await tell(v201, STORY[2])
        assert v201.session.complete
        assert [event.incomplete for event in v201.events(SessionClosed)] == [True, False]

    async def test_T20_repeat_gets_the_same_verdict_and_writes_nothing(self, v201):
        v201.token("TAG")
        first = await v201.say("TransactionEvent", STORY[1])
        assert await v201.say("TransactionEvent", STORY[1]) == first == {"idTokenInfo": {"status": "Accepted"}}
        assert v201.context.work is None

    async def test_T21_offline_events_count_by_their_own_time(self, v201):
        v201.now = after(600)
        for message in STORY:
            await tell(v201, message | {"offline": True})
        assert (v201.session.started_at, v201.session.ended_at) == (after(0), after(60))
        assert v201.session.received_at == after(600)
        assert v201.station.connectors is None

    @pytest.mark.parametrize("kind", ["Updated", "Ended"])
    async def test_T22_transaction_whose_start_is_missing_is_created(self, v201, kind):
        await tell(v201, event(kind, 3, 5, wh=10.0))
        assert NO_START in v201.session.flags
        assert v201.session.is_open is (kind == "Updated")
        assert not v201.session.complete

    async def test_T22_late_start_corrects_the_beginning(self, v201):
        await tell(v201, event("Updated", 3, 5), event("Updated", 2, 4))
        assert v201.session.started_at == after(4)
        await tell(v201, event("Started", 0, 0), event("Updated", 1, -9))
        assert (v201.session.started_at, v201.session.flags) == (after(0), ())

    async def test_T23_seq_may_go_on_from_one_transaction_to_the_next(self, v201):
        await tell(v201, event("Started", 7), event("Ended", 8, 1))
        await tell(v201, event("Started", 9, 2, transaction="U"), event("Ended", 10, 3, transaction="U"))
        assert [session.complete for session in v201.sessions] == [True, True]

    async def test_T24_place_and_token_are_carried_forward(self, v201):
        v201.token("TAG")
        await tell(v201, event("Started", 0, evse={"id": 2}, idToken=TAG), event("Updated", 1, 1))
        session = v201.session
        assert (session.evse_id, session.connector_id, session.token) == (2, None, "TAG")
        await tell(v201, event("Updated", 2, 2, evse={"id": 2, "connectorId": 3}, idToken=TAG | {"idToken": "X"}))
        assert (v201.session.connector_id, v201.session.token) == (3, "TAG")

    async def test_T25_second_start_of_a_closed_id_begins_a_new_session(self, v201):
        await tell(v201, event("Started", 0), event("Ended", 1, 1))
        await tell(v201, event("Started", 0, 30), event("Updated", 1, 31, wh=5.0), event("Ended", 2, 32))
        first, second = v201.sessions
        assert (first.seen, second.seen) == (((0, 1),), ((0, 2),))
        assert first.start_key != second.start_key
        assert second.started_at == after(30)

    async def test_T26_every_event_with_a_token_gets_its_verdict(self, v201):
        v201.token("TAG", group="G")
        group = {"status": "Accepted", "groupIdToken": {"idToken": "G", "type": "Central"}}
        for seq, kind in enumerate(("Started", "Updated", "Ended")):
            message = event(kind, seq, idToken=TAG)
            assert (await v201.say("TransactionEvent", message))["idTokenInfo"] == group
        assert await v201.say("TransactionEvent", event("Started", 0, transaction="U")) == {}

    async def test_T27_end_with_a_token_is_told_its_cost(self, v201):
        v201.token("TAG")
        v201.records.tariffs[1] = [Tariff("EUR", per_kwh=500_000, per_session=1_000_000)]
        await tell(v201, *STORY[:-1])
        assert (await v201.say("TransactionEvent", STORY[-1]))["totalCost"] == 8.5
        assert (await v201.say("TransactionEvent", STORY[-1]))["totalCost"] == 8.5  # A repeat is told the same.

    async def test_T27_end_of_a_free_transaction_is_told_zero(self, v201):
        await tell(v201, *STORY[:-1])
        assert (await v201.say("TransactionEvent", STORY[-1]))["totalCost"] == 0.0

    async def test_T27_cost_is_that_of_the_tariff_it_began_under(self, v201):
        v201.records.tariffs[1] = [Tariff("EUR", per_session=1_000_000), Tariff("EUR", 0, 0, 9, valid_from=after(30))]
        await tell(v201, *STORY[:-1])
        assert (await v201.say("TransactionEvent", STORY[-1]))["totalCost"] == 1.0

    async def test_T28_start_without_authorization_is_accepted(self, v201):
        token = {"idToken": "", "type": "NoAuthorization"}
        answer = await v201.say("TransactionEvent", event("Started", 0, idToken=token))
        assert answer["idTokenInfo"]["status"] == "Accepted"
        assert v201.session.flags == ()

    async def test_refused_token_is_flagged_and_recorded(self, v201):
        await tell(v201, event("Started", 0, idToken=TAG), event("Updated", 1, idToken=TAG))
        assert (v201.session.authorization, v201.session.flags) == ("unknown", (REFUSED,))

    async def test_token_that_ends_a_transaction_is_not_the_one_that_began_it(self, v201):
        v201.token("TAG")
        await tell(v201, event("Started", 0, idToken=TAG), event("Ended", 1, idToken=TAG | {"idToken": "MASTER"}))
        assert (v201.session.token, v201.session.stop_token, v201.session.flags) == ("TAG", "MASTER", ())

    async def test_T49_start_without_a_clock_counts_from_receipt_and_is_flagged(self, v201):
        await tell(v201, event("Started", 0) | {"timestamp": "1970-01-01T00:00:05Z"})
        assert (v201.session.started_at, v201.session.flags) == (v201.now, (UNPLAUSIBLE_TIME,))

    async def test_T55_event_with_unreadable_samples_is_answered(self, v201):
        broken = [{"timestamp": stamp(0), "sampledValue": [{"value": "x"}]}]
        await tell(v201, event("Started", 0, meterValue=broken), event("Ended", 1, meterValue=broken))
        assert v201.session.complete

    @pytest.mark.parametrize(
        ("state", "phase"),
        [("EVConnected", "pending"), ("Charging", "charging"), ("SuspendedEV", "suspended"), ("Idle", "pending")],
    )
    async def test_phase_follows_the_newest_event(self, v201, state, phase):
        await tell(v201, event("Started", 0), event("Updated", 5, info={"chargingState": state}))
        assert v201.session.phase == phase
        await tell(v201, event("Updated", 4, info={"chargingState": "SuspendedEVSE"}))
        assert v201.session.phase == phase

    async def test_ids_of_what_was_asked_for_are_kept(self, v201):
        await tell(v201, event("Started", 0, info={"remoteStartId": 8}, reservationId=9), event("Updated", 1))
        assert (v201.session.remote_start_id, v201.session.reservation_id) == (8, 9)

    async def test_session_goes_on_after_a_restart(self, v201):
        await tell(v201, *STORY[:3])
        await v201.restart()
        await tell(v201, *STORY[3:])
        assert (v201.session.energy_wh, v201.session.complete) == (15_000.0, True)

    async def test_event_never_touches_another_stations_session(self, v201):
        await tell(v201, STORY[0])
        other = Conversation(v201.version, v201.records, "CS-2")
        await tell(other, STORY[4])
        assert v201.session.is_open
        assert len(other.sessions) == 1
