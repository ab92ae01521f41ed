"""Sealed values open with their key and context alone."""

from __future__ import annotations

import base64

import pytest

from kit.seal import Sealer, SealError

ONE, TWO = bytes(range(32)), bytes(range(1, 33))
TEXT = "a:" + base64.b64encode(ONE).decode()


def test_sealed_values_differ_and_open() -> None:
    sealer = Sealer({"a": ONE})
    first, second = (sealer.seal(b"4111", context="payment:1") for _ in range(2))
    assert first != second
    assert b"4111" not in first
    assert sealer.unseal(first, context="payment:1") == b"4111"


def test_a_value_moved_to_another_row_does_not_open() -> None:
    sealed = Sealer({"a": ONE}).seal(b"x", context="payment:1")
    with pytest.raises(SealError):
        Sealer({"a": ONE}).unseal(sealed, context="payment:2")


def test_a_changed_value_does_not_open() -> None:
    sealed = bytearray(Sealer({"a": ONE}).seal(b"x", context="c"))
    sealed[-1] ^= 1
    with pytest.raises(SealError):
        Sealer({"a": ONE}).unseal(bytes(sealed), context="c")


def test_after_a_rotation_old_values_still_open_and_new_ones_use_the_new_key() -> None:
    old = Sealer({"a": ONE})
    both = Sealer({"b": TWO, "a": ONE})
    assert both.unseal(old.seal(b"x", context="c"), context="c") == b"x"
    with pytest.raises(SealError, match="'b'"):
        old.unseal(both.seal(b"x", context="c"), context="c")


def test_a_fingerprint_is_recognised_under_every_key_and_never_guessed_without() -> None:
    old, both = Sealer({"a": ONE}), Sealer({"b": TWO, "a": ONE})
    assert both.has_fingerprint(b"x", old.fingerprint(b"x"))
    assert not both.has_fingerprint(b"y", old.fingerprint(b"x"))
    assert not Sealer({"a": TWO}).has_fingerprint(b"x", old.fingerprint(b"x"))


@pytest.mark.parametrize(
    "text", ["", "a", "a:", "a:!!!", "a:" + base64.b64encode(b"short").decode(), f"{TEXT},{TEXT}", ":" + TEXT[2:]]
)
def test_malformed_keys_are_refused_without_being_shown(text: str) -> None:
    with pytest.raises(SealError) as refused:
        Sealer.parse(text)
    assert "!!!" not in str(refused.value)


def test_empty_sealed_value_is_refused() -> None:
    with pytest.raises(SealError):
        Sealer({"a": ONE}).unseal(b"", context="c")
