"""HTTP to addresses that others named stays outside (S20)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest

from csms.outbound import ForbiddenAddress, Outbound, TooLarge, read_bounded
from tests import pki
from tests.pki import Authority, kept

INSIDE = (
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.1.1",
    "169.254.169.254", "169.254.0.1", "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.7",
    "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1",
    "fd12:3456::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "2002:7f00:1::", "2002:a00:1::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "::127.0.0.1", "::10.0.0.1",
)  # fmt: skip
ODD = ("http://2130706433/", "http://0x7f000001/", "http://127.1/", "http://0/", "http://[::1]/")
OUTSIDE = ("8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")


@pytest.mark.parametrize("text", INSIDE)
def test_address_of_our_own_network_is_not_reached(text):
    assert not Outbound().may_reach(ip_address(text))


@pytest.mark.parametrize("text", OUTSIDE)
def test_public_address_is_reached(text):
    assert Outbound().may_reach(ip_address(text))


def test_network_that_is_allowed_is_reached():
    outbound = Outbound(["10.1.0.0/16", "fd00::/8"])
    assert outbound.may_reach(ip_address("10.1.2.3")) and outbound.may_reach(ip_address("::ffff:10.1.2.3"))
    assert outbound.may_reach(ip_address("fd00::1"))
    assert not outbound.may_reach(ip_address("10.2.0.1"))


@pytest.mark.parametrize("url", [*ODD, "http://169.254.169.254/latest/meta-data", "https://[fd00::1]/"])
def test_url_of_a_forbidden_address_is_refused_when_it_is_set(url):
    with pytest.raises(ValueError, match="CSMS_OUTBOUND_ALLOWED"):
        Outbound().check_url(url)


@pytest.mark.parametrize("url", ["ftp://example.org/", "file:///etc/passwd", "http://", "example.org", "gopher://x/",
                                 "http://user:secret@example.org/", "http://[zz]/", "http://0177.0.0.1/"])  # fmt: skip
def test_url_that_is_none_of_http_is_refused(url):
    with pytest.raises(ValueError, match="URL"):
        Outbound().check_url(url)


def test_url_of_a_name_is_judged_when_it_is_used():
    Outbound().check_url("https://hooks.example.org/path")


class Site:
    """A small HTTP server that counts who reached it."""

    def __init__(self) -> None:
        self.hits = 0
        self.hosts: list[str] = []
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.hits += 1
        self.hosts += [line[6:].decode() for line in head.split(b"\r\n") if line.lower().startswith(b"host: ")]
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


def resolves(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Each look-up of a name gets the next of the answers, the last one again and again; returns what was asked."""
    asked: list[str] = []

    async def getaddrinfo(host, port, **options):
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return asked


async def test_request_goes_to_an_allowed_address_under_its_own_name(site, monkeypatch):
    asked = resolves(monkeypatch, ["127.0.0.1"])
    async with Outbound(["127.0.0.0/8"]).client() as http:
        assert (await http.get(f"http://hooks.test:{site.port}/")).text == "ok"
    assert site.hosts == [f"hooks.test:{site.port}"] and asked == ["hooks.test"]


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"]])
async def test_name_that_points_inside_is_not_reached(site, monkeypatch, addresses):
    resolves(monkeypatch, addresses)
    async with Outbound().client() as http:
        with pytest.raises(ForbiddenAddress):
            await http.get(f"http://hooks.test:{site.port}/")
    assert site.hits == 0


async def test_name_that_turns_inside_after_it_was_checked_is_looked_up_once(site, monkeypatch):
    """DNS rebinding: the address that was judged is the one that is connected to."""
    asked = resolves(monkeypatch, ["192.0.2.1"], ["127.0.0.1"])
    async with Outbound(["192.0.2.0/24"]).client(timeout=0.3) as http:
        with pytest.raises(httpx.TransportError):
            await http.get(f"http://hooks.test:{site.port}/")
    assert site.hits == 0 and asked == ["hooks.test"]


async def test_redirect_inside_is_not_followed(site, monkeypatch):
    asked = resolves(monkeypatch, ["127.0.0.1"], ["10.0.0.1"])
    site.answer = (
        b"HTTP/1.1 302 Found\r\nLocation: http://inner.test/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    async with Outbound(["127.0.0.0/8"]).client(follow_redirects=True) as http:
        with pytest.raises(ForbiddenAddress):
            await http.get(f"http://hooks.test:{site.port}/")
    assert asked == ["hooks.test", "inner.test"] and site.hits == 1


async def test_every_odd_spelling_of_this_machine_is_refused_in_use(site):
    async with Outbound().client() as http:
        for url in ODD:
            with pytest.raises(ForbiddenAddress):
                await http.get(f"{url.rstrip('/')}:{site.port}/")
    assert site.hits == 0


async def test_proxy_of_the_environment_is_not_asked(site, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{site.port}")
    resolves(monkeypatch, ["127.0.0.1"])
    async with Outbound().client() as http:
        with pytest.raises(ForbiddenAddress):
            await http.get("http://hooks.test/")
    assert site.hits == 0


async def test_certificate_is_checked_for_the_name_not_the_address(tmp_path: Path, monkeypatch):
    root = Authority("Root")
    key = pki.ec_key()
    pem = pki.pem(root.sign(pki.name("hooks.test"), key.public_key(), usage=pki.SERVER, names=("hooks.test",)), key=key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(kept(tmp_path, "server.pem", pem))
    kept(tmp_path, "root.pem", pki.pem(root.certificate))
    site = Site()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    resolves(monkeypatch, ["127.0.0.1"])
    outbound = Outbound(["127.0.0.0/8"])
    trusted = ssl.create_default_context(cafile=str(tmp_path / "root.pem"))
    async with outbound.client(verify=trusted) as http:
        assert (await http.get(f"https://hooks.test:{port}/")).text == "ok"
        with pytest.raises(httpx.ConnectError):
            await http.get(f"https://other.test:{port}/")
    server.close()


async def test_answer_is_read_up_to_a_bound(site):
    site.answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 100_000
    async with Outbound(["127.0.0.0/8"]).client() as http:
        async with http.stream("GET", f"http://127.0.0.1:{site.port}/") as response:
            with pytest.raises(TooLarge):
                await read_bounded(response, 50_000)
        async with http.stream("GET", f"http://127.0.0.1:{site.port}/") as response:
            assert len(await read_bounded(response, 100_000)) == 100_000
