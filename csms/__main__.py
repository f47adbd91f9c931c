"""The `csms` command."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from csms.cli import access, bulk, ca, commands, events, network, sessions, stations, tariffs, tokens, verbs, webhooks
from csms.cli.client import CommandError
from csms.cli.show import Config, Json, put_json, run, table
from csms.settings import SettingsError, load_settings
from csms.storage.place import DatabaseError, StartError, is_postgres, shown, sqlite_path

T = TypeVar("T")

app = typer.Typer(
    name="csms", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Central system for charging stations: OCPP 1.6 and 2.0.1.",
)  # fmt: skip
app.add_typer(stations.app, name="station")
app.add_typer(tokens.app, name="token")
app.add_typer(sessions.app, name="session")
app.add_typer(tariffs.app, name="tariff")
app.add_typer(access.operators, name="operator")
app.add_typer(access.users, name="user")
app.add_typer(access.keys, name="key")
app.add_typer(bulk.app, name="bulk")
app.add_typer(webhooks.app, name="webhook")
app.add_typer(ca.app, name="ca")
app.add_typer(network.app, name="network")
app.command()(commands.command)
app.command()(events.tail)
app.command()(events.trail)
app.command()(verbs.ask)


@app.command()
def serve(
    config: Config = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes that share the ports.")] = None,
) -> None:
    """Run the server until it is told to stop (Ctrl-C or SIGTERM)."""
    from csms import app as system
    from csms import logs

    try:
        given = {} if workers is None else {"workers": workers}
        settings = load_settings(config, **given)
        logs.configure(settings.log_level, settings.log_format)
        if settings.workers > 1:
            from csms.cli.workers import serve_many

            raise typer.Exit(serve_many(settings, lambda line: print(line, flush=True), run_loop))
        run_loop(system.serve(settings, lambda line: print(line, flush=True)))
    except (SettingsError, DatabaseError, StartError) as error:
        _stop(str(error))


@app.command()
def demo(
    count: Annotated[int, typer.Option("--stations", min=1, help="How many stations.")] = 50,
    seconds: Annotated[float, typer.Option("--for", min=1, help="Seconds until it ends by itself.")] = 60.0,
    speed: Annotated[float, typer.Option(min=0.1, help="Simulated seconds in a real one.")] = 60.0,
    version: Annotated[str, typer.Option(help="1.6, 2.0.1 or mix.")] = "mix",
    data: Annotated[Path | None, typer.Option(help="Keep the data in this new folder.")] = None,
    as_json: Json = False,
) -> None:
    """Run a server with a fleet of simulated stations charging on it, and audit that nothing was lost."""
    from csms import logs
    from csms.cli import demo as demos

    def work() -> dict[str, Any]:
        try:
            with demos.directory(data) as place:
                plan = demos.Demo(count, seconds, speed, version, place, show=not as_json)
                logs.configure("warning", "auto")
                return run_loop(demos.run(plan, lambda line: print(line, file=sys.stderr, flush=True)))
        except (SettingsError, DatabaseError, StartError) as error:
            raise CommandError(str(error)) from None

    summary = run(work, as_json)
    if as_json:
        put_json(summary)
    else:
        print(demos.told(summary))
    if summary["acknowledged_lost"] != 0:
        raise typer.Exit(1)


@app.command()
def migrate(config: Config = None, as_json: Json = False) -> None:
    """Bring the database's schema up to date (the server does so by itself when it starts)."""
    from csms.storage.database import migrate_database

    def work() -> tuple[str, str | None, str]:
        try:
            url = load_settings(config).database_url
            named = shown(url) if is_postgres(url) else str(sqlite_path(url))
            return named, *run_loop(migrate_database(url))
        except (SettingsError, DatabaseError) as error:
            raise CommandError(str(error)) from None

    path, before, after = run(work, as_json)
    if as_json:
        put_json({"database": path, "before": before, "after": after})
    elif before == after:
        print(f"{path} is up to date (schema {after}).")
    else:
        print(f"{path} was brought from schema {before or 'none'} to {after}.")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The new file; its key goes beside it.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Copy the database, also while the server runs; nothing waits for it."""
    from csms.storage.backup import back_up

    def work() -> list[Path]:
        try:
            return back_up(sqlite_path(load_settings(config).database_url), file.absolute())
        except (SettingsError, DatabaseError) as error:
            raise CommandError(str(error)) from None

    written = [str(path) for path in run(work, as_json)]
    if as_json:
        put_json({"files": written})
    else:
        print(f"Written: {', '.join(written)}")


@app.command()
def doctor(config: Config = None, as_json: Json = False) -> None:
    """Look for what could keep the system from working; exit status 1 if something does."""
    from csms.cli import doctor as doctors

    def work() -> list[doctors.Finding]:
        try:
            return list(doctors.examine(load_settings(config)))
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


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on uvloop where there is one."""
    try:
        import uvloop
    except ImportError:  # Windows, PyPy: slower, but it runs.
        return asyncio.run(work)
    return uvloop.run(work)


def _stop(message: str) -> None:
    print(f"Error: {message}", file=sys.stderr)
    raise typer.Exit(1)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
