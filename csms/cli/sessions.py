"""`csms session …`: what is charged, and starting and stopping it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from csms.cli.client import Client, CommandError, with_client
from csms.cli.show import Config, Json, OperatorName, ServerUrl, kwh, moment, plain, put_json, run, table

app = typer.Typer(help="Sessions: list, show, start, stop.", no_args_is_help=True)

Wait = Annotated[float, typer.Option(min=0.1, max=300, help="Seconds to wait for the station's answer.")]
SessionId = Annotated[int, typer.Argument(metavar="SESSION", help="A session's id, as `csms session list` shows it.")]


@app.command("list")
def list_(
    station: Annotated[str | None, typer.Option(help="Only this station's.")] = None,
    token: Annotated[str | None, typer.Option(help="Only this token's.")] = None,
    status: Annotated[str | None, typer.Option(help="active or closed.")] = None,
    operator: Annotated[str | None, typer.Option("--operator", help="Only this operator's.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """List sessions, newest first."""
    params = {"station_id": station, "token": token, "status": status, "operator": operator}
    found = run(lambda: with_client(config, lambda c: c.pages("/sessions", params, limit), server), as_json)
    if as_json:
        put_json(found)
        return
    columns = {
        "SESSION": lambda row: row["id"], "STATION": lambda row: row["station_id"],
        "EVSE": lambda row: row["evse_id"], "TOKEN": lambda row: row["token"], "STATUS": lambda row: row["status"],
        "STARTED": lambda row: moment(row["started_at"]), "ENERGY": lambda row: kwh(row["energy_wh"]),
        "STOPPED BY": lambda row: row["stop_reason"], "FLAGS": lambda row: " ".join(row["flags"]) or None,
    }  # fmt: skip
    table(found, columns, "No sessions yet.")


@app.command()
def show(id: SessionId, config: Config = None, server: ServerUrl = None, as_json: Json = False) -> None:
    """Show one session with its readings."""

    async def work(client: Client) -> dict[str, Any]:
        session = await client.ask("GET", f"/sessions/{id}")
        samples = await client.ask("GET", f"/sessions/{id}/samples")
        return session | {"samples": samples["items"]}

    session = run(lambda: with_client(config, work, server), as_json)
    if as_json:
        put_json(session)
        return
    readings = session.pop("samples")
    rows = [{"name": key, "value": value} for key, value in session.items()]
    table(rows, {"": lambda row: row["name"], " ": lambda row: row["value"]}, "")
    columns = {
        "TIME": lambda row: moment(row["sampled_at"]), "REGISTER Wh": lambda row: row["register_wh"],
        "POWER W": lambda row: row["power_w"], "SOC %": lambda row: row["soc"],
    }  # fmt: skip
    print()
    table(readings, columns, "No readings.")


@app.command()
def start(
    station: Annotated[str, typer.Argument(help="The station's identity.")],
    token: Annotated[str, typer.Argument(help="The token to charge with.")],
    evse: Annotated[
        int | None, typer.Option(min=1, help="Where (1.6: the connector); else the station chooses.")
    ] = None,
    wait: Wait = 30.0,
    operator: OperatorName = "default",
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """Ask a station to start a session."""
    body = {"station_id": station, "token": token, "evse_id": evse, "operator": operator}
    _command(config, server, as_json, "/sessions", wait, body)


@app.command()
def stop(
    id: SessionId, wait: Wait = 30.0, config: Config = None, server: ServerUrl = None, as_json: Json = False
) -> None:
    """Ask the station to end a session."""
    _command(config, server, as_json, f"/sessions/{id}/stop", wait, None)


def _command(config: Path | None, server: str | None, as_json: bool, path: str, wait: float, body: Any) -> None:
    """Exit status 0 only if the station agreed."""

    async def work(client: Client) -> dict[str, Any]:
        found = await client.ask("POST", path, params={"wait": wait}, json=body, accept=(409,))
        # 409 with a recorded command says that the station is not connected; other conflicts are errors.
        if "action" not in found:
            raise CommandError(found["detail"], found)
        return found

    outcome = run(lambda: with_client(config, work, server), as_json)
    if as_json:
        put_json(outcome)
    else:
        print(_told(outcome))
    if not outcome.get("accepted"):
        raise typer.Exit(1)


def _told(outcome: dict[str, Any]) -> str:
    station, action = outcome["station"], outcome["action"]
    match outcome["status"], outcome["accepted"]:
        case "answered", True:
            return f"{station} accepted {action}."
        case "answered", _:
            return f"{station} refused {action}: {outcome['response'].get('status')}."
        case "error", _:
            return f"{station} answered {action} with an error: {plain(outcome['error']['code'])}."
        case "offline", _:
            return f"{station} is not connected; nothing was sent. Try again when it is online: csms station show {station}"
        case "pending", _:
            return f"{station} has not answered {action} yet: it may still take effect. See: csms session list"
        case status, _:
            return f"{station} did not answer {action} ({status}): it may have taken effect. See: csms session list"
