"""A station's configuration, which the server may read and change: 1.6 keys, 2.0.1 variables."""

from __future__ import annotations

from simulators.scenarios import StationPlan

DEFAULTS = {
    "HeartbeatInterval": "300",
    "MeterValueSampleInterval": "60",
    "AuthorizeRemoteTxRequests": "true",
    "ConnectionTimeOut": "60",
    "WebSocketPingInterval": "0",
    "NumberOfConnectors": "1",
    "GetConfigurationMaxKeys": "50",
    "SupportedFeatureProfiles": "Core,RemoteTrigger",
    "TransactionMessageAttempts": "3",
    "TransactionMessageRetryInterval": "5",
    "StopTransactionOnEVSideDisconnect": "true",
}
READ_ONLY = frozenset({"NumberOfConnectors", "GetConfigurationMaxKeys", "SupportedFeatureProfiles"})

# 2.0.1: (component, variable) -> the 1.6 key that means the same.
VARIABLES = {
    ("OCPPCommCtrlr", "HeartbeatInterval"): "HeartbeatInterval",
    ("OCPPCommCtrlr", "WebSocketPingInterval"): "WebSocketPingInterval",
    ("OCPPCommCtrlr", "MessageAttempts"): "TransactionMessageAttempts",
    ("SampledDataCtrlr", "TxUpdatedInterval"): "MeterValueSampleInterval",
    ("AuthCtrlr", "AuthorizeRemoteStart"): "AuthorizeRemoteTxRequests",
    ("TxCtrlr", "EVConnectionTimeOut"): "ConnectionTimeOut",
    ("TxCtrlr", "StopTxOnEVSideDisconnect"): "StopTransactionOnEVSideDisconnect",
}


def is_acceptable(present: str, wanted: str) -> bool:
    """Whether a value is of the kind the present one is: a number stays a number, a truth a truth."""
    if present in ("true", "false"):
        return wanted in ("true", "false")
    if present.isdigit():
        return wanted.isdigit()
    return True


class Settings:
    """The configuration of one station: what its plan says, and what the server changed."""

    __slots__ = ("_changed", "_plan")

    def __init__(self, plan: StationPlan):
        self._plan = plan
        self._changed: dict[str, str] | None = None

    def get(self, name: str) -> str | None:
        """A value, as the server may read it; None where there is no such setting."""
        if name == "NumberOfConnectors":
            return str(self._plan.outlets)
        if self._changed is not None and name in self._changed:
            return self._changed[name]
        if name == "MeterValueSampleInterval":
            return f"{self._plan.meter_interval_s:.0f}"
        return DEFAULTS.get(name)

    def change(self, name: str, value: str) -> None:
        if value == self.get(name):
            return
        if self._changed is None:
            self._changed = {}
        self._changed[name] = value

    @property
    def heartbeat_interval(self) -> float:
        """Real seconds: a fast clock does not make heartbeats a load nobody asked for."""
        return _positive(self.get("HeartbeatInterval"), 300.0)

    @property
    def meter_interval(self) -> float:
        """Simulated seconds."""
        return _positive(self.get("MeterValueSampleInterval"), 60.0)

    @property
    def authorizes_remote_starts(self) -> bool:
        return self.get("AuthorizeRemoteTxRequests") == "true"


def _positive(text: str | None, otherwise: float) -> float:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return otherwise
    return value if value > 0 else otherwise
