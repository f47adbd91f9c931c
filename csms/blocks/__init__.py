"""What we do about each message, one module per functional block of OCPP."""

from csms.blocks import (
    authorization,
    availability,
    data_transfer,
    device_model,
    local_lists,
    maintenance,
    metering,
    provisioning,
    remote_control,
    reservations,
    security,
    smart_charging,
    transactions,
    vendors,
)

__all__ = [
    "authorization", "availability", "data_transfer", "device_model", "local_lists", "maintenance", "metering", "provisioning",
    "remote_control", "reservations", "security", "smart_charging", "transactions", "vendors",
]  # fmt: skip
