"""The ledger: every line on disk, in order, whole."""

from __future__ import annotations

import json
import os

import pytest

from simulators import ledger as ledgers
from simulators.ledger import Ledger, LedgerError, read

ABOUT = {"operator": None, "station": "CS-1", "version": "1.6", "session": 1, "action": "StartTransaction"}


def test_what_is_added_is_read_back(ledger):
    ledger.add("sent", **ABOUT, letter=1, id="run.1", payload=b'{"connectorId":1}')
    ledger.add("answered", **ABOUT, letter=1, id="run.1", payload=b'{"transactionId":7}')
    ledger.add("refused", **ABOUT, letter=2, id="run.2", code="InternalError")
    ledger.close()

    sent, answered, refused = read(ledger.path)
    assert (sent.kind, sent.station, sent.letter, json.loads(bytes(sent.payload))) == (
        "sent", "CS-1", 1, {"connectorId": 1},
    )  # fmt: skip
    assert json.loads(bytes(answered.payload)) == {"transactionId": 7}
    assert refused.code == "InternalError"
    assert sent.at <= answered.at <= refused.at


def test_thousands_of_lines_keep_their_order(ledger):
    for number in range(5000):
        ledger.add("sent", **ABOUT, letter=number, id=str(number))
    ledger.close()

    assert [line.letter for line in read(ledger.path)] == list(range(5000))


def test_every_batch_is_synced_to_the_disk(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(ledgers.os, "fsync", lambda number: (synced.append(number), real(number)))
    ledger = Ledger(tmp_path / "l")
    ledger.add("sent", **ABOUT, letter=1, id="1")
    ledger.close()

    assert len(synced) == 1


def test_a_second_run_appends(tmp_path):
    for number in (1, 2):
        ledger = Ledger(tmp_path / "l")
        ledger.add("sent", **ABOUT, letter=number, id=str(number))
        ledger.close()

    assert [line.letter for line in read(tmp_path / "l")] == [1, 2]


def test_a_last_line_cut_off_by_a_crash_is_left_out(ledger):
    ledger.add("sent", **ABOUT, letter=1, id="1")
    ledger.close()
    with ledger.path.open("ab") as file:
        file.write(b'{"kind":"sent","at":1')

    assert [line.letter for line in read(ledger.path)] == [1]


def test_a_line_that_is_none_is_an_error(tmp_path):
    path = tmp_path / "l"
    path.write_text("hello\n")

    with pytest.raises(LedgerError, match="line 1"):
        list(read(path))


def test_parts_that_several_processes_wrote_are_one_ledger(tmp_path):
    for number in (1, 2):
        part = Ledger(tmp_path / f"ledger.{number}")
        part.add("sent", operator=None, station=f"CS-{number}", version="1.6", letter=1, session=1, id="run.1",
                 action="MeterValues", payload=b"{}")  # fmt: skip
        part.close()
    assert [line.station for line in read(tmp_path / "ledger")] == ["CS-1", "CS-2"]


def test_a_ledger_that_cannot_be_opened_says_why(tmp_path):
    with pytest.raises(LedgerError, match="No such file"):
        Ledger(tmp_path / "nowhere" / "l")
    with pytest.raises(LedgerError, match="No such file"):
        list(read(tmp_path / "none"))


def test_a_disk_that_refuses_is_told_at_the_end(ledger, monkeypatch):
    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledgers.os, "fsync", full)
    ledger.add("sent", **ABOUT, letter=1, id="1")

    with pytest.raises(LedgerError, match="No space left"):
        ledger.close()
