"""What some models get wrong in a way that no message shows: known beforehand, by vendor, model and firmware."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec


class Quirk(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rule for the stations whose vendor, model and firmware match these patterns (`*` and `?`, case ignored)."""

    vendor: str
    model: str = "*"
    firmware: str = "*"
    why: str  # For the next person: what was seen, where.
    register_factor: float = 1.0  # Its energy registers times this are Wh: 1000 for kWh labelled as Wh (T57).
    milliseconds: bool = False  # It wants our times with three decimals (T50).

    def fits(self, vendor: str, model: str, firmware: str | None) -> bool:
        told = ((vendor, self.vendor), (model, self.model), (firmware or "", self.firmware))
        return all(fnmatchcase(value.casefold(), pattern.casefold()) for value, pattern in told)


class Quirks:
    """All rules; the first that fits a station is its own. Stations of a kind share one object."""

    def __init__(self, rules: Sequence[Quirk] = ()):
        self._rules = tuple(rules)

    def of(self, vendor: str | None, model: str | None, firmware: str | None) -> Quirk | None:
        if vendor is None or model is None:
            return None  # It has not told yet.
        return next((rule for rule in self._rules if rule.fits(vendor, model, firmware)), None)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    quirk: list[Quirk] = []


def read_quirks(text: bytes) -> Quirks:
    """Rules from TOML, `[[quirk]]` each; msgspec.DecodeError or ValidationError names what is wrong."""
    return Quirks(msgspec.toml.decode(text, type=_File).quirk)
