"""Too much of everything: connects, guesses, swaps, floods, drips, sockets; and the neighbours who must not notice."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.frames import Opcode

from csms.gateway import server as server_module
from csms.gateway.server import Limits
from csms.storage.memory import MemoryRecords
from tests.conftest import Server
from tests.gateway.wire import Raw, basic, framed, handshake

HEARTBEAT = [2, "1", "Heartbeat", {}]
HOME, AWAY = "127.0.0.2", "127.0.0.3"


def has_addresses() -> bool:
    """Whether this machine answers to more than one address of its own: Linux does, macOS has to be told to."""
    try:
        for host in (HOME, AWAY):
            with socket.socket() as probe:
                probe.bind((host, 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_addresses(), reason="this machine has one loopback address only")


@pytest.fixture(autouse=True)
def _quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_SWEEP", 0.005)
    monkeypatch.setattr(server_module, "_TELL", 0.0)


@pytest.fixture
async def canary(make_server) -> Any:
    """Makes a server with limits that concern this machine's addresses, too."""

    async def make(*, exempt: tuple[str, ...] = (), shared: tuple[str, ...] = (), **limits: Any) -> Server:
        server = await make_server(MemoryRecords(), limits=Limits(drain=2.0, exempt=exempt, shared=shared, **limits))
        await server.add_station("CS-1")
        await server.add_station("CS-2", password=b"secret")
        return server

    return make


