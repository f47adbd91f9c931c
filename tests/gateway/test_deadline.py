"""T66: every call is answered, or its conversation ended, by a deadline, though the storage hangs."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs
from websockets.exceptions import InvalidStatus

from csms.gateway.limits import Limits
from csms.storage.memory import MemoryRecords
from tests.conftest import Server
from tests.gateway.test_turns import EVENT, START, STATUS, STOP, VALUES

pytestmark = pytest.mark.usefixtures("quick_sweeps")

AUTHORIZE = {"idTag": "TAG"}
ERROR = [4, "m1", "InternalError", "The message could not be processed.", {}]


class HangingRecords(MemoryRecords):
    """Look-ups that wait until `released` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.hanging: list[asyncio.Future] = []
        self.hangs = False

    def _hang(self, answer):
        if not self.hangs:
            return answer
        self.hanging.append(asyncio.get_running_loop().create_future())
        return self.hanging[-1]

    def known(self, *key):
        return self._hang(super().known(*key))

    def token(self, *key):
        return self._hang(super().token(*key))

    def session_by_start(self, *key):
        return self._hang(super().session_by_start(*key))

    def session_by_transaction(self, *key):
        return self._hang(super().session_by_transaction(*key))


@pytest.fixture
async def server(make_server) -> Server:
    started = await make_server(HangingRecords(), limits=Limits(answer=0.05, drain=0.5, handshake=0.1))
    await started.add_station(registration="accepted")
    await started.add_token("TAG")
    return started


async def test_T66_call_whose_look_up_never_ends_is_told_so(server: Server):
    client = await server.connect()
    await client.call("Heartbeat")
    server.records.hangs = True
    with capture_logs() as logs:
        await client.send("Authorize", AUTHORIZE, "m1")
        assert await client.rest() == [ERROR]
        assert await client.closed() == 1013
    told = [line for line in logs if line["event"] == "message.overdue"]
    assert [(line["station"], line["action"]) for line in told] == [("CS-1", "Authorize")] and told[0]["remedy"]


@pytest.mark.parametrize(
    ("version", "action", "payload"),
    [("1.6", "StartTransaction", START), ("1.6", "StopTransaction", STOP), ("1.6", "MeterValues", VALUES | {
        "transactionId": 9}), ("2.0.1", "TransactionEvent", EVENT | {"eventType": "Updated"})],
)  # fmt: skip
async def test_T66_transaction_message_is_held_and_never_an_error(server: Server, version, action, payload):
    client = await server.connect(version=version)
    await client.boot()
    server.records.hangs = True
    await client.send(action, payload)
    assert await client.rest() == []
    assert await client.closed() == 1013


async def test_T66_station_comes_again_and_is_served_once_the_storage_is_back(server: Server):
    client = await server.connect()
    await client.call("Heartbeat")
    server.records.hangs = True
    await client.send("StartTransaction", START)
    await client.closed()
    server.records.hangs = False
    again = await server.connect()
    assert (await again.call("StartTransaction", START))["transactionId"] == 1
    for late in server.records.hanging:  # What the first waited for comes at last: nobody is waiting any more.
        late.set_result(None)
    assert (await again.call("StartTransaction", START))["transactionId"] == 1
    assert len(server.records.sessions) == 1


async def test_T66_look_up_that_fails_too_late_disturbs_nobody(server: Server):
    client = await server.connect()
    await client.call("Heartbeat")
    server.records.hangs = True
    await client.send("StartTransaction", START)
    await client.closed()
    server.records.hangs = False
    for late in server.records.hanging:
        late.set_exception(OSError("too late"))
    assert "currentTime" in await (await server.connect()).call("Heartbeat")


@pytest.mark.parametrize(("action", "payload", "told"), [
    ("StatusNotification", STATUS, [ERROR]), ("StartTransaction", START, []),
])  # fmt: skip
async def test_T66_commit_that_never_ends(server: Server, action, payload, told):
    client = await server.connect()
    await client.call("Heartbeat")
    server.records.hold()
    await client.send(action, payload, "m1")
    assert await client.rest() == told
    assert await client.closed() == 1013


async def test_T66_station_waits_for_its_commit_whatever_socket_it_comes_by(server: Server):
    """Two units of a station at once could both open the session."""
    client = await server.connect()
    await client.call("Heartbeat")
    server.records.hold()
    await client.send("StartTransaction", START)
    await client.closed()
    again = await server.connect()
    await again.send("StartTransaction", START)
    assert await again.closed() == 1013
    assert server.records.held == 1
    server.records.release()
    await server.until(lambda: not server.gateway.turns)
    assert (await (await server.connect()).call("StartTransaction", START))["transactionId"] == 1
    assert len(server.records.sessions) == 1


async def test_T66_station_whose_coming_is_never_stored_is_sent_away(server: Server):
    server.records.hold()
    client = await server.connect()
    assert await client.rest() == []
    assert await client.closed() == 1013


async def test_T66_handshakes_do_not_gather_while_the_storage_hangs(server: Server):
    server.records.hangs = True
    server.gateway.limits = Limits(handshake=0.05)
    server.gateway._sweeper.cancel()  # Else its look at handshakes may come first.
    with pytest.raises(InvalidStatus) as refused:
        await server.connect()
    assert refused.value.response.status_code == 503
    await server.until(lambda: not server.gateway._admissions)


async def test_what_is_answered_in_time_is_not_watched(server: Server):
    client = await server.connect()
    await client.call("StartTransaction", START)
    assert server.gateway.turns == {}
    await asyncio.sleep(0.1)
    assert "currentTime" in await client.call("Heartbeat")
