"""Delivers events to webhooks.

Each receiver has a task and a place in the outbox of its own: one that is slow or away holds up nobody else. Its law: a
place moves on only when the receiver has taken all events up to it (2xx), so each comes at least once, in order.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, NamedTuple

import httpx
import msgspec
import structlog

from csms.bus.feed import enveloped, follow, type_of
from csms.bus.signature import signed_headers
from csms.domain.credentials import Vault
from csms.domain.events import EventFilter
from csms.domain.ports import StorageUnavailable
from csms.domain.webhooks import OPENS_AFTER, Webhook
from csms.outbound import Outbound
from csms.storage.database import Database
from csms.storage.outbox import Entry, Outbox
from csms.storage.webhooks import Progress, Webhooks, advance, change

log = structlog.get_logger()

_MOST_HOPS = 3
_MOST_ERROR = 300


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """Times in seconds."""

    most_events: int = 200  # In one request …
    most_bytes: int = 64 << 10  # … of this size.
    timeout: float = 10.0  # For each step of a request …
    within: float = 30.0  # … and for all of it.
    first_pause: float = 1.0  # After a failure, doubled with each …
    longest_pause: float = 300.0  # … up to this, and this at once when the circuit opens; half of it is jitter.
    longest_asked: float = 3600.0  # Of a receiver's own Retry-After.
    linger: float = 0.5
    poll: float = 5.0
    books_every: float = 1.0
    look_every: float = 2.0  # For changes that another node made.
    page: int = 500


class Attempt(NamedTuple):
    """How a request to a receiver went."""

    status: int | None  # None: it was not reached.
    error: str | None  # None: taken.
    retry_after: float | None = None  # s
    seconds: float = 0.0


class _Message(NamedTuple):
    """One request: its id is the same whenever the same events are sent."""

    id: str
    body: bytes
    upto: int  # The entry of the outbox behind which nothing before is missing.


class Sender:
    """Sends one signed request to a receiver."""

    def __init__(self, outbound: Outbound, vault: Vault, clock: Callable[[], datetime], options: WebhookOptions):
        self._outbound = outbound
        self._vault = vault
        self._clock = clock
        self._options = options

    async def send(self, webhook: Webhook, id: str, body: bytes) -> Attempt:
        began = monotonic()
        try:
            async with asyncio.timeout(self._options.within):
                attempt = await self._send(webhook, id, body)
        except TimeoutError:
            attempt = Attempt(None, f"no answer within {self._options.within:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            attempt = Attempt(None, f"{str(error) or type(error).__name__}"[:_MOST_ERROR])
        return attempt._replace(seconds=monotonic() - began)

    async def test(self, webhook: Webhook) -> Attempt:
        """Send an event that says nothing but that deliveries arrive."""
        now = self._clock()
        event = {"event_id": f"test-{int(now.timestamp() * 1000)}", "type": "webhook.test", "at": now}
        return await self.send(webhook, event["event_id"], msgspec.json.encode({"events": [event]}))

    async def _send(self, webhook: Webhook, id: str, body: bytes) -> Attempt:
        secret = self._vault.derived(b"webhook", webhook.salt)
        headers = signed_headers(secret, id, int(self._clock().timestamp()), body)
        headers |= {"content-type": "application/json", "user-agent": "csms"}
        url = httpx.URL(webhook.url)
        async with self._outbound.client(timeout=self._options.timeout) as http:
            for _ in range(_MOST_HOPS + 1):
                async with http.stream("POST", url, content=body, headers=headers) as response:
                    status, target = response.status_code, response.headers.get("location")
                    if status not in (307, 308) or not target:
                        return _judged(status, response.headers.get("retry-after"), self._options)
                onward = url.join(target)
                if url.scheme == "https" and onward.scheme != "https":
                    return Attempt(status, "it redirects from https to http, which would show the events")
                url = onward
        return Attempt(status, f"it redirects more than {_MOST_HOPS} times")


class WebhookDelivery:
    """Delivers to all webhooks for as long as `run` runs; on one node at a time."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        sender: Sender,
        *,
        options: WebhookOptions,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ):
        self._webhooks = Webhooks(database)
        self._writer = database.writer
        self._outbox = outbox
        self._sender = sender
        self._options = options
        self._clock = clock
        self._jitter = jitter
        self._changed = asyncio.Event()
        self._receivers: dict[int, _Receiver] = {}

    def changed(self) -> None:
        """Somebody made, changed or removed a webhook here."""
        self._changed.set()

    async def run(self) -> None:
        """Deliver until cancelled, then note how far each got. Cancel it before the database is closed."""
        books = asyncio.create_task(self._keep_books(), name="webhook-books")
        try:
            while True:
                self._changed.clear()
                try:
                    await self._look()
                except Exception:
                    log.exception("webhooks.not_read")
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._options.look_every):
                        await self._changed.wait()
        finally:
            books.cancel()
            tasks = {books, *(receiver.task for receiver in self._receivers.values())}
            for receiver in self._receivers.values():
                receiver.task.cancel()
            await asyncio.wait(tasks)
            await asyncio.shield(self._write())
            self._receivers.clear()  # It may lead again later.

    async def _look(self) -> None:
        """Begin with new webhooks, end those that are gone, and begin anew with those that were changed."""
        found = {webhook.id: webhook for webhook in await self._webhooks.enabled()}
        for id, receiver in list(self._receivers.items()):
            webhook = found.get(id)
            if webhook is None or webhook.revision != receiver.webhook.revision:
                receiver.task.cancel()
                await asyncio.wait({receiver.task})
                await self._write()
                del self._receivers[id]
        for id, webhook in found.items():
            if id not in self._receivers:
                receiver = self._receivers[id] = _Receiver(webhook)
                receiver.task = asyncio.create_task(self._serve(receiver), name=f"webhook-{id}")

    async def _serve(self, receiver: _Receiver) -> None:
        wait = receiver.webhook.next_attempt_at
        if wait is not None:  # From before a restart.
            await asyncio.sleep(max(0.0, (wait - self._clock()).total_seconds()))
        while True:
            try:
                position = await self._outbox.position(receiver.webhook.subscriber)
                position = max(position, receiver.reached or 0)
                await self._deliver(receiver, position)
            except Exception:
                log.exception("webhook.failed", webhook=receiver.webhook.id)
            await asyncio.sleep(self._options.first_pause)

    async def _deliver(self, receiver: _Receiver, position: int) -> None:
        options = self._options
        pages = follow(self._outbox, position, most=options.page, linger=options.linger, poll=options.poll)
        async for page in pages:
            for message in messages(page, receiver.webhook.wanted, options.most_events, options.most_bytes):
                await self._until_taken(receiver, message)
                receiver.reach(message.upto)
            receiver.reach(page[-1].id)

    async def _until_taken(self, receiver: _Receiver, message: _Message) -> None:
        """Send it again and again, ever more seldom, until the receiver takes it."""
        webhook = receiver.webhook
        while True:
            attempt = await self._sender.send(webhook, message.id, message.body)
            now = self._clock()
            if attempt.error is None:
                if receiver.failures:
                    log.info("webhook.recovered", webhook=webhook.id, after=receiver.failures)
                receiver.settled(attempted_at=now, delivered_at=now, failures=0, error=None, next_attempt_at=None)
                return
            failures = receiver.failures + 1
            pause = self.pause(failures, attempt.retry_after)
            receiver.settled(
                attempted_at=now, failures=failures, error=attempt.error,
                next_attempt_at=now + timedelta(seconds=pause),
            )  # fmt: skip
            if failures in (1, OPENS_AFTER):
                log.warning("webhook.not_taken", webhook=webhook.id, failures=failures, error=attempt.error,
                            remedy="see its state in /api/v1/webhooks; its events wait in the outbox")  # fmt: skip
            if attempt.status == 410:
                await self._pause_for_good(webhook)
            await asyncio.sleep(pause)

    def pause(self, failures: int, asked: float | None = None) -> float:
        """s after so many failures in a row: doubled with each, long once the circuit is open; half of it is jitter."""
        options = self._options
        longest = options.longest_pause
        pause = longest if failures >= OPENS_AFTER else min(longest, options.first_pause * 2 ** (failures - 1))
        pause *= 0.5 + 0.5 * self._jitter()
        return max(pause, min(asked, options.longest_asked)) if asked is not None else pause

    async def _pause_for_good(self, webhook: Webhook) -> None:
        """It says itself that it is gone (410): somebody has to enable it again."""
        log.warning("webhook.gone", webhook=webhook.id, remedy="enable it again when its receiver is back")
        await self._writer.run(change(webhook.id, {"enabled": False}))
        self._changed.set()

    async def _keep_books(self) -> None:
        while True:
            await asyncio.sleep(self._options.books_every)
            await self._write()

    async def _write(self) -> None:
        """Write down how far all have got, in one commit."""
        moved = [receiver for receiver in self._receivers.values() if receiver.news]
        if not moved:
            return
        progress = [receiver.progress() for receiver in moved]
        try:
            await self._writer.run(advance(progress))
        except StorageUnavailable:  # The storage says so itself; the next round tries again.
            for receiver in moved:
                receiver.news = True
        except Exception:
            log.exception("webhooks.positions_not_kept")


