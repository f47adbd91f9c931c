"""HTTP: the REST API, health, metrics."""
