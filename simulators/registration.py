"""Whether the server has accepted a station: the boot, asked again until it is, and the heartbeats that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from simulators.clock import Handle, cancelled

if TYPE_CHECKING:
    from simulators.station import Station

ASK_AGAIN_AFTER = 5.0  # Real seconds before a boot that got no answer is sent again.
BOOT = "BootNotification"


class Registration:
    """The registration of one station. It outlives its connections and ends with a restart."""

    __slots__ = ("_heartbeat", "_pending", "_station", "accepted", "reason")

    def __init__(self, station: Station):
        self._station = station
        self._heartbeat: Handle | None = None
        self._pending = False
        self.accepted = False
        self.reason = "PowerUp"  # Of the next boot (2.0.1).

    def allows(self, action: str, *, triggered: bool) -> bool:
        """Unregistered: the boot only, and while Pending what a TriggerMessage asks for (1.6 4.2; 2.0.1 B02)."""
        return self.accepted or action == BOOT or (triggered and self._pending)

    def connected(self) -> None:
        if self.accepted:  # A reconnect needs no boot (2.0.1 B01; 1.6-J 3.1).
            self._resume()
        else:
            self.boot()

    def disconnected(self) -> None:
        self._heartbeat = cancelled(self._heartbeat)
        self._pending = False

    def restarted(self) -> None:
        """The next connection begins with a boot."""
        self.accepted = False
        self.reason = "RemoteReset"

    def forgotten(self) -> None:
        """2.0.1 B01.FR.10: the server does not know our registration any more."""
        if self.accepted:
            self.accepted = False
            self.boot()

    # -- the boot --------------------

    def boot(self) -> None:
        self._station.call(self._station.talk.boot(self._station), self._booted)

    def _booted(self, response: msgspec.Struct | None) -> None:
        self._pending = response is not None and response.status == "Pending"
        if response is None:
            if self._station.online:
                self._station.world.clock.later_wall(ASK_AGAIN_AFTER, self._boot_again)
        elif response.status == "Accepted":
            self._accepted(response.interval)
        else:  # Pending, Rejected: ask again after the interval, and say nothing of our own meanwhile.
            self._station.world.clock.later_wall(max(response.interval, 1), self._boot_again)

    def _boot_again(self) -> None:
        if self._station.online and not self.accepted:
            self.boot()

    def _accepted(self, interval: int) -> None:
        station = self._station
        self.accepted = True
        if interval > 0:
            station.settings.change("HeartbeatInterval", str(interval))
        self._resume()
        for outlet in station.outlets:
            outlet.expect_car()
        station.link.expect_outages()

    def _resume(self) -> None:
        """Connected and registered: say how things stand, then what is owed."""
        station = self._station
        station.link.welcomed()
        for status in station.talk.statuses(station, station.stamp()):
            station.call(status)
        for outlet in station.outlets:
            outlet.told()
        cancelled(self._heartbeat)
        self._heartbeat = station.world.clock.later_wall(
            station.settings.heartbeat_interval * station.rng.random(), self._beat
        )
        station.delivery.deliver()

    # -- heartbeats --------------------

    def _beat(self) -> None:
        station = self._station
        station.call(station.talk.heartbeat())
        if station.online:
            self._heartbeat = station.world.clock.later_wall(station.settings.heartbeat_interval, self._beat)
