"""The gateway over real sockets: who gets in, which socket speaks for a station, and how it all ends."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from csms.domain.ports import StorageUnavailable
from csms.gateway import server as module
from csms.gateway.admission import Address
from csms.gateway.server import Gateway, Limits
from csms.ocpp.catalogue import Version
from csms.ocpp.peer import Answered, Dropped, Expired, Pending
from csms.storage import admin
from csms.storage.memory import MemoryRecords
from csms.storage.records import open_records
from tests.conftest import NOW
from tests.gateway.wire import answer_to, handshake

START = {"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": "2026-05-04T12:00:00Z"}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


def authorization(name: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture(autouse=True)
def _quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SWEEP", 0.005)


class TestAdmission:
    @pytest.mark.parametrize(
        ("path", "protocol", "status"),
        [
            ("/ocpp/nobody", "ocpp1.6", 404),
            ("/ocpp/north/CS-1", "ocpp1.6", 404),
            ("/", "ocpp1.6", 404),
            ("/ocpp/nobody/", "ocpp1.6", 404),
            ("/ocpp/a:b", "ocpp1.6", 400),
            ("/ocpp/CS-1", "ocpp2.0", 400),
            ("/ocpp/CS-1", "", 400),
        ],
    )
    async def test_refusal_comes_before_the_upgrade(self, quick, path, protocol, status):
        answered, headers, body = await answer_to(quick, handshake(path, protocol))
        assert answered == status
        assert headers["Connection"] == "close" and body.endswith(".\n")
        assert quick.gateway.refused == {status: 1}
        assert quick.gateway.connected == 0

    async def test_S1_wrong_credentials_are_answered_alike(self, quick):
        await quick.add_station("CS-2", password=b"secret")
        answers = [
            await answer_to(quick, handshake("/ocpp/CS-2", "ocpp1.6", *more))
            for more in (
                [], [authorization("CS-2", "wrong")], [authorization("CS-1", "secret")], ["Authorization: Basic ?"],
                ["Authorization: Bearer secret"],
            )
        ]  # fmt: skip
        assert {status for status, _, _ in answers} == {401}
        assert len({body for _, _, body in answers}) == 1
        assert all("WWW-Authenticate" in headers for _, headers, _ in answers)

    async def test_S1_wrong_name_for_an_unknown_station_is_no_different(self, quick):
        await quick.add_station("CS-2", password=b"secret")
        known, unknown = [
            await answer_to(quick, handshake(f"/ocpp/{name}", "ocpp1.6", authorization("x", "y")))
            for name in ("CS-2", "nobody")
        ]
        assert known == unknown

    @pytest.mark.parametrize("password", [b"secret", b"with:colon", bytes(range(128, 148))])
    async def test_T73_right_password_is_let_in(self, quick, password):
        await quick.add_station("CS-2", password=password)
        assert (await (await quick.connect("CS-2", password=password)).boot())["status"] == "Accepted"

    async def test_password_belongs_to_one_station_of_one_operator(self, quick):
        await quick.add_station("CS-2", password=b"secret", operator="north")
        await quick.add_station("CS-2", password=b"other")
        assert (await answer_to(quick, handshake("/ocpp/CS-2", "ocpp1.6", authorization("CS-2", "secret"))))[0] == 401
        assert await quick.connect("north/CS-2", password=b"secret")

    @pytest.mark.parametrize("path", ["RDAM%20%7C1", "RDAM%20%7C1/"])
    async def test_T72_encoded_identity_is_found(self, quick, path):
        await quick.add_station("RDAM |1")
        await quick.connect(path)
        assert quick.gateway.connected == 1

    @pytest.mark.parametrize(
        ("offered", "chosen"),
        [(["2.0.1", "1.6"], "ocpp2.0.1"), (["1.6", "2.0.1"], "ocpp1.6"), (["0.1", "1.6"], "ocpp1.6")],
    )
    async def test_T71_clients_first_choice_is_spoken(self, quick, offered, chosen):
        assert (await quick.connect(version=offered)).socket.subprotocol == chosen

    async def test_T70_version_belongs_to_the_connection(self, quick):
        for version in ("1.6", "2.0.1", "1.6"):
            client = await quick.connect(version=version)
            assert (await client.boot())["status"] == "Accepted"
            assert quick.gateway.link_of(1).version == version

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (b"GET /ocpp/CS-1 HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n", 426),
            (b"POST /ocpp/CS-1 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
            (b"hello\r\n\r\n", 400),
            (handshake().replace(b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8"), 426),
            (handshake("/ocpp/CS-1", "ocpp1.6", "X: " + "x" * 20_000), 431),
            (handshake().replace(b"MDEyMzQ1Njc4OWFiY2RlZg==", b"short"), 400),
        ],
    )
    async def test_what_is_no_handshake_is_told_so(self, quick, request_, status):
        assert (await answer_to(quick, request_))[0] == status

    async def test_nobody_is_let_in_while_nothing_can_be_stored(self, quick):
        quick.records.failing = True
        status, headers, _ = await answer_to(quick, handshake())
        assert status == 503 and 1 <= int(headers["Retry-After"]) <= 11

    async def test_own_fault_in_the_handshake_is_503(self, quick, monkeypatch):
        monkeypatch.setattr(quick.records, "known", lambda *place: 1 / 0)
        assert (await answer_to(quick, handshake()))[0] == 503

    async def test_open_registration_takes_unknown_stations_in(self, server):
        async def register(address: Address) -> None:
            await server.database.writer.run(admin.put_station(1, address.identity, {}, NOW))

        server.gateway.register = register
        assert (await (await server.connect("NEW")).boot())["status"] == "Accepted"
        assert await server.rows("SELECT identity FROM stations") == [("CS-1",), ("NEW",)]

    async def test_client_that_left_during_its_handshake_leaves_nothing(self, quick, monkeypatch):
        asked, found = asyncio.Event(), asyncio.get_running_loop().create_future()
        known = quick.records.known_stations["default", "CS-1"]
        monkeypatch.setattr(quick.records, "known", lambda *place: asked.set() or found)
        _, writer = await quick.raw(handshake())
        await asked.wait()
        writer.transport.abort()
        await quick.until(lambda: not quick.gateway.handshakes)
        found.set_result(known)
        await asyncio.sleep(0.01)
        assert quick.gateway.connected == 0
        assert quick.gateway.stations == {}


class TestRegistration:
    async def test_T40_2x_is_a_security_error_before_the_boot(self, quick):
        client = await quick.connect(version="2.0.1")
        assert (await client.call("Heartbeat"))[2] == "SecurityError"
        await client.boot()
        assert "currentTime" in await client.call("Heartbeat")

    async def test_T41_registration_survives_a_restart(self, server, make_server, database):
        client = await server.connect(version="2.0.1")
        await client.boot()
        await server.gateway.stop()
        again = await make_server(await open_records(database, NOW), database)
        assert "currentTime" in await (await again.connect(version="2.0.1")).call("Heartbeat")

    @pytest.mark.parametrize(("admission", "word"), [("pending", "Pending"), ("rejected", "Rejected")])
    async def test_T44_station_that_waits_is_told_so_and_kept(self, quick, admission, word):
        await quick.add_station("CS-2", admission=admission)
        client = await quick.connect("CS-2", version="2.0.1")
        assert (await client.boot())["status"] == word
        assert (await client.call("Heartbeat"))[2] == "SecurityError"

    async def test_operators_decision_counts_at_the_next_boot(self, quick):
        client = await quick.connect()
        quick.gateway.station_changed(1, {"admission": "rejected", "strict": True})
        assert (await client.boot())["status"] == "Rejected"
        assert quick.gateway.stations[1].strict
        quick.gateway.station_changed(99, {})

    @pytest.mark.parametrize("version", ["1.6", "2.0.1"])
    async def test_unknown_action_is_not_implemented(self, quick, version):
        client = await quick.connect(version=version)
        await client.boot()
        assert (await client.call("Fly"))[2:] == [
            "NotImplemented", f"Fly is no action of OCPP {version}.", {}
        ]  # fmt: skip


class TestOneSocketForAStation:
    async def test_coming_and_going_are_kept_and_told(self, server):
        client = await server.connect()
        await client.boot()
        assert await server.rows("SELECT version, connected_at IS NULL FROM stations") == [("1.6", 0)]
        await client.socket.close()
        await server.until(lambda: not server.gateway.stations)
        assert await server.rows("SELECT version, connected_at IS NULL FROM stations") == [("1.6", 1)]
        told = "".join(text for (text,) in await server.rows("SELECT events FROM outbox ORDER BY id"))
        assert told.index("station.connected") < told.index("station.booted") < told.index("station.disconnected")

    async def test_T68_N10_newest_socket_wins_and_the_old_close_is_harmless(self, server):
        old = await server.connect()
        new = await server.connect()
        assert await old.closed() == 1000
        assert "currentTime" in await new.call("Heartbeat")
        assert server.gateway.connected == 1
        assert await server.rows("SELECT connected_at IS NULL FROM stations") == [(0,)]

    async def test_many_swaps_in_a_row_end_with_one_connection(self, quick):
        clients = [await quick.connect() for _ in range(10)]
        assert "currentTime" in await clients[-1].call("Heartbeat")
        assert [await client.closed() for client in clients[:-1]] == [1000] * 9
        assert quick.gateway.connected == 1

    async def test_newcomer_that_is_refused_disturbs_nobody(self, quick):
        await quick.add_station("CS-2", password=b"secret")
        client = await quick.connect("CS-2", password=b"secret")
        assert (await answer_to(quick, handshake("/ocpp/CS-2")))[0] == 401
        assert "currentTime" in await client.call("Heartbeat")

    async def test_hot_state_survives_the_swap_with_a_unit_in_flight(self, quick):
        old = await quick.connect()
        await old.boot()
        quick.records.hold()
        await old.send("StartTransaction", START)
        await quick.until(lambda: quick.records.held)
        new = await quick.connect()
        assert await old.closed() == 1000
        quick.records.release()
        assert (await new.call("StartTransaction", START))["transactionId"] == 1
        assert len(quick.records.sessions) == 1
        assert len(quick.gateway.stations[1].sessions) == 1

    async def test_station_that_left_while_its_unit_was_in_flight_is_let_go_afterwards(self, quick):
        client = await quick.connect()
        await client.boot()
        quick.records.hold()
        await client.send("StatusNotification", STATUS)
        await quick.until(lambda: quick.records.held)
        await client.socket.close()
        await quick.until(lambda: not quick.gateway.connected)
        assert quick.gateway.stations
        quick.records.release()
        await quick.until(lambda: not quick.gateway.stations)
        assert quick.records.online == {1: False}
        assert quick.records.connectors[1]

    async def test_station_that_returns_while_it_is_let_go_stays(self, quick):
        client = await quick.connect()
        await client.boot()
        quick.records.hold()
        await client.socket.close()
        await quick.until(lambda: quick.records.held)
        again = await quick.connect()
        quick.records.release()
        assert "currentTime" in await again.call("Heartbeat")
        assert quick.records.online == {1: True}
        assert quick.gateway.connected == 1

    async def test_station_whose_coming_cannot_be_kept_is_sent_away(self, quick):
        quick.records.fault = lambda unit: StorageUnavailable("full") if unit.connection else None
        with capture_logs() as logs:
            client = await quick.connect()
            assert await client.closed() == 1013
            await quick.until(lambda: not quick.gateway.stations)
        assert "station.connection_not_stored" in {line["event"] for line in logs}

    async def test_calls_wait_until_the_coming_is_kept(self, quick):
        quick.records.hold()
        client = await quick.connect()
        await client.send("Heartbeat")
        await quick.until(lambda: quick.records.held)
        answer = asyncio.create_task(client.receive())
        await asyncio.sleep(0.01)
        assert not answer.done()
        quick.records.release()
        assert "currentTime" in (await answer)[2]


class TestOurCalls:
    async def ask(self, server, client, timeout: float = 5.0) -> asyncio.Future:
        outcome: asyncio.Future = asyncio.get_running_loop().create_future()
        server.gateway.link_of(1).call(Pending("q1", "Reset", b'{"type":"Soft"}', timeout, outcome.set_result))
        return outcome

    async def test_call_of_ours_is_answered_while_calls_of_theirs_go_on(self, quick):
        client = await quick.connect()
        outcome = await self.ask(quick, client)
        assert await client.receive() == [2, "q1", "Reset", {"type": "Soft"}]
        assert "currentTime" in await client.call("Heartbeat")
        await client.socket.send('[3,"q1",{"status":"Accepted"}]')
        assert await outcome == Answered(b'{"status":"Accepted"}')

    async def test_call_that_is_not_answered_in_time_expires(self, quick):
        client = await quick.connect()
        assert await (await self.ask(quick, client, timeout=0.01)) == Expired("q1")

    async def test_N10_call_of_ours_is_dropped_when_the_socket_is_replaced(self, quick):
        client = await quick.connect()
        outcome = await self.ask(quick, client)
        await client.receive()
        await quick.connect()
        assert await outcome == Dropped("q1", sent=True)

    async def test_nobody_is_reached_who_is_not_connected(self, quick):
        assert quick.gateway.link_of(1) is None


class TestLiveness:
    async def test_N1_T69_half_open_station_is_pinged_and_dropped(self, make_server):
        records = MemoryRecords()
        records.add_station("CS-1")
        server = await make_server(records, limits=Limits(ping_interval=0.02, pong_deadline=0.02, drain=2.0))
        reader, _ = await server.raw(handshake())
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(5):
            assert await reader.readexactly(2) == b"\x89\x00", "a ping"
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
        await server.until(lambda: not server.gateway.stations)
        assert records.online == {1: False}

    async def test_many_stations_take_turns_and_each_is_looked_at(self, make_server, monkeypatch):
        monkeypatch.setattr(module, "_AT_ONCE", 1)
        records = MemoryRecords()
        server = await make_server(records, limits=Limits(ping_interval=0.01, pong_deadline=5.0, drain=2.0))
        for name in ("CS-1", "CS-2", "CS-3"):
            records.add_station(name)
            reader, _ = await server.raw(handshake(f"/ocpp/{name}"))
            await reader.readuntil(b"\r\n\r\n")
            assert await asyncio.wait_for(reader.readexactly(2), 5) == b"\x89\x00", "a ping"

    async def test_station_that_pongs_stays(self, make_server):
        records = MemoryRecords()
        records.add_station("CS-1")
        server = await make_server(records, limits=Limits(ping_interval=0.01, pong_deadline=0.5, drain=2.0))
        client = await server.connect()
        link = server.gateway.link_of(1)
        for _ in range(3):
            await server.until(lambda: link.pinged_at)
            await server.until(lambda: not link.pinged_at)
        assert "currentTime" in await client.call("Heartbeat")

    async def test_N7_station_that_does_not_read_is_dropped(self, make_server):
        records = MemoryRecords()
        records.add_station("CS-1")
        server = await make_server(records, limits=Limits(stalled=0.02, drain=2.0))
        reader, _ = await server.raw(handshake())
        await reader.readuntil(b"\r\n\r\n")
        reader._transport.pause_reading()
        server.gateway.link_of(1).send(b"x" * (32 << 20))
        await server.until(lambda: not server.gateway.stations)

    async def test_station_that_we_let_wait_is_not_taken_for_dead(self, make_server):
        records = MemoryRecords()
        records.add_station("CS-1")
        server = await make_server(records, limits=Limits(ping_interval=0.01, pong_deadline=0.01, drain=2.0))
        client = await server.connect()
        link = server.gateway.link_of(1)
        link._transport.pause_reading()
        await asyncio.sleep(0.05)
        link._transport.resume_reading()
        assert "currentTime" in await client.call("Heartbeat")

    async def test_pings_can_be_turned_off(self, make_server):
        records = MemoryRecords()
        records.add_station("CS-1")
        server = await make_server(records, limits=Limits(ping_interval=0.0, drain=2.0))
        await server.connect()
        await asyncio.sleep(0.02)
        assert server.gateway.link_of(1).pinged_at == 0.0

    async def test_N3_slow_handshake_is_cut_off(self, make_server):
        server = await make_server(MemoryRecords(), limits=Limits(handshake=0.03, drain=2.0))
        reader, _ = await server.raw(b"GET /ocpp/CS-1 HTTP/1.1\r\n")
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        await server.until(lambda: not server.gateway.handshakes)


class TestTheEnd:
    async def test_answer_under_way_is_finished_then_1012(self, quick):
        client = await quick.connect()
        await client.boot()
        quick.records.hold()
        await client.send("StatusNotification", STATUS, "last")
        await quick.until(lambda: quick.records.held)
        stopping = asyncio.create_task(quick.gateway.stop())
        await asyncio.sleep(0)
        await client.send("Heartbeat", {}, "too late")
        await asyncio.sleep(0.01)
        quick.records.release()
        assert await client.rest() == [[3, "last", {}]]
        assert await client.closed() == 1012
        await stopping
        assert quick.gateway.stations == {}
        assert quick.records.online == {1: False}

    async def test_waiting_calls_are_left_to_the_station(self, quick):
        client = await quick.connect()
        await client.boot()
        quick.records.hold()
        await client.send("StatusNotification", STATUS, "first")
        await quick.until(lambda: quick.records.held)
        await client.send("StatusNotification", STATUS | {"connectorId": 2}, "second")
        await asyncio.sleep(0.01)
        stopping = asyncio.create_task(quick.gateway.stop())
        await asyncio.sleep(0)
        quick.records.release()
        assert await client.rest() == [[3, "first", {}]]
        assert await client.closed() == 1012
        await stopping
        assert [*quick.records.connectors[1]] == [(1, 1)]

    async def test_handshakes_under_way_are_ended(self, quick):
        reader, _ = await quick.raw(b"GET ")
        await quick.until(lambda: [link for link in quick.gateway.handshakes if link._head])
        await quick.gateway.stop()
        assert await reader.read() == b""

    async def test_stopping_takes_nobody_in(self, quick):
        reader, writer = await quick.raw(b"GET ")
        await quick.until(lambda: [link for link in quick.gateway.handshakes if link._head])
        quick.gateway.stopping = True
        writer.write(handshake().removeprefix(b"GET "))
        assert (await reader.read()).startswith(b"HTTP/1.1 503")
        await quick.gateway.stop()

    async def test_unit_that_never_ends_does_not_hold_the_end_up(self, make_server):
        records = MemoryRecords()
        records.add_station("CS-1")
        server = await make_server(records, limits=Limits(drain=0.05))
        client = await server.connect()
        await client.boot()
        records.hold()
        await client.send("StatusNotification", STATUS)
        await server.until(lambda: records.held)
        await server.gateway.stop()
        assert await client.closed() == 1012
        records.release()
        await server.until(lambda: not server.gateway.stations)


def test_limits_know_how_large_a_message_may_be():
    assert Limits().max_size(Version.V16) < Limits().max_size(Version.V201)


async def test_two_gateways_count_apart(quick):
    assert Gateway(quick.records, quick.gateway.vault).refused is not quick.gateway.refused
