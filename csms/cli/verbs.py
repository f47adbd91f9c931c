"""`csms ask`: ask a station in neutral words, whatever version it speaks."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from csms.cli.client import Client, CommandError, with_client
from csms.cli.commands import told
from csms.cli.show import Config, Json, OperatorName, ServerUrl, plain, put_json, run
from csms.cluster.neutral import VERBS
from csms.web.verbs import METHODS

KNOWN = ", ".join(VERBS)


def ask(
    station: Annotated[str, typer.Argument(help="The station's identity.")],
    verb: Annotated[str, typer.Argument(help=f"What: {KNOWN}.")],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="Its words; a value is JSON, else text.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, max=300, help="Seconds to wait for the answer.")] = 30.0,
    queue: Annotated[float, typer.Option(min=0, help="Seconds to wait for a station that is not connected.")] = 0.0,
    operator: OperatorName = "default",
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """Ask a station in neutral words, for example: csms ask CP-1 reset type=hard. Exit status 0 when it agreed."""
    if verb not in VERBS:
        raise typer.BadParameter(f"There is no {verb!r}. There are: {KNOWN}.", param_hint="VERB")
    body = dict(_word(word) for word in words or ())
    path = f"/stations/{quote(station, safe='')}/{verb}"
    params = {"wait": wait, "queue": queue, "operator": operator}

    async def work(client: Client) -> dict[str, Any]:
        found = await client.ask(METHODS.get(verb, "POST"), path, params=params, json=body, accept=(409,))
        if "detail" in found:  # A conflict that is no command: told as an error.
            raise CommandError(found["detail"], found)
        return found

    outcome = run(lambda: with_client(config, work, server), as_json)
    if as_json:
        put_json(outcome)
    else:
        for command in outcome.get("commands", [outcome]):
            print(told(command))
        for result in outcome.get("results", ()):
            print(plain(msgspec.json.encode(result).decode()))
    if not outcome["accepted"]:
        raise typer.Exit(1)


def _word(text: str) -> tuple[str, Any]:
    name, given, value = text.partition("=")
    if not given:
        raise typer.BadParameter(f"{text!r}: write NAME=VALUE, for example type=hard.", param_hint="NAME=VALUE")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value
