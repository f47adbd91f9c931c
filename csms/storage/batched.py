"""Look-ups that share a query: those that arrive while one is under way go together with the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_MOST_KEYS = 500


class Batched(Generic[K, V]):
    """`find(key)` gives a future; `load(keys)` answers many keys at once with what it found."""

    def __init__(self, name: str, load: Callable[[list[K]], Awaitable[dict[K, V]]]):
        self._name = name
        self._load = load
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._task: asyncio.Task | None = None

    def find(self, key: K) -> asyncio.Future[V | None]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.setdefault(key, []).append(future)
        if self._task is None:
            self._task = loop.create_task(self._run(), name=f"lookup-{self._name}")
        return future

    async def _run(self) -> None:
        try:
            while self._waiting:
                keys = list(self._waiting)[:_MOST_KEYS]
                futures = {key: self._waiting.pop(key) for key in keys}
                await self._answer(keys, futures)
        finally:
            self._task = None

    async def _answer(self, keys: list[K], futures: dict[K, list[asyncio.Future[V | None]]]) -> None:
        found: dict[K, V] = {}
        error: Exception | None = None
        try:
            found = await self._load(keys)
        except Exception as raised:
            error = raised
        for key, waiting in futures.items():
            for future in waiting:
                if future.done():
                    continue
                if error is None:
                    future.set_result(found.get(key))
                else:
                    future.set_exception(error)
