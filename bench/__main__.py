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
from bench.stage import stage

if TYPE_CHECKING:
    from bench.stage import Stage

PAYMENT_FLOOR = 0.25
WEBHOOK_FLOOR = 0.3
_MARGIN = 0.5


class Scale(msgspec.Struct, frozen=True):
    """How long and how much; times in seconds."""

    rounds: int
    seconds: float
    webhook_rounds: int
    webhooks: int
    idle: float


FULL = Scale(rounds=3, seconds=8, webhook_rounds=3, webhooks=10_000, idle=5)
QUICK = Scale(rounds=2, seconds=2, webhook_rounds=2, webhooks=2_000, idle=2)


class Report:
    """Prints lines as they come, and remembers what is far below its floor."""

    def __init__(self) -> None:
        self.failed = False

    def head(self) -> None:
        """The columns of `ratio`."""
        print(f"{'':36}{'Ledgate':>10}{'peer':>10}{'ratio':>8}{'floor':>8}   rounds, ratio each")

    def ratio(self, what: str, ours: list[float], peer: list[float], ratio: float, floor: float) -> None:
        """A comparison: medians, their ratio, and the ratio of each round."""
        each = " ".join(f"{mine / theirs:.2f}" for mine, theirs in zip(ours, peer, strict=True))
        verdict = "" if ratio >= floor else "   BELOW" if ratio >= floor * _MARGIN else "   FAR BELOW"
        self.failed |= ratio < floor * _MARGIN
        print(f"{what:36}{_middle(ours):10,.0f}{_middle(peer):10,.0f}{ratio:8.2f}{floor:8.2f}   {each}{verdict}")

    def fact(self, what: str, value: str) -> None:
        """Something to know, which is not judged."""
        print(f"{what:36}{value}")


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def measure(on: Stage, scale: Scale, report: Report) -> None:
    """Everything, in order; each part on a database of its own."""
    report.head()
    with on.database("payments") as database:
        for one in payments.compare(database, rounds=scale.rounds, seconds=scale.seconds):
            report.ratio(one.what, one.ours, one.peer, one.ratio, PAYMENT_FLOOR)
            report.fact("", f"p50 {one.p50_ms:g} ms, p99 {one.p99_ms:g} ms at {payments.CLIENTS} connections")
    with on.database("deliveries") as database:
        sent = deliveries.compare(database, rounds=scale.webhook_rounds, count=scale.webhooks)
        report.ratio(f"webhooks/s, {scale.webhooks:,} drained", sent.ours, sent.peer, sent.ratio, WEBHOOK_FLOOR)
    if on.counts_statements:
        with on.database("statements") as database:
            for what, counted in (
                ("commits per payment", statements.payments(database, seconds=scale.seconds / 2)),
                ("commits per webhook", statements.webhooks(database, count=scale.webhooks)),
            ):
                detail = ", ".join(f"{name} {calls}" for name, calls in counted.calls.items())
                report.fact(what, f"{counted.commits:.3f} ({counted.units:,}: {detail})")
        with on.database("idle") as database:
            idle = statements.idle(database, seconds=scale.idle)
            text = (
                f"{idle.statements:.0f} statements/s, {idle.cpu:.1%} of a processor, PostgreSQL {idle.server_cpu:.1%}"
            )
            report.fact("idle dispatcher", text)
    with on.database("claims") as database:
        pages = claims.measure(database, dead=70_000)
        text = f"{pages.from_floor:,} pages with floors, {pages.from_beginning:,} without"
        report.fact(f"empty claim, {pages.dead:,} dead rows", text)


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
