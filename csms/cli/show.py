"""How answers are shown: tables for people, JSON for programs, errors with a remedy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from csms.cli.client import CommandError

T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
Config = Annotated[
    Path | None, typer.Option("--config", help="Settings file (TOML).", envvar="CSMS_CONFIG", show_default=False)
]
ServerUrl = Annotated[
    str | None,
    typer.Option("--server", help="URL of a server elsewhere; its key from CSMS_ADMIN_KEY.", show_default=False),
]
OperatorName = Annotated[str, typer.Option("--operator", help="The operator it belongs to.")]


def put_json(value: Any) -> None:
    print(msgspec.json.encode(value).decode(), flush=True)


def table(rows: Sequence[dict[str, Any]], columns: dict[str, Callable[[dict[str, Any]], Any]], empty: str) -> None:
    """Rows as a table. Whatever a charger sent is shown as text, never as markup or control characters."""
    if not rows:
        print(empty)
        return
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for title in columns:
        shown.add_column(title)
    for row in rows:
        shown.add_row(*(Text(plain(value(row))) for value in columns.values()))
    Console(width=None if sys.stdout.isatty() else 200).print(shown)


def plain(value: Any) -> str:
    """As text that cannot paint on a terminal."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(value))


def kwh(energy_wh: float) -> str:
    return f"{energy_wh / 1000:.2f} kWh"


def moment(text: str | None) -> str | None:
    """An RFC 3339 time, to the second."""
    return None if text is None else text[:19].replace("T", " ") + " UTC"


def fail(error: CommandError, as_json: bool) -> NoReturn:
    if as_json:
        put_json({"error": error.problem})
    else:
        print(f"Error: {error}", file=sys.stderr)
    raise typer.Exit(1)


def run(work: Callable[[], T], as_json: bool) -> T:
    """Do `work`; what goes wrong is told to people (or programs) and ends the command with status 1."""
    try:
        return work()
    except CommandError as error:
        fail(error, as_json)
