"""Events and states through a real broker, whatever happens to it (D8, D9, G8)."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from structlog.testing import capture_logs

from csms.bus.mqtt import MqttOptions, MqttPublisher
from csms.bus.state import StationStates
from csms.domain.events import SessionMetered
from csms.domain.ports import StorageUnavailable
from csms.domain.stations import Connector, Station
from csms.domain.unit import Unit
from csms.storage import admin
from csms.storage.database import Database
from csms.storage.outbox import Outbox
from csms.storage.records import Records, open_records
from tests.conftest import NOW
from tests.live.broker import Broker, Listener, MissingTool, first_seen

pytestmark = pytest.mark.live

QUICK = MqttOptions(first_pause=0.05, longest_pause=0.2, patience=2.0, linger=0.005, confirm_every=0.05,
                    state_every=0.05)  # fmt: skip


@asynccontextmanager
async def publishing(
    database: Database, url: str, options: MqttOptions = QUICK, outbox: Outbox | None = None
) -> AsyncIterator[MqttPublisher]:
    outbox = outbox or Outbox(database)
    publisher = MqttPublisher(outbox, url, states=StationStates(database), options=options)
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher
        assert not task.done(), "nothing ends a publisher but its owner"
    finally:
        task.cancel()
        await asyncio.wait({task})


class Load:
    """Stations at work: each commits numbered events, one unit after the other."""

    def __init__(self, records: Records, stations: list[Station]):
        self.records = records
        self.stations = stations
        self.told = dict.fromkeys((station.identity for station in stations), 0)
        self.slowest = 0.0
        self._stop = False

    async def run(self, units: int | None = None) -> None:
        """Until as many units of each station are committed, or `stop`."""
        self._stop = False
        await asyncio.gather(*(self._work(station, units) for station in self.stations))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.run())
        try:
            yield
        finally:
            self._stop = True
            await task

    async def _work(self, station: Station, units: int | None) -> None:
        done = 0
        while done != units and not self._stop:
            unit = Unit(station, NOW)
            first = self.told[station.identity]
            unit.events += [SessionMetered(at=NOW, session=7, energy_wh=first + n) for n in range(1, 3)]
            began = monotonic()
            await self.records.commit(unit)
            self.slowest = max(self.slowest, monotonic() - began)
            self.told[station.identity] += len(unit.events)
            done += 1
            await asyncio.sleep(0.002)

    def arrived(self, events: list[dict[str, Any]]) -> bool:
        return len({event["event_id"] for event in events}) >= sum(self.told.values())

    def assert_complete(self, events: list[dict[str, Any]]) -> None:
        """Every event of every station, in the station's order, each with an id of its own that rises."""
        seen = first_seen(events)
        for identity, told in self.told.items():
            assert [event["energy_wh"] for event in seen[identity]] == list(range(1, told + 1))
            places = [tuple(map(int, event["event_id"].split("-"))) for event in seen[identity]]
            assert all(before < after for before, after in pairwise(places))


@pytest.fixture
async def load(database: Database) -> Load:
    return Load(await open_records(database, NOW), [Station(n, 1, "default", f"CS-{n}") for n in range(1, 9)])


async def test_every_event_arrives_in_order(database: Database, broker: Broker, listener: Listener, load: Load) -> None:
    outbox = Outbox(database)
    async with publishing(database, broker.url, outbox=outbox) as publisher:
        await load.run(units=50)
        await listener.until(lambda: load.arrived(listener.events()))
        load.assert_complete(listener.events())
        assert len(listener.events()) == 800, "without trouble, no repeats"
        await listener.until(lambda: publisher.metrics.lag == 0 and publisher.metrics.events == 800)
    assert await outbox.position("mqtt") == await outbox.newest() == 400


async def test_broker_killed_and_restarted_under_load_loses_nothing(
    database: Database, broker: Broker, listener: Listener, load: Load
) -> None:
    small = replace(QUICK, most_events=5)  # Many messages, so that each kill finds some under way.
    async with publishing(database, broker.url, small) as publisher, load.running():
        for kills in range(1, 4):
            before = len(listener.events())
            await listener.until(lambda before=before: len(listener.events()) > before + 200)
            broker.kill()
            await asyncio.sleep(0.2)
            broker.start()
            await listener.until(lambda kills=kills: publisher.metrics.connections > kills)
            await listener.until(listener.subscribed.is_set)
    async with publishing(database, broker.url):
        await listener.until(lambda: load.arrived(listener.events()))
    load.assert_complete(listener.events())
    assert load.slowest < 1.0, "stations do not wait for a broker"


