"""Passwords of users: argon2id, hashed in threads, with rules that ask for length and nothing else."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LEAST, MOST = 12, 256
_AT_ONCE = 2  # each takes 64 MiB and a core for a twentieth of a second
# RFC 9106's second choice, for servers that cannot spare 2 GiB for each sign-in.
_hasher = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=1)
_COMMON = ("password", "ledgate", "123456", "qwerty", "letmein", "welcome")


def check(password: str, *, about: tuple[str, ...] = (), field: str = "password") -> None:
    """Refuse a password that is guessed first.

    Args:
        password: what the user wants.
        about: what others know of the user, such as name and e-mail address.
        field: what it is called in the form.

    Raises:
        BadRequestError: `password_weak`, with the reason in words.
    """
    text = password.casefold()
    if len(password) < LEAST:
        raise _weak(field, f"Use at least {LEAST} characters; a few words in a row are good.")
    if len(password) > MOST:
        raise _weak(field, f"Use at most {MOST} characters.")
    if len(set(text)) < 5:  # noqa: PLR2004 - fewer are a pattern
        raise _weak(field, "Use more different characters.")
    known = [part for one in about for part in one.casefold().replace("@", " ").replace(".", " ").split()]
    rest = text
    for word in (*_COMMON, *(word for word in known if len(word) > 3)):  # noqa: PLR2004 - shorter ones are in anything
        rest = rest.replace(word, "")
    if len(rest) < LEAST // 2:
        raise _weak(field, "That is guessed first: use words that have nothing to do with you or with us.")


async def make(password: str) -> str:
    """The hash of a password, to be stored."""
    return await _run(_hasher.hash, password)


async def verify(known: str | None, password: str) -> bool:
    """Whether it is the password of that hash; takes as long when there is none."""
    if len(password) > MOST:
        return False

    def compare() -> bool:
        try:
            _hasher.verify(known or _dummy(), password)
        except (VerificationError, InvalidHashError):
            return False
        return known is not None

    return await _run(compare)


def is_old(known: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(known)


@functools.cache
def _dummy() -> str:
    return _hasher.hash("nobody's")


@functools.cache
def _room(_loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
    return asyncio.Semaphore(_AT_ONCE)


async def _run(work: Callable[..., T], *args: object) -> T:
    async with _room(asyncio.get_running_loop()):
        return await asyncio.to_thread(work, *args)


def _weak(field: str, text: str) -> BadRequestError:
    return BadRequestError(text, field=field, reason="password_weak")
