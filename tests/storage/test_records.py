"""Records: what was committed is found again, the same on disk as in memory."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from csms.domain.events import StationConnected
from csms.domain.sessions import BEGIN, END, Mark, Reading, Sample, closed
from csms.domain.stations import Boot, Station
from csms.domain.tariffs import Tariff
from csms.domain.tokens import Token
from csms.domain.unit import Metered, Unmatched
from csms.storage import admin
from csms.storage.database import Database, open_database
from csms.storage.memory import MemoryRecords
from csms.storage.records import Known, open_records
from csms.storage.tables import to_us
from tests.conftest import NOW
from tests.postgres import cleared
from tests.storage.conftest import after, free, session, unit_of


class InMemory:
    """The records tests use."""

    def __init__(self) -> None:
        self.records = MemoryRecords()

    async def add_station(self, identity: str, operator: str = "default", **fields: Any) -> None:
        self.records.add_station(identity, operator=operator, operator_id=1 if operator == "default" else 2, **fields)

    async def add_token(self, operator_id: int, token: Token) -> None:
        self.records.add_token(operator_id, token)

    async def reopen(self) -> None:
        """Nothing is forgotten."""


class OnDisk:
    """The records that serve."""

    def __init__(self, url: str):
        self._url = url
        self.database: Database

    async def open(self) -> None:
        self.database = await open_database(self._url, synchronous="OFF", patience=0.5)
        self.records = await open_records(self.database, NOW)

    async def add_station(self, identity: str, operator: str = "default", **fields: Any) -> None:
        operator_id = await self.database.writer.run(admin.ensure_operator(operator))
        await self.database.writer.run(admin.put_station(operator_id, identity, fields, NOW))

    async def add_token(self, operator_id: int, token: Token) -> None:
        fields = {"type": token.type, "status": token.status, "group": token.group, "expires_at": token.expires_at}
        await self.database.writer.run(admin.put_token(operator_id, token.value, fields, NOW))

    async def reopen(self) -> None:
        await self.database.close()
        await self.open()


@pytest.fixture(autouse=True)
def _quick_opening(already_migrated: None) -> None:
    """Opening again costs no look at the migrations."""


@pytest.fixture(params=["memory", "disk", "postgres"])
async def kept(request: pytest.FixtureRequest, migrated: Path, tmp_path: Path) -> AsyncIterator[InMemory | OnDisk]:
    """Stations CS-1 and CS-2 of the default operator."""
    store: InMemory | OnDisk = InMemory()
    if request.param == "disk":
        store = OnDisk(f"sqlite:///{shutil.copy(migrated, tmp_path / 'csms.db')}")
        await store.open()
    elif request.param == "postgres":
        store = OnDisk(await cleared(request.getfixturevalue("postgres")))
        await store.open()
    await store.add_station("CS-1")
    await store.add_station("CS-2")
    yield store
    if isinstance(store, OnDisk):
        await store.database.close()


async def station(kept: InMemory | OnDisk, identity: str = "CS-1") -> Station:
    return await kept.records.station(await kept.records.known("default", identity))


async def test_station_is_known_as_it_was_put(kept):
    await kept.add_station("CS-3", password_hash=b"hash", admission="pending", strict=True)
    assert await kept.records.known("default", "CS-3") == Known(
        id=3, operator_id=1, operator="default", identity="CS-3", password_hash=b"hash", admission="pending",
        registration=None, strict=True, next_transaction=1,
    )  # fmt: skip
    hot = await station(kept, "CS-3")
    assert (hot.identity, hot.operator, hot.admission, hot.registration, hot.strict) == (
        "CS-3", "default", "pending", None, True,
    )  # fmt: skip
    assert (hot.connectors, hot.sessions, hot.next_transaction) == (None, None, 1)


async def test_unknown_station_is_none(kept):
    assert await kept.records.known("default", "nobody") is None
    assert await kept.records.known("nobody", "CS-1") is None


async def test_same_identity_of_another_operator_is_another_station(kept):
    await kept.add_station("CS-1", "other")
    ours, theirs = await asyncio.gather(kept.records.known("default", "CS-1"), kept.records.known("other", "CS-1"))
    assert (ours.id, ours.operator_id, theirs.id, theirs.operator_id) == (1, 1, 3, 2)


async def test_registration_and_counter_are_found_after_a_restart(kept):
    unit = unit_of(await station(kept), session(1), registration="accepted", booted=Boot("V", "M"), next_transaction=8)
    await kept.records.commit(unit)
    await kept.reopen()
    hot = await station(kept)
    assert (hot.registration, hot.next_transaction) == ("accepted", 8)


async def test_hot_state_has_connectors_and_open_sessions_only(kept):
    hot = await station(kept)
    faulted = free(2, status="faulted", detail="x", error_code="GroundFailure", error_info="wet", vendor_error_code="7")
    running, ended = session(1), closed(session(2), after(5), "Local")
    await kept.records.commit(unit_of(hot, running, ended, connectors=[free(1), faulted]))
    again = await station(kept)
    assert again.connectors == {(1, 1): free(1), (2, 1): faulted}
    assert again.sessions == {1: running}
    assert (await station(kept, "CS-2")).sessions is None


async def test_last_of_several_reports_of_a_connector_counts(kept):
    await kept.records.commit(unit_of(await station(kept), connectors=[free(1), free(1, status="faulted")]))
    await kept.records.commit(unit_of(await station(kept), connectors=[free(1, status="occupied")]))
    assert (await station(kept)).connectors == {(1, 1): free(1, status="occupied")}


async def test_every_field_of_a_session_is_found_again(kept):
    whole = session(
        1, incarnation=2, evse_id=3, connector_id=4, token="TaG", token_type="Central", group="G",
        authorization="accepted", started_at=after(1) + timedelta(microseconds=7), ended_at=after(9), stop_reason="Local",
        stop_token="X", phase="ended", first=Mark(BEGIN, after(1), 10.5), last=Mark(END, after(9), 99.0),
        last_digest=2**32 - 1, power_w=None, soc=55.5, seen=((0, 3), (5, 5)), start_seq=0, end_seq=5,
        remote_start_id=8, reservation_id=-1, flags=("refused", "superseded"), version="2.0.1",
    )  # fmt: skip
    await kept.records.commit(unit_of(await station(kept), whole))
    await kept.reopen()
    assert await kept.records.session_by_transaction(1, "1") == whole


async def test_changed_session_replaces_the_kept_one(kept):
    running = session(1)
    await kept.records.commit(unit_of(await station(kept), running))
    ended = closed(msgspec.structs.replace(running, token="TAG", soc=9.0), after(5), "Local")
    await kept.records.commit(unit_of(await station(kept), changed=[ended]))
    assert await kept.records.session_by_start(1, "key-1") == ended


async def test_newest_session_of_a_transaction_or_a_start_is_found(kept):
    older, newer = (
        session(5, transaction_id="T", start_key="K"),
        session(6, transaction_id="T", start_key="K", incarnation=1),
    )
    await kept.records.commit(unit_of(await station(kept), newer, older))
    assert await kept.records.session_by_transaction(1, "T") == newer
    assert await kept.records.session_by_start(1, "K") == newer


async def test_sessions_are_looked_up_within_their_station(kept):
    await kept.records.commit(unit_of(await station(kept), session(1)))
    assert await kept.records.session_by_transaction(2, "1") is None
    assert await kept.records.session_by_start(2, "key-1") is None


async def test_same_start_of_the_same_station_cannot_be_kept_twice(kept):
    """The last defence of G2, should a rule before it fail."""
    await kept.records.commit(unit_of(await station(kept), session(1, start_key="K")))
    with pytest.raises(Exception, match=r"session|UNIQUE"):
        await kept.records.commit(unit_of(await station(kept), session(2, start_key="K")))
    await kept.records.commit(unit_of(await station(kept, "CS-2"), session(3, start_key="K")))
    await kept.records.commit(unit_of(await station(kept), session(4, start_key="K", incarnation=1)))


async def test_reading_is_recognised_by_session_moment_and_values(kept):
    samples = (Sample(1.5), Sample("x", measurand="Voltage"))
    metered = Metered(1, 1, 1, [Reading(after(1), samples, register_wh=1.5)])
    await kept.records.commit(unit_of(await station(kept), session(1), metered=[metered]))
    text = msgspec.json.encode(samples)
    assert await kept.records.has_reading(1, to_us(after(1)), text) is True
    assert await kept.records.has_reading(2, to_us(after(1)), text) is False
    assert await kept.records.has_reading(1, to_us(after(2)), text) is False
    assert await kept.records.has_reading(1, to_us(after(1)), text + b" ") is False


async def test_T30_token_is_found_in_any_case_and_comes_back_as_given(kept):
    until = after(5)
    await kept.add_token(1, Token("AbC", "Central", "blocked", "G", until))
    assert await kept.records.token(1, " aBc ") == Token("AbC", "Central", "blocked", "G", until)
    assert await kept.records.token(2, "AbC") is None
    assert await kept.records.token(1, "nobody") is None


async def test_tariff_is_that_of_the_moment_and_changes_when_told(database):
    records = await open_records(database, NOW)
    north = await database.writer.run(admin.ensure_operator("north"))
    assert await records.tariff(north, NOW) is None
    for tariff in (Tariff("EUR", 1, valid_from=NOW), Tariff("EUR", 2, valid_from=after(10))):
        assert await database.writer.run(admin.add_tariff(north, tariff, NOW))
        assert not await database.writer.run(admin.add_tariff(north, tariff, NOW))
    records.tariff_changed(north)
    assert await records.tariff(north, NOW) == Tariff("EUR", 1, valid_from=NOW)
    assert (await records.tariff(north, after(11))).per_kwh == 2
    assert await records.tariff(north + 1, NOW) is None


async def test_session_ids_are_never_used_again(kept):
    ids = [kept.records.next_session_id() for _ in range(3)]
    await kept.reopen()
    ids += [kept.records.next_session_id() for _ in range(3)]
    assert len(set(ids)) == 6 and ids == sorted(ids)
    assert min(ids) > 0 and max(ids) < 2**53


async def test_commit_resolves_later_than_it_is_asked_for(kept):
    commit = kept.records.commit(unit_of(await station(kept), connectors=[free(1)]))
    assert not commit.done()
    await commit
    assert kept.records.failing is False


async def test_stations_of_a_killed_server_are_offline_at_the_next_start(migrated, tmp_path):
    store = OnDisk(f"sqlite:///{shutil.copy(migrated, tmp_path / 'csms.db')}")
    await store.open()
    await store.add_station("CS-1")
    gone = unit_of(await station(store), connection=("1.6", NOW), events=[StationConnected(at=NOW, version="1.6")])
    await store.records.commit(gone)
    connected = sa.text("SELECT connected_at FROM stations")
    async with store.database.reader.connect() as connection:
        assert (await connection.execute(connected)).scalar() == to_us(NOW)
    await store.reopen()
    async with store.database.reader.connect() as connection:
        assert (await connection.execute(connected)).scalar() is None
    await store.database.close()


async def test_look_ups_of_one_moment_share_a_query(database, station):
    records = await open_records(database, NOW)
    asked: list[str] = []
    sa.event.listen(
        database.lookups.engine, "before_cursor_execute", lambda c, u, statement, *more: asked.append(statement)
    )
    found = await asyncio.gather(*(records.known("default", f"CS-{number}") for number in range(50)))
    assert [known.identity for known in found if known] == ["CS-1"]
    assert len(asked) == 3  # Stations, their connectors, their open sessions.
    await asyncio.gather(*(records.station(found[1]) for _ in range(50)))
    assert len(asked) == 3
    await asyncio.gather(*(records.token(1, f"T{number}") for number in range(50)))
    assert len(asked) == 4


async def test_what_fits_nothing_is_kept_raw(database, station, rows):
    records = await open_records(database, NOW)
    await records.commit(unit_of(station, unmatched=[Unmatched("StopTransaction", b'{"x":"\xff"}', "unknown")]))
    (kept,) = await rows("SELECT action, reason, payload FROM unmatched")
    assert kept == ("StopTransaction", "unknown", '{"x":"\ufffd"}')


async def test_failing_is_that_of_the_writer(database, station):
    records = await open_records(database, NOW)
    assert records.failing is False
    database.writer.failing = True
    assert records.failing is True
