"""More of what TLS and the security profiles refuse: suites of old, compression, the wrong port, a lower profile, and
warnings before a certificate ends (A00, S5, S8, S9)."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct

import pytest
from structlog.testing import capture_logs
from websockets.exceptions import InvalidMessage, InvalidStatus

from csms.gateway.tls import Tls
from csms.storage.memory import MemoryRecords
from tests import pki
from tests.gateway.test_tls import Site, basic, greet, served, site  # noqa: F401
from tests.pki import DAY, kept

pytestmark = pytest.mark.asyncio(loop_scope="module")

# By number, as a station of old would offer them: our own OpenSSL can no longer speak most of these.
OLD = {
    "RSA_NULL_SHA256": 0x003B, "RSA_RC4_128_SHA": 0x0005, "RSA_RC4_128_MD5": 0x0004, "RSA_3DES_EDE_CBC_SHA": 0x000A,
    "ECDHE_RSA_3DES_EDE_CBC_SHA": 0xC012, "ECDHE_ECDSA_RC4_128_SHA": 0xC007, "RSA_AES_128_CBC_SHA": 0x002F,
    "RSA_AES_256_CBC_SHA256": 0x003D, "DH_anon_AES_128_GCM_SHA256": 0x00A6, "RSA_DES_CBC_SHA": 0x0009,
    "RSA_EXPORT_RC4_40_MD5": 0x0003, "PSK_AES_128_GCM_SHA256": 0x00A8,
}  # fmt: skip
GOOD = {"RSA_AES_128_GCM_SHA256": 0x009C, "ECDHE_ECDSA_AES_128_GCM_SHA256": 0xC02B}
ALERT, HANDSHAKE = 21, 22


def hello(*suites: int, version: int = 0x0303, compressions: bytes = b"\0") -> bytes:
    """A ClientHello of TLS 1.2 and older, with the extensions that elliptic curves need."""
    groups = struct.pack("!HHHHH", 10, 6, 4, 0x0017, 0x0018)
    formats = struct.pack("!HHBB", 11, 2, 1, 0)
    signatures = struct.pack("!HHHHHHH", 13, 10, 8, 0x0403, 0x0401, 0x0804, 0x0503)
    extensions = groups + formats + signatures
    body = struct.pack("!H", version) + b"\1" * 32 + b"\0"
    body += struct.pack("!H", 2 * len(suites)) + b"".join(struct.pack("!H", each) for each in suites)
    body += bytes([len(compressions)]) + compressions + struct.pack("!H", len(extensions)) + extensions
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return struct.pack("!BHH", HANDSHAKE, 0x0301, len(message)) + message


async def first_answer(port: int, data: bytes) -> bytes:
    """The first record that comes back; nothing where the connection just ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        async with asyncio.timeout(5):
            head = await reader.readexactly(5)
            return head[:1] + await reader.readexactly(int.from_bytes(head[3:5], "big"))
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("suite", OLD)
async def test_suite_of_old_is_refused(served, suite):  # noqa: F811
    answer = await first_answer(served.tls, hello(OLD[suite]))
    assert answer[:1] in (b"", bytes([ALERT])), "no ServerHello"


@pytest.mark.parametrize("suite", GOOD)
async def test_mandated_suite_is_taken_from_the_same_hello(served, suite):  # noqa: F811
    answer = await first_answer(served.tls, hello(*OLD.values(), GOOD[suite]))
    assert answer[0] == HANDSHAKE and answer[1] == 2, "a ServerHello"
    session = answer[39]
    assert int.from_bytes(answer[40 + session : 42 + session], "big") == GOOD[suite]
    assert answer[42 + session] == 0, "no compression"


@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0302], ids=["SSL 3", "TLS 1.0", "TLS 1.1"])
async def test_hello_of_an_older_version_is_refused(served, version):  # noqa: F811
    answer = await first_answer(served.tls, hello(*GOOD.values(), version=version))
    assert answer[:1] in (b"", bytes([ALERT]))


async def test_compression_is_never_chosen(served):  # noqa: F811
    """A client that offers DEFLATE gets none; one that insists on it gets nothing."""
    answer = await first_answer(served.tls, hello(*GOOD.values(), compressions=b"\1\0"))
    assert answer[42 + answer[39]] == 0
    answer = await first_answer(served.tls, hello(*GOOD.values(), compressions=b"\1"))
    assert answer[:1] in (b"", bytes([ALERT]))


async def test_password_does_not_open_the_port_of_profile_3(site, served):  # noqa: F811
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError, InvalidMessage)):
        await greet(served.mtls, site.client(), **basic())


async def test_station_that_came_with_a_certificate_does_not_come_back_with_a_password(site, served):  # noqa: F811
    answer = await greet(served.mtls, site.client(site.stations.station("CS-1")))
    assert '"Accepted"' in answer
    with pytest.raises(InvalidStatus) as refused:
        await greet(served.tls, site.client(), **basic())
    assert refused.value.response.status_code == 403
    with pytest.raises(InvalidStatus) as refused:
        await served.connect("CS-1", password=b"0123456789abcdef")
    assert refused.value.response.status_code == 403, "nor without TLS"


async def test_plain_port_speaks_no_tls(served):  # noqa: F811
    context = ssl.create_default_context()
    with socket.create_connection(("127.0.0.1", served.gateway.port)) as raw:
        raw.settimeout(5)

        def shake() -> None:
            with pytest.raises((ssl.SSLError, OSError)):
                context.wrap_socket(raw, server_hostname="localhost")

        await asyncio.to_thread(shake)


@pytest.mark.parametrize("names", [("rsa.pem",), ("ecdsa.pem",), ("rsa.pem", "ecdsa.pem")])
async def test_both_kinds_of_certificate_serve_tls_12_and_13(site, make_server, names):  # noqa: F811
    server = await make_server(MemoryRecords())
    await server.add_station("CS-1", password=b"0123456789abcdef")
    port = await server.gateway.start_tls("127.0.0.1", 0, Tls(tuple(site.folder / name for name in names)))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = site.client(minimum_version=version, maximum_version=version)
        assert '"Accepted"' in await greet(port, context, **basic())


async def test_certificate_that_ends_soon_is_told_of_once_a_day(site, make_server, tmp_path):  # noqa: F811
    path = kept(tmp_path, "short.pem", site.root.server(pki.ec_key(), ends=10 * DAY))
    server = await make_server(MemoryRecords())
    with capture_logs() as logs:
        await server.gateway.start_tls("127.0.0.1", 0, Tls((path,)))
        for _ in range(3):
            await server.gateway.listener.look()
    assert [entry["event"] for entry in logs].count("tls.expires") == 1
