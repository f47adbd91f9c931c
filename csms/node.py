"""Makes this process one node of many, where data is kept in PostgreSQL: membership, routes to the others, and news."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from csms.bus.broker import BrokerUrlError
from csms.bus.node_bus import NodeBus
from csms.cluster.desk import Desk
from csms.cluster.membership import Membership
from csms.cluster.routing import Routes
from csms.domain.credentials import Vault
from csms.gateway.server import Gateway
from csms.settings import Settings
from csms.storage.commands import CommandLog
from csms.storage.database import Database
from csms.storage.nodes import Changed, Nodes
from csms.storage.place import StartError, is_postgres
from csms.storage.records import Records
from csms.web.services import Services

log = structlog.get_logger()


class News(msgspec.Struct, frozen=True, omit_defaults=True):
    """What other nodes should look at again: a token, an operator's tariffs, a station's certificate that was revoked,
    or (nothing named) stations."""

    operator: int | None = None
    token: str | None = None
    station: int | None = None
    revoked: str | None = None  # Serial number.


class Node:
    """This process among the others. Without a broker news arrive within seconds all the same: each node looks."""

    def __init__(self, settings: Settings, database: Database, records: Records, gateway: Gateway, vault: Vault):
        self._database = database
        self._records = records
        self._gateway = gateway
        nodes = Nodes(database)
        self.membership = Membership(
            nodes, f"{socket.gethostname()}:{os.getpid()}", follow=self._follow, let_go=gateway.let_all_go,
            changed=self._changed, clock=lambda: datetime.now(UTC), patience=settings.storage_patience,
        )  # fmt: skip
        self.membership.on_taken = lambda station_id, former: self.tell(News())
        records.claim_stations = self.membership.claim
        self.log = CommandLog(database, self.number)
        self._bus = self._bus_of(settings, vault)
        if self._bus is None:
            self.membership.on_others = _unrouted
        self.routes = Routes(nodes, self.log, self.number, self._bus, lambda: self.membership.left)
        self._desk: Desk | None = None
        self._revoke: Callable[[int, str], Awaitable[None]]
        self._tasks: set[asyncio.Task[None]] = set()

    def number(self) -> int | None:
        return self.membership.id

    def serve(self, desk: Desk, services: Services) -> None:
        """Let commands of this desk reach other nodes' stations, and those of others ours; tell others of changes here."""
        self._desk, desk.routes = desk, self.routes
        services.bulk.leads = lambda: self.membership.leads
        services.station_changed = self._told(services.station_changed, lambda *_: News())
        services.tariff_changed = self._told(services.tariff_changed, lambda operator: News(operator))
        services.token_changed = self._told(services.token_changed, News)
        self._revoke = services.certificate_revoked
        services.certificate_revoked = self._revoked

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[None]:
        """A node for as long as this lasts; then its stations are marked away."""
        await self.membership.join()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.membership.leave)
            await stack.enter_async_context(_running(self.membership.run(), "membership"))
            if self._bus is not None:
                await stack.enter_async_context(_running(self._bus.run(), "node-bus"))
            yield

    def _told(self, change: Callable[..., None], news: Callable[..., News]) -> Callable[..., None]:
        """The same, told to the other nodes as well."""

        def changed(*arguments: Any) -> None:
            change(*arguments)
            self.tell(news(*arguments))

        return changed

    async def _revoked(self, station: int, serial: str) -> None:
        await self._revoke(station, serial)
        self.tell(News(station=station, revoked=serial))

    def tell(self, news: News) -> None:
        if self._bus is not None:
            self._bus.tell(msgspec.msgpack.encode(news))

    def _bus_of(self, settings: Settings, vault: Vault) -> NodeBus | None:
        if settings.mqtt_url is None:
            return None
        url, key = settings.mqtt_url.get_secret_value(), vault.derived(b"node-bus", b"")
        try:
            return NodeBus(url, key, self.number, self._answer, self._heard, joined=self.membership.look)
        except BrokerUrlError as error:
            raise StartError(str(error)) from None

    async def _answer(self, request: bytes) -> bytes:
        return b"" if self._desk is None else await self.routes.answer(request, self._desk.carry_for)

    def _heard(self, news: bytes) -> None:
        told = msgspec.msgpack.decode(news, type=News)
        if told.station is not None and told.revoked is not None:
            task = asyncio.create_task(self._revoke(told.station, told.revoked), name="revoked")
            self._tasks.add(task)
            task.add_done_callback(self._forget)
        elif told.operator is None:
            self.membership.look()
        elif told.token is not None:
            self._records.token_changed(told.operator, told.token)
        else:
            self._records.tariff_changed(told.operator)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:  # It is looked at again every few minutes.
            log.error("certificate.revocation_not_taken", error=str(task.exception()))

    def _follow(self, number: int) -> None:
        self._database.writer.node = number

    def _changed(self, change: Changed) -> None:
        station = self._gateway.stations.get(change.station_id)
        if station is not None and station.epoch < change.epoch:
            self._gateway.let_go(station)
        elif station is not None and station.epoch == change.epoch:
            self._gateway.station_changed(change.station_id, {"admission": change.admission, "strict": change.strict})


def node_of(settings: Settings, database: Database, records: Records, gateway: Gateway, vault: Vault) -> Node | None:
    """This process as a node, which `joined` begins; None where a file holds the data of one process."""
    return Node(settings, database, records, gateway, vault) if is_postgres(settings.database_url) else None


@asynccontextmanager
async def _running(work: Any, name: str) -> AsyncIterator[None]:
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def _unrouted(others: int) -> None:
    """Several nodes, and no broker between them."""
    if others:
        log.warning(
            "node.no_broker", others=others,
            remedy="set CSMS_MQTT_URL on every node: without a broker commands do not reach the stations of other nodes, "
            "and changes made on one are seen by the others after seconds, revoked certificates after minutes",
        )  # fmt: skip
