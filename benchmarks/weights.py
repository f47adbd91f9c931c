"""What a connected station weighs in the server's memory, object by object: `python -m benchmarks.weights`.

Python's own objects only; what uvloop and libuv keep for a socket is the rest of what `python -m benchmarks` weighs.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from csms.domain.sessions import WITHIN, Mark, Session
from csms.domain.stations import Connector, ConnectorRef, Station
from csms.gateway.link import Link
from csms.gateway.server import Gateway
from csms.ocpp.catalogue import Version
from csms.ocpp.peer import Peer
from csms.ocpp.websocket import WebSocket
from csms.storage.memory import MemoryRecords

_MANY = 5_000
_NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def _station(number: int) -> Station:
    return Station(number + 10**6, 1, "default", f"CS-{number:06}")


def _connectors(number: int) -> dict[ConnectorRef, Connector]:
    made = Connector(1, 1, "available", _NOON + timedelta(seconds=number))
    return {made.ref: made}


def _sessions(number: int) -> dict[int, Session]:
    at = _NOON + timedelta(seconds=number)
    mark = Mark(WITHIN, at, number + 0.5)
    made = Session(
        id=number + 10**9, transaction_id=str(number), start_key=f"1|tag-{number}|{at.isoformat()}|0", version="1.6",
        evse_id=1, connector_id=1, token=f"TAG-{number:08}", authorization="accepted", started_at=at, received_at=at,
        first=mark, last=mark, last_digest=number + 10**9, power_w=number + 0.25, soc=54.0,
    )  # fmt: skip
    return {made.id: made}


def _weight(make: Callable[[int], Any]) -> float:
    """Bytes of one of what `make(number)` makes, kept in a list."""
    kept: list[Any] = [None] * _MANY
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(_MANY):
        kept[number] = make(number)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (after - before) / _MANY


def main() -> None:
    gateway = Gateway(MemoryRecords(), vault=None)
    weights = {
        "link": _weight(lambda number: Link(gateway)),
        "WebSocket": _weight(lambda number: WebSocket(max_size=1 << 20)),
        "peer": _weight(lambda number: Peer(Version.V16)),
        "station, with its identity": _weight(_station),
        "its place in the gateway": _weight_of_places(),
        "a connector": _weight(_connectors),
        "an open session": _weight(_sessions),
    }
    print("| object | bytes |\n| --- | --: |")
    for name, weight in weights.items():
        print(f"| {name} | {weight:,.0f} |")


def _weight_of_places() -> float:
    places: dict[int, None] = {}
    return _weight(lambda number: places.__setitem__(number + 10**6, None))


if __name__ == "__main__":
    main()
