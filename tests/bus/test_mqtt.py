"""The publisher without a broker: patience, discretion, an orderly end. With one: see tests/live."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from csms.bus.broker import BrokerUrlError
from csms.bus.mqtt import MqttOptions, MqttPublisher
from csms.bus.state import StationStates
from csms.domain.ports import StorageUnavailable
from csms.storage.database import Database
from csms.storage.outbox import Outbox
from csms.storage.tables import subscribers

QUICK = MqttOptions(first_pause=0.01, longest_pause=0.02, confirm_every=0.01)


@pytest.fixture
def nowhere() -> Iterator[str]:
    """Where connections are refused: a port that is bound but does not listen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"mqtt://csms:sesame@127.0.0.1:{bound.getsockname()[1]}"


def publisher_of(database: Database, url: str, outbox: Outbox | None = None, **more: Any) -> MqttPublisher:
    options = more.pop("options", QUICK)
    return MqttPublisher(outbox or Outbox(database), url, states=StationStates(database), options=options, **more)


async def run_until(publisher: MqttPublisher, condition: Callable[[], Any]) -> list[Any]:
    """Run it until then; what it logged."""
    with capture_logs() as lines:
        task = asyncio.create_task(publisher.run())
        async with asyncio.timeout(5):
            while not condition():
                assert not task.done()
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled()
    return lines


async def test_absent_broker_is_told_once_with_the_remedy_and_without_the_password(
    database: Database, nowhere: str
) -> None:
    pauses: list[float] = []

    def jitter() -> float:
        pauses.append(1.0)
        return 1.0

    lines = await run_until(publisher_of(database, nowhere, jitter=jitter), lambda: len(pauses) > 4)
    [line] = lines
    assert line["event"] == "mqtt.down"
    assert "refused" in line["error"]
    assert line["remedy"]
    assert "sesame" not in str(lines)


async def test_pauses_double_up_to_the_longest_and_are_jittered(database: Database, nowhere: str) -> None:
    options = MqttOptions(first_pause=0.5, longest_pause=30)
    publisher = publisher_of(database, nowhere, options=options, jitter=lambda: 0.5)
    assert [publisher._pause(failures) for failures in range(8)] == [0.25, 0.5, 1, 2, 4, 8, 15, 15]
    assert publisher._pause(10_000) == 15


async def test_subscriber_joins_before_it_ever_met_its_broker(database: Database, nowhere: str) -> None:
    """So that its events are kept for it."""
    publisher = publisher_of(database, nowhere)
    await run_until(publisher, lambda: publisher._confirmed == 0)
    async with database.reader.connect() as connection:
        assert [tuple(row) for row in await connection.execute(sa.select(subscribers))] == [("mqtt", 0)]


async def test_unreadable_storage_does_not_end_it(database: Database, nowhere: str) -> None:
    class Unreadable(Outbox):
        asked = 0

        async def position(self, name: str) -> int:
            self.asked += 1
            raise RuntimeError("cannot read")

    outbox = Unreadable(database)
    lines = await run_until(publisher_of(database, nowhere, outbox), lambda: outbox.asked > 3)
    assert {line["event"] for line in lines} == {"mqtt.failed"}


async def test_position_that_cannot_be_kept_is_tried_again(database: Database, nowhere: str) -> None:
    class Failing(Outbox):
        asked = 0

        async def confirm(self, name: str, position: int) -> None:
            self.asked += 1
            if self.asked < 4:
                raise [StorageUnavailable("full"), ValueError("odd")][self.asked % 2]
            await super().confirm(name, position)

    outbox = Failing(database)
    publisher = publisher_of(database, nowhere, outbox)
    lines = await run_until(publisher, lambda: publisher._confirmed == 0)
    assert [line["event"] for line in lines].count("mqtt.position_not_kept") == 2


async def test_draining_without_a_broker_does_not_wait(database: Database, nowhere: str) -> None:
    began = monotonic()
    await publisher_of(database, nowhere).drained(within=60)
    assert monotonic() - began < 5


async def test_url_that_names_no_broker_is_refused_at_once(database: Database) -> None:
    with pytest.raises(BrokerUrlError):
        publisher_of(database, "http://broker")