async def knock(server: Server, request: bytes | None = None, *, host: str = HOME) -> tuple[int, dict[str, str], Raw]:
    """Status and headers of the answer to a handshake that comes from `host`; 0: none came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.gateway.port, local_addr=(host, 0))
    server._stack.callback(writer.close)
    writer.write(handshake() if request is None else request)
    head = b""
    async with asyncio.timeout(5):
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines if line)
    return int(status.split()[1]) if head else 0, headers, Raw(reader, writer)


def login(password: str) -> bytes:
    return handshake("/ocpp/CS-2", "ocpp1.6", basic("CS-2", password))


class TestStorm:
    async def test_N8_handshakes_beyond_the_rate_are_put_off_before_any_look_up(self, canary, monkeypatch):
        server = await canary(connects=2.0)
        looked_up = []
        known = server.records.known
        monkeypatch.setattr(server.records, "known", lambda *place: looked_up.append(place) or known(*place))
        with capture_logs() as logs:
            answers = [await knock(server) for _ in range(30)]
            await server.until(lambda: any(line["event"] == "handshakes.limited" for line in logs))
        statuses = [status for status, _, _ in answers]
        assert statuses.count(101) == len(looked_up) and set(statuses) == {101, 503}
        assert 10 <= statuses.count(101) <= 15
        told = {int(headers["Retry-After"]) for status, headers, _ in answers if status == 503}
        assert len(told) > 1 and min(told) >= 1
        assert "handshake.refused" not in {line["event"] for line in logs}, "one line for all, not one for each"
        (line, *_) = [line for line in logs if line["event"] == "handshakes.limited"]
        assert line["most"][0]["limit"] == "connects" and line["most"][0]["address"] == HOME

    async def test_N8_fleets_on_this_machine_are_not_limited(self, canary):
        server = await canary(exempt=("127.0.0.0/8",), connects=1.0, connects_address=1.0, handshakes_address=1,
                              reconnects_hour=1, guesses=1)  # fmt: skip
        assert {(await knock(server))[0] for _ in range(20)} == {101}
        assert {(await knock(server, login("wrong")))[0] for _ in range(20)} == {401}

    async def test_N13_one_address_does_not_use_up_what_is_for_all(self, canary):
        server = await canary(connects_address=1.0)
        assert {(await knock(server))[0] for _ in range(20)} == {101, 503}
        assert (await knock(server, host=AWAY))[0] == 101

    async def test_N13_addresses_that_many_share_are_not_limited_as_one(self, canary):
        server = await canary(shared=(HOME,), connects_address=1.0, handshakes_address=1)
        assert {(await knock(server))[0] for _ in range(20)} == {101}

    async def test_N15_forged_forwarding_headers_change_nothing(self, canary):
        server = await canary(connects_address=1.0)
        forged = [handshake("/ocpp/CS-1", "ocpp1.6", f"X-Forwarded-For: 192.0.2.{number}") for number in range(20)]
        assert [(await knock(server, request))[0] for request in forged].count(503) > 10
        assert server.gateway.link_of(1).address == HOME

    async def test_N3_slow_handshakes_of_one_address_are_capped_and_end(self, canary):
        server = await canary(handshakes_address=3, handshake=0.2)
        slow = [asyncio.create_task(knock(server, b"GET /ocpp")) for _ in range(10)]
        await server.until(lambda: len(server.gateway.handshakes) == 3)
        assert (await knock(server))[0] == 0, "no room for this address"
        assert (await knock(server, host=AWAY))[0] == 101
        assert {status for status, _, _ in await asyncio.gather(*slow)} == {0}
        await server.until(lambda: not server.gateway.handshakes)
        assert (await knock(server))[0] == 101

    async def test_N3_handshake_that_drips_is_cut_off_all_the_same(self, canary):
        server = await canary(handshake=0.1)
        reader, writer = await server.raw()
        async with asyncio.timeout(5):
            while not reader.at_eof() and not reader.exception():
                writer.write(b"G")
                await asyncio.sleep(0.005)
        assert not server.gateway.handshakes


class TestFlapping:
    async def test_N9_station_that_comes_again_and_again_has_to_wait_and_its_neighbour_does_not(self, canary):
        server = await canary(reconnects_hour=60)
        statuses = [(await knock(server))[0] for _ in range(10)]
        assert statuses[:3] == [101] * 3 and set(statuses[3:]) == {503}
        assert (await knock(server, login("secret")))[0] == 101

    async def test_N9_only_admitted_connections_count(self, canary):
        server = await canary(reconnects_hour=60)
        for _ in range(10):
            assert (await knock(server, login("wrong")))[0] == 401
        assert (await knock(server, login("secret")))[0] == 101


class TestGuesses:
    async def test_S2_guessing_is_ended_without_locking_the_station_out(self, canary):
        server = await canary(guesses=5)
        assert (await knock(server, login("secret"), host=HOME))[0] == 101
        statuses = [(await knock(server, login("wrong"), host=AWAY))[0] for _ in range(10)]
        assert statuses == [401] * 5 + [429] * 5
        assert (await knock(server, login("secret"), host=AWAY))[0] == 429, "not even the right one, from there"
        for _ in range(8):
            await knock(server, login("wrong"), host=HOME)
        assert (await knock(server, login("secret"), host=HOME))[0] == 101

    async def test_S2_guesses_never_reach_the_station_that_is_connected(self, canary):
        server = await canary(guesses=5)
        _, _, raw = await knock(server, login("secret"))
        for _ in range(20):
            await knock(server, login("wrong"), host=AWAY)
        assert (await raw.ask(HEARTBEAT))[0] == 3

    async def test_S1_unknown_and_known_are_limited_alike(self, canary):
        server = await canary(guesses=3)
        server.gateway.hide_unknown = True
        seen = []
        for name, host in (("CS-2", HOME), ("nobody", AWAY)):
            request = handshake(f"/ocpp/{name}", "ocpp1.6", basic(name, "wrong"))
            seen.append([(await knock(server, request, host=host))[0] for _ in range(5)])
        assert seen == [[401, 401, 401, 429, 429]] * 2

    async def test_wrong_paths_are_no_guesses(self, canary):
        server = await canary(guesses=1)
        assert {(await knock(server, handshake("/favicon.ico")))[0] for _ in range(5)} == {404}


class TestTakeover:
    async def test_N11_station_that_goes_to_and_fro_between_addresses_is_told_of_with_both(self, canary):
        server = await canary()
        with capture_logs() as logs:
            for number in range(6):
                await knock(server, host=(HOME, AWAY)[number % 2])
        contested = [line for line in logs if line["event"] == "station.contested"]
        assert len(contested) == 2
        assert {*contested[0]["addresses"]} == {HOME, AWAY} and contested[0]["station"] == "CS-1"

    async def test_N11_same_device_may_come_back_as_often_as_it_likes(self, canary):
        server = await canary()
        with capture_logs() as logs:
            for _ in range(10):
                await knock(server)
        assert "station.contested" not in {line["event"] for line in logs}


class TestFlood:
    async def test_N12_flood_that_goes_on_is_ended_and_the_neighbour_is_answered(self, canary):
        server = await canary(rate=50.0, burst=10, flood=0.3)
        neighbour = await server.connect("CS-2", password=b"secret")
        _, _, raw = await knock(server)
        flood = framed(HEARTBEAT) * 500

        async def pour() -> None:
            with suppress(ConnectionError):
                while True:
                    raw.writer.write(flood)
                    await raw.writer.drain()

        pouring = asyncio.create_task(pour())
        with capture_logs() as logs:
            while server.gateway.link_of(1) is not None:
                assert "currentTime" in await neighbour.call("Heartbeat")
                await asyncio.sleep(0.02)
        pouring.cancel()
        assert "station.flood" in {line["event"] for line in logs}

    async def test_N12_fast_station_that_waits_for_answers_is_slowed_down_and_kept(self, canary):
        server = await canary(rate=200.0, burst=5, flood=0.1)
        client = await server.connect()
        for _ in range(60):
            assert "currentTime" in await client.call("Heartbeat")
        assert not server.gateway.floods

    @pytest.mark.parametrize(
        "frame", [framed(HEARTBEAT), framed(b"", Opcode.PONG), framed(b"{}")], ids=["call", "pong", "junk"]
    )
    async def test_N12_what_came_in_one_piece_is_not_done_at_once_either(self, canary, frame):
        """One read may bring ten thousand messages: the neighbours' turn comes before they are done."""
        server = await canary(rate=20.0, burst=10)
        raw, neighbour = await Raw.open(server), await server.connect("CS-2", password=b"secret")
        raw.writer.write(frame * 2000)
        await server.until(lambda: server.gateway.floods)
        link = server.gateway.link_of(1)
        assert not link.listening and link.unfinished, "the rest waits"
        assert "currentTime" in await neighbour.call("Heartbeat")
        assert server.gateway.messages["Heartbeat"] < 200

    async def test_N12_burst_that_ends_is_forgotten(self, canary):
        server = await canary(rate=100.0, burst=10, flood=0.5)
        raw = await Raw.open(server)
        raw.writer.write(framed(HEARTBEAT) * 20)
        for _ in range(20):
            await raw.receive()
        assert server.gateway.floods
        await server.until(lambda: not server.gateway.floods)
        assert (await raw.ask(HEARTBEAT))[0] == 3

    async def test_N12_pings_count_too(self, canary):
        server = await canary(rate=10.0, burst=10, flood=60.0)
        raw = await Raw.open(server)
        raw.writer.write(framed(b"", Opcode.PING) * 1000)
        await server.until(lambda: server.gateway.floods)
        assert not server.gateway.link_of(1).listening


