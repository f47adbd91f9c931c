"""`csms station …`: which chargers there are, and how they identify themselves."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from csms.cli.client import Client, CommandError, with_client
from csms.cli.network import import_network, is_network
from csms.cli.show import Config, Json, OperatorName, ServerUrl, moment, put_json, run, table

app = typer.Typer(help="Chargers: add, list, show, import.", no_args_is_help=True)

_CHUNK = 1000

Identity = Annotated[str, typer.Argument(metavar="ID", help="The identity the charger connects with.")]


@app.command()
def add(
    id: Identity,
    operator: OperatorName = "default",
    password: Annotated[str | None, typer.Option(help="Else one is generated and shown once.")] = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="Ask for no credentials (trusted networks).")
    ] = False,
    version: Annotated[str | None, typer.Option(help="Only a note: each connection agrees on its own.")] = None,
    admission: Annotated[str, typer.Option(help="Answer to its boot: accepted, pending or rejected.")] = "accepted",
    strict: Annotated[bool, typer.Option("--strict", help="Repair nothing that it sends.")] = False,
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """Add a charger, or change one that is there."""
    if version not in (None, "1.6", "2.0.1", "2.1"):
        raise typer.BadParameter("1.6, 2.0.1 or 2.1", param_hint="--version")
    if password is not None and no_password:
        raise typer.BadParameter("give --password or --no-password, not both")
    body: dict[str, Any] = {"admission": admission, "strict": strict}
    if password is not None or no_password:
        body["password"] = password
    station = _ask(config, server, as_json, "PUT", _path(id), params={"operator": operator}, json=body)
    if as_json:
        put_json(station)
        return
    prefix = "" if operator == "default" else quote(operator, safe="") + "/"
    print(f"Station {id} of operator {operator} may connect to …/ocpp/{prefix}{quote(id, safe='')}")
    if station["password"] is not None:
        print(f"User name: {id}\nPassword:  {station['password']}   (shown only now; it is stored hashed)")
    elif not station["has_password"]:
        print("It needs no credentials: use this on trusted networks only.")


@app.command("list")
def list_(
    operator: Annotated[str | None, typer.Option("--operator", help="Only this operator's.")] = None,
    online: Annotated[bool | None, typer.Option("--online/--offline", help="Only those (not) connected.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """List chargers."""
    params = {"operator": operator, "online": online}
    found = run(lambda: with_client(config, lambda c: c.pages("/stations", params, limit), server), as_json)
    if as_json:
        put_json(found)
        return
    columns = {
        "STATION": lambda row: row["id"], "OPERATOR": lambda row: row["operator"],
        "ONLINE": lambda row: row["online"], "OCPP": lambda row: row["version"],
        "MODEL": lambda row: " ".join(filter(None, (row["vendor"], row["model"]))) or None,
        "LAST SEEN": lambda row: moment(row["last_seen_at"]),
    }  # fmt: skip
    table(found, columns, "No stations yet. Add one: csms station add ID")


@app.command()
def show(
    id: Identity, operator: OperatorName = "default", config: Config = None, server: ServerUrl = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Show one charger and its connectors."""
    station = _ask(config, server, as_json, "GET", _path(id), params={"operator": operator})
    if as_json:
        put_json(station)
        return
    shown = {key: value for key, value in station.items() if key not in ("connectors", "password")}
    rows = [{"name": key, "value": value} for key, value in shown.items()]
    table(rows, {"": lambda row: row["name"], " ": lambda row: row["value"]}, "")
    columns = {
        "EVSE": lambda row: row["evse_id"], "CONNECTOR": lambda row: row["connector_id"],
        "STATUS": lambda row: row["status"], "DETAIL": lambda row: row["detail"],
        "ERROR": lambda row: row["error_code"], "SINCE": lambda row: moment(row["reported_at"]),
    }  # fmt: skip
    print()
    table(station["connectors"], columns, "It has not reported any connector yet.")