class _Receiver:
    """A webhook that is delivered to, and what is to be written down of it."""

    __slots__ = ("news", "reached", "state", "task", "webhook")

    def __init__(self, webhook: Webhook):
        self.webhook = webhook
        self.task: asyncio.Task[None]
        self.reached: int | None = None
        self.state: dict[str, Any] = {"failures": webhook.failures}
        self.news = False

    @property
    def failures(self) -> int:
        return self.state["failures"]

    def reach(self, position: int) -> None:
        self.reached = position
        self.news = True

    def settled(self, **state: Any) -> None:
        self.state.update(state)
        self.news = True

    def progress(self) -> Progress:
        self.news = False
        return Progress(self.webhook.id, self.webhook.revision, self.reached, dict(self.state))


def messages(page: list[Entry], wanted: EventFilter, most_events: int, most_bytes: int) -> Iterator[_Message]:
    """The wanted events of a page as requests; an event larger than `most_bytes` goes alone."""
    waiting: list[bytes] = []
    ids: list[str] = []
    size = 0
    before = page[0].id - 1
    for entry in page:
        for number, (raw, event) in enumerate(zip(entry.events, enveloped(entry), strict=True)):
            if not wanted.wants(entry.operator, entry.station, type_of(raw)):
                continue
            if waiting and (len(waiting) == most_events or size + len(event) > most_bytes):
                yield _Message(_named(ids), _body(waiting), before)
                waiting, ids, size = [], [], 0
            waiting.append(event)
            ids.append(f"{entry.id}-{number}")
            size += len(event) + 1
        before = entry.id
    if waiting:
        yield _Message(_named(ids), _body(waiting), before)


def _named(ids: list[str]) -> str:
    return ids[0] if len(ids) == 1 else f"{ids[0]}_{ids[-1]}"


def _body(events: list[bytes]) -> bytes:
    return b'{"events":[%b]}' % b",".join(events)


def _judged(status: int, retry_after: str | None, options: WebhookOptions) -> Attempt:
    if 200 <= status < 300:
        return Attempt(status, None)
    asked = float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None
    return Attempt(status, f"it answered {status}", None if asked is None else min(asked, options.longest_asked))