class TestDrips:
    @pytest.mark.parametrize(
        "beginning",
        [
            framed(b"[2,", fin=False),
            framed(b"[2,", fin=False) + framed(b'"1"', Opcode.CONT, False),
            framed(HEARTBEAT)[:1],
            framed(HEARTBEAT)[:5],
            framed(HEARTBEAT)[:12],
        ],
        ids=["a fragment", "two fragments", "a byte", "half a header", "half a frame"],
    )
    async def test_N5_message_that_does_not_end_is_not_waited_for_for_ever(self, canary, beginning):
        server = await canary(message=0.15)
        raw = await Raw.open(server)
        raw.writer.write(beginning)
        assert await raw.closed() == 1008

    async def test_N5_fragments_and_pings_in_between_gain_no_time(self, canary):
        server = await canary(message=0.2)
        raw = await Raw.open(server)

        async def drip() -> None:
            raw.writer.write(framed(b"[2", fin=False))
            while True:
                raw.writer.write(framed(b" ", Opcode.CONT, False) + framed(b"", Opcode.PING))
                await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        assert await raw.closed() == 1008
        dripping.cancel()

    async def test_N5_many_messages_are_not_one_that_does_not_end(self, canary):
        server = await canary(message=0.1)
        raw = await Raw.open(server)
        message = framed(HEARTBEAT)
        raw.writer.write(message[:4])
        for _ in range(30):
            raw.writer.write(message[4:] + message[:4])
            assert (await raw.receive())[0] == 3
            await asyncio.sleep(0.01)
        assert server.gateway.link_of(1) is not None


class TestSockets:
    async def test_N13_accepting_stops_when_full_and_goes_on_when_there_is_room(self, canary):
        server = await canary(sockets=5)
        listener = server.gateway.listener
        with capture_logs() as logs:
            held = [await server.raw(b"GET ") for _ in range(5)]
            await server.until(lambda: listener.paused)
            waiting = [asyncio.create_task(knock(server)) for _ in range(3)]
            await asyncio.sleep(0.03)
            assert listener.open == 5 and not any(task.done() for task in waiting), "they wait in the kernel's queue"
            for _, writer in held:
                writer.close()
            assert {status for status, _, _ in await asyncio.gather(*waiting)} == {101}
        assert [line["event"] for line in logs if line["event"].startswith("gateway.")] == [
            "gateway.full",
            "gateway.has_room",
        ]

    async def test_N13_who_was_accepted_beyond_the_room_is_let_go(self, canary):
        server = await canary(sockets=2)
        tasks = [asyncio.create_task(server.raw(b"GET ")) for _ in range(20)]
        await asyncio.gather(*tasks)
        await server.until(lambda: server.gateway.listener.paused)
        await server.until(lambda: server.gateway.listener.open <= 2)
        for task in tasks:
            task.result()[1].close()
        await server.until(lambda: not server.gateway.listener.paused)
        assert (await knock(server))[0] == 101

    async def test_stopping_while_full_ends_it(self, canary):
        server = await canary(sockets=1)
        await server.connect()
        await server.until(lambda: server.gateway.listener.paused)
        await server.gateway.stop()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", server.gateway.port)
