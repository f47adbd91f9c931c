"""How a station delivers what it owes: letter by letter, each sent until it is answered or refused for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from csms.ocpp.catalogue import actions
from csms.ocpp.peer import Answered, Dropped, Expired, Outcome, Refused
from simulators.mailbox import Kind, Letter, Mailbox

if TYPE_CHECKING:
    from simulators.station import Station

ATTEMPTS = 3  # How often a message is sent that the server answers with an error.
RETRY_AFTER = 5.0  # Simulated seconds before a message that got no answer, or an error, is sent again; grows.


class Delivery:
    """Empties the mailbox of one station, and writes each step into the ledger of the run."""

    __slots__ = ("_mail", "_station")

    def __init__(self, station: Station, mail: Mailbox):
        self._station = station
        self._mail = mail

    def deliver(self) -> None:
        """Send the first letter owed, if the server is there to hear it."""
        station = self._station
        while station.calls.possible and station.registration.accepted and (letter := self._mail.first()) is not None:
            if self._address(letter):
                self._send(letter)
                return
            self._done()

    def _address(self, letter: Letter) -> bool:
        """Fix what goes out; False when the letter can no longer mean anything to the server."""
        station = self._station
        if letter.payload is None:
            message = station.talk.addressed(letter)
            if message is None:
                return False
            letter.payload = msgspec.json.encode(message)
        if letter.id is None or not station.plan.keeps_message_ids:
            letter.id = station.calls.new_id()
        return True

    def _send(self, letter: Letter) -> None:
        letter.attempts += 1
        self._mail.under_way = True
        self._write_down("sent", letter, letter.payload)
        self._station.calls.send(
            letter.id, letter.action, letter.payload, lambda outcome: self._settled(letter, outcome)
        )

    def _settled(self, letter: Letter, outcome: Outcome) -> None:
        self._mail.under_way = False
        match outcome:
            case Answered(payload):
                self._write_down("answered", letter, payload)
                self._answered(letter, outcome)
            case Refused(_, code):
                self._write_down("refused", letter, b"{}", code)
                self._refused(letter, outcome)
            case Expired():
                self._deliver_later(letter)
            case Dropped():
                pass  # The next connection delivers it.

    def _answered(self, letter: Letter, outcome: Answered) -> None:
        station = self._station
        decode = actions(station.plan.version)[letter.action].decode_response
        response = station.calls.response(outcome, decode)
        if response is None:  # An answer nobody can read is no answer.
            self._refused(letter, outcome)
            return
        self._done()
        station.talk.acknowledged(letter, response)
        if letter.kind is Kind.END:
            letter.session.acknowledged = True
        elif station.talk.verdict(response) is False:
            station.deauthorized(letter.session)
        self.deliver()

    def _done(self) -> None:
        """The first letter needs no more care."""
        self._mail.settle()
        self._station.world.tally.owed -= 1

    def _refused(self, letter: Letter, outcome: Outcome) -> None:
        station = self._station
        station.calls.response(outcome, lambda _: None)
        if letter.attempts >= ATTEMPTS and station.registration.accepted:
            letter.session.given_up = True
            self._done()
            self.deliver()
        else:
            self._deliver_later(letter)

    def _deliver_later(self, letter: Letter) -> None:
        clock = self._station.world.clock
        clock.later_wall(RETRY_AFTER * letter.attempts / clock.speed, self.deliver)

    def _write_down(self, kind: str, letter: Letter, payload: bytes, code: str | None = None) -> None:
        ledger, plan = self._station.world.ledger, self._station.plan
        if ledger is not None:
            ledger.add(
                kind,
                operator=plan.operator,
                station=plan.identity,
                version=plan.version.value,
                letter=letter.number,
                session=letter.session.number,
                id=letter.id,
                action=letter.action,
                payload=payload,
                code=code,
            )
