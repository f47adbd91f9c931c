"""Who changed what: an entry of the audit log for every request that changes something, or tried to.

The entry of a change is written in the change's own transaction: there is none without the other. What was refused, and
what was asked of stations (on record by itself), is written before the answer leaves. Secrets are masked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from csms.blocks.secrets import without_passwords
from csms.storage.tables import audit

log = structlog.get_logger()

Job = Callable[[sa.Connection], Any]

MASK = "***"
_PREFIX = "/api/v1"
_READING = {"GET", "HEAD", "OPTIONS"}
_MOST_KEPT = 8 << 10  # Bytes of a body.
_SECRET = re.compile(r"password|secret|authori[sz]ationkey|api_?key|private|passphrase|\b(sim_?)?pin\b", re.IGNORECASE)
_NAMES = ("key", "name", "variable")  # What tells which setting a value is of, in OCPP's words.
_VALUES = {"value", "attributeValue", "attribute_value"}


class Entry:
    """A request under way, as the log will tell of it. Only what has an actor is logged."""

    def __init__(self, scope: Scope):
        self._scope = scope
        self.actor: str | None = None
        self.kind = "none"
        self.operator: str | None = None  # Whose things it concerns; None: everybody's.
        self.sent = bytearray()
        self.size = 0
        self.kept = False  # The entry of a change that was made.

    def row(self, at: Any, outcome: str, status: int | None = None) -> dict[str, Any]:
        path = (self._scope.get("raw_path") or self._scope["path"].encode()).decode("ascii", "replace")
        client = self._scope.get("client")
        detail = {"sent": self._told(), "status": status}
        return {
            "at": at, "actor": self.actor or "-", "actor_kind": self.kind, "operator": self.operator,
            "action": f"{self._scope['method']} {self._route() or path}"[:200], "object": path[:1000],
            "outcome": outcome, "address": client[0] if client else None,
            "detail": msgspec.json.encode({name: value for name, value in detail.items() if value is not None}).decode(),
        }  # fmt: skip

    def _route(self) -> str | None:
        """The route's path with the names of its parameters; some versions of the framework tell it without prefix."""
        told = getattr(self._scope.get("route"), "path_format", None)
        return told if told is None or told.startswith(_PREFIX) else _PREFIX + told

    def _told(self) -> Any:
        """What was sent, as far as it is short JSON; a command's payload stands in its own record."""
        path = self._scope["path"]
        if not self.size or "/commands/" in path or path.endswith("/bulk-commands"):
            return None
        try:
            return masked(msgspec.json.decode(bytes(self.sent)))
        except (msgspec.DecodeError, ValueError, RecursionError):
            return {"bytes": self.size}


current: ContextVar[Entry | None] = ContextVar("audit-entry", default=None)


class Audited:
    """The same application, with every request that changes something in the audit log."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _READING:
            return await self._app(scope, receive, send)
        entry = Entry(scope)
        before = current.set(entry)

        async def receiving() -> Message:
            message = await receive()
            body = message.get("body", b"")
            entry.size += len(body)
            entry.sent += body[: _MOST_KEPT - len(entry.sent)]
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                await _finish(entry, scope, message["status"])
            await send(message)

        try:
            await self._app(scope, receiving, sending)
        except Exception:
            await _finish(entry, scope, 500)
            raise
        finally:
            current.reset(before)


def acts(actor: str, kind: str, operator: str | None) -> None:
    """Who makes the request under way."""
    entry = current.get()
    if entry is not None:
        entry.actor, entry.kind, entry.operator = actor, kind, operator


def concerns(operator: str | None) -> None:
    """Whose things the request under way is about."""
    entry = current.get()
    if entry is not None:
        entry.operator = operator


def with_entry(job: Job, at: Any, done: Callable[[Any], bool]) -> Job:
    """`job` and, if its result is that it was `done`, the entry of the request under way, in one transaction."""
    entry = current.get()
    if entry is None or entry.actor is None or entry.kept:
        return job

    def both(connection: sa.Connection) -> Any:
        result = job(connection)
        if done(result):
            connection.execute(sa.insert(audit).values(entry.row(at, "done")))
            entry.kept = True
        return result

    return both


def masked(value: Any) -> Any:
    """The same without what is secret in it."""
    if isinstance(value, list):
        return [masked(each) for each in value]
    if isinstance(value, str):
        return without_passwords(value)
    if not isinstance(value, dict):
        return value
    names = (value.get(name) for name in _NAMES)
    texts = (each.get("name") if isinstance(each, dict) else each for each in names)
    secretive = any(isinstance(text, str) and _SECRET.search(text) for text in texts)
    return {
        key: MASK if each is not None and (_SECRET.search(key) or (secretive and key in _VALUES)) else masked(each)
        for key, each in value.items()
    }


async def _finish(entry: Entry, scope: Scope, status: int) -> None:
    if entry.actor is None or (entry.kept and status < 400):
        return
    outcome = "done" if status < 400 else "refused" if status < 500 else "failed"
    services = scope["app"].state.services
    row = entry.row(services.clock(), outcome, status)
    entry.actor = None  # Once.
    try:
        await services.database.writer.run(lambda connection: connection.execute(sa.insert(audit).values(row)) and None)
    except Exception as error:
        log.error("audit.not_kept", **{name: row[name] for name in ("actor", "action", "outcome")}, error=str(error))
