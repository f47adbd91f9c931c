"""Answers to what we asked for that come in parts: what is kept of each part, and when a report is whole."""

from __future__ import annotations

import msgspec

from csms.blocks.dispatch import Context
from csms.domain.events import ReportCompleted, ReportExceeded
from csms.domain.reports import REPORT, Report, continued, report_key, with_part
from csms.domain.unit import Reported

encoded = msgspec.json.Encoder().encode
_read_report = msgspec.json.Decoder(Report).decode


async def takes_part(ctx: Context, name: str, request_id: int, *, number: int | None, more: bool | None) -> bool:
    """Whether this part is to be kept; the event that tells of a whole report goes with the part that made it so.

    `number` None: the parts of such reports have no numbers, and it is whole with the one after which no more comes.
    """
    key = report_key(name, request_id)
    found = await ctx.records.reported(ctx.station.id, REPORT, (key,))
    before = continued(_read_report(found[key]) if key in found else None, ctx.now)
    report = with_part(before, before.next if number is None else number, not more, ctx.now)
    if report is None:
        report = msgspec.structs.replace(before, at=ctx.now, exceeded=True)
        if not before.exceeded:
            ctx.unit.events.append(ReportExceeded(at=ctx.now, report=name, request_id=request_id))
        keep(ctx, REPORT, key, report)
        return False
    if report.complete and not before.complete:
        parts = (report.last or 0) + 1
        ctx.unit.events.append(ReportCompleted(at=ctx.now, report=name, request_id=request_id, parts=parts))
    keep(ctx, REPORT, key, report)
    return True


def keep(ctx: Context, kind: str, key: str, data: object) -> None:
    """Keep what the station says of itself in place of what it said before; None: it no longer holds."""
    ctx.unit.reported.append(Reported(kind, key, encoded(data)))
