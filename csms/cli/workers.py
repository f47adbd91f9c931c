"""`csms serve --workers N`: what is done before the workers are forked, and what is said when all of them listen."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI

from csms import app
from csms.settings import Settings
from csms.storage.place import DatabaseError, StartError, is_postgres
from csms.workers import CANNOT_START, Supervisor, Worker, in_a_process, reserved

_PATIENCE = 30.0  # s that a worker has to end, beyond the window in which it sends stations away.

RunLoop = Callable[[Coroutine[Any, Any, None]], None]


def serve_many(settings: Settings, announce: Callable[[str], None], run_loop: RunLoop) -> int:
    """Run `settings.workers` servers on the same ports until a signal ends them; the exit status."""
    if not is_postgres(settings.database_url):
        raise StartError(
            "One process writes to a SQLite file, so several workers cannot. Set CSMS_DATABASE_URL to "
            "postgresql://user:password@host/database, or leave --workers (CSMS_WORKERS) away."
        )
    if not hasattr(sys.modules["os"], "fork"):
        raise StartError("Workers are forked, which this system cannot. Leave --workers (CSMS_WORKERS) away.")
    with contextlib.ExitStack() as held:
        ports = _reserve(settings, held)
        settings = settings.model_copy(update=ports)
        status = in_a_process(lambda: _prepare(settings, announce, run_loop))
        if status != 0:
            return status
        api = app.bare_api()
        _import_what_workers_need()
        supervisor = Supervisor(
            settings.workers,
            lambda worker: _work(settings, worker, run_loop, api),
            lambda: app.announce_places(settings, announce),
            patience=settings.drain_window + _PATIENCE,
        )
        return supervisor.run()


def _import_what_workers_need() -> None:
    """Else each would import it after the fork: 13 MB that they share now, as they do the API (16 MB)."""
    import csms.storage.postgres_database  # noqa: F401

    with contextlib.suppress(ImportError):
        import uvloop  # noqa: F401


def _reserve(settings: Settings, held: contextlib.ExitStack) -> dict[str, int]:
    """Keep the ports for the workers; chosen here where any will do."""
    wanted = {"http_port": settings.http_host, "ocpp_port": settings.ocpp_host}
    if settings.tls_certificates:
        wanted["ocpp_tls_port"] = settings.ocpp_host
        if settings.tls_client_ca is not None:
            wanted["ocpp_mtls_port"] = settings.ocpp_host
    ports = {}
    for name, host in wanted.items():
        sock = held.enter_context(reserved(host, getattr(settings, name), f"CSMS_{name.upper()}"))
        ports[name] = sock.getsockname()[1]
    return ports


def _prepare(settings: Settings, announce: Callable[[str], None], run_loop: RunLoop) -> None:
    try:
        run_loop(app.prepare(settings, announce))
    except (DatabaseError, StartError) as error:
        print(f"Error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def _work(settings: Settings, worker: Worker, run_loop: RunLoop, api: FastAPI) -> None:
    try:
        run_loop(app.serve(settings, lambda line: None, worker=worker, api=api))
    except DatabaseError as error:  # Away for the moment, as far as we know: the supervisor tries again.
        print(f"Error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(CANNOT_START - 1) from None
