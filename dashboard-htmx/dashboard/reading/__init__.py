"""What pages read: rows of one merchant, bounded, by index. README.md beside this file tells every shape."""

from __future__ import annotations

from kit import sql

SQL = sql.load("dashboard")
"""The dashboard's own statements, by name."""
