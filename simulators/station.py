"""A station that behaves: it connects, boots, reports, charges, obeys, and tells what it owes.

Its law: what concerns a transaction goes through the mailbox, in order, until it is answered, whatever the
connection does; everything else is told when there is somebody to tell it to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import msgspec

from csms.ocpp import frames
from csms.ocpp.catalogue import Version, actions
from csms.ocpp.errors import Fault, OcppError
from csms.ocpp.frames import Call
from csms.ocpp.peer import Answered, Dropped, Expired, Malformed, Outcome, Peer, Pending, QueueFull, Refused
from simulators import settings
from simulators.clock import Handle
from simulators.connection import Connection, RefusedError
from simulators.ledger import Ledger
from simulators.mailbox import Kind, Letter, Mailbox
from simulators.outlet import Outlet, Phase
from simulators.scenarios import StationPlan
from simulators.session import Reading, Session, Why
from simulators.talk import Talk
from simulators.tally import Tally

ATTEMPTS = 3  # How often a message is sent again that the server answers with an error.
RETRY_AFTER = 5.0  # Real seconds before a message that got no answer, or an error, is sent again; grows.
RESTART_AFTER = 2.0  # Simulated seconds between the end of the sessions and the restart of a reset.
BACK_OFF = (5.0, 300.0)  # First and longest wait before a reconnect: simulated seconds, doubling.
BACK_OFF_FLOOR = 0.1  # Real seconds: a fast clock must not turn back-off into an attack.
BACK_OFF_CAP = 20.0  # Real seconds on a fast clock: the run is short.

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.encode
Done = Callable[["msgspec.Struct | None"], None]


@dataclass(slots=True)
class World:
    """What the stations of a run share."""

    clock: Any  # Clock, or a hand-wound one in tests.
    dial: Callable[[Station], None]  # Open a connection and tell the station how it goes.
    talks: dict[Version, Talk]
    tokens: list[str]
    tally: Tally
    ledger: Ledger | None = None
    timeout: float = 30.0  # Real seconds a call waits for its answer.
    run: str = "0"  # In ids, so that two runs never use the same.


class Station:
    """One station; the fleet's loop drives it through callbacks only."""

    __slots__ = (
        "_changed", "_connecting", "_heartbeat", "_last_stamp", "_line", "_messages", "_off", "_outage",
        "_peer", "_reset_due", "_retry", "_tries", "boot_reason", "closing", "mail", "outlets", "plan",
        "registered", "rng", "sessions", "talk", "world",
    )  # fmt: skip

    def __init__(self, plan: StationPlan, world: World):
        self.plan = plan
        self.world = world
        self.talk = world.talks[plan.version]
        self.rng = Random(plan.seed)
        self.outlets = [
            Outlet(self, number, plan.power_w, self.rng.uniform(0, 5_000_000))
            for number in range(1, plan.outlets + 1)
        ]
        self.sessions: list[Session] = []
        self.mail = Mailbox()
        self.registered = False
        self.closing = False
        self.boot_reason = "PowerUp"
        self._line: Connection | None = None
        self._peer: Peer | None = None
        self._changed: dict[str, str] = {}
        self._messages = 0
        self._last_stamp = 0
        self._tries = 0
        self._connecting = False
        self._off = False  # In an outage of the scenario's: no way to connect.
        self._reset_due: str | None = None
        self._retry: Handle | None = None
        self._heartbeat: Handle | None = None
        self._outage: Handle | None = None

    # -- connecting --------------------

    @property
    def online(self) -> bool:
        return self._line is not None

    def connect(self) -> None:
        self._retry = None
        if self._line is None and not self._connecting and not self._off:
            self._connecting = True
            self.world.dial(self)

    def opened(self, connection: Connection) -> None:
        self._connecting = False
        self._line = connection
        self._peer = Peer(self.plan.version)
        tally = self.world.tally
        tally.connection(+1)
        if self._messages:
            tally.reconnects += 1
        else:
            tally.ever_connected += 1
        if self.registered:  # A reconnect needs no boot (2.0.1 B01; 1.6-J 3.1).
            self._resume()
        else:
            self._boot()

    def lost(self, error: Exception | None) -> None:
        """The connection is gone, or was never made."""
        self._connecting = False
        line, self._line = self._line, None
        peer, self._peer = self._peer, None
        if line is not None:
            self.world.tally.connection(-1)
        else:
            self._note_refusal(error)
        if peer is not None:
            peer.close()
        self._heartbeat = _cancelled(self._heartbeat)
        if not self._off and (not self.closing or len(self.mail)):
            self._retry = self.world.clock.later_wall(self._back_off(error), self.connect)

    def _note_refusal(self, error: Exception | None) -> None:
        tally = self.world.tally
        name = str(error.status) if isinstance(error, RefusedError) else type(error).__name__
        tally.refused[name] += 1
        tally.last_refusal = error

    def _back_off(self, error: Exception | None) -> float:
        """Real seconds to wait: random, doubling, capped, and at least what the server asked for."""
        clock = self.world.clock
        first, longest = BACK_OFF
        wait = min(first * 2**self._tries, longest) / clock.speed
        self._tries = min(self._tries + 1, 10)
        wait = max(self.rng.uniform(0.5, 1.5) * wait, BACK_OFF_FLOOR)
        if clock.speed > 1:
            wait = min(wait, BACK_OFF_CAP)
        if isinstance(error, RefusedError) and error.retry_after:
            wait = max(wait, error.retry_after * self.rng.uniform(1.0, 1.2))
        return wait

    def tick(self, now: float) -> None:
        """Let real time pass: a call without an answer expires."""
        if self._peer is None or self._peer.waiting is None:
            return
        expired, following = self._peer.tick(now)
        if following is not None:
            self._line.send(following)
        if expired and self._line is not None and self._peer.waiting is None:
            self._line.abort()  # Nothing else is under way: the link is probably dead, so take a new one.

    # -- boot and heartbeat --------------------

    def _boot(self) -> None:
        self.call(self.talk.boot(self), self._booted)

    def _booted(self, response: msgspec.Struct | None) -> None:
        if response is None:
            if self.online:
                self.world.clock.later_wall(RETRY_AFTER, self._boot_again)
        elif response.status == "Accepted":
            self._accepted(response.interval)
        else:  # Pending, Rejected: ask again after the interval, and say nothing else meanwhile.
            self.world.clock.later_wall(max(response.interval, 1), self._boot_again)

    def _boot_again(self) -> None:
        if self.online and not self.registered:
            self._boot()

    def _accepted(self, interval: int) -> None:
        self.registered = True
        self._tries = 0
        if interval > 0:
            self._changed["HeartbeatInterval"] = str(interval)
        self._resume()
        for outlet in self.outlets:
            outlet.expect_car()
        if self._outage is None:
            self._expect_outage()

    def _resume(self) -> None:
        """Connected and registered: say how things stand, then what is owed."""
        self._tries = 0
        at = self.stamp()
        for status in self.talk.statuses(self, at):
            self.call(status)
        for outlet in self.outlets:
            outlet.told()
        interval = self.heartbeat_interval
        _cancelled(self._heartbeat)
        self._heartbeat = self.world.clock.later_wall(interval * self.rng.random(), self._beat)
        self._deliver()

    def _beat(self) -> None:
        self.call(self.talk.heartbeat())
        if self.online:
            self._heartbeat = self.world.clock.later_wall(self.heartbeat_interval, self._beat)

    # -- calls of ours --------------------

    def call(self, request: msgspec.Struct, done: Done | None = None) -> None:
        """Ask the server; `done` gets the response, or None where none came. Unregistered: boot only."""
        name = type(request).__name__
        if self._peer is None or (not self.registered and name != "BootNotification"):
            if done is not None:
                done(None)
            return
        decode = actions(self.plan.version)[name].decode_response

        def settled(outcome: Outcome) -> None:
            response = self._response(outcome, decode)
            if done is not None:
                done(response)

        self._send(self._new_id(), name, _encode(request), settled)

    def authorize(self, token: str, then: Callable[[bool], None]) -> None:
        """Ask for a verdict; offline, the station lets people charge."""

        def decided(response: msgspec.Struct | None) -> None:
            then(response is None or self.talk.verdict(response) is not False)

        self.call(self.talk.authorize(token), decided)

    def _send(self, message_id: str, action: str, payload: bytes, settled: Callable[[Outcome], None]) -> None:
        clock, tally = self.world.clock, self.world.tally

        def timed(outcome: Outcome) -> None:
            if isinstance(outcome, Answered | Refused):
                tally.took(clock.wall() - (pending.deadline - pending.timeout))
                if isinstance(outcome, Refused):
                    tally.errors[outcome.code] += 1
            elif isinstance(outcome, Expired) or outcome.sent:
                tally.unanswered += 1
            settled(outcome)

        pending = Pending(message_id, action, payload, self.world.timeout, timed)
        try:
            data = self._peer.call(pending, clock.wall())
        except QueueFull:  # A server that answers nothing: what waits is enough.
            settled(Dropped(message_id, sent=False))
            return
        tally.sent += 1
        if data is not None:
            self._line.send(data)

    def _response(self, outcome: Outcome, decode: Callable[[bytes], Any]) -> msgspec.Struct | None:
        if isinstance(outcome, Refused) and outcome.error.fault is Fault.SECURITY and self.registered:
            self.registered = False  # 2.0.1 B01.FR.10: the server does not know our registration any more.
            self._boot()
        if not isinstance(outcome, Answered):
            return None
        try:
            return decode(outcome.payload)
        except msgspec.DecodeError:
            self.world.tally.errors["response not understood"] += 1
            return None

    # -- what is owed --------------------

    def new_session(
        self, outlet: int, token: str | None, begin: Reading, remote_start_id: int | None
    ) -> Session:
        session = Session(len(self.sessions) + 1, outlet, token, begin, remote_start_id=remote_start_id)
        self.sessions.append(session)
        return session

    def post(self, session: Session, kind: Kind, message: msgspec.Struct) -> None:
        self.mail.post(session, kind, message)
        self._deliver()

    def _deliver(self) -> None:
        """Send the first letter owed, if the server is there to hear it."""
        while self._peer is not None and self.registered and (letter := self.mail.first()) is not None:
            if self._address(letter):
                self._send_letter(letter)
                return
            self.mail.settle()

    def _address(self, letter: Letter) -> bool:
        if letter.payload is None:
            message = self.talk.addressed(letter)
            if message is None:
                return False
            letter.payload = _encode(message)
        if letter.id is None or not self.plan.keeps_message_ids:
            letter.id = self._new_id()
        return True

    def _send_letter(self, letter: Letter) -> None:
        letter.attempts += 1
        self.mail.under_way = True
        self._write_down("sent", letter, letter.payload)
        self._send(
            letter.id, letter.action, letter.payload, lambda outcome: self._letter_settled(letter, outcome)
        )

    def _letter_settled(self, letter: Letter, outcome: Outcome) -> None:
        self.mail.under_way = False
        match outcome:
            case Answered(payload):
                self._write_down("answered", letter, payload)
                self._letter_answered(letter, outcome)
            case Refused(_, code):
                self._write_down("refused", letter, b"{}", code)
                self._letter_refused(letter, outcome)
            case Expired():
                self.world.clock.later_wall(
                    RETRY_AFTER * letter.attempts / self.world.clock.speed, self._deliver
                )
            case Dropped():
                pass  # The next connection delivers it.

    def _letter_answered(self, letter: Letter, outcome: Answered) -> None:
        response = self._response(outcome, actions(self.plan.version)[letter.action].decode_response)
        if response is None:  # An answer nobody can read is no answer.
            self._letter_refused(letter, outcome)
            return
        self.mail.settle()
        session = letter.session
        self.talk.acknowledged(letter, response)
        if letter.kind is Kind.END:
            session.acknowledged = True
        elif self.talk.verdict(response) is False and not session.closed:
            self.outlets[session.outlet - 1].stop(Why.DEAUTHORIZED)
        self._deliver()

    def _letter_refused(self, letter: Letter, outcome: Outcome) -> None:
        self._response(outcome, lambda _: None)
        if letter.attempts >= ATTEMPTS and self.registered:
            letter.session.given_up = True
            self.mail.settle()
            self._deliver()
            return
        self.world.clock.later_wall(RETRY_AFTER * letter.attempts / self.world.clock.speed, self._deliver)

    def _write_down(self, kind: str, letter: Letter, payload: bytes, code: str | None = None) -> None:
        if self.world.ledger is not None:
            self.world.ledger.add(
                kind,
                operator=self.plan.operator,
                station=self.plan.identity,
                version=self.plan.version.value,
                letter=letter.number,
                session=letter.session.number,
                id=letter.id,
                action=letter.action,
                payload=payload,
                code=code,
            )

    # -- the server's calls --------------------

    def message(self, data: bytes) -> None:
        received = self._peer.receive(data, self.world.clock.wall())
        if type(received) is bytes:
            self._line.send(received)
        elif type(received) is Call:
            self._line.send(self._answer(received))
        elif type(received) is Malformed and received.answer is not None:
            self._line.send(received.answer)

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
            return frames.call_result(call.id, _encode(answer(self, _decoded(action, call))))
        except OcppError as error:
            return frames.call_error(call.id, error, version)

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

    def soon(self, do: Callable[..., object], *args: object) -> None:
        """Do something right after the answer to the present call."""
        self.world.clock.later_wall(0.0, do, *args)

    def report_meter(self, outlet: Outlet) -> None:
        reading = outlet.reading()
        session = outlet.session
        if session is None:
            self.call(self.talk.idle_reading(outlet, reading))
        else:
            self.post(session, Kind.METER, self.talk.meter(self, session, reading))

    def boot_now(self) -> None:
        if self.online:
            self._boot()

    def beat_now(self) -> None:
        self.call(self.talk.heartbeat())

    # -- reset and outages --------------------

    def reset(self, why: Why) -> None:
        """End what runs, hang up, and come back as after a restart."""
        self._reset_due = None
        for outlet in self.outlets:
            if outlet.session is not None:
                outlet.stop(why)
        self.world.clock.later(RESTART_AFTER, self._restart)

    def _restart(self) -> None:
        self.registered = False
        self.boot_reason = "RemoteReset"
        if self._line is not None:
            self._line.close()

    def reset_when_idle(self) -> None:
        self._reset_due = "idle"
        self.outlet_freed()

    def outlet_freed(self) -> None:
        if self._reset_due and not any(outlet.session for outlet in self.outlets):
            self.reset(Why.SOFT_RESET)

    def _expect_outage(self) -> None:
        rate = self.plan.outages_per_hour
        if rate > 0 and not self.closing:
            self._outage = self.world.clock.later(self.rng.expovariate(rate / 3600), self.go_offline)

    def go_offline(self) -> None:
        """Lose the link for a while; charging goes on."""
        self._off = True
        self._retry = _cancelled(self._retry)
        if self._line is not None:
            self._line.abort()
        self._outage = self.world.clock.later(self.rng.uniform(*self.plan.outage_s), self.come_back)

    def come_back(self) -> None:
        self._off = False
        self.connect()
        self._expect_outage()

    # -- the end of the run --------------------

    def finish(self, *, end_sessions: bool) -> None:
        """Start nothing new; end what runs if asked; come back online to tell what is owed."""
        self.closing = True
        self._outage = _cancelled(self._outage)
        for outlet in self.outlets:
            outlet.quiet()
            if end_sessions and outlet.session is not None:
                outlet.stop(Why.LOCAL)
        if self._off:
            self._off = False
            self.connect()

    @property
    def owes_nothing(self) -> bool:
        """Whether nothing of ours waits for an answer any more."""
        return not len(self.mail) and (self._peer is None or self._peer.waiting is None)

    def hang_up(self) -> None:
        self.closing = self._off = True
        self._retry = _cancelled(self._retry)
        if self._line is not None:
            self._line.close()

    # -- settings, time, ids --------------------

    def setting(self, name: str) -> str | None:
        """A configuration value, as the server may read it."""
        if name == "NumberOfConnectors":
            return str(len(self.outlets))
        if name == "MeterValueSampleInterval" and name not in self._changed:
            return f"{self.plan.meter_interval_s:.0f}"
        return self._changed.get(name, settings.DEFAULTS.get(name))

    def change_setting(self, name: str, value: str) -> None:
        self._changed[name] = value

    @property
    def heartbeat_interval(self) -> float:
        """Real seconds: a fast clock does not make heartbeats a load nobody asked for."""
        return _positive(self.setting("HeartbeatInterval"), 300.0)

    @property
    def meter_interval(self) -> float:
        return _positive(self.setting("MeterValueSampleInterval"), 60.0)

    @property
    def authorizes_remote_starts(self) -> bool:
        return self.setting("AuthorizeRemoteTxRequests") == "true"

    def stamp(self) -> datetime:
        """The time now, to the millisecond and later than every stamp before."""
        self._last_stamp = max(int(self.world.clock.now() * 1000), self._last_stamp + 1)
        return _EPOCH + timedelta(milliseconds=self._last_stamp)

    def new_transaction_id(self) -> str:
        name = f"{self.world.run}/{self.plan.operator}/{self.plan.identity}/{len(self.sessions)}"
        return str(uuid5(NAMESPACE_OID, name))

    def _new_id(self) -> str:
        self._messages += 1
        return f"{self.world.run}.{self._messages}"


def _decoded(action: Any, call: Call) -> msgspec.Struct:
    try:
        return action.decode_request(call.payload)
    except msgspec.ValidationError as error:
        raise OcppError(Fault.TYPE, str(error)) from error
    except msgspec.DecodeError as error:
        raise OcppError(Fault.FORMAT, str(error)) from error


def _positive(text: str | None, otherwise: float) -> float:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return otherwise
    return value if value > 0 else otherwise


def _cancelled(handle: Handle | None) -> None:
    if handle is not None:
        handle.cancel()
