"""Stands between a server and its PostgreSQL, on a UNIX socket, and does to their words what a network may do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

_COMMITS = (b"COMMIT\0", b"COMMIT;\0")  # The end of what a driver sends for it, which waits for its reply then.


class Proxy:
    """What connects to `folder` (a host of PostgreSQL's URLs) reaches the socket `target`."""

    def __init__(self, folder: Path, target: Path):
        self.folder = folder
        self.commits = 0
        self.at_commit: Callable[[], str] = lambda: "pass"  # cut before · cut behind · cut its reply · hold · pass
        self.held = asyncio.Event()  # Set when a commit is held back.
        self.tells_of_ends = True  # Whether who asks sees at once that the other end is gone.
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self.folder / ".s.PGSQL.5432")

    async def stop(self) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Every connection, now."""
        for writer in self._writers:
            writer.transport.abort()

    def stall(self) -> None:
        """Nothing arrives any longer, and nobody is told."""
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        asyncio.current_task().add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        upstream = None
        try:
            above, upstream = await asyncio.open_unix_connection(str(self._target))
            self._writers.add(upstream)
            replies = asyncio.create_task(self._replies(above, writer))
            self._tasks.add(replies)
            replies.add_done_callback(self._tasks.discard)
            await self._questions(reader, upstream, writer, replies)
        except OSError:
            pass
        finally:
            for end in (writer, upstream):
                if end is not None:
                    self._writers.discard(end)
                    end.transport.abort()

    async def _questions(
        self,
        reader: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
        replies: asyncio.Task[None],
    ) -> None:
        while data := await reader.read(1 << 16):
            await self._flowing.wait()
            what = "pass"
            if data.endswith(_COMMITS):
                self.commits += 1
                what = self.at_commit()
            if what == "hold":
                self.held.set()
                return await asyncio.Event().wait()
            if what == "cut before":
                return None
            if what == "cut its reply":
                replies.cancel()
            upstream.write(data)
            await upstream.drain()
            if what != "pass":
                if what == "cut its reply":
                    with contextlib.suppress(OSError):
                        await asyncio.sleep(0.05)  # It is kept by now; nobody will hear of it.
                return None
        return None

    async def _replies(self, above: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await above.read(1 << 16):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        if self.tells_of_ends:
            writer.transport.abort()
