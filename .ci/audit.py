"""Ask whether what is locked has known holes: pip-audit, against an allow list whose entries run out.

Exit code 1 for a finding that nobody allowed, for an entry that has run out or allows nothing any more. Where no
service answers, one loud line says so; that is a failure only if `AUDIT=required`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple


class Hole(NamedTuple):
    """A known vulnerability of a locked version."""

    package: str
    version: str
    ids: frozenset[str]
    """Its id, and what else it is called."""
    fixed_in: str


class Audited(NamedTuple):
    """What a service said."""

    packages: int
    holes: list[Hole]
    unknown: list[str]
    """Packages that it does not know."""


def audit(requirements: list[Path], service: list[str]) -> Audited | str:
    """Audit the union of the files with one service; a text says why it could not be asked."""
    files = [word for path in requirements for word in ("-r", str(path))]
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner=off"]
    run = subprocess.run(  # noqa: S603 - our own words
        [*command, "--format=json", *service, *files],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    try:
        told: list[dict[str, Any]] = json.loads(run.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (run.stderr.strip() or f"exit code {run.returncode}").splitlines()[-1]
        return last.partition(":")[0]
    known = [each for each in told if "skip_reason" not in each]
    if not known:
        return f"it knows none of {len(told)} packages"
    return Audited(
        len(known),
        [
            Hole(
                each["name"],
                each["version"],
                frozenset({vuln["id"], *vuln["aliases"]}),
                ", ".join(vuln["fix_versions"]) or "no version yet",
            )
            for each in known
            for vuln in each["vulns"]
        ],
        [each["name"] for each in told if "skip_reason" in each],
    )


def judge(found: Audited, allowed: list[dict[str, Any]], today: dt.date) -> list[str]:
    """What is wrong, a line each."""
    current = {entry["id"] for entry in allowed if entry["until"] >= today}
    seen = frozenset[str]().union(*(hole.ids for hole in found.holes))
    return [
        *(
            f"{hole.package} {hole.version}: {', '.join(sorted(hole.ids))}; fixed in {hole.fixed_in}"
            for hole in found.holes
            if not hole.ids & current
        ),
        *(f"{entry['id']} was allowed until {entry['until']}" for entry in allowed if entry["id"] not in current),
        *(f"{entry['id']} is allowed and was not found: take it away" for entry in allowed if entry["id"] not in seen),
        *(f"{name} is not known to the service and was not audited" for name in found.unknown),
    ]


def main() -> int:
    """Audit; the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--allowed", type=Path, required=True, help="TOML: [[allowed]] id, until, reason")
    parser.add_argument("--osv-url", help="ask this service alone")
    parser.add_argument("requirements", type=Path, nargs="+")
    args = parser.parse_args()
    allowed = tomllib.loads(args.allowed.read_text())["allowed"]
    for entry in allowed:
        if entry.keys() != {"id", "until", "reason"} or type(entry["until"]) is not dt.date:
            raise SystemExit(f"{args.allowed}: an entry has an id, a reason and the date until it holds, not {entry}")

    services = [["-s", "osv", "--osv-url", args.osv_url]] if args.osv_url else [["-s", "pypi"], ["-s", "osv"]]
    silent = []
    for service in services:
        found = audit(args.requirements, service)
        if isinstance(found, str):
            silent.append(f"{service[1]}: {found}")
            continue
        wrong = judge(found, allowed, dt.datetime.now(dt.UTC).date())
        print(
            f"{found.packages} packages audited ({service[1]}): {len(found.holes)} known holes, {len(allowed)} allowed"
        )
        for line in wrong:
            print(f"  {line}", file=sys.stderr)
        return 1 if wrong else 0
    print(f"!!! NO VULNERABILITY SERVICE: nothing was audited ({'; '.join(silent)})", file=sys.stderr)
    return 1 if os.environ.get("AUDIT") == "required" else 0


if __name__ == "__main__":
    sys.exit(main())
