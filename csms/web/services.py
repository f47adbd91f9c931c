"""What the API works with; put together by the composition root."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa
from starlette.requests import Request

from csms.cluster.bulk import Bulk
from csms.cluster.desk import Desk
from csms.cluster.neutral import Neutral
from csms.domain.credentials import Vault
from csms.domain.events import EventFilter
from csms.domain.sessions import Session
from csms.domain.stations import Station
from csms.domain.trail import Exchange
from csms.domain.webhooks import Webhook
from csms.storage import admin
from csms.storage.accounts import Bearer, find_bearer
from csms.storage.bulk import BulkLog
from csms.storage.commands import CommandLog
from csms.storage.database import Database
from csms.storage.queries import Queries
from csms.storage.webhooks import Webhooks
from csms.web import audit
from csms.web.passwords import Guesses, Passwords
from csms.web.siblings import ALONE, Siblings


class Attempt(Protocol):
    """How a request to a webhook went. `status` None: it was not reached; `error` None: taken."""

    status: int | None
    error: str | None
    seconds: float


class Delivery(Protocol):
    """What carries events to those who follow them."""

    webhooks: Webhooks

    async def follow(
        self, wanted: EventFilter, after: str | None, abort: Callable[[], None] | None
    ) -> AsyncIterator[bytes]:
        """Server-sent events behind an event_id; `abort` ends the connection of a reader that is too slow.

        ValueError for an id that is none, RuntimeError when events cannot be followed.
        """

    def webhooks_changed(self) -> None: ...
    def webhook_secret(self, salt: bytes) -> str: ...
    async def test_webhook(self, webhook: Webhook) -> Attempt: ...
    def check_url(self, url: str) -> None: ...  # ValueError for one that must not be called


class Trail(Protocol):
    """The latest messages of the stations of this node."""

    def of(self, station_id: int, *, before: int | None = None, action: str | None = None) -> Iterator[Exchange]: ...
    def trace(self, station_id: int, until: float) -> None: ...  # s since 1970; TooManyTraces
    def traced_until(self, station_id: int) -> float | None: ...


@dataclass
class Services:
    database: Database
    queries: Queries
    commands: CommandLog
    desk: Desk
    neutral: Neutral
    bulk: Bulk
    bulk_log: BulkLog
    vault: Vault
    clock: Callable[[], datetime]
    next_id: Callable[[], int]
    ready: Callable[[], str | None]  # None, or why no station should be sent here.
    metrics: Callable[[], bytes]
    station_changed: Callable[[int, dict[str, Any]], None]  # (station number, changed columns)
    tariff_changed: Callable[[int], None]  # (operator id)
    token_changed: Callable[[int, str], None]  # (operator id, value)
    delivery: Delivery
    trail: Trail
    close_session: Callable[[Station, Session], Awaitable[bool]]  # By hand; False: not now.
    certificate_revoked: Callable[[int, str], Awaitable[None]]  # (station number, serial number)
    siblings: Siblings = ALONE  # The other workers of this machine.
    passwords: Passwords = field(default_factory=Passwords)
    guesses: Guesses = field(default_factory=Guesses)

    def write(
        self, job: Callable[[sa.Connection], Any], done: Callable[[Any], bool] = lambda result: True
    ) -> Awaitable[Any]:
        """Run `job` in a transaction, which the audit log's entry of the request shares.

        `done`: whether a result of the job means that it changed what it was to change; else the answer is a refusal.
        """
        return self.database.writer.run(audit.with_entry(job, self.clock(), done))

    def operator_id(self, name: str) -> Awaitable[int]:
        """The number of an operator, which is there from now on: before the change that the request is about."""
        return self.database.writer.run(admin.ensure_operator(name))

    async def bearer(self, secret: str) -> Bearer | None:
        """Whose API key or login this is; None for one nobody gave out, and for one that holds no longer."""
        look = find_bearer(self.vault.key_hash(secret), self.clock())
        async with self.database.reader.connect() as connection:
            return await connection.run_sync(look)


def services_of(request: Request) -> Services:
    return request.app.state.services
