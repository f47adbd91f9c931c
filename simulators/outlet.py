"""One outlet of a station: cars come, charge and leave.

An outlet is a connector in 1.6 and an EVSE with one connector in 2.0.1. It has at most one car, one session
and one timer: what it waits for next.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from simulators.car import Car, arriving_car
from simulators.clock import Handle, cancelled
from simulators.mailbox import Kind
from simulators.session import Reading, Session, Why

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.station import Station


class Phase(StrEnum):
    """What an outlet is doing, in the words of 1.6, which has one for each."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    FINISHING = "Finishing"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


# Simulated seconds between one thing and the next, as people and plugs take them.
CARD_AFTER = (3.0, 20.0)
REMOTE_PLUG_AFTER = (1.0, 3.0)
FULL_CAR_LEAVES_AFTER = (60.0, 600.0)
UNPLUG_AFTER = (10.0, 90.0)
REPAIR_AFTER = (120.0, 900.0)
FIRST_CAR_WITHIN = 60.0


class Outlet:
    """A place to charge. Its register counts Wh and never falls."""

    __slots__ = (
        "_charged_at", "_fails_at_wh", "_timer", "_told", "_wanted_wh", "_wh",
        "car", "error", "number", "operative", "phase", "power_w", "session", "station",
    )  # fmt: skip

    def __init__(self, station: Station, number: int, power_w: float, register_wh: float):
        self.station = station
        self.number = number
        self.power_w = power_w
        self.phase = Phase.AVAILABLE
        self.error = "NoError"
        self.operative = True
        self.car: Car | None = None
        self.session: Session | None = None
        self._wh = register_wh
        self._charged_at = 0.0
        self._wanted_wh = 0.0
        self._fails_at_wh: float | None = None
        self._timer: Handle | None = None
        self._told: str | None = None  # The status the server was last told.

    # -- cars --------------------

    def expect_car(self) -> None:
        """Wait for the next car, if any come to this station."""
        station, demand = self.station, self.station.world.demand
        rate = station.plan.sessions_per_hour * demand.peak
        if rate <= 0 or station.closing or self.phase is not Phase.AVAILABLE:
            return
        if not station.sessions and station.rng.random() < station.plan.busy_share * demand.at(
            station.world.clock.now()
        ):
            self._next(station.rng.uniform(0, FIRST_CAR_WITHIN), self._car_arrives)
        else:
            self._next(station.rng.expovariate(rate / 3600), self._car_may_arrive)

    def _car_may_arrive(self) -> None:
        """Cars are drawn at the rate of the busiest hour, and thinned out at others."""
        demand = self.station.world.demand
        if self.station.rng.random() * demand.peak < demand.at(self.station.world.clock.now()):
            self._car_arrives()
        else:
            self.expect_car()

    def _car_arrives(self) -> None:
        self._plug_in()
        if self.station.plan.starts_on_plug:
            self._begin(None)
        self._next(self._between(CARD_AFTER), self._present_card)

    def _present_card(self) -> None:
        token = self.station.rng.choice(self.station.world.tokens)
        self.station.authorize(token, lambda accepted: self._authorized(token, accepted))

    def _authorized(self, token: str, accepted: bool) -> None:
        if not self._still_waits():
            return
        if not accepted:
            if self.session is not None:
                self.stop(Why.DEAUTHORIZED)
            else:
                self._next(self._between(UNPLUG_AFTER), self._unplug)
        elif self.session is None:
            self._begin(token)
        else:
            self._join(token)

    def _unplug(self) -> None:
        self.car = None
        self._enter(Phase.AVAILABLE if self.operative else Phase.UNAVAILABLE)
        self.station.outlet_freed()
        self.expect_car()

    def _still_waits(self) -> bool:
        """Whether an answer about a token still finds the outlet as it was when asking."""
        return self.phase is Phase.PREPARING and self._timer is None and not self.station.closing

    # -- the server's wishes --------------------

    def start_remotely(self, token: str, remote_start_id: int | None = None) -> bool:
        """Honour a remote start: True when a session with that token will follow."""
        if self.session is not None or self.phase not in (Phase.AVAILABLE, Phase.PREPARING):
            return False
        self._next(self._between(REMOTE_PLUG_AFTER), self._remote_start, token, remote_start_id)
        return True

    def _remote_start(self, token: str, remote_start_id: int | None) -> None:
        if self.car is None:
            self._plug_in()
        if not self.station.settings.authorizes_remote_starts:
            self._begin(token, remote_start_id)
            return
        self.station.authorize(token, lambda ok: self._remote_authorized(token, remote_start_id, ok))

    def _remote_authorized(self, token: str, remote_start_id: int | None, accepted: bool) -> None:
        if not self._still_waits():
            return
        if accepted:
            self._begin(token, remote_start_id)
        else:
            self._next(self._between(UNPLUG_AFTER), self._unplug)

    def set_operative(self, operative: bool) -> bool:
        """Take the outlet in or out of service; False when that waits for the end of a session."""
        self.operative = operative
        if self.session is not None:
            return False
        if not operative and self.phase is Phase.AVAILABLE:
            self._cancel()
            self._enter(Phase.UNAVAILABLE)
        elif operative and self.phase is Phase.UNAVAILABLE:
            self._enter(Phase.AVAILABLE)
            self.expect_car()
        return True

    # -- the session --------------------

    def _plug_in(self) -> None:
        rng, plan = self.station.rng, self.station.plan
        self.car = arriving_car(rng, dc=plan.dc)
        self._wanted_wh = plan.wanted_wh(rng)
        self._fails_at_wh = rng.uniform(0, self._wanted_wh) if rng.random() < plan.fault_share else None
        self._enter(Phase.PREPARING)

    def _begin(self, token: str | None, remote_start_id: int | None = None) -> None:
        self._charged_at = self.station.world.clock.now()
        reading = self._read("Transaction.Begin")
        self.session = self.station.new_session(self.number, token, reading, remote_start_id)
        self._post(Kind.BEGIN, self.station.talk.begin)
        if token is not None:
            self._charge()

    def _join(self, token: str) -> None:
        """A session that began with the plug learns its token (2.0.1)."""
        self.session.token = token
        at = self.station.stamp()
        self._post(Kind.METER, lambda station, session: self.station.talk.authorized(station, session, at))
        self._charged_at = self.station.world.clock.now()
        self._charge()

    def _charge(self) -> None:
        self._enter(Phase.CHARGING)
        self._next(self.station.settings.meter_interval, self._sample)

    def _sample(self) -> None:
        """The meter's tick: tell the reading, and see whether the car or the driver has had enough."""
        reading = self._read("Sample.Periodic")
        if self._fails_at_wh is not None and self.car.taken_wh >= self._fails_at_wh:
            self.fail("GroundFailure")
        elif self.car.taken_wh >= self._wanted_wh:
            self.stop(Why.LOCAL)
        elif self.car.full:
            self._post(Kind.METER, lambda st, se: st.talk.suspended(st, se, reading))
            self._enter(Phase.SUSPENDED_EV)
            self._next(self._between(FULL_CAR_LEAVES_AFTER), self.stop, Why.EV_DISCONNECTED)
        else:
            self._post(Kind.METER, lambda st, se: st.talk.meter(st, se, reading))
            self._next(self.station.settings.meter_interval, self._sample)

    def stop(self, why: Why) -> None:
        """End the session; the car leaves a little later."""
        self._end(why)
        self._enter(Phase.FINISHING)
        if why is Why.EV_DISCONNECTED:
            self._unplug()
        else:
            self._next(self._between(UNPLUG_AFTER), self._unplug)

    def fail(self, error: str) -> None:
        """A fault: what runs is ended, and the outlet is out of order until repaired."""
        if self.session is not None:
            self._end(Why.FAULT)
        self.error = error
        self._enter(Phase.FAULTED)
        self._next(self._between(REPAIR_AFTER), self._repaired)

    def _repaired(self) -> None:
        self.error = "NoError"
        self._unplug()

    def _end(self, why: Why) -> None:
        self._cancel()
        session = self.session
        session.end = self._read("Transaction.End")
        session.why = why
        self._post(Kind.END, self.station.talk.end)
        self.session = None

    def reading(self, context: str = "Trigger") -> Reading:
        """The meter now, for a server that asks."""
        return self._read(context)

    def _read(self, context: str) -> Reading:
        station, car = self.station, self.car
        now = station.world.clock.now()
        dc = station.plan.dc
        power, soc = 0.0, None
        if car is not None:
            if self.phase is Phase.CHARGING:
                self._wh += car.charge(now - self._charged_at, self.power_w, dc=dc)
                power = car.power(self.power_w, dc=dc)
            self._charged_at = now
            soc = car.soc * 100 if dc else None
        return Reading(station.stamp(), int(self._wh), power, soc, context)

    # -- small words --------------------

    def tell_status(self, *, anyway: bool = False) -> None:
        """Tell it where it changed; anyway: the server asked."""
        word = self.station.talk.status_word(self)
        if anyway or word != self._told:
            self.station.call(self.station.talk.status(self, self.station.stamp()), triggered=anyway)
            self._told = word if self.station.online else None

    def told(self) -> None:
        """The station has just told every status."""
        self._told = self.station.talk.status_word(self)

    def quiet(self) -> None:
        """No car comes any more, and one that has not begun will not."""
        if self.session is None and self.phase in (Phase.AVAILABLE, Phase.PREPARING):
            self._cancel()

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.tell_status()

    def _post(self, kind: Kind, word: Callable) -> None:
        message = word(self.station, self.session)
        if message is not None:
            self.station.post(self.session, kind, message)

    def _between(self, span: tuple[float, float]) -> float:
        return self.station.rng.uniform(*span)

    def _next(self, seconds: float, do: Callable, *args: object) -> None:
        self._cancel()
        self._timer = self.station.world.clock.later(seconds, self._due, do, args)

    def _due(self, do: Callable, args: tuple) -> None:
        self._timer = None
        do(*args)

    def _cancel(self) -> None:
        self._timer = cancelled(self._timer)
