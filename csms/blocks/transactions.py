"""Functional block E: what a station tells of a transaction becomes one session, in whatever order and how often.

The same start is recognised by what it says (place, token, time, meter), never by its message id.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from csms.blocks.authorization import judge, remembered, tag_info, token_info, unshared
from csms.blocks.clock import watch_clock
from csms.blocks.dispatch import Context, answers
from csms.blocks.metering import (
    find_session,
    in_wh,
    place_16,
    readings_2x,
    readings_16,
    register_factor,
    tell_progress,
    without_stored,
)
from csms.blocks.reservations import used
from csms.blocks.review import doubt
from csms.domain.events import MessageUnmatched, SessionOpened
from csms.domain.ports import Use
from csms.domain.sessions import (
    BEGIN,
    END,
    NO_START,
    REFUSED,
    RESCALED,
    SUPERSEDED,
    UNPLAUSIBLE_TIME,
    Mark,
    Phase,
    Reading,
    Session,
    closed,
    flagged,
    metered,
    with_seq,
)  # fmt: skip
from csms.domain.stations import NO_CLOCK_BEFORE, trusted_time
from csms.domain.tariffs import cost
from csms.domain.tokens import Decision, folded
from csms.domain.unit import Metered, Unmatched
from csms.ocpp import v16, v201

PHASE_2X: dict[str, Phase] = {
    "Charging": "charging",
    "SuspendedEV": "suspended",
    "SuspendedEVSE": "suspended",
    "EVConnected": "pending",
    "Idle": "pending",
}

# Why a transaction is about to end: a token that comes with it need not be the one that began it, nor come after that.
_STOPS = frozenset({"StopAuthorized", "Deauthorized", "RemoteStop"})


@answers
async def start_16(request: v16.StartTransaction, ctx: Context) -> v16.StartTransactionResponse:
    watch_clock(ctx, request.timestamp)
    decision = await judge(ctx, request.id_tag)
    session = await _begun_before(ctx, request)
    if session is None or (not session.is_open and _without_clock(request.timestamp)):
        use = Use(ctx.station.id, str(ctx.station.next_transaction), request.connector_id or None)
        decision = await unshared(ctx, decision, request.id_tag, use, trusted_time(request.timestamp, ctx.now))
        session = _begin_16(ctx, request, decision, again=session)
    else:
        decision = remembered(decision, session)
    return v16.StartTransactionResponse(id_tag_info=tag_info(decision), transaction_id=int(session.transaction_id))


@answers
async def stop_16(request: v16.StopTransaction, ctx: Context) -> v16.StopTransactionResponse:
    watch_clock(ctx, request.timestamp)
    decision = await judge(ctx, request.id_tag) if request.id_tag is not None else None
    answer = v16.StopTransactionResponse(id_tag_info=tag_info(decision) if decision else None)
    session = await find_session(ctx, str(request.transaction_id))
    if session is None:
        _unmatched(ctx, "StopTransaction", f"no transaction {request.transaction_id} of this station")
        return answer
    if session.awaits_end:  # Otherwise it is a repeat: same answer, nothing changes (T11).
        ended_at = trusted_time(request.timestamp, ctx.now)
        readings = await without_stored(ctx, session, in_wh(ctx, readings_16(request.transaction_data or [], ctx.now)))
        meter = metered(
            session, [*readings, Reading(ended_at, (), request.meter_stop * register_factor(ctx), place=END)]
        )
        # No reason means Local (T14).
        ended = closed(meter, ended_at, request.reason or "Local", request.id_tag)
        ended = ended if ended_at == request.timestamp else flagged(ended, UNPLAUSIBLE_TIME)
        _keep(ctx, session, ended, readings)
    return answer


@answers
async def transaction_event(request: v201.TransactionEvent, ctx: Context) -> v201.TransactionEventResponse:
    info, token = request.transaction_info, request.id_token
    watch_clock(ctx, request.timestamp, live=not request.offline)
    decision = await judge(ctx, token.id_token, token.type) if token else None
    session = ctx.station.open_session(info.transaction_id)
    if session is None and not (request.event_type == "Started" and _is_newest(ctx, request.timestamp)):
        session = await find_session(ctx, info.transaction_id)
    again = session is not None and _is_reused_id(session, request, ctx.now)
    if session is not None and not again and session.has_seen(request.seq_no):
        return await _verdict_2x(ctx, request, remembered(decision, session), session)  # A repeat (T20).
    before = None if again else session
    session = before or _begin_2x(ctx, request, again=session)
    at = trusted_time(request.timestamp, ctx.now)
    if decision and token:
        decision = await _judged_2x(ctx, session, request, token, decision)
    readings = in_wh(ctx, readings_2x(request.meter_value, ctx.now))
    session = metered(_moved_on(session, request, decision, at), readings)
    if request.event_type == "Ended":
        session = closed(session, at, info.stopped_reason or "Local", token.id_token if token else None)
    _keep(ctx, before, session, readings)
    if request.reservation_id is not None and request.event_type == "Started":
        used(ctx, session)
    return await _verdict_2x(ctx, request, decision, session)


async def _verdict_2x(
    ctx: Context, request: v201.TransactionEvent, decision: Decision | None, session: Session
) -> v201.TransactionEventResponse:
    """The answer to an event: the same for its repeat. The end of a transaction is told its cost, 0.00 when free (T27)."""
    total = None
    if request.event_type == "Ended":
        tariff = await ctx.records.tariff(ctx.station.operator_id, session.started_at)
        total = float(cost(tariff, session, ctx.now))
    return v201.TransactionEventResponse(total_cost=total, id_token_info=token_info(decision) if decision else None)


async def _judged_2x(
    ctx: Context, session: Session, request: v201.TransactionEvent, token: v201.IdToken, decision: Decision
) -> Decision:
    """What is decided about a token, seen with the session it is for; who ends one may have another elsewhere."""
    if not _identifies(session, request):
        return decision if request.event_type == "Ended" else remembered(decision, session)
    evse_id = request.evse.id if request.evse else session.evse_id
    use = Use(ctx.station.id, session.transaction_id, evse_id or None)
    return await unshared(ctx, decision, token.id_token, use, trusted_time(request.timestamp, ctx.now))


def _identifies(session: Session, request: v201.TransactionEvent) -> bool:
    """Whether the event's token is the one the transaction belongs to: not the one that ends it."""
    if request.id_token is None or request.event_type == "Ended" or request.trigger_reason in _STOPS:
        return False
    return request.event_type == "Started" or session.token is None


