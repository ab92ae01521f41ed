"""Sign in: count the try, compare in constant time, begin a session that means no more than what was proven."""

from __future__ import annotations

import hashlib
import ipaddress
import time
from typing import TYPE_CHECKING, NamedTuple

import structlog

from dashboard import sessions
from dashboard.sessions import SQL, Session
from gateway import audit, passwords, totp, users
from gateway.audit import OPERATORS, Actor
from gateway.errors import BadRequestError, RateLimitedError
from kit.db import fetch

if TYPE_CHECKING:
    from gateway.api.app import Gateway
    from gateway.users import User
    from kit.db import Connection

log = structlog.get_logger()

WRONG = "E-mail address or password is wrong."
CODE_WRONG = "This code is wrong, or was used before."
_FREE, _LONGEST = 5, 300  # tries of an account without a wait; the longest wait in seconds
_FREE_OF_ADDRESS, _LONGEST_OF_ADDRESS = 20, 900


class Browser(NamedTuple):
    """Where a sign-in comes from."""

    address: str
    user_agent: str
    known: str = ""
    """Which of the user's browsers it is, if they have signed in with it before."""


class Tries(NamedTuple):
    """Whose tries are counted."""

    subject: str
    network: str


class RefusedError(BadRequestError):
    """A sign-in that was wrong; which part of it is not told."""


async def by_password(gateway: Gateway, browser: Browser, email: str, password: str, next_path: str) -> str:
    """Sign in with a password; the token of the new session, whose stage may be `second`.

    Raises:
        RefusedError: unknown user, wrong password, disabled: one answer, after one time.
        RateLimitedError: too many tries of this account or from this address, right or wrong.
    """
    # Counted for itself, or whoever knows an address could keep its owner out for ever, by a guess every five minutes.
    subject = f"known:{_digest(f'{browser.known} {email}')}" if browser.known else f"user:{_digest(email)}"
    tries = _tries(subject, browser)
    async with gateway.database.connection() as conn:
        await _count(conn, tries)
        user = await users.find(conn, email)
    right = await passwords.verify(user.password_hash if user else None, password)
    if not right or user is None or user.disabled_at is not None:
        log.info("sign_in.refused", by="password", address=browser.address)
        raise RefusedError(WRONG, field="password", reason="credentials_wrong")
    async with gateway.database.transaction() as conn:
        held = await users.hold(conn, user.id)
        if held is None or held.disabled_at is not None or held.password_hash != user.password_hash:
            # Changed while it was compared: it opens nothing any more.
            raise RefusedError(WRONG, field="password", reason="credentials_wrong")
        await _forgive(conn, tries)
        if user.password_hash and passwords.is_old(user.password_hash):
            await users.renew_hash(conn, user, await passwords.make(password))
        if held.sealed_totp is not None:
            return await sessions.begin(
                conn, gateway.config, stage="second", user_id=user.id, merchant_id=None, next_path=next_path,
                address=browser.address, user_agent=browser.user_agent,
            )  # fmt: skip
        return await admit(conn, gateway, browser, user, "password")


async def by_second_factor(gateway: Gateway, browser: Browser, session: Session, typed: str) -> str:
    """Prove the second factor by a code of the app, or by a recovery code; the token of the full session.

    Raises:
        RefusedError: a wrong code, or one that was used before.
        RateLimitedError: too many tries.
    """
    user_id = session.user_id or ""
    tries = await count_code(gateway, browser, user_id)
    async with gateway.database.transaction() as conn:
        user = await users.hold(conn, user_id)
        if not await fetch(conn, SQL["take_session"], {"id": session.id}):
            # It ended while the code was on its way: by a new password, or by the same code sent twice.
            raise RefusedError("This sign-in has run out. Begin anew.", field="code", reason="session_ended")
        if user is None or not (how := await use_code(conn, gateway, user, typed, tries)):
            log.info("sign_in.refused", by="second factor", address=browser.address)
            raise RefusedError(CODE_WRONG, field="code", reason="code_wrong")
        return await admit(conn, gateway, browser, user, how)


