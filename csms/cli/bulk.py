"""`csms bulk …`: one question for many stations, followed until each has ended."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import msgspec
import typer

from csms.cli.client import Client, with_client
from csms.cli.show import Config, Json, OperatorName, ServerUrl, moment, put_json, run, table
from csms.cluster.neutral import VERBS

app = typer.Typer(help="One question for many stations: start, follow, list, cancel.", no_args_is_help=True)

Id = Annotated[int, typer.Argument(help="Its number, as `csms bulk list` shows it.")]
_EVERY = 0.5  # s between two looks at the progress.


@app.command()
def start(
    question: Annotated[str, typer.Argument(help=f"An OCPP action, or one of: {', '.join(VERBS)}.")],
    payload: Annotated[str, typer.Argument(metavar="JSON", help="The action's payload, or the verb's words.")] = "{}",
    station: Annotated[list[str] | None, typer.Option(help="This station; may be given many times.")] = None,
    location: Annotated[str | None, typer.Option(help="Stations of this location.")] = None,
    vendor: Annotated[str | None, typer.Option(help="Stations of this vendor.")] = None,
    model: Annotated[str | None, typer.Option(help="Stations of this model.")] = None,
    firmware: Annotated[str | None, typer.Option(help="Stations with this firmware.")] = None,
    version: Annotated[str | None, typer.Option(help="Stations of this version of OCPP.")] = None,
    online: Annotated[bool | None, typer.Option(help="Stations that are (or are not) connected.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Every station of the operator.")] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Stations under way at once.")] = 50,
    rate: Annotated[float, typer.Option(help="Stations begun with in a second.")] = 20.0,
    queue: Annotated[float, typer.Option(min=0, help="Seconds to wait for stations that are not connected.")] = 0.0,
    follow: Annotated[bool, typer.Option(help="Show the progress, and end with it.")] = True,
    operator: OperatorName = "default",
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """Ask the stations that match, for example: csms bulk start reset '{"type": "soft"}' --model M1."""
    try:
        said = msgspec.json.decode(payload.encode(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise typer.BadParameter(f"This is no JSON object: {error}", param_hint="JSON") from None
    chosen = {
        "station_ids": station or None, "location": location, "vendor": vendor, "model": model, "firmware": firmware,
        "version": version, "online": online,
    }  # fmt: skip
    body = {
        "verb" if question in VERBS else "action": question, "payload": said, "operator": operator,
        "filter": {name: value for name, value in chosen.items() if value is not None} or None, "all": all,
        "concurrency": concurrency, "rate": rate, "queue": queue,
    }  # fmt: skip

    async def work(client: Client) -> dict[str, Any]:
        begun = await client.ask("POST", "/bulk-commands", json=body)
        return await _followed(client, begun) if follow else begun

    _show(run(lambda: with_client(config, work, server), as_json), as_json)


@app.command()
def show(
    id: Id,
    follow: Annotated[bool, typer.Option(help="Show the progress until it has ended.")] = False,
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """How far one is, and what became of each station."""

    async def work(client: Client) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        found = await client.ask("GET", f"/bulk-commands/{id}")
        found = await _followed(client, found) if follow else found
        return found, await client.pages(f"/bulk-commands/{id}/items", {}, found["stations"])

    found, items = run(lambda: with_client(config, work, server), as_json)
    if as_json:
        put_json({**found, "items": items})
        return
    columns = {
        "STATION": lambda row: row["station_id"], "STATE": lambda row: row["state"],
        "SAID": lambda row: row["problem"] or (row["response"] and msgspec.json.encode(row["response"]).decode()),
    }  # fmt: skip
    table(items, columns, "No station matched.")
    print(_told(found))


@app.command("list")
def list_(
    operator: OperatorName = "default",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """The latest first."""
    params = {"operator": operator}
    found = run(lambda: with_client(config, lambda c: c.pages("/bulk-commands", params, limit), server), as_json)
    if as_json:
        put_json(found)
        return
    columns = {
        "ID": lambda row: row["id"], "QUESTION": lambda row: row["verb"] or row["action"],
        "STATUS": lambda row: row["status"], "STATIONS": lambda row: row["stations"],
        "BY": lambda row: row["created_by"], "BEGUN": lambda row: moment(row["created_at"]),
    }  # fmt: skip
    table(found, columns, "Nothing was asked of many stations yet.")


@app.command()
def cancel(id: Id, config: Config = None, server: ServerUrl = None, as_json: Json = False) -> None:
    """Ask nobody else; what is under way goes on, and is recorded."""
    path = f"/bulk-commands/{id}/cancel"
    found = run(lambda: with_client(config, lambda client: client.ask("POST", path), server), as_json)
    if as_json:
        put_json(found)
    else:
        print(_told(found))


async def _followed(client: Client, found: dict[str, Any]) -> dict[str, Any]:
    """How it ended; on the way, its progress on a terminal."""
    try:
        while found["status"] == "running":
            if sys.stderr.isatty():
                print(f"\r{_told(found)}\033[K", end="", file=sys.stderr, flush=True)
            await asyncio.sleep(_EVERY)
            found = await client.ask("GET", f"/bulk-commands/{found['id']}")
    finally:
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    return found


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        put_json(found)
    else:
        print(_told(found))
    if found["status"] == "done" and found["progress"].get("answered", 0) < found["stations"]:
        raise typer.Exit(1)


def _told(found: dict[str, Any]) -> str:
    states = ", ".join(f"{count} {state}" for state, count in sorted(found["progress"].items()) if count)
    return f"Bulk command {found['id']} is {found['status']}: {found['stations']} stations: {states or 'none'}."
