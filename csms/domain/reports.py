"""Reports that come in parts: which parts are here, and whether the report is whole.

Parts may come in any order and more than once. A report is bounded in parts and gaps, and one that nobody goes on with
expires: what then comes under its number begins another (T85, I7).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from csms.domain.sessions import with_seq

REPORT = "report"  # The kind under which the progress of a report is kept.
MOST_PARTS = 10_000
MOST_GAPS = 100
EXPIRES_AFTER = timedelta(minutes=10)


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """The parts of one report so far. `last` is the number of its final part, once that is here."""

    at: datetime  # Of the latest part.
    seen: tuple[tuple[int, int], ...] = ()  # Ranges of part numbers; the first part has number 0.
    last: int | None = None
    exceeded: bool = False  # Parts beyond the bounds came; they were answered, not kept.

    @property
    def complete(self) -> bool:
        return self.last is not None and bool(self.seen) and self.seen[0][0] == 0 and self.last <= self.seen[0][1]

    def state(self, now: datetime) -> Literal["complete", "partial", "timed_out"]:
        """What is known of it by now; parts that never come are not waited for."""
        if self.complete:
            return "complete"
        return "partial" if now - self.at <= EXPIRES_AFTER else "timed_out"

    @property
    def next(self) -> int:
        """The number of the next part, for reports whose parts have none."""
        return self.seen[-1][1] + 1 if self.seen else 0


def report_key(name: str, request_id: int) -> str:
    return f"{name}:{request_id}"


def continued(report: Report | None, at: datetime) -> Report:
    """The report that a part of this moment belongs to: the one under way, or a new one."""
    return Report(at) if report is None or at - report.at > EXPIRES_AFTER else report


def with_part(report: Report, number: int, final: bool, at: datetime) -> Report | None:
    """The report with one part more; None when the part is beyond the bounds."""
    if not 0 <= number < MOST_PARTS:
        return None
    seen = with_seq(report.seen, number)
    if len(seen) > MOST_GAPS:
        return None
    return msgspec.structs.replace(report, at=at, seen=seen, last=number if final else report.last)
