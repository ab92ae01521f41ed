"""Migrate the database that DATABASE_URL names: `python -m schema`."""

import os
import sys

from schema.migrate import migrate

applied = migrate(os.environ["DATABASE_URL"])
sys.stdout.write("".join(f"applied {name}\n" for name in applied) or "up to date\n")
