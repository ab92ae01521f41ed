"""Passwords: what is refused, what is stored."""

from __future__ import annotations

import pytest

from gateway import passwords
from gateway.errors import BadRequestError

ABOUT = ("asha@corner-shop.test", "Asha Rao")


@pytest.mark.parametrize(
    "password",
    ["", "short", "eleven chr.", "aaaaaaaaaaaaaaaa", "abababababab", "passwordpassword", "Ledgate123456", "x" * 257,
     "asha corner-shop", "Asha@corner-shop.test"],
)  # fmt: skip
def test_what_is_guessed_first_is_refused(password: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        passwords.check(password, about=ABOUT, field="new_password")
    assert (caught.value.field, caught.value.reason) == ("new_password", "password_weak")


@pytest.mark.parametrize(
    "password", ["four plain words here", "kJ8#mq0!vZ3x", "ein lÄngeres Wörtchen", "パスワードはとても長いです"]
)
def test_length_is_enough(password: str) -> None:
    passwords.check(password, about=ABOUT)


async def test_only_the_hash_is_kept() -> None:
    hashed = await passwords.make("four plain words here")
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert "plain" not in hashed
    assert await passwords.verify(hashed, "four plain words here")
    assert not await passwords.verify(hashed, "four plain words there")
    assert not await passwords.verify(None, "nobody's")
    assert not await passwords.verify("$argon2id$broken", "x")
    assert not passwords.is_old(hashed)
    assert passwords.is_old(hashed.replace("t=3", "t=2"))