async def count_code(gateway: Gateway, browser: Browser, user_id: str) -> Tries:
    """Count a code before it is judged, whatever it is asked for: a million of them would be all.

    Raises:
        RateLimitedError: too many tries.
    """
    tries = _tries(f"second:{user_id}", browser)
    async with gateway.database.connection() as conn:
        await _count(conn, tries)
    return tries


async def use_code(conn: Connection, gateway: Gateway, user: User, typed: str, tries: Tries) -> str | None:
    """Take a code of the user's app, or a recovery code; by which it was, or None for a wrong one."""
    how = await _use_code(conn, gateway, user, typed)
    if how is not None:
        await _forgive(conn, tries)
    return how


async def _use_code(conn: Connection, gateway: Gateway, user: User, typed: str) -> str | None:
    if user.sealed_totp is None:
        return None
    secret = gateway.sealer.unseal(user.sealed_totp, context=f"totp:{user.id}")
    step = totp.match(secret, typed, now=time.time(), after=user.totp_step)
    if step is not None:
        return "password and code" if await users.use_totp(conn, user.id, step) else None
    return "password and recovery code" if await users.use_recovery_code(conn, user.id, typed) else None


async def by_key(gateway: Gateway, browser: Browser, key_id: str, secret: str) -> str:
    """Come with an API key of the scope `dashboard` and its secret, to make the merchant's first owner.

    Raises:
        RefusedError: a key that is wrong, lacks the scope, or whose merchant has an owner already.
        RateLimitedError: too many tries.
    """
    tries = _tries(f"key:{_digest(key_id)}", browser)
    async with gateway.database.connection() as conn:
        await _count(conn, tries)
    try:
        merchant = await gateway.credentials.check(key_id, secret)
    except Exception as error:
        if getattr(error, "status", 0) != 401:  # noqa: PLR2004 - unknown, revoked or wrong
            raise
        log.info("sign_in.refused", by="key", address=browser.address)
        raise RefusedError("API key or secret is wrong.", field="secret", reason="credentials_wrong") from None
    if "dashboard" not in merchant.scopes:
        raise RefusedError("This API key lacks the scope dashboard.", field="key_id", reason="scope_missing")
    async with gateway.database.transaction() as conn:
        await _forgive(conn, tries)
        if await users.has_owner(conn, merchant.merchant_id):
            text = "This merchant has an owner already: sign in as a user, or ask the owner for an invitation."
            raise RefusedError(text, field="key_id", reason="owner_exists")
        await audit.note(
            conn, merchant.scope, Actor(None, f"API key {key_id}", browser.address), "sign_in.by_key", key_id
        )
        return await sessions.begin(
            conn, gateway.config, stage="setup", user_id=None, merchant_id=merchant.merchant_id,
            address=browser.address, user_agent=browser.user_agent,
        )  # fmt: skip


async def make_owner(
    gateway: Gateway, browser: Browser, session: Session, *, email: str, name: str, password: str
) -> str:
    """Make the first owner of the merchant whose key was brought; the token of the full session.

    Raises:
        BadRequestError: the e-mail address or the password cannot be used, or somebody was faster.
    """
    passwords.check(password, about=(email, name))
    hashed = await passwords.make(password)
    merchant_id = session.merchant_id or ""
    scope: dict[str, str | int] = {"merchant_id": merchant_id, "bucket": session.bucket or 0}
    async with gateway.database.transaction() as conn:
        if await users.has_owner(conn, merchant_id):
            raise BadRequestError("This merchant has an owner by now.", field="email", reason="owner_exists")
        user_id = await users.add(conn, email=email, name=name)
        await users.set_password(conn, user_id, hashed)
        await users.grant(conn, merchant_id, user_id, "owner")
        await audit.note(conn, scope, Actor(user_id, email, browser.address), "user.created", user_id, role="owner")
        await sessions.end(conn, session)
        user = await users.get(conn, user_id)
        assert user is not None  # noqa: S101 - made above
        return await admit(conn, gateway, browser, user, "setup")


