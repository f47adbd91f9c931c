"""What a charging network is: no OCPP, no I/O, no clock."""
