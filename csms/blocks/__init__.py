"""What we do about each message, one module per functional block of OCPP."""

from csms.blocks import (
    authorization,
    availability,
    certificates,
    charging_needs,
    charging_verbs,
    contracts,
    data_transfer,
    device_model,
    device_verbs,
    installed,
    jobs,
    local_lists,
    maintenance,
    metering,
    monitoring,
    provisioning,
    remote_control,
    reservations,
    security,
    setting_verbs,
    smart_charging,
    standing,
    token_verbs,
    transactions,
    vendors,
)

__all__ = [
    "authorization", "availability", "certificates", "charging_needs", "charging_verbs", "contracts", "data_transfer", "device_model",
    "device_verbs", "installed", "jobs", "local_lists", "maintenance", "metering", "monitoring", "provisioning",
    "remote_control", "reservations", "security", "setting_verbs", "smart_charging", "standing", "token_verbs",
    "transactions", "vendors",
]  # fmt: skip
