"""What our MQTT topics are called."""

from __future__ import annotations

PREFIX = "csms/v1"

# Separators and wildcards of MQTT, the character it forbids, and the sign that encodes them.
_ENCODED = {ord(character): f"%{ord(character):02X}" for character in "+#/%\0"}


def events_topic(operator: str) -> str:
    """Every event of an operator's stations."""
    return f"{PREFIX}/{level(operator)}/events"


def state_topic(operator: str, station: str) -> str:
    """The latest state of one station."""
    return f"{PREFIX}/{level(operator)}/stations/{level(station)}/state"


def level(name: str) -> str:
    """A name as one level of a topic; percent-decoding (UTF-8) gives it back."""
    return name.translate(_ENCODED)
