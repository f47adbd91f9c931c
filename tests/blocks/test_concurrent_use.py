"""T08: a token that is in use elsewhere, where the operator wants that refused. In memory and on disk alike."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from csms.blocks.dispatch import Policy
from csms.domain.ports import CLAIM_GRACE, StorageUnavailable, Use
from csms.domain.sessions import REFUSED
from csms.ocpp.catalogue import Version
from csms.storage import admin
from csms.storage.database import Database
from csms.storage.memory import MemoryRecords
from csms.storage.records import Records, open_records
from tests.blocks.conversation import NOON, Conversation, after, stamp
from tests.blocks.test_transactions import TAG, event, start, stop


def strict(version: Version, records: MemoryRecords, identity: str) -> Conversation:
    station = Conversation(version, records, identity)
    station.policy = replace(station.policy, concurrent="refuse")
    return station


@pytest.fixture
async def stations() -> tuple[Conversation, Conversation, Conversation]:
    """Two of 1.6 and one of 2.0.1, of one operator; TAG is accepted."""
    records = MemoryRecords()
    found = strict(Version.V16, records, "A"), strict(Version.V16, records, "B"), strict(Version.V201, records, "C")
    found[0].token("TAG", group="G")
    return found


async def started(station: Conversation, minutes: float = 0, **fields: Any) -> tuple[str, int]:
    answer = await station.say("StartTransaction", start(minutes, **fields))
    return answer["idTagInfo"]["status"], answer["transactionId"]


async def told(station: Conversation, *arguments: Any, **fields: Any) -> str:
    answer = await station.say("TransactionEvent", event(*arguments, idToken=TAG, **fields))
    return answer["idTokenInfo"]["status"]


class TestRefused:
    async def test_T08_second_use_gets_an_id_all_the_same_and_its_stop_matches(self, stations):
        here, there, _ = stations
        assert await started(here) == ("Accepted", 1)
        assert await started(there) == ("ConcurrentTx", 1)
        assert (there.session.authorization, there.session.flags) == ("concurrent", (REFUSED,))
        await there.say("StopTransaction", stop(1))
        assert not there.session.is_open and here.session.is_open

    async def test_group_and_expiry_are_told_all_the_same(self, stations):
        here, there, _ = stations
        await started(here)
        answer = await there.say("StartTransaction", start())
        assert answer["idTagInfo"] == {"status": "ConcurrentTx", "parentIdTag": "G"}

    async def test_every_version_refuses_and_every_spelling_is_the_same_token(self, stations):
        here, _, newer = stations
        await started(here, tag="tag")
        assert await told(newer, "Started", 0) == "ConcurrentTx"
        assert REFUSED in newer.session.flags

    async def test_token_told_after_the_start_is_judged_when_it_is_told(self, stations):
        here, _, newer = stations
        await started(here)
        await newer.say("TransactionEvent", event("Started", 0))
        assert await told(newer, "Updated", 1) == "ConcurrentTx"
        assert await told(newer, "Updated", 2) == "ConcurrentTx"

    async def test_other_tokens_are_free(self, stations):
        here, there, _ = stations
        there.token("OTHER", group="G")
        await started(here)
        assert (await started(there, tag="OTHER"))[0] == "Accepted"

    async def test_token_is_free_again_when_its_session_has_ended(self, stations):
        here, there, newer = stations
        await started(here)
        await here.say("StopTransaction", stop(1))
        assert (await started(there, 1))[0] == "Accepted"
        assert await told(newer, "Started", 0) == "ConcurrentTx"

    async def test_repeat_is_answered_as_the_first_time(self, stations):
        here, there, newer = stations
        assert await started(here) == await started(here) == ("Accepted", 1)
        await started(there)
        await told(newer, "Started", 0)
        await here.say("StopTransaction", stop(1))
        assert await started(there) == ("ConcurrentTx", 1), "what was refused is not accepted by asking again"
        assert await told(newer, "Started", 0) == "ConcurrentTx"

    async def test_session_whose_own_token_ends_it_is_not_in_its_own_way(self, stations):
        newer = stations[2]
        assert await told(newer, "Started", 0, evse={"id": 1}) == "Accepted"
        assert await told(newer, "Updated", 1) == "Accepted"
        assert await told(newer, "Ended", 2) == "Accepted"

    async def test_session_whose_end_was_lost_does_not_lock_the_driver_out(self, stations):
        """A second start at the same connector: whatever was there is over."""
        here, there, _ = stations
        await started(here)
        assert (await started(here, 5))[0] == "Accepted"
        await here.say("StopTransaction", stop(2, 6))
        assert (await started(there, 4))[0] == "Accepted", "the first is superseded, the second has ended"

    async def test_start_that_was_not_kept_may_be_repeated(self, stations):
        here, there, _ = stations
        here.records.fault = lambda unit: StorageUnavailable("full")
        with pytest.raises(StorageUnavailable):
            await started(here)
        here.records.fault = lambda unit: None
        assert await started(here) == ("Accepted", 1)
        assert (await started(there))[0] == "ConcurrentTx"

    async def test_start_that_never_came_again_frees_the_token(self, stations):
        here, there, _ = stations
        here.records.fault = lambda unit: StorageUnavailable("full")
        with pytest.raises(StorageUnavailable):
            await started(here)
        here.records.fault = lambda unit: None
        assert (await started(there))[0] == "ConcurrentTx"
        there.now = NOON + CLAIM_GRACE * 1.1
        assert (await started(there, 6))[0] == "Accepted"

    async def test_what_happened_offline_is_judged_on_its_tags_merits(self, stations):
        here, there, newer = stations
        await started(here)
        there.now = newer.now = after(60)
        assert (await started(there))[0] == "Accepted"
        assert await told(newer, "Started", 0, offline=True) == "Accepted"

    async def test_blocked_is_blocked_and_claims_nothing(self, stations):
        here, there, _ = stations
        here.token("TAG", status="blocked")
        assert (await started(here))[0] == "Blocked"
        here.token("TAG")
        assert (await started(there))[0] == "Accepted"

    async def test_T28_no_authorization_is_never_in_use(self, stations):
        nobody = {"idToken": "", "type": "NoAuthorization"}
        for transaction in "TU":
            answer = await stations[2].say(
                "TransactionEvent", event("Started", 0, transaction=transaction, idToken=nobody)
            )
            assert answer["idTokenInfo"]["status"] == "Accepted"

    async def test_authorize_does_not_ask_who_uses_it(self, stations):
        """ConcurrentTx is about starting; the driver may be here to stop (1.6 7.2)."""
        here, there, _ = stations
        await started(here)
        assert (await there.say("Authorize", {"idTag": "TAG"}))["idTagInfo"]["status"] == "Accepted"


async def test_T08_concurrent_use_is_allowed_by_default(v16):
    v16.token("TAG")
    assert (await started(v16))[0] == (await started(v16, connector=2))[0] == "Accepted"
    assert v16.records.claims == {}


async def test_T08_of_two_stations_that_start_together_one_is_accepted(database: Database, make_server):
    """Over sockets and on disk."""
    policy = Policy(random=lambda: 0.5, concurrent="refuse")
    server = await make_server(await open_records(database, NOON), database, policy=policy)
    await server.add_token("TAG")
    clients = []
    for identity in ("A", "B", "C"):
        await server.add_station(identity)
        clients.append(await server.connect(identity))
    answers = await asyncio.gather(*(client.call("StartTransaction", start()) for client in clients))
    words = sorted(answer["idTagInfo"]["status"] for answer in answers)
    assert words == ["Accepted", "ConcurrentTx", "ConcurrentTx"]
    assert [answer["transactionId"] for answer in answers] == [1, 1, 1]


class TestClaims:
    """The same promises of both kinds of records."""

    @pytest.fixture(params=["memory", "disk"])
    async def records(self, request, database: Database) -> MemoryRecords | Records:
        if request.param == "memory":
            records = MemoryRecords()
            records.add_station("A")
            records.add_station("B")
            return records
        operator = await database.writer.run(admin.ensure_operator("default"))
        for identity in "AB":
            await database.writer.run(admin.put_station(operator, identity, {}, NOON))
        return await open_records(database, NOON)

    async def session(self, records: Any, identity: str, action: str, message: dict) -> None:
        """Let a station tell something, with the policy off: nothing is claimed by it."""
        known = await records.known("default", identity)
        station = Conversation(Version.V16)
        station.records, station.station = records, await records.station(known)
        await station.say(action, message)

    async def test_claim_is_the_first_ones_and_may_be_repeated(self, records):
        assert await records.claim(1, "TAG", Use(1, "7", 1), NOON)
        assert await records.claim(1, "tag ", Use(1, "7", 1), NOON)
        assert not await records.claim(1, "TAG", Use(2, "7", 1), NOON)
        assert await records.claim(1, "OTHER", Use(2, "7", 1), NOON)

    async def test_of_many_who_ask_together_one_is_first(self, records):
        asked = [records.claim(1, "TAG", Use(2, str(number), number), NOON) for number in range(20)]
        assert (await asyncio.gather(*asked)).count(True) == 1

    @pytest.mark.parametrize(
        ("use", "free"), [(Use(1, "8", 1), True), (Use(1, "8", 2), False), (Use(1, "8", None), False)]
    )
    async def test_next_transaction_of_the_same_evse_takes_the_place(self, records, use, free):
        await records.claim(1, "TAG", Use(1, "7", 1), NOON)
        assert await records.claim(1, "TAG", use, NOON) is free

    async def test_two_places_that_are_not_known_are_not_the_same(self, records):
        await records.claim(1, "TAG", Use(1, "7", None), NOON)
        assert not await records.claim(1, "TAG", Use(1, "8", None), NOON)

    async def test_claim_of_a_session_lasts_until_its_end(self, records):
        late = NOON + CLAIM_GRACE * 9
        await records.claim(1, "TAG", Use(1, "1", 1), NOON)
        await self.session(records, "A", "StartTransaction", start())
        assert not await records.claim(1, "TAG", Use(2, "1", 1), late)
        await self.session(records, "A", "StopTransaction", stop(1))
        assert await records.claim(1, "TAG", Use(2, "1", 1), late)

    async def test_claim_of_a_superseded_session_is_free(self, records):
        await records.claim(1, "TAG", Use(1, "1", 1), NOON)
        await self.session(records, "A", "StartTransaction", start())
        await self.session(records, "A", "StartTransaction", start(5, tag="OTHER"))
        assert await records.claim(1, "TAG", Use(2, "1", 1), NOON)

    async def test_R5_claim_of_a_session_that_lost_its_end_is_free(self, records):
        await records.claim(1, "TAG", Use(1, "1", 1), NOON)
        await self.session(records, "A", "StartTransaction", start())
        free = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": stamp(30)}
        await self.session(records, "A", "StatusNotification", free)
        assert await records.claim(1, "TAG", Use(2, "1", 1), NOON)

    @pytest.mark.parametrize(("late", "free"), [(1.0, False), (1.01, True)])
    async def test_claim_without_a_session_frees_itself(self, records, late, free):
        await records.claim(1, "TAG", Use(1, "7", 1), NOON)
        assert await records.claim(1, "TAG", Use(2, "7", 1), NOON + CLAIM_GRACE * late) is free
