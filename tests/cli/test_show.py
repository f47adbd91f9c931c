"""How answers are shown: nothing that a charger sent can paint on a terminal or speak in our markup."""

from __future__ import annotations

import io
import json
import sys

import pytest
import typer

from csms.cli.client import CommandError
from csms.cli.show import fail, kwh, moment, plain, put_json, run, table

HOSTILE = "[red]x\x1b[31m\r\n\x00\u202e:skull:[/]\\"


def test_hostile_text_is_shown_as_text(capsys):
    table([{"vendor": HOSTILE}], {"VENDOR": lambda row: row["vendor"]}, "")
    shown = capsys.readouterr().out
    assert "[red]x" in shown and ":skull:[/]\\" in shown
    assert not {"\x1b", "\r", "\x00", "\u202e"} & {*shown}
    assert shown.count("\n") == 2


def test_hostile_text_does_not_paint_on_a_terminal_either(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    table([{"vendor": HOSTILE}], {"VENDOR": lambda row: row["vendor"]}, "")
    shown = sys.stdout.getvalue()
    assert "\x1b[31m" not in shown and "[red]" in shown


def test_empty_table_says_what_to_do(capsys):
    table([], {}, "Nothing yet.")
    assert capsys.readouterr().out == "Nothing yet.\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (True, "yes"), (False, "no"), (1.5, "1.5"), ("ä[b]", "ä[b]"), ("a\tb", "a\ufffdb")],
)
def test_values_are_shown_for_people(value, shown):
    assert plain(value) == shown


def test_units_are_those_of_people():
    assert kwh(1234.5) == "1.23 kWh"
    assert moment("2026-05-04T12:00:00.123456Z") == "2026-05-04 12:00:00 UTC"
    assert moment(None) is None


def test_json_is_one_line(capsys):
    put_json({"vendor": HOSTILE})
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and "\x1b" not in out
    assert json.loads(out) == {"vendor": HOSTILE}


def test_errors_go_to_people_or_programs(capsys):
    for as_json in (False, True):
        with pytest.raises(typer.Exit) as raised:
            fail(CommandError("Do this.", {"status": 404, "detail": "Do this."}), as_json)
        assert raised.value.exit_code == 1
    shown = capsys.readouterr()
    assert shown.err == "Error: Do this.\n"
    assert json.loads(shown.out) == {"error": {"status": 404, "detail": "Do this."}}


def test_work_that_succeeds_is_given_back():
    assert run(lambda: 7, as_json=False) == 7
