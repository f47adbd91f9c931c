"""A station that behaves: its outlets, its sessions, and what it does when the server or the run asks.

Its law: what concerns a transaction goes through the mailbox, in order, until it is answered, whatever the
connection does; everything else is told when there is somebody to tell it to.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import msgspec

from csms.ocpp import frames
from csms.ocpp.catalogue import actions
from csms.ocpp.errors import Fault, OcppError
from csms.ocpp.frames import Call
from simulators.calls import Calls, Done
from simulators.connection import Connection
from simulators.delivery import Delivery
from simulators.dice import Dice
from simulators.link import Link
from simulators.mailbox import Kind, Mailbox
from simulators.outlet import Outlet, Phase
from simulators.registration import Registration
from simulators.scenarios import StationPlan
from simulators.session import Reading, Session, Why
from simulators.settings import Settings
from simulators.world import World

RESTART_AFTER = 2.0  # Simulated seconds between the end of the sessions and the restart of a reset.

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Station:
    """One station; the fleet's loop drives it through callbacks only."""

    __slots__ = (
        "_last_stamp", "_reset_when_idle", "calls", "closing", "delivery", "link", "mail", "outlets", "plan",
        "registration", "rng", "sessions", "settings", "talk", "world",
    )  # fmt: skip

    def __init__(self, plan: StationPlan, world: World):
        self.plan = plan
        self.world = world
        self.talk = world.talks[plan.version]
        self.rng = Dice(plan.seed)
        numbers = range(1, plan.outlets + 1)
        self.outlets = tuple([Outlet(self, number, plan.power_w, self.rng.uniform(0, 5_000_000)) for number in numbers])
        self.sessions: list[Session] = []
        self.settings = Settings(plan)
        self.link = Link(self)
        self.calls = Calls(self)
        self.registration = Registration(self)
        self.mail = Mailbox()
        self.delivery = Delivery(self, self.mail)
        self.closing = False
        self._last_stamp = 0
        self._reset_when_idle = False

    # -- the connection --------------------

    @property
    def online(self) -> bool:
        return self.link.up

    def connect(self) -> None:
        self.link.dial()

    def opened(self, connection: Connection) -> None:
        self.link.opened(connection)
        self.calls.begin()
        if self.calls.ever_made:
            self.world.tally.reconnects += 1
        else:
            self.world.tally.ever_connected += 1
        self.registration.connected()

    def lost(self, error: Exception | None) -> None:
        """The connection is gone, or was never made."""
        self.link.lost(error)
        self.calls.drop()
        self.registration.disconnected()
        if not self.closing or len(self.mail):
            self.link.dial_later(error)

    def message(self, data: bytes) -> None:
        call = self.calls.receive(data)
        if call is not None:
            self.link.send(self._answer(call))

    def tick(self, now: float) -> None:
        """Let real time pass."""
        self.calls.tick(now)

    # -- what it says --------------------

    def call(self, request: msgspec.Struct, done: Done | None = None, *, triggered: bool = False) -> None:
        self.calls.call(request, done, triggered=triggered)

    def authorize(self, token: str, then: Callable[[bool], None]) -> None:
        """Ask for a verdict; offline, the station lets people charge."""

        def decided(response: msgspec.Struct | None) -> None:
            then(response is None or self.talk.verdict(response) is not False)

        self.call(self.talk.authorize(token), decided)

    def post(self, session: Session, kind: Kind, message: msgspec.Struct) -> None:
        if self.mail.post(session, kind, message):
            self.world.tally.owed += 1
        self.delivery.deliver()

    # -- the server's calls --------------------

    def _answer(self, call: Call) -> bytes:
        version = self.plan.version
        self.world.tally.commands += 1
        try:
            action = actions(version).get(call.action)
            if action is None:
                raise OcppError(Fault.NOT_IMPLEMENTED, f"{call.action} is no action of OCPP {version}")
            answer = self.talk.answers.get(call.action)
            if answer is None or not action.from_csms:
                raise OcppError(Fault.NOT_SUPPORTED, f"this station does not do {call.action}")
            return frames.call_result(call.id, msgspec.json.encode(answer(self, _decoded(action, call))))
        except OcppError as error:
            return frames.call_error(call.id, error, version)

    def soon(self, do: Callable[..., object], *args: object) -> None:
        """Do something right after the answer to the present call."""
        self.world.clock.later_wall(0.0, do, *args)

    def boot_now(self) -> None:
        if self.online:
            self.registration.boot()

    def beat_now(self) -> None:
        self.call(self.talk.heartbeat(), triggered=True)

    def report_meter(self, outlet: Outlet) -> None:
        reading = outlet.reading()
        session = outlet.session
        if session is None:
            self.call(self.talk.idle_reading(outlet, reading), triggered=True)
        else:
            self.post(session, Kind.METER, self.talk.meter(self, session, reading))

    # -- outlets and sessions --------------------

    def outlet(self, number: int | None) -> Outlet | None:
        """The outlet of that number, or None: there is none."""
        if number is None or not 1 <= number <= len(self.outlets):
            return None
        return self.outlets[number - 1]

    def free_outlet(self) -> Outlet | None:
        """Where a remote start that names no outlet may begin: beside a waiting car first."""
        free = [outlet for outlet in self.outlets if outlet.session is None]
        for phase in (Phase.PREPARING, Phase.AVAILABLE):
            for outlet in free:
                if outlet.phase is phase:
                    return outlet
        return None

    def outlet_charging(self, transaction_id: str) -> Outlet | None:
        for outlet in self.outlets:
            if outlet.session is not None and outlet.session.transaction_id == transaction_id:
                return outlet
        return None

    def new_session(self, outlet: int, token: str | None, begin: Reading, remote_start_id: int | None) -> Session:
        session = Session(len(self.sessions) + 1, outlet, token, begin, remote_start_id=remote_start_id)
        self.sessions.append(session)
        return session

    def deauthorized(self, session: Session) -> None:
        """The server wants no charging with that session's token."""
        if not session.closed:
            self.outlets[session.outlet - 1].stop(Why.DEAUTHORIZED)

    def outlet_freed(self) -> None:
        if self._reset_when_idle and not any(outlet.session for outlet in self.outlets):
            self.reset(Why.SOFT_RESET)

    # -- reset --------------------

    def reset(self, why: Why) -> None:
        """End what runs, hang up, and come back as after a restart."""
        self._reset_when_idle = False
        for outlet in self.outlets:
            if outlet.session is not None:
                outlet.stop(why)
        self.world.clock.later(RESTART_AFTER, self._restart)

    def _restart(self) -> None:
        self.registration.restarted()
        self.link.close()

    def reset_when_idle(self) -> None:
        self._reset_when_idle = True
        self.outlet_freed()

    # -- the end of the run --------------------

    def finish(self, *, end_sessions: bool) -> None:
        """Start nothing new; end what runs if asked; come back online to tell what is owed."""
        self.closing = True
        for outlet in self.outlets:
            outlet.quiet()
            if end_sessions and outlet.session is not None:
                outlet.stop(Why.LOCAL)
        self.link.end_outages()

    @property
    def owes_nothing(self) -> bool:
        """Whether nothing of ours waits for an answer any more."""
        return not len(self.mail) and not self.calls.waiting

    def hang_up(self) -> None:
        self.closing = True
        self.link.hang_up()

    # -- time and ids --------------------

    def stamp(self) -> datetime:
        """The time now, to the millisecond and later than every stamp before."""
        self._last_stamp = max(int(self.world.clock.now() * 1000), self._last_stamp + 1)
        return _EPOCH + timedelta(milliseconds=self._last_stamp)

    def new_transaction_id(self) -> str:
        name = f"{self.world.run}/{self.plan.operator}/{self.plan.identity}/{len(self.sessions)}"
        return str(uuid5(NAMESPACE_OID, name))


def _decoded(action: Any, call: Call) -> msgspec.Struct:
    try:
        return action.decode_request(call.payload)
    except msgspec.ValidationError as error:
        raise OcppError(Fault.TYPE, str(error)) from error
    except msgspec.DecodeError as error:
        raise OcppError(Fault.FORMAT, str(error)) from error
