"""A 2.0.1 transaction that a station of a case tells of."""

from __future__ import annotations

import itertools
from typing import Any

from tests.conformance.station import Payload, Station, now

TOKEN_TYPE = "ISO14443"
_ids = itertools.count(1)


def id_token(value: str, type: str = TOKEN_TYPE) -> dict[str, str]:
    return {"idToken": value, "type": type}


class Transaction:
    """`started`, `updated` and `ended` each give the system's answer; what is None is not said."""

    def __init__(self, station: Station, evse: int = 1, connector: int = 1):
        self.id = f"T{next(_ids)}"
        self._station = station
        self._place = {"id": evse, "connectorId": connector}
        self._seq = itertools.count()

    async def authorize(self, token: str) -> str:
        answer = await self._station.call("Authorize", {"idToken": id_token(token)})
        return answer["idTokenInfo"]["status"]

    async def started(self, trigger: str, *, evse: int | None = 1, **fields: Any) -> Payload:
        place = None if evse is None else self._place
        return await self.event("Started", trigger, evse=place, **fields)

    async def updated(self, trigger: str, *, evse: int | None = None, **fields: Any) -> Payload:
        return await self.event("Updated", trigger, evse=evse and self._place, **fields)

    async def ended(self, trigger: str = "StopAuthorized", *, reason: str = "Local", **fields: Any) -> Payload:
        return await self.event("Ended", trigger, info={"stoppedReason": reason}, **fields)

    async def event(
        self, kind: str, trigger: str, *, state: str | None = None, token: str | None = None,
        info: dict[str, Any] | None = None, seq: int | None = None, **fields: Any,
    ) -> Payload:  # fmt: skip
        about = {"transactionId": self.id} | (info or {}) | ({"chargingState": state} if state else {})
        said = {
            "eventType": kind, "timestamp": now(), "triggerReason": trigger,
            "seqNo": next(self._seq) if seq is None else seq, "transactionInfo": about,
        }  # fmt: skip
        if token is not None:
            said["idToken"] = id_token(token)
        said |= {name: value for name, value in fields.items() if value is not None}
        return await self._station.call("TransactionEvent", said)
