"""How much is too much: the bounds of a connection, and who may connect how often.

Everything here is pure: it is told the time (monotonic seconds) and keeps a bounded number of entries, the oldest of
which give way. Being forgotten is being free again, so a flood of names costs memory neither here nor elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from random import random
from typing import Literal, NamedTuple

from csms.domain.rates import Meter
from csms.domain.rates import keep as _keep
from csms.ocpp.catalogue import Version

Network = IPv4Network | IPv6Network
LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of connections: seconds, bytes, numbers. 0 is no limit where a number says how often."""

    handshake: float = 10.0
    ping_interval: float = 30.0  # Of silence, before we ask whether the station is there; 0: never.
    pong_deadline: float = 20.0
    stalled: float = 20.0
    drain: float = 20.0
    rate: float = 0.0  # Messages a second and station beyond which we stop reading; 0: no limit.
    burst: int = 200
    flood: float = 60.0  # How long a station may send too fast, without waiting for answers, until it is sent away.
    answer: float = 30.0  # From a call to its answer, or to the end of the conversation; above the storage's patience.
    message: float = 30.0  # From the first byte of a message to its last.
    max_size_16: int = 256 << 10
    max_size_2x: int = 1 << 20
    backlog: int = 4096
    sockets: int | None = None  # Open at once; None: as many as the process has descriptors for, less a reserve.
    connects: float = 0.0  # Handshakes a second, of everybody but the exempt.
    connects_address: float = 0.0  # Handshakes a second of one address.
    handshakes_address: int = 0  # Handshakes of one address under way.
    reconnects_hour: int = 0  # Connections of one station an hour; and 1 a second.
    guesses: int = 0  # Failed logins a minute of one address, and of one station from one address.
    exempt: tuple[str, ...] = LOOPBACK  # Networks that none of the limits on connecting concern.
    shared: tuple[str, ...] = ()  # Networks where many stations share an address: proxies, a carrier's NAT.

    def max_size(self, version: Version) -> int:
        return self.max_size_16 if version is Version.V16 else self.max_size_2x


class Flapping:
    """Stations that come again and again: one a second and so many an hour, then they wait, each time twice as long (N9).

    Only connections that were admitted count, so that nobody uses up a station's share but the station.
    """

    _FIRST, _LONGEST = 5.0, 900.0  # s

    def __init__(self, an_hour: int, most: int = 65_536):
        self._meters = (Meter(1.0 if an_hour else 0.0, 3, most), Meter(an_hour / 3600, an_hour, most))
        self._pauses: dict[Hashable, tuple[float, float]] = {}  # Until when, and how long that was.
        self._most = most

    def wait(self, station: Hashable, now: float) -> float:
        """Seconds until the station may connect; 0: it may now."""
        until, length = self._pauses.get(station, (0.0, 0.0))
        if until > now:
            return until - now
        if not any(meter.wait(station, now) for meter in self._meters):
            return 0.0
        forgiven = now > until + 2 * length
        length = self._FIRST if forgiven else min(max(2 * length, self._FIRST), self._LONGEST)
        self._pauses.pop(station, None)
        _keep(self._pauses, station, (now + length, length), self._most)
        return length

    def connected(self, station: Hashable, now: float) -> None:
        for meter in self._meters:
            meter.take(station, now)


class Guesses:
    """Logins that failed: so many a minute for an address, and for a station from an address (S2).

    A station is always let try from an address it was let in from before: no guessing elsewhere locks it out.
    """

    def __init__(self, a_minute: int, most: int = 65_536):
        self._by_address = Meter(a_minute / 60, a_minute, most)
        self._by_station = Meter(a_minute / 60, a_minute, most)
        self._usual: dict[Hashable, None] = {}
        self._most = most

    def wait(self, station: Hashable, origin: Origin, now: float) -> float:
        """Seconds until this station may be tried from there; 0: now."""
        if origin.kind == "exempt" or hash((station, origin.key)) in self._usual:
            return 0.0
        of_address = self._by_address.wait(origin.key, now) if origin.kind == "single" else 0.0
        return max(of_address, self._by_station.wait((station, origin.key), now))

    def failed(self, station: Hashable, origin: Origin, now: float) -> None:
        if origin.kind != "exempt":
            self._by_address.take(origin.key, now)
            self._by_station.take((station, origin.key), now)

    def succeeded(self, station: Hashable, origin: Origin) -> None:
        if origin.kind != "exempt":
            usual = hash((station, origin.key))
            self._usual.pop(usual, None)
            _keep(self._usual, usual, None, self._most)


