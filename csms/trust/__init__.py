"""Certificates: the authority that issues them, and who is asked whether others hold."""
