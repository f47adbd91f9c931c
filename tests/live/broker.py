"""A real mosquitto on loopback, for tests to kill, stall and restart, with a listener that misses nothing."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

USER, PASSWORD = "csms", "p@ss/wörd"
_PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"])


class MissingTool(Exception):
    """The machine lacks something; the message says what to install."""


def tool(name: str, package: str) -> str:
    found = shutil.which(name, path=_PLACES)
    if found is None:
        raise MissingTool(
            f"These tests need {name}: apt-get install {package} (Debian, Ubuntu) or brew install {package} (macOS)"
        )
    return found


class Broker:
    """One mosquitto. It asks for a password, bounds no queue, and keeps the sessions of its last `save`."""

    def __init__(self, folder: Path, *, tls: bool = False):
        self._binary = tool("mosquitto", "mosquitto")
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.certificate = folder / "broker.crt"
        self._tls = tls
        self._denied = False
        self.addresses = ["127.0.0.1"]
        if tls:
            _make_certificate(folder)

    @property
    def url(self) -> str:
        return f"{'mqtts' if self._tls else 'mqtt'}://csms:p%40ss%2Fw%C3%B6rd@127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def deny_writing(self, denied: bool) -> None:
        """From the next start on, the user may only read."""
        self._denied = denied

    def start(self) -> None:
        config = self._write_config()
        with open(self._folder / "mosquitto.log", "ab") as output:
            self._process = subprocess.Popen([self._binary, "-c", config], stdout=output, stderr=output)
        until = time.monotonic() + 10
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                said = (self._folder / "mosquitto.log").read_text()
                raise RuntimeError(f"mosquitto does not start: {said}")
            time.sleep(0.01)

    def kill(self) -> None:
        """As a power cut would end it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stall(self) -> None:
        """Its sockets stay open, and nobody is behind them."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def save(self) -> None:
        """Write sessions and subscriptions to disk now."""
        store = self._folder / "mosquitto.db"
        store.unlink(missing_ok=True)
        self._signal(signal.SIGUSR1)
        until = time.monotonic() + 10
        while not (store.exists() and store.stat().st_size) and time.monotonic() < until:
            time.sleep(0.01)
        assert store.exists()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _write_config(self) -> Path:
        passwords, rights = self._folder / "passwords", self._folder / "rights"
        passwords.write_text(_password_line(USER, PASSWORD))
        rights.write_text(f"user {USER}\ntopic {'read' if self._denied else 'readwrite'} #\n")
        for file in (passwords, rights):
            file.chmod(0o600)
        lines = [
            *(f"listener {self.port} {address}" for address in self.addresses),
            "user root",  # Started by root, it would otherwise become a user who may not write here.
            "allow_anonymous false",
            f"password_file {passwords}",
            f"acl_file {rights}",
            "persistence true",
            f"persistence_location {self._folder}/",
            "autosave_interval 0",  # Only when told to: tests decide what survives.
            "max_inflight_messages 0",
            "max_queued_messages 0",
        ]
        if self._tls:
            lines += [f"certfile {self.certificate}", f"keyfile {self._folder / 'broker.key'}"]
        config = self._folder / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n")
        return config


class Listener:
    """Collects what the broker delivers; its session outlives its connections, to which it returns itself."""

    def __init__(self, broker: Broker, topic: str = "csms/v1/#"):
        self._broker = broker
        self._topic = topic
        self._task: asyncio.Task[None] | None = None
        self.subscribed = asyncio.Event()
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.retained: list[str] = []

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="listener")
        async with asyncio.timeout(10):
            await self.subscribed.wait()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def events(self, operator: str = "default") -> list[dict[str, Any]]:
        """As they came, repeats included."""
        topic = f"csms/v1/{operator}/events"
        return [event for name, message in self.messages if name == topic for event in message["events"]]

    def states(self) -> dict[str, dict[str, Any]]:
        """The latest by topic."""
        return {topic: message for topic, message in self.messages if topic.endswith("/state")}

    async def until(self, condition: Callable[[], Any], seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except aiomqtt.MqttError:
                self.subscribed.clear()
                await asyncio.sleep(0.05)

    async def _listen(self) -> None:
        stays = Properties(PacketTypes.CONNECT)
        stays.SessionExpiryInterval = 3600
        async with aiomqtt.Client(
            "127.0.0.1", self._broker.port, username=USER, password=PASSWORD, identifier="listener",
            protocol=aiomqtt.ProtocolVersion.V5, clean_start=False, properties=stays, timeout=2,
        ) as client:  # fmt: skip
            await client.subscribe(self._topic, qos=1)
            self.subscribed.set()
            async for message in client.messages:
                if message.retain:
                    self.retained.append(message.topic.value)
                self.messages.append((message.topic.value, json.loads(message.payload)))


def first_seen(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """What a receiver that ignores known ids keeps, by station."""
    by_id = {}
    for event in events:
        known = by_id.setdefault(event["event_id"], event)
        assert known == event, "an id names one event for ever"
    kept: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in by_id.values():
        kept[event["station"]].append(event)
    return kept


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _password_line(user: str, password: str) -> str:
    """As mosquitto_passwd writes it, which not every package of mosquitto has."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"{user}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


def _make_certificate(folder: Path) -> None:
    subprocess.run(
        [tool("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", folder / "broker.key", "-out", folder / "broker.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