def _is_newest(ctx: Context, moment: datetime) -> bool:
    """Whether a start of this moment is later than any before: then it repeats none, and nothing is looked up."""
    newest = ctx.station.newest_start  # None: it never had a session.
    return (newest is None or moment > newest) and trusted_time(moment, ctx.now) is moment


# 1.6


def _start_key(request: v16.StartTransaction) -> str:
    moment = request.timestamp.isoformat()
    return f"{request.connector_id}|{folded(request.id_tag)}|{moment}|{request.meter_start}"


async def _begun_before(ctx: Context, request: v16.StartTransaction) -> Session | None:
    """The session this start has opened already, if its answer was lost (T10)."""
    key = _start_key(request)
    for session in ctx.station.open_sessions():
        if session.start_key == key:
            return session
    if _is_newest(ctx, request.timestamp):
        return None
    return await ctx.records.session_by_start(ctx.station.id, key)


def _begin_16(ctx: Context, request: v16.StartTransaction, decision: Decision, again: Session | None) -> Session:
    number = ctx.station.next_transaction
    ctx.unit.next_transaction = number + 1
    started_at = trusted_time(request.timestamp, ctx.now)
    flags = [REFUSED] if not decision.accepted else []  # Still recorded: its stop must match (T07).
    if started_at != request.timestamp:
        flags.append(UNPLAUSIBLE_TIME)
    if register_factor(ctx) != 1.0:
        flags.append(RESCALED)
    evse_id, connector_id = place_16(request.connector_id)
    session = Session(
        id=ctx.records.next_session_id(),
        transaction_id=str(number),
        start_key=_start_key(request),
        incarnation=again.incarnation + 1 if again else 0,
        version=ctx.version,
        evse_id=evse_id,
        connector_id=connector_id,
        token=request.id_tag,
        group=decision.group,
        authorization=decision.verdict,
        started_at=started_at,
        received_at=ctx.now,
        first=Mark(BEGIN, started_at, request.meter_start * register_factor(ctx)),
        last=Mark(BEGIN, started_at, request.meter_start * register_factor(ctx)),
        reservation_id=request.reservation_id,
        flags=tuple(flags),
    )
    _supersede_earlier(ctx, session)
    ctx.unit.opened.append(session)
    ctx.unit.events.append(_opened(session))
    used(ctx, session)
    return session


