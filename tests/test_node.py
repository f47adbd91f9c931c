"""What one node of many tells the others."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from csms.app import open_system
from csms.node import News, Node
from csms.settings import Settings


async def test_certificate_that_was_revoked_on_one_node_lets_nobody_in_on_the_others(migrated: Path, tmp_path: Path):
    settings = Settings(database_url=f"sqlite:///{shutil.copy(migrated, tmp_path / 'csms.db')}")
    async with open_system(settings) as system:
        services = system.api.state.services

        def node(told: list[tuple[int, str]], tell: Callable[[News], None]) -> Node:
            async def revoked(station: int, serial: str) -> None:
                told.append((station, serial))

            made = Node(settings, system.database, system.records, system.gateway, system.vault)
            services.certificate_revoked = revoked
            made.serve(system.steering.desk, services)
            made.tell = tell
            return made

        there: list[tuple[int, str]] = []
        here: list[tuple[int, str]] = []
        second = node(there, lambda news: None)
        node(here, lambda news: second._heard(msgspec.msgpack.encode(news)))
        await services.certificate_revoked(7, "0a")
        await asyncio.sleep(0)
        assert (here, there) == ([(7, "0a")], [(7, "0a")])
