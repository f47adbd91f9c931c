"""What the README says is supported is what is: the table is generated, and no message of a station is forgotten."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import csms.blocks  # noqa: F401  Registers the handlers.
from csms.blocks import dispatch, support
from csms.ocpp import v201
from csms.ocpp.catalogue import Version, actions
from tests.conformance import cases

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- support:begin -->", "<!-- support:end -->"


def test_readme_has_the_generated_table():
    text = README.read_text("utf-8")
    kept = text.partition(BEGIN)[2].partition(END)[0].strip()
    assert kept == support.markdown(), "python -m csms.blocks.support prints what belongs between the marks"


def test_readme_has_the_generated_table_of_certification_cases():
    text = README.read_text("utf-8")
    kept = text.partition("<!-- cases:begin -->")[2].partition("<!-- cases:end -->")[0].strip()
    assert kept == cases.table(), "python -m tests.conformance.cases prints what belongs between the marks"
    assert not cases.tested() - {*cases.V16, *cases.V201}, "a test is named after a case that does not exist"


def test_every_message_of_a_station_is_answered_or_listed_with_a_reason():
    assert support.neither_answered_nor_explained() == []


def test_message_that_was_forgotten_is_named(monkeypatch):
    monkeypatch.delitem(dispatch._HANDLERS, v201.NotifyEvent)
    assert support.neither_answered_nor_explained() == ["2.0.1 NotifyEvent"]
    assert "| NotifyEvent |  | no |  |" in support.markdown()
    monkeypatch.setitem(support.UNANSWERED, (Version.V201, "NotifyEvent"), "nobody listens")
    assert support.neither_answered_nor_explained() == []
    assert "nobody listens" in support.markdown()


def test_reasons_are_about_messages_there_are():
    inbound = {name for version in support.VERSIONS for name, action in actions(version).items() if action.from_station}
    assert {*support.LIMITS, *(name for _, name in support.UNANSWERED)} <= inbound


def test_table_knows_what_is_sent():
    assert "| RemoteStartTransaction | yes |  | `blocks/remote_control.py` |  |" in support.markdown()


def test_module_prints_the_table(capsys: pytest.CaptureFixture[str]):
    runpy.run_path(support.__file__, run_name="__main__")
    assert capsys.readouterr().out == support.markdown() + "\n"
