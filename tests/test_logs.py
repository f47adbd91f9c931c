"""Log lines: one fact, its ids as fields, no secrets, nothing that a charger could paint on a terminal."""

from __future__ import annotations

import errno
import io
import json
import logging
import sys

import pytest
import structlog

from csms import logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch):
    """Configure, do, and read what came out on standard error."""
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def told(level: str = "info", form: str = "json", out: io.StringIO | None = None):
        out = out or io.StringIO()
        monkeypatch.setattr(sys, "stderr", out)
        root.handlers.clear()  # pytest's own
        logs.configure(level, form)
        return structlog.get_logger(), out

    yield told
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_line_is_one_fact_with_its_fields(told):
    log, out = told()
    log.info("station.connected", station="CS-1", session=7)
    line = json.loads(out.getvalue())
    assert (line["event"], line["level"], line["station"], line["session"]) == ("station.connected", "info", "CS-1", 7)
    assert line["timestamp"].endswith("Z")


def test_json_takes_whatever_is_given(told):
    log, out = told()
    log.info("frame", frame=b"\xff\x00", of=object, text="ä\n\x1b", number=10**30, where={1: {2}})
    assert out.getvalue().count("\n") == 1
    assert json.loads(out.getvalue())["text"] == "ä\n\x1b"


def test_line_with_half_a_character_is_still_a_line(told):
    log, out = told()
    log.info("frame", text="\ud800")
    assert json.loads(out.getvalue())["event"] == "frame"


def test_text_cannot_break_out_of_its_line_or_paint(told):
    log, out = told(form="text")
    log.warning("frame.ignored", reason="x\x1b[31m\nfake line", frame=b"\x1b[31m")
    assert out.getvalue().count("\n") == 1
    assert "\x1b" not in out.getvalue()
    assert "reason=" in out.getvalue()


def test_text_on_a_terminal_is_coloured_but_not_by_others(told):
    log, out = told(form="text", out=Terminal())
    log.info("frame", reason="x\x1b[999mx")
    assert "\x1b[" in out.getvalue()
    assert "\x1b[999m" not in out.getvalue()


@pytest.mark.parametrize(("out", "is_json"), [(io.StringIO, True), (Terminal, False)])
def test_auto_is_json_for_machines_and_text_for_people(told, out, is_json):
    log, written = told(form="auto", out=out())
    log.info("fact")
    assert written.getvalue().startswith("{") is is_json


@pytest.mark.parametrize(
    ("level", "heard"),
    [("debug", "dbg inf war err"), ("info", "inf war err"), ("warning", "war err"), ("error", "err")],
)
def test_only_the_level_and_what_is_worse_is_told(told, level, heard):
    log, out = told(level)
    for name, method in (("dbg", log.debug), ("inf", log.info), ("war", log.warning), ("err", log.error)):
        method(name)
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == heard.split()


@pytest.mark.parametrize("form", ["json", "text"])
def test_failure_is_told_with_its_traceback(told, form):
    log, out = told(form=form)
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("turn.failed")
    assert "Traceback" in out.getvalue() and "ValueError: why" in out.getvalue()


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("field", ["password", "key", "authorization", "token_secret"])
def test_secrets_never_reach_a_log(told, form, field):
    log, out = told(form=form)
    log.info("fact", **{field: "hidden-secret"})
    assert "hidden-secret" not in out.getvalue()
    assert "***" in out.getvalue()


def test_libraries_speak_up_only_when_something_is_wrong(told):
    _, out = told()
    logging.getLogger("library").info("chatter")
    logging.getLogger("library").warning("trouble")
    assert out.getvalue() == "WARNING library trouble\n"


class FullDisk(io.StringIO):
    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)

    def flush(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")


def test_D6_full_disk_costs_lines_and_disturbs_nobody(told):
    log, out = told(out=FullDisk())
    log.info("lost")
    out.full = False
    log.info("kept")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["kept"]
