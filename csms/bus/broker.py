"""One conversation with an MQTT broker.

aiomqtt holds it; here it is helped where it takes a refusal for success and where it keeps a dead socket.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit

import aiomqtt

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_CONNECT = 5.0  # s for the broker's answer to our CONNECT
_GOODBYE = 2.0  # s for an orderly disconnect


class BrokerUrlError(ValueError):
    """The URL names no broker. The message says what to write, never the URL itself: it holds a password."""


class PublishRefused(aiomqtt.MqttError):
    """The broker answered a publish, and did not take it."""


@dataclass(frozen=True)
class BrokerAddress:
    """Where a broker is and how to identify there. `str()` is fit for logs."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> BrokerAddress:
        """`mqtt://user:password@host:1883` or `mqtts://…` (TLS); user, password and port may be left out."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or parts.scheme not in _PORTS:
            raise BrokerUrlError(
                "CSMS_MQTT_URL names no broker: write mqtt://user:password@host:1883, or mqtts://… for TLS, "
                "with special characters in user and password percent-encoded"
            )
        return cls(
            host,
            port or _PORTS[parts.scheme],
            parts.scheme == "mqtts",
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
        )


class BrokerClient(aiomqtt.Client):
    """A connected client. Its `publish` returns only when the broker has taken the message."""

    refusal: PublishRefused | None = None

    async def watch(self) -> None:
        """Returns never; raises MqttError when the conversation is over, with the reason."""
        try:
            async for _ in self.messages:
                pass
        except aiomqtt.MqttError as ended:
            raise self.refusal or ended.__cause__ or ended from None

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any) -> None:
        # aiomqtt takes every PUBACK for success, but «not authorised» and «quota exceeded» arrive in one too.
        if reason_code.is_failure:
            self.refusal = PublishRefused(f"publish refused: {reason_code}")
            self._break_off()
        else:
            super()._on_publish(client, userdata, mid, reason_code, properties)

    def _break_off(self) -> None:
        """End the connection as the network would: what is bound to the socket then unwinds by itself."""
        connection = self._client.socket()
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    async def release(self) -> None:
        """Say goodbye if the broker listens; leave no socket behind, as aiomqtt does on time-outs."""
        self.timeout = _GOODBYE
        if self._lock.locked():
            with suppress(aiomqtt.MqttError):
                await self.__aexit__(None, None, None)
        self._break_off()
        until = monotonic() + _GOODBYE
        while self._bound() and monotonic() < until:
            await asyncio.sleep(0.001)
        if self._disconnected.done() and not self._disconnected.cancelled():
            self._disconnected.exception()  # Looked at, so that asyncio does not report it as forgotten.

    def _bound(self) -> bool:
        busy = self._misc_task is not None and not self._misc_task.done()
        return busy or self._client.socket() is not None


@asynccontextmanager
async def conversation(address: BrokerAddress, identifier: str, patience: float) -> AsyncIterator[BrokerClient]:
    """A connected client; MqttError when the broker is not there or does not want us.

    `patience`: s for the answer to a publish. The connect runs in a thread, which cannot be cancelled: a
    cancellation waits for it (some seconds), then hangs up.
    """
    client = BrokerClient(
        address.host, address.port, username=address.username, password=address.password,
        identifier=identifier, protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=True, keepalive=20, timeout=_CONNECT,
        tls_context=ssl.create_default_context() if address.tls else None,
    )  # fmt: skip
    opening = asyncio.create_task(client.__aenter__(), name="mqtt-connect")
    try:
        await asyncio.shield(opening)
        client.timeout = patience
        yield client
    finally:
        await asyncio.wait({opening})
        if not opening.cancelled():
            opening.exception()  # It was raised already, or the caller is no longer interested.
        await client.release()
