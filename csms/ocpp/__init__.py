"""The protocol without I/O; imports nothing else of ours."""
