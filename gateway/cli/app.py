"""The commands of `ledgate`."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter, validators

from gateway.cli.errors import CliError
from kit.config import ConfigError

# What a command needs is imported within it: `ledgate --help` and the execs answer at once.

app = App(
    name="ledgate",
    help="A payment gateway whose only moving part is PostgreSQL.",
    version=lambda: f"ledgate {version('ledgate')}",
)

# The nouns of operators: named here, imported when they are called.
for _noun, _help in {
    "merchants": "Merchants: list, show, create, and where the checkout may be framed.",
    "keys": "API keys of merchants: list, create, revoke.",
    "users": "Users of the dashboard: list, create, invite anew, grant roles, disable.",
    "endpoints": "Webhook endpoints: list, show, create, enable, disable, read a secret.",
    "payments": "Payments: list, or show one with all that came of it.",
    "deliveries": "Webhook deliveries: list, show with their attempts, retry.",
    "webhooks": "Webhooks: send a range again, find out why a signature fails.",
    "events": "The ledger of events: read its end, follow it.",
    "queue": "The open work and who works it off.",
    "histories": "The histories: from when on they are kept, and their size.",
}.items():
    app.command(f"gateway.cli.operators.{_noun}:app", name=_noun, help=_help)


def main() -> None:
    """Run the command line; expected trouble is one clear message and an exit code."""
    try:
        app(sys.argv[1:], exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _fail(f"{' '.join(str(error).split())} Try --help.", 2)
    except ConfigError as error:
        _fail(str(error), 2)
    except CliError as error:
        _fail(str(error), error.code)
    except KeyboardInterrupt:
        sys.exit(130)


@app.command
def up() -> int:
    """Start everything here: PostgreSQL, API, checkout, dashboard, dispatcher, demo shop; make a payment.

    DATABASE_URL names a database to use instead of one of our own.
    """
    from gateway.cli import up as command

    return command.run()


@app.command
def api() -> None:
    """Run the API alone; it needs DATABASE_URL."""
    _become("gateway")


@app.command
def checkout() -> None:
    """Run the hosted checkout alone: the page and checkout.js; it needs DATABASE_URL."""
    _become("gateway.checkout")


@app.command
def dashboard() -> None:
    """Run the merchants' dashboard alone; it needs DATABASE_URL."""
    _become("dashboard")


@app.command
def dispatcher() -> None:
    """Run a dispatcher alone: it delivers webhooks and processes payments; it needs DATABASE_URL."""
    _become("dispatcher")


@app.command
def test_merchant() -> None:
    """Run the demo receiver of webhooks alone."""
    _become("test_merchant")


@app.command
def demo_shop() -> None:
    """Run the demo shop alone: it sells tea through the checkout, and believes webhooks."""
    _become("demo_shop")


@app.command
def migrate(
    *,
    wait: float = 30.0,
    login: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    demo: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Bring the database of DATABASE_URL to the newest schema.

    Args:
        wait: Seconds to wait for a database that is away.
        login: api=FILE, dispatcher=FILE, dashboard=FILE, or with a name api:NAME=FILE: afterwards, make the login that
            this kind of process uses, or give it the password in the file. It may do what such a process needs and
            nothing else.
        demo: Afterwards, set up the demo merchant; outside of TEST_MODE there is none.
    """
    from gateway.cli import migrate as command

    return command.run(wait=wait, login=login, demo=demo)


@app.command
def secrets(folder: Path) -> int:
    """Make the passwords and keys of a compose installation, and each service's folder with what it needs of them.

    What is in FOLDER/own stays as it is; put your own there before the first start, one value a file.

    Args:
        folder: Where; in compose, a volume.
    """
    from gateway.cli import secrets as command

    return command.run(folder)


@app.command
def check() -> int:
    """Ask the database of DATABASE_URL whether every rule of the ledger holds; exit code 1 if one does not."""
    from gateway.cli import check as command

    return command.run()


@app.command
def demo(
    *,
    api: str | None = None,
    test_merchant: str | None = None,
    past: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=100_000))] = 4000,
    seed: int = 2024,
    again: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Make one payment against a running gateway and follow it to its verified webhooks; in test mode, make up a past.

    Args:
        api: Base URL of the API; the one of this machine by default.
        test_merchant: Base URL of the test merchant; the one of this machine by default.
        past: About how many payments of 30 days to make up, once: with refunds, webhooks and troubles. 0: none.
        seed: Another number, another past.
        again: Make up one more past, also where there is one.
    """
    from gateway.cli import demo as command

    return command.run(api, test_merchant, past=past, seed=seed, again=again)


@app.command
def reset(*, yes: Annotated[bool, Parameter(negative=())] = False) -> int:
    """Remove the embedded database. Refused while it runs.

    Args:
        yes: Do not ask.
    """
    from gateway.cli import reset as command
    from kit.embedded import EmbeddedError

    try:
        return command.run(yes=yes)
    except EmbeddedError as error:
        raise CliError(str(error)) from None


def _become(module: str) -> None:
    # Replaced, not called: signals and exit codes are the module's own. The dispatcher may not be imported
    # here anyway, since imports run one way.
    os.execv(sys.executable, [sys.executable, "-m", module])  # noqa: S606 - no shell is wanted


def _fail(message: str, code: int) -> None:
    print(f"ledgate: {message}", file=sys.stderr)  # noqa: T201 - the command's answer
    sys.exit(code)
