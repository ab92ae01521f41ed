"""`ledgate webhooks verify`: why a signature fails, with a database or without."""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter, validators

from gateway import evidence
from gateway.cli.errors import CliError
from gateway.cli.operators import asked
from gateway.cli.operators.output import Json, facts, plain, show_json, span
from gateway.cli.operators.session import connect, find
from gateway.cli.screen import Screen
from gateway.merchants import Merchant
from gateway.mistakes import WORDS
from gateway.secrets import make_sealer
from gateway.signatures import TOLERANCE, Diagnosis, Given, diagnose
from gateway.trials import Known
from kit.seal import SealError

_SECRET = "WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
_MOST = 1024 * 1024  # bytes of a file that somebody names by mistake


def verify(
    *,
    body: Annotated[
        str, Parameter(allow_leading_hyphen=True, help="File with the body as the check saw it; - for standard input.")
    ],
    headers: Annotated[
        str | None, Parameter(allow_leading_hyphen=True, help="File with the headers: lines, or a JSON object; - too.")
    ] = None,
    header: Annotated[
        list[str] | None, Parameter(name=["--header", "-H"], help="name: value; as often as needed.")
    ] = None,
    secret: Annotated[
        str | None, Parameter(help="As the receiver has it. Shells remember it: rather --secret-file.")
    ] = None,
    secret_file: Annotated[str | None, Parameter(help="File that holds the secret, as the receiver reads it.")] = None,
    computed: Annotated[str | None, Parameter(help="The signature that the receiver's code computes.")] = None,
    merchant: Annotated[str | None, Parameter(help="Ask the database too, about this merchant: mer_…")] = None,
    endpoint: Annotated[str | None, Parameter(help="With --merchant: where it was sent to, whep_…")] = None,
    at: Annotated[
        str | None, Parameter(help="When it was received: unix seconds, or a UTC time; now by default.")
    ] = None,
    tolerance: Annotated[
        int, Parameter(validator=validators.Number(gte=1, lte=604_800), help="Seconds that a timestamp may be away.")
    ] = TOLERANCE,
    json: Json = False,
) -> int:
    """Check a webhook as a receiver should, and say which of the known mistakes it is. Exit code 1 if one was made.

    It needs no database. With --merchant it knows the merchant's secrets and what was sent, and can tell more; that
    needs LEDGATE_SECRET_KEYS, or TEST_MODE=true. The secret may come from the variable WEBHOOK_SECRET as well; without
    one, --merchant asks with what signs now, and a terminal is asked.
    """
    if endpoint is not None and merchant is None:
        raise CliError("--endpoint needs --merchant.", code=2)
    known_headers = _headers(_read(headers) if headers else b"", header or ())
    held = _secret(secret, secret_file, may_lack=merchant is not None)
    given = Given(_read(body), known_headers, held, computed)
    known = asyncio.run(_known(given, merchant, endpoint)) if merchant is not None else None
    found = diagnose(given, known, now=_time(at), tolerance=tolerance)
    if json:
        show_json(found)
    else:
        _show(found)
    return 1 if found.mistakes else 0


async def _known(given: Given, merchant: str, endpoint: str | None) -> Known:
    target = find()
    sealer = make_sealer(target.config)
    async with connect(target, writes=False) as conn, conn.transaction():
        row = await asked.merchant(conn, merchant)
        whose = Merchant(merchant, row["bucket"], row["name"], "operator", frozenset())
        try:
            return await evidence.gather(conn, whose, sealer, given, endpoint_id=endpoint)
        except SealError as error:
            raise CliError(f"The merchant's secrets cannot be opened: {error}") from None


def _secret(secret: str | None, file: str | None, *, may_lack: bool) -> str | None:
    if secret is not None and file is not None:
        raise CliError("--secret or --secret-file, not both.", code=2)
    if file is not None:
        secret = _read(file).decode("utf-8", "replace")
    secret = secret or os.environ.get(_SECRET) or None
    if secret is None and not may_lack:
        if not sys.stdin.isatty():
            raise CliError(f"No secret: --secret-file, the variable {_SECRET}, or --merchant.", code=2)
        secret = getpass.getpass("Secret: ") or None
        if secret is None:
            raise CliError("No secret was typed.", code=2)
    return secret


def _read(name: str) -> bytes:
    try:
        found = sys.stdin.buffer.read(_MOST + 1) if name == "-" else _head(Path(name))
    except OSError as error:
        raise CliError(f"{plain(name)} cannot be read: {error.strerror}.", code=2) from None
    if len(found) > _MOST:
        raise CliError(f"{plain(name)} is larger than 1 MiB; a webhook is not.", code=2)
    return found


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST + 1)


def _headers(file: bytes, options: Any) -> dict[str, str]:
    text = file.decode("utf-8", "replace").strip()
    found: dict[str, str] = {}
    lines = [*options]
    if text.startswith("{"):
        try:
            given = msgspec.json.decode(text, type=dict[str, str | list[str]])
        except (msgspec.MsgspecError, ValueError):
            raise CliError("--headers: no JSON object of texts.", code=2) from None
        found = {name: value if isinstance(value, str) else ", ".join(value) for name, value in given.items()}
    else:
        # The first line of a request that was written down whole is none.
        lines = [
            line for line in text.splitlines() if line.strip() and not line.startswith(("POST ", "> POST "))
        ] + lines
    for line in lines:
        name, colon, value = line.removeprefix("> ").partition(":")
        if not colon or not name.strip():
            raise CliError(f"No header: {plain(line)[:60]}. Write name: value.", code=2)
        found[name.strip()] = value.strip()
    return found


def _time(text: str | None) -> float:
    if text is None:
        return time.time()
    try:
        if text.isdigit():
            return float(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CliError(
            f"--at {plain(text)}: neither unix seconds nor a time such as 2026-01-31T10:00.", code=2
        ) from None
    return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp()


def _show(found: Diagnosis) -> None:
    screen = Screen()
    (screen.cross if found.mistakes else screen.tick)(found.description)
    if found.hint:
        screen.say(f"  {found.hint}")
    for mistake in found.mistakes[1:]:
        screen.cross(WORDS[mistake].description)
    checks = found.checks
    screen.say()
    facts(
        screen,
        (
            ("webhook-signature", checks.webhook_signature),
            ("X-Webhook-Signature", checks.x_webhook_signature),
            ("timestamp", checks.timestamp + _age(checks.age_seconds)),
            ("body", {"same": "the ledger's", "different": f"not the ledger's{_place(found.offset)}"}.get(checks.body)),
            ("written anew", ", ".join(found.marks) or None),
            ("secret", checks.secret.replace("_", " ") if checks.secret else "what signs now"),
            ("of endpoint", checks.secret_endpoint_id),
            ("signs until", checks.secret_until.isoformat(" ", "seconds") if checks.secret_until else None),
        ),
    )


def _age(seconds: int | None) -> str:
    if not seconds:
        return ""
    return f", {span(abs(seconds))} {'old' if seconds > 0 else 'ahead'}"


def _place(offset: int | None) -> str:
    return "" if offset is None else f", from byte {offset} on"
