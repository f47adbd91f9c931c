"""A station of the independent `ocpp` and `websockets` packages: our codec never judges only itself."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from ocpp.messages import MessageType
from ocpp.routing import after, on
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v16 import call as call16
from ocpp.v16 import call_result as result16
from ocpp.v16.enums import Action as Action16
from ocpp.v201 import ChargePoint as ChargePoint201
from ocpp.v201 import call as call201
from ocpp.v201 import call_result as result201
from ocpp.v201.enums import Action as Action201
from websockets.asyncio.client import connect

from simulators.connection import station_url
from simulators.reference_answers import Heard, answer_everything

REGISTER = "Energy.Active.Import.Register"


@dataclass(slots=True)
class Facts:
    """What a reference station did and was told. Energy in Wh."""

    station: str
    version: str
    registration: str = ""
    token: str = ""
    authorization: str = ""
    transaction_id: str = ""
    meter_start_wh: int = 0
    meter_stop_wh: int = 0
    started_at: str = ""
    ended_at: str = ""
    remote: bool = False
    readings: list[int] = field(default_factory=list)

    @property
    def energy_wh(self) -> int:
        return self.meter_stop_wh - self.meter_start_wh

    def plain(self) -> dict[str, Any]:
        return asdict(self) | {"energy_wh": self.energy_wh}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Attentive:
    """Answers everything, and remembers what it was asked, as it came over the wire."""

    heard: list[Heard]

    def attend(self, version: str) -> None:
        self.heard = []
        answer_everything(self, version)

    async def route_message(self, raw_msg: str) -> None:
        kind, _, action, *_ = [*json.loads(raw_msg), None]
        if kind == MessageType.Call:
            self.heard.append(Heard(action, raw_msg))
        await super().route_message(raw_msg)


class Reference16(Attentive, ChargePoint16):
    """A whole session in 1.6."""

    def __init__(self, identity: str, socket: Any, facts: Facts):
        super().__init__(identity, socket)
        self.attend("1.6")
        self.facts = facts
        self.asked_to_start: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.asked_to_stop = asyncio.Event()

    async def boot(self) -> None:
        request = call16.BootNotification(charge_point_vendor="Reference", charge_point_model="Reference")
        self.facts.registration = (await self.call(request, suppress=False)).status
        for connector in (0, 1):
            await self.tell(connector, "Available")
        await self.call(call16.Heartbeat(), suppress=False)

    async def tell(self, connector: int, status: str) -> None:
        request = call16.StatusNotification(
            connector_id=connector, error_code="NoError", status=status, timestamp=_now()
        )
        await self.call(request, suppress=False)

    async def authorize(self, token: str) -> None:
        answer = await self.call(call16.Authorize(id_tag=token), suppress=False)
        self.facts.authorization = answer.id_tag_info["status"]

    async def begin(self, token: str, register: int) -> None:
        await self.tell(1, "Preparing")
        self.facts.started_at = _now()
        request = call16.StartTransaction(
            connector_id=1, id_tag=token, meter_start=register, timestamp=self.facts.started_at
        )
        answer = await self.call(request, suppress=False)
        self.facts.transaction_id = str(answer.transaction_id)
        await self.tell(1, "Charging")

    async def meter(self, register: int) -> None:
        sample = {"value": str(register), "measurand": REGISTER, "unit": "Wh"}
        request = call16.MeterValues(
            connector_id=1,
            transaction_id=int(self.facts.transaction_id),
            meter_value=[{"timestamp": _now(), "sampled_value": [sample]}],
        )
        await self.call(request, suppress=False)

    async def end(self, token: str, register: int, *, remote: bool) -> None:
        self.facts.ended_at = _now()
        request = call16.StopTransaction(
            meter_stop=register,
            timestamp=self.facts.ended_at,
            transaction_id=int(self.facts.transaction_id),
            reason="Remote" if remote else "Local",
            id_tag=None if remote else token,
        )
        await self.call(request, suppress=False)
        await self.tell(1, "Finishing")
        await self.tell(1, "Available")

    @on(Action16.remote_start_transaction)
    def on_remote_start(self, id_tag: str, **_: Any) -> result16.RemoteStartTransaction:
        return result16.RemoteStartTransaction(status="Rejected" if self.asked_to_start.done() else "Accepted")

    @after(Action16.remote_start_transaction)
    def after_remote_start(self, id_tag: str, **_: Any) -> None:
        if not self.asked_to_start.done():
            self.asked_to_start.set_result(id_tag)

    @on(Action16.remote_stop_transaction)
    def on_remote_stop(self, transaction_id: int, **_: Any) -> result16.RemoteStopTransaction:
        same = str(transaction_id) == self.facts.transaction_id
        if same:
            self.asked_to_stop.set()
        return result16.RemoteStopTransaction(status="Accepted" if same else "Rejected")


class Reference201(Attentive, ChargePoint201):
    """A whole session in 2.0.1."""

    def __init__(self, identity: str, socket: Any, facts: Facts):
        super().__init__(identity, socket)
        self.attend("2.0.1")
        self.facts = facts
        self.asked_to_start: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.asked_to_stop = asyncio.Event()
        self._remote_start_id: int | None = None
        self._seq_no = 0

    async def boot(self) -> None:
        request = call201.BootNotification(
            charging_station={"model": "Reference", "vendor_name": "Reference"}, reason="PowerUp"
        )
        self.facts.registration = (await self.call(request, suppress=False)).status
        await self.tell("Available")
        await self.call(call201.Heartbeat(), suppress=False)

    async def tell(self, status: str) -> None:
        request = call201.StatusNotification(timestamp=_now(), connector_status=status, evse_id=1, connector_id=1)
        await self.call(request, suppress=False)

    async def authorize(self, token: str) -> None:
        answer = await self.call(call201.Authorize(id_token=_token(token)), suppress=False)
        self.facts.authorization = answer.id_token_info["status"]

    async def begin(self, token: str, register: int) -> None:
        await self.tell("Occupied")
        self.facts.transaction_id = str(uuid4())
        trigger = "Authorized" if self._remote_start_id is None else "RemoteStart"
        self.facts.started_at = await self._event(
            "Started", trigger, register, "Transaction.Begin",
            state="Charging", evse={"id": 1, "connector_id": 1}, id_token=_token(token),
        )  # fmt: skip

    async def meter(self, register: int) -> None:
        await self._event("Updated", "MeterValuePeriodic", register, "Sample.Periodic")

    async def end(self, token: str, register: int, *, remote: bool) -> None:
        trigger, reason = ("RemoteStop", "Remote") if remote else ("StopAuthorized", "Local")
        self.facts.ended_at = await self._event(
            "Ended", trigger, register, "Transaction.End",
            reason=reason, id_token=None if remote else _token(token),
        )  # fmt: skip
        await self.tell("Available")

    async def _event(
        self,
        kind: str,
        trigger: str,
        register: int,
        context: str,
        *,
        state: str | None = None,
        reason: str | None = None,
        **fields: Any,
    ) -> str:
        at = _now()
        info = {
            "transaction_id": self.facts.transaction_id,
            "charging_state": state,
            "stopped_reason": reason,
        }
        if kind == "Started":
            info["remote_start_id"] = self._remote_start_id
        sample = {
            "value": register,
            "measurand": REGISTER,
            "context": context,
            "unit_of_measure": {"unit": "Wh"},
        }
        request = call201.TransactionEvent(
            event_type=kind,
            timestamp=at,
            trigger_reason=trigger,
            seq_no=self._seq_no,
            transaction_info={name: value for name, value in info.items() if value is not None},
            meter_value=[{"timestamp": at, "sampled_value": [sample]}],
            **fields,
        )
        self._seq_no += 1
        await self.call(request, suppress=False)
        return at

    @on(Action201.request_start_transaction)
    def on_request_start(self, **_: Any) -> result201.RequestStartTransaction:
        return result201.RequestStartTransaction(status="Rejected" if self.asked_to_start.done() else "Accepted")

    @after(Action201.request_start_transaction)
    def after_request_start(self, id_token: dict[str, Any], remote_start_id: int, **_: Any) -> None:
        if not self.asked_to_start.done():
            self._remote_start_id = remote_start_id
            self.asked_to_start.set_result(id_token["id_token"])

    @on(Action201.request_stop_transaction)
    def on_request_stop(self, transaction_id: str, **_: Any) -> result201.RequestStopTransaction:
        same = transaction_id == self.facts.transaction_id
        if same:
            self.asked_to_stop.set()
        return result201.RequestStopTransaction(status="Accepted" if same else "Rejected")


def _token(value: str) -> dict[str, str]:
    return {"id_token": value, "type": "ISO14443"}


_STATIONS = {"1.6": Reference16, "2.0.1": Reference201}


async def reference_session(
    url: str,
    station: str,
    version: str,
    *,
    operator: str | None = None,
    password: str | None = None,
    token: str = "SIM-TOKEN-0001",
    remote: bool = False,
    step_wh: int = 500,
    readings: int = 3,
    timeout: float = 60.0,
) -> Facts:
    """Connect, boot and charge once; with `remote`, wait for the server to start and to stop the session.

    Raises what `websockets` raises when the server refuses the handshake, `ocpp.exceptions.OCPPError` when it
    answers a message with an error, TimeoutError when it is too slow.
    """
    facts = Facts(station=station, version=version, token=token, remote=remote, meter_start_wh=1000)
    async with (
        asyncio.timeout(timeout),
        connected(url, station, version, operator=operator, password=password, facts=facts) as charge_point,
    ):
        await _charge(charge_point, facts, readings, step_wh)
    return facts


@contextlib.asynccontextmanager
async def connected(
    url: str,
    station: str,
    version: str,
    *,
    operator: str | None = None,
    password: str | None = None,
    facts: Facts | None = None,
) -> AsyncIterator[Any]:
    """A reference station that is connected and answers; it has not booted yet."""
    headers = {}
    if password is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{station}:{password}".encode()).decode()
    async with connect(
        station_url(url, station, operator), subprotocols=[f"ocpp{version}"], additional_headers=headers
    ) as socket:
        charge_point = _STATIONS[version](station, socket, facts or Facts(station=station, version=version))
        listening = asyncio.create_task(charge_point.start(), name=f"reference station {station}")
        try:
            yield charge_point
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await listening


async def _charge(charge_point: Any, facts: Facts, readings: int, step_wh: int) -> None:
    await charge_point.boot()
    if facts.remote:
        facts.token = await charge_point.asked_to_start
    await charge_point.authorize(facts.token)
    register = facts.meter_start_wh
    await charge_point.begin(facts.token, register)
    for _ in range(readings):
        register += step_wh
        facts.readings.append(register)
        await charge_point.meter(register)
    if facts.remote:
        await charge_point.asked_to_stop.wait()
    facts.meter_stop_wh = register + step_wh
    await charge_point.end(facts.token, facts.meter_stop_wh, remote=facts.remote)
