"""A station's configuration, which the server may read and change: 1.6 keys, 2.0.1 variables."""

from __future__ import annotations

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
