"""`csms operator …`, `csms user …`, `csms key …`: who shares the system, and who may use it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from csms.cli.client import with_client
from csms.cli.show import Config, Json, ServerUrl, moment, put_json, run, table

operators = typer.Typer(help="Operators who share the system: add, list, delete.", no_args_is_help=True)
users = typer.Typer(help="People who log in: add, list, change, delete.", no_args_is_help=True)
keys = typer.Typer(help="API keys for programs: add, list, delete.", no_args_is_help=True)

Role = Annotated[str, typer.Option(help="admin, operator, support or viewer.")]
Scope = Annotated[str | None, typer.Option("--operator", help="Only this operator's things; left out: everybody's.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]


@operators.command("add")
def add_operator(
    name: str, display_name: Annotated[str | None, typer.Option(help="For people.")] = None, config: Config = None,
    server: ServerUrl = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Add an operator, or change its name for people."""
    body = {} if display_name is None else {"display_name": display_name}
    made = _ask(config, server, as_json, "PUT", f"/operators/{quote(name, safe='')}", json=body)
    _told(made, as_json, f"Operator {name} is there.")


@operators.command("list")
def list_operators(limit: Limit = 100, config: Config = None, server: ServerUrl = None, as_json: Json = False) -> None:
    """List operators."""
    _list("/operators", {}, limit, ("name", "display_name"), "No operators yet.", config, server, as_json)


@operators.command("delete")
def delete_operator(name: str, config: Config = None, server: ServerUrl = None, as_json: Json = False) -> None:
    """Forget an operator that has nothing."""
    _ask(config, server, as_json, "DELETE", f"/operators/{quote(name, safe='')}")
    _told({}, as_json, f"Operator {name} is gone.")


@users.command("add")
def add_user(
    name: str, role: Role = "viewer", operator: Scope = None, config: Config = None, server: ServerUrl = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Let somebody in. The password is generated and shown once."""
    body = {"name": name, "role": role, "operator": operator}
    made = _ask(config, server, as_json, "POST", "/users", json=body)
    _told(made, as_json, f"User {name} ({role}), number {made['id']}.\nPassword: {made['password']}   (shown only now)")


@users.command("list")
def list_users(
    operator: Scope = None, limit: Limit = 100, config: Config = None, server: ServerUrl = None, as_json: Json = False
) -> None:
    """List users."""
    columns = ("id", "name", "role", "operator", "disabled")
    none = "No users yet. Add one: csms user add NAME"
    _list("/users", {"operator": operator}, limit, columns, none, config, server, as_json)


@users.command("change")
def change_user(
    id: int, role: Annotated[str | None, typer.Option(help="admin, operator, support or viewer.")] = None,
    disabled: Annotated[bool | None, typer.Option("--disabled/--enabled", help="Whether it may log in.")] = None,
    config: Config = None, server: ServerUrl = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Change a user by its number; its logins end."""
    body = {"role": role, "disabled": disabled}
    made = _ask(config, server, as_json, "PATCH", f"/users/{id}", json=body)
    _told(made, as_json, f"User {made['name']} is {made['role']}{', disabled' if made['disabled'] else ''}.")


@users.command("delete")
def delete_user(id: int, config: Config = None, server: ServerUrl = None, as_json: Json = False) -> None:
    """Let a user in no longer, by its number."""
    _ask(config, server, as_json, "DELETE", f"/users/{id}")
    _told({}, as_json, f"User {id} is gone.")


@keys.command("add")
def add_key(
    name: str, role: Role = "viewer", operator: Scope = None,
    expires: Annotated[str | None, typer.Option(help="For example 2027-12-31T23:59:59Z; left out: never.")] = None,
    config: Config = None, server: ServerUrl = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Make a key. It is shown once."""
    body = {"name": name, "role": role, "operator": operator, "expires_at": expires}
    made = _ask(config, server, as_json, "POST", "/api-keys", json=body)
    _told(made, as_json, f"Key {name} ({role}), number {made['id']}.\n{made['key']}   (shown only now)")


@keys.command("list")
def list_keys(
    operator: Scope = None, limit: Limit = 100, config: Config = None, server: ServerUrl = None, as_json: Json = False
) -> None:
    """List keys, without their secrets."""
    columns = ("id", "name", "role", "operator", "expires_at")
    none = "No keys yet. Add one: csms key add NAME"
    _list("/api-keys", {"operator": operator}, limit, columns, none, config, server, as_json)


@keys.command("delete")
def delete_key(id: int, config: Config = None, server: ServerUrl = None, as_json: Json = False) -> None:
    """Revoke a key by its number: it opens nothing from now on."""
    _ask(config, server, as_json, "DELETE", f"/api-keys/{id}")
    _told({}, as_json, f"Key {id} is gone.")


def _ask(config: Path | None, server: str | None, as_json: bool, method: str, path: str, **options: Any) -> Any:
    return run(lambda: with_client(config, lambda client: client.ask(method, path, **options), server), as_json)


def _told(answer: dict[str, Any], as_json: bool, told: str) -> None:
    if as_json:
        put_json(answer)
    else:
        print(told)


def _list(
    path: str, params: dict[str, Any], limit: int, columns: tuple[str, ...], empty: str, config: Path | None,
    server: str | None, as_json: bool,
) -> None:  # fmt: skip
    found = run(lambda: with_client(config, lambda client: client.pages(path, params, limit), server), as_json)
    if as_json:
        put_json(found)
        return
    shown = {
        name.replace("_", " ").upper(): lambda row, name=name: (
            moment(row[name]) if name.endswith("_at") else row[name]
        )
        for name in columns
    }  # fmt: skip
    table(found, shown, empty)
