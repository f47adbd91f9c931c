"""Stations that stand in for real chargers."""
