"""`csms tariff …`: what a session costs."""

from __future__ import annotations

from typing import Annotated

import typer

from csms.cli.client import with_client
from csms.cli.show import Config, Json, OperatorName, ServerUrl, moment, put_json, run, table

app = typer.Typer(help="Prices: set, list.", no_args_is_help=True)


@app.command("set")
def set_(
    currency: Annotated[str, typer.Option(help="ISO 4217, for example EUR.")],
    kwh: Annotated[str, typer.Option(help="Price of a kWh, for example 0.45.")] = "0",
    minute: Annotated[str, typer.Option(help="Price of a minute.")] = "0",
    session: Annotated[str, typer.Option(help="Fee of a session.")] = "0",
    since: Annotated[
        str | None, typer.Option("--from", help="For example 2027-01-01T00:00:00Z; left out: now.")
    ] = None,
    operator: OperatorName = "default",
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """Set new prices. Sessions that have begun keep theirs."""
    body = {
        "currency": currency, "price_per_kwh": kwh, "price_per_minute": minute, "price_per_session": session,
        "valid_from": since,
    }  # fmt: skip
    tariff = run(
        lambda: with_client(
            config, lambda client: client.ask("POST", "/tariffs", params={"operator": operator}, json=body), server
        ),
        as_json,
    )
    if as_json:
        put_json(tariff)
    else:
        print(f"New prices of operator {operator} hold from {moment(tariff['valid_from'])} on.")


@app.command("list")
def list_(
    operator: OperatorName = "default",
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """List the prices, the latest first."""
    found = run(
        lambda: with_client(config, lambda c: c.ask("GET", "/tariffs", params={"operator": operator}), server), as_json
    )["items"]
    if as_json:
        put_json(found)
        return
    columns = {
        "FROM": lambda row: moment(row["valid_from"]), "CURRENCY": lambda row: row["currency"],
        "KWH": lambda row: row["price_per_kwh"], "MINUTE": lambda row: row["price_per_minute"],
        "SESSION": lambda row: row["price_per_session"],
    }  # fmt: skip
    table(found, columns, "No prices yet: charging is free. Set some: csms tariff set --currency EUR --kwh 0.45")
