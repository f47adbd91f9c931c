"""The `csms` command."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from csms import app as system
from csms import logs
from csms.cli import doctor as doctors
from csms.cli import sessions, stations, tokens
from csms.cli.client import CommandError
from csms.cli.show import Config, Json, put_json, run, table
from csms.settings import SettingsError, load_settings
from csms.storage.database import DatabaseError, lock_database, sqlite_path
from csms.storage.database import migrate as migrate_database

app = typer.Typer(
    name="csms", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Central system for charging stations: OCPP 1.6 and 2.0.1.",
)  # fmt: skip
app.add_typer(stations.app, name="station")
app.add_typer(tokens.app, name="token")
app.add_typer(sessions.app, name="session")


@app.command()
def serve(config: Config = None) -> None:
    """Run the server until it is told to stop (Ctrl-C or SIGTERM)."""
    try:
        settings = load_settings(Path(config) if config else None)
        logs.configure(settings.log_level, settings.log_format)
        run_loop(system.serve(settings, lambda line: print(line, flush=True)))
    except (SettingsError, DatabaseError, system.StartError) as error:
        _stop(str(error))


@app.command()
def migrate(config: Config = None, as_json: Json = False) -> None:
    """Bring the database's schema up to date (the server does so by itself when it starts)."""

    def work() -> tuple[Path, str | None, str]:
        try:
            path = sqlite_path(load_settings(Path(config) if config else None).database_url)
            with lock_database(path):
                return path, *migrate_database(path)
        except (SettingsError, DatabaseError) as error:
            raise CommandError(str(error)) from None

    path, before, after = run(work, as_json)
    if as_json:
        put_json({"database": str(path), "before": before, "after": after})
    elif before == after:
        print(f"{path} is up to date (schema {after}).")
    else:
        print(f"{path} was brought from schema {before or 'none'} to {after}.")


@app.command()
def doctor(config: Config = None, as_json: Json = False) -> None:
    """Look for what could keep the system from working; exit status 1 if something does."""

    def work() -> list[doctors.Finding]:
        try:
            return list(doctors.examine(load_settings(Path(config) if config else None)))
        except SettingsError as error:
            raise CommandError(str(error)) from None

    found = run(work, as_json)
    rows = [{"level": each.level, "subject": each.subject, "message": each.message} for each in found]
    if as_json:
        put_json(rows)
    else:
        columns = {"": lambda row: row["level"], " ": lambda row: row["subject"], "  ": lambda row: row["message"]}
        table(rows, columns, "")
    if any(each.level == "error" for each in found):
        raise typer.Exit(1)


def run_loop(work) -> None:
    """Run `work` on uvloop where there is one."""
    try:
        import uvloop
    except ImportError:  # Windows, PyPy: slower, but it runs.
        asyncio.run(work)
    else:
        uvloop.run(work)


def _stop(message: str) -> None:
    print(f"Error: {message}", file=sys.stderr)
    raise typer.Exit(1)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
