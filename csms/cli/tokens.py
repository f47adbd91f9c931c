"""`csms token …`: who may charge."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from csms.cli.client import with_client
from csms.cli.show import Config, Json, OperatorName, ServerUrl, moment, put_json, run, table

app = typer.Typer(help="Tokens (RFID cards and the like): add, list.", no_args_is_help=True)


@app.command()
def add(
    value: Annotated[str, typer.Argument(help="What the card says, for example 04A2B3C4.")],
    status: Annotated[str, typer.Option(help="accepted, blocked, expired or invalid.")] = "accepted",
    type: Annotated[str | None, typer.Option(help="For example ISO14443 or eMAID; left out: any.")] = None,
    group: Annotated[str | None, typer.Option(help="Tokens of one group may stop each other's sessions.")] = None,
    expires: Annotated[str | None, typer.Option(help="For example 2027-12-31T23:59:59Z.")] = None,
    operator: OperatorName = "default",
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """Add a token, or change one that is there."""
    body = {"status": status, "type": type, "group": group, "expires_at": expires}
    path = f"/tokens/{quote(value, safe='')}"
    token = run(
        lambda: with_client(
            config, lambda client: client.ask("PUT", path, params={"operator": operator}, json=body), server
        ),
        as_json,
    )
    if as_json:
        put_json(token)
    else:
        print(f"Token {token['value']} is {token['effective_status']} for operator {operator}.")


@app.command("list")
def list_(
    operator: OperatorName = "default",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """List tokens."""
    found = run(
        lambda: with_client(config, lambda c: c.pages("/tokens", {"operator": operator}, limit), server), as_json
    )
    if as_json:
        put_json(found)
        return
    columns = {
        "TOKEN": lambda row: row["value"], "TYPE": lambda row: row["type"],
        "STATUS": lambda row: row["effective_status"], "GROUP": lambda row: row["group"],
        "EXPIRES": lambda row: moment(row["expires_at"]),
    }  # fmt: skip
    table(found, columns, "No tokens yet. Add one: csms token add VALUE")
