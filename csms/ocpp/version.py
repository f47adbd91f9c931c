"""The OCPP versions we speak."""

from __future__ import annotations

from enum import StrEnum


class Version(StrEnum):
    """One OCPP version; its value is the spelling people use."""

    V16 = "1.6"
    V201 = "2.0.1"
    V21 = "2.1"

    @property
    def subprotocol(self) -> str:
        """The WebSocket subprotocol that names this version."""
        return f"ocpp{self.value}"

    @property
    def package(self) -> str:
        """The name of the module with its messages, here as in the `ocpp` package."""
        return "v" + self.value.replace(".", "")

    @classmethod
    def from_subprotocol(cls, text: str) -> Version | None:
        """The version a subprotocol names exactly, or None: `ocpp2.0` is not `ocpp2.0.1`."""
        return _BY_SUBPROTOCOL.get(text)


_BY_SUBPROTOCOL = {version.subprotocol: version for version in Version}
