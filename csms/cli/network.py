"""`csms network …`: what the network adds up to; and a network's file taken in, with progress."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import typer

from csms.cli.client import Client, CommandError, with_client
from csms.cli.show import Config, Json, ServerUrl, put_json, run, table

app = typer.Typer(help="The whole network: what it adds up to.", no_args_is_help=True)

_CHUNK = 2_000  # Lines in one request.


@app.command()
def summary(config: Config = None, server: ServerUrl = None, as_json: Json = False) -> None:
    """Count operators, stations, cities and service areas, and what is going on."""
    found = run(lambda: with_client(config, lambda client: client.ask("GET", "/network/summary"), server), as_json)
    if as_json:
        put_json(found)
        return
    by_operator = found.pop("by_operator")
    found["service_area_share"] = f"{found['service_area_share']:.1%}"
    rows = [{"name": name.replace("_", " "), "value": value} for name, value in found.items()]
    table(rows, {"": lambda row: row["name"], " ": lambda row: row["value"]}, "")
    print()
    names = ("stations", "dc_stations", "connectors", "online", "charging")
    columns = {"OPERATOR": lambda row: row["name"]} | {
        name.upper().replace("_", " "): lambda row, name=name: row[name] for name in names
    }
    table([{"name": name, **counts} for name, counts in by_operator.items()], columns, "No stations yet.")


def is_network(file: Path) -> bool:
    """Whether the file is a network's (its lines have a kind), not a plain list of stations."""
    with file.open("rb") as lines:
        return b'"kind"' in next(lines, b"")


async def import_network(client: Client, file: Path, quiet: bool) -> dict[str, Any]:
    """Take in the whole file, part by part; each part all or nothing."""
    from rich.progress import Progress, TimeElapsedColumn  # Slow to import.

    created = updated = done = 0
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), disable=quiet) as progress:
        task = progress.add_task("Importing the network", total=file.stat().st_size)
        for lines in _parts(file):
            content = b"".join(lines)
            try:
                report = await client.ask("POST", "/network/import", content=content)
            except CommandError as error:
                told = f"{error} (lines {done + 1} to {done + len(lines)} of {file}; {done} lines are in)"
                raise CommandError(told) from None
            created, updated, done = created + report["created"], updated + report["updated"], done + len(lines)
            progress.advance(task, len(content))
    return {"created": created, "updated": updated}


def _parts(file: Path) -> Iterator[list[bytes]]:
    with file.open("rb") as lines:
        while part := list(islice(lines, _CHUNK)):
            yield part
