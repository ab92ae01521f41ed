"""Users: people who work for merchants in the dashboard, their roles, passwords and second factors."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from gateway import totp
from gateway.errors import BadRequestError, NotFoundError
from gateway.merchants import SQL
from kit import ids
from kit.db import fetch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kit.db import Connection

Role = Literal["owner", "developer", "viewer"]
ROLES: tuple[Role, ...] = ("viewer", "developer", "owner")
"""From the one who may only look to the one who may do everything."""

LINK_LIFE = 72 * 3600
"""Seconds for which a link works with which a user chooses a password."""
MAX_MEMBERS = 200
_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f]{1,64}@[^\s@.\x00-\x1f\x7f]+(\.[^\s@.\x00-\x1f\x7f]+)*\Z")
_EMAIL_MOST, _NAME_MOST = 254, 100


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person. Times in UTC."""

    id: str
    email: str
    name: str
    operator: bool
    password_hash: str | None
    """argon2id; None until the first link was followed."""
    sealed_totp: bytes | None
    totp_step: int
    created_at: datetime
    disabled_at: datetime | None


class Membership(msgspec.Struct, frozen=True):
    """A merchant that a user may act for."""

    merchant_id: str
    bucket: int
    name: str
    role: Role
    created_at: datetime
    chosen_at: datetime | None
    """When the user turned to it the last time."""

    @property
    def scope(self) -> dict[str, str | int]:
        """What every statement names: the merchant and its bucket."""
        return {"bucket": self.bucket, "merchant_id": self.merchant_id}


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A user as the merchant's other users see it. Times in UTC."""

    id: str
    email: str
    name: str
    role: Role
    joined: bool
    """Whether it has chosen a password."""
    second_factor: bool
    disabled_at: datetime | None
    created_at: datetime
    seen_at: datetime | None


def may(role: Role | None, needed: Role) -> bool:
    """Whether a role includes another: an owner may do what a developer may, and that one what a viewer may."""
    return role is not None and ROLES.index(role) >= ROLES.index(needed)


def read_email(text: str) -> str:
    """An e-mail address as it is stored: lower case, without spaces around it.

    Raises:
        BadRequestError: it is none.
    """
    email = text.strip().lower()
    if len(email) > _EMAIL_MOST or not _EMAIL.match(email):
        raise BadRequestError(
            "Enter an e-mail address such as name@example.com.", field="email", reason="email_invalid"
        )
    return email


def read_name(text: str) -> str:
    """A person's name.

    Raises:
        BadRequestError: it is empty, too long or cannot be read.
    """
    name = " ".join(text.split())
    if not name or len(name) > _NAME_MOST or not name.isprintable():
        raise BadRequestError(f"Enter a name of 1 to {_NAME_MOST} characters.", field="name", reason="name_invalid")
    return name


def hash_token(token: str) -> bytes:
    """SHA-256: tokens are random, so a slow hash would protect nothing."""
    return hashlib.sha256(token.encode()).digest()


async def find(conn: Connection, email: str) -> User | None:
    """The user of an e-mail address, as `read_email` gives it."""
    return _one(await fetch(conn, SQL["find_user"], {"email": email}))


async def get(conn: Connection, user_id: str) -> User | None:
    """The user of an id."""
    return _one(await fetch(conn, SQL["get_user"], {"id": user_id}))


async def hold(conn: Connection, user_id: str) -> User | None:
    """The same, and nobody changes it until the transaction's end."""
    return _one(await fetch(conn, SQL["hold_user"], {"id": user_id}))


async def add(conn: Connection, *, email: str, name: str) -> str:
    """Make a user without a password; its id.

    Raises:
        BadRequestError: `email_taken`.
    """
    rows = await fetch(conn, SQL["add_user"], {"id": ids.new("usr"), "email": email, "name": name})
    if not rows:
        raise BadRequestError("There is a user with this e-mail address.", field="email", reason="email_taken")
    return str(rows[0]["id"])


