"""The command line's way in: the API of the running server, or of this process when none runs.

A command is written once, against the REST API. It reaches the server through its control socket (or through
`--server URL` and an API key); when no server runs on the database, the command takes the database's lock and answers
its own requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from csms.settings import Settings, SettingsError, load_settings
from csms.storage.place import DatabaseError, DatabaseLocked, StartError, control_path, control_paths, place_of

T = TypeVar("T")

_PATIENCE = 310  # s; a station may be waited for for 300.


class CommandError(Exception):
    """What went wrong, for people; `problem` for programs."""

    def __init__(self, message: str, problem: dict[str, Any] | None = None):
        super().__init__(message)
        self.problem = problem or {"detail": message}


class ConnectionLost(CommandError):
    """The server is not reached (any more)."""


class Client:
    """Asks the API; an answer that is an error becomes a CommandError with the server's advice."""

    def __init__(self, http: httpx.AsyncClient):
        self._http = http

    async def ask(self, method: str, path: str, *, accept: tuple[int, ...] = (), **options: Any) -> Any:
        """The answer's JSON (None for an empty one). `accept`: error statuses that are answers to the caller."""
        try:
            response = await self._http.request(method, "/api/v1" + path, **options)
        except httpx.HTTPError as error:
            raise CommandError(f"The server does not answer: {error or type(error).__name__}. Is it running?") from None
        if not response.is_success and response.status_code not in accept:
            raise _refused(response)
        try:
            return response.json() if response.content else None
        except ValueError:
            raise CommandError(f"What answers at {response.url.host} is no csms server.") from None

    async def lines(self, path: str, params: dict[str, Any]) -> AsyncGenerator[tuple[str, str], None]:
        """The fields (name, value) of a stream of server-sent events, as they come; ends when the server ends it."""
        try:
            async with self._http.stream("GET", "/api/v1" + path, params=params) as response:
                if not response.is_success:
                    await response.aread()
                    refused = _refused(response)
                    raise ConnectionLost(str(refused), refused.problem) if response.status_code == 503 else refused
                async for line in response.aiter_lines():
                    name, _, value = line.partition(":")
                    yield name, value.removeprefix(" ")
        except httpx.HTTPError as error:
            raise ConnectionLost(f"The server does not answer: {str(error) or type(error).__name__}.") from None

    async def pages(self, path: str, params: dict[str, Any], most: int) -> list[dict[str, Any]]:
        """Up to `most` items of a listing, page after page."""
        items: list[dict[str, Any]] = []
        cursor = None
        while len(items) < most:
            query = {key: value for key, value in params.items() if value is not None}
            query["limit"] = min(1000, most - len(items))
            if cursor is not None:
                query["cursor"] = cursor
            page = await self.ask("GET", path, params=query)
            items += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
        return items


def with_client(settings_file: Path | None, work: Callable[[Client], Awaitable[T]], server: str | None = None) -> T:
    """Run `work` with a client of the running server, or of this process; raises CommandError for people."""

    async def run() -> T:
        async with _client(load_settings(settings_file), server) as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except (SettingsError, DatabaseError, StartError) as error:
        raise CommandError(str(error)) from None
    except httpx.InvalidURL as error:
        raise CommandError(f"--server {server}: {error}. Write for example http://csms.example:8080") from None


@asynccontextmanager
async def _client(settings: Settings, server: str | None) -> AsyncIterator[Client]:
    if server is not None:
        key = settings.admin_key.get_secret_value() if settings.admin_key else None
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with httpx.AsyncClient(base_url=server, headers=headers, timeout=_PATIENCE) as http:
            yield Client(http)
        return
    control, found = control_path(place_of(settings.database_url)), None
    for each in control_paths(settings.database_url):
        if await _is_alive(each):
            found = each
            break
    if found is not None:
        transport = httpx.AsyncHTTPTransport(uds=str(found), verify=False)  # Certificates would be read for nothing.
        async with httpx.AsyncClient(base_url="http://csms", transport=transport, timeout=_PATIENCE) as http:
            yield Client(http)
        return
    # The whole system, imported only by whoever is it: that takes longer than to ask a running one.
    from csms.app import open_system
    from csms.web.access import Trusted

    try:
        async with open_system(settings) as system:
            transport = httpx.ASGITransport(Trusted(system.api))
            async with httpx.AsyncClient(base_url="http://csms", transport=transport) as http:
                yield Client(http)
    except DatabaseLocked as error:
        raise CommandError(
            f"{error} Its control socket {control} cannot be reached: are you the user the server runs as?"
        ) from None


async def _is_alive(control: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(control))
    except OSError:
        return False
    writer.close()
    return True


def _refused(response: httpx.Response) -> CommandError:
    try:
        problem = response.json()
        return CommandError(str(problem["detail"]), problem)
    except (ValueError, KeyError, TypeError):  # Not from us: a proxy, another program.
        detail = f"The server answered {response.status_code} {response.reason_phrase}."
        return CommandError(detail, {"status": response.status_code, "detail": detail})
