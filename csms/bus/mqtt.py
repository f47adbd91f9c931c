"""Publishes every event, and the latest state of each station, to an MQTT broker.

Its law: a position is confirmed only when the broker has acknowledged every event up to it. Whatever happens
to the broker, nothing but this publisher waits for it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import NamedTuple

import msgspec
import structlog
from aiomqtt import MqttError

from csms.bus.broker import BrokerAddress, BrokerClient, PublishRefused, conversation
from csms.bus.feed import follow
from csms.bus.packing import Packed, packed
from csms.bus.state import Changed, StationStates
from csms.bus.topics import events_topic, state_topic
from csms.domain.ports import StorageUnavailable
from csms.storage.outbox import Outbox

log = structlog.get_logger()

_json = msgspec.json.Encoder().encode
_REFUSED = "allow this user to write to csms/v1/# in the broker's access list, or raise its quota"
_UNREACHABLE = "start the broker, or correct CSMS_MQTT_URL; events wait in the outbox"


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """How the publisher behaves; times in seconds."""

    name: str = "mqtt"  # Among the outbox' subscribers.
    most_events: int = 500  # In one message …
    most_bytes: int = 64 << 10  # … of this size.
    window: int = 4  # Messages the broker has not answered: 256 KiB bound what a slow one costs us.
    patience: float = 30.0  # For the answer to a publish.
    linger: float = 0.05
    poll: float = 5.0  # For what others than this process stored.
    first_pause: float = 0.5  # Before the second attempt to connect, with full jitter; doubled …
    longest_pause: float = 30.0  # … up to this; what held longer was a good connection.
    confirm_every: float = 1.0  # A crash repeats this much; each confirmation costs the writer a commit.
    states: bool = True
    state_every: float = 1.0
    states_at_once: int = 500  # A publish costs 0.2 ms, so this is a tenth of a core.
    states_waiting: int = 10_000
    retain_states: bool = False


@dataclass(slots=True)
class MqttMetrics:
    """What /metrics tells of the publisher."""

    connected: bool = False
    connections: int = 0
    events: int = 0  # Acknowledged by the broker, repeats included.
    messages: int = 0
    states: int = 0
    states_dropped: int = 0
    lag: int = 0  # Outbox rows the broker has not acknowledged yet.


class MqttPublisher:
    """Delivers the outbox to one broker for as long as `run` runs."""

    def __init__(
        self,
        outbox: Outbox,
        url: str,
        *,
        states: StationStates,
        options: MqttOptions | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ):
        """BrokerUrlError when the URL names no broker."""
        self.metrics = MqttMetrics()
        self._outbox = outbox
        self._address = BrokerAddress.parse(url)
        self._states = states
        self._options = options or MqttOptions()
        self._clock = clock
        self._jitter = jitter
        # One name for all our connections: the broker ends the old one, with what it holds, for the new one.
        self._identifier = f"csms-{secrets.token_hex(6)}"
        self._changed = Changed(self._options.states_waiting)
        self._acknowledged: int | None = None  # Null until the outbox has told where we were.
        self._confirmed: int | None = None
        self._complaint = ""

    async def run(self) -> None:
        """Deliver until cancelled, then note how far we got. Cancel it before the database is closed."""
        self._acknowledged = self._confirmed = None  # Another node may have gone on from where we were.
        books = asyncio.create_task(self._keep_books(), name="mqtt-books")
        try:
            await self._deliver()
        finally:
            books.cancel()
            await asyncio.wait({books})
            await asyncio.shield(self._confirm())

    async def drained(self, within: float) -> None:
        """Wait until the broker has everything, `within` s at most; what is left waits in the outbox."""
        until = monotonic() + within
        await self._confirm()
        while self.metrics.lag and self.metrics.connected and monotonic() < until:
            await asyncio.sleep(0.02)
            await self._confirm()

    async def _deliver(self) -> None:
        failures = 0
        while True:
            began = monotonic()
            try:
                await self._converse()
            except Exception as error:
                if monotonic() - began > self._options.longest_pause:  # It was well for a while.
                    failures, self._complaint = 0, ""
                self._complain(_first(error))
            await asyncio.sleep(self._pause(failures))
            failures += 1

    def _pause(self, failures: int) -> float:
        """Full jitter: many servers that lost one broker do not come back together."""
        longest = min(self._options.longest_pause, self._options.first_pause * 2 ** min(failures, 16))
        return longest * self._jitter()

    def _complain(self, error: BaseException) -> None:
        """Say what is wrong once, not with every attempt."""
        complaint = str(error) or type(error).__name__
        if not isinstance(error, MqttError | OSError):
            log.error("mqtt.failed", exc_info=error)
        elif complaint != self._complaint:
            remedy = _REFUSED if isinstance(error, PublishRefused) else _UNREACHABLE
            log.warning("mqtt.down", broker=str(self._address), error=complaint, remedy=remedy)
        self._complaint = complaint

    async def _converse(self) -> None:
        """One connection, from hello to its end."""
        if self._acknowledged is None:
            self._acknowledged = await self._outbox.position(self._options.name)
        async with conversation(self._address, self._identifier, self._options.patience) as client:
            self._greet()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(client.watch(), name="mqtt-watch")
                    if self._options.states:
                        group.create_task(self._publish_states(client), name="mqtt-states")
                    await self._publish_events(client, group)
            finally:
                self.metrics.connected = False

    def _greet(self) -> None:
        self.metrics.connected = True
        self.metrics.connections += 1
        log.info("mqtt.connected", broker=str(self._address), position=self._acknowledged)

    async def _publish_events(self, client: BrokerClient, group: asyncio.TaskGroup) -> None:
        """Send in order, several under way: tasks start in the order they were made."""
        window = asyncio.Semaphore(self._options.window)
        sent: deque[_Sent] = deque()
        async for page in follow(
            self._outbox, self._acknowledged, linger=self._options.linger, poll=self._options.poll
        ):
            self._changed.note(page)
            for message in packed(page, self._options.most_events, self._options.most_bytes):
                await window.acquire()
                task = group.create_task(self._publish(client, message), name="mqtt-publish")
                sent.append(_Sent(task, message))
                task.add_done_callback(lambda _: self._settle(sent, window))

    @staticmethod
    async def _publish(client: BrokerClient, message: Packed) -> None:
        await client.publish(events_topic(message.operator), message.payload, qos=1)

    def _settle(self, sent: deque[_Sent], window: asyncio.Semaphore) -> None:
        """Count what has arrived, in the order of sending: nothing before all that went ahead of it."""
        while sent and _arrived(sent[0].task):
            message = sent.popleft().message
            window.release()
            self.metrics.messages += 1
            self.metrics.events += message.events
            if message.upto is not None:
                self._acknowledged = message.upto
                self._complaint = ""

    async def _publish_states(self, client: BrokerClient) -> None:
        options = self._options
        while True:
            await asyncio.sleep(options.state_every)
            self.metrics.states_dropped = self._changed.dropped
            keys = self._changed.take(options.states_at_once)
            if not keys:
                continue
            for state in await self._states.of(keys, self._clock()):
                topic = state_topic(state.operator, state.station)
                await client.publish(topic, _json(state), qos=0, retain=options.retain_states)
                self.metrics.states += 1

    async def _keep_books(self) -> None:
        """Write down how far the broker has got; not at every answer."""
        while True:
            await asyncio.sleep(self._options.confirm_every)
            await self._confirm()

    async def _confirm(self) -> None:
        position = self._acknowledged
        if position is None:
            return
        try:
            if position != self._confirmed:
                await self._outbox.confirm(self._options.name, position)
                self._confirmed = position
            self.metrics.lag = max(0, await self._outbox.newest() - position)
        except StorageUnavailable:
            pass  # The storage says so itself; the next round tries again.
        except Exception:
            log.exception("mqtt.position_not_kept")


class _Sent(NamedTuple):
    task: asyncio.Task[None]
    message: Packed


def _arrived(publish: asyncio.Task[None]) -> bool:
    return publish.done() and not publish.cancelled() and publish.exception() is None


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
