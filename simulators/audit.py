"""The proof that nothing was lost: what stations were answered, held against what the database says.

A finding is an acknowledged fact that is not stored, or not as it was told. What was sent without an answer
may be stored once or not at all, never twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from simulators import account, ledger, stored
from simulators.account import Account, Sample, ToldSession
from simulators.stored import Rows, SessionRow, StationRow

TOLERANCE_WH = 0.01
EXAMPLES = 5  # Shown of each kind.


class Finding(StrEnum):
    MISSING = "acknowledged_missing"
    NOT_CLOSED = "not_closed"
    TWICE = "stored_twice"
    WRONG_OWNER = "wrong_owner"
    WRONG_OUTLET = "wrong_outlet"
    WRONG_TOKEN = "wrong_token"
    WRONG_METER = "wrong_meter"
    WRONG_ENERGY = "wrong_energy"


LOST = (Finding.MISSING, Finding.NOT_CLOSED)  # Something acknowledged is not there.


@dataclass(slots=True)
class Report:
    """What an audit found."""

    sessions: int = 0
    samples: int = 0
    beliefs: int = 0
    acknowledged: int = 0
    unacknowledged: int = 0
    found: Counter[Finding] = field(default_factory=Counter)
    examples: dict[Finding, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, finding: Finding, example: str) -> None:
        self.found[finding] += 1
        if len(self.examples[finding]) < EXAMPLES:
            self.examples[finding].append(example)

    @property
    def clean(self) -> bool:
        return not self.found

    @property
    def proved(self) -> bool:
        """Whether it is proved that nothing was lost: a ledger in which nothing was acknowledged proves nothing."""
        return self.clean and self.acknowledged > 0

    def plain(self) -> dict[str, Any]:
        return {
            "proved": self.proved,
            "sessions": self.sessions,
            "samples": self.samples,
            "beliefs": self.beliefs,
            "messages_acknowledged": self.acknowledged,
            "messages_unacknowledged": self.unacknowledged,
            "acknowledged_lost": sum(self.found[finding] for finding in LOST),
            "findings": {finding.value: self.found[finding] for finding in Finding},
            "examples": {finding.value: lines for finding, lines in self.examples.items()},
        }


def audit(ledger_file: Path, database: str, beliefs: Path | None = None) -> Report:
    """Join both. LedgerError and DatabaseError: there is nothing to audit."""
    told = account.told_by(ledger.read(ledger_file))
    believed = _beliefs(beliefs)

    def take(stations: list[StationRow], sessions: list[SessionRow], samples: Rows) -> Report:
        return compare(told, stations, sessions, samples, believed)

    return stored.read(database, take)


def compare(
    told: Account,
    stations: list[StationRow],
    sessions: list[SessionRow],
    samples: Rows,
    beliefs: Iterable[dict[str, Any]] = (),
) -> Report:
    """The audit itself, without I/O."""
    report = Report(sessions=len(told.sessions), acknowledged=told.acknowledged, unacknowledged=told.unacknowledged)
    shelf = _Shelf(stations, sessions)
    rows = [(session, _check_session(session, shelf, report)) for session in told.sessions]
    _check_samples(rows, samples, shelf, report)
    for belief in beliefs:
        _check_belief(belief, shelf, report)
    return report


class _Shelf:
    """The rows, found by what a station knows of them."""

    def __init__(self, stations: list[StationRow], sessions: list[SessionRow]):
        self.stations = {station.id: station for station in stations}
        self._by_identity: dict[str, list[StationRow]] = defaultdict(list)
        for station in stations:
            self._by_identity[station.identity].append(station)
        self._by_id: dict[tuple, list[SessionRow]] = defaultdict(list)
        self._by_start: dict[tuple, list[SessionRow]] = defaultdict(list)
        for row in sessions:
            self._by_id[row.transaction_id].append(row)
            self._by_start[row.started_at, row.meter_start_wh, row.token].append(row)

    def station(self, operator: str | None, identity: str) -> StationRow | None:
        """The station's row; without an operator in the URL it is the default operator's."""
        found = self._by_identity.get(identity, [])
        if operator is not None:
            found = [station for station in found if station.operator == operator]
        elif len(found) > 1:
            found = [station for station in found if station.operator == "default"] or found
        return found[0] if found else None

    def of_id(self, transaction_id: str | None) -> list[SessionRow]:
        return self._by_id.get(transaction_id, []) if transaction_id is not None else []

    def of_start(self, session: ToldSession) -> list[SessionRow]:
        """1.6: rows made from this very start, whatever id they got."""
        if not session.meter_start_wh:  # The ledger begins later than the session.
            return []
        [meter_start] = session.meter_start_wh
        return self._by_start.get((session.started_at, meter_start, session.token), [])


def _check_session(session: ToldSession, shelf: _Shelf, report: Report) -> SessionRow | None:
    """Find the session's row and compare; the row, or None when there is none to speak of."""
    station = shelf.station(session.operator, session.station)
    rows = _rows_of(session, shelf)
    own = [row for row in rows if station is not None and row.station_id == station.id]
    if len(own) > 1:
        report.add(Finding.TWICE, f"{session}: {len(own)} rows in sessions, ids {_ids(own)}")
    if not own:
        if session.acknowledged:
            _report_absent(session, rows, shelf, report)
        return None
    row = own[0]
    if session.acknowledged:
        _check_row(session, row, station, report)
    return row


def _rows_of(session: ToldSession, shelf: _Shelf) -> list[SessionRow]:
    """The rows that can only be this session's, at whatever station."""
    if session.version != "1.6":
        return shelf.of_id(session.transaction_id)
    rows = {row.id: row for row in shelf.of_start(session)}
    if session.transaction_id is not None:  # 1.6 ids are unique at their station only.
        station = shelf.station(session.operator, session.station)
        rows |= {row.id: row for row in shelf.of_id(session.transaction_id) if station and row.station_id == station.id}
    return list(rows.values())


