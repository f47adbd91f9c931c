"""The station's end of a socket, against servers that say all sorts of things."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable

import pytest
from websockets.asyncio.server import ServerConnection, serve

from csms.ocpp.version import Version
from simulators.connection import Connection, RefusedError, open_connection, station_url

pytestmark = pytest.mark.journey


class Ear:
    """A listener that remembers, and can be awaited."""

    def __init__(self) -> None:
        self.connection: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()
        self.end: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def opened(self, connection: Connection) -> None:
        self.connection.set_result(connection)

    def message(self, data: bytes) -> None:
        self.messages.put_nowait(data)

    def lost(self, error: Exception | None) -> None:
        self.end.set_result(error)


@pytest.fixture
async def says() -> AsyncIterator[Callable]:
    """A server that answers any request with given bytes: `url = await says(b"HTTP/1.1 …")`."""
    servers = []

    async def start(*pieces: bytes, hang_up: bool = False) -> str:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if not hang_up:
                await reader.read()
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        servers.append(server)
        return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocpp/CS-1"

    yield start
    for server in servers:
        server.close()


async def connect(url: str, **options: object) -> Ear:
    ear = Ear()
    await open_connection(url, Version.V16, ear, identity="CS 1", **options)
    return ear


async def refusal(url: str) -> Exception | None:
    ear = await connect(url)
    async with asyncio.timeout(5):
        return await ear.end


@pytest.mark.parametrize("status", [400, 401, 404, 503])
async def test_a_refusal_is_told_with_its_status_and_body(says, status):
    url = await says(b"HTTP/1.1 %d No\r\nContent-Length: 9\r\n\r\ngo " % status, b"away\r\n")
    error = await refusal(url)

    assert isinstance(error, RefusedError)
    assert (error.status, error.body, error.retry_after) == (status, "go away", None)


async def test_a_busy_server_says_when_to_come_back(says):
    url = await says(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")

    assert (await refusal(url)).retry_after == 7.0


async def test_a_body_without_a_length_ends_with_the_connection(says):
    error = await refusal(await says(b"HTTP/1.1 404 Unknown\r\n\r\n", b"who are you?", hang_up=True))

    assert (error.status, error.body) == (404, "who are you?")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 101 Switching\r\n\r\n", b"SMTP hello\r\n\r\n"])
async def test_a_handshake_that_is_none_is_an_error(says, answer):
    assert isinstance(await refusal(await says(answer, hang_up=True)), Exception)


async def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up(says):
    ear = await connect(await says(), timeout=0.05)
    async with asyncio.timeout(5):
        assert isinstance(await ear.end, TimeoutError)


async def test_an_open_connection_outlives_the_time_for_the_handshake(echo):
    url, _ = echo
    ear = await connect(url, timeout=0.05)
    await ear.messages.get()
    await asyncio.sleep(0.1)

    assert not ear.end.done()
    (await ear.connection).abort()
    await ear.end


async def test_a_server_that_is_not_there_is_an_error():
    assert isinstance(await refusal("ws://127.0.0.1:1/ocpp/CS-1"), OSError)


@pytest.fixture
async def echo() -> AsyncIterator[tuple[str, list[ServerConnection]]]:
    """A server that sends every message back; also who is connected."""
    guests: list[ServerConnection] = []

    async def talk(socket: ServerConnection) -> None:
        guests.append(socket)
        await socket.send("welcome")
        async for message in socket:
            await socket.send(message)

    async with serve(talk, "127.0.0.1", 0, subprotocols=["ocpp1.6"], ping_interval=None) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocpp/CS%201", guests


async def test_messages_go_both_ways(echo):
    url, guests = echo
    ear = await connect(url, password="secret")
    connection = await ear.connection
    assert await ear.messages.get() == b"welcome"
    for size in (5, 200, 70_000):
        connection.send(b"x" * size)
        assert await ear.messages.get() == b"x" * size

    headers = guests[0].request.headers
    assert guests[0].subprotocol == "ocpp1.6"
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"CS 1:secret").decode()
    connection.abort()
    await ear.end


async def test_without_a_password_no_credentials_are_sent(echo):
    url, guests = echo
    ear = await connect(url)
    await ear.messages.get()

    assert "Authorization" not in guests[0].request.headers
    (await ear.connection).abort()
    await ear.end


async def test_closing_says_goodbye(echo):
    url, guests = echo
    ear = await connect(url)
    connection = await ear.connection
    await ear.messages.get()
    connection.close()
    async with asyncio.timeout(5):
        assert await ear.end is None
        await guests[0].wait_closed()

    assert guests[0].close_code == 1000
    connection.send(b"too late")  # Harmless.
    connection.close()


async def test_a_server_that_closes_is_told_as_the_end(echo):
    url, guests = echo
    ear = await connect(url)
    await ear.messages.get()
    await guests[0].close(1012)

    async with asyncio.timeout(5):
        assert await ear.end is None


@pytest.mark.parametrize(
    ("identity", "operator", "url"),
    [
        ("CS-1", None, "ws://host/ocpp/CS-1"),
        ("CS 1/ü", None, "ws://host/ocpp/CS%201%2F%C3%BC"),
        ("CS-1", "an operator", "ws://host/ocpp/an%20operator/CS-1"),
    ],
)
def test_an_identity_is_percent_encoded_once(identity, operator, url):
    assert station_url("ws://host/ocpp/", identity, operator) == url
