"""The short path reads and answers as the core of `websockets` does, or leaves the request to it."""

from __future__ import annotations

import pytest

from csms.gateway import handshake
from csms.gateway.admission import Refused
from csms.gateway.handshake import accepted, read

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
PLAIN = (
    "Host: csms", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Protocol: ocpp2.0.1, ocpp1.6", "Authorization: Basic Q1MtMTpw",
)  # fmt: skip


def request(*lines: str, first: str = "GET /ocpp/CS-1 HTTP/1.1") -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode()


def instead(line: str) -> bytes:
    """A plain request with one header replaced."""
    name = line.partition(":")[0].lower()
    return request(*(other for other in PLAIN if other.partition(":")[0].lower() != name), line)


USUAL = [
    request(*PLAIN),
    request(*PLAIN, "X-Empty:", "X-Spaced: \t a  b \t", "Sec-WebSocket-Protocol: ocpp1.5"),
    request(*PLAIN, "Connection: close", "Host: again"),
    request(*PLAIN, first="GET /ocpp/a%20b?x=1 HTTP/1.1"),
]
UNUSUAL = [
    request(*PLAIN, "Content-Length: 0"),
    request(*PLAIN, "X: \xe9"),
]
NO_HTTP = [b"hello\r\n\r\n", request(*PLAIN, " folded"), request(*PLAIN, "Content-Length: 5"), request(*PLAIN, "X")]


@pytest.mark.parametrize("head", USUAL)
def test_the_short_path_reads_what_the_core_reads(head):
    plain, core = handshake._read_plain(head), handshake._read_any(head)
    assert (plain.path, [*plain.headers.raw_items()]) == (core.path, [*core.headers.raw_items()])


@pytest.mark.parametrize("head", UNUSUAL)
def test_what_is_unusual_is_left_to_the_core(head):
    assert handshake._read_plain(head) is None
    assert read(head) == handshake._read_any(head)


@pytest.mark.parametrize("head", NO_HTTP)
def test_what_is_no_request_is_refused(head):
    with pytest.raises(Refused, match="no WebSocket handshake"):
        read(head)


@pytest.mark.parametrize(
    ("first", "status"), [("POST /ocpp/CS-1 HTTP/1.1", 405), ("GET /ocpp/CS-1 HTTP/1.0", 426), ("GET / HTTP/2", 400)]
)
def test_only_get_of_http_11_opens_a_websocket(first, status):
    """RFC 6455 4.2.1; the core of `websockets` leaves it to its user from 17 on."""
    with pytest.raises(Refused) as refusal:
        read(request(*PLAIN, first=first))
    assert refusal.value.status == status


def test_other_version_of_the_protocol_is_told_which_is_spoken():
    with pytest.raises(Refused) as refusal:
        accepted(read(instead("Sec-WebSocket-Version: 8")), "ocpp1.6", compression=True)
    assert refusal.value.headers["Sec-WebSocket-Version"] == "13"


@pytest.mark.parametrize("subprotocol", ["ocpp1.6", None])
def test_the_short_answer_is_the_cores_but_for_its_date(subprotocol):
    asked = read(request(*PLAIN))
    short, core = (way(asked, subprotocol) for way in (_short, _core))
    assert {*short.split(b"\r\n")} == {line for line in core.split(b"\r\n") if not line.startswith(b"Date:")}


def _short(asked, subprotocol):
    return accepted(asked, subprotocol, compression=False)[0]


def _core(asked, subprotocol):
    return handshake._accept_any(asked, subprotocol, False)[0]


@pytest.mark.parametrize(("compression", "agreed"), [(True, True), (False, False)])
def test_an_offer_to_compress_is_taken_up_where_it_is_wanted(compression, agreed):
    asked = read(request(*PLAIN, "Sec-WebSocket-Extensions: permessage-deflate"))
    answer, deflate = accepted(asked, "ocpp1.6", compression=compression)
    assert (b"permessage-deflate" in answer, deflate) == (agreed, agreed)


@pytest.mark.parametrize("line", ["Connection: keep-alive, upgrade", "Upgrade: WebSocket"])
def test_other_spellings_of_an_upgrade_are_accepted(line):
    assert accepted(read(instead(line)), "ocpp1.6", compression=True)[0].startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("Upgrade: h2c", 426),
        ("Connection: close", 426),
        ("Sec-WebSocket-Version: 8", 426),
        ("Sec-WebSocket-Key: short", 400),
    ],
)
def test_what_is_no_upgrade_is_refused(line, status):
    with pytest.raises(Refused) as refusal:
        accepted(read(instead(line)), "ocpp1.6", compression=True)
    assert refusal.value.status == status
