"""Webhooks: signed, in order, at least once, patient with receivers that fail, and never held up by a slow one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from csms.bus.signature import shown_secret, signed_headers
from csms.bus.webhooks import Attempt, Sender, WebhookDelivery, WebhookOptions, messages
from csms.domain.credentials import Vault
from csms.domain.events import EventFilter, StationDisconnected, types_of
from csms.domain.stations import Station
from csms.domain.unit import Unit
from csms.domain.webhooks import OPENS_AFTER, Webhook
from csms.outbound import Outbound
from csms.storage import webhooks as storage
from csms.storage.database import Database
from csms.storage.outbox import Entry, Outbox
from csms.storage.webhooks import Webhooks
from tests.bus.receiver import Receiver
from tests.conftest import KEY, NOW

SALT = b"0123456789abcdef"
VAULT = Vault(KEY)
SECRET = shown_secret(VAULT.derived(b"webhook", SALT))
QUICK = WebhookOptions(
    first_pause=0.01, longest_pause=0.05, linger=0.005, books_every=0.02, look_every=0.05, timeout=2, within=2
)


def now_utc() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)


@pytest.fixture
async def receivers() -> AsyncIterator[Callable[..., Any]]:
    made: list[Receiver] = []

    async def make(**options: Any) -> Receiver:
        made.append(await Receiver(SECRET, **options).start())
        return made[-1]

    yield make
    for receiver in made:
        await receiver.kill()


def sender(options: WebhookOptions = QUICK, allowed: tuple[str, ...] = ("127.0.0.0/8",)) -> Sender:
    return Sender(Outbound(allowed), VAULT, now_utc, options)


@asynccontextmanager
async def delivering(
    database: Database, outbox: Outbox, options: WebhookOptions = QUICK, **more: Any
) -> AsyncIterator[WebhookDelivery]:
    delivery = WebhookDelivery(database, outbox, sender(options, **more), options=options)
    task = asyncio.create_task(delivery.run())
    try:
        yield delivery
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait({task})


async def add(database: Database, url: str, **fields: Any) -> int:
    given = {"url": url, "description": None, "types": [], "stations": [], "enabled": True, **fields}
    return await database.writer.run(storage.create(None, given, SALT, NOW, 100))


async def tell(database: Database, *reasons: str, station: str = "CS-1", operator: str = "default") -> None:
    for reason in reasons:
        unit = Unit(Station(1, 1, operator, station), NOW)
        unit.events.append(StationDisconnected(at=NOW, reason=reason))
        await database.writer.commit(unit)


async def confirmed(outbox: Outbox, id: int, position: int) -> None:
    async with asyncio.timeout(5):
        while await outbox.position(f"webhook:{id}") != position:
            await asyncio.sleep(0.01)


def reasons(receiver: Receiver) -> list[str]:
    return [event["reason"] for event in receiver.taken]


async def test_events_arrive_signed_and_in_order(database: Database, outbox: Outbox, receivers: Any) -> None:
    receiver = await receivers()
    await tell(database, "before")
    id = await add(database, receiver.url)
    async with delivering(database, outbox):
        await tell(database, *"abcde")
        await receiver.until(lambda: reasons(receiver) == list("abcde"))
        await confirmed(outbox, id, 6)
    assert receiver.taken[0]["event_id"] == "2-0", "from the moment on at which it was made"
    assert receiver.requests[0]["headers"]["content-type"] == "application/json"
    found = await Webhooks(database).find(id)
    assert found.delivered_at is not None and found.failures == 0 and found.error is None


async def test_receiver_that_fails_gets_the_same_again_until_it_takes_it(
    database: Database, outbox: Outbox, receivers: Any
) -> None:
    answers = {1: 500, 2: None, 3: 302, 4: 404}
    receiver = await receivers(answer=lambda number: answers.get(number, 204))
    await add(database, receiver.url)
    async with delivering(database, outbox):
        await tell(database, "a")
        await receiver.until(lambda: len(receiver.requests) >= 4)
        await tell(database, "b")
        await receiver.until(lambda: reasons(receiver) == ["a", "b"])
    ids = [request["headers"]["webhook-id"] for request in receiver.requests]
    assert ids[:5] == ["1-0"] * 5


async def test_killed_receiver_loses_nothing(database: Database, outbox: Outbox, receivers: Any) -> None:
    receiver = await receivers()
    await add(database, receiver.url)
    told = [f"{number:03}" for number in range(150)]
    async with delivering(database, outbox):
        telling = asyncio.create_task(tell(database, *told))
        for _ in range(3):
            known = len(receiver.requests)
            await receiver.until(lambda known=known: len(receiver.requests) > known or telling.done())
            await receiver.kill()
            await asyncio.sleep(0.05)
            await receiver.start()
        await telling
        await receiver.until(lambda: set(reasons(receiver)) >= set(told))
    assert list(dict.fromkeys(reasons(receiver))) == told, "in order; what was repeated has the same id"
    assert len({event["event_id"] for event in receiver.taken}) == 150


async def test_delivery_that_was_ended_goes_on_where_it_was(database: Database, outbox: Outbox, receivers: Any) -> None:
    receiver = await receivers()
    id = await add(database, receiver.url)
    for number, part in enumerate(("ab", "cd", "ef"), 1):
        async with delivering(database, outbox):
            await tell(database, *part)
            await receiver.until(lambda part=part: reasons(receiver)[-1:] == [part[-1]])
            await confirmed(outbox, id, 2 * number)
    assert reasons(receiver) == list("abcdef"), "an orderly end repeats nothing"


async def test_node_that_leads_again_delivers_again(database: Database, outbox: Outbox, receivers: Any) -> None:
    receiver = await receivers()
    await add(database, receiver.url)
    delivery = WebhookDelivery(database, outbox, sender(), options=QUICK)
    for reason in "ab":
        leading = asyncio.create_task(delivery.run())
        await tell(database, reason)
        await receiver.until(lambda reason=reason: reasons(receiver)[-1:] == [reason])
        leading.cancel()
        await asyncio.wait({leading})


async def test_slow_receiver_holds_up_no_other(database: Database, outbox: Outbox, receivers: Any) -> None:
    slow, quick = await receivers(), await receivers()
    slow.hold.clear()
    for receiver in (slow, quick):
        await add(database, receiver.url)
    async with delivering(database, outbox):
        for reason in "abc":
            await tell(database, reason)
            await quick.until(lambda reason=reason: reasons(quick)[-1:] == [reason])
        assert len(slow.requests) == 1 and slow.taken == []
        slow.hold.set()
        await slow.until(lambda: reasons(slow) == list("abc"))


async def test_filters_choose_what_is_sent_and_the_place_moves_on_all_the_same(
    database: Database, outbox: Outbox, receivers: Any
) -> None:
    picky, other = await receivers(), await receivers()
    id = await add(database, picky.url, types=["session.*"])
    await add(database, other.url, stations=["CS-2"])
    async with delivering(database, outbox):
        await tell(database, "a")
        await tell(database, "b", station="CS-2")
        await other.until(lambda: reasons(other) == ["b"])
        await confirmed(outbox, id, 2)
    assert picky.requests == []


async def test_circuit_opens_after_failures_and_its_state_can_be_read(
    database: Database, outbox: Outbox, receivers: Any
) -> None:
    receiver = await receivers(answer=lambda number: 500)
    id = await add(database, receiver.url)
    patient = WebhookOptions(**{**{name: getattr(QUICK, name) for name in QUICK.__slots__}, "longest_pause": 60.0})
    async with delivering(database, outbox, patient):
        await tell(database, "a")
        await receiver.until(lambda: len(receiver.requests) == OPENS_AFTER)
        async with asyncio.timeout(5):
            while (found := await Webhooks(database).find(id)).failures < OPENS_AFTER:
                await asyncio.sleep(0.01)
    assert found.error == "it answered 500"
    assert found.circuit(now_utc()) == "open"
    assert found.circuit(now_utc() + timedelta(seconds=61)) == "half_open"
    assert await Webhooks(database).lag(id) == 1
    async with delivering(database, outbox, patient):  # A restart does not forget that it is to be left alone.
        await asyncio.sleep(0.1)
        assert len(receiver.requests) == OPENS_AFTER
        await database.writer.run(storage.change(id, {"url": receiver.url}))
        receiver.answer = lambda number: 200
        await receiver.until(lambda: reasons(receiver) == ["a"])
    assert (await Webhooks(database).find(id)).circuit(now_utc()) == "closed"


async def test_receiver_that_says_it_is_gone_is_paused(database: Database, outbox: Outbox, receivers: Any) -> None:
    receiver = await receivers(answer=lambda number: 410)
    id = await add(database, receiver.url)
    async with delivering(database, outbox):
        await tell(database, "a")
        async with asyncio.timeout(5):
            while (await Webhooks(database).find(id)).enabled:
                await asyncio.sleep(0.01)
    receiver.answer = lambda number: 200
    await database.writer.run(storage.change(id, {"enabled": True}))
    async with delivering(database, outbox):
        await receiver.until(lambda: reasons(receiver) == ["a"])


async def test_changes_and_removals_are_followed_while_it_runs(
    database: Database, outbox: Outbox, receivers: Any
) -> None:
    first, second = await receivers(), await receivers()
    async with delivering(database, outbox) as delivery:
        id = await add(database, first.url)
        delivery.changed()
        await tell(database, "a")
        await first.until(lambda: reasons(first) == ["a"])
        await database.writer.run(storage.change(id, {"url": second.url}))
        delivery.changed()
        await second.until(lambda: not delivery._changed.is_set())
        async with asyncio.timeout(5):
            while delivery._receivers[id].webhook.url != second.url:
                await asyncio.sleep(0.01)
        await tell(database, "b")
        await second.until(lambda: reasons(second) == ["b"])
        await database.writer.run(storage.delete(id))
        delivery.changed()
        async with asyncio.timeout(5):
            while delivery._receivers:
                await asyncio.sleep(0.01)
    assert await outbox.position(f"webhook:{id}") == 0, "nothing is kept for it"


async def test_redirects_are_followed_and_each_address_is_judged(
    database: Database, outbox: Outbox, receivers: Any
) -> None:
    target = await receivers()
    answers = {1: (307, {"Location": target.url}), 2: (308, {"Location": "http://169.254.169.254/latest/meta-data"})}
    receiver = await receivers(answer=lambda number: answers.get(number, (307, {"Location": "/again"})))
    webhook = await stored(database, receiver.url)
    assert (await sender().send(webhook, "1", b'{"events":[]}')).error is None
    refused = await sender().send(webhook, "2", b'{"events":[]}')
    assert refused.status is None and "169.254.169.254" in refused.error
    endless = await sender().send(webhook, "3", b'{"events":[]}')
    assert "redirects" in endless.error
    assert len(target.requests) == 1


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]",
     "[fe80::1]", "[fd00::1]", "0.0.0.0", "2130706433"],
)  # fmt: skip
async def test_addresses_inside_are_never_called(database: Database, host: str) -> None:
    webhook = await stored(database, f"http://{host}/")
    attempt = await sender(allowed=()).send(webhook, "1", b'{"events":[]}')
    assert attempt.status is None and "not a public address" in attempt.error


async def stored(database: Database, url: str) -> Webhook:
    return await Webhooks(database).find(await add(database, url))


async def test_test_delivery_is_one_event_and_tells_how_it_went(database: Database, receivers: Any) -> None:
    receiver = await receivers(answer=lambda number: (503, {"Retry-After": "7"}) if number > 1 else 200)
    webhook = await stored(database, receiver.url)
    assert (await sender().test(webhook)).error is None
    [event] = receiver.taken
    assert event["type"] == "webhook.test"
    failed = await sender().test(webhook)
    assert (failed.status, failed.error, failed.retry_after) == (503, "it answered 503", 7)


async def test_receiver_that_never_answers_is_given_up(database: Database, receivers: Any) -> None:
    receiver = await receivers()
    receiver.hold.clear()
    short = WebhookOptions(timeout=5, within=0.1)
    attempt = await sender(short).send(await stored(database, receiver.url), "1", b'{"events":[]}')
    assert attempt == Attempt(None, "no answer within 0.1 s", None, attempt.seconds)


def test_pauses_double_with_jitter_and_are_long_once_the_circuit_is_open(database: Database, outbox: Outbox) -> None:
    delivery = WebhookDelivery(database, outbox, sender(), options=WebhookOptions(), jitter=lambda: 1.0)
    assert [delivery.pause(failures) for failures in range(1, 8)] == [1, 2, 4, 8, 300, 300, 300]
    assert delivery.pause(1, 30) == 30
    assert delivery.pause(1, 1e9) == 3600
    calm = WebhookDelivery(database, outbox, sender(), options=WebhookOptions(), jitter=lambda: 0.0)
    assert calm.pause(1) == 0.5


# What is sent


def entry(id: int, *types: str, station: str = "CS-1") -> Entry:
    events = [msgspec.Raw(json.dumps({"type": type}, separators=(",", ":")).encode()) for type in types]
    return Entry(id, 0, "default", station, events)


def test_messages_are_bounded_and_say_how_far_they_reach() -> None:
    page = [entry(5, "a", "a"), entry(6, "b"), entry(7, "a"), entry(8, "a")]
    found = list(messages(page, EventFilter(None, frozenset("a")), 2, 10_000))
    assert [(message.id, message.upto) for message in found] == [("5-0_5-1", 6), ("7-0_8-0", 8)]
    assert [len(json.loads(message.body)["events"]) for message in found] == [2, 2]
    single = list(messages(page, EventFilter(), 10, 1))
    assert [message.id for message in single] == ["5-0", "5-1", "6-0", "7-0", "8-0"]
    assert [message.upto for message in single] == [4, 5, 6, 7, 8]
    assert list(messages(page, EventFilter("nobody"), 2, 10_000)) == []


def test_signature_is_what_the_standards_library_accepts() -> None:
    body, at = b'{"events":[]}', int(now_utc().timestamp())
    headers = signed_headers(VAULT.derived(b"webhook", SALT), "1-0", at, body)
    assert Verifier(SECRET).verify(body, headers) == {"events": []}
    for wrong in ({"webhook-id": "1-1"}, {"webhook-timestamp": str(at - 1)}):
        with pytest.raises(WebhookVerificationError):
            Verifier(SECRET).verify(body, headers | wrong)
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(body + b" ", headers)
    old = signed_headers(VAULT.derived(b"webhook", SALT), "1-0", at - 301, body)
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(body, old)


def test_type_that_is_no_more_is_no_reason_to_send_everything() -> None:
    assert types_of(["session.opened"]) == {"session.opened"}
    assert storage._types(("gone.type",)) == {"gone.type"}
