"""Measure Ledgate against its peers, all in one run: `python -m bench [--quick]`.

Machines differ and are noisy; only ratios within one run are judged, and their medians at that. The exit code is 1
when a ratio is below half of its floor: a defect, not noise.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from bench import claims, deliveries, payments, statements
from bench.compared import middle
from bench.stage import stage

if TYPE_CHECKING:
    from bench.compared import Compared
    from bench.stage import Stage
    from bench.statements import Counted

PAYMENT_FLOOR = 0.25
WEBHOOK_FLOOR = 0.3
_MARGIN = 0.5


class Scale(msgspec.Struct, frozen=True):
    """How long and how much; times in seconds."""

    rounds: int
    seconds: float
    webhooks: int
    idle: float
    due: int
    """Rows that a claim is tried on."""


FULL = Scale(rounds=3, seconds=8, webhooks=10_000, idle=5, due=20_000)
QUICK = Scale(rounds=2, seconds=2, webhooks=2_000, idle=1.5, due=10_000)


class Report:
    """Prints lines as they come, and remembers what is far below its floor."""

    def __init__(self) -> None:
        self.failed = False

    def head(self) -> None:
        """The columns of `ratio`."""
        print(f"{'':36}{'Ledgate':>10}{'peer':>10}{'ratio':>8}{'floor':>8}   each round")

    def ratio(self, found: Compared, floor: float) -> None:
        """A comparison: median rates, the median ratio, each round's ratio; and processor time for one unit."""
        ours, peer = middle(found.ours), middle(found.peer)
        verdict = "" if found.ratio >= floor else "  below" if found.ratio >= floor * _MARGIN else "  FAR BELOW"
        self.failed |= found.ratio < floor * _MARGIN
        each = " ".join(f"{ratio:.2f}" for ratio in found.ratios)
        print(f"{found.what:36}{ours.rate:10,.0f}{peer.rate:10,.0f}{found.ratio:8.2f}{floor:8.2f}   {each}{verdict}")
        parts = [(ours.processes, "ours"), (ours.server, "PostgreSQL")]
        against = [(peer.processes, "the client"), (peer.server, "PostgreSQL")]
        said = " against ".join(
            " + ".join(f"{name} {seconds * 1e6:,.0f}" for seconds, name in side if seconds) for side in (parts, against)
        )
        self.fact("", f"processor time each, in us: {said}")
        if found.note:
            self.fact("", found.note)

    def counted(self, what: str, counted: Counted) -> None:
        """Calls of each statement for one unit of work."""
        detail = ", ".join(f"{name} {calls:,}" for name, calls in counted.calls.items())
        self.fact(what, f"{counted.commits:.3f}  ({counted.units:,}: {detail})")

    def fact(self, what: str, value: str) -> None:
        """Something to know, which is not judged."""
        print(f"{what:36}{value}")


def measure(on: Stage, scale: Scale, report: Report) -> None:
    """Everything, in order."""
    report.head()
    with on.database("payments") as database:
        for one in payments.compare(database, rounds=scale.rounds, seconds=scale.seconds):
            report.ratio(one, PAYMENT_FLOOR)
        if on.counts_statements:
            report.counted("commits per payment", statements.payments(database, seconds=scale.seconds / 2))
    with on.database("deliveries") as database:
        report.ratio(deliveries.compare(database, rounds=scale.rounds, count=scale.webhooks), WEBHOOK_FLOOR)
        if on.counts_statements:
            report.counted("commits per webhook", statements.webhooks(database, count=scale.webhooks))
            idle = statements.idle(database, seconds=scale.idle)
            text = (
                f"{idle.statements:.0f} statements/s, {idle.cpu:.1%} of a processor, PostgreSQL {idle.server_cpu:.1%}"
            )
            report.fact("idle dispatcher", text)
    with on.database("claims") as database:
        pages = claims.with_dead_rows(database, dead=70_000)
        text = f"{pages.from_floor:,} pages with floors, {pages.from_beginning:,} without"
        report.fact("empty claim, 70,000 dead rows", text)
        planned = claims.with_old_statistics(database, due=scale.due)
        text = f"{planned.fresh * 1e3:,.0f} ms; {planned.misled * 1e3:,.0f} ms when ANALYZE saw an empty queue"
        report.fact(f"claim of 200 among {scale.due:,}", text)


def main() -> None:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short rounds, under a minute; what CI runs")
    scale = QUICK if parser.parse_args().quick else FULL
    report, began = Report(), time.monotonic()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    with stage() as on:
        print(f"PostgreSQL {on.server.version}, durable commits; {os.cpu_count()} processors for everything\n")
        measure(on, scale, report)
    print(f"\n{time.monotonic() - began:.0f} s")
    if report.failed:
        sys.exit("a ratio is below half of its floor")


if __name__ == "__main__":
    main()