async def by_link(gateway: Gateway, browser: Browser, token: str, password: str) -> str | None:
    """Choose a password by a link, and sign in; the new token, or None for a link that works no longer.

    A user with a second factor still has to prove it: the link stands for the password alone.

    Raises:
        BadRequestError: the password cannot be used.
    """
    async with gateway.database.connection() as conn:
        known = await users.find_link(conn, token)
    if known is None:
        return None
    passwords.check(password, about=(known["email"], known["name"]))
    hashed = await passwords.make(password)
    async with gateway.database.transaction() as conn:
        user = await users.get(conn, known["id"])
        if user is None or not await users.use_link(conn, token):
            return None
        await users.set_password(conn, user.id, hashed)
        if user.sealed_totp is None:
            return await admit(conn, gateway, browser, user, "link")
        return await sessions.begin(
            conn, gateway.config, stage="second", user_id=user.id, merchant_id=None,
            address=browser.address, user_agent=browser.user_agent,
        )  # fmt: skip


async def admit(conn: Connection, gateway: Gateway, browser: Browser, user: User, how: str) -> str:
    """Begin the full session of a user who has proven everything, and note it; its token.

    Who works for several merchants goes on with the one that they turned to last.
    """
    found = users.usual(await users.memberships(conn, user.id))
    scope = found.scope if found else OPERATORS
    await audit.note(conn, scope, Actor(user.id, user.email, browser.address), "session.began", user.id, by=how)
    return await sessions.begin(
        conn, gateway.config, stage="full", user_id=user.id, merchant_id=found.merchant_id if found else None,
        address=browser.address, user_agent=browser.user_agent,
    )  # fmt: skip


async def confirm(gateway: Gateway, browser: Browser, user_id: str, password: str) -> User:
    """Who is signed in shows that they still are whoever signed in; counted like a sign-in.

    Raises:
        RefusedError: it is not the user's password.
        RateLimitedError: too many tries.
    """
    tries = _tries(f"confirm:{user_id}", browser)
    async with gateway.database.connection() as conn:
        await _count(conn, tries)
        user = await users.get(conn, user_id)
    if user is None or not await passwords.verify(user.password_hash, password):
        raise RefusedError("That is not your password.", field="password", reason="credentials_wrong")
    async with gateway.database.connection() as conn:
        await _forgive(conn, tries)
    return user


def _tries(subject: str, browser: Browser) -> Tries:
    try:
        address = ipaddress.ip_address(browser.address)
    except ValueError:
        return Tries(subject, f"net:{browser.address}")
    # Whoever has one IPv6 address has 2^64 of them.
    network = ipaddress.ip_network((address, 64 if address.version == 6 else 32), strict=False)  # noqa: PLR2004
    return Tries(subject, f"net:{network}")


async def _count(conn: Connection, tries: Tries) -> None:
    # The address first: one that is blocked keeps nobody else waiting.
    for subject, free, longest in (
        (tries.network, _FREE_OF_ADDRESS, _LONGEST_OF_ADDRESS),
        (tries.subject, _FREE, _LONGEST),
    ):
        values = {"subject": subject, "free": free, "longest": longest}
        if not await fetch(conn, SQL["take_try"], values):
            rows = await fetch(conn, SQL["read_block"], {"subject": subject})
            seconds = rows[0]["seconds"] if rows else 1.0
            log.info("sign_in.blocked", by=subject.partition(":")[0])
            text = f"Too many tries. Wait {_wait(seconds)}, then try again."
            raise RateLimitedError(text, retry_after=seconds, rate=(free, 0, int(seconds) + 1))


async def _forgive(conn: Connection, tries: Tries) -> None:
    await conn.execute(SQL["forget_tries"], {"subject": tries.subject})
    await conn.execute(SQL["give_try_back"], {"subject": tries.network})


def _wait(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004
        return f"{int(seconds) + 1} seconds"
    return f"{int(seconds / 60) + 1} minutes"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
