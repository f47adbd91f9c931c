"""What befalls many stations at once: a cut of all connections, an operator's backbone, a city, a firmware."""

from __future__ import annotations

import re
from dataclasses import dataclass

from simulators.scenarios import ScenarioError, StationPlan

_TEXT = re.compile(r"(?P<who>all|(?:operator|place|model):[\w.-]+)@(?P<at>\d+(?:\.\d+)?)(?:\+(?P<long>\d+(?:\.\d+)?))?")


@dataclass(frozen=True, slots=True)
class Incident:
    """Who loses the connection, when (real seconds from the start), and for how long there is no way back."""

    who: str
    at: float
    seconds: float = 0.0

    def befalls(self, plan: StationPlan) -> bool:
        return self.who == "all" or self.who in plan.groups


def incident(text: str) -> Incident:
    """`all@60` cuts every connection after a minute; `operator:dianmai@60+30` keeps one operator away for half of one."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ScenarioError(
            f"{text!r} is no incident: write WHO@SECOND or WHO@SECOND+SECONDS, where WHO is all, operator:NAME, "
            "place:CODE or model:NN, as in all@60 or operator:dianmai@60+30"
        )
    return Incident(found["who"], float(found["at"]), float(found["long"] or 0))
