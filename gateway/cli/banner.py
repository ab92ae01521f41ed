"""The one screen that tells a newcomer what runs, where, and what to do next."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.cli.first_payment import BODY
from gateway.demo import KEY_ID, ORDER_IDS, PASSWORD, SECRET, USERS, WEBHOOK_SECRET

if TYPE_CHECKING:
    from gateway.cli.screen import Screen


@dataclass(frozen=True, slots=True)
class Facts:
    """What the screen tells."""

    port: int
    checkout_port: int
    dashboard_port: int
    test_merchant_port: int
    demo_shop_port: int
    database: str
    """A URL to connect to, without a password; or words, when the database is not ours."""
    psql: str | None
    """The command that opens the database."""
    data_dir: Path | None
    test_mode: bool


def show(screen: Screen, facts: Facts) -> None:
    """Print it. Commands stand outside the frame, so that they can be copied."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(facts):
        table.add_row(name, Text(value))
    screen.say()
    screen.show(Panel(table, title="Ledgate is running", border_style="green", title_align="left"))
    if facts.test_mode:
        screen.say(
            Text.assemble(
                ("Open ", "bold"), f"http://localhost:{facts.demo_shop_port}", (" and buy something.", "bold")
            )
        )
        screen.say("[bold]Give the dashboard a month of the past to show:[/]")
        screen.say(Text(f"{shown(Path(sys.executable).with_name('ledgate'))} demo"))
        screen.say("[bold]The checkout by itself:[/]")
        screen.say(Text(_checkout(facts.checkout_port)))
        screen.say("[bold]Make a payment:[/]")
        screen.say(Text(_curl(facts.port)))
    if facts.psql:
        screen.say("[bold]Look into the database:[/]")
        screen.say(Text(facts.psql))
    screen.say("[bold]Ctrl-C stops everything.[/] What the processes say follows.\n")


def psql_hint(url: str, programs: Path) -> str:
    """Give the command for `url` with the `psql` of the PATH, else with the one beside our server."""
    program = "psql" if shutil.which("psql") else os.path.relpath(programs / "psql")
    line = f"{program} {url}"
    return line if len(line) <= 80 else f"{program} \\\n  {url}"  # noqa: PLR2004 - columns of a terminal


def shown(path: Path) -> str:
    """Give a path as a person here would write it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else f"./{relative}"


def _rows(facts: Facts) -> list[tuple[str, str]]:
    rows = [
        ("API", f"http://localhost:{facts.port}/api/v1"),
        ("API docs", f"http://localhost:{facts.port}/docs"),
        ("Dashboard", f"http://localhost:{facts.dashboard_port}"),
        *([("  sign in as", f"{USERS[0].email} with {PASSWORD}")] if facts.test_mode else []),
        ("Demo shop", f"http://localhost:{facts.demo_shop_port}"),
        ("Checkout", f"http://localhost:{facts.checkout_port}/checkout.js"),
        ("Webhooks received", f"http://localhost:{facts.test_merchant_port}/received"),
    ]
    if facts.test_mode:
        rows += [("API key", KEY_ID), ("API secret", SECRET), ("Webhook secret", WEBHOOK_SECRET)]
    else:
        rows += [("Credentials", "yours: the public demo ones exist with TEST_MODE=true only")]
    rows += [("Database", facts.database)]
    if facts.data_dir:
        rows += [("Data", f"{shown(facts.data_dir)} (kept; `make clean-data` removes it)")]
    return rows


def _checkout(port: int) -> str:
    return f"http://localhost:{port}/checkout?order_id={ORDER_IDS[0]}&key={KEY_ID}"


def _curl(port: int) -> str:
    return (
        f"curl -X POST http://localhost:{port}/api/v1/payments \\\n"
        f'  -H "X-Api-Key: {KEY_ID}" -H "X-Api-Secret: {SECRET}" \\\n'
        '  -H "Idempotency-Key: unique_123" -H "Content-Type: application/json" \\\n'
        f"  -d '{json.dumps(BODY)}'"
    )
