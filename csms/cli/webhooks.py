"""`csms webhook …`: who gets events over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from csms.cli.client import with_client
from csms.cli.show import Config, Json, ServerUrl, moment, put_json, run, table

app = typer.Typer(help="Webhooks, who get events over HTTP: add, list, test, remove.", no_args_is_help=True)

Operator = Annotated[str | None, typer.Option(help="Only events of this operator's stations; left out: of all.")]
Id = Annotated[int, typer.Argument(help="Its number, as `csms webhook list` shows it.")]


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="Where events are sent, for example https://billing.example/csms.")],
    type: Annotated[list[str] | None, typer.Option(help="Only such events: session.opened, session.* …")] = None,
    station: Annotated[list[str] | None, typer.Option(help="Only events of these stations.")] = None,
    description: Annotated[str | None, typer.Option(help="For whoever reads the list.")] = None,
    operator: Operator = None,
    config: Config = None,
    server: ServerUrl = None,
    as_json: Json = False,
) -> None:
    """Have events sent to a URL from now on; the secret that signs them is shown only here."""
    body = {"url": url, "types": type or [], "stations": station or [], "description": description}
    params = {} if operator is None else {"operator": operator}
    made = _ask("POST", "/webhooks", config, server, as_json, params=params, json=body)
    if as_json:
        put_json(made)
    else:
        print(f"Webhook {made['id']} gets events from now on.")
        print(f"Secret:  {made['secret']}  (shown only this once)")


@app.command("list")
def list_(operator: Operator = None, config: Config = None, server: ServerUrl = None, as_json: Json = False) -> None:
    """Webhooks, and how deliveries to them go."""
    params = {"operator": operator}
    found = run(lambda: with_client(config, lambda client: client.pages("/webhooks", params, 1000), server), as_json)
    if as_json:
        put_json(found)
        return
    columns = {
        "id": lambda row: row["id"],
        "operator": lambda row: row["operator"] or "all",
        "url": lambda row: row["url"],
        "events": lambda row: ", ".join(row["types"]) or "all",
        "state": lambda row: row["delivery"]["circuit"] if row["enabled"] else "paused",
        "waiting": lambda row: row["delivery"]["waiting"],
        "delivered": lambda row: moment(row["delivery"]["delivered_at"]),
        "error": lambda row: row["delivery"]["error"],
    }
    table(found, columns, "There are no webhooks. Add one: csms webhook add URL")


@app.command()
def test(id: Id, config: Config = None, server: ServerUrl = None, as_json: Json = False) -> None:
    """Send one event for a test now. Exit status 1 when it was not taken."""
    outcome = _ask("POST", f"/webhooks/{id}/test", config, server, as_json)
    if as_json:
        put_json(outcome)
    elif outcome["delivered"]:
        print(f"Webhook {id} took it in {outcome['milliseconds']} ms (status {outcome['status']}).")
    else:
        print(f"Webhook {id} did not take it: {outcome['error']}.")
    if not outcome["delivered"]:
        raise typer.Exit(1)


@app.command()
def remove(id: Id, config: Config = None, server: ServerUrl = None, as_json: Json = False) -> None:
    """Send nothing to it any more."""
    _ask("DELETE", f"/webhooks/{id}", config, server, as_json)
    if as_json:
        put_json({"removed": id})
    else:
        print(f"Webhook {id} gets nothing any more.")


def _ask(method: str, path: str, config: Any, server: str | None, as_json: bool, **options: Any) -> Any:
    return run(lambda: with_client(config, lambda client: client.ask(method, path, **options), server), as_json)
