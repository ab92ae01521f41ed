"""Codes as every authenticator app computes them, each good once."""

from __future__ import annotations

import base64
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway import totp

SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)  # fmt: skip
def test_codes_are_those_of_the_standard(now: int, code: str) -> None:
    """RFC 6238, appendix B, SHA-1; the last six of its eight digits."""
    assert totp.code(SECRET, now // totp.STEP) == code
    assert totp.match(SECRET, f" {code[:3]} {code[3:]} ", now=now, after=0) == now // totp.STEP


def test_a_code_is_good_once_and_for_a_minute_and_a_half() -> None:
    now = 1_700_000_010
    step = now // totp.STEP
    for beside in (-1, 0, 1):
        typed = totp.code(SECRET, step + beside)
        assert totp.match(SECRET, typed, now=now, after=step - 2) == step + beside
        assert totp.match(SECRET, typed, now=now, after=step + beside) is None
    for far in (-2, 2):
        assert totp.match(SECRET, totp.code(SECRET, step + far), now=now, after=0) is None


@pytest.mark.parametrize(
    "typed", ["", "12345", "1234567", "abcdef", "".join(chr(0xFF10 + n) for n in range(6)), "0" * 1000]
)
def test_what_is_no_code_is_none(typed: str) -> None:
    assert totp.match(SECRET, typed, now=59, after=0) is None


def test_an_app_can_read_the_link() -> None:
    parts = urlsplit(totp.link(SECRET, account="a&b@shop.test"))
    query = parse_qs(parts.query)
    assert (parts.scheme, parts.netloc, parts.path) == ("otpauth", "totp", "/Ledgate:a%26b%40shop.test")
    assert base64.b32decode(query["secret"][0]) == SECRET
    assert totp.text(SECRET).replace(" ", "") == query["secret"][0]


def test_recovery_codes_are_ten_and_random() -> None:
    codes = totp.new_recovery_codes()
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}", one) for one in codes)
