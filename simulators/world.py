"""What the stations of a run share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from csms.ocpp.version import Version
from simulators.demand import Demand
from simulators.ledger import Ledger
from simulators.talk import Talk
from simulators.tally import Tally

if TYPE_CHECKING:
    from simulators.station import Station


@dataclass(slots=True)
class World:
    """One for all of them, so that a station carries its own state only."""

    clock: Any  # Clock, or a hand-wound one in tests.
    dial: Callable[[Station], None]  # Open a connection and tell the station how it goes.
    talks: dict[Version, Talk]
    tokens: list[str]
    tally: Tally
    ledger: Ledger | None = None
    timeout: float = 30.0  # Real seconds a call waits for its answer.
    deadlines: deque[tuple[float, Station]] = field(default_factory=deque)  # Of calls that were sent, in their order.
    demand: Demand = field(default_factory=Demand)
    run: str = "0"  # In ids, so that two runs never use the same.
