"""Functional blocks L and N: what stations work at for us, from the question on: updates, logs, and reports in parts.

How far they are, they notify (`maintenance`, `reports`); here stands that they were asked, and what they said to it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from csms.blocks.asking import settles
from csms.domain.asked import ReportExpected
from csms.domain.unit import Reported
from csms.ocpp import v16, v201

JOB = "job"

_encode = msgspec.json.Encoder().encode

# The reports that a question makes a station send, by the name that its parts are kept under.
_REPORTS = {
    v201.GetBaseReport: "variables",
    v201.GetReport: "variables",
    v201.GetMonitoringReport: "monitors",
    v201.GetChargingProfiles: "charging_profiles",
    v201.GetDisplayMessages: "display_messages",
    v201.CustomerInformation: "customer_information",
}

Update = v16.UpdateFirmware | v16.SignedUpdateFirmware | v201.UpdateFirmware | v201.PublishFirmware
UpdateAnswer = (
    v16.UpdateFirmwareResponse | v16.SignedUpdateFirmwareResponse | v201.UpdateFirmwareResponse
    | v201.PublishFirmwareResponse | None
)  # fmt: skip


@settles
def update_asked(request: Update, response: UpdateAnswer) -> Iterator[Reported]:
    yield _job(request, response)


@settles
def unpublished(request: v201.UnpublishFirmware, response: v201.UnpublishFirmwareResponse | None) -> Iterator[Reported]:
    yield _job(request, response, name=request.checksum)


@settles
def log_asked(
    request: v16.GetLog | v201.GetLog | v16.GetDiagnostics,
    response: v16.GetLogResponse | v201.GetLogResponse | v16.GetDiagnosticsResponse | None,
) -> Iterator[Reported]:
    yield _job(request, response, file=getattr(response, "filename", None) or getattr(response, "file_name", None))


@settles
def report_asked(
    request: v201.GetBaseReport | v201.GetReport | v201.GetMonitoringReport | v201.GetChargingProfiles
    | v201.GetDisplayMessages | v201.CustomerInformation,
    response: v201.GetBaseReportResponse | v201.GetReportResponse | v201.GetMonitoringReportResponse
    | v201.GetChargingProfilesResponse | v201.GetDisplayMessagesResponse | v201.CustomerInformationResponse | None,
) -> Iterator[ReportExpected]:  # fmt: skip
    """Told so that a report of which no part ever comes is seen to be missing."""
    named = not isinstance(request, v201.CustomerInformation) or request.report
    if response is not None and response.status == "Accepted" and named:
        yield ReportExpected(_REPORTS[type(request)], request.request_id)


def _job(request: msgspec.Struct, response: msgspec.Struct | None, name: str | None = None, file: str | None = None):
    """`status`: the station's own word; `Accepted` where its version has none; `Unknown` when it did not answer."""
    said = "Unknown" if response is None else getattr(response, "status", "Accepted")
    number = getattr(request, "request_id", None)
    told = {"action": type(request).__name__, "requestId": number, "status": said, "fileName": file}
    key = f"{type(request).__name__}/{number if name is None else name}"
    return Reported(JOB, key, _encode({field: value for field, value in told.items() if value is not None}))