class Contests:
    """Stations whose socket goes to and fro between addresses: more than 3 swaps in 60 s are two devices (N11)."""

    _SWAPS, _WITHIN = 3, 60.0

    def __init__(self, most: int = 4096):
        self._swaps: dict[Hashable, tuple[float, ...]] = {}
        self._most = most

    def swapped(self, station: Hashable, now: float) -> bool:
        """Count a swap between different addresses; whether it was one too many."""
        last = (*self._swaps.pop(station, ()), now)[-self._SWAPS - 1 :]
        _keep(self._swaps, station, last, self._most)
        return len(last) > self._SWAPS and now - last[0] < self._WITHIN


class Origin(NamedTuple):
    """Where a connection comes from: what is counted together, and which limits concern it."""

    key: str
    kind: Literal["exempt", "shared", "single"]


class Origins:
    """Tells where connections come from. Of IPv6 a /64 is one place: whoever has one address there has them all."""

    def __init__(self, exempt: Iterable[str], shared: Iterable[str]):
        self._exempt = [ip_network(text, strict=False) for text in exempt]
        self._shared = [ip_network(text, strict=False) for text in shared]
        self.of = lru_cache(maxsize=65_536)(self._origin)

    def _origin(self, text: str | None) -> Origin:
        try:
            address = ip_address((text or "").partition("%")[0])
        except ValueError:  # No address: a socket of this machine.
            return Origin(text or "", "exempt")
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        # Who is listed as shared is meant so, though it be this machine: then the limit for everybody counts.
        if any(address in network for network in self._shared):
            return Origin(str(address), "shared")
        if any(address in network for network in self._exempt):
            return Origin(str(address), "exempt")
        if isinstance(address, IPv6Address):
            return Origin(str(ip_network((address, 64), strict=False)), "single")
        return Origin(str(address), "single")


class Door:
    """Who may knock: decided by counting, before anything is looked up."""

    def __init__(self, limits: Limits, random: Callable[[], float] = random):
        self.origins = Origins(limits.exempt, limits.shared)
        self.flapping = Flapping(limits.reconnects_hour)
        self.guesses = Guesses(limits.guesses)
        self.contests = Contests()
        # Five seconds' worth at once: what is admitted then is answered within the patience of a station (N8).
        self._everybody = Meter(limits.connects, max(1.0, 5 * limits.connects), 1)
        self._by_address = Meter(limits.connects_address, max(1.0, 5 * limits.connects_address))
        self._most_under_way = limits.handshakes_address
        self._under_way: dict[str, int] = {}
        self._random = random

    def arrived(self, origin: Origin) -> bool:
        """A socket opened, its handshake begins. Whether that is not one too many; `left` must follow either way."""
        count = self._under_way.get(origin.key, 0) + 1
        self._under_way[origin.key] = count
        return not self._most_under_way or origin.kind != "single" or count <= self._most_under_way

    def left(self, origin: Origin) -> None:
        """The handshake is over, whatever came of it."""
        count = self._under_way[origin.key] - 1
        if count:
            self._under_way[origin.key] = count
        else:
            del self._under_way[origin.key]

    def wait(self, origin: Origin, now: float) -> float:
        """Seconds a handshake should be put off; 0: it may go on, and counts."""
        if origin.kind == "exempt":
            return 0.0
        wait = self._by_address.wait(origin.key, now) if origin.kind == "single" else 0.0
        wait = wait or self._everybody.wait(None, now)
        if not wait:
            self._everybody.take(None, now)
            self._by_address.take(origin.key, now)
        return wait

    def retry_after(self, wait: float) -> int:
        """What to tell one who has to wait: at least so long, spread out so that not all come back at once."""
        return math.ceil(max(wait, 1.0) + max(wait, 10.0) * self._random())

    def again(self) -> dict[str, str]:
        """The header that tells when to come back: spread out, so that not all come at once."""
        return {"Retry-After": str(self.retry_after(0.0))}


def room(most: int, in_use: int) -> int:
    """How many sockets of stations fit below a limit of `most` descriptors: files and operators need some, too (N13)."""
    return max(1, most - in_use - min(max(64, most // 20), 1024))
