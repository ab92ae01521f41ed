"""Ids sort by time, within one process even inside a millisecond."""

from __future__ import annotations

import time
import uuid

from kit import ids

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def _as_uuid(typeid: str) -> uuid.UUID:
    value = 0
    for letter in typeid.partition("_")[2]:
        value = value * 32 + ALPHABET.index(letter)
    return uuid.UUID(int=value)


def test_many_ids_are_unique_sorted_and_well_formed() -> None:
    made = [ids.new("pay") for _ in range(50_000)]
    assert made == sorted(set(made))
    assert all(ids.pattern("pay").match(one) for one in made)


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_it() -> None:
    before = time.time_ns() // 1_000_000
    one = _as_uuid(ids.new("evt"))
    assert (one.version, one.variant) == (7, uuid.RFC_4122)
    assert before <= one.int >> 80 <= before + 1000


def test_a_spare_id_ends_in_zeros_and_leaves_random_bits() -> None:
    made = {ids.new("evt", spare=True) for _ in range(1000)}
    assert len(made) == 1000
    assert all(one.endswith("00") for one in made)


def test_typeid_s_own_vector() -> None:
    """TypeID specification, valid.yml: `0188bac7-4afa-78aa-bc3b-bd1eef28d881`."""
    assert ids._base32(uuid.UUID("0188bac7-4afa-78aa-bc3b-bd1eef28d881").int) == "01h2xcejqtf2nbrexx3vqjhp41"


def test_a_pattern_refuses_what_no_id_is() -> None:
    good = ids.new("pay")
    for bad in (
        good + "0",
        good[:-1],
        good.upper(),
        "pay_8" + good[5:],
        "evt" + good[3:],
        good + "\n",
        "pay_" + "i" * 26,
    ):
        assert not ids.pattern("pay").match(bad)


def test_an_id_tells_when_it_was_made() -> None:
    """In whole milliseconds; the smallest id of a moment was made at that moment."""
    before = time.time_ns() // 1_000_000
    assert before <= ids.made_at(ids.new("evt")) * 1000 <= before + 1000
    assert ids.made_at(ids.lower_bound("dlv", 1_700_000_000.123)) == 1_700_000_000.123
