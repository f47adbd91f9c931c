"""Functional blocks C and D: may this token charge?"""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

import msgspec

from csms.blocks.contracts import ACCEPTED, contract_status
from csms.blocks.dispatch import Context, answers
from csms.domain.ports import CLAIM_GRACE, Use
from csms.domain.sessions import Session
from csms.domain.tokens import FREE, NO_AUTHORIZATION, UNKNOWN, Decision, Verdict, decide
from csms.ocpp import v16, v201

# 1.6 has no word for «never heard of it».
VERDICT_16: dict[Verdict, str] = {
    "accepted": "Accepted",
    "blocked": "Blocked",
    "expired": "Expired",
    "invalid": "Invalid",
    "unknown": "Invalid",
    "concurrent": "ConcurrentTx",
}
VERDICT_2X: dict[Verdict, str] = VERDICT_16 | {"unknown": "Unknown"}
D = TypeVar("D", Decision, Decision | None)

MAX_ID_TAG = 20
MAX_ID_TOKEN = 36


@answers
async def authorize_16(request: v16.Authorize, ctx: Context) -> v16.AuthorizeResponse:
    return v16.AuthorizeResponse(id_tag_info=tag_info(await judge(ctx, request.id_tag)))


@answers
async def authorize_2x(request: v201.Authorize, ctx: Context) -> v201.AuthorizeResponse:
    decision = await judge(ctx, request.id_token.id_token, request.id_token.type)
    certificates = await contract_status(request, ctx)
    if certificates not in (None, ACCEPTED):  # Whatever the token is worth (C07.FR.02).
        decision = msgspec.structs.replace(decision, verdict="invalid")
    return v201.AuthorizeResponse(id_token_info=token_info(decision), certificate_status=certificates)


async def judge(ctx: Context, value: str, type: str | None = None) -> Decision:
    """Look the token up and decide; the same in Authorize, StartTransaction and TransactionEvent (T12, T26)."""
    if type == NO_AUTHORIZATION:
        return FREE
    if not value.strip():
        return UNKNOWN
    token = await ctx.records.token(ctx.station.operator_id, value)
    if token is not None and type and token.type and token.type != type:
        return UNKNOWN  # The same text of another type is another token (T29).
    return decide(token, ctx.now)


async def unshared(ctx: Context, decision: Decision, token: str, use: Use, started_at: datetime) -> Decision:
    """The decision, unless the token is in use elsewhere and the operator wants that refused (T08).

    What began minutes ago was offline: it has happened, and its token is judged on its merits alone.
    """
    allowed = ctx.policy.concurrent == "allow" or not decision.accepted or decision is FREE
    if allowed or ctx.now - started_at > CLAIM_GRACE:
        return decision
    if await ctx.records.claim(ctx.station.operator_id, token, use, ctx.now):
        return decision
    return msgspec.structs.replace(decision, verdict="concurrent")


def remembered(decision: D, session: Session) -> D:
    """The verdict on a later message of a session: a token that was in use elsewhere at its start still is."""
    if decision is not None and decision.accepted and session.authorization == "concurrent":
        return msgspec.structs.replace(decision, verdict="concurrent")
    return decision


def tag_info(decision: Decision) -> v16.IdTagInfo:
    return v16.IdTagInfo(
        status=VERDICT_16[decision.verdict],
        parent_id_tag=decision.group[:MAX_ID_TAG] if decision.group else None,
        expiry_date=_whole_seconds(decision),
    )


def token_info(decision: Decision) -> v201.IdTokenInfo:
    group = v201.IdToken(id_token=decision.group[:MAX_ID_TOKEN], type="Central") if decision.group else None
    return v201.IdTokenInfo(
        status=VERDICT_2X[decision.verdict], group_id_token=group, cache_expiry_date_time=_whole_seconds(decision)
    )


def _whole_seconds(decision: Decision):
    return decision.expires_at.replace(microsecond=0) if decision.expires_at else None
