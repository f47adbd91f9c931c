"""Passwords of people: argon2id, slow on purpose, and therefore off the loop and few at a time; and who guesses them."""

from __future__ import annotations

import asyncio
from time import monotonic

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from csms.domain.rates import Meter
from csms.web.problems import Problem

SHORTEST, LONGEST = 12, 256  # Characters.
_AT_ONCE = 2  # Each takes 64 MiB and some 50 ms of a core.
_MOST_WAITING = 32

# Failed logins: 10 a minute from one address, 100 an hour for one user from where it never came from.
_OF_ADDRESS = (10 / 60, 10)
_OF_USER = (100 / 3600, 100)


class Passwords:
    """Hashes passwords and checks them, in threads, a bounded number at a time (RFC 9106's second recommendation)."""

    def __init__(self, hasher: PasswordHasher | None = None):
        self._hasher = hasher or PasswordHasher()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._hasher.hash(password))

    async def matches(self, kept: str | None, password: str) -> bool:
        """Whether it is the password; None is nobody's, and takes as long."""
        return await self._run(lambda: self._matches(kept, password)) and kept is not None

    def _matches(self, kept: str | None, password: str) -> bool:
        if self._nobodys is None:
            self._nobodys = self._hasher.hash("nobody's")
        try:
            return self._hasher.verify(kept or self._nobodys, password)
        except (Argon2Error, InvalidHashError):
            return False

    async def _run(self, work):
        if self._waiting >= _MOST_WAITING:
            raise Problem(503, "Too many logins at once: try again in a few seconds.")
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


class Guesses:
    """Logins that failed. Who guesses is slowed down by address; a user is not locked out where it came from before."""

    def __init__(self) -> None:
        self._by_address = Meter(*_OF_ADDRESS)
        self._by_user = Meter(*_OF_USER)

    def wait(self, address: str, user: tuple[str | None, str], known: bool) -> float:
        """Seconds until this may be tried; 0: now. `known`: the user has logged in from this address before."""
        now = monotonic()
        return max(self._by_address.wait(address, now), 0.0 if known else self._by_user.wait(user, now))

    def failed(self, address: str, user: tuple[str | None, str], known: bool) -> None:
        now = monotonic()
        self._by_address.take(address, now)
        if not known:
            self._by_user.take(user, now)

    def passed(self, address: str, user: tuple[str | None, str], known: bool) -> None:
        """It was no guess after all."""
        self._by_address.give_back(address)
        if not known:
            self._by_user.give_back(user)