async def test_broker_that_stalls_holds_up_nothing_else(
    database: Database, broker: Broker, listener: Listener, load: Load
) -> None:
    async with publishing(database, broker.url) as publisher, load.running():
        await listener.until(lambda: len(listener.events()) > 200)
        broker.stall()
        await listener.until(lambda: not publisher.metrics.connected)
        broker.resume()
        await listener.until(lambda: publisher.metrics.connected)
        await asyncio.sleep(0.2)
    async with publishing(database, broker.url):
        await listener.until(lambda: load.arrived(listener.events()))
    load.assert_complete(listener.events())
    assert load.slowest < 1.0


async def test_broker_that_stalls_does_not_hold_up_the_end(database: Database, broker: Broker, load: Load) -> None:
    async with publishing(database, broker.url) as publisher:
        await load.run(units=5)
        while not publisher.metrics.connected:
            await asyncio.sleep(0.01)
        broker.stall()
        await load.run(units=5)
        began = monotonic()
    assert monotonic() - began < 4


async def test_events_wait_for_a_broker_that_is_absent_at_the_start(
    database: Database, new_broker: Broker, load: Load
) -> None:
    listener = Listener(new_broker)
    with capture_logs() as lines:
        async with publishing(database, new_broker.url) as publisher:
            await load.run(units=20)
            assert not publisher.metrics.connected
            new_broker.start()
            await listener.start()
            # What a broker is given before anyone subscribes, it throws away: these are the ones that follow.
            await load.run(units=20)
            last = {station: told for station, told in load.told.items()}
            await listener.until(lambda: {e["station"]: e["energy_wh"] for e in listener.events()} == last)
            await listener.until(lambda: publisher.metrics.lag == 0)
    assert publisher.metrics.events == sum(load.told.values())
    [line] = [line for line in lines if line["event"] == "mqtt.down"]
    assert line["broker"] == f"127.0.0.1:{new_broker.port}"
    assert line["remedy"]
    await listener.stop()
    new_broker.kill()


class Forgetful(Outbox):
    """As if the server were killed before any confirmation."""

    async def confirm(self, name: str, position: int) -> None:
        raise StorageUnavailable("killed")


async def test_server_killed_between_publish_and_confirm_publishes_again_with_the_same_ids(
    database: Database, broker: Broker, listener: Listener, load: Load
) -> None:
    async with publishing(database, broker.url, outbox=Forgetful(database)):
        await load.run(units=10)
        await listener.until(lambda: load.arrived(listener.events()))
    once = listener.events()
    async with publishing(database, broker.url):
        await load.run(units=5)
        await listener.until(lambda: len(listener.events()) == len(once) + sum(load.told.values()))
    load.assert_complete(listener.events())
    assert listener.events()[len(once) :][: len(once)] == once


async def test_publisher_goes_on_where_it_was(
    database: Database, broker: Broker, listener: Listener, load: Load
) -> None:
    for _ in range(2):
        async with publishing(database, broker.url):
            await load.run(units=10)
            await listener.until(lambda: load.arrived(listener.events()))
    load.assert_complete(listener.events())
    assert len(listener.events()) == sum(load.told.values())


async def test_drained_publisher_has_delivered_everything(
    database: Database, broker: Broker, listener: Listener, load: Load
) -> None:
    async with publishing(database, broker.url) as publisher:
        await listener.until(lambda: publisher.metrics.connected)
        await load.run(units=20)
        await publisher.drained(within=10)
    await listener.until(lambda: load.arrived(listener.events()))
    load.assert_complete(listener.events())


async def test_each_operator_has_its_own_topic(database: Database, broker: Broker, listener: Listener) -> None:
    records = await open_records(database, NOW)
    loads = [Load(records, [Station(1, n, operator, "CS-1")]) for n, operator in enumerate(("A/S", "Büro"))]
    async with publishing(database, broker.url):
        await asyncio.gather(*(load.run(units=10) for load in loads))
        await listener.until(lambda: len(listener.events("A%2FS")) == len(listener.events("Büro")) == 20)
    for load, topic, operator in zip(loads, ("A%2FS", "Büro"), ("A/S", "Büro"), strict=True):
        load.assert_complete(listener.events(topic))
        assert {event["operator"] for event in listener.events(topic)} == {operator}


NAMES = ["a/b", "a+b", "#1", "100%", "Säule 1", "$SYS", "Ω☃"]


