"""The WebSocket handshake, without I/O: a short path for the request stations send, the core of `websockets` for the rest.

The short path takes only what leaves no room for interpretation (RFC 6455 4.2.1): plain lines, one `Upgrade`, one
`Connection`, one key, version 13. Every other request is read, answered or refused by `ServerProtocol`.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.utils import accept_key

from csms.gateway.admission import Refused
from csms.ocpp.websocket import WebSocket

_REQUEST_LINE = re.compile(rb"GET ([\x21-\x7e]+) HTTP/1\.1\r\n")
_HEADER = re.compile(rb"([A-Za-z0-9-]+):[ \t]*([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?[ \t]*\r\n")
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
_MOST_HEADERS = 64
_WITH_BODY = ("Content-Length", "Transfer-Encoding")

# No context takeover: an idle connection keeps no compression window (RFC 7692 7.1.1).
_DEFLATE = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)


def read(head: bytes) -> Request:
    """The request in these bytes, which end with an empty line; Refused for what is no HTTP request."""
    return _read_plain(head) or _read_any(head)


def accepted(request: Request, subprotocol: str | None, *, compression: bool) -> tuple[bytes, bool]:
    """The answer that opens the WebSocket, and whether messages may be compressed; Refused for what is no upgrade."""
    headers = request.headers
    offers = compression and "Sec-WebSocket-Extensions" in headers
    if not offers and _is_plain_upgrade(headers):
        lines = [
            "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_key(headers['Sec-WebSocket-Key'])}",
        ]  # fmt: skip
        if subprotocol is not None:
            lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
        return "\r\n".join([*lines, "", ""]).encode(), False
    return _accept_any(request, subprotocol, compression)


def refused(refusal: Refused) -> bytes:
    """The answer to one who is not admitted."""
    body = (refusal.text + "\n").encode()
    lines = [
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
        *(f"{name}: {value}" for name, value in refusal.headers.items()),
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _read_plain(head: bytes) -> Request | None:
    line = _REQUEST_LINE.match(head)
    if line is None:
        return None
    headers, position = Headers(), line.end()
    while (header := _HEADER.match(head, position)) is not None:
        headers.set_insecure(header[1].decode(), (header[2] or b"").decode())
        position = header.end()
    if head[position:] != b"\r\n" or len(headers) > _MOST_HEADERS or any(name in headers for name in _WITH_BODY):
        return None
    return Request(line[1].decode(), headers)


def _read_any(head: bytes) -> Request:
    line = head.partition(b"\r\n")[0]
    if b" HTTP/" in line and not line.startswith(b"GET "):
        raise Refused(405, "Stations connect with GET.", {"Allow": "GET"})  # RFC 6455 4.2.1.
    if line.endswith(b" HTTP/1.0"):
        raise Refused(426, "HTTP/1.0 knows no upgrade: use HTTP/1.1.", {"Upgrade": "websocket"})
    protocol = ServerProtocol()
    protocol.receive_data(head)
    events = protocol.events_received()
    if not events or protocol.handshake_exc is not None:
        raise Refused(400, f"This is no WebSocket handshake: {protocol.handshake_exc}.")
    return events[0]


def _is_plain_upgrade(headers: Headers) -> bool:
    return (
        headers.get_all("Upgrade") == ["websocket"]
        and headers.get_all("Connection") == ["Upgrade"]
        and headers.get_all("Sec-WebSocket-Version") == ["13"]
        and len(headers.get_all("Sec-WebSocket-Key")) == 1
        and _KEY.fullmatch(headers["Sec-WebSocket-Key"]) is not None
    )


def _accept_any(request: Request, subprotocol: str | None, compression: bool) -> tuple[bytes, bool]:
    versions = request.headers.get_all("Sec-WebSocket-Version")
    if versions and versions != ["13"]:  # RFC 6455 4.4: say which one is spoken.
        spoken = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        raise Refused(426, "Only version 13 of the WebSocket protocol is spoken here.", spoken)
    protocol = ServerProtocol()
    protocol.available_subprotocols = [subprotocol] if subprotocol is not None else None
    protocol.available_extensions = [_DEFLATE] if compression else None
    response = protocol.accept(request)
    if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
        reason = (response.body or b"").decode().strip()
        headers = {key: response.headers[key] for key in ("Allow", "Upgrade") if key in response.headers}
        raise Refused(response.status_code, reason, headers)
    return response.serialize(), bool(protocol.extensions)


def unspoken(request: Request) -> bytes | None:
    """The handshake without a subprotocol, and the end of the conversation; None for what is no upgrade at all."""
    try:
        response, _ = accepted(request, None, compression=False)
    except Refused:
        return None
    return response + WebSocket(deflate=False, max_size=0).close(1002, "no common subprotocol")
