"""What a ledger says happened: the sessions and readings a database must hold, and what it may hold.

What was acknowledged must be stored once. What was sent without an answer may be stored once, or not at all.
Payloads are read as plain JSON here, so that our message types are not their own judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from simulators.ledger import Line

REGISTER = "Energy.Active.Import.Register"
_TO_WH = {"Wh": 1.0, "kWh": 1000.0}


@dataclass(slots=True)
class Message:
    """One transaction message of a station, over all attempts to deliver it."""

    action: str
    payload: dict[str, Any]
    answer: dict[str, Any] | None = None  # Not None: acknowledged.


@dataclass(slots=True)
class Sample:
    """One reading that was sent; `at` in microseconds since the epoch."""

    at: int
    register_wh: float | None
    acknowledged: bool


@dataclass(slots=True)
class ToldSession:
    """One session as the station told it. None: not told. `…_wh`: all that the database may rightly say."""

    operator: str | None
    station: str
    version: str
    transaction_id: str | None = None
    outlet: int | None = None
    token: str | None = None
    started_at: int | None = None
    acknowledged: bool = False  # Its row must exist.
    end_acknowledged: bool = False
    meter_start_wh: set[float] = field(default_factory=set)
    meter_stop_wh: set[float] = field(default_factory=set)
    samples: list[Sample] = field(default_factory=list)

    def __str__(self) -> str:
        owner = f"{self.operator}/{self.station}" if self.operator else self.station
        return f"{owner} (OCPP {self.version}) transaction {self.transaction_id}"


@dataclass(slots=True)
class Account:
    """A whole ledger."""

    sessions: list[ToldSession]
    acknowledged: int
    unacknowledged: int


def told_by(lines: Iterable[Line]) -> Account:
    """Put the lines of a ledger together."""
    messages: dict[tuple, Message] = {}
    sessions: dict[tuple, list[Message]] = {}
    for line in lines:
        run = line.id.partition(".")[0]  # Runs may share a ledger, and each counts from one.
        owner = (line.operator, line.station, line.version, run)
        key = (*owner, line.letter)
        if line.kind == "sent" and key not in messages:
            message = Message(line.action, msgspec.json.decode(line.payload))
            messages[key] = message
            sessions.setdefault((*owner, line.session), []).append(message)
        elif line.kind == "answered" and key in messages:
            messages[key].answer = msgspec.json.decode(line.payload)
    acknowledged = sum(message.answer is not None for message in messages.values())
    told = [_session(key, of_session) for key, of_session in sessions.items()]
    return Account(told, acknowledged, len(messages) - acknowledged)


def _session(key: tuple, messages: list[Message]) -> ToldSession:
    operator, station, version = key[:3]
    session = ToldSession(operator, station, version)
    (_read_16 if version == "1.6" else _read_2x)(session, messages)
    return session


# -- OCPP 1.6 --------------------


def _read_16(session: ToldSession, messages: list[Message]) -> None:
    for message in messages:
        payload, known = message.payload, message.answer is not None
        if message.action == "StartTransaction":
            session.outlet = payload["connectorId"]
            session.token = payload["idTag"]
            session.started_at = micros(payload["timestamp"])
            session.meter_start_wh = {float(payload["meterStart"])}
            if known:
                session.acknowledged = True
                session.transaction_id = str(message.answer["transactionId"])
        elif message.action == "StopTransaction":
            session.end_acknowledged = known
            session.meter_stop_wh = {float(payload["meterStop"])}
            session.samples += _samples(payload.get("transactionData"), known)
        else:
            session.samples += _samples(payload["meterValue"], known)


# -- OCPP 2.x --------------------


def _read_2x(session: ToldSession, messages: list[Message]) -> None:
    for message in messages:
        payload, known = message.payload, message.answer is not None
        session.transaction_id = payload["transactionInfo"]["transactionId"]
        session.samples += _samples(payload.get("meterValue"), known)
        session.acknowledged |= known
        if "evse" in payload:
            session.outlet = payload["evse"]["id"]
        stops = payload.get("triggerReason") == "StopAuthorized"  # Who ends it need not be who charges.
        if known and session.token is None and "idToken" in payload and not stops:
            session.token = payload["idToken"]["idToken"]
        if payload["eventType"] == "Started" and known:
            session.started_at = micros(payload["timestamp"])
        elif payload["eventType"] == "Ended":
            session.end_acknowledged = known
    registers = sorted((s for s in session.samples if s.register_wh is not None), key=lambda s: s.at)
    session.meter_start_wh = set(_until_acknowledged(registers))
    session.meter_stop_wh = set(_until_acknowledged(reversed(registers)))


def _until_acknowledged(samples: Iterable[Sample]) -> Iterator[float]:
    """The first acknowledged register, and those before it that may or may not have been stored."""
    for sample in samples:
        yield sample.register_wh
        if sample.acknowledged:
            return


# -- readings --------------------


def _samples(values: list[dict[str, Any]] | None, acknowledged: bool) -> list[Sample]:
    return [Sample(micros(v["timestamp"]), _register(v["sampledValue"]), acknowledged) for v in values or ()]


def _register(sampled: list[dict[str, Any]]) -> float | None:
    """The energy register in Wh, of all phases together."""
    for value in sampled:
        if value.get("measurand", REGISTER) == REGISTER and "phase" not in value:
            measure = value.get("unitOfMeasure", {})
            unit = measure.get("unit") or value.get("unit") or "Wh"
            return float(value["value"]) * 10 ** measure.get("multiplier", 0) * _TO_WH[unit]
    return None


def micros(text: str) -> int:
    """Microseconds since the epoch, exactly: a float of seconds would lose some."""
    at = datetime.fromisoformat(text)
    return int(at.replace(microsecond=0).timestamp()) * 1_000_000 + at.microsecond
