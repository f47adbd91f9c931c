"""Accepts sockets, and stops before the descriptors run out: who comes meanwhile waits in the kernel's queue (N13)."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic

import structlog

from csms.gateway.limits import room
from csms.gateway.tls import Tls, TlsError

log = structlog.get_logger()

_HANDSHAKE = 10.0  # s for a TLS handshake.
_SHUTDOWN = 2.0  # s for the other side to agree that TLS ends.
_ENDS_SOON = timedelta(days=30)  # Before a certificate ends, it is told of once a day.
_DAY = 86_400.0  # s


@dataclass
class _Port:
    """One port: its sockets, ours to keep, which listen on while nobody accepts."""

    backlog: int
    tls: Tls | None
    context: ssl.SSLContext | None
    versions: tuple[int, ...] = ()
    warned_at: float | None = None  # When it was last told that a certificate ends soon.
    sockets: list[socket.socket] = field(default_factory=list)
    servers: list[asyncio.Server] = field(default_factory=list)

    def pause(self) -> None:
        for server in self.servers:
            server.close()
        self.servers = []


class Listener:
    """The listening sockets of all ports, and how many of those they brought are open."""

    def __init__(self, make: Callable[[], asyncio.Protocol], most: int | None = None):
        """`most` sockets may be open at once; None: as many as the process has descriptors for, less a reserve."""
        self.open = 0
        self.paused = False
        self.closed = False
        self._make = make
        self._most = most
        self._ports: list[_Port] = []

    async def start(self, host: str, port: int, *, backlog: int, reuse_port: bool, tls: Tls | None = None) -> int:
        """Listen; returns the port. OSError when that cannot be, TlsError for a certificate that cannot be used."""
        context = tls.context() if tls is not None else None
        server = await asyncio.get_running_loop().create_server(
            self._make, host, port, backlog=backlog, reuse_port=reuse_port, **_tls(context)
        )
        opened = _Port(backlog, tls, context, tls.versions() if tls is not None else ())
        opened.servers = [server]
        opened.sockets = [socket.socket(fileno=os.dup(each.fileno())) for each in server.sockets]
        self._ports.append(opened)
        if self._most is None:
            self._most = _descriptors_left()
        return opened.sockets[0].getsockname()[1]

    def entered(self) -> bool:
        """A socket was accepted; whether there is room for it. `left` must follow either way."""
        self.open += 1
        if self._most is None or self.open < self._most:
            return True
        if not self.paused:
            self.paused = True
            for port in self._ports:
                port.pause()
            log.warning(
                "gateway.full", sockets=self.open, remedy="raise the limit of open files (ulimit -n), or add a node"
            )
        return self.open == self._most

    def left(self) -> None:
        self.open -= 1

    async def look(self) -> None:
        """Accept again, once some room was made; take certificates that were renewed."""
        for port in self._ports:
            if port.tls is not None and port.tls.versions() not in ((), port.versions):
                await self._renew(port)
            _warn_of_end(port)
        if self.paused and self._ports and self.open < self._most - self._most // 50:
            self.paused = False
            for port in self._ports:
                await self._accept(port)
            log.info("gateway.has_room", sockets=self.open)

    def close(self) -> None:
        self.closed = True
        for port in self._ports:
            port.pause()
            for each in port.sockets:
                each.close()
        self._ports = []

    async def _accept(self, port: _Port) -> None:
        loop = asyncio.get_running_loop()
        for each in port.sockets:
            port.servers.append(
                await loop.create_server(self._make, sock=each.dup(), backlog=port.backlog, **_tls(port.context))
            )

    async def _renew(self, port: _Port) -> None:
        """New connections get the new certificates; those that are open stay as they are (S9)."""
        port.versions = port.tls.versions()
        try:
            port.context = port.tls.context()
        except TlsError as error:
            log.error("tls.not_renewed", error=str(error), remedy="the certificates that were read before stay in use")
            return
        port.warned_at = None
        log.info("tls.renewed", expires_at=port.tls.expires_at().isoformat())
        if not self.paused:
            port.pause()
            await self._accept(port)


def _warn_of_end(port: _Port) -> None:
    now = monotonic()
    if port.tls is None or (port.warned_at is not None and now - port.warned_at < _DAY):
        return
    port.warned_at = now
    try:
        ends_at = port.tls.expires_at()
    except TlsError:  # Half a file: the next look sees it whole.
        return
    if ends_at - datetime.now(UTC) < _ENDS_SOON:
        log.warning(
            "tls.expires",
            expires_at=ends_at.isoformat(),
            remedy="renew the server's certificates: they are taken at once",
        )


def _tls(context: ssl.SSLContext | None) -> dict[str, object]:
    return (
        {}
        if context is None
        else {"ssl": context, "ssl_handshake_timeout": _HANDSHAKE, "ssl_shutdown_timeout": _SHUTDOWN}
    )


def _descriptors_left() -> int | None:
    try:
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return None if most == resource.RLIM_INFINITY else room(most, len(os.listdir("/dev/fd")))
    except (ImportError, OSError):  # A system that does not tell.
        return None
