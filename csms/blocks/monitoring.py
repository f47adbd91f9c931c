"""Functional block N: which monitors a station was given, and which it gave up."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from csms.blocks.asking import settles
from csms.blocks.device_model import MONITOR, variable_key
from csms.domain.asked import Forgotten
from csms.domain.unit import Reported
from csms.ocpp import v201

LEVEL, BASE = "monitoring_level", "monitoring_base"
LATEST = "latest"
GONE = b"null"

_encode = msgspec.json.Encoder().encode


@settles
def monitors_set(
    request: v201.SetVariableMonitoring, response: v201.SetVariableMonitoringResponse | None
) -> Iterator[Reported]:
    """The station names each monitor; its answers may come in another order than the questions."""
    asked = {_about(data): data for data in request.set_monitoring_data}
    for result in response.set_monitoring_result if response is not None else ():
        data = asked.get(_about(result))
        if result.status == "Accepted" and result.id is not None and data is not None:
            monitor = {
                "id": result.id, "transaction": bool(data.transaction), "value": data.value, "type": data.type,
                "severity": data.severity,
            }  # fmt: skip
            told = {
                "component": data.component, "variable": data.variable, "monitor": monitor, "severity": data.severity
            }  # fmt: skip
            yield Reported(MONITOR, str(result.id), _encode(told))


def _about(data: v201.SetMonitoringData | v201.SetMonitoringResult) -> tuple[str, str, int]:
    return variable_key(data.component, data.variable), data.type, data.severity


@settles
def monitors_cleared(
    request: v201.ClearVariableMonitoring, response: v201.ClearVariableMonitoringResponse | None
) -> Iterator[Reported]:
    for result in response.clear_monitoring_result if response is not None else ():
        if result.status in ("Accepted", "NotFound"):
            yield Reported(MONITOR, str(result.id), GONE)


@settles
def none_left(
    request: v201.GetMonitoringReport, response: v201.GetMonitoringReportResponse | None
) -> Iterator[Forgotten]:
    """The station has no monitors at all (N02.FR.10): those that were known did not survive (T87)."""
    whole = request.component_variable is None and request.monitoring_criteria is None
    if response is not None and response.status == "EmptyResultSet" and whole:
        yield Forgotten(MONITOR)


@settles
def base_set(
    request: v201.SetMonitoringBase, response: v201.SetMonitoringBaseResponse | None
) -> Iterator[Reported | Forgotten]:
    """All but `All` throw away what was set by hand (N05.FR.02, FR.03): a monitoring report tells what is left."""
    if response is not None and response.status == "Accepted":
        if request.monitoring_base != "All":
            yield Forgotten(MONITOR)
        yield Reported(BASE, LATEST, _encode({"monitoringBase": request.monitoring_base}))


@settles
def level_set(request: v201.SetMonitoringLevel, response: v201.SetMonitoringLevelResponse | None) -> Iterator[Reported]:
    if response is not None and response.status == "Accepted":
        yield Reported(LEVEL, LATEST, _encode({"severity": request.severity}))
