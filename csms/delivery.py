"""What carries committed events to those who follow them: put together, started and ended in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from prometheus_client.registry import Collector

from csms.bus.broker import BrokerUrlError
from csms.bus.mqtt import MqttOptions, MqttPublisher
from csms.bus.retention import keep_bounded
from csms.bus.signature import shown_secret
from csms.bus.state import StationStates
from csms.bus.stream import Stream, StreamOptions
from csms.bus.webhooks import Sender, WebhookDelivery, WebhookOptions
from csms.domain.credentials import Vault
from csms.metrics import MqttCounters
from csms.outbound import Outbound
from csms.settings import Settings
from csms.storage.database import Database
from csms.storage.outbox import Outbox
from csms.storage.place import StartError, is_postgres
from csms.storage.webhooks import Webhooks

_DRAIN = 2.0  # s

Work = Callable[[], Coroutine[Any, Any, None]]
Lead = Callable[[Work], Coroutine[Any, Any, None]]


class Delivery:
    """Server-sent events, on every node; MQTT, webhooks and the outbox' bounds, on one node at a time."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        outbox: Outbox,
        vault: Vault,
        clock: Callable[[], datetime],
    ):
        self._settings = settings
        self._database = database
        self._outbox = outbox
        self._vault = vault
        self._clock = clock
        poll = 0.25 if is_postgres(settings.database_url) else 5.0  # What other nodes commit wakes nobody here.
        self.stream = Stream(outbox, StreamOptions(most_readers=settings.event_readers, poll=poll))
        self.webhooks = Webhooks(database)
        self.follow = self.stream.open
        outbound = Outbound(settings.outbound_allowed)
        self.check_url = outbound.check_url
        sending = WebhookOptions(poll=poll)
        sender = Sender(outbound, vault, clock, sending)
        self.test_webhook = sender.test
        self._deliveries = WebhookDelivery(database, outbox, sender, options=sending, clock=clock)
        self.webhooks_changed = self._deliveries.changed
        self._publisher: MqttPublisher | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def webhook_secret(self, salt: bytes) -> str:
        """As it is shown, once."""
        return shown_secret(self._vault.derived(b"webhook", salt))

    async def start(self, collectors: list[Collector], lead: Lead | None = None) -> None:
        """Begin. `collectors` gets what /metrics tells of the broker. Raises StartError.

        `lead`: runs what one node does for all while that is this node; None: there is but one.
        """
        settings, outbox, lead = self._settings, self._outbox, lead or _always
        if settings.mqtt_url is None:
            await outbox.forget("mqtt")  # Else where it once was would hold up purging.
        else:
            try:
                self._publisher = MqttPublisher(
                    outbox,
                    settings.mqtt_url.get_secret_value(),
                    states=StationStates(self._database),
                    clock=self._clock,
                    options=MqttOptions(poll=self.stream.options.poll),
                )
            except BrokerUrlError as error:
                raise StartError(str(error)) from None
            collectors.append(MqttCounters(self._publisher.metrics))
            self._tasks.append(asyncio.create_task(lead(self._publisher.run), name="mqtt"))
        retention = timedelta(days=settings.event_retention_days)
        bounded = partial(keep_bounded, outbox, retention=retention, most=settings.event_most_rows, clock=self._clock)
        self._tasks.append(asyncio.create_task(lead(bounded), name="outbox-retention"))
        self._tasks.append(asyncio.create_task(lead(self._deliveries.run), name="webhooks"))

    async def stop(self) -> None:
        await self.stream.stop()
        if self._publisher is not None:
            await self._publisher.drained(_DRAIN)  # So that the stations' going offline is told.
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)


async def _always(work: Work) -> None:
    await work()
