"""Sockets: who may connect, and one conversation per station."""
