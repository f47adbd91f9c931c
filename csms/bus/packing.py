"""Packs events into messages: as many as fit, since a publish costs more than the events in it."""

from __future__ import annotations

from typing import NamedTuple

from csms.bus.feed import enveloped
from csms.storage.outbox import Entry

_OVERHEAD = len(b'{"events":[]}')


class Packed(NamedTuple):
    """Events of one operator, ready to send."""

    operator: str
    payload: bytes
    events: int
    upto: int | None  # The outbox position reached when this message and all before it have arrived, if any.


def packed(page: list[Entry], most_events: int, most_bytes: int) -> list[Packed]:
    """A page as messages, each operator's in outbox order; an event larger than `most_bytes` goes alone."""
    messages: list[Packed] = []
    filling: dict[str, list[bytes]] = {}
    sizes: dict[str, int] = {}

    def send(operator: str) -> None:
        events = filling.pop(operator)
        messages.append(Packed(operator, b'{"events":[%s]}' % b",".join(events), len(events), None))

    for entry in page:
        for event in enveloped(entry):
            pending = filling.get(entry.operator)
            size = len(event) + 1
            if pending and (len(pending) == most_events or sizes[entry.operator] + size > most_bytes):
                send(entry.operator)
            if entry.operator not in filling:
                filling[entry.operator] = []
                sizes[entry.operator] = _OVERHEAD
            filling[entry.operator].append(event)
            sizes[entry.operator] += size
    for operator in list(filling):
        send(operator)
    if messages:
        messages[-1] = messages[-1]._replace(upto=page[-1].id)
    return messages
