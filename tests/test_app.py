"""The composition root: a real server on free ports, from its first word to its last."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from csms.app import StartError, control_path, open_system, release, serve
from csms.domain.credentials import Vault
from csms.gateway.admission import Address
from csms.ocpp import schemas
from csms.ocpp.catalogue import Version, actions
from csms.settings import Settings
from csms.storage.database import DatabaseLocked
from tests.pki import Authority, ec_key, kept, pem

ADMIN_KEY = "a key of at least sixteen"


@pytest.fixture
def settings(database_path: Path) -> Settings:
    return Settings(database_url=f"sqlite:///{database_path}", ocpp_port=0, http_port=0)


class Running:
    """A server that runs, and what it said."""

    def __init__(self, settings: Settings):
        self.control = control_path(Path(settings.database_url.removeprefix("sqlite:///")))
        self.lines: list[str] = []
        self.stop = asyncio.Event()
        self.announced = asyncio.Event()
        self.task = asyncio.create_task(serve(settings, self._announce, self.stop))

    def _announce(self, line: str) -> None:
        self.lines.append(line)
        if line.startswith("Data:"):
            self.announced.set()

    def said(self, start: str) -> str | None:
        return next((line.removeprefix(start).strip() for line in self.lines if line.startswith(start)), None)

    @property
    def key(self) -> str | None:
        return self.said("Admin API key, shown only this once:")

    def http(self, key: str | None = None) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return httpx.AsyncClient(base_url=(self.said("API:") or "").split("/api/")[0], headers=headers, verify=False)

    def at_control(self) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(uds=str(self.control), verify=False)
        return httpx.AsyncClient(base_url="http://csms", transport=transport)

    def station(self, identity: str, version: str = "1.6") -> connect:
        url = (self.said("Stations:") or "").replace("<station>", identity)
        return connect(url, subprotocols=[f"ocpp{version}"], compression=None, ping_interval=None, close_timeout=1)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    server = Running(settings)
    announced = asyncio.create_task(server.announced.wait())
    try:
        async with asyncio.timeout(10):
            await asyncio.wait({server.task, announced}, return_when=asyncio.FIRST_COMPLETED)
        if server.task.done():
            await server.task
        yield server
    finally:
        announced.cancel()
        server.stop.set()
        async with asyncio.timeout(10):
            await asyncio.wait({server.task})
    await server.task


def occupied() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock


# Start


@pytest.mark.journey
async def test_server_serves_from_the_moment_it_says_so(settings: Settings) -> None:
    async with running(settings) as server:
        async with server.http() as http:
            assert (await http.get("/health/live")).text == "ok\n"
            assert (await http.get("/health/ready")).json() == {"ready": True, "reason": None}
            assert "csms_stations_connected 0.0" in (await http.get("/metrics")).text
            assert (await http.get("/api/v1/totals")).json()["operators"] == 1
            assert (await http.get("/api/openapi.json")).json()["info"]["version"] == release()
        async with server.at_control() as http:
            assert (await http.get("/api/v1/totals")).status_code == 200
        assert stat.S_IMODE(server.control.stat().st_mode) == 0o600
        with pytest.raises(InvalidStatus, match="404"):
            await server.station("NOBODY")
    assert not server.control.exists()


@pytest.mark.journey
async def test_key_is_made_once_and_shown_once(settings: Settings) -> None:
    async with running(settings) as first:
        key = first.key
        assert key is not None and len(key) > 40
    async with running(settings) as second:
        assert second.key is None
        async with second.http(key) as http:
            assert (await http.get("/api/v1/totals")).status_code == 200
            assert key not in (await http.get("/metrics")).text
    for file in Path(settings.database_url.removeprefix("sqlite:///")).parent.iterdir():
        assert key.encode() not in file.read_bytes()


@pytest.mark.journey
async def test_configured_key_counts_and_replaces_the_former(settings: Settings) -> None:
    async with running(settings) as first:
        made = first.key
    async with running(settings.model_copy(update={"admin_key": Settings(admin_key=ADMIN_KEY).admin_key})) as second:
        assert second.key is None
        for key, status in ((ADMIN_KEY, 200), (made, 401)):
            async with second.http(key) as http:
                assert (await http.get("/api/v1/totals")).status_code == status


async def test_short_admin_key_is_refused(settings: Settings) -> None:
    short = settings.model_copy(update={"admin_key": Settings(admin_key="short").admin_key})
    with pytest.raises(StartError, match="CSMS_ADMIN_KEY needs at least 16"):
        await serve(short, lambda line: None)


@pytest.mark.parametrize("name", [pytest.param("ocpp_port", marks=pytest.mark.journey), "http_port"])
async def test_port_in_use_is_named_and_nothing_stays_behind(settings: Settings, name: str) -> None:
    with occupied() as other:
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=f"Cannot listen on 127.0.0.1:{port} .*CSMS_{name.upper()}"):
            await serve(settings.model_copy(update={name: port}), lambda line: None)
    database = Path(settings.database_url.removeprefix("sqlite:///"))
    assert not control_path(database).exists()
    async with open_system(settings):  # The lock is free again.
        pass


@pytest.mark.journey
async def test_stations_come_in_by_tls_where_there_is_a_certificate(settings: Settings, tmp_path: Path) -> None:
    authority = Authority()
    path = kept(tmp_path, "server.pem", authority.server(ec_key()))
    with occupied() as other:
        port = other.getsockname()[1]
    secured = settings.model_copy(update={"tls_certificates": (path,), "ocpp_tls_port": port})
    async with running(secured) as server:
        assert f"Stations: wss://127.0.0.1:{port}/ocpp/<station>  (security profile 2)" in server.lines
        trusting = ssl.create_default_context(cadata=pem(authority.certificate).decode())
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"wss://127.0.0.1:{port}/ocpp/NEW", ssl=trusting, subprotocols=["ocpp1.6"], proxy=None)
        assert refused.value.response.status_code == 404


@pytest.mark.journey
async def test_unusable_certificate_is_named(settings: Settings, tmp_path: Path) -> None:
    wrong = settings.model_copy(update={"tls_certificates": (tmp_path / "none.pem",)})
    with pytest.raises(StartError, match=r"There is no file .*none\.pem"):
        await serve(wrong, lambda line: None)
    alone = settings.model_copy(update={"tls_client_ca": tmp_path / "ca.pem"})
    with pytest.raises(StartError, match="CSMS_TLS_CERTIFICATES"):
        await serve(alone, lambda line: None)


@pytest.mark.journey
async def test_bad_broker_url_is_named_and_nothing_stays_behind(settings: Settings) -> None:
    wrong = settings.model_copy(update={"mqtt_url": Settings(mqtt_url="http://broker").mqtt_url})
    with pytest.raises(StartError, match="CSMS_MQTT_URL"):
        await serve(wrong, lambda line: None)
    assert not control_path(Path(settings.database_url.removeprefix("sqlite:///"))).exists()


@pytest.mark.journey
async def test_broker_that_is_away_keeps_nobody_waiting(settings: Settings) -> None:
    with occupied() as other:
        port = other.getsockname()[1]
    away = settings.model_copy(update={"mqtt_url": Settings(mqtt_url=f"mqtt://127.0.0.1:{port}").mqtt_url})
    async with running(away) as server, server.http() as http:
        assert (await http.get("/health/ready")).status_code == 200
        assert "csms_mqtt_connected 0.0" in (await http.get("/metrics")).text


@pytest.mark.journey
async def test_database_has_one_server(settings: Settings) -> None:
    async with running(settings) as server:
        with pytest.raises(DatabaseLocked, match="in use by process"):
            await serve(settings, lambda line: None)
        assert server.control.exists()


@pytest.mark.journey
async def test_open_registration_is_told(settings: Settings) -> None:
    async with running(settings.model_copy(update={"registration": "open"})) as server:
        assert "Unknown stations are taken in (CSMS_REGISTRATION=open)." in server.lines
        async with server.station("NEW") as station:
            assert (await boot(station))["status"] == "Accepted"


@pytest.mark.journey
async def test_ipv6_is_listened_on(settings: Settings) -> None:
    async with running(settings.model_copy(update={"http_host": "::1"})) as server:
        url = server.said("API:")
        assert url.startswith("http://[::1]:")
        async with server.http() as http:
            assert (await http.get("/health/live")).status_code == 200


# The secret key


async def test_secret_key_is_made_for_its_owner_alone_and_used_again(settings: Settings, database_path: Path) -> None:
    async with open_system(settings) as system:
        first = system.vault.key_hash("x")
    file = database_path.with_name(database_path.name + ".key")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text()) == 64
    async with open_system(settings) as system:
        assert system.vault.key_hash("x") == first


async def test_secret_key_may_be_given(database_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{database_path}", secret_key="a key that all nodes share")
    async with open_system(settings) as system:
        assert system.vault.key_hash("x") == Vault(b"a key that all nodes share").key_hash("x")
    assert not database_path.with_name(database_path.name + ".key").exists()


@pytest.mark.parametrize("given", [True, False], ids=["setting", "file"])
async def test_short_secret_key_is_refused(database_path: Path, given: bool) -> None:
    settings = Settings(database_url=f"sqlite:///{database_path}", secret_key="short" if given else None)
    database_path.with_name(database_path.name + ".key").write_text("damaged")
    with pytest.raises(StartError, match="CSMS_SECRET_KEY needs at least 16" if given else "restore it from a backup"):
        async with open_system(settings):
            pass
    async with open_system(settings.model_copy(update={"secret_key": Settings(secret_key="x" * 16).secret_key})):
        pass  # The lock was given back.


# The rest


def test_control_socket_lies_beside_the_database(tmp_path: Path) -> None:
    assert control_path(Path("/data/csms.db")) == Path("/data/csms.db.sock")


def test_control_socket_of_a_long_path_has_a_short_one_of_its_own() -> None:
    one, other = (control_path(Path("/" + letter * 120 + "/csms.db")) for letter in "ab")
    assert one != other
    assert len(os.fsencode(one)) < 100
    assert one == control_path(Path("/" + "a" * 120 + "/csms.db"))


def test_release_of_a_checkout_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        from importlib.metadata import PackageNotFoundError

        raise PackageNotFoundError(name)

    monkeypatch.setattr("csms.app.package_version", missing)
    assert release() == "0"


@pytest.mark.journey
async def test_server_that_is_cancelled_leaves_nothing_behind(settings: Settings) -> None:
    async with running(settings) as server:
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert not server.control.exists()
        server.task = asyncio.create_task(asyncio.sleep(0))
    async with open_system(settings):
        pass


@pytest.mark.journey
async def test_stop_ends_conversations_and_requests_within_seconds(settings: Settings) -> None:
    async with (
        running(settings.model_copy(update={"registration": "open"})) as server,
        server.station("CS-1") as station,
        server.http() as http,
    ):
        await boot(station)
        await http.put("/api/v1/tokens/TAG", json={})
        asking = asyncio.create_task(http.post("/api/v1/sessions", json={"station_id": "CS-1", "token": "TAG"}))
        assert json.loads(await station.recv())[2] == "RemoteStartTransaction"
        server.stop.set()
        async with asyncio.timeout(5):
            await station.wait_closed()
            response = await asking
            await server.task
        assert station.close_code == 1012
        assert response.json()["status"] == "unknown"


# A journey: an operator starts and stops a session from afar


async def boot(station: ClientConnection) -> dict[str, Any]:
    about: dict[str, Any] = {"chargePointVendor": "V", "chargePointModel": "M"}
    if station.subprotocol != "ocpp1.6":
        about = {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}
    return await call(station, "BootNotification", about)


async def call(station: ClientConnection, action: str, payload: dict[str, Any]) -> dict[str, Any]:
    await station.send(json.dumps([2, action, action, payload]))
    async with asyncio.timeout(5):
        kind, _, answer = json.loads(await station.recv())
    assert kind == 3
    return answer


async def accept(station: ClientConnection, version: Version) -> tuple[str, dict[str, Any]]:
    """Agree to what the server asks; it must be valid by the official schema."""
    async with asyncio.timeout(5):
        _, message_id, action, payload = json.loads(await station.recv())
    assert schemas.violation(actions(version)[action], payload) is None
    await station.send(json.dumps([3, message_id, {"status": "Accepted"}]))
    return action, payload


@pytest.mark.journey
async def test_16_session_is_started_and_stopped_over_rest(settings: Settings) -> None:
    async with running(settings) as server, server.http() as http:
        await http.put("/api/v1/stations/CS-1", json={"password": None})
        await http.put("/api/v1/tokens/TAG", json={})
        async with server.station("CS-1") as station:
            await boot(station)
            body = {"station_id": "CS-1", "token": "tag", "evse_id": 1}
            asking = asyncio.create_task(http.post("/api/v1/sessions", json=body))
            assert await accept(station, Version.V16) == ("RemoteStartTransaction", {"idTag": "TAG", "connectorId": 1})
            assert (await asking).json()["accepted"] is True
            start = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-05-04T12:00:00Z"}
            begun = await call(station, "StartTransaction", start)
            [session] = (await http.get("/api/v1/sessions")).json()["items"]
            assert (session["station_transaction_id"], session["status"]) == (str(begun["transactionId"]), "active")
            asking = asyncio.create_task(http.post(f"/api/v1/sessions/{session['id']}/stop"))
            asked = await accept(station, Version.V16)
            assert asked == ("RemoteStopTransaction", {"transactionId": begun["transactionId"]})
            assert (await asking).json()["accepted"] is True
            stop = {"transactionId": begun["transactionId"], "meterStop": 1100, "timestamp": "2026-05-04T12:10:00Z"}
            await call(station, "StopTransaction", stop)
            ended = (await http.get(f"/api/v1/sessions/{session['id']}")).json()
            assert (ended["status"], ended["energy_wh"]) == ("closed", 1000.0)
            assert (await http.post(f"/api/v1/sessions/{session['id']}/stop")).status_code == 409


@pytest.mark.journey
async def test_201_session_is_started_and_stopped_over_rest(settings: Settings) -> None:
    async with running(settings) as server, server.http() as http:
        await http.put("/api/v1/stations/CS-2", json={"password": None})
        await http.put("/api/v1/tokens/TAG", json={})
        async with server.station("CS-2", "2.0.1") as station:
            await boot(station)
            body = {"station_id": "CS-2", "token": "TAG", "evse_id": 1}
            asking = asyncio.create_task(http.post("/api/v1/sessions", json=body))
            action, payload = await accept(station, Version.V201)
            assert (action, payload["idToken"]) == ("RequestStartTransaction", {"idToken": "TAG", "type": "ISO14443"})
            assert (await asking).json()["accepted"] is True
            event: dict[str, Any] = {
                "eventType": "Started", "timestamp": "2026-05-04T12:00:00Z", "triggerReason": "RemoteStart", "seqNo": 0,
                "transactionInfo": {"transactionId": "tx-1", "remoteStartId": payload["remoteStartId"]},
                "evse": {"id": 1, "connectorId": 1}, "idToken": payload["idToken"],
            }  # fmt: skip
            answer = await call(station, "TransactionEvent", event)
            assert answer["idTokenInfo"]["status"] == "Accepted"
            [session] = (await http.get("/api/v1/sessions")).json()["items"]
            asking = asyncio.create_task(http.post(f"/api/v1/sessions/{session['id']}/stop"))
            assert await accept(station, Version.V201) == ("RequestStopTransaction", {"transactionId": "tx-1"})
            assert (await asking).json()["accepted"] is True
            ended = event | {"eventType": "Ended", "seqNo": 1, "triggerReason": "RemoteStop"}
            await call(station, "TransactionEvent", ended)
            assert (await http.get(f"/api/v1/sessions/{session['id']}")).json()["status"] == "closed"


async def test_station_that_registers_itself_is_stored_once(settings: Settings) -> None:
    async with open_system(settings.model_copy(update={"registration": "open"})) as system:
        for _ in range(2):
            await system.gateway.register(Address("east", "NEW"))
        assert (await system.records.known("east", "NEW")).password_hash is None