def _supersede_earlier(ctx: Context, begun: Session) -> None:
    """An earlier session on the same connector is marked; it stays open until its own stop comes (T09)."""
    for session in ctx.station.open_sessions():
        same_place = (session.evse_id, session.connector_id) == (begun.evse_id, begun.connector_id)
        if same_place and session.started_at < begun.started_at and SUPERSEDED not in session.flags:
            doubt(ctx, session, SUPERSEDED)


def _without_clock(moment: datetime) -> bool:
    return moment.year < NO_CLOCK_BEFORE


# 2.x


def _is_reused_id(session: Session, request: v201.TransactionEvent, now: datetime) -> bool:
    """A Started with the id of a closed session that began at another time begins a new one (T25)."""
    begins = request.event_type == "Started" and not session.is_open and NO_START not in session.flags
    return begins and session.started_at != trusted_time(request.timestamp, now)


def _begin_2x(ctx: Context, request: v201.TransactionEvent, again: Session | None) -> Session:
    """A session from whichever of its events comes first; `_moved_on` fills in what the event tells (T22)."""
    transaction_id = request.transaction_info.transaction_id
    begins = request.event_type == "Started"
    return Session(
        id=ctx.records.next_session_id(),
        transaction_id=transaction_id,
        start_key=f"{transaction_id}|{request.timestamp.isoformat()}" if begins else transaction_id,
        incarnation=again.incarnation + 1 if again else 0,
        version=ctx.version,
        started_at=trusted_time(request.timestamp, ctx.now),
        received_at=ctx.now,
        flags=(NO_START,) if register_factor(ctx) == 1.0 else (NO_START, RESCALED),
    )


def _moved_on(session: Session, request: v201.TransactionEvent, decision: Decision | None, at: datetime) -> Session:
    """What one event adds. Place and token are told once and kept (T24); a late event does not undo a later one."""
    info, evse, token = request.transaction_info, request.evse, request.id_token
    if evse is not None and (evse.id < 0 or (evse.connector_id or 0) < 0):
        evse = None  # No such place (T34).
    started, ended = request.event_type == "Started", request.event_type == "Ended"
    flags = session.flags
    if started:
        flags = tuple(flag for flag in flags if flag != NO_START)
    if decision is not None and not decision.accepted and not ended and REFUSED not in flags:
        flags = (*flags, REFUSED)
    if (started or ended) and at != request.timestamp and UNPLAUSIBLE_TIME not in flags:
        flags = (*flags, UNPLAUSIBLE_TIME)
    newest = not session.seen or request.seq_no > session.seen[-1][1]
    phase = PHASE_2X.get(info.charging_state or "") if newest and session.is_open else None
    identifies = _identifies(session, request)
    return msgspec.structs.replace(
        session,
        started_at=at if started or (NO_START in session.flags and at < session.started_at) else session.started_at,
        start_seq=request.seq_no if started else session.start_seq,
        end_seq=request.seq_no if ended and session.awaits_end else session.end_seq,  # The first end stands.
        seen=with_seq(session.seen, request.seq_no),
        evse_id=evse.id if evse else session.evse_id,
        connector_id=evse.connector_id if evse and evse.connector_id is not None else session.connector_id,
        token=token.id_token if identifies else session.token,
        token_type=token.type if identifies else session.token_type,
        group=decision.group if identifies else session.group,
        authorization=decision.verdict if identifies else session.authorization,
        phase=phase or session.phase,
        remote_start_id=session.remote_start_id if info.remote_start_id is None else info.remote_start_id,
        reservation_id=session.reservation_id if request.reservation_id is None else request.reservation_id,
        flags=flags,
    )


# Both


def _keep(ctx: Context, before: Session | None, session: Session, readings: list[Reading]) -> None:
    """Store what became of a session, and tell of it; `before` None: it has only just begun."""
    unit = ctx.unit
    if before is None:
        unit.opened.append(session)
        unit.events.append(_opened(session))
    else:
        unit.changed.append(session)
    if readings:
        unit.metered.append(Metered(session.id, session.evse_id, session.connector_id, readings))
    tell_progress(ctx, before, session, readings[-1].at if readings else None)


def _opened(session: Session) -> SessionOpened:
    return SessionOpened(
        at=session.started_at, session=session.id, transaction_id=session.transaction_id, evse_id=session.evse_id,
        connector_id=session.connector_id, token=session.token, authorization=session.authorization,
        started_at=session.started_at,
    )  # fmt: skip


def _unmatched(ctx: Context, action: str, reason: str) -> None:
    ctx.unit.unmatched.append(Unmatched(action, ctx.raw, reason))
    ctx.unit.events.append(MessageUnmatched(at=ctx.now, action=action, reason=reason))
