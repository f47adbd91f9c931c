"""Every kind of fault, planted in a little database, is found; a faithful one is clean."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from shutil import copy

import pytest

from csms.ocpp.version import Version
from simulators import stored
from simulators.account import micros
from simulators.audit import Finding, Report, audit
from simulators.ledger import Ledger, LedgerError, read
from simulators.session import Session, Why
from simulators.stored import DatabaseError

SCHEMA = """
PRAGMA synchronous = OFF;
CREATE TABLE operators (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE stations (id INTEGER PRIMARY KEY, operator_id INTEGER, identity TEXT);
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, operator_id INTEGER, station_id INTEGER, transaction_id TEXT, evse_id INTEGER,
    connector_id INTEGER, token TEXT, started_at INTEGER, ended_at INTEGER,
    meter_start_wh REAL, meter_stop_wh REAL, energy_wh REAL, stop_reason TEXT);
CREATE TABLE samples (
    session_id INTEGER, station_id INTEGER, evse_id INTEGER, connector_id INTEGER, sampled_at INTEGER,
    register_wh REAL, power_w REAL, soc REAL, readings TEXT);
INSERT INTO operators VALUES (1, 'default'), (2, 'other');
INSERT INTO stations VALUES (1, 1, 'CS-1'), (2, 1, 'CS-2'), (3, 2, 'CS-1');
"""
V16, V201 = Version.V16, Version.V201


class Story:
    """A ledger of one session, a database that tells it faithfully, and the session as its station believes it."""

    def __init__(self, session: Session, ledger: Path, database: Path):
        self.session, self.ledger, self.database = session, ledger, database

    def write_database(self) -> None:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.executescript(SCHEMA)
            self._tell(connection)

    def copy(self, place: Path) -> Story:
        """A story of one's own, to plant faults in."""
        ledger, database = copy(self.ledger, place), copy(self.database, place)
        return Story(self.session, Path(ledger), Path(database))

    def _tell(self, connection: sqlite3.Connection) -> None:
        session = self.session
        begin, end = session.begin, session.end
        row = (
            10, 1, 1, session.transaction_id, 1, 1, "TAG",
            micros(begin.at.isoformat()), micros(end.at.isoformat()),
            begin.register_wh, end.register_wh, session.energy_wh, "Local",
        )  # fmt: skip
        connection.execute(f"INSERT INTO sessions VALUES ({', '.join('?' * len(row))})", row)
        for line in read(self.ledger):
            if line.kind == "sent":
                payload = json.loads(bytes(line.payload))
                for value in payload.get("meterValue", payload.get("transactionData", ())):
                    sampled = value["sampledValue"][0]
                    wh = float(sampled["value"]) * (1000 if "kWh" in str(sampled) else 1)
                    connection.execute(
                        "INSERT INTO samples VALUES (10, 1, 1, 1, ?, ?, 0, 0, '[]')",
                        (micros(value["timestamp"]), wh),
                    )

    def plant(self, sql: str) -> None:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.executescript("PRAGMA synchronous = OFF;" + sql)

    def audit(self, *, beliefs: Path | None = None) -> Report:
        return audit(self.ledger, f"sqlite:///{self.database}", beliefs)


@pytest.fixture(scope="module")
def told(make_glass, tmp_path_factory) -> Callable[..., Story]:
    """A story written once for all tests, which copy it."""

    @cache
    def write(version: Version, *, charging_s: int, **plan) -> Story:
        place = tmp_path_factory.mktemp("story")
        ledger = Ledger(place / "ledger.ndjson")
        glass = make_glass(version, ledger=ledger, **plan).connect()
        outlet = glass.charge()
        glass.pass_time(charging_s)
        outlet.stop(Why.LOCAL)
        glass.pass_time(1)
        ledger.close()
        story = Story(glass.station.sessions[0], ledger.path, place / "csms.db")
        story.write_database()
        return story

    return write


@pytest.fixture(params=[V16, V201], ids=str)
def story(request, told, tmp_path) -> Story:
    """A session with readings of its own and at its end, in another unit than Wh."""
    return told(request.param, charging_s=130, transaction_data=True, unit="kWh").copy(tmp_path)


@pytest.fixture
def short_story(told, tmp_path) -> Callable[[Version], Story]:
    """A session without readings between its start and its end."""
    return lambda version: told(version, charging_s=0).copy(tmp_path)


def test_a_faithful_database_is_clean(story):
    report = story.audit()

    assert report.clean, report.plain()
    assert report.proved
    assert report.plain()["acknowledged_lost"] == 0
    assert (report.sessions, report.unacknowledged) == (1, 0)
    assert report.samples >= 4
    assert report.acknowledged >= 4


COPY = (
    "INSERT INTO sessions SELECT 11, operator_id, station_id, {id}, evse_id, connector_id, token, "
    "started_at, ended_at, meter_start_wh, meter_stop_wh, energy_wh, stop_reason FROM sessions WHERE id = 10;"
)


