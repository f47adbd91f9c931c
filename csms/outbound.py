"""HTTP to addresses that others named (OCSP responders, webhooks): never into our own network unless it is allowed.

A name is resolved once, every address it has is judged, and the connection goes to an address that was judged (S20):
a second look-up could answer something else. That holds for each hop of a redirect, since each is a request of its own.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import httpx

Address = IPv4Address | IPv6Address

_NAT64 = ip_network("64:ff9b::/96")
# What some versions of Python take for public.
_ALSO_INSIDE = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "fec0::/10", "5f00::/16")))
_RESOLVE_WITHIN = 5.0  # s


class ForbiddenAddress(httpx.ConnectError):
    """The address is not one of the public network, and not among those that are allowed."""


class TooLarge(httpx.HTTPError):
    """The answer is larger than is reasonable."""


class Outbound:
    """Makes HTTP clients that reach public addresses, and those in `allowed` (networks)."""

    def __init__(self, allowed: Iterable[str] = ()):
        self._allowed = tuple(ip_network(text, strict=False) for text in allowed)

    def client(
        self, *, timeout: float = 10.0, verify: ssl.SSLContext | bool = True, **options: Any
    ) -> httpx.AsyncClient:  # fmt: skip
        """To be closed by the caller. Environment proxies are not used, redirects not followed unless asked for."""
        return httpx.AsyncClient(transport=_Guarded(self, verify), timeout=timeout, trust_env=False, **options)

    def may_reach(self, address: Address) -> bool:
        address = _meant(address)
        if any(address in network for network in self._allowed if network.version == address.version):
            return True
        if any(address in network for network in _ALSO_INSIDE if network.version == address.version):
            return False
        return address.is_global and not address.is_multicast

    def check_url(self, url: str) -> None:
        """ValueError for what can never be reached; a name is judged when it is used."""
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(f"{url!r} is no URL: {error}") from None
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError(f"{url!r} is no URL of HTTP: it has to begin with http:// or https:// and a host.")
        if parsed.userinfo:
            raise ValueError("Credentials do not belong into a URL: it is written into logs.")
        literal = _literal(parsed.host)
        if literal is not None and not self.may_reach(literal):
            raise ValueError(f"{parsed.host} is not a public address. {_REMEDY}")

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Where a host is; ForbiddenAddress when one of its addresses must not be reached, ConnectError without any."""
        literal = _literal(host)
        found = [literal] if literal is not None else await _resolved(host, port)
        for address in found:
            if not self.may_reach(address):
                # All or nothing: a name that points inside as well is somebody's attempt.
                raise ForbiddenAddress(f"{host} is at {address}, which is not a public address. {_REMEDY}")
        return found


_REMEDY = "If it is meant, list its network in CSMS_OUTBOUND_ALLOWED."


class _Guarded(httpx.AsyncBaseTransport):
    """Sends each request to an address that was judged; name, certificate check and Host header stay the host's."""

    def __init__(self, outbound: Outbound, verify: ssl.SSLContext | bool):
        self._outbound = outbound
        # No connection is kept: two hosts at one address must not share one, whose certificate was checked for one.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._inner = httpx.AsyncHTTPTransport(verify=verify, limits=limits, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"Only HTTP is spoken, not {url.scheme!r}.", request=request)
        addresses = await self._outbound.addresses(url.host, url.port or (443 if url.scheme == "https" else 80))
        for number, address in enumerate(addresses):
            pinned = httpx.Request(
                request.method, url.copy_with(host=str(address)), headers=request.headers, stream=request.stream,
                extensions={**request.extensions, "sni_hostname": url.host},
            )  # fmt: skip
            try:
                return await self._inner.handle_async_request(pinned)
            except httpx.ConnectError:
                if number == len(addresses) - 1:
                    raise
        raise httpx.ConnectError(f"{url.host} has no address.", request=request)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def read_bounded(response: httpx.Response, most: int) -> bytes:
    """The body of a streamed answer; TooLarge beyond `most` bytes, of which no more are read."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most:
            raise TooLarge(f"{response.request.url.host} answered with more than {most} bytes.")
    return bytes(body)


async def _resolved(host: str, port: int) -> list[Address]:
    try:
        async with asyncio.timeout(_RESOLVE_WITHIN):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as error:
        raise httpx.ConnectError(f"{host} cannot be resolved ({error or 'no answer in time'}).") from None
    return list(dict.fromkeys(ip_address(place[0].partition("%")[0]) for *_, place in found))


def _literal(host: str) -> Address | None:
    """The address that a host is written as, in every form that the system's resolver would take for one."""
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))  # 2130706433, 0x7f.1, 0177.0.0.1
    except (OSError, UnicodeError):
        return None


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for (mapped, 6to4, Teredo, NAT64), else itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
