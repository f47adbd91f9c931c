"""The composition root: puts the parts together, owns every task, and takes them down in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from pathlib import Path

import msgspec
import structlog
from fastapi import FastAPI
from prometheus_client.registry import Collector

import csms.blocks  # noqa: F401  Registers the handlers.
from csms.blocks.dispatch import Policy
from csms.bus import asyncapi
from csms.cluster.steering import Steering
from csms.delivery import Delivery
from csms.domain.credentials import KEY_BYTES, Vault, new_api_key
from csms.domain.ports import StorageUnavailable
from csms.domain.quirks import Quirks, read_quirks
from csms.gateway.admission import Address
from csms.gateway.closing import close_session
from csms.gateway.drain import send_away
from csms.gateway.proxies import Proxies
from csms.gateway.server import Gateway, Limits
from csms.gateway.trail import Trail
from csms.metrics import GatewayMetrics, NodeMetrics, StreamCounters, exposition
from csms.node import Node, node_of
from csms.ocpp.version import Version
from csms.outbound import Outbound
from csms.process import raise_descriptors, signals, spare_the_collector
from csms.settings import Settings
from csms.station_ports import open_ports, tls_ports
from csms.storage import admin
from csms.storage.bulk import BulkLog
from csms.storage.commands import CommandLog
from csms.storage.database import Database, open_database
from csms.storage.outbox import Outbox
from csms.storage.place import StartError, control_path, is_postgres, remedy, shown, sqlite_path
from csms.storage.queries import Queries
from csms.storage.records import Records, open_records
from csms.storage.upkeep import Keep, Upkeep, kept_up
from csms.trust.authority import AuthorityFolderError
from csms.trust.parts import Certificates, Choices, certificates
from csms.web.access import Trusted
from csms.web.api import build_api
from csms.web.server import http_server, listen, listen_control, running
from csms.web.services import Services
from csms.web.siblings import Siblings
from csms.workers import Worker

log = structlog.get_logger()

_AFTER_PATIENCE = 5.0  # s that a station waits for its answer beyond the storage's patience


@dataclass
class System:
    """The parts that every way of running shares: a server, or one command of the command line."""

    settings: Settings
    database: Database
    records: Records
    vault: Vault
    gateway: Gateway
    steering: Steering
    certificates: Certificates
    outbox: Outbox
    delivery: Delivery
    collectors: list[Collector]  # What /metrics tells.
    api: FastAPI
    node: Node | None  # Of several.


def now_utc() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def open_system(settings: Settings, api: FastAPI | None = None) -> AsyncIterator[System]:
    """Open the database and put the system together, without listening anywhere. `api`: one that was built before."""
    database = await open_database(settings.database_url, patience=settings.storage_patience)
    try:
        records = await _records(database)
        vault = Vault(_secret_key(settings, database.path))
        issued = _certificates(settings, database)
        gateway = _gateway(settings, database, records, vault, issued)
        node = node_of(settings, database, records, gateway, vault)
        commands = CommandLog(database) if node is None else node.log
        queries, next_id, bulk_log = Queries(database.reader), records.next_session_id, BulkLog(database)
        steering = Steering(
            gateway.link_of,
            commands,
            queries,
            next_id,
            now_utc,
            settings.call_timeout,
            vault.station_hash,
            bulk_log,
            settings.call_timeouts,
        )
        gateway.ready, gateway.follow_up = steering.desk.station_ready, steering.followups.after
        outbox = Outbox(database)
        delivery = Delivery(settings, database, outbox, vault, now_utc)
        collectors: list[Collector] = [GatewayMetrics(gateway), StreamCounters(delivery.stream.metrics)]
        services = Services(
            database=database,
            queries=queries,
            commands=commands,
            desk=steering.desk,
            neutral=steering.neutral,
            bulk=steering.bulk,
            bulk_log=bulk_log,
            vault=vault,
            clock=now_utc,
            next_id=next_id,
            ready=lambda: _not_ready(gateway, node),
            metrics=lambda: exposition(*collectors),
            station_changed=gateway.station_changed,
            tariff_changed=records.tariff_changed,
            token_changed=records.token_changed,
            delivery=delivery,
            trail=gateway.trail,
            close_session=partial(close_session, gateway),
            certificate_revoked=issued.revoked(gateway.certificate_revoked),
        )
        if node is not None:
            node.serve(steering.desk, services)
        api = api or bare_api()
        api.state.services = services
        yield System(
            settings, database, records, vault, gateway, steering, issued, outbox, delivery, collectors, api, node
        )  # fmt: skip
    finally:
        await database.close()


async def prepare(settings: Settings, announce: Callable[[str], None]) -> None:
    """What is done once for all workers, before they are there: migrations, and the first key of the API."""
    async with open_system(settings) as system:
        await _admin_key(system, announce)


async def serve(
    settings: Settings,
    announce: Callable[[str], None],
    stop: asyncio.Event | None = None,
    worker: Worker | None = None,
    api: FastAPI | None = None,
) -> None:
    """Run a server until `stop` is set or a signal asks for its end. `announce` tells people where things are.

    `worker`: it is one of several processes, which share the ports. `api`: of `bare_api`, built before they were forked.
    """
    sys.setswitchinterval(0.0005)  # The writer's thread waits less for the loop to give up the GIL.
    stop = stop or asyncio.Event()
    raise_descriptors()
    # Taken down in the opposite order, whatever ends it: stations first, then those who record and tell of it.
    async with open_system(settings, api) as system, contextlib.AsyncExitStack() as stack:
        if worker is None:
            await _admin_key(system, announce)
        if system.node is not None:
            await stack.enter_async_context(system.node.joined())
            system.collectors.append(NodeMetrics(system.node.membership))
        shared = worker is not None
        http = stack.enter_context(listen(settings.http_host, settings.http_port, "CSMS_HTTP_PORT", reuse_port=shared))
        control = stack.enter_context(listen_control(control_path(system.database.path)))
        system.delivery.stream.start()  # Before anybody can ask for it.
        await stack.enter_async_context(running(http_server(system.api), http))
        await stack.enter_async_context(running(http_server(Trusted(system.api)), control))
        await system.delivery.start(system.collectors, system.node and system.node.membership.while_leading)
        stack.push_async_callback(system.delivery.stop)
        upkeep = Upkeep(system.database, _keep(settings), now_utc).run
        await stack.enter_async_context(
            kept_up(upkeep() if system.node is None else system.node.membership.while_leading(upkeep))
        )
        stack.push_async_callback(system.steering.close)
        await system.certificates.start()
        stack.push_async_callback(system.gateway.stop)  # Also when a second port cannot be opened: the first one is.
        await open_ports(system.gateway, settings, shared=shared)
        stack.push_async_callback(send_away, system.gateway, settings.drain_window)
        bulk = system.steering.bulk.run  # It ends while stations are there: nobody is taken for away.
        await stack.enter_async_context(
            kept_up(bulk() if system.node is None else system.node.membership.while_leading(bulk))
        )
        await stack.enter_async_context(system.certificates.renewing(system.steering.followups, system.gateway.is_here))
        with signals(stop):
            if worker is not None:
                _join_workers(system, worker, stop)
            ports = {"ocpp_port": system.gateway.port, "http_port": http.getsockname()[1]}
            announce_places(settings.model_copy(update=ports), announce)
            log.info("server.started", **ports)
            spare_the_collector()
            await stop.wait()
        log.info("server.stopping")
    log.info("server.stopped")


def bare_api() -> FastAPI:
    """The HTTP application, still without a system behind it."""
    return build_api(release(), asyncapi.document(release()))


def release() -> str:
    try:
        return package_version("csms")
    except PackageNotFoundError:  # A checkout that was not installed.
        return "0"


# Parts


def _keep(settings: Settings) -> Keep:
    return Keep(
        samples=timedelta(days=settings.sample_retention_days),
        samples_full=timedelta(days=settings.sample_full_days),
        thinned=timedelta(seconds=settings.sample_keep_seconds),
        status=timedelta(days=settings.status_retention_days),
        log=timedelta(days=settings.log_retention_days),
        commands=timedelta(days=settings.command_retention_days),
    )


async def _records(database: Database) -> Records:
    try:
        await database.writer.run(admin.ensure_operator(admin.DEFAULT_OPERATOR))
        return await open_records(database, now_utc())
    except StorageUnavailable as error:
        raise StartError(f"{database.path} cannot be written ({error}). {remedy(error.__cause__)}") from error


def _certificates(settings: Settings, database: Database) -> Certificates:
    choices = Choices(
        folder=settings.ca_folder, organization=settings.tls_client_organization,
        life=timedelta(days=settings.ca_certificate_days), renew=timedelta(days=settings.ca_renew_days),
        contract_roots=settings.contract_roots, provider_url=settings.contract_provider_url and settings.contract_provider_url.get_secret_value(),
        provider_timeout=settings.contract_provider_timeout, ocsp_timeout=settings.ocsp_timeout,
    )  # fmt: skip
    try:
        return certificates(database, now_utc, Outbound(settings.outbound_allowed), choices)
    except AuthorityFolderError as error:
        raise StartError(f"{error} See CSMS_CA_FOLDER, CSMS_CONTRACT_ROOTS.") from None


def _gateway(
    settings: Settings, database: Database, records: Records, vault: Vault, issued: Certificates
) -> Gateway:  # fmt: skip
    async def register(address: Address) -> None:
        operator_id = await database.writer.run(admin.ensure_operator(address.operator))
        await database.writer.run(admin.put_station(operator_id, address.identity, {}, now_utc()))
        log.info("station.registered", operator=address.operator, station=address.identity)

    return Gateway(
        records=records,
        vault=vault,
        policy=Policy(
            settings.heartbeat_interval,
            settings.retry_interval,
            concurrent=settings.concurrent_tokens,
            reread_after_boot=settings.reread_after_boot,
            quirks=_quirks(settings),
            outside=issued.outside,
        ),
        limits=Limits(
            handshake=settings.handshake_deadline,
            ping_interval=settings.ping_interval,
            pong_deadline=settings.pong_deadline,
            rate=settings.rate_messages,
            burst=settings.rate_burst,
            flood=settings.rate_flood,
            message=settings.message_deadline,
            max_size_16=settings.max_message_16,
            max_size_2x=settings.max_message_2x,
            connects=settings.rate_connects,
            connects_address=settings.rate_connects_address,
            handshakes_address=settings.rate_handshakes_address,
            reconnects_hour=settings.rate_reconnects,
            guesses=settings.rate_guesses,
            exempt=settings.rate_exempt,
            shared=settings.rate_shared,
            answer=settings.storage_patience + _AFTER_PATIENCE,
        ),
        versions=tuple(Version(text) for text in settings.ocpp_versions),
        assume_16=settings.ocpp_assume_16,
        finish_unspoken=settings.ocpp_unspoken == "close",
        compression=settings.ocpp_compression,
        uncompressed=settings.ocpp_uncompressed,
        organization=issued.outside.organization,
        revoked=issued.is_revoked,
        proxies=Proxies(
            settings.proxy_networks,
            settings.proxy_address_header,
            settings.proxy_proto_header,
            settings.proxy_certificate_header,
            settings.proxy_verified_header,
        ),
        hide_unknown=settings.hide_unknown,
        register=register if settings.registration == "open" else None,
        strict=settings.strict,
        trail=Trail(settings.trail_bytes // settings.workers),
        clock=now_utc,
        base=settings.ocpp_path,
    )


def _quirks(settings: Settings) -> Quirks:
    """The rules of the configured file, or of the one that comes along (in a checkout, or inside the package)."""
    here = Path(__file__).parent
    shipped = (here / "config" / "quirks.toml", here.parent / "config" / "quirks.toml")
    path = settings.quirks_file or next(path for path in shipped if path.exists())
    try:
        return read_quirks(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StartError(f"{path}: {error}. Correct it, or leave CSMS_QUIRKS_FILE away.") from None


def _join_workers(system: System, worker: Worker, stop: asyncio.Event) -> None:
    """Be one of several: answer with the others, and end when the supervisor does, however it ended."""
    system.api.state.services.siblings = Siblings(worker.others)
    worker.tell(control_path(system.database.path))
    asyncio.get_running_loop().add_reader(worker.lifeline, stop.set)
    worker.started()


def _secret_key(settings: Settings, database: Path) -> bytes:
    """The key that hashes secrets: the setting, or a file beside the database, made on the first run."""
    if settings.secret_key is not None:
        key = settings.secret_key.get_secret_value().encode()
        if len(key) < 16:
            raise StartError("CSMS_SECRET_KEY needs at least 16 characters: openssl rand -hex 32 makes a good one.")
        return key
    if is_postgres(settings.database_url):
        raise StartError(
            "With PostgreSQL every node needs the same CSMS_SECRET_KEY, which hashes passwords. Make one once: "
            "openssl rand -hex 32"
        )
    path = database.with_name(database.name + ".key")
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
    key = path.read_bytes().strip()
    if len(key) < 16:
        raise StartError(f"{path} is damaged: restore it from a backup; without it no password can be checked.")
    return key


async def _admin_key(system: System, announce: Callable[[str], None]) -> None:
    """Set the configured admin key, or make one on the first run and show it once."""
    writer, configured = system.database.writer, system.settings.admin_key
    if configured is not None:
        key = configured.get_secret_value()
        if len(key) < 16:
            raise StartError("CSMS_ADMIN_KEY needs at least 16 characters, or leave it away to have one generated.")
        await writer.run(admin.put_key("admin", "admin", system.vault.key_hash(key), now_utc()))
    elif not await writer.run(admin.has_keys):
        key = new_api_key()
        await writer.run(admin.put_key("admin", "admin", system.vault.key_hash(key), now_utc()))
        announce(f"Admin API key, shown only this once: {key}")


def _not_ready(gateway: Gateway, node: Node | None) -> str | None:
    if gateway.stopping or gateway.listener.closed:
        return "the server is stopping"
    if node is not None and not node.membership.lives:
        return "the database was not reached lately"
    if gateway.records.failing:
        return "nothing can be stored at the moment"
    return None


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def announce_places(settings: Settings, announce: Callable[[str], None]) -> None:
    """Tell people where things are; the ports in `settings` are those that were taken."""
    stations, people = _in_url(settings.ocpp_host), _in_url(settings.http_host)
    url, path = settings.database_url, settings.ocpp_path.rstrip("/")
    announce(f"Stations: ws://{stations}:{settings.ocpp_port}{path}/<station>")
    for tls, port, _ in tls_ports(settings):
        announce(f"Stations: wss://{stations}:{port}{path}/<station>  (security profile {tls.profile})")
    announce(
        f"API:      http://{people}:{settings.http_port}/api/v1  (for people: /api/docs, for programs: /api/openapi.json)"
    )
    if settings.workers > 1:
        announce(f"Workers:  {settings.workers} processes")
    announce(f"Data:     {shown(url) if is_postgres(url) else sqlite_path(url)}")
    if settings.registration == "open":
        announce("Unknown stations are taken in (CSMS_REGISTRATION=open).")
