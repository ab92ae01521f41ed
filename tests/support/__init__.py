"""Real parts for tests: a PostgreSQL server, processes, receivers."""
