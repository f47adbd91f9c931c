"""Cases of both versions about passwords and security profiles that change: 073, 083, A_09, A_10, A_19."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.conformance.operator import Operator
from tests.conformance.station import Station
from tests.conformance.test_201_handshake import refused, trusting
from tests.conformance.test_201_operator import NETWORK, asks

NEW_16 = b"\x01\x02\xff\x00 not UTF-8 \xfe."
NEW_201 = "a-new-password-of-24-chr"


async def moved_to_tls(station: Station, system) -> None:
    await station.close()
    station.url, station.tls = system.url(2), trusting(system)
    await station.connect()


async def test_TC_073_new_authorization_key(v16, operator: Operator):
    old = v16.password
    request = {"key": "AuthorizationKey", "value": NEW_16.hex()}
    asked, outcome = await operator.exchange(v16, "ChangeConfiguration", request)
    assert asked == request and outcome["response"] == {"status": "Accepted"}
    assert NEW_16.hex() not in str(outcome), "a password is not shown"
    await v16.close()
    assert await refused(v16) == 401
    v16.password = NEW_16
    await v16.connect()
    v16.password = old
    await v16.close()
    assert await refused(v16) == 401


async def test_authorization_key_may_come_as_its_hex_text(v16, operator: Operator):
    """T73: some stations send the text they were given."""
    await operator.exchange(v16, "ChangeConfiguration", {"key": "AuthorizationKey", "value": NEW_16.hex()})
    v16.password = NEW_16.hex()
    await v16.reconnect()


@pytest.mark.parametrize("answer", ["Rejected", "NotSupported"])
async def test_refused_authorization_key_leaves_the_old_one(v16, operator: Operator, answer):
    request = {"key": "AuthorizationKey", "value": NEW_16.hex()}
    await operator.exchange(v16, "ChangeConfiguration", request, {"status": answer})
    await v16.reconnect()
    v16.password = NEW_16
    await v16.close()
    assert await refused(v16) == 401


PASSWORD = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}


async def _change(station: Station, operator: Operator, status: str) -> dict[str, Any]:
    data = [PASSWORD | {"attributeValue": NEW_201}]
    answer = {"setVariableResult": [PASSWORD | {"attributeStatus": status}]}
    asked, outcome = await operator.exchange(station, "SetVariables", {"setVariableData": data}, answer)
    assert asked == {"setVariableData": data}
    assert NEW_201 not in str(outcome)
    return outcome


async def test_TC_A_09_password_change_is_accepted(v201, operator: Operator):
    await _change(v201, operator, "Accepted")
    await v201.close()
    assert await refused(v201) == 401
    v201.password = NEW_201
    await v201.connect()
    assert (await v201.boot())["status"] == "Accepted"


async def test_TC_A_10_password_change_is_refused(v201, operator: Operator):
    await _change(v201, operator, "Rejected")
    old = v201.password
    await v201.close()
    v201.password = NEW_201
    assert await refused(v201) == 401
    v201.password = old
    await v201.connect()


@pytest.mark.parametrize("used", ["old", "new"])
async def test_password_whose_answer_was_lost_is_settled_by_its_use(v201, operator: Operator, used):
    command = operator.send(v201, "SetVariables", {"setVariableData": [PASSWORD | {"attributeValue": NEW_201}]})
    async with asyncio.timeout(5):
        await v201._questions.get()  # Seen, and not answered.
    await v201.close()
    assert (await command)["status"] == "unknown"
    passwords = {"old": v201.password, "new": NEW_201}
    v201.password = passwords.pop(used)
    await v201.connect()
    await v201.close()
    (v201.password,) = passwords.values()
    assert await refused(v201) == 401, "one was used: the other holds no longer"


async def test_TC_083_security_profile_rises_and_does_not_fall(v16, operator: Operator, system):
    request = {"key": "SecurityProfile", "value": "2"}
    await asks(operator, v16, "ChangeConfiguration", request, {"status": "Accepted"})
    await asks(operator, v16, "Reset", {"type": "Hard"})
    plain = v16.url
    await moved_to_tls(v16, system)
    assert (await v16.boot())["status"] == "Accepted"
    await v16.close()
    v16.url, v16.tls = plain, None
    assert await refused(v16) == 403


async def test_TC_A_19_security_profile_rises_over_a_network_profile(v201, operator: Operator, system):
    await asks(operator, v201, "SetNetworkProfile", NETWORK)
    priority = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "NetworkConfigurationPriority"}}
    answer = {"setVariableResult": [priority | {"attributeStatus": "Accepted"}]}
    data = {"setVariableData": [priority | {"attributeValue": "1"}]}
    await asks(operator, v201, "SetVariables", data, answer)
    await asks(operator, v201, "Reset", {"type": "OnIdle"})
    plain = v201.url
    await moved_to_tls(v201, system)
    assert (await v201.boot())["status"] == "Accepted"
    await v201.close()
    v201.url, v201.tls = plain, None
    assert await refused(v201) == 403


async def test_station_that_has_to_come_by_tls_is_refused_without(make_station, operator: Operator):
    station = await make_station("2.0.1", connect=False, security_profile=2)
    with pytest.raises(InvalidStatus):
        await station.connect()
