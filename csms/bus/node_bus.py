"""Commands and news between nodes, over the MQTT broker: requests with a response topic, and words to all.

What goes between nodes is sealed with a key that only they have (it comes from CSMS_SECRET_KEY): a command may hold a
station's new password, and nobody else may give one. The broker being away stops nothing else: who asks is told at once.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

import structlog
from aiomqtt import Message, MqttError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from csms.bus.broker import BrokerAddress, BrokerClient, conversation

log = structlog.get_logger()

PREFIX = "csms/nodes/v1"  # Apart from csms/v1, which operators may read.
_NEWS = f"{PREFIX}/news"
_PATIENCE = 5.0  # s for the broker's answer to a publish.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0  # s before the next attempt to connect, with full jitter.
_LOOK = 0.5  # s between looks at this node's number.
_MOST_ANSWERING = 200  # Requests of others that are answered at once; more are left to time out.
_NONCE = 12  # Bytes.


class NodeBus:
    """This node's end. `answer` takes a request and gives its answer; `heard` takes news."""

    def __init__(
        self,
        url: str,
        key: bytes,
        own: Callable[[], int | None],
        answer: Callable[[bytes], Awaitable[bytes]],
        heard: Callable[[bytes], None],
        *,
        joined: Callable[[], None] = lambda: None,
    ):
        """`own`: this node's number now. `joined` is called when news may have been missed. BrokerUrlError for a bad URL."""
        self._address = BrokerAddress.parse(url)
        self._seal = AESGCM(key)
        self._own = own
        self._answer = answer
        self._heard = heard
        self._joined = joined
        self._identifier = f"csms-node-{secrets.token_hex(6)}"
        self._client: BrokerClient | None = None
        self._asked: dict[bytes, asyncio.Future[bytes | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._complaint = ""

    @property
    def connected(self) -> bool:
        return self._client is not None

    async def run(self) -> None:
        """Stay connected until cancelled."""
        failures = 0
        while True:
            began = monotonic()
            try:
                await self._converse()
            except Exception as error:
                told = str(error) or type(error).__name__
                if told != self._complaint:
                    log.warning("node_bus.down", broker=str(self._address), error=told, remedy="commands to stations of other nodes wait for it")  # fmt: skip
                self._complaint = told
            failures = 0 if monotonic() - began > _LONGEST_PAUSE else failures + 1
            await asyncio.sleep(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failures, 8)) * random.random())

    async def ask(self, node: int, request: bytes, within: float) -> bytes | None:
        """The other node's answer; None when the broker is away, or none came in time."""
        client, own = self._client, self._own()
        if client is None or own is None:
            return None
        correlation = secrets.token_bytes(16)
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = f"{PREFIX}/{own}/answers"
        properties.CorrelationData = correlation
        properties.MessageExpiryInterval = max(1, round(within))
        topic = f"{PREFIX}/{node}/requests"
        answered = self._asked[correlation] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within):
                await client.publish(topic, self._sealed(request, topic), qos=1, properties=properties)
                return await answered
        except (TimeoutError, MqttError):
            return None
        finally:
            del self._asked[correlation]

    def tell(self, news: bytes) -> None:
        """Let all other nodes know, as far as they can be reached; they look for themselves now and then, too."""
        if self._client is not None and len(self._tasks) < _MOST_ANSWERING:
            self._spawn(self._client.publish(_NEWS, self._sealed(news, _NEWS), qos=0))

    async def _converse(self) -> None:
        own = await self._number()
        mine = f"{PREFIX}/{own}"
        async with conversation(self._address, self._identifier, _PATIENCE) as client:
            for topic in (f"{mine}/requests", f"{mine}/answers", _NEWS):
                await client.subscribe(topic, qos=1)
            self._client, self._complaint = client, ""
            log.info("node_bus.connected", broker=str(self._address), node=own)
            self._joined()
            watch = asyncio.create_task(self._leave_when_renamed(own), name="node-bus-number")
            receive = asyncio.create_task(self._receive(client, mine), name="node-bus-receive")
            try:
                await asyncio.wait({watch, receive}, return_when=asyncio.FIRST_COMPLETED)
                if receive.done():
                    receive.result()
            finally:
                self._client = None
                for task in (watch, receive):
                    task.cancel()
                await asyncio.wait({watch, receive})
                for answered in self._asked.values():
                    if not answered.done():
                        answered.set_result(None)

    async def _number(self) -> int:
        """This node's, once it has one: to lack it is no failure of the broker's, after which one would wait."""
        while (own := self._own()) is None:
            await asyncio.sleep(_LOOK)
        return own

    async def _leave_when_renamed(self, own: int) -> None:
        while self._own() == own:
            await asyncio.sleep(_LOOK)

    async def _receive(self, client: BrokerClient, mine: str) -> None:
        async for message in client.messages:
            topic = message.topic.value
            body = self._opened(bytes(message.payload), topic)
            if body is None:
                log.warning(
                    "node_bus.forged", topic=topic, remedy="only nodes with this CSMS_SECRET_KEY may write here"
                )
            elif topic == _NEWS:
                self._heard(body)
            elif topic == f"{mine}/answers":
                self._settle(message, body)
            elif len(self._tasks) < _MOST_ANSWERING:
                self._spawn(self._respond(client, message, body))

    def _settle(self, message: Message, body: bytes) -> None:
        answered = self._asked.get(getattr(message.properties, "CorrelationData", b""))
        if answered is not None and not answered.done():
            answered.set_result(body)

    async def _respond(self, client: BrokerClient, message: Message, body: bytes) -> None:
        topic = getattr(message.properties, "ResponseTopic", "")
        if not topic.startswith(PREFIX):
            return
        answer = await self._answer(body)
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = getattr(message.properties, "CorrelationData", b"")
        await client.publish(topic, self._sealed(answer, topic), qos=1, properties=properties)

    def _spawn(self, work: Awaitable[None]) -> None:
        async def done() -> None:
            with suppress(MqttError):  # Who waits for it learns that from the clock.
                await work

        task = asyncio.create_task(done(), name="node-bus")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _sealed(self, body: bytes, topic: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._seal.encrypt(nonce, body, topic.encode())

    def _opened(self, sealed: bytes, topic: str) -> bytes | None:
        with suppress(InvalidTag, ValueError):
            return self._seal.decrypt(sealed[:_NONCE], sealed[_NONCE:], topic.encode())
        return None
