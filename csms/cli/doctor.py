"""`csms doctor`: what could keep this system from working, each finding with its remedy."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx

from csms.bus.broker import BrokerAddress, BrokerUrlError
from csms.settings import Settings
from csms.storage.nodes import LIVING
from csms.storage.place import DatabaseError, control_path, is_postgres, place_of, shown

_ENOUGH_DISK = 1 << 30
_OLDEST = 140000  # Of PostgreSQL.
_CONNECTIONS = 12  # A node's own, at most.
_HAS_NODES = "SELECT to_regclass('nodes') IS NOT NULL"  # Not before the first run.


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `level` is «ok», «warning» or «error»."""

    level: str
    subject: str
    message: str


def examine(settings: Settings) -> Iterator[Finding]:
    yield _python()
    try:
        path = place_of(settings.database_url)
        if is_postgres(settings.database_url):
            yield from asyncio.run(_postgres(settings))
        else:
            yield from _database(path)
    except DatabaseError as error:
        yield Finding("error", "database", str(error))
        return
    running = _running(path)
    yield running
    if running.message.startswith("no server"):
        yield _port("ocpp", settings.ocpp_host, settings.ocpp_port, "CSMS_OCPP_PORT")
        yield _port("http", settings.http_host, settings.http_port, "CSMS_HTTP_PORT")
    yield from _exposure(settings)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding("ok", "python", f"Python {found}, SQLite {sqlite3.sqlite_version}")


def _database(path: Path) -> Iterator[Finding]:
    place = next(parent for parent in path.parents if parent.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        yield Finding("error", "database", f"{place} cannot be written to: choose another CSMS_DATABASE_URL")
        return
    free = shutil.disk_usage(place).free
    level = "ok" if free > _ENOUGH_DISK else "warning"
    remedy = "" if level == "ok" else ": free some, or the server will have to stop accepting stations"
    yield Finding(level, "disk", f"{free / 1e9:.1f} GB free beside the database{remedy}")
    if not path.exists():
        yield Finding("ok", "database", f"{path} does not exist yet; the first run makes it")
        return
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        yield Finding("error", "database", f"{path}: {error}. Restore it from a backup.")
        return
    if found != "ok":
        yield Finding("error", "database", f"{path} is damaged ({found}). Restore it from a backup.")
    else:
        yield Finding("ok", "database", f"{path} is sound, schema {revision[0] if revision else 'not migrated'}")


async def _postgres(settings: Settings) -> list[Finding]:
    url = settings.database_url
    try:
        import asyncpg
    except ImportError:
        return [Finding("error", "database", "PostgreSQL needs its driver: pip install 'csms[postgres]'")]
    try:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""), timeout=5)
        try:
            said = dict(await connection.fetch("SELECT name, setting FROM pg_settings"))
            migrated = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
            revision = await connection.fetchval("SELECT version_num FROM alembic_version") if migrated else None
            living = await connection.fetchval(LIVING) if await connection.fetchval(_HAS_NODES) else 0
            used = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            )
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return [Finding("error", "database", f"{shown(url)} cannot be reached: {error or type(error).__name__}")]
    version = f"PostgreSQL {said['server_version']}, schema {revision or 'not migrated yet'}"
    found = [Finding("ok", "database", f"{shown(url)} answers: {version}")]
    if int(said["server_version_num"]) < _OLDEST:
        found.append(Finding("error", "database", f"{version} is too old: use 14 or newer"))
    if said["server_encoding"] != "UTF8":
        found.append(Finding("error", "database", "its encoding is not UTF8: create the database with ENCODING 'UTF8'"))
    for setting in ("fsync", "full_page_writes"):
        if said[setting] != "on":
            remedy = "a power loss may take back what stations were answered. Set it to on"
            found.append(Finding("error", "database", f"{setting} is {said[setting]}: {remedy}"))
    left = int(said["max_connections"]) - used
    if left < _CONNECTIONS:
        remedy = f"each node needs up to {_CONNECTIONS}: raise max_connections"
        found.append(Finding("warning", "database", f"{left} connections are left, and {remedy}"))
    return [*found, _nodes(settings, living)]


def _nodes(settings: Settings, living: int) -> Finding:
    """`living`: as many as have this database now; more workers than that may be about to start."""
    told = f"{max(living, settings.workers)} nodes share this database"
    if settings.mqtt_url is not None:
        return Finding("ok", "nodes", f"{living} live on this database; commands reach the stations of each by MQTT")
    if living > 1 or settings.workers > 1:
        lost = "a command does not reach a station that is connected to another node than the one that is asked"
        return Finding("error", "nodes", f"{told} without a broker: {lost}. Set the same CSMS_MQTT_URL on every node.")
    return Finding("ok", "nodes", f"{living} live on this database; for more than one set CSMS_MQTT_URL on every node")


def _running(path: Path) -> Finding:
    control = control_path(path)
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(control)) != 0:
            return Finding("ok", "server", "no server runs on this database")
    transport = httpx.HTTPTransport(uds=str(control), verify=False)
    try:
        with httpx.Client(transport=transport, base_url="http://csms", timeout=5) as http:
            ready = http.get("/health/ready").json()
    except (httpx.HTTPError, ValueError):
        return Finding("error", "server", "the server runs but does not answer: look at its log, then restart it")
    if ready["ready"]:
        return Finding("ok", "server", "the server runs and is ready")
    return Finding("error", "server", f"the server runs but is not ready: {ready['reason']}")


def _port(name: str, host: str, port: int, setting: str) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            return Finding("error", name, f"cannot listen on {host}:{port} ({reason}): choose another {setting}")
    return Finding("ok", name, f"port {port} is free")


def _exposure(settings: Settings) -> Iterator[Finding]:
    local = ("127.0.0.1", "localhost", "::1")
    if settings.registration == "open":
        yield Finding("warning", "registration", "open: any station may register. Set CSMS_REGISTRATION=closed.")
    if settings.ocpp_host not in local:
        yield Finding("warning", "ocpp", "listens beyond this machine without TLS: put a TLS proxy in front")
    if settings.http_host not in local:
        yield Finding("warning", "http", "the API listens beyond this machine without TLS: put a TLS proxy in front")
    if settings.mqtt_url is not None:
        try:
            address = BrokerAddress.parse(settings.mqtt_url.get_secret_value())
        except BrokerUrlError as error:
            yield Finding("error", "mqtt", str(error))
        else:
            yield Finding("ok", "mqtt", f"events go to {address}")
