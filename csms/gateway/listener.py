"""Accepts sockets, and stops before the descriptors run out: who comes meanwhile waits in the kernel's queue (N13)."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

import structlog

from csms.gateway.limits import room

log = structlog.get_logger()


class Listener:
    """The listening sockets, and how many of those they brought are open."""

    def __init__(self, make: Callable[[], asyncio.Protocol], most: int | None = None):
        """`most` sockets may be open at once; None: as many as the process has descriptors for, less a reserve."""
        self.port = 0
        self.open = 0
        self.paused = False
        self._make = make
        self._most = most
        self._backlog = 0
        self._sockets: list[socket.socket] = []  # Ours to keep: they listen on while nobody accepts.
        self._servers: list[asyncio.Server] = []

    async def start(self, host: str, port: int, *, backlog: int, reuse_port: bool) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._make, host, port, backlog=backlog, reuse_port=reuse_port)
        self._backlog = backlog
        self._servers = [server]
        self._sockets = [socket.socket(fileno=os.dup(each.fileno())) for each in server.sockets]
        self.port = self._sockets[0].getsockname()[1]
        if self._most is None:
            self._most = _descriptors_left()

    def entered(self) -> bool:
        """A socket was accepted; whether there is room for it. `left` must follow either way."""
        self.open += 1
        if self._most is None or self.open < self._most:
            return True
        if not self.paused:
            self.paused = True
            self._close_servers()
            log.warning(
                "gateway.full", sockets=self.open, remedy="raise the limit of open files (ulimit -n), or add a node"
            )
        return self.open == self._most

    def left(self) -> None:
        self.open -= 1

    async def look(self) -> None:
        """Accept again, once some room was made."""
        if self.paused and self._sockets and self.open < self._most - self._most // 50:
            self.paused = False
            loop = asyncio.get_running_loop()
            for each in self._sockets:
                self._servers.append(await loop.create_server(self._make, sock=each.dup(), backlog=self._backlog))
            log.info("gateway.has_room", sockets=self.open)

    def close(self) -> None:
        self._close_servers()
        for each in self._sockets:
            each.close()
        self._sockets = []

    def _close_servers(self) -> None:
        for server in self._servers:
            server.close()
        self._servers = []


def _descriptors_left() -> int | None:
    try:
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return None if most == resource.RLIM_INFINITY else room(most, len(os.listdir("/dev/fd")))
    except (ImportError, OSError):  # A system that does not tell.
        return None
