"""What some models get wrong is known beforehand."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import msgspec
import pytest

from csms.domain.quirks import Quirk, Quirks, read_quirks


def test_first_rule_that_fits_counts():
    narrow = Quirk(vendor="acme*", model="w?", firmware="1.*", why="seen", register_factor=1000.0)
    wide = Quirk(vendor="*", why="all others")
    quirks = Quirks([narrow, wide])
    assert quirks.of("ACME Ltd", "W2", "1.4") is narrow
    assert quirks.of("ACME Ltd", "W2", "2.0") is wide
    assert quirks.of("ACME Ltd", "W2", None) is wide


def test_rule_may_be_for_one_station():
    berlin = Quirk(station="cs-1*", time_zone="Europe/Berlin", why="set up by hand")
    assert Quirks([berlin]).of("V", "M", None, "CS-17") is berlin
    assert Quirks([berlin]).of("V", "M", None, "CS-2") is None
    assert str(berlin.zone) == "Europe/Berlin" and Quirk(why="plain").zone is UTC


def test_station_that_has_not_booted_has_none():
    assert Quirks([Quirk(vendor="*", why="all")]).of(None, None, None) is None
    assert Quirks().of("V", "M", None) is None


def test_shipped_file_is_read():
    shipped = Path(__file__).parents[2] / "config" / "quirks.toml"
    quirk = read_quirks(shipped.read_bytes()).of("CSMS Example", "kWh as Wh", None)
    assert quirk is not None and (quirk.register_factor, quirk.milliseconds) == (1000.0, True)


@pytest.mark.parametrize(
    "text",
    [
        b'[[quirk]]\nvendor = "V"\n',
        b'[[quirk]]\nvendr = "V"\nwhy = ""',
        b"[[quirk",
        b'[[quirk]]\nwhy = ""\ntime_zone = "Berlin"',
    ],
)
def test_wrong_file_is_told(text: bytes):
    with pytest.raises(msgspec.DecodeError):
        read_quirks(text)
