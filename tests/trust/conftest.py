"""An authority, and a desk over a real database."""

from tests.cluster.conftest import database, office  # noqa: F401
