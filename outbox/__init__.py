"""Events, the endpoints that want them, and the work that is still to be done. SQL only, no HTTP.

Appending is a SQL fragment (`append_events`) that other packages put into the statement which makes the fact true:
an event cannot be written outside of it.
"""

from typing import Final

from kit import sql

SQL: Final = sql.load("outbox")
