"""Let one Ledgate run on a data directory, and know which one it is."""

from __future__ import annotations

import fcntl
import os
from typing import IO, TYPE_CHECKING, Self

import msgspec

from gateway.cli.errors import CliError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class Holder(msgspec.Struct, frozen=True):
    """Who holds the lock, as a second start shows it."""

    pid: int
    api: str
    test_merchant: str
    test_mode: bool = False


class Lock:
    """Held until `release`, or until this process is gone, however it goes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self.orphaned = False
        """Whether the last holder died with it: what it had started may still be ending."""

    def acquire(self, holder: Holder) -> None:
        """Take the lock, making its directory where it is missing.

        Raises:
            CliError: another process holds it, or the directory cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("a+b")
        except OSError as error:
            raise CliError(
                f"Cannot write {self._path.parent}: {error.strerror}. "
                "Choose another place: LEDGATE_DATA_DIR=~/ledgate-data make run"
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            other = file.read()
            file.close()
            raise CliError(_refusal(other)) from None
        self.orphaned = file.seek(0, os.SEEK_END) > 0
        file.truncate(0)
        file.write(msgspec.json.encode(holder))
        file.flush()
        self._file = file

    def release(self) -> None:
        """Let go. The file stays: to remove it would let two starts hold two different ones."""
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _refusal(content: bytes) -> str:
    try:
        holder = msgspec.json.decode(content, type=Holder)
    except msgspec.DecodeError:
        return "Ledgate is already running on this data directory (it is only just starting or stopping)."
    return (
        f"Ledgate is already running, as process {holder.pid}.\n"
        f"  API            {holder.api}\n"
        f"  test merchant  {holder.test_merchant}\n"
        f"Stop it with Ctrl-C in its terminal, or: kill {holder.pid}"
    )


def own(api: str, test_merchant: str, *, test_mode: bool = False) -> Holder:
    """Describe this process."""
    return Holder(os.getpid(), api, test_merchant, test_mode)


def last_holder(path: Path) -> Holder | None:
    """Who wrote the lock's file last; whether it still runs is not asked."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.MsgspecError):
        return None
