"""The independent station completes sessions; here against the equally independent baseline."""

from __future__ import annotations

import pytest
from ocpp.routing import after
from ocpp.v16 import call as call16
from ocpp.v16.enums import Action as Action16
from ocpp.v201 import call as call201
from ocpp.v201.enums import Action as Action201

from simulators.reference import reference_session

pytestmark = pytest.mark.journey


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_it_completes_a_session(baseline_url, version):
    facts = await reference_session(baseline_url, "REF-1", version, token="TAG", timeout=10)

    assert (facts.registration, facts.authorization) == ("Accepted", "Accepted")
    assert facts.transaction_id
    assert facts.energy_wh == 2000
    assert facts.plain()["energy_wh"] == 2000
    assert facts.started_at < facts.ended_at


@pytest.fixture
async def asking_url(baseline, monkeypatch):
    """A server that asks for a start after the boot, and for a stop after the first reading."""

    class Asking16(baseline.Station16):
        @after(Action16.boot_notification)
        async def start_one(self, **_):
            await self.call(call16.RemoteStartTransaction(id_tag="REMOTE"), suppress=False)

        @after(Action16.meter_values)
        async def stop_it(self, transaction_id, **_):
            await self.call(call16.RemoteStopTransaction(transaction_id=transaction_id), suppress=False)

    class Asking201(baseline.Station201):
        @after(Action201.boot_notification)
        async def start_one(self, **_):
            token = {"id_token": "REMOTE", "type": "Central"}
            await self.call(call201.RequestStartTransaction(id_token=token, remote_start_id=3), suppress=False)

        @after(Action201.transaction_event)
        async def stop_it(self, event_type, transaction_info, **_):
            if event_type == "Updated":
                transaction_id = transaction_info["transaction_id"]
                await self.call(call201.RequestStopTransaction(transaction_id=transaction_id), suppress=False)

    monkeypatch.setattr(baseline, "_STATIONS", {"ocpp1.6": Asking16, "ocpp2.0.1": Asking201})
    server = await baseline.start_baseline()
    yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocpp"
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_it_starts_and_stops_when_the_server_asks(asking_url, version):
    facts = await reference_session(asking_url, "REF-1", version, remote=True, timeout=10)

    assert facts.remote
    assert facts.token == "REMOTE"
    assert facts.energy_wh == 2000


async def test_a_server_that_is_not_there_is_an_error():
    with pytest.raises(OSError, match="Connect call failed"):
        await reference_session("ws://127.0.0.1:1/ocpp", "REF-1", "1.6", timeout=5)
