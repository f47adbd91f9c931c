"""The command line of the simulators: `csms-sim`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from simulators import audit as audits
from simulators import runs, scenarios
from simulators.connection import RefusedError
from simulators.ledger import LedgerError
from simulators.processes import ProcessLost, drive_in
from simulators.runs import Run, drive, on_a_fast_loop
from simulators.scenarios import Scenario, ScenarioError
from simulators.screen import show_report, watch
from simulators.stored import DatabaseError

FOUND, UNUSABLE, NOBODY_CONNECTED = 1, 2, 3  # Exit statuses.
DEFAULT_URL = "ws://127.0.0.1:9000/ocpp"

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Stations that stand in for real chargers.")

Stations = Annotated[int, typer.Option(min=1, help="How many stations.")]
Prefix = Annotated[str, typer.Option(help="Identities are PREFIX00001 and so on.")]
Version = Annotated[str, typer.Option(help="1.6, 2.0.1 or mix.")]
ConfigFile = Annotated[Path | None, typer.Option(help="A file of scenarios instead of the one shipped.")]
ScenarioName = Annotated[str | None, typer.Option(help="A scenario of that file.")]
AsJson = Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")]


@app.command()
def run(
    url: Annotated[str, typer.Option(help="Where stations connect; the identity is added.")] = DEFAULT_URL,
    stations: Annotated[int | None, typer.Option(min=1, help="How many stations: 10, or all of the network.")] = None,
    version: Version = "mix",
    seconds: Annotated[float, typer.Option("--for", min=0.1, help="Real seconds to run, before the end.")] = 60.0,
    speed: Annotated[float, typer.Option(min=0.1, help="Simulated seconds in a real one.")] = 1.0,
    ledger: Annotated[Path | None, typer.Option(help="Write down every transaction message and answer.")] = None,
    beliefs: Annotated[Path | None, typer.Option(help="Write down each session as its station saw it.")] = None,
    scenario: ScenarioName = None,
    config: ConfigFile = None,
    network: Annotated[Path | None, typer.Option(help="Drive the stations of a file of `csms-sim network`.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Share the stations among so many processes.")] = 1,
    demand: Annotated[float, typer.Option(min=0, help="How many cars come: 1 is the scenario's average.")] = 1.0,
    incident: Annotated[
        list[str] | None, typer.Option(help="WHO@SECOND[+SECONDS]: all@60, operator:NAME@60+30, place:…, model:….")
    ] = None,
    operator: Annotated[str | None, typer.Option(help="The operator in the URL.")] = None,
    prefix: Prefix = "SIM-",
    seed: Annotated[int, typer.Option(help="The same seed throws the same dice.")] = 0,
    ramp: Annotated[float, typer.Option(min=0.1, help="Stations that connect in a second.")] = 200.0,
    token: Annotated[list[str] | None, typer.Option(help="Tokens drivers use (again and again).")] = None,
    password: Annotated[str | None, typer.Option(help="One password for all stations.")] = None,
    passwords: Annotated[Path | None, typer.Option(help='Lines of {"station": …, "password": …}.')] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Real seconds a call waits for its answer.")] = 30.0,
    drain: Annotated[float, typer.Option(min=0, help="Real seconds the end may take: for answers owed.")] = 30.0,
    leave_sessions: Annotated[bool, typer.Option(help="Do not end what is charging at the end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a fleet against a central system."""
    ordered = Run(
        url=url, stations=stations or (0 if network else 10), version=version, seconds=seconds, speed=speed,
        ledger=ledger, beliefs=beliefs, scenario=scenario, config=config, network=network, level=demand,
        incidents=tuple(incident or ()), operator=operator, prefix=prefix, seed=seed, ramp=ramp,
        tokens=tuple(token or ()), password=password, passwords=passwords, timeout=timeout, drain=drain,
        end_sessions=not leave_sessions,
    )  # fmt: skip
    try:
        if processes > 1:
            summary = drive_in(ordered, processes)
            refusal = summary.pop("last_refusal")
        else:
            fleet = on_a_fast_loop(drive(ordered, watch))
            summary, refusal = fleet.summary(), fleet.tally.last_refusal
    except (ScenarioError, LedgerError) as error:
        _fail(str(error), UNUSABLE)
    except ProcessLost as error:
        _fail(str(error), FOUND)
    print(json.dumps(summary) if as_json else _plain(summary), flush=True)
    if not summary["stations_connected"]:
        _fail(_nobody_connected(url, refusal), NOBODY_CONNECTED)
    if summary["unacknowledged"]:
        print(_still_owed(summary["unacknowledged"], drain), file=sys.stderr)


