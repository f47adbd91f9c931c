"""A station whose model is known to mislabel its register is accounted for in Wh, and marked so (T50, T57)."""

from __future__ import annotations

import dataclasses
import re

import pytest

from csms.domain.quirks import Quirk, Quirks
from tests.conftest import Server

BOOT = {"chargePointVendor": "ACME", "chargePointModel": "W1"}
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 10, "timestamp": "2026-05-04T11:00:00Z"}
QUIRK = Quirk(vendor="ACME", why="kWh labelled Wh", register_factor=1000.0, milliseconds=True)


@pytest.fixture
async def quirky(server: Server) -> Server:
    server.gateway.policy = dataclasses.replace(server.gateway.policy, quirks=Quirks([QUIRK]))
    await server.add_token("TAG")
    return server


async def test_T57_register_in_kwh_is_known_by_the_model_and_the_session_says_so(quirky: Server):
    client = await quirky.connect()
    boot = await client.call("BootNotification", BOOT)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", boot["currentTime"]), "T50: from the boot on"
    number = (await client.call("StartTransaction", START))["transactionId"]
    reading = {"timestamp": "2026-05-04T11:10:00Z", "sampledValue": [{"value": "12"}]}
    await client.call("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": [reading]})
    await client.call(
        "StopTransaction", {"transactionId": number, "meterStop": 15, "timestamp": "2026-05-04T12:00:00Z"}
    )
    ((start, stop, energy, flags),) = await quirky.rows(
        "SELECT meter_start_wh, meter_stop_wh, energy_wh, flags FROM sessions"
    )
    assert (start, stop, energy) == (10_000, 15_000, 5_000)
    assert "rescaled" in flags
    ((register, sent),) = await quirky.rows("SELECT register_wh, readings FROM samples")
    assert register == 12_000 and '"value":12.0' in sent, "what was sent stays as it was"


async def test_T57_quirk_is_known_at_the_next_connection_without_a_boot(quirky: Server):
    client = await quirky.connect()
    await client.call("BootNotification", BOOT)
    await client.socket.close()
    await quirky.until(lambda: not quirky.gateway.stations)
    again = await quirky.connect()
    assert "." in (await again.call("Heartbeat"))["currentTime"]
