"""Topics: readable where they can be, reversible always."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.bus.topics import events_topic, level, state_topic


def test_topics_of_plain_names() -> None:
    assert events_topic("default") == "csms/v1/default/events"
    assert state_topic("default", "CS-1") == "csms/v1/default/stations/CS-1/state"


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("a/b", "a%2Fb"),
        ("a+b", "a%2Bb"),
        ("#1", "%231"),
        ("100%", "100%25"),
        ("\0", "%00"),
        ("Säule 1", "Säule 1"),
    ],
)
def test_what_a_topic_forbids_is_percent_encoded(name: str, encoded: str) -> None:
    assert level(name) == encoded


@given(st.text())
def test_encoding_is_one_level_and_reversible(name: str) -> None:
    encoded = level(name)
    assert not set(encoded) & set("+#/\0")
    assert unquote(encoded) == name
