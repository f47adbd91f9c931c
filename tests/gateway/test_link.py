"""One conversation on one socket: frames of every shape, bounds on everything, and a hostile other end."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress

import pytest
from structlog.testing import capture_logs
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Opcode

from csms.gateway import link as module
from csms.gateway import server as server_module
from csms.gateway.server import Limits
from csms.ocpp.peer import Pending
from csms.storage.memory import MemoryRecords
from tests.conftest import Server
from tests.gateway.wire import Raw, framed, handshake, header

HEARTBEAT = [2, "1", "Heartbeat", {}]
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


@pytest.fixture(autouse=True)
def _quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_SWEEP", 0.005)


async def limited(make_server, **limits) -> Server:
    records = MemoryRecords()
    records.add_station("CS-1")
    return await make_server(records, limits=Limits(drain=2.0, **limits))


class TestFrames:
    @pytest.mark.parametrize(
        ("frame", "message_id", "code"),
        [
            (b"[,{", "-1", "FormationViolation"),
            (b"{}", "-1", "FormationViolation"),
            (b"[]", "-1", "FormationViolation"),
            (b'[2,1,"Heartbeat",{}]', "-1", "FormationViolation"),
            (b'[2,"a","Heartbeat"]', "a", "FormationViolation"),
            (b'[2,"a",7,{}]', "a", "FormationViolation"),
            (b"[" * 100_000, "-1", "FormationViolation"),
        ],
    )
    async def test_T63_malformed_frame_is_answered_and_the_socket_stays(self, quick, frame, message_id, code):
        client = await quick.connect()
        with capture_logs() as logs:
            await client.socket.send(frame.decode())
            assert (await client.receive())[:3] == [4, message_id, code]
        assert logs[0]["event"] == "frame.malformed" and len(logs[0]["frame"]) <= 200
        assert "currentTime" in await client.call("Heartbeat")

    async def test_unknown_message_type_is_said_in_2x_and_ignored_in_16(self, quick):
        old = await quick.connect()
        await old.socket.send('[9,"a"]')
        assert "currentTime" in await old.call("Heartbeat")
        new = await quick.connect(version="2.0.1")
        await new.socket.send('[9,"a"]')
        assert (await new.receive())[:3] == [4, "a", "MessageTypeNotSupported"]

    async def test_T67_reused_message_ids_are_answered(self, quick):
        client = await quick.connect()
        for _ in range(3):
            await client.send("Heartbeat", {}, "1")
            assert (await client.receive())[:2] == [3, "1"]

    async def test_binary_frame_ends_the_conversation(self, quick):
        client = await quick.connect()
        await client.socket.send(b"\x00\x01")
        assert await client.closed() == 1003

    async def test_text_that_is_no_text_ends_the_conversation(self, quick):
        raw = await Raw.open(quick)
        raw.writer.write(framed(b"\xff\xfe"))
        assert await raw.closed() == 1007

    @pytest.mark.parametrize("size", [(256 << 10) + 1, 1 << 30, 2**63 - 1])
    async def test_N4_oversized_message_is_refused_by_its_header(self, quick, size):
        raw = await Raw.open(quick)
        raw.writer.write(header(size))
        assert await raw.closed() == 1009

    async def test_message_up_to_the_bound_is_taken(self, quick):
        client = await quick.connect()
        await client.socket.send(json.dumps([2, "1", "DataTransfer", {"vendorId": "V", "data": "x" * 200_000}]))
        assert (await client.receive())[1] == "1"

    async def test_fragments_are_put_together_and_pings_answered_between(self, quick):
        raw = await Raw.open(quick)
        text = json.dumps(HEARTBEAT).encode()
        raw.writer.write(framed(text[:5], fin=False) + framed(b"", Opcode.PING) + framed(text[5:], Opcode.CONT))
        assert (await raw.receive())[1] == "1"

    async def test_N5_message_of_one_byte_fragments_is_answered(self, quick):
        raw = await Raw.open(quick)
        text = json.dumps(HEARTBEAT).encode()
        drip = [framed(text[:1], fin=False), *(framed(bytes([byte]), Opcode.CONT, False) for byte in text[1:])]
        for frame in drip:
            raw.writer.write(frame + framed(b"", Opcode.PING))
        raw.writer.write(framed(b"", Opcode.CONT))
        assert (await raw.receive())[1] == "1"

    async def test_station_that_says_goodbye_is_let_go(self, quick):
        client = await quick.connect()
        with capture_logs():
            await client.socket.close(1001, "reboot")
            await quick.until(lambda: not quick.gateway.stations)
        (gone,) = [event for event in quick.records.events if type(event).__name__ == "StationDisconnected"]
        assert gone.reason == "1001 reboot"

    @pytest.mark.parametrize("step", [1, 7])
    async def test_bytes_may_come_in_any_pieces(self, quick, step):
        reader, writer = await quick.raw()
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head, message = handshake(), framed(HEARTBEAT)
        for start in range(0, len(head), 40):
            writer.write(head[start : start + 40])
            await asyncio.sleep(0)
        await reader.readuntil(b"\r\n\r\n")
        for start in range(0, len(message), step):
            writer.write(message[start : start + step])
            await asyncio.sleep(0)
        assert b"currentTime" in await reader.readuntil(b"}]")


class TestCompression:
    async def test_T75_permessage_deflate_is_spoken_without_context(self, quick):
        client = await quick.connect(version="2.0.1", extensions=[ClientPerMessageDeflateFactory()])
        assert (await client.boot())["status"] == "Accepted"
        for _ in range(3):
            assert "currentTime" in await client.call("Heartbeat")
        assert "no_context_takeover" in client.socket.response.headers["Sec-WebSocket-Extensions"]

    async def test_N6_bomb_is_refused(self, quick):
        client = await quick.connect(version="2.0.1", extensions=[ClientPerMessageDeflateFactory()])
        await client.socket.send("[" + "0" * (8 << 20))
        assert await client.closed() == 1009

    async def test_T75_compressed_frame_that_was_not_agreed_on_ends_the_conversation(self, quick):
        raw = await Raw.open(quick)
        raw.writer.write(bytes([0xC1]) + framed(HEARTBEAT)[1:])
        assert await raw.closed() == 1002


class TestHandshake:
    async def test_N3_endless_head_is_refused(self, quick):
        reader, _ = await quick.raw(b"GET /ocpp/CS-1 HTTP/1.1\r\nX: " + b"x" * module.MAX_HEAD)
        assert (await reader.readline()).startswith(b"HTTP/1.1 431")

    async def test_client_that_speaks_before_our_answer_is_cut_off(self, quick, monkeypatch):
        found = asyncio.get_running_loop().create_future()
        asked = asyncio.Event()
        monkeypatch.setattr(quick.records, "known", lambda *place: asked.set() or found)
        _, writer = await quick.raw(handshake())
        await asked.wait()
        writer.write(framed(HEARTBEAT))
        await quick.until(lambda: not quick.gateway.handshakes)
        found.set_result(None)

    async def test_client_that_speaks_within_its_handshake_is_cut_off(self, quick):
        """What came with the head would be lost without a word."""
        reader, _ = await quick.raw(handshake() + framed(HEARTBEAT))
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        assert quick.gateway.connected == 0

    async def test_client_that_leaves_in_its_handshake_leaves_nothing(self, quick):
        _, writer = await quick.raw(b"GET ")
        await quick.until(lambda: quick.gateway.handshakes)
        writer.close()
        await quick.until(lambda: not quick.gateway.handshakes)


class TestBounds:
    async def test_N7_station_that_does_not_read_is_dropped(self, make_server, monkeypatch):
        server = await limited(make_server, stalled=0.02)
        raw = await Raw.open(server)
        link = server.gateway.link_of(1)
        raw.reader._transport.pause_reading()
        with capture_logs() as logs:
            link.send(b"x" * (32 << 20))
            assert link.stalled_at
            await server.until(lambda: not server.gateway.stations)
        assert "station.does_not_read" in {line["event"] for line in logs}

    async def test_station_that_reads_again_goes_on(self, make_server):
        server = await limited(make_server, stalled=60.0)
        client = await server.connect(max_size=None)
        link = server.gateway.link_of(1)
        link.send(b'"' + b"x" * (16 << 20) + b'"')
        assert link.stalled_at
        await client.send("Heartbeat")
        await client.receive()
        assert "currentTime" in (await client.receive())[2]
        assert not link.stalled_at

    async def test_waiting_calls_stop_us_from_reading(self, quick, monkeypatch):
        monkeypatch.setattr(module, "MAX_INBOX", 2)
        client = await quick.connect()
        quick.records.hold()
        for number in range(6):
            await client.send("StatusNotification", STATUS | {"connectorId": number})
        link = quick.gateway.link_of(1)
        await quick.until(lambda: not link._transport.is_reading())
        quick.records.release()
        assert [(await client.receive())[1] for _ in range(6)] == [f"m{number}" for number in range(1, 7)]
        assert link._transport.is_reading()

    async def test_N12_station_that_sends_too_fast_is_slowed_down_not_dropped(self, make_server):
        server = await limited(make_server, rate=200.0, burst=5)
        client = await server.connect()
        for _ in range(12):
            await client.send("Heartbeat")
        assert [(await client.receive())[1] for _ in range(12)] == [f"m{number}" for number in range(1, 13)]

    async def test_N12_station_that_is_slowed_down_is_not_taken_for_dead(self, make_server):
        server = await limited(make_server, rate=100.0, burst=2, ping_interval=0.02, pong_deadline=0.02)
        raw = await Raw.open(server)
        raw.writer.write(b"".join(framed([2, str(number), "Heartbeat", {}]) for number in range(12)))
        assert [(await raw.receive())[1] for _ in range(12)] == [str(number) for number in range(12)]
        raw.writer.write(framed([2, "more", "Heartbeat", {}]))
        assert (await raw.receive())[1] == "more"


class TestOurSide:
    async def test_ping_is_answered(self, quick):
        await quick.connect()
        link = quick.gateway.link_of(1)
        link.ping(1.0)
        assert link.pinged_at == 1.0
        await quick.until(lambda: link.pinged_at == 0.0)

    async def test_next_call_of_ours_waits_for_the_answer_to_the_first(self, quick):
        client = await quick.connect()
        link, settled = quick.gateway.link_of(1), []
        for number in (1, 2):
            link.call(Pending(f"q{number}", "ClearCache", b"{}", 5.0, settled.append))
        assert (await client.receive())[1] == "q1"
        await client.socket.send('[3,"q1",{"status":"Accepted"}]')
        assert (await client.receive())[1] == "q2"
        assert len(settled) == 1

    async def test_next_call_of_ours_goes_out_when_the_first_expires(self, quick):
        client = await quick.connect()
        link, settled = quick.gateway.link_of(1), []
        for number in (1, 2):
            link.call(Pending(f"q{number}", "ClearCache", b"{}", 0.0 if number == 1 else 5.0, settled.append))
        assert [(await client.receive())[1] for _ in range(2)] == ["q1", "q2"]
        assert len(settled) == 1

    async def test_T67_answer_nobody_waits_for_is_ignored(self, quick):
        client = await quick.connect()
        with capture_logs() as logs:
            await client.socket.send('[3,"zz",{}]')
            assert "currentTime" in await client.call("Heartbeat")
        assert [line["event"] for line in logs] == ["frame.ignored"]

    async def test_calls_are_counted_by_action(self, quick):
        client = await quick.connect()
        before = quick.gateway.messages.get("Heartbeat", 0)
        await client.call("Heartbeat")
        await client.call("Fly")
        assert quick.gateway.messages.get("Heartbeat") == before + 1
        assert "Fly" not in quick.gateway.messages


class TestGoodbye:
    async def test_closing_twice_is_closing_once(self, quick):
        client = await quick.connect()
        link = quick.gateway.link_of(1)
        link.close(1012, "bye")
        link.close(1013, "again")
        link.send(b"too late")
        assert await client.rest() == []
        assert await client.closed() == 1012

    async def test_station_that_does_not_take_the_goodbye_is_cut_off(self, quick, monkeypatch):
        monkeypatch.setattr(module, "_LINGER", 0.01)
        raw = await Raw.open(quick)
        link = quick.gateway.link_of(1)
        raw.reader._transport.pause_reading()
        link.send(b"x" * (32 << 20))
        link.close(1012, "bye")
        await quick.until(lambda: not quick.gateway.stations)

    async def test_station_that_ends_its_side_is_gone(self, quick):
        raw = await Raw.open(quick)
        raw.writer.write_eof()
        await quick.until(lambda: not quick.gateway.stations)

    async def test_address_is_that_of_the_other_end(self, quick):
        await quick.connect()
        assert quick.gateway.link_of(1).address == "127.0.0.1"

    async def test_queued_call_of_ours_is_not_sent_to_a_closing_link(self, quick):
        client = await quick.connect()
        link = quick.gateway.link_of(1)
        link.close(1012, "bye")
        settled: list[object] = []
        link.call(Pending("q", "ClearCache", b"{}", 1.0, settled.append))
        assert await client.rest() == []
        await quick.until(lambda: settled)
