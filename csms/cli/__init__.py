"""The command line: people's way into the system."""
