"""Makes this process one node of many, where it keeps its data in PostgreSQL: membership, and what hangs on it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog

from csms.cluster.membership import Membership
from csms.gateway.server import Gateway
from csms.settings import Settings
from csms.storage.database import Database
from csms.storage.nodes import Changed, Nodes
from csms.storage.place import is_postgres
from csms.storage.records import Records

log = structlog.get_logger()


def membership_of(settings: Settings, database: Database, records: Records, gateway: Gateway) -> Membership | None:
    """The membership of this process, which `member` begins; None where a file holds the data of one process."""
    if not is_postgres(settings.database_url):
        return None

    def follow(node: int) -> None:
        database.writer.node = node

    def changed(change: Changed) -> None:
        station = gateway.stations.get(change.station_id)
        if station is None:
            return
        if station.epoch < change.epoch:
            gateway.let_go(station)
        elif station.epoch == change.epoch:
            gateway.station_changed(change.station_id, {"admission": change.admission, "strict": change.strict})

    membership = Membership(
        Nodes(database), f"{socket.gethostname()}:{os.getpid()}",
        follow=follow, let_go=gateway.let_all_go, changed=changed, clock=lambda: datetime.now(UTC),
        patience=settings.storage_patience,
    )  # fmt: skip
    records.claim_stations = membership.claim
    return membership


@asynccontextmanager
async def member(membership: Membership) -> AsyncIterator[None]:
    """A node for as long as this lasts; then its stations are marked away."""
    await membership.join()
    task = asyncio.create_task(membership.run(), name="membership")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        await membership.leave()
