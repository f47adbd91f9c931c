"""What is fuzzed: functions from bytes to nothing, which raise when a promise is broken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import count

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Opcode
from websockets.protocol import OPEN, SERVER, Protocol

import csms.blocks  # noqa: F401  Registers the handlers.
from csms.blocks.dispatch import Context, Policy, answer, handler_of
from csms.domain.stations import Station
from csms.domain.tokens import Token
from csms.gateway import handshake
from csms.gateway.admission import Refused, address_of, chosen_version, password_of
from csms.ocpp import frames, schemas
from csms.ocpp.catalogue import Action, Version, actions
from csms.ocpp.errors import OcppError
from csms.ocpp.peer import Ignored, Malformed, Peer, Pending
from csms.ocpp.tolerance import decode
from csms.ocpp.websocket import Closed, WebSocket
from csms.storage.memory import MemoryRecords
from tests.blocks.conversation import NOON

VERSIONS = tuple(Version)
MAX_SIZE = 512
INCOMING: list[Action] = [
    action for version in VERSIONS for action in actions(version).values() if action.from_station
]  # fmt: skip


def parsed_frames(data: bytes) -> None:
    """A frame or a BadFrame whose answer is itself a frame; a Peer takes either, and settles its call at most once."""
    version, data = VERSIONS[data[0] % 3] if data else Version.V16, data[1:]
    try:
        frame = frames.parse(data, version)
    except frames.BadFrame as bad:
        frame = None
        if bad.answer is not None:
            told = json.loads(bad.answer)
            assert told[0] in (4, 5) and len(told) == 5 and len(told[3]) <= 255 and told[4] == {}, told
            assert told[0] == 4 or version is Version.V21
    peer, outcomes = Peer(version), []
    peer.call(Pending("1", "ClearCache", b"{}", 30.0, outcomes.append), 0.0)
    heard = peer.receive(data, 1.0)
    if frame is None:
        assert isinstance(heard, Malformed)
    elif isinstance(frame, frames.CallResult | frames.CallError):
        assert bool(outcomes) == (frame.id == "1") and (outcomes or isinstance(heard, Ignored))
    peer.close()
    assert len(outcomes) == 1


def websocket(data: bytes) -> None:
    """The same bytes in one piece and in many have one outcome, which is that of the `websockets` package."""
    if len(data) < 2:
        return
    # The end completes whatever frame is under way, and cannot be a frame itself: every conversation is closed by it.
    deflate, step, data = bool(data[0] & 1), data[1] % 40 + 1, data[2:] + bytes(MAX_SIZE + 20)
    whole = _received([data], deflate)
    assert whole == _received([data[start : start + step] for start in range(0, len(data), step)], deflate)
    messages, out, closed = whole
    theirs, code = _judged(data, deflate)
    if code == 1009:  # The package counts a ping amid fragments as a part of the message, and so ends it earlier.
        assert closed is not None and messages[: len(theirs)] == theirs
    else:
        assert (messages, closed and closed.code) == (theirs, code)
    assert len(out) <= len(data) + 200, "answers are pongs and one goodbye"


def _received(pieces: list[bytes], deflate: bool) -> tuple[list[bytes], bytes, Closed | None]:
    socket, messages, out = WebSocket(deflate=deflate, max_size=MAX_SIZE), [], b""
    for piece in pieces:
        got, answered = socket.receive(piece)
        messages += got
        out += answered
    return messages, out, socket.closed


def _judged(data: bytes, deflate: bool) -> tuple[list[bytes], int | None]:
    """Messages and close code by the core of `websockets`, and by what we ask beyond: text, and UTF-8."""
    core, messages, parts = Protocol(SERVER, max_size=MAX_SIZE), [], b""
    if deflate:
        core.extensions = [PerMessageDeflate(True, True, 15, 15)]
    core.receive_data(data)
    for event in core.events_received():
        if event.opcode is Opcode.BINARY:
            return messages, 1003
        if event.opcode in (Opcode.TEXT, Opcode.CONT):
            parts += bytes(event.data)
            if event.fin:
                try:
                    parts.decode()
                except UnicodeDecodeError:
                    return messages, 1007
                messages.append(parts)
                parts = b""
    close = None if core.state is OPEN else (core.close_sent or core.close_rcvd)
    return messages, close.code if close else (None if core.state is OPEN else 1006)


def shaken_hands(data: bytes) -> None:
    """A request that is understood, or Refused with a status; the short path never differs from the core's."""
    try:
        request = handshake.read(data + b"\r\n\r\n")
        plain = handshake._read_plain(data + b"\r\n\r\n")
        if plain is not None:
            core = handshake._read_any(data + b"\r\n\r\n")
            assert (plain.path, [*plain.headers.raw_items()]) == (core.path, [*core.headers.raw_items()])
        address = address_of(request.path)
        assert 0 < len(address.identity) <= 48
        password_of(request.headers, address.identity)
        version, spelled = chosen_version(request.headers, VERSIONS)
        assert spelled is not None and spelled.lower() == version.subprotocol
        response, _ = handshake.accepted(request, spelled, compression=True)
        assert response.startswith(b"HTTP/1.1 101 ") and response.endswith(b"\r\n\r\n")
    except Refused as refusal:
        assert 400 <= refusal.status < 500


def messages(data: bytes) -> None:
    """Lines of an action's number and a payload, told by one station: each is answered as the schema says, or refused."""
    _STATION.tell(data)


class _Talk:
    """A station of each version, over records in memory that are renewed now and then."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._number = count()

    def tell(self, data: bytes) -> None:
        if next(self._number) % 500 == 0:
            self._records = MemoryRecords()
            self._records.add_token(1, Token("TAG"))
            self._stations = [self._station(version) for version in VERSIONS]
        self._loop.run_until_complete(self._told(data))

    def _station(self, version: Version) -> Station:
        known = self._records.add_station(f"CS-{version}", registration="accepted")
        station = Station(known.id, 1, "default", known.identity)
        station.registration = "accepted"
        return station

    async def _told(self, data: bytes) -> None:
        for line in data.split(b"\n")[:20]:
            if not line:
                continue
            action, payload = INCOMING[line[0] % len(INCOMING)], line[1:]
            if handler_of(action) is None:
                self._decoded(action, payload)
            else:
                await self._answered(action, payload)

    def _decoded(self, action: Action, payload: bytes) -> None:
        try:
            decode(action, payload)
        except OcppError as error:
            assert error.description

    async def _answered(self, action: Action, payload: bytes) -> None:
        station = self._stations[VERSIONS.index(action.version)]
        ctx = Context(station, action.version, NOON, self._records, Policy(random=lambda: 0.5))
        try:
            answered = json.loads(await answer(frames.Call("1", action.name, payload), ctx))
        except OcppError as error:
            assert error.description
            return
        assert schemas.violation(action, answered[2], response=True) is None, answered
        if ctx.work is not None:
            await self._records.commit(ctx.work)
            ctx.work.apply()
            assert all(session.energy_wh >= 0 for session in (*ctx.work.opened, *ctx.work.changed))


_STATION = _Talk()
TARGETS: dict[str, Callable[[bytes], None]] = {
    "frames": parsed_frames, "websocket": websocket, "handshake": shaken_hands, "messages": messages,
}  # fmt: skip
