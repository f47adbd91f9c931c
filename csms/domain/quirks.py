"""What some models get wrong in a way that no message shows: known beforehand, by vendor, model and firmware."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec


class Quirk(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rule for the stations whose vendor, model, firmware and identity match these patterns (`*` and `?`, case ignored)."""

    vendor: str = "*"
    model: str = "*"
    firmware: str = "*"
    station: str = "*"  # The identity, for what one installer got wrong.
    why: str  # For the next person: what was seen, where.
    register_factor: float = 1.0  # Its energy registers times this are Wh: 1000 for kWh labelled as Wh (T57).
    milliseconds: bool = False  # It wants our times with three decimals (T50).
    time_zone: str = "UTC"  # Where its clock is set, when it tells times without a zone (T47).

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"there is no time zone {self.time_zone!r}; write for example Europe/Berlin") from None

    @property
    def zone(self) -> tzinfo:
        return UTC if self.time_zone == "UTC" else ZoneInfo(self.time_zone)  # Kept by the library.

    def fits(self, vendor: str, model: str, firmware: str | None, station: str) -> bool:
        told = (
            (vendor, self.vendor), (model, self.model), (firmware or "", self.firmware), (station, self.station)
        )  # fmt: skip
        return all(fnmatchcase(value.casefold(), pattern.casefold()) for value, pattern in told)


class Quirks:
    """All rules; the first that fits a station is its own. Stations of a kind share one object."""

    def __init__(self, rules: Sequence[Quirk] = ()):
        self._rules = tuple(rules)

    def of(self, vendor: str | None, model: str | None, firmware: str | None, station: str = "") -> Quirk | None:
        if vendor is None or model is None:
            return None  # It has not told yet.
        return next((rule for rule in self._rules if rule.fits(vendor, model, firmware, station)), None)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    quirk: list[Quirk] = []


def read_quirks(text: bytes) -> Quirks:
    """Rules from TOML, `[[quirk]]` each; msgspec.DecodeError or ValidationError names what is wrong."""
    return Quirks(msgspec.toml.decode(text, type=_File).quirk)
