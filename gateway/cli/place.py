"""What lies where in the data directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kit import pgdata, pghome

if TYPE_CHECKING:
    from gateway.config import Config


DATABASE = "ledgate"
"""The database of the embedded server that `ledgate up` uses."""

DEFAULTS = {"TEST_MODE": "true", "WEBHOOK_RETRY_INTERVALS_TEST": "true", "LEDGATE_LOG_FORMAT": "console"}
"""The settings of `ledgate up` where the environment gives no other."""

_PORT_LINE = 3  # of postmaster.pid; PostgreSQL's miscadmin.h, LOCK_FILE_LINE_PORT


@dataclass(frozen=True, slots=True)
class Place:
    """The data directory of `ledgate up`."""

    root: Path

    @classmethod
    def of(cls, config: Config) -> Place:
        """Give the one that the settings name; `.ledgate` in the working directory by default."""
        return cls(Path(config.data_dir or ".ledgate").expanduser().absolute())

    @property
    def lock(self) -> Path:
        """The file that a running `ledgate up` holds."""
        return self.root / "lock"

    @property
    def postgres(self) -> Path:
        """The directory meant for the embedded server."""
        return self.root / "postgres"

    def has_data(self) -> bool:
        """Whether an embedded database has been made."""
        return any(pghome.is_made(place) for place in pghome.places(self.postgres))

    def running_url(self) -> str | None:
        """The URL of the database of a `ledgate up` that runs here now; None when there is none, or it is starting."""
        if pgdata.running(self.postgres) is None:
            return None
        for place in pghome.places(self.postgres):
            if pgdata.status(place)[1] == "ready":
                port = (place / "postmaster.pid").read_text().splitlines()[_PORT_LINE]
                return f"postgresql://{pgdata.USER}@127.0.0.1:{port}/{DATABASE}"
        return None
