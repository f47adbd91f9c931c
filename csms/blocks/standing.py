"""Functional blocks B and G: what stations were told to be and took on: operative or not, and how to reach us."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from csms.blocks.asking import settles
from csms.blocks.secrets import masked
from csms.domain.unit import Reported
from csms.ocpp import v16, v201

AVAILABILITY, NETWORK = "availability", "network_profile"

_encode = msgspec.json.Encoder().encode


@settles
def availability_16(
    request: v16.ChangeAvailability, response: v16.ChangeAvailabilityResponse | None
) -> Iterator[Reported]:
    """Scheduled: it comes true when the session there has ended."""
    if response is not None and response.status != "Rejected":
        place = f"{request.connector_id}.1" if request.connector_id else "station"
        yield Reported(AVAILABILITY, place, _encode({"type": request.type, "status": response.status}))


@settles
def availability_2x(
    request: v201.ChangeAvailability, response: v201.ChangeAvailabilityResponse | None
) -> Iterator[Reported]:
    if response is not None and response.status != "Rejected":
        told = {"operationalStatus": request.operational_status, "status": response.status}
        yield Reported(AVAILABILITY, _place(request.evse), _encode(told))


def _place(evse: v201.EVSE | None) -> str:
    if evse is None:
        return "station"
    return str(evse.id) if evse.connector_id is None else f"{evse.id}.{evse.connector_id}"


@settles
def network_profile_set(
    request: v201.SetNetworkProfile, response: v201.SetNetworkProfileResponse | None
) -> Iterator[Reported]:
    if response is not None and response.status == "Accepted":
        shown = masked("SetNetworkProfile", msgspec.to_builtins(request))
        yield Reported(NETWORK, str(request.configuration_slot), _encode(shown["connectionData"]))
