"""What becomes of a transaction message that cannot be applied: it is kept raw, and the station may go on.

Refusing it would make the station discard it, and asking for it again would block everything the station has queued
behind it (G3, G4, I4).
"""

from __future__ import annotations

import msgspec

from csms.blocks.dispatch import Context
from csms.domain.events import MessageUnmatched
from csms.domain.unit import Unit, Unmatched
from csms.ocpp import frames, v16

_encode = msgspec.json.Encoder().encode


def keep_raw(call: frames.Call, ctx: Context, reason: str) -> Unit:
    """A unit that holds the message as it came, and nothing else of what its handler wanted."""
    unit = Unit(ctx.station, ctx.now)
    unit.unmatched.append(Unmatched(call.action, bytes(call.payload), reason))
    unit.events.append(MessageUnmatched(at=ctx.now, action=call.action, reason=reason))
    return unit


def received(call: frames.Call, ctx: Context, unit: Unit) -> bytes:
    """The answer «received» to a message that was kept raw; a start gets an id all the same (1.6 4.8)."""
    if call.action != "StartTransaction":
        return frames.call_result(call.id, b"{}")
    number = ctx.station.next_transaction
    unit.next_transaction = number + 1
    refused = v16.StartTransactionResponse(id_tag_info=v16.IdTagInfo(status="Invalid"), transaction_id=number)
    return frames.call_result(call.id, _encode(refused))
