"""Style sheets: each rule has something to style, each file can be read in one go."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dashboard

FOLDER = Path(dashboard.__file__).parent
SHEETS = sorted((FOLDER / "static").glob("*.css"))
MADE_UP = re.compile(r"s-(\d|bad)|t-\w+|c[2-5]|htmx-request")
"""Classes whose names are put together, or htmx's own."""


def _words() -> set[str]:
    """Whatever could be a class in a template, in the script or in what templates are given."""
    files = [*FOLDER.glob("templates/*.html"), *FOLDER.glob("static/*.js"), *FOLDER.glob("static/vendor/uplot*.js")]
    files += [*FOLDER.glob("*.py"), *FOLDER.glob("pages/*.py")]
    return {word for file in files for word in re.findall(r"[A-Za-z][\w-]*", file.read_text())}


def _selectors(sheet: Path) -> list[str]:
    text = re.sub(r"/\*.*?\*/", "", sheet.read_text(), flags=re.DOTALL)
    return [" ".join(one.split()) for one in re.findall(r"([^{}]+)\{", text) if not one.strip().startswith("@")]


def test_no_rule_is_for_a_class_that_nothing_has() -> None:
    words = _words()
    for sheet in SHEETS:
        classes = {name for one in _selectors(sheet) for name in re.findall(r"[.#]([A-Za-z][\w-]*)", one)}
        assert {name for name in classes if name not in words and not MADE_UP.fullmatch(name)} == set(), sheet.name


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda one: one.name)
def test_no_sheet_is_longer_than_a_module_may_be(sheet: Path) -> None:
    assert len(sheet.read_text().splitlines()) <= 400


def test_a_live_look_dims_no_button() -> None:
    """htmx marks the part that it asks for: only a form that somebody sent, or a button, shows that it is at work."""
    for sheet in SHEETS:
        for one in _selectors(sheet):
            assert "htmx-request" not in one or re.search(r"(form\.htmx-request|\.button\.htmx-request)", one), one


def test_filters_say_what_is_listed() -> None:
    """Going back, a browser would fill in what was chosen later, beside the list from before."""
    forms = [form for file in FOLDER.glob("templates/*.html") for form in re.findall(r"<form [^>]+>", file.read_text())]
    filters = [form for form in forms if 'class="filters"' in form and "hx-get" in form]
    assert len(filters) == 4
    assert [form for form in filters if 'autocomplete="off"' not in form] == []


def test_what_is_absolute_is_held_by_no_row_of_a_table() -> None:
    """WebKit (Safari) knows no relative row: a link over its row lay over the whole list, and led to the last one.

    Where rows are cards, they are blocks, and may hold it.
    """
    text = re.sub(r"/\*.*?\*/", "", (FOLDER / "static" / "tables.css").read_text(), flags=re.DOTALL)
    cards, rest = re.split(r"(?=@media \(max-width)", text, maxsplit=1)[::-1]
    assert "display: block" in cards
    holders = [rule.split("{") for rule in re.findall(r"[^{}]+\{[^{}]*position: \w+;[^{}]*\}", rest)]
    last = {" ".join(name.split()): re.findall(r"position: (\w+)", rules)[-1] for name, rules in holders}
    assert {name: value for name, value in last.items() if re.search(r"\btr$", name)} == {".listed tbody tr": "static"}
    assert last[".listed td:has(.into)"] == "relative"
