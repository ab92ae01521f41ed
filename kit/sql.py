"""Load named SQL: `queries/<table>.sql` holds statements and the fragments that they share.

A statement begins with `-- name: claim_due`, a fragment with `-- fragment: append_events`; the comment lines under
it say why it exists. `{{outbox.append_events}}` in a statement stands for that fragment of that package, so that a
table's one writer keeps its SQL while other packages commit it within their own statement.

A line that begins with `--? ` stands only in a statement of which all the parameters in that line are given: a list
with a filter is another text than one without, and gets a plan of its own (`compose`).
"""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import TYPE_CHECKING, LiteralString

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEADING = re.compile(r"^-- (name|fragment): (\w+)\n", re.MULTILINE)
_INCLUDE = re.compile(r"\{\{(\w+)\.(\w+)\}\}")
_OPTIONAL = re.compile(r"^ *--\? (.*)\n?", re.MULTILINE)
_PARAMETER = re.compile(r"%\((\w+)\)s")


def load(package: str) -> Mapping[str, LiteralString]:
    """The statements of `package`, by name, with their fragments put in.

    Raises:
        KeyError: a fragment that does not exist.
        ValueError: a name that is given twice, or a statement without its why-line.
    """
    return {name: compose(package, name) for name in _read(package, "name")}


@functools.cache
def compose(package: str, name: str, given: frozenset[str] = frozenset()) -> LiteralString:
    """One statement of `package` with the optional lines whose parameters are `given`; nothing else enters its text.

    Raises:
        KeyError: a statement that does not exist, or a parameter that it does not know.
    """
    text = _expand(_read(package, "name")[name])
    if unknown := given - set(_PARAMETER.findall(text)):
        raise KeyError(f"{package}: {name} has no {', '.join(sorted(unknown))}")
    there = given | set(_PARAMETER.findall(_OPTIONAL.sub("", text)))
    return _OPTIONAL.sub(lambda line: line[1] + "\n" if there.issuperset(_PARAMETER.findall(line[1])) else "", text)


def optional(package: str, name: str) -> frozenset[str]:
    """The parameters that only optional lines of a statement ask for."""
    text = _expand(_read(package, "name")[name])
    return frozenset(_PARAMETER.findall(text)) - frozenset(_PARAMETER.findall(_OPTIONAL.sub("", text)))


def _expand(text: str) -> str:
    return _INCLUDE.sub(lambda found: _expand(_read(found[1], "fragment")[found[2]]), text)


@functools.cache
def _read(package: str, kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted(resources.files(package).joinpath("queries").iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".sql"):
            continue
        parts = _HEADING.split(file.read_text(encoding="utf-8"))
        for heading, name, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            if heading != kind:
                continue
            if name in found:
                raise ValueError(f"{package}: {name} is there twice")
            if not text.startswith("-- "):
                raise ValueError(f"{package}: {name} does not say why it exists")
            found[name] = _strip_comments(text)
    return found


def _strip_comments(text: str) -> str:
    """Comments are for readers of the file; the server would parse (and log) them with every statement."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("--") or line.lstrip()[2:3] == "?")
    return "\n".join(lines).strip().rstrip(";")