@app.command()
def history(
    id: Identity,
    since: Annotated[str | None, typer.Option(help="From this moment on, for example 2027-01-01T00:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this moment.")] = None,
    evse: Annotated[int | None, typer.Option(min=0, help="Only this EVSE (1.6: connector).")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    operator: OperatorName = "default",
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """Show when a charger's connectors changed their status, and when it came and went, newest first."""
    params = {"operator": operator, "since": since, "until": until, "evse_id": evse}
    path = f"{_path(id)}/status-history"
    found = run(lambda: with_client(config, lambda c: c.pages(path, params, limit), server), as_json)
    if as_json:
        put_json(found)
        return
    columns = {
        "TIME": lambda row: moment(row["reported_at"]), "EVSE": lambda row: row["evse_id"],
        "CONNECTOR": lambda row: row["connector_id"], "STATUS": lambda row: row["status"],
        "DETAIL": lambda row: row["detail"], "ERROR": lambda row: row["error_code"],
    }  # fmt: skip
    table(found, columns, "Nothing is on record.")


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help='NDJSON: {"id": "CP-1"} a line ("password": null for none), or what `csms-sim network` wrote.'
        ),
    ],
    operator: OperatorName = "default",
    passwords: Annotated[Path | None, typer.Option(help="Where to write generated passwords (NDJSON).")] = None,
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """Add or change many chargers, with progress."""
    if not file.is_file():
        raise typer.BadParameter(f"there is no file {file}", param_hint="FILE")
    quiet = as_json or not sys.stderr.isatty()
    if is_network(file):
        report = run(lambda: with_client(config, lambda c: import_network(c, file, quiet), server), as_json)
        _tell_imported(report, as_json)
        return
    lines = [line for line in file.read_bytes().splitlines() if line.strip()]

    async def work(client: Client) -> dict[str, Any]:
        with _passwords_file(passwords, lines) as kept:
            return await _import(client, lines, operator, kept, quiet=quiet)

    _tell_imported(run(lambda: with_client(config, work, server), as_json), as_json)


def _tell_imported(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        put_json(report)
    else:
        print(f"{report['created']} stations added, {report['updated']} changed.")


async def _import(
    client: Client, lines: list[bytes], operator: str, passwords: IO[bytes] | None, quiet: bool
) -> dict[str, Any]:
    from rich.progress import Progress  # Slow to import.

    created = updated = 0
    with Progress(disable=quiet) as progress:
        task = progress.add_task("Importing stations", total=len(lines))
        for start in range(0, len(lines), _CHUNK):
            chunk = lines[start : start + _CHUNK]
            try:
                report = await client.ask(
                    "POST", "/stations/import", params={"operator": operator}, content=b"\n".join(chunk)
                )
            except CommandError as error:
                raise CommandError(
                    f"{error} (lines {start + 1} to {start + len(chunk)}; {start} lines are in)"
                ) from None
            created, updated = created + report["created"], updated + report["updated"]
            for station, password in report["passwords"].items():
                passwords.write(msgspec.json.encode({"station": station, "password": password}) + b"\n")
            progress.advance(task, len(chunk))
    return {"created": created, "updated": updated}


@contextmanager
def _passwords_file(path: Path | None, lines: list[bytes]) -> Iterator[IO[bytes] | None]:
    """Where generated passwords go: open before the first is made, since each is told only once."""
    if path is None:
        if any(b'"password"' not in line for line in lines):
            raise CommandError(
                'A station without a "password" gets a generated one: name a file for them with --passwords FILE, '
                'or write "password": null for stations that need no credentials. Nothing was imported.'
            )
        yield None
        return
    try:
        file = open(path, "ab", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o600))
    except OSError as error:
        raise CommandError(f"Cannot write to {path} ({error.strerror}). Nothing was imported.") from None
    with file:
        yield file


def _ask(config: Path | None, server: str | None, as_json: bool, method: str, path: str, **options: Any) -> Any:
    return run(lambda: with_client(config, lambda client: client.ask(method, path, **options), server), as_json)


def _path(id: str) -> str:
    return f"/stations/{quote(id, safe='')}"