async def set_password(conn: Connection, user_id: str, password_hash: str) -> None:
    """Give a user a password, within a transaction. All its sessions and links end.

    Raises:
        NotFoundError: the user is gone or disabled.
    """
    await hold(conn, user_id)  # a sign-in that still goes on is over first: its session is then one from before
    if not await fetch(conn, SQL["set_password"], {"id": user_id, "password_hash": password_hash}):
        raise NotFoundError("there is no such user")


async def renew_hash(conn: Connection, user: User, password_hash: str) -> None:
    """Keep the same password under today's parameters; no session ends."""
    values = {"id": user.id, "old_hash": user.password_hash, "password_hash": password_hash}
    await conn.execute(SQL["renew_hash"], values)


async def rename(conn: Connection, user_id: str, name: str) -> None:
    """Change what others call a user; `name` as `read_name` gives it."""
    await conn.execute(SQL["rename_user"], {"id": user_id, "name": name})


async def set_operator(conn: Connection, user_id: str, *, operator: bool) -> None:
    """Say whether a user sees all merchants, within a transaction. Its sessions end."""
    await hold(conn, user_id)
    await conn.execute(SQL["operator_set_operator"], {"id": user_id, "operator": operator})


async def set_disabled(conn: Connection, user_id: str, *, disabled: bool) -> None:
    """Shut a user out, or let it in again, within a transaction. Its sessions end."""
    await hold(conn, user_id)
    await conn.execute(SQL["operator_disable_user"], {"id": user_id, "disabled": disabled})


async def set_totp(conn: Connection, user_id: str, sealed: bytes | None, *, step: int) -> None:
    """Give a user a second factor, or take it away, within a transaction. Sessions and recovery codes end.

    Args:
        conn: within a transaction.
        user_id: whose.
        sealed: the secret, sealed for `totp:<user id>`; None for no second factor.
        step: of the code that proved it: it is not good again.
    """
    await hold(conn, user_id)
    await conn.execute(SQL["set_totp"], {"id": user_id, "sealed_totp": sealed, "step": step})


async def use_totp(conn: Connection, user_id: str, step: int) -> bool:
    """Take a code by its step; False if it, or a later one, was used before."""
    return bool(await fetch(conn, SQL["use_totp"], {"id": user_id, "step": step}))


async def count_recovery_codes(conn: Connection, user_id: str) -> int:
    """How many are left."""
    (row,) = await fetch(conn, SQL["count_recovery_codes"], {"id": user_id})
    return int(row["codes"])


async def add_link(conn: Connection, user_id: str) -> str:
    """The token of a link with which the user chooses a password; the ones before stop working."""
    token = secrets.token_urlsafe(32)
    values = {"id": user_id, "token_hash": hash_token(token), "seconds": LINK_LIFE}
    await conn.execute(SQL["add_password_link"], values)
    return token


async def find_link(conn: Connection, token: str) -> dict[str, Any] | None:
    """Whose link it is: id, email, name; None when it works no longer."""
    rows = await fetch(conn, SQL["find_password_link"], {"token_hash": hash_token(token)})
    return rows[0] if rows else None


async def use_link(conn: Connection, token: str) -> bool:
    """Follow a link, within the transaction that sets the password; whether it still worked."""
    return bool(await fetch(conn, SQL["use_password_link"], {"token_hash": hash_token(token)}))


async def memberships(conn: Connection, user_id: str) -> list[Membership]:
    """The merchants that a user may act for, by name; at most 200."""
    return msgspec.convert(await fetch(conn, SQL["memberships_of"], {"id": user_id}), list[Membership])


def usual(own: Sequence[Membership]) -> Membership | None:
    """Where a user goes on: at the merchant that they turned to last, or else the first that they worked for."""
    turned = [one for one in own if one.chosen_at is not None]
    if turned:
        return max(turned, key=lambda one: one.chosen_at or one.created_at)
    return min(own, key=lambda one: (one.created_at, one.merchant_id), default=None)


