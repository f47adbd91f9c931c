"""A provider of contract certificates behind HTTP: it is given what the car sent, and its answer goes back untouched.

POST {"iso15118SchemaVersion": …, "action": "Install" | "Update", "exiRequest": base64} is answered with
{"status": "Accepted" | "Failed", "exiResponse": base64}.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Literal

import httpx
import msgspec
import structlog

from csms.outbound import read_bounded

log = structlog.get_logger()

MOST = 64 << 10  # Bytes of an answer.
MOST_EXI = 7500  # Characters that a station can be told (2.0.1).


class Answer(msgspec.Struct, rename="camel"):
    status: Literal["Accepted", "Failed"]
    exi_response: str


class HttpProvider:
    """`blocks.ports.ContractProvider`. Its address is the operator's own choice, so it may be anywhere."""

    def __init__(self, url: str, timeout: float = 15.0):
        self._url = url
        self._timeout = timeout

    def ev_certificate(self, schema: str, action: str, exi_request: str) -> Awaitable[tuple[bool, str] | None]:
        # A task, since a handler is driven without one (gateway.turns).
        return asyncio.ensure_future(self._ask(schema, action, exi_request))

    async def _ask(self, schema: str, action: str, exi_request: str) -> tuple[bool, str] | None:
        body = {"iso15118SchemaVersion": schema, "action": action, "exiRequest": exi_request}
        try:
            async with (
                asyncio.timeout(self._timeout),
                httpx.AsyncClient(timeout=self._timeout) as http,
                http.stream("POST", self._url, json=body) as response,
            ):
                response.raise_for_status()
                answer = msgspec.json.decode(await read_bounded(response, MOST), type=Answer)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, msgspec.DecodeError) as error:
            reason = str(error) or "no answer in time"
            log.error("contracts.no_answer", reason=reason, remedy="look at the provider: CSMS_CONTRACT_PROVIDER_URL")
            return None
        if len(answer.exi_response) > MOST_EXI:
            log.error("contracts.too_long", length=len(answer.exi_response), most=MOST_EXI)
            return None
        return answer.status == "Accepted", answer.exi_response
