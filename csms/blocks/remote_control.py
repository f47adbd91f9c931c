"""Functional block F: an operator starts and stops a session from afar, in the words of the station's version."""

from __future__ import annotations

from typing import Any

import msgspec

from csms.ocpp import v16, v201
from csms.ocpp.catalogue import Version

DEFAULT_TOKEN_TYPE = "ISO14443"


def start_request(
    version: Version, *, token: str, token_type: str | None, evse_id: int | None, profile: Any = None
) -> msgspec.Struct:
    """Ask for a session. Without `evse_id` the station chooses where; 1.6 calls an EVSE connector.

    `profile`: what the session is limited to, in that version. The number of a 2.x start is one of the system's: it is given when the command is recorded.
    """
    if version is Version.V16:
        return v16.RemoteStartTransaction(id_tag=token, connector_id=evse_id, charging_profile=profile)
    return v201.RequestStartTransaction(
        id_token=v201.IdToken(id_token=token, type=token_type or DEFAULT_TOKEN_TYPE), remote_start_id=0,
        evse_id=evse_id, charging_profile=profile,
    )  # fmt: skip


def stop_request(version: Version, transaction_id: str) -> msgspec.Struct:
    """Ask to end the transaction that the station knows by this id."""
    if version is Version.V16:
        return v16.RemoteStopTransaction(transaction_id=int(transaction_id))
    return v201.RequestStopTransaction(transaction_id=transaction_id)
