"""`csms command`: ask a station anything, in the specification's own words."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from csms.cli.client import Client, CommandError, with_client
from csms.cli.show import Config, Json, OperatorName, ServerUrl, plain, put_json, run


def command(
    station: Annotated[str, typer.Argument(help="The station's identity.")],
    action: Annotated[str, typer.Argument(help="The OCPP action, for example GetConfiguration or SetVariables.")],
    payload: Annotated[str, typer.Argument(metavar="JSON", help="Its payload, as the specification spells it.")] = "{}",
    wait: Annotated[float, typer.Option(min=0, max=300, help="Seconds to wait for the answer.")] = 30.0,
    queue: Annotated[float, typer.Option(min=0, help="Seconds to wait for a station that is not connected.")] = 0.0,
    validate: Annotated[bool, typer.Option(help="Let the official schema judge the payload first.")] = True,
    operator: OperatorName = "default",
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """Ask a station anything. Exit status 0 when it answered, whatever it said."""
    path = f"/stations/{quote(station, safe='')}/commands/{quote(action, safe='')}"
    params = {"wait": wait, "queue": queue, "validate": validate, "operator": operator}

    async def work(client: Client) -> dict[str, Any]:
        found = await client.ask("POST", path, params=params, content=payload.encode(), accept=(409,))
        if "detail" in found:  # A conflict that is no command: told as an error.
            raise CommandError(found["detail"], found)
        return found

    outcome = run(lambda: with_client(config, work, server), as_json)
    if as_json:
        put_json(outcome)
    else:
        print(told(outcome))
    if outcome["status"] != "answered":
        raise typer.Exit(1)


def told(outcome: dict[str, Any]) -> str:
    """How a command ended, for people."""
    station, action = outcome["station"], outcome["action"]
    match outcome["status"]:
        case "answered":
            said = plain(msgspec.json.encode(outcome["response"]).decode())
            return f"{station} answered {action}: {said}"
        case "pending":
            return f"{station} has not answered {action} yet. It is command {outcome['id']}."
        case "error":
            error = outcome["error"]
            return f"{station} answered {action} with an error: {plain(error['code'])} {plain(error['description'])}"
        case "offline" if outcome["error"]:
            return f"Nothing was sent. {plain(outcome['error']['description'])}"
        case "offline":
            return f"{station} is not connected; nothing was sent. Try again when it is online, or wait for it: --queue 600"
        case status:
            return f"{station} did not answer {action} ({status}): it may have taken effect."
