"""Migrate the database that DATABASE_URL names: `python -m schema`."""

import os
import sys

from kit.oldest import TooOldError
from schema.migrate import migrate

try:
    applied = migrate(os.environ["DATABASE_URL"])
except TooOldError as error:
    sys.exit(str(error))
sys.stdout.write("".join(f"applied {name}\n" for name in applied) or "up to date\n")
