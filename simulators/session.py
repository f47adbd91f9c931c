"""What a station believes about one charging session: the side of the story the database is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Why(StrEnum):
    """Why a session ends; each version has its own word for it."""

    LOCAL = "local"  # The driver presented the card again.
    EV_DISCONNECTED = "ev disconnected"
    REMOTE = "remote"
    DEAUTHORIZED = "deauthorized"
    SOFT_RESET = "soft reset"
    HARD_RESET = "hard reset"
    UNLOCK = "unlock"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Reading:
    """The meter at one moment: the outlet's register in Wh, power in W, state of charge in % (None on AC)."""

    at: datetime
    register_wh: int
    power_w: float
    soc: float | None
    context: str = "Sample.Periodic"


@dataclass(slots=True)
class Session:
    """One session at one outlet, from its first to its last message. Energy in Wh."""

    number: int  # The station's own count.
    outlet: int
    token: str | None
    begin: Reading
    transaction_id: str | None = None  # 2.0.1: ours from the start. 1.6: known once the server answered.
    remote_start_id: int | None = None
    end: Reading | None = None
    why: Why | None = None
    seq_no: int = 0  # 2.0.1: of the next event.
    acknowledged: bool = False  # The message that ends it was answered.
    given_up: bool = False  # The server refused one of its messages for good.

    @property
    def closed(self) -> bool:
        return self.end is not None

    @property
    def energy_wh(self) -> int | None:
        return None if self.end is None else self.end.register_wh - self.begin.register_wh

    def belief(self, *, operator: str | None, station: str, version: str) -> dict[str, Any]:
        """One line of the file of beliefs."""
        return {
            "operator": operator,
            "station": station,
            "version": version,
            "connector": self.outlet,
            "transaction_id": self.transaction_id,
            "token": self.token,
            "started_at": self.begin.at,
            "ended_at": self.end and self.end.at,
            "meter_start_wh": self.begin.register_wh,
            "meter_stop_wh": self.end and self.end.register_wh,
            "energy_wh": self.energy_wh,
            "closed": self.closed,
            "acknowledged": self.acknowledged,
            "given_up": self.given_up,
        }
