"""Keeps what the domain decided: group commit, look-ups and read models."""
