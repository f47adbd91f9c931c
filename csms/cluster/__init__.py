"""Which node holds which station, and how a command gets there."""