async def register(database: Database, identities: list[str]) -> list[Station]:
    """Stations that are connected, with a free connector each."""
    operator_id = await database.writer.run(admin.ensure_operator("default"))
    rows = [(identity, {}) for identity in identities]
    await database.writer.run(admin.put_stations(operator_id, rows, NOW))
    stations = [Station(n, operator_id, "default", identity) for n, identity in enumerate(identities, 1)]
    for station in stations:
        unit = Unit(station, NOW)
        unit.connection = ("1.6", NOW)
        unit.connectors = [Connector(1, 1, "available", NOW)]
        await database.writer.commit(unit)
    return stations


async def test_station_names_of_any_kind_have_a_state_of_their_own(
    database: Database, broker: Broker, listener: Listener
) -> None:
    stations = await register(database, NAMES)
    load = Load(await open_records(database, NOW), stations)
    async with publishing(database, broker.url):
        await load.run(units=3)
        await listener.until(lambda: load.arrived(listener.events()) and len(listener.states()) == len(NAMES))
    load.assert_complete(listener.events())
    assert {state["station"] for state in listener.states().values()} == set(NAMES)
    assert "csms/v1/default/stations/a%2Fb/state" in listener.states()
    assert "csms/v1/default/stations/%231/state" in listener.states()


async def test_state_is_coalesced_and_ends_with_the_latest(
    database: Database, broker: Broker, listener: Listener
) -> None:
    [station] = await register(database, ["CS-1"])
    load = Load(await open_records(database, NOW), [station])
    async with publishing(database, broker.url) as publisher:
        await load.run(units=100)
        unit = Unit(station, NOW)
        unit.connectors = [Connector(1, 1, "faulted", NOW)]
        unit.events.append(SessionMetered(at=NOW, session=7, energy_wh=0))
        await load.records.commit(unit)
        topic = "csms/v1/default/stations/CS-1/state"
        await listener.until(
            lambda: listener.states().get(topic, {}).get("connectors", [{}])[0].get("status") == "faulted"
        )
        assert 1 <= publisher.metrics.states < 50
    assert listener.retained == []


async def test_retained_states_are_there_for_who_comes_later(database: Database, broker: Broker) -> None:
    [station] = await register(database, ["CS-1"])
    load = Load(await open_records(database, NOW), [station])
    options = MqttOptions(state_every=0.02, retain_states=True)
    async with publishing(database, broker.url, options) as publisher:
        await load.run(units=1)
        while not publisher.metrics.states:
            await asyncio.sleep(0.01)
    late = Listener(broker)
    await late.start()
    await late.until(lambda: late.retained == ["csms/v1/default/stations/CS-1/state"])
    await late.stop()


async def test_refused_publish_is_not_taken_for_delivered(
    database: Database, broker: Broker, listener: Listener, load: Load
) -> None:
    broker.kill()
    broker.deny_writing(True)
    broker.start()
    with capture_logs() as lines:
        async with publishing(database, broker.url) as publisher:
            await load.run(units=5)
            await listener.until(lambda: publisher.metrics.connections >= 3)
            assert publisher.metrics.events == 0
            broker.kill()
            broker.deny_writing(False)
            broker.start()
            await listener.until(lambda: load.arrived(listener.events()))
    load.assert_complete(listener.events())
    refusal = next(line for line in lines if "refused: Not authorized" in str(line.get("error")))
    assert "access list" in refusal["remedy"]


async def test_wrong_password_is_told_once_and_never_shown(database: Database, broker: Broker) -> None:
    with capture_logs() as lines:
        async with publishing(database, f"mqtt://csms:sesame@127.0.0.1:{broker.port}") as publisher:
            await asyncio.sleep(1)
            assert publisher.metrics.connections == 0
    [line] = [line for line in lines if line["event"] == "mqtt.down"]
    assert "Not authorized" in line["error"]
    assert "sesame" not in str(lines) + repr(publisher) + str(vars(publisher))


@pytest.fixture
def tls_broker(tmp_path: Path) -> Iterator[Broker]:
    try:
        broker = Broker(tmp_path, tls=True)
    except MissingTool as missing:
        pytest.fail(str(missing), pytrace=False)
    broker.start()
    yield broker
    broker.kill()


# The socket of a failed handshake is left to the garbage collector by paho.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_mqtts_is_verified_and_carries_events(
    database: Database, tls_broker: Broker, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    await load.run(units=5)
    with capture_logs() as lines:
        async with publishing(database, tls_broker.url) as publisher:
            await asyncio.sleep(0.5)
            assert publisher.metrics.connections == 0
    assert any("certificate verify failed" in str(line.get("error")) for line in lines)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_broker.certificate))
    async with publishing(database, tls_broker.url) as publisher:
        async with asyncio.timeout(10):
            while publisher.metrics.events != sum(load.told.values()):
                await asyncio.sleep(0.01)
    gc.collect()
