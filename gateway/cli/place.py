"""What lies where in the data directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kit import pghome

if TYPE_CHECKING:
    from gateway.config import Config


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