@app.command()
def network(
    out: Annotated[
        Path, typer.Option(help="The file to write: NDJSON, for `csms station import` and `run --network`.")
    ],
    scale: Annotated[
        float, typer.Option(min=0.0001, max=10, help="1 is the whole country: 1.02 million piles.")
    ] = 0.001,
    seed: Annotated[int, typer.Option(help="The same seed makes the same network.")] = 0,
    config: Annotated[
        Path | None, typer.Option(help="A description instead of the shipped config/network.toml.")
    ] = None,
    passwords: Annotated[bool, typer.Option(help="Give each station one, made from the seed.")] = True,
    as_json: AsJson = False,
) -> None:
    """Lay out a whole country's charging network, and say what it adds up to."""
    from simulators.network import Totals, lines, read_country, write

    totals = Totals()
    try:
        write(out, lines(read_country(config), scale, seed, passwords=passwords), totals)
    except (ScenarioError, OSError) as error:
        _fail(f"{out}: {error.strerror}" if isinstance(error, OSError) else str(error), UNUSABLE)
    plain = totals.plain()
    print(json.dumps(plain) if as_json else _plain({k: v for k, v in plain.items() if k != "by_operator"}), flush=True)


@app.command()
def identities(
    stations: Stations = 10,
    prefix: Prefix = "SIM-",
    version: Version = "mix",
    scenario: ScenarioName = None,
    config: ConfigFile = None,
) -> None:
    """Print the stations of a fleet, one JSON object a line, for import into a central system."""
    dice = _scenario(config, scenario)
    try:
        for identity, spoken in runs.identities(stations, prefix, version, dice):
            print(json.dumps({"id": identity, "version": spoken.value}))
    except ScenarioError as error:
        _fail(str(error), UNUSABLE)


@app.command()
def audit(
    ledger: Annotated[Path, typer.Option(help="What `run --ledger` wrote.")],
    database: Annotated[str, typer.Option(help="sqlite:///path or postgresql://user:password@host/name")],
    beliefs: Annotated[Path | None, typer.Option(help="What `run --beliefs` wrote.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hold a ledger against a database: 0 is clean, 1 is a finding, 2 is nothing to audit, so nothing proved."""
    try:
        report = audits.audit(ledger, database, beliefs)
    except (LedgerError, DatabaseError) as error:
        _fail(str(error), UNUSABLE)
    if as_json:
        print(json.dumps(report.plain()))
    else:
        show_report(report)
    if not report.clean:
        raise typer.Exit(FOUND)
    if not report.proved:
        _fail(_nothing_proved(ledger, report), UNUSABLE)


@app.command()
def reference(
    url: Annotated[str, typer.Option(help="Where stations connect; the identity is added.")] = DEFAULT_URL,
    station: Annotated[str, typer.Option(help="Its identity.")] = "REFERENCE-1",
    version: Annotated[str, typer.Option(help="1.6 or 2.0.1.")] = "2.0.1",
    operator: Annotated[str | None, typer.Option(help="The operator in the URL.")] = None,
    password: Annotated[str | None, typer.Option(help="For Basic authentication.")] = None,
    token: Annotated[str, typer.Option(help="The driver's token.")] = "SIM-TOKEN-0001",
    remote: Annotated[bool, typer.Option(help="Wait for the server to start and stop the session.")] = False,
    timeout: Annotated[float, typer.Option(help="Real seconds for all of it.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Charge once with a station built on the independent `ocpp` and `websockets` packages."""
    from simulators.reference import reference_session

    session = reference_session(
        url,
        station,
        version,
        operator=operator,
        password=password,
        token=token,
        remote=remote,
        timeout=timeout,
    )
    try:
        facts = asyncio.run(session).plain()
    except Exception as error:  # Whatever an independent client says is the message.
        _fail(f"the session with {url} failed: {type(error).__name__}: {error}", FOUND)
    print(json.dumps(facts) if as_json else _plain(facts))


def _scenario(config: Path | None, name: str | None) -> Scenario:
    try:
        return scenarios.load(config, name)
    except ScenarioError as error:
        _fail(str(error), UNUSABLE)


def _nobody_connected(url: str, error: Exception | str | None) -> str:
    """What the server said, and what to do."""
    remedies = {
        400: "It speaks none of the versions asked for: try --version 1.6 or --version 2.0.1.",
        401: "It wants a password, or another one: --password or --passwords FILE.",
        404: "It does not know these stations: import them (csms-sim identities … | csms station import -), "
        "or let it accept unknown ones (CSMS_REGISTRATION=open).",
        503: "It is busy or starting: try again, with a smaller --ramp.",
    }
    if isinstance(error, RefusedError):
        remedy = remedies.get(error.status, "Look into its log.")
        return f"No station could connect to {url}: {error}. {remedy}"
    return f"No station could connect to {url}: {error}. Is the server running there? `csms serve` starts one."


def _still_owed(messages: int, drain: float) -> str:
    return (
        f"{messages} transaction messages were not acknowledged {drain:g} s after the end: the server was away or "
        "slow. A longer --drain waits longer; the audit knows they may be stored or not."
    )


def _nothing_proved(ledger: Path, report: audits.Report) -> str:
    """What is missing for a proof, and what to do."""
    if report.unacknowledged:
        remedy = f"The server answered none of the {report.unacknowledged} messages in it: look into its log."
    else:
        remedy = "No session ran: try a longer `csms-sim run --for`, --speed 60 or --scenario busy."
    return f"Nothing was acknowledged in {ledger}, so nothing is proved. {remedy}"


def _plain(summary: dict[str, Any]) -> str:
    return "\n".join(f"{name:26} {value}" for name, value in summary.items())


def _fail(message: str, status: int) -> None:
    print(message, file=sys.stderr)
    raise typer.Exit(status)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