def _report_absent(session: ToldSession, elsewhere: list[SessionRow], shelf: _Shelf, report: Report) -> None:
    if elsewhere:
        owner = shelf.stations.get(elsewhere[0].station_id)
        name = f"{owner.operator}/{owner.identity}" if owner else "nobody"
        report.add(Finding.WRONG_OWNER, f"{session} is stored at {name}, id {elsewhere[0].id}")
    else:
        report.add(Finding.MISSING, f"{session} was acknowledged and is not in sessions")


def _check_row(session: ToldSession, row: SessionRow, station: StationRow, report: Report) -> None:
    where = f"{session}, id {row.id}"
    if row.operator_id != station.operator_id:
        report.add(Finding.WRONG_OWNER, f"{where}: its operator is not its station's")
    if session.version == "1.6" and row.transaction_id != session.transaction_id:
        report.add(Finding.MISSING, f"{where}: stored as transaction {row.transaction_id}")
    if session.outlet is not None and row.evse_id != session.outlet:
        report.add(Finding.WRONG_OUTLET, f"{where}: outlet {row.evse_id}, told {session.outlet}")
    if session.token is not None and row.token != session.token:
        report.add(Finding.WRONG_TOKEN, f"{where}: token {row.token!r}, told {session.token!r}")
    if not _among(row.meter_start_wh, session.meter_start_wh):
        report.add(
            Finding.WRONG_METER,
            f"{where}: starts at {row.meter_start_wh} Wh, {_told(session.meter_start_wh)}",
        )
    if session.end_acknowledged:
        _check_end(session, row, where, report)


def _check_end(session: ToldSession, row: SessionRow, where: str, report: Report) -> None:
    if row.ended_at is None:
        report.add(Finding.NOT_CLOSED, f"{where}: its end was acknowledged and it is still open")
        return
    if not _among(row.meter_stop_wh, session.meter_stop_wh):
        report.add(Finding.WRONG_METER, f"{where}: stops at {row.meter_stop_wh} Wh, {_told(session.meter_stop_wh)}")
    energies = {stop - start for stop in session.meter_stop_wh for start in session.meter_start_wh}
    if not _among(row.energy_wh, energies):
        report.add(Finding.WRONG_ENERGY, f"{where}: {row.energy_wh} Wh, {_told(energies)}")


def _check_samples(
    rows: list[tuple[ToldSession, SessionRow | None]], samples: Rows, shelf: _Shelf, report: Report
) -> None:
    """One pass over the samples of the database; a station's timestamps never repeat."""
    awaited: dict[tuple[int, int], tuple[Sample, ToldSession, SessionRow | None]] = {}
    for session, row in rows:
        station = shelf.station(session.operator, session.station)
        for sample in session.samples:
            report.samples += 1
            if station is not None:
                awaited[station.id, sample.at] = (sample, session, row)
    seen: set[tuple[int, int]] = set()
    for station_id, session_id, at, register in samples:
        key = (station_id, at)
        if key in awaited:
            sample, session, row = awaited[key]
            where = f"{session}, reading of {at}"
            if key in seen:
                report.add(Finding.TWICE, f"{where}: more than one row in samples")
            seen.add(key)
            if sample.acknowledged and row is not None and session_id != row.id:
                report.add(Finding.WRONG_OWNER, f"{where}: belongs to session {session_id}, not {row.id}")
            if sample.register_wh is not None and not _among(register, {sample.register_wh}):
                report.add(Finding.WRONG_METER, f"{where}: {register} Wh, told {sample.register_wh}")
    for key, (sample, session, _row) in awaited.items():
        if sample.acknowledged and key not in seen:
            report.add(Finding.MISSING, f"{session}, reading of {sample.at} was acknowledged and is not in samples")


def _check_belief(belief: dict[str, Any], shelf: _Shelf, report: Report) -> None:
    """A station's own view of one session it ended and was answered about."""
    report.beliefs += 1
    if not belief["acknowledged"]:
        return
    name = f"{belief['station']} transaction {belief['transaction_id']}, as the station believes"
    station = shelf.station(belief["operator"], belief["station"])
    rows = [row for row in shelf.of_id(belief["transaction_id"]) if station and row.station_id == station.id]
    if not rows:
        report.add(Finding.MISSING, f"{name}: not in sessions")
    elif rows[0].ended_at is None:
        report.add(Finding.NOT_CLOSED, f"{name}: still open")
    elif not _among(rows[0].energy_wh, {belief["energy_wh"]}):
        report.add(Finding.WRONG_ENERGY, f"{name}: {rows[0].energy_wh} Wh, told {belief['energy_wh']}")


def _beliefs(path: Path | None) -> list[dict[str, Any]]:
    if path is None:
        return []
    try:
        lines = b"".join(part.read_bytes() for part in ledger.parts(path))
        return msgspec.json.Decoder(dict).decode_lines(lines)
    except (OSError, msgspec.DecodeError) as error:
        raise ledger.LedgerError(f"cannot read {path}: {error}") from error


def _among(value: float | None, allowed: set[float]) -> bool:
    if value is None:
        return not allowed
    return not allowed or any(abs(value - each) <= TOLERANCE_WH for each in allowed)


def _told(values: set[float]) -> str:
    return "told " + " or ".join(f"{value:g}" for value in sorted(values))


def _ids(rows: list[SessionRow]) -> str:
    return ", ".join(str(row.id) for row in rows)
