"""What we do about each message, one module per functional block of OCPP."""

from csms.blocks import authorization, availability, metering, provisioning, transactions

__all__ = ["authorization", "availability", "metering", "provisioning", "transactions"]
