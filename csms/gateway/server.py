"""Accepts stations: handshake, admission, which socket speaks for a station, liveness, and the end of it all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from time import monotonic
from typing import Any, NamedTuple, Protocol

import structlog
from websockets.http11 import Request

from csms.blocks.dispatch import Policy
from csms.domain.credentials import Vault
from csms.domain.events import StationDisconnected
from csms.domain.ports import Outdated, StorageUnavailable
from csms.domain.stations import Station
from csms.domain.unit import Unit
from csms.gateway.admission import (
    Address,
    NoCommonVersion,
    Refused,
    address_of,
    chosen_version,
    too_often,
)  # fmt: skip
from csms.gateway.handshake import accepted, read, refused, unspoken
from csms.gateway.limits import Door, Limits, Origin
from csms.gateway.link import Link
from csms.gateway.listener import Listener
from csms.gateway.proof import Proof
from csms.gateway.proxies import Proxies
from csms.gateway.tls import Tls
from csms.gateway.trail import Trail
from csms.gateway.unfinished import Unfinished
from csms.ocpp.catalogue import Version, actions
from csms.storage.records import Records

log = structlog.get_logger()

_SWEEP = 1.0  # s between looks at deadlines and liveness
_AT_ONCE = 4_000  # Links that are looked at; where there are more, they take turns (16,000: each every 4 s).
_FIRST_WORD = 0.2  # s a newcomer's first message is waited for: it tells of its coming in the same commit
_FAREWELL = 1.0  # s for the last words to arrive, once everything is done
_TELL = 10.0  # s between lines about limits that were exceeded


class Overdue(Protocol):
    """Something a station waits for, and what to do when it takes too long."""

    def overdue(self) -> None: ...


@dataclass
class Gateway:
    """All stations of this process. Newest authenticated socket wins; a late close of an old one changes nothing."""

    records: Records
    vault: Vault
    policy: Policy = field(default_factory=Policy)
    limits: Limits = field(default_factory=Limits)
    versions: tuple[Version, ...] = (Version.V16, Version.V201)
    register: Callable[[Address], Awaitable[None]] | None = None  # Set: unknown stations are taken in.
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    base: str = "/ocpp"
    ready: Callable[[int], None] = lambda station_id: None  # A station has come, or its boot was answered.
    # The answer to a message of the station is given, and there is something to ask of it because of that message.
    follow_up: Callable[[Station, Callable[[], Awaitable[Any]]], None] = lambda station, make: None
    stations: dict[int, Station] = field(default_factory=dict)
    handshakes: dict[Link, Origin] = field(default_factory=dict)
    turns: dict[int, Overdue] = field(default_factory=dict)  # What is under way for each busy station that waits.
    floods: dict[Link, float] = field(default_factory=dict)  # Who sends too fast, and since when.
    refused: dict[int, int] = field(default_factory=dict)  # How often each HTTP status was answered.
    messages: dict[str, int] = field(init=False)  # How many calls of each known action were taken.
    trail: Trail = field(default_factory=Trail)
    strict: bool = False  # For all stations: nothing is repaired.
    assume_16: bool = False  # Who names no subprotocol at all speaks 1.6.
    finish_unspoken: bool = False  # Without a common version: shake hands, then close (the specification's way).
    organization: str | None = None  # What certificates of stations have to name; None: anything.
    revoked: Callable[[str], bool] = lambda serial: False  # Whether a certificate of ours holds no longer.
    hide_unknown: bool = False  # An unknown station is answered as one whose password is wrong.
    proxies: Proxies = field(default_factory=Proxies)  # Whose headers are believed.
    compression: bool = True
    uncompressed: tuple[str, ...] = ()  # Stations that get no permessage-deflate: identities, with * and ? (T75).
    port: int = 0

    def __post_init__(self) -> None:
        self.messages = {name: 0 for version in self.versions for name, action in actions(version).items()
                         if action.from_station}  # fmt: skip
        self.door = Door(self.limits)
        self.proof = Proof(self)
        self.listener = Listener(lambda: Link(self), self.limits.sockets)
        self._limited: Counter[tuple[str, str]] = Counter()  # What was exceeded, from where: since it was told last.
        self._told_at = 0.0
        self._awaited: dict[int, tuple[Overdue, float]] = {}  # The turns that were under way, and since when.
        self._unfinished = Unfinished()
        self._admissions: set[asyncio.Task] = set()
        self._left: dict[int, float] = {}  # Which stations were let go lately, and when.
        self._sweeper: asyncio.Task | None = None
        self._sweeps = 0
        self.stopping = False

    async def start(self, host: str, port: int, *, reuse_port: bool = False) -> None:
        self.port = await self.listener.start(host, port, backlog=self.limits.backlog, reuse_port=reuse_port)
        self._sweeper = asyncio.create_task(self._sweep(), name="gateway-sweeper")

    async def start_tls(self, host: str, port: int, tls: Tls, *, reuse_port: bool = False) -> int:
        """A port for stations of security profile 2 (or 3, where they have to show a certificate); returns it."""
        return await self.listener.start(host, port, backlog=self.limits.backlog, reuse_port=reuse_port, tls=tls)

    async def stop(self) -> None:
        """Take nothing new, finish the answers under way, then close every conversation with 1012."""
        self.stopping = True
        self.listener.close()
        for station in self.stations.values():
            if station.link is not None:
                station.link.drop_waiting()
        until = monotonic() + self.limits.drain
        while any(station.busy for station in self.stations.values()) and monotonic() < until:
            await asyncio.sleep(0.01)
        for link in self._links():
            link.close(1012, "service restart")
        for link in list(self.handshakes):
            link.abort()
        while (self.stations or self.handshakes) and monotonic() < until:
            await asyncio.sleep(0.01)
        until = min(until, monotonic() + _FAREWELL)
        while self.listener.open and monotonic() < until:
            await asyncio.sleep(0.01)
        if self._sweeper is not None:
            self._sweeper.cancel()

    def link_of(self, station_id: int) -> Link | None:
        """The conversation a station is reached by now."""
        station = self.stations.get(station_id)
        return station.link if station is not None else None

    def is_here(self, station_id: int) -> bool:
        return self.link_of(station_id) is not None

    def station_changed(self, station_id: int, changes: dict[str, Any]) -> None:
        """An operator changed a station: a connected one follows at once."""
        station = self.stations.get(station_id)
        if station is not None:
            station.admission = changes.get("admission", station.admission)
            station.strict = self.strict or changes.get("strict", station.strict)

    def certificate_revoked(self, station_id: int, serial: str) -> None:
        """The station that came in with it has to leave, and cannot come back with it."""
        link = self.link_of(station_id)
        if link is not None and link.certificate is not None and link.certificate.serial == serial:
            link.close(1008, "the certificate was revoked")

    def let_go(self, station: Station) -> None:
        """Another node speaks for the station by now: its socket here ends, and nothing is told of that."""
        if self.stations.get(station.id) is station:
            del self.stations[station.id]
        if station.link is not None:
            log.info("station.moved", **_facts(station))
            station.link.close(1000, "replaced by a newer connection")

    def let_all_go(self) -> None:
        """This node holds none of them any longer: they are to come again, here or elsewhere."""
        for link in self._links():
            link.close(1012, "service restart")

    @property
    def connected(self) -> int:
        return sum(station.link is not None for station in self.stations.values())

    # Admission.

    def arrived(self, link: Link) -> bool:
        """A socket was accepted; whether its handshake may begin. `shaken` and `departed` follow either way."""
        origin = self.handshakes[link] = self.door.origins.of(link.address)
        welcome = self.door.arrived(origin)
        if not welcome:
            self._limited["handshakes_address", origin.key] += 1
        return self.listener.entered() and welcome

    def shaken(self, link: Link) -> None:
        """The handshake is over, whatever came of it."""
        origin = self.handshakes.pop(link, None)
        if origin is not None:
            self.door.left(origin)

    def departed(self, link: Link) -> None:
        self.shaken(link)
        self.listener.left()

    def admit(self, link: Link, head: bytes) -> None:
        origin = self.handshakes[link]
        wait = self.door.wait(origin, monotonic())
        if wait:
            self._refuse(link, too_often(503, "connects", self.door.retry_after(wait)), None)
            return
        task = asyncio.create_task(self._admit(link, head, origin), name="admission")
        self._admissions.add(task)
        task.add_done_callback(self._admissions.discard)

    async def _admit(self, link: Link, head: bytes, origin: Origin) -> None:
        address: Address | None = None
        begun = monotonic()
        try:
            if self.stopping or self.records.failing:
                raise Refused(503, "The service is not available at the moment.", self.door.again())
            request = read(head)
            address = address_of(request.path, self.base)
            if self.proxies.look_behind(link, request.headers):
                origin = self.door.origins.of(link.address)
            self._check_frequency(address, origin)
            async with asyncio.timeout(self.limits.handshake):  # Else admissions gather while the storage hangs.
                known, proven = await self.proof.of(address, request, link)
                if known.password_hash is not None and link.profile < 3:
                    self.door.guesses.succeeded(address, origin)
                version, spelling = chosen_version(request.headers, self.versions, assume_16=self.assume_16)
                while self._left.get(known.id, 0.0) >= begun:  # What was read may be older than its last work here.
                    begun = monotonic()
                    known = await self.records.known(known.operator, known.identity) or known
                station = await self.records.station(known, self.stations.get(known.id))
                if proven:
                    await self.records.station_proven(known, proven)
            station.quirk = self.policy.quirks.of(known.vendor, known.model, known.firmware, known.identity)
            if not link.lost:
                self._open(link, station, version, request, spelling)
                if origin.kind != "exempt":
                    self.door.flapping.connected(address, monotonic())
        except NoCommonVersion as refusal:
            self._refuse(link, refusal, address, unspoken(request) if self.finish_unspoken else None)
        except Refused as refusal:
            if refusal.status in (401, 403, 404) and address is not None:
                self.door.guesses.failed(address, origin, monotonic())
            self._refuse(link, refusal, address)
        except (StorageUnavailable, TimeoutError) as error:
            log.error("handshake.failed", station=address and address.identity, error=str(error) or "the storage hangs")
            self._refuse(link, Refused(503, "Try again later.", self.door.again()), address)
        except Exception:
            log.exception("handshake.failed", station=address and address.identity)
            self._refuse(link, Refused(503, "Try again later.", self.door.again()), address)

    def _check_frequency(self, address: Address, origin: Origin) -> None:
        now = monotonic()
        wait = self.door.guesses.wait(address, origin, now)
        if wait:
            raise too_often(429, "guesses", self.door.retry_after(wait))
        wait = self.door.flapping.wait(address, now) if origin.kind != "exempt" else 0.0
        if wait:
            raise too_often(503, "reconnects", self.door.retry_after(wait))

    def _open(self, link: Link, station: Station, version: Version, request: Request, spelling: str | None) -> None:
        compressed = self.compression and not any(fnmatchcase(station.identity, name) for name in self.uncompressed)
        response, deflate = accepted(request, spelling, compression=compressed)
        current = self.stations.setdefault(station.id, station)
        if current.epoch < station.epoch:  # Another node had it meanwhile: what we knew is outdated.
            self.let_go(current)
            self.stations[station.id] = current = station
        station = current
        station.strict = station.strict or self.strict
        old, station.link = station.link, link
        station.common_name = link.certificate.common_name if link.certificate is not None else None
        station.boot_told = None  # It may have restarted.
        link.open(response, station, version, deflate=deflate, max_size=self.limits.max_size(version))
        if old is not None:
            self._replace(old, link)
        self.turn_ended(station)

    def _replace(self, old: Link, new: Link) -> None:
        facts, addresses = _facts(new.station), [old.address, new.address]
        log.warning("station.replaced", **facts, address=new.address, remedy="two devices, one identity?")
        if addresses[0] != addresses[1] and self.door.contests.swapped(new.station.id, monotonic()):
            remedy = (
                "two devices use one identity: find the wrong one by its address, and give the station a new password"
            )
            log.warning("station.contested", **facts, addresses=addresses, remedy=remedy)
        old.close(1000, "replaced by a newer connection")

    def _refuse(self, link: Link, refusal: Refused, address: Address | None, answer: bytes | None = None) -> None:
        self.refused[refusal.status] = self.refused.get(refusal.status, 0) + 1
        facts = {"operator": address.operator, "station": address.identity} if address else {}
        if refusal.limit is not None:
            self._limited[refusal.limit, link.address or ""] += 1
        else:
            log.warning(
                "handshake.refused", status=refusal.status, reason=refusal.reason, address=link.address, **facts
            )
        if not link.lost:
            link.refuse(answer or refused(refusal))

    # Turns and ends.

    def turn_ended(self, station: Station) -> None:
        """The station has nothing under way: tell of its coming or going, or let it go on."""
        link = station.link
        if station.busy:
            return
        if link is None:
            self._tell(station, station_gone(station, self.clock(), "connection lost"), gone=True)
        elif link.announced or link.has_waiting:
            link.pump()
        else:
            asyncio.get_running_loop().call_later(_FIRST_WORD, self._introduce, link)

    def _introduce(self, link: Link) -> None:
        """Tell of a station's coming, if it has said nothing that could tell of it."""
        station = link.station
        if station.link is link and not station.busy and not link.announced:
            unit = Unit(station, self.clock())
            link.introduce(unit)
            link.announced = True
            self._tell(station, unit, gone=False)

    def link_lost(self, link: Link, reason: str) -> None:
        station = link.station
        if station.link is not link:
            return  # A newer socket speaks for the station already.
        station.link = None
        if not station.busy:
            self._tell(station, station_gone(station, self.clock(), reason), gone=True)

    def _tell(self, station: Station, unit: Unit, *, gone: bool) -> None:
        station.busy = True
        self.turns[station.id] = _Telling(station)

        def kept(commit: asyncio.Future[None]) -> None:
            station.busy = False
            self.turns.pop(station.id, None)
            error = commit.exception()
            if error is not None and not isinstance(error, Outdated):
                log.error("station.connection_not_stored", **_facts(station), error=str(error))
            if gone and station.link is None:
                if self.stations.get(station.id) is station:
                    del self.stations[station.id]
                self._left[station.id] = monotonic()
            elif error is not None and station.link is not None:
                station.link.close(1013, "try again later")
            else:
                self.turn_ended(station)
                if not gone:
                    self.ready(station.id)

        self.records.commit(unit).add_done_callback(kept)

    # Time.

    def _links(self) -> list[Link]:
        return [station.link for station in self.stations.values() if station.link is not None]

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            now = monotonic()
            for link in [link for link in self.handshakes if now - link.heard_at > self.limits.handshake]:
                link.abort()
            links = self._links()
            portions = -(-len(links) // _AT_ONCE) or 1
            links = links[self._sweeps % portions :: portions]
            self._sweeps += 1
            for link in links:
                try:
                    self._look_after(link, now)
                except Exception:  # One link's trouble must not end the watch over all others.
                    log.exception("station.not_looked_after", **_facts(link.station))
            self._await_turns(now)
            self._await_messages(links, now)
            self._end_floods(now)
            self._left = {station: at for station, at in self._left.items() if now - at < 2 * self.limits.handshake}
            self._tell_limited(now)
            await self.listener.look()

    def _await_turns(self, now: float) -> None:
        """Every call is answered, or its conversation ended, by a deadline: also when the storage hangs (T66)."""
        before, self._awaited = self._awaited, {}
        for station, turn in list(self.turns.items()):
            known, since = before.get(station, (None, now))
            if known is not turn:
                since = now
            elif now - since > self.limits.answer:
                since = now  # Who comes again meanwhile has as long.
                turn.overdue()
            self._awaited[station] = turn, since

    def _await_messages(self, links: list[Link], now: float) -> None:
        """A message must end some time: else fragments and drips keep what they filled (N5)."""
        for link in self._unfinished.overdue(links, now, self.limits.message):
            log.warning("station.message_unfinished", **_facts(link.station))
            link.close(1008, "the message was not finished in time")

    def _end_floods(self, now: float) -> None:
        for link, since in list(self.floods.items()):
            if link.lost or link.is_calm(now):
                del self.floods[link]
            elif now - since > self.limits.flood:
                del self.floods[link]
                log.warning("station.flood", **_facts(link.station), address=link.address, seconds=round(now - since))
                link.close(1008, "too many messages")

    def _tell_limited(self, now: float) -> None:
        if self._limited and now - self._told_at >= _TELL:
            most = [{"limit": limit, "address": address, "times": times}
                    for (limit, address), times in self._limited.most_common(5)]  # fmt: skip
            log.warning(
                "handshakes.limited", times=self._limited.total(), most=most, remedy="limits: rate_… in csms.toml"
            )
            self._limited.clear()
            self._told_at = now

    def _look_after(self, link: Link, now: float) -> None:
        limits = self.limits
        link.tick(now)
        if link.stalled_at:
            if now - link.stalled_at > limits.stalled:
                log.warning("station.does_not_read", **_facts(link.station))
                link.abort()
        elif not link.listening:
            link.pinged_at = 0.0  # We let it wait: its silence is ours.
        elif link.pinged_at:
            if now - link.pinged_at > limits.pong_deadline:
                log.warning("station.silent", **_facts(link.station))
                link.abort()
        elif limits.ping_interval and now - link.heard_at > limits.ping_interval:
            link.ping(now)


class _Telling(NamedTuple):
    """A station's coming or going, on its way to the disk; its messages wait for that."""

    station: Station

    def overdue(self) -> None:
        log.error("station.connection_overdue", **_facts(self.station), remedy="the storage hangs: look at the disk")
        if self.station.link is not None:
            self.station.link.close(1013, "try again later")


def station_gone(station: Station, now: datetime, reason: str) -> Unit:
    unit = Unit(station, now)
    unit.connection = now
    unit.events.append(StationDisconnected(at=now, reason=reason))
    return unit


def _facts(station: Station) -> dict[str, str]:
    return {"operator": station.operator, "station": station.identity}
