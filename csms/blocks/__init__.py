"""What we do about each message, one module per functional block of OCPP."""

from csms.blocks import (
    authorization,
    availability,
    certificates,
    data_transfer,
    device_model,
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
    smart_charging,
    standing,
    transactions,
    vendors,
)

__all__ = [
    "authorization", "availability", "certificates", "data_transfer", "device_model", "installed", "jobs", "local_lists", "maintenance", "metering",
    "monitoring", "provisioning", "remote_control", "reservations", "security", "smart_charging", "standing", "transactions", "vendors",
]  # fmt: skip
