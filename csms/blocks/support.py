"""What is supported, as Markdown, from the catalogue and the handlers: `python -m csms.blocks.support`."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator

import csms.blocks as blocks
from csms.blocks.asking import settled_by
from csms.blocks.dispatch import handler_of
from csms.ocpp import schemas
from csms.ocpp.catalogue import Action, Version, actions

VERSIONS = (Version.V16, Version.V201)

# What is answered as the specification has a system without a capability answer.
LIMITS = {
    "DataTransfer": "vendors' own handlers, else UnknownVendorId",
    "Get15118EVCertificate": "passed to a contract provider, where one is set up",
    "GetCertificateStatus": "asks the OCSP responder it names",
    "NotifyEVChargingNeeds": "a profile that meets them; Rejected without an authorised session",
    "SignCertificate": "Rejected where no authority is set up",
}
# Messages of stations that are answered NotSupported, and why.
UNANSWERED: dict[tuple[Version, str], str] = {}

_BUILT = re.compile(r"\b(v16|v201)\.(\w+)\(")


def markdown() -> str:
    return "\n".join([
        *_table("from stations", "answered by", _from_stations()), "",
        *_table("to stations", "in neutral words too | what its answer changes", _to_stations(), columns=2),
    ])  # fmt: skip


def neither_answered_nor_explained() -> list[str]:
    return [
        f"{version} {name}"
        for version in VERSIONS
        for name, action in actions(version).items()
        if action.from_station and handler_of(action) is None and (version, name) not in UNANSWERED
    ]


def _table(title: str, last: str, rows: Iterator[tuple[str, dict[Version, str], str]], columns: int = 1) -> list[str]:
    versions = " | ".join(VERSIONS)
    head = [f"| {title} | {versions} | {last} |", "| --- " * (len(VERSIONS) + 1 + columns) + "|"]
    return head + [
        f"| {name} | {' | '.join(cells.get(version, '') for version in VERSIONS)} | {how} |"
        for name, cells, how in rows
    ]


def _from_stations() -> Iterator[tuple[str, dict[Version, str], str]]:
    for name, found in _named(from_station=True):
        cells, places = {}, {}
        for version, action in found.items():
            handler = handler_of(action)
            cells[version] = "yes" if handler else "no"
            if handler is not None:
                places[_place(handler.__module__)] = None
        reasons = [LIMITS.get(name), *(UNANSWERED.get((version, name)) for version in found)]
        yield name, cells, ": ".join([", ".join(places), *dict.fromkeys(filter(None, reasons))])


def _to_stations() -> Iterator[tuple[str, dict[Version, str], str]]:
    """Everything that a system may ask is sent as a command in the specification's own words."""
    built = _requests_built()
    for name, found in _named(from_station=False):
        cells = {version: "yes" if can_ask(action) else "no" for version, action in found.items()}
        words = ", ".join(dict.fromkeys(built[action.request] for action in found.values() if action.request in built))
        places = dict.fromkeys(_place(module) for action in found.values() for module in settled_by(action.request))
        yield name, cells, f"{words} | {', '.join(places)}"


def can_ask(action: Action) -> bool:
    """Whether the official schema is there to judge what is sent."""
    try:
        return bool(schemas.official(action.version, f"{action.name}Request"))
    except LookupError:
        return False


def _named(from_station: bool) -> Iterator[tuple[str, dict[Version, Action]]]:
    """Every action of that direction by name, with the versions that have it."""
    found: dict[str, dict[Version, Action]] = {}
    for version in VERSIONS:
        for name, action in actions(version).items():
            if action.from_station if from_station else action.from_csms:
                found.setdefault(name, {})[version] = action
    yield from sorted(found.items())


def _requests_built() -> dict[type, str]:
    """The requests that some block makes, and where."""
    by_module = {version.package: actions(version) for version in VERSIONS}
    built: dict[type, str] = {}
    for name, module in vars(blocks).items():
        if not inspect.ismodule(module):
            continue
        for package, message in _BUILT.findall(inspect.getsource(module)):
            action = by_module[package].get(message)
            if action is not None and action.from_csms:
                built[action.request] = _place(f"csms.blocks.{name}")
    return built


def _place(module: str) -> str:
    return f"`{module.removeprefix('csms.').replace('.', '/')}.py`"


if __name__ == "__main__":
    sys.stdout.write(markdown() + "\n")
