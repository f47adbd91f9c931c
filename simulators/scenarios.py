"""Scenarios: how a fleet is made up and how it is used, as data (`config/fleet.toml`)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from random import Random

import msgspec

from csms.ocpp.version import Version
from simulators.dice import Dice

_UNITS_201 = ("kWh", "Wh*10^3", "kWh*10^-3")


class ScenarioError(Exception):
    """A scenario cannot be used. The message says which file and what to change."""


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One scenario. Spans are [least, most]; shares are 0..1; hours and seconds are simulated ones."""

    about: str = ""
    share_201: float = 0.5
    outlets: tuple[int, int] = (1, 2)
    dc_share: float = 0.8
    dc_power_kw: tuple[float, float] = (60.0, 180.0)
    ac_power_kw: tuple[float, float] = (7.4, 22.0)
    sessions_per_hour: float = 2.0
    session_energy_kwh: tuple[float, float] = (5.0, 45.0)
    meter_interval_s: float = 60.0
    kwh_share: float = 0.25
    plug_start_share: float = 0.25
    transaction_data_share: float = 0.3
    same_id_share: float = 0.5
    fault_share: float = 0.01
    outages_per_hour: float = 0.02
    outage_s: tuple[float, float] = (60.0, 1200.0)
    flapping_share: float = 0.0
    flaps_per_hour: float = 60.0
    flap_s: tuple[float, float] = (1.0, 30.0)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    default: str
    scenario: dict[str, Scenario]


@dataclass(frozen=True, slots=True)
class StationPlan:
    """What one station is and how it is used: a scenario's dice, thrown."""

    identity: str
    version: Version
    operator: str | None = None
    password: str | None = None
    seed: str = "0"
    outlets: int = 1
    dc: bool = True
    power_w: float = 60_000.0
    sessions_per_hour: float = 0.0
    session_energy_kwh: tuple[float, float] = (5.0, 45.0)
    meter_interval_s: float = 60.0
    unit: str = "Wh"  # How it writes its register.
    starts_on_plug: bool = False  # 2.0.1: TxStartPoint EVConnected, the token comes later.
    transaction_data: bool = False  # 1.6: StopTransaction carries readings.
    keeps_message_ids: bool = True  # A message sent again keeps its id.
    fault_share: float = 0.0
    outages_per_hour: float = 0.0
    outage_s: tuple[float, float] = (60.0, 1200.0)
    busy_share: float = 0.0  # How likely an outlet finds a car waiting when the run begins.
    log_normal: bool = False  # `session_energy_kwh` is then (mean, sigma), else [least, most].
    groups: tuple[str, ...] = ()  # What it may fail together with: operator:…, place:…, model:….

    def wanted_wh(self, dice: Dice) -> float:
        """What the next driver wants."""
        one, other = self.session_energy_kwh
        if self.log_normal:
            return 1000 * one * dice.lognormvariate(-other * other / 2, other)
        return 1000 * dice.uniform(one, other)


def config_file(name: str) -> Path:
    """A file of `config/` beside the packages (a checkout), or its copy inside `csms` (an installation)."""
    beside = Path(__file__).resolve().parent.parent / "config" / name
    if beside.is_file():
        return beside
    return Path(find_spec("csms").submodule_search_locations[0]) / "config" / name


def load(file: Path | None = None, name: str | None = None) -> Scenario:
    """The scenario of that name, or the file's default one."""
    path = file or config_file("fleet.toml")
    try:
        content = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File)
    except OSError as error:
        raise ScenarioError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ScenarioError(f"{path} is not a file of scenarios: {error}") from error
    wanted = name or content.default
    if wanted not in content.scenario:
        raise ScenarioError(f"{path} has no scenario {wanted!r}, but {', '.join(content.scenario)}")
    return content.scenario[wanted]


def version_of(number: int, wanted: str, share_201: float) -> Version:
    """The version of that station (numbers from 1): shares hold in every stretch of a mixed fleet."""
    if wanted != "mix":
        return Version(wanted)
    return Version.V201 if int(number * share_201) > int((number - 1) * share_201) else Version.V16


def identity_of(number: int, prefix: str) -> str:
    return f"{prefix}{number:05d}"


def throw_dice(
    scenario: Scenario,
    identity: str,
    version: Version,
    *,
    operator: str | None = None,
    password: str | None = None,
    seed: int = 0,
) -> StationPlan:
    """One station of the scenario; the same seed gives the same station."""
    rng = Random(f"{seed}/{identity}")
    dc = rng.random() < scenario.dc_share
    kilowatts = rng.uniform(*(scenario.dc_power_kw if dc else scenario.ac_power_kw))
    flaps = rng.random() < scenario.flapping_share
    in_kwh = rng.random() < scenario.kwh_share
    units = _UNITS_201 if version is not Version.V16 else ("kWh",)
    return StationPlan(
        identity=identity,
        version=version,
        operator=operator,
        password=password,
        seed=f"{seed}/{identity}/life",
        outlets=rng.randint(*scenario.outlets),
        dc=dc,
        power_w=round(kilowatts, 1) * 1000,
        sessions_per_hour=scenario.sessions_per_hour,
        session_energy_kwh=scenario.session_energy_kwh,
        meter_interval_s=scenario.meter_interval_s,
        unit=rng.choice(units) if in_kwh else "Wh",
        starts_on_plug=version is not Version.V16 and rng.random() < scenario.plug_start_share,
        transaction_data=rng.random() < scenario.transaction_data_share,
        keeps_message_ids=rng.random() < scenario.same_id_share,
        fault_share=scenario.fault_share,
        outages_per_hour=scenario.flaps_per_hour if flaps else scenario.outages_per_hour,
        outage_s=scenario.flap_s if flaps else scenario.outage_s,
    )
