"""What became of a PostgreSQL transaction whose connection was lost between COMMIT and its reply.

Each writer has a row of its own, and each of its transactions begins with counting it up. Whoever comes back reads the
row: it holds the transaction's number, or the transaction never was. (The transaction's own number would not do:
PostgreSQL gives it again to another one after a crash, so pg_xact_status may speak of a stranger.) Since the row is locked
for as long as the fate is open, nothing newer of this writer can overtake what is still under way.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import asyncpg

NODE = f"csms-{os.urandom(4).hex()}"  # application_name of all connections of this process.
_PAUSE = 0.1  # s between questions
_KEPT = 30  # days that the row of a writer that is no more is kept.

_NOW = "(extract(epoch FROM now()) * 1000000)::bigint"
_DAY = 86_400_000_000  # µs
_REGISTER = f"INSERT INTO writers (commits, marked_at) VALUES (0, {_NOW}) RETURNING id"
_FORGET = f"DELETE FROM writers WHERE marked_at < {_NOW} - {_KEPT} * {_DAY}"
# The connection before may still wait for a lock, or for somebody to talk to: it ends, whatever it was at.
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND application_name = $2"
_ASK = "SELECT commits FROM writers WHERE id = $1 FOR UPDATE"  # Waits while the transaction is under way.

Connect = Callable[[], Awaitable[asyncpg.Connection]]


class Unregistered(ConnectionError):
    """The writer's row is gone (the database was restored, or not written for a month): begin anew."""


class Fate:
    """One for each writer, which has one transaction under way at a time."""

    def __init__(self, connect: Connect):
        self._connect = connect
        self._id: int | None = None
        self._number = 0

    async def mark(self, connection: asyncpg.Connection) -> str:
        """The SQL that a transaction has to begin with, and that has to find one row (`missed` if it does not)."""
        if self._id is None:
            await connection.execute(_FORGET)
            self._id = await connection.fetchval(_REGISTER)
        self._number += 1
        return f"UPDATE writers SET commits = {self._number}, marked_at = {_NOW} WHERE id = {self._id}"

    def missed(self) -> Unregistered:
        self._id, self._number = None, 0
        return Unregistered("this writer's row is gone")

    async def committed(self, backend: int, within: float, tell: Callable[[Exception], None]) -> bool | None:
        """Whether the latest transaction, of the server's process `backend`, was kept; None: it cannot be known yet.

        Asks for `within` s; `tell` hears of each failure.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + within
        while True:
            try:
                return await self._ask(backend) == self._number
            except Exception as error:  # Whatever it is: as long as nobody has told, nobody knows.
                tell(error)
            if loop.time() >= until:
                return None
            await asyncio.sleep(_PAUSE)

    async def _ask(self, backend: int) -> int | None:
        connection = await self._connect()
        try:
            await connection.execute(_END, backend, NODE)
            return await connection.fetchval(_ASK, self._id)
        finally:
            connection.terminate()
