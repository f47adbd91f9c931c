"""A central system for a whole country's charging network."""
