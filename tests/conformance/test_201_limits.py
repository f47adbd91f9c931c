"""OCPP 2.0.1 case B_08: what is asked at once stays within what the station takes."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.conformance.operator import Operator
from tests.conformance.station import Payload

LIMIT = {"component": {"name": "DeviceDataCtrlr"}, "variable": {"name": "ItemsPerMessage", "instance": "GetVariables"}}
NAMES = ("OfflineThreshold", "HeartbeatInterval", "MessageTimeout", "RetryBackOffRepeatTimes", "ResetRetries")


def told(asked: Payload) -> Payload:
    """What the station answers: its limit is four."""
    data = [{"component": each["component"], "variable": each["variable"]} for each in asked["getVariableData"]]
    return {"getVariableResult": [each | {"attributeStatus": "Accepted", "attributeValue": "4"} for each in data]}


async def test_TC_B_08_five_variables_are_read_four_at_a_time(v201, operator: Operator):
    wanted: list[dict[str, Any]] = [{"component": "OCPPCommCtrlr", "variable": name} for name in NAMES]
    path = f"/stations/{v201.identity}/variables/read"
    reading = asyncio.create_task(operator.ask("POST", path, json={"variables": wanted}, params={"wait": 10}))
    first = await v201.asked("GetVariables", told)
    if first["getVariableData"] == [LIMIT]:  # It never told its limit: that is asked for first.
        first = await v201.asked("GetVariables", told)
    second = await v201.asked("GetVariables", told)
    parts = [[each["variable"]["name"] for each in part["getVariableData"]] for part in (first, second)]
    assert [len(part) for part in parts] == [4, 1] and parts[0] + parts[1] == list(NAMES)
    await reading
