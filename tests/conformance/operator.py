"""The operator's part of certification cases, over the REST API."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import httpx

from tests.conformance.station import Station

Outcome = dict[str, Any]


class Operator:
    """Whoever holds the admin key."""

    def __init__(self, http: httpx.AsyncClient):
        self.http = http

    async def ask(self, method: str, path: str, *, status: int | None = None, **options: Any) -> Any:
        """The JSON of the answer, which has to be a success (or exactly `status`)."""
        response = await self.http.request(method, f"/api/v1{path}", **options)
        expected = response.is_success if status is None else response.status_code == status
        assert expected, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    async def get(self, path: str, **params: Any) -> Any:
        return await self.ask("GET", path, params=params)

    async def items(self, path: str, **params: Any) -> list[Any]:
        return (await self.get(path, **params))["items"]

    def send(self, station: Station, action: str, payload: dict[str, Any] | None = None, **params: Any) -> asyncio.Task:
        """Let the system ask this of the station; the task's result is the settled command."""
        path = f"/stations/{quote(station.identity, safe='')}/commands/{action}"
        asking = self.ask("POST", path, json=payload or {}, params={"wait": 10, **params})
        return asyncio.create_task(asking, name=f"operator-{action}")

    async def exchange(
        self, station: Station, action: str, payload: dict[str, Any] | None = None, answer: Any = None, **params: Any
    ) -> tuple[dict[str, Any], Outcome]:
        """Ask, let the station answer: (what the station was asked, how the command ended)."""
        command = self.send(station, action, payload, **params)
        try:
            asked = await station.asked(action, answer)
        except TimeoutError:
            if command.done():
                command.result()  # Tells why nothing was asked.
            raise
        return asked, await command

    async def put_station(self, identity: str, **fields: Any) -> dict[str, Any]:
        return await self.ask("PUT", f"/stations/{quote(identity, safe='')}", json=fields)

    async def put_token(self, value: str, **fields: Any) -> dict[str, Any]:
        return await self.ask("PUT", f"/tokens/{quote(value, safe='')}", json=fields)

    async def session(self, station: Station) -> dict[str, Any]:
        """The one session of a station."""
        (only,) = await self.items("/sessions", station_id=station.identity)
        return only
