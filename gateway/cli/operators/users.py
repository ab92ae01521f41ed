"""`ledgate users`: people who may sign in to the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from gateway import audit, users
from gateway.audit import OPERATORS, Actor
from gateway.cli.errors import CliError
from gateway.cli.operators import asked
from gateway.cli.operators.asked import Limit
from gateway.cli.operators.output import Column, Json, Row, brief, plain, show_json, show_list
from gateway.cli.operators.session import EPILOGUE, read, rows, write
from gateway.cli.screen import Screen
from gateway.config import Config
from gateway.users import Role, User
from kit.db import Connection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

app = App(
    name="users",
    help="Users of the dashboard: list, create, invite anew, grant roles, disable.",
    help_epilogue=f"{EPILOGUE} Links begin with LEDGATE_DASHBOARD_URL.",
)

MerchantOption = Annotated[str | None, Parameter(name="--merchant", help="For this merchant, mer_…")]
_COMMAND_LINE = Actor(None, "command line")


@app.command(name="list")
def list_(
    *,
    after: Annotated[str | None, Parameter(help="Go on after this id.")] = None,
    limit: Limit = 100,
    json: Json = False,
) -> int:
    """List users in the order in which they were made."""
    found = read(lambda conn: rows(conn, "operator_users", {"after": after, "limit": limit + 1}))
    shown, more = found[:limit], len(found) > limit
    if json:
        show_json({"data": shown, "has_more": more})
        return 0
    columns = (
        Column("USER", lambda row: row["email"]),
        Column("NAME", lambda row: row["name"], elastic=True),
        Column("STATE", _state),
        Column("SECOND FACTOR", lambda row: "yes" if row["second_factor"] else "no"),
        Column("WORKS FOR", _works_for, elastic=True),
        Column("CREATED", lambda row: brief(row["created_at"]), optional=True),
    )
    show_list(columns, shown, nothing="There is no user yet: ledgate users create EMAIL NAME", more=more)
    return 0


@app.command
def create(
    email: str,
    name: str,
    /,
    *,
    merchant: MerchantOption = None,
    role: Annotated[Role, Parameter(help="What the user may do for it.")] = "owner",
    operator: Annotated[bool, Parameter(negative=(), help="Sees all merchants.")] = False,
    json: Json = False,
) -> int:
    """Make a user and print the link with which they choose a password. It works once, for three days.

    Args:
        email: Signs in with it.
        name: As others see them.
    """

    async def make(conn: Connection, config: Config) -> Row:
        scope = await _scope(conn, merchant)
        address = users.read_email(email)
        if await users.find(conn, address) is not None:
            given = f"grant {plain(address)} {role} --merchant {merchant}" if merchant else f"link {plain(address)}"
            raise CliError(f"There is a user {plain(address)} already: ledgate users {given}")
        user_id = await users.add(conn, email=address, name=users.read_name(name))
        if operator:
            await users.set_operator(conn, user_id, operator=True)
        if merchant is not None:
            await users.grant(conn, merchant, user_id, role)
        detail: dict[str, object] = {"email": address, "operator": operator}
        if merchant is not None:
            detail["role"] = role
        await audit.note(conn, scope, _COMMAND_LINE, "user.created", user_id, **detail)
        return {"id": user_id, "email": address, "link": await _link(conn, config, user_id)}

    return _tell_link(write(make), json=json)


@app.command
def link(email: str, /, *, json: Json = False) -> int:
    """Print a new link with which a user chooses a password: an invitation again, or one that was forgotten.

    The password that they have works until the link is followed; then all their sessions end.

    Args:
        email: Of the user.
    """

    async def make(conn: Connection, config: Config) -> Row:
        user = await _known(conn, email)
        if user.disabled_at is not None:
            raise CliError(f"{plain(user.email)} is disabled: ledgate users enable {plain(user.email)}")
        await _note(conn, user, "user.invited")
        return {"id": user.id, "email": user.email, "link": await _link(conn, config, user.id)}

    return _tell_link(write(make), json=json)


@app.command
def grant(
    email: str,
    role: Role,
    /,
    *,
    merchant: Annotated[str, Parameter(name="--merchant", help="For this merchant, mer_…")],
    json: Json = False,
) -> int:
    """Say what a user may do for a merchant; it holds from their next click on.

    Args:
        email: Of the user.
        role: owner, developer or viewer.
    """

    async def change(conn: Connection) -> Row:
        scope = await _scope(conn, merchant)
        user = await _known(conn, email)
        before = await users.grant(conn, merchant, user.id, role)
        detail = {"role": role, "before": before}
        await audit.note(conn, scope, _COMMAND_LINE, "user.role_changed", user.id, **detail)
        return {"id": user.id, "merchant_id": merchant, "role": role, "before": before}

    return _tell(change, f"{plain(email)} is {role} of {plain(merchant)}", json=json)


@app.command
def revoke(
    email: str,
    /,
    *,
    merchant: Annotated[str, Parameter(name="--merchant", help="For this merchant, mer_…")],
    json: Json = False,
) -> int:
    """End what a user may do for a merchant; it holds from their next click on.

    Args:
        email: Of the user.
    """

    async def change(conn: Connection) -> Row:
        scope = await _scope(conn, merchant)
        user = await _known(conn, email)
        if merchant not in {one.merchant_id for one in await users.memberships(conn, user.id)}:
            raise CliError(f"{plain(user.email)} does not work for {plain(merchant)}.")
        before = await users.revoke(conn, merchant, user.id)
        await audit.note(conn, scope, _COMMAND_LINE, "user.removed", user.id, before=before)
        return {"id": user.id, "merchant_id": merchant, "role": None, "before": before}

    return _tell(change, f"{plain(email)} works for {plain(merchant)} no longer", json=json)


@app.command
def operator(
    email: str,
    /,
    *,
    off: Annotated[bool, Parameter(negative=(), help="Take it away.")] = False,
    json: Json = False,
) -> int:
    """Let a user see all merchants, or with --off no longer. Their sessions end.

    Args:
        email: Of the user.
    """

    async def change(conn: Connection) -> Row:
        user = await _known(conn, email)
        await users.set_operator(conn, user.id, operator=not off)
        await _note(conn, user, "user.operator_changed", operator=not off)
        return {"id": user.id, "operator": not off}

    return _tell(change, f"{plain(email)} is {'no operator any more' if off else 'an operator'}", json=json)


@app.command
def second_factor(
    email: str,
    /,
    *,
    remove: Annotated[bool, Parameter(negative=(), help="Take it away; ask yourself who asks you to.")] = False,
    json: Json = False,
) -> int:
    """Tell whether a user has a second factor; with --remove, end it: for one who has lost telephone and codes.

    Args:
        email: Of the user.
    """
    if not remove:
        user = read(lambda conn: _known(conn, email))
        has = user.sealed_totp is not None
        if json:
            show_json({"id": user.id, "second_factor": has})
        else:
            Screen().line("yes" if has else "no")
        return 0

    async def change(conn: Connection) -> Row:
        user = await _known(conn, email)
        await users.set_totp(conn, user.id, None, step=user.totp_step)
        await _note(conn, user, "user.second_factor_removed")
        return {"id": user.id, "second_factor": False}

    return _tell(change, f"{plain(email)} signs in with the password alone now", json=json)


@app.command
def disable(email: str, /, *, json: Json = False) -> int:
    """Shut a user out, at once and everywhere.

    Args:
        email: Of the user.
    """
    return _tell(lambda conn: _disable(conn, email, disabled=True), f"{plain(email)} is shut out", json=json)


@app.command
def enable(email: str, /, *, json: Json = False) -> int:
    """Let a user in again, who was disabled.

    Args:
        email: Of the user.
    """
    return _tell(lambda conn: _disable(conn, email, disabled=False), f"{plain(email)} may sign in again", json=json)


async def _disable(conn: Connection, email: str, *, disabled: bool) -> Row:
    user = await _known(conn, email)
    await users.set_disabled(conn, user.id, disabled=disabled)
    await _note(conn, user, "user.disabled" if disabled else "user.enabled")
    return {"id": user.id, "disabled": disabled}


async def _known(conn: Connection, email: str) -> User:
    user = await users.find(conn, email.strip().lower())
    if user is None:
        raise CliError(f"There is no user {plain(email)}; `ledgate users list` shows them.")
    return user


async def _note(conn: Connection, user: User, action: str, **detail: Any) -> None:
    """What concerns a user stands in the logs of all for whom they work, or of the operators."""
    scopes: list[Mapping[str, str | int]] = [one.scope for one in await users.memberships(conn, user.id)]
    scopes = scopes or [OPERATORS]
    for scope in scopes:
        await audit.note(conn, scope, _COMMAND_LINE, action, user.id, **detail)


async def _link(conn: Connection, config: Config, user_id: str) -> str:
    base = config.dashboard_url.rstrip("/") or f"http://localhost:{config.dashboard_port}"
    return f"{base}/login/link?token={await users.add_link(conn, user_id)}"


async def _scope(conn: Connection, merchant_id: str | None) -> Mapping[str, str | int]:
    if merchant_id is None:
        return OPERATORS
    found = await asked.merchant(conn, merchant_id)
    return {"merchant_id": merchant_id, "bucket": found["bucket"]}


def _tell(change: Callable[[Connection], Awaitable[Row]], done: str, *, json: bool) -> int:
    made = write(lambda conn, _: change(conn))
    if json:
        show_json(made)
    else:
        Screen().tick(done)
    return 0


def _tell_link(made: Row, *, json: bool) -> int:
    if json:
        show_json(made)
        return 0
    screen = Screen()
    screen.line(made["link"])
    screen.say(f"Hand the link over: it works once, for {users.LINK_LIFE // 3600} hours, and is shown only now.")
    return 0


def _state(row: Row) -> str:
    return "disabled" if row["disabled_at"] else "active" if row["joined"] else "invited"


def _works_for(row: Row) -> str:
    shown = [f"{one['merchant_id']} ({one['role']})" for one in row["memberships"]]
    return ", ".join([*(["all (operator)"] if row["operator"] else []), *shown]) or "nobody"
