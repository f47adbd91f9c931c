"""The station's end of one WebSocket: callbacks, and no task while it is open."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from functools import cache
from typing import Protocol
from urllib.parse import quote

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI, parse_uri

from csms.ocpp.version import Version
from csms.ocpp.websocket import WebSocket

_HEAD_END = b"\r\n\r\n"
_MAX_HEAD = 64 * 1024
_SHUT_AFTER = 5.0  # Seconds a graceful close may take before the socket is cut.


class RefusedError(ConnectionError):
    """The server answered the handshake with an HTTP status that is no upgrade.

    404: it does not know this station. 401: the password is wrong. 400: no OCPP version in common.
    503: it is busy; `retry_after` says for how many seconds, if it told.
    """

    def __init__(self, status: int, body: str = "", retry_after: float | None = None):
        super().__init__(f"the server refused the connection: HTTP {status} {body}".rstrip())
        self.status = status
        self.body = body
        self.retry_after = retry_after


class Listener(Protocol):
    """Who is told what happens on a connection. After `lost` nothing more comes from it."""

    def opened(self, connection: Connection) -> None: ...

    def message(self, data: bytes) -> None: ...

    def lost(self, error: Exception | None) -> None: ...


def station_url(base: str, identity: str, operator: str | None = None) -> str:
    """`ws://host/ocpp[/operator]/identity`, percent-encoded once."""
    parts = [operator, identity] if operator else [identity]
    return "/".join([base.rstrip("/"), *(quote(part, safe="") for part in parts)])


class Connection(asyncio.Protocol):
    """One socket from handshake to close. `lost` is called exactly once."""

    __slots__ = ("_buffer", "_deadline", "_handshake", "_listener", "_shaken", "_socket", "_transport")

    def __init__(self, listener: Listener, handshake: ClientProtocol, shaken: asyncio.Future[None]):
        """`shaken` is resolved when the handshake is over, whatever came of it."""
        self._shaken: asyncio.Future[None] | None = shaken
        self._listener: Listener | None = listener
        self._handshake: ClientProtocol | None = handshake
        self._buffer = b""
        self._socket: WebSocket | None = None
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    # -- what the station does --------------------

    def send(self, message: bytes) -> None:
        if self._socket is not None and self._transport is not None and self._socket.closed is None:
            self._transport.write(self._socket.frame(message))

    def close(self) -> None:
        """Say goodbye and close; cut the socket where the server does not."""
        transport = self._transport
        if transport is None:
            return
        if self._socket is not None:
            transport.write(self._socket.close(1000))
        transport.close()
        self._deadline = asyncio.get_running_loop().call_later(_SHUT_AFTER, transport.abort)

    def abort(self) -> None:
        """Cut the socket, as a lost mobile link does."""
        if self._transport is not None:
            self._transport.abort()

    # -- what the event loop tells --------------------

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.write(b"".join(self._handshake.data_to_send()))

    def data_received(self, data: bytes) -> None:
        if self._socket is None:
            data = self._shake_hands(data)
            if self._socket is None:
                return
        messages, out = self._socket.receive(data)
        if out:
            self._transport.write(out)
        for message in messages:
            if self._listener is not None:
                self._listener.message(message)
        if self._socket.closed is not None:
            self._transport.close()

    def eof_received(self) -> None:
        if self._handshake is not None:
            self._handshake.receive_eof()
            self._check_refusal()

    def connection_lost(self, error: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._transport = None
        if self._handshake is not None:
            error = error or ConnectionError("the server closed the connection during the handshake")
        self._tell_lost(error)

    # -- the handshake --------------------

    def give_up(self, error: Exception) -> None:
        """It takes too long, or there is nobody."""
        self._handshake = None
        self._tell_lost(error)
        self.abort()

    def _shake_hands(self, data: bytes) -> bytes:
        """Feed the opening handshake; what follows its head belongs to the WebSocket."""
        core = self._handshake
        if core is None:
            return b""
        if self._buffer is not None:
            self._buffer += data
            end = self._buffer.find(_HEAD_END)
            if end < 0:
                if len(self._buffer) > _MAX_HEAD:
                    self._transport.abort()
                return b""
            head, rest = self._buffer[: end + 4], self._buffer[end + 4 :]
            upgraded = head[9:12] == b"101"
            data = head if upgraded else self._buffer
            self._buffer = None
        else:
            upgraded, rest = False, b""
        core.receive_data(data)
        if not upgraded or core.handshake_exc is not None:
            self._check_refusal()
            return b""
        self._handshake = None
        self._over()
        self._socket = WebSocket(client=True)
        self._listener.opened(self)
        return rest

    def _check_refusal(self) -> None:
        """Tell the station why it may not come in, once the whole answer is here."""
        error = self._handshake.handshake_exc
        if error is None:
            return
        self._handshake = None
        if isinstance(error, InvalidStatus):
            error = _refused(error)
        self._tell_lost(error)
        if self._transport is not None:
            self._transport.abort()

    def _over(self) -> None:
        shaken, self._shaken = self._shaken, None
        if shaken is not None and not shaken.done():
            shaken.set_result(None)

    def _tell_lost(self, error: Exception | None) -> None:
        self._over()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.lost(error)


def _refused(error: InvalidStatus) -> RefusedError:
    response = error.response
    retry_after = None
    with contextlib.suppress(KeyError, ValueError):
        retry_after = float(response.headers["Retry-After"])
    body = bytes(response.body or b"")[:500].decode("utf-8", "replace").strip()
    return RefusedError(response.status_code, body, retry_after)


async def open_connection(
    url: str,
    version: Version,
    listener: Listener,
    *,
    identity: str,
    password: str | None = None,
    timeout: float = 30.0,
    local: str | None = None,
) -> None:
    """Connect, and shake hands; `listener` is told everything, a connection that cannot be made included.

    `local`: the address to connect from; one has no more than some 28,000 ports.
    """
    uri = parse_uri(url)
    handshake = _handshake(uri, version, identity, password)
    loop = asyncio.get_running_loop()
    tls = _trusted() if uri.secure else None
    shaken = loop.create_future()
    connection = Connection(listener, handshake, shaken)
    try:
        async with asyncio.timeout(timeout):
            address = None if local is None else (local, 0)
            await loop.create_connection(lambda: connection, uri.host, uri.port, ssl=tls, local_addr=address)
            await shaken
    except TimeoutError:
        connection.give_up(TimeoutError(f"the server did not answer the handshake within {timeout:g} s"))
    except OSError as error:
        connection.give_up(error)
    except asyncio.CancelledError:
        connection.abort()
        raise


@cache
def _trusted() -> ssl.SSLContext:
    """One for all stations: each would read the system's certificates again."""
    return ssl.create_default_context()


def _handshake(uri: WebSocketURI, version: Version, identity: str, password: str | None) -> ClientProtocol:
    core = ClientProtocol(uri, subprotocols=[Subprotocol(version.subprotocol)])
    request = core.connect()
    request.headers["User-Agent"] = "csms-sim"
    if password is not None:
        credentials = base64.b64encode(f"{identity}:{password}".encode()).decode()
        request.headers["Authorization"] = f"Basic {credentials}"
    core.send_request(request)
    return core
