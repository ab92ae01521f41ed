"""What a list costs: its plan as our connections make it, and the pages and rows that it really read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from psycopg import sql

from gateway import listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import psycopg

_PARAMETER = re.compile(r"%\((\w+)\)s")
_WIDE = 1_000
"""Rows that a page may sort; more is a list that was read as a whole."""


class Cost(msgspec.Struct, frozen=True):
    """One execution of a prepared statement."""

    milliseconds: float
    buffers: int
    rows: int
    read: int
    """Most rows that one index gave."""
    indexes: tuple[str, ...]
    """Every index that was read, partitions' under their parents' names."""
    faults: tuple[str, ...]
    """What no list may do: read a table from end to end, sort many rows."""


def cost(conn: psycopg.Connection[Any], package: str, name: str, values: Mapping[str, object]) -> Cost:
    """Run a list under EXPLAIN, prepared and planned like in the API; `values` also say which lines it is made of.

    The second run counts, so that neither planning nor cold pages are in it.
    """
    row = _run(conn, package, name, values, "ANALYZE, BUFFERS, FORMAT JSON", times=2)[0]
    (explained,) = row[0]
    top = explained["Plan"]
    nodes = list(_nodes(top))
    return Cost(
        explained["Execution Time"],
        top["Shared Hit Blocks"] + top["Shared Read Blocks"],
        int(top["Actual Rows"]),
        int(max(node["Actual Rows"] * node["Actual Loops"] for node in nodes)),
        tuple(sorted({_parent(node["Index Name"]) for node in nodes if "Index Name" in node})),
        faults(top),
    )


def explain(conn: psycopg.Connection[Any], package: str, name: str, values: Mapping[str, object]) -> str:
    """The same as text, for a person."""
    return "\n".join(row[0] for row in _run(conn, package, name, values, "ANALYZE, BUFFERS", times=1))


def _run(
    conn: psycopg.Connection[Any], package: str, name: str, values: Mapping[str, object], options: str, *, times: int
) -> list[Any]:
    text = listing.statement(package, name, frozenset(values) - {"bucket", "merchant_id", "limit"})
    names = list(dict.fromkeys(_PARAMETER.findall(text)))
    for number, parameter in enumerate(names, 1):
        text = text.replace(f"%({parameter})s", f"${number}")
    given = sql.SQL(", ").join(sql.Literal(values[parameter]) for parameter in names)
    run = sql.SQL("EXPLAIN ({}) EXECUTE measured ({})").format(sql.SQL(options), given)
    conn.execute(f"PREPARE measured AS {text}".encode(), prepare=False)
    try:
        for _ in range(times):
            rows = conn.execute(run, prepare=False).fetchall()
    finally:
        conn.execute("DEALLOCATE measured", prepare=False)
    return rows


def faults(plan: dict[str, Any]) -> tuple[str, ...]:
    """What a plan did that no list may do."""
    return tuple(sorted(set(_faults(list(_nodes(plan))))))


def indexes(plan: dict[str, Any]) -> frozenset[str]:
    """Every index that a plan really read, partitions' under their parents' names."""
    return frozenset(
        _parent(node["Index Name"]) for node in _nodes(plan) if "Index Name" in node and node.get("Actual Loops")
    )


def read(plan: dict[str, Any]) -> dict[str, int]:
    """How many rows a plan looked at by each index, those included that a filter then refused."""
    found: dict[str, int] = {}
    for node in _nodes(plan):
        if "Index Name" in node:
            rows = sum(node.get(name, 0) for name in ("Actual Rows", "Rows Removed by Filter"))
            name = _parent(node["Index Name"])
            found[name] = found.get(name, 0) + int(rows * node.get("Actual Loops", 0))
    return found


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _faults(nodes: list[dict[str, Any]]) -> Iterator[str]:
    for node in nodes:
        if not node.get("Actual Loops"):
            continue
        if node["Node Type"] in {"Seq Scan", "Bitmap Heap Scan"}:
            yield f"{node['Node Type']} on {node['Relation Name']}"
        if "Sort" in node["Node Type"] and node["Plans"][0]["Actual Rows"] > _WIDE:
            yield f"{node['Node Type']} of {node['Plans'][0]['Actual Rows']:.0f} rows"


def _parent(index: str) -> str:
    """`deliveries_20260101_pkey` is a part of `deliveries_pkey`."""
    return re.sub(r"_(\d{8}|default)(?=_)", "", index)
