"""`JSON.stringify(JSON.parse(body)) === body`: JavaScript receivers verify over their own serialisation."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import notes
from gateway.money import MAX_AMOUNT
from tests.support.tools import run_node

SAME = """
const given = require("fs").readFileSync(0, "utf8").split("\\n").filter(Boolean);
for (const text of given) if (JSON.stringify(JSON.parse(text)) !== text) { console.error(text); process.exit(1); }
console.log(given.length);
"""
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ANY_NOTES = st.dictionaries(ANY_TEXT | st.integers(0, 2**33).map(str) | st.just("__proto__"), ANY_TEXT, max_size=15)


def test_every_unicode_character_is_written_as_javascript_writes_it() -> None:
    text = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code <= 0xDFFF]
    assert run_node(SAME, msgspec.json.encode({"a": text, "b": MAX_AMOUNT})) == "1"


def test_notes_of_any_keys_and_values_survive_javascript() -> None:
    """Two thousand of them, in one Node process."""
    seen: list[str] = []

    @settings(max_examples=100, deadline=None, database=None)
    @given(st.lists(ANY_NOTES, min_size=20, max_size=22))
    def collect(many: list[dict[str, str]]) -> None:
        seen.extend(notes.encode(one) for one in many)

    collect()
    assert len(seen) >= 2_000
    assert run_node(SAME, "\n".join(seen).encode()) == str(len(seen))