@pytest.mark.parametrize(
    ("sql", "finding"),
    [
        ("DELETE FROM sessions", Finding.MISSING),
        ("DELETE FROM samples WHERE sampled_at = (SELECT max(sampled_at) FROM samples)", Finding.MISSING),
        ("DELETE FROM stations WHERE id = 1", Finding.MISSING),
        ("UPDATE sessions SET ended_at = NULL", Finding.NOT_CLOSED),
        (COPY.format(id="transaction_id"), Finding.TWICE),
        ("INSERT INTO samples SELECT * FROM samples", Finding.TWICE),
        ("UPDATE sessions SET station_id = 2", Finding.WRONG_OWNER),
        ("UPDATE sessions SET station_id = 3, operator_id = 2", Finding.WRONG_OWNER),
        ("UPDATE sessions SET operator_id = 2", Finding.WRONG_OWNER),
        ("UPDATE samples SET session_id = 99", Finding.WRONG_OWNER),
        ("UPDATE samples SET session_id = NULL", Finding.WRONG_OWNER),
        ("UPDATE sessions SET evse_id = 2", Finding.WRONG_OUTLET),
        ("UPDATE sessions SET token = 'another'", Finding.WRONG_TOKEN),
        ("UPDATE sessions SET meter_start_wh = meter_start_wh + 1", Finding.WRONG_METER),
        ("UPDATE sessions SET meter_stop_wh = meter_stop_wh - 1", Finding.WRONG_METER),
        ("UPDATE sessions SET meter_stop_wh = NULL", Finding.WRONG_METER),
        ("UPDATE samples SET register_wh = register_wh * 1000", Finding.WRONG_METER),
        ("UPDATE samples SET register_wh = NULL", Finding.WRONG_METER),
        ("UPDATE sessions SET energy_wh = energy_wh * 1000", Finding.WRONG_ENERGY),
        ("UPDATE sessions SET energy_wh = NULL", Finding.WRONG_ENERGY),
    ],
)
def test_a_planted_fault_is_found(story, sql, finding):
    story.plant(sql)
    report = story.audit()

    assert report.found[finding] >= 1, report.plain()
    assert (report.clean, report.proved) == (False, False)
    assert report.examples[finding]
    lost = report.plain()["acknowledged_lost"]
    assert (lost > 0) is (finding in (Finding.MISSING, Finding.NOT_CLOSED))


def test_a_start_stored_under_two_ids_is_stored_twice(short_story):
    story = short_story(V16)
    story.plant(COPY.format(id="'78'"))

    assert story.audit().found == {Finding.TWICE: 1}


@pytest.mark.parametrize("version", [V16, V201], ids=str)
@pytest.mark.parametrize("stored_once", [True, False])
def test_what_was_never_acknowledged_may_be_stored_or_not(short_story, version, stored_once):
    story = short_story(version)
    only_sent = [line for line in story.ledger.read_bytes().splitlines(True) if b'"kind":"sent"' in line]
    story.ledger.write_bytes(b"".join(only_sent))
    if not stored_once:
        story.plant("DELETE FROM sessions; DELETE FROM samples")
    report = story.audit()
    assert report.clean
    assert (report.proved, report.plain()["proved"]) == (False, False)  # Nothing was acknowledged.

    if stored_once:
        story.plant(COPY.format(id="transaction_id"))
        assert story.audit().found[Finding.TWICE] == 1


def test_the_beliefs_of_stations_are_audited_too(story, tmp_path):
    beliefs = tmp_path / "beliefs.ndjson"
    line = story.session.belief(operator=None, station="CS-1", version="any")
    beliefs.write_text(json.dumps(line, default=str) + "\n")
    assert story.audit(beliefs=beliefs).clean

    beliefs.write_text(json.dumps(line | {"energy_wh": 1}, default=str) + "\n")
    assert story.audit(beliefs=beliefs).found == {Finding.WRONG_ENERGY: 1}
    beliefs.write_text(json.dumps(line | {"transaction_id": "unheard of"}, default=str) + "\n")
    assert story.audit(beliefs=beliefs).found == {Finding.MISSING: 1}


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite:///nowhere.db", "no database file"),
        ("mysql://host/name", "say sqlite"),
        ("nonsense", "say sqlite"),
    ],
)
def test_a_database_that_cannot_be_read_says_why(ledger, url, says):
    ledger.close()
    with pytest.raises(DatabaseError, match=says):
        audit(ledger.path, url)


def test_a_file_that_is_no_database_says_so(ledger, tmp_path):
    ledger.close()
    (tmp_path / "text.db").write_text("this is no database, whatever its name says" * 100)

    with pytest.raises(DatabaseError, match="cannot read"):
        audit(ledger.path, f"sqlite:///{tmp_path}/text.db")


def test_postgres_without_its_driver_says_what_to_install(ledger, monkeypatch):
    ledger.close()

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(stored.importlib, "import_module", missing)
    with pytest.raises(DatabaseError, match=r"csms\[postgres\]"):
        audit(ledger.path, "postgresql+asyncpg://host/name")


def test_a_ledger_that_is_not_there_is_no_clean_report(story):
    story.ledger.unlink()

    with pytest.raises(LedgerError):
        story.audit()


def test_the_driver_in_the_url_does_not_matter(story):
    assert audit(story.ledger, f"sqlite+aiosqlite:///{story.database}").clean
