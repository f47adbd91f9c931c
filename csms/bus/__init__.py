"""Carries committed events from the outbox to subscribers."""
