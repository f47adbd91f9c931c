"""Batched look-ups: one query for all who ask in the meantime."""

from __future__ import annotations

import asyncio

import pytest

from csms.storage.batched import Batched


class Shelf:
    """Loads upper-case letters, when it may."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False

    async def load(self, keys: list[str]) -> dict[str, str]:
        self.asked.append(keys)
        await self.open.wait()
        if self.broken:
            raise OSError("no shelf")
        return {key: key.upper() for key in keys if key.isalpha()}


@pytest.fixture
async def shelf() -> Shelf:
    return Shelf()


async def test_what_is_asked_in_one_turn_is_loaded_together(shelf):
    letters = Batched("letters", shelf.load)
    assert await asyncio.gather(*map(letters.find, "abc1")) == ["A", "B", "C", None]
    assert shelf.asked == [["a", "b", "c", "1"]]


async def test_same_key_is_loaded_once_for_all_who_ask(shelf):
    letters = Batched("letters", shelf.load)
    assert await asyncio.gather(letters.find("a"), letters.find("a")) == ["A", "A"]
    assert shelf.asked == [["a"]]


async def test_what_is_asked_while_one_load_is_under_way_goes_with_the_next(shelf):
    letters = Batched("letters", shelf.load)
    shelf.open.clear()
    first = letters.find("a")
    await asyncio.sleep(0)
    second, third = letters.find("a"), letters.find("b")
    shelf.open.set()
    assert await asyncio.gather(first, second, third) == ["A", "A", "B"]
    assert shelf.asked == [["a"], ["a", "b"]]


async def test_one_load_is_bounded(shelf):
    letters = Batched("letters", shelf.load)
    await asyncio.gather(*(letters.find(str(number)) for number in range(1_100)))
    assert [len(keys) for keys in shelf.asked] == [500, 500, 100]


async def test_failure_reaches_those_who_asked_and_nobody_later(shelf):
    letters = Batched("letters", shelf.load)
    shelf.broken = True
    outcomes = await asyncio.gather(letters.find("a"), letters.find("b"), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["no shelf"] * 2
    shelf.broken = False
    assert await letters.find("a") == "A"


async def test_who_stopped_waiting_disturbs_nobody(shelf):
    letters = Batched("letters", shelf.load)
    gone, waiting = letters.find("a"), letters.find("a")
    gone.cancel()
    assert await waiting == "A"