async def choose(conn: Connection, merchant_id: str, user_id: str) -> None:
    """Remember that a user has turned to a merchant."""
    await conn.execute(SQL["choose_membership"], {"merchant_id": merchant_id, "id": user_id})


async def members(conn: Connection, merchant_id: str) -> list[Member]:
    """A merchant's users, owners first."""
    return msgspec.convert(await fetch(conn, SQL["list_members"], {"merchant_id": merchant_id}), list[Member])


async def grant(
    conn: Connection, merchant_id: str, user_id: str, role: Role, *, only_members: bool = False
) -> Role | None:
    """Say what a user may do for a merchant, within a transaction; the role before.

    Args:
        conn: within a transaction; whoever else changes this merchant's users waits for its end.
        merchant_id: for whom.
        user_id: who.
        role: what they may do.
        only_members: change it, and give nobody a first one.

    Raises:
        NotFoundError: `only_members`, and it is no user of this merchant.
        BadRequestError: `last_owner`, or `too_many_members`.
    """
    stands = await _judge(conn, merchant_id, user_id)
    if only_members and stands["role"] is None:
        raise NotFoundError("there is no such user")
    if stands["role"] == "owner" and role != "owner" and not stands["other_owners"]:
        raise BadRequestError("A merchant keeps at least one owner.", field="role", reason="last_owner")
    if stands["role"] is None and stands["members"] >= MAX_MEMBERS:
        raise BadRequestError(f"A merchant has at most {MAX_MEMBERS} users.", reason="too_many_members")
    await conn.execute(SQL["grant_role"], {"merchant_id": merchant_id, "id": user_id, "role": role})
    before: Role | None = stands["role"]
    return before


async def revoke(conn: Connection, merchant_id: str, user_id: str) -> Role:
    """End what a user may do for a merchant, within a transaction; the role before.

    Raises:
        NotFoundError: it is no user of this merchant.
        BadRequestError: `last_owner`.
    """
    stands = await _judge(conn, merchant_id, user_id)
    if stands["role"] is None:
        raise NotFoundError("there is no such user")
    if stands["role"] == "owner" and not stands["other_owners"]:
        raise BadRequestError("A merchant keeps at least one owner.", field="role", reason="last_owner")
    await conn.execute(SQL["revoke_role"], {"merchant_id": merchant_id, "id": user_id})
    before: Role = stands["role"]
    return before


async def has_owner(conn: Connection, merchant_id: str) -> bool:
    """Whether a merchant has an owner who can sign in, within a transaction: who asks at the same time waits."""
    return bool((await _judge(conn, merchant_id, ""))["other_owners"])


async def new_recovery_codes(conn: Connection, user_id: str) -> list[str]:
    """Codes in place of all that were made before, within a transaction. They are stored hashed alone."""
    codes = totp.new_recovery_codes()
    await conn.execute(SQL["clear_recovery_codes"], {"id": user_id})
    hashes = msgspec.json.encode([hash_token(one).hex() for one in codes]).decode()
    await conn.execute(SQL["add_recovery_codes"], {"id": user_id, "hashes": hashes})
    return codes


async def use_recovery_code(conn: Connection, user_id: str, typed: str) -> bool:
    """Take a recovery code; whether it was one."""
    plain = "".join(letter for letter in typed.lower() if letter.isalnum())
    code = "-".join(plain[n : n + 4] for n in range(0, len(plain), 4))
    return bool(await fetch(conn, SQL["use_recovery_code"], {"id": user_id, "code_hash": hash_token(code)}))


async def _judge(conn: Connection, merchant_id: str, user_id: str) -> Mapping[str, Any]:
    whose = {"merchant_id": merchant_id}
    await conn.execute(SQL["lock_members"], whose)
    (row,) = await fetch(conn, SQL["judge_members"], whose | {"id": user_id})
    return row


def _one(rows: list[dict[str, Any]]) -> User | None:
    return msgspec.convert(rows[0], User) if rows else None
