"""A station's way to its server: dialled, lost, and dialled again after a back-off.

Its law: there is at most one connection, or one attempt at one; in an outage of the scenario's there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.clock import Handle, cancelled
from simulators.connection import Connection, RefusedError

if TYPE_CHECKING:
    from simulators.station import Station

# The defaults of OCPP 2.0.1 (OCPPCommCtrlr.RetryBackOff…, part 4 5.3), in simulated seconds; 1.6 has none of its own.
WAIT_MINIMUM, RANDOM_RANGE, REPEAT_TIMES = 10.0, 10.0, 3
BACK_OFF_FLOOR = 0.1  # Real seconds: a fast clock must not turn back-off into an attack.
BACK_OFF_CAP = 20.0  # Real seconds on a fast clock: the run is short.


class Link:
    """The link of one station."""

    __slots__ = ("_dialling", "_line", "_off", "_outage", "_retry", "_station", "_tries")

    def __init__(self, station: Station):
        self._station = station
        self._line: Connection | None = None
        self._dialling = False
        self._off = False  # In an outage, or hung up: no way to connect.
        self._tries = 0
        self._retry: Handle | None = None
        self._outage: Handle | None = None

    @property
    def up(self) -> bool:
        return self._line is not None

    # -- the connection --------------------

    def dial(self) -> None:
        self._retry = None
        if self._line is None and not self._dialling and not self._off:
            self._dialling = True
            self._station.world.dial(self._station)

    def opened(self, line: Connection) -> None:
        self._dialling = False
        self._line = line
        self._station.world.tally.connection(+1)

    def lost(self, error: Exception | None) -> None:
        """The connection is gone, or was never made."""
        tally = self._station.world.tally
        self._dialling = False
        line, self._line = self._line, None
        if line is not None:
            tally.connection(-1)
            return
        name = str(error.status) if isinstance(error, RefusedError) else type(error).__name__
        tally.refused[name] += 1
        tally.last_refusal = error

    def send(self, data: bytes) -> None:
        self._line.send(data)

    def close(self) -> None:
        """Say goodbye."""
        if self._line is not None:
            self._line.close()

    def cut(self) -> None:
        """Without a goodbye."""
        if self._line is not None:
            self._line.abort()

    # -- back-off --------------------

    def dial_later(self, error: Exception | None) -> None:
        if not self._off:
            self._retry = self._station.world.clock.later_wall(self.back_off(error), self.dial)

    def back_off(self, error: Exception | None) -> float:
        """Real seconds to wait: random, doubling, capped, and at least what the server asked for."""
        clock, rng = self._station.world.clock, self._station.rng
        wait = WAIT_MINIMUM * 2**self._tries + rng.uniform(0, RANDOM_RANGE)
        self._tries = min(self._tries + 1, REPEAT_TIMES)
        wait = max(wait / clock.speed, BACK_OFF_FLOOR)
        if clock.speed > 1:
            wait = min(wait, BACK_OFF_CAP)
        if isinstance(error, RefusedError) and error.retry_after:
            wait = max(wait, error.retry_after * rng.uniform(1.0, 1.2))
        return wait

    def welcomed(self) -> None:
        """The server takes us: the next back-off starts afresh."""
        self._tries = 0

    # -- outages --------------------

    def keep_away(self, seconds: float) -> None:
        """Lose the connection now; for so many real seconds (0: none) there is no way back."""
        self._off = seconds > 0 or self._off
        if seconds > 0:
            self._retry = cancelled(self._retry)
            self._outage = cancelled(self._outage)
            self._outage = self._station.world.clock.later_wall(seconds, self._come_back)
        self.cut()

    def expect_outages(self) -> None:
        """As the scenario has them, from the first registration on."""
        if self._outage is None:
            self._expect_outage()

    def _expect_outage(self) -> None:
        station = self._station
        rate = station.plan.outages_per_hour
        if rate > 0 and not station.closing:
            self._outage = station.world.clock.later(station.rng.expovariate(rate / 3600), self._go_offline)

    def _go_offline(self) -> None:
        """Lose the link for a while; charging goes on."""
        station = self._station
        self._off = True
        self._retry = cancelled(self._retry)
        self.cut()
        self._outage = station.world.clock.later(station.rng.uniform(*station.plan.outage_s), self._come_back)

    def _come_back(self) -> None:
        self._off = False
        self.dial()
        self._expect_outage()

    # -- the end of the run --------------------

    def end_outages(self) -> None:
        """Come back online for good."""
        self._outage = cancelled(self._outage)
        if self._off:
            self._off = False
            self.dial()

    def hang_up(self) -> None:
        """Say goodbye, and do not come back."""
        self._off = True
        self._retry = cancelled(self._retry)
        self.close()
