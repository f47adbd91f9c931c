"""Sessions that somebody has to look at: marked, told as an event, and never ended by us."""

from __future__ import annotations

from csms.blocks.dispatch import Context
from csms.domain.events import SessionFlagged
from csms.domain.sessions import Session, flagged


def doubt(ctx: Context, session: Session, flag: str) -> None:
    ctx.unit.changed.append(flagged(session, flag))
    ctx.unit.events.append(
        SessionFlagged(at=ctx.now, session=session.id, transaction_id=session.transaction_id, flag=flag)
    )
