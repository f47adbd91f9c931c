"""What a station needs from the version it speaks, as one interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from csms.ocpp.version import Version
from simulators.session import Reading, Session

if TYPE_CHECKING:
    from simulators.mailbox import Letter
    from simulators.outlet import Outlet
    from simulators.station import Station

Answer = Callable[["Station", "msgspec.Struct"], "msgspec.Struct"]


class Talk(Protocol):
    """The words of one version. It keeps nothing: all state is the station's."""

    version: Version
    answers: Mapping[str, Answer]  # What the station does about the server's calls.

    def boot(self, station: Station) -> msgspec.Struct: ...
    def heartbeat(self) -> msgspec.Struct: ...
    def authorize(self, token: str) -> msgspec.Struct: ...
    def verdict(self, response: msgspec.Struct) -> bool | None:
        """Whether a token was accepted; None where the answer does not say."""

    def statuses(self, station: Station, at: datetime) -> list[msgspec.Struct]:
        """Everything's status, as told after boot and reconnect."""

    def status_word(self, outlet: Outlet) -> str: ...
    def status(self, outlet: Outlet, at: datetime) -> msgspec.Struct: ...
    def idle_reading(self, outlet: Outlet, reading: Reading) -> msgspec.Struct:
        """Meter values outside a session."""

    def begin(self, station: Station, session: Session) -> msgspec.Struct: ...
    def authorized(self, station: Station, session: Session, at: datetime) -> msgspec.Struct | None: ...
    def meter(self, station: Station, session: Session, reading: Reading) -> msgspec.Struct: ...
    def suspended(self, station: Station, session: Session, reading: Reading) -> msgspec.Struct | None: ...
    def end(self, station: Station, session: Session) -> msgspec.Struct: ...
    def addressed(self, letter: Letter) -> msgspec.Struct | None:
        """The message as it goes out; None when it can no longer mean anything to the server."""

    def acknowledged(self, letter: Letter, response: msgspec.Struct) -> None:
        """Learn from the answer to a transaction message."""
