"""The HTTP side's sockets and servers: a port for people, a control socket for the command line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from csms.storage.place import StartError
from csms.web.events import ABORT

_DRAIN = 5  # s
_BACKLOG = 100


class _HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers: the composition root has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


class _Protocol(HttpToolsProtocol):
    """uvicorn's, with a way to end a connection whose client reads nothing any more."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[ABORT] = self.transport.abort


def http_server(api: Any) -> _HttpServer:
    config = uvicorn.Config(
        api, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=_DRAIN,
        server_header=False, http=_Protocol,
    )  # fmt: skip
    return _HttpServer(config)


@asynccontextmanager
async def running(server: _HttpServer, sock: socket.socket) -> AsyncIterator[None]:
    task = asyncio.create_task(server.serve(sockets=[sock]), name="http")
    try:
        yield
    finally:
        server.should_exit = True
        await task


def listen(host: str, port: int, setting: str, *, reuse_port: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host, port))
        sock.listen(_BACKLOG)  # From here on nobody is turned away, though HTTP begins a little later.
    except OSError as error:
        sock.close()
        raise StartError(
            f"Cannot listen on {host}:{port} ({error.strerror or error}). Choose another {setting}, or stop what uses it."
        ) from None
    return sock


@contextlib.contextmanager
def listen_control(path: Path) -> Iterator[socket.socket]:
    """The control socket: only its owner may open it. The database's lock says that no other server uses it."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
        sock.listen(_BACKLOG)
    finally:
        os.umask(before)
    try:
        yield sock
    finally:
        sock.close()
        path.unlink(missing_ok=True)
