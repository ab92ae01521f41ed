"""Lists over the API: filters, offsets and cursors; pages that stay right while rows arrive."""

from __future__ import annotations

import itertools
import re
from typing import Any

import psycopg
import pytest

from gateway import listing
from gateway.config import Config
from gateway.demo import MERCHANT_ID
from kit import sql
from kit.db import Connection
from tests.gateway.conftest import Api
from tests.support.paying import pay

LISTS = [
    (package, name) for package in ("gateway", "outbox") for name in sql.load(package) if sql.optional(package, name)
]


async def walk(api: Api, path: str, between: Any = None, **params: object) -> list[str]:
    """Every page, by `next`; the ids in the order in which they came."""
    seen: list[str] = []
    page = (await api.get(path, **params)).json()
    while True:
        seen += [one["id"] for one in page["data"]]
        assert page["has_more"] == (page["next"] is not None)
        if not page["has_more"]:
            return seen
        if between:
            await between()
        page = (await api.get(path, **params | {"after": page["next"]})).json()


async def test_cursor_pages_stay_right_while_payments_arrive(api: Api, db: Connection, config: Config) -> None:
    """Whoever pages sees what was there when they began: each once, newest first."""
    made = await pay(db, config, 23)

    async def more() -> None:
        await pay(db, config, 3)

    assert await walk(api, "/payments", more, limit=5) == made[::-1]
    assert len(await walk(api, "/payments", limit=100)) == 23 + 3 * 4


async def test_offset_pages_count_from_the_newest(api: Api, db: Connection, config: Config) -> None:
    made = (await pay(db, config, 7))[::-1]
    pages = [(await api.get("/payments", limit=3, offset=offset)).json() for offset in (0, 3, 6, 7)]
    assert [[one["id"] for one in page["data"]] for page in pages] == [made[:3], made[3:6], made[6:], []]
    assert [page["has_more"] for page in pages] == [True, True, False, False]
    assert pages[0]["next"] == made[2]


async def test_before_reads_towards_the_newest(api: Api, db: Connection, config: Config) -> None:
    """The page right before the cursor, newest first as all are; `next` goes on in that direction."""
    made = (await pay(db, config, 7))[::-1]
    page = (await api.get("/payments", limit=3, before=made[6])).json()
    assert [one["id"] for one in page["data"]] == made[3:6]
    assert (page["has_more"], page["next"]) == (True, made[3])
    page = (await api.get("/payments", limit=3, before=made[3])).json()
    assert [one["id"] for one in page["data"]] == made[:3]
    assert (page["has_more"], page["next"]) == (False, None)


async def test_a_payments_cursor_need_not_exist(api: Api, db: Connection, config: Config) -> None:
    """The id is the key: what is gone, or another's, is a place in the list all the same."""
    (made,) = await pay(db, config)
    page = (await api.get("/payments", after="pay_7" + "z" * 25)).json()
    assert [one["id"] for one in page["data"]] == [made]


@pytest.mark.parametrize(
    ("path", "params", "reason"),
    [
        ("/payments", {"after": "pay_" + "0" * 26, "before": "pay_" + "0" * 26}, "cursor_conflict"),
        ("/payments", {"after": "pay_" + "0" * 26, "offset": 1}, "cursor_conflict"),
        ("/payments", {"before": "pay_" + "0" * 26, "offset": 1}, "cursor_conflict"),
        ("/payments", {"after": "rfnd_" + "0" * 26}, "cursor_invalid"),
        ("/payments", {"after": ""}, "parameter_invalid"),
        ("/payments", {"before": "pay_'; DROP TABLE payments"}, "cursor_invalid"),
        ("/orders", {"after": "an order"}, "cursor_invalid"),
        ("/orders", {"after": "order_of_another"}, "cursor_unknown"),
        ("/orders", {"before": "order_of_another"}, "cursor_unknown"),
        ("/orders", {"after": "order_123", "offset": 3}, "cursor_conflict"),
        ("/payments", {"limit": 0}, "parameter_invalid"),
        ("/payments", {"limit": 101}, "parameter_invalid"),
        ("/payments", {"offset": 100_001}, "parameter_invalid"),
        ("/payments", {"status": "lost"}, "parameter_invalid"),
        ("/payments", {"order_id": "a b"}, "parameter_invalid"),
        ("/orders", {"status": "lost"}, "parameter_invalid"),
        ("/orders", {"receipt": "a\0"}, "nul_character"),
    ],
)
async def test_wrong_pages_are_refused(api: Api, path: str, params: dict[str, object], reason: str) -> None:
    said = await api.get(path, **params)
    assert (said.status_code, said.json()["error"]["reason"]) == (400, reason)


async def test_orders_of_one_moment_are_paged_each_once(api: Api, conn: psycopg.Connection[Any]) -> None:
    """Many orders with the very same created_at, and ids that are the merchant's own."""
    conn.execute(
        "INSERT INTO orders (bucket, merchant_id, id, amount, currency, created_at, updated_at)"
        " SELECT o.bucket, o.merchant_id, 'mine-' || n, 1, 'INR', m.at, m.at"
        " FROM orders o, generate_series(1, 20) AS n, (VALUES ('2026-01-01Z'::timestamptz)) AS m (at)"
        " WHERE o.id = 'order_123'"
    )
    mine = sorted((f"mine-{n}" for n in range(1, 21)), reverse=True)
    seen = await walk(api, "/orders", limit=3)
    assert [one for one in seen if one.startswith("mine")] == mine
    assert len(seen) == len(set(seen)) == 22
    page = (await api.get("/orders", limit=4, before=mine[9])).json()
    assert [one["id"] for one in page["data"]] == mine[5:9]


async def test_orders_are_found_by_receipt_status_and_time(api: Api) -> None:
    made = [
        (await api.post("/orders", {"amount": 100, "currency": "INR", "receipt": f"r-{n}"})).json() for n in range(3)
    ]
    assert await walk(api, "/orders", receipt="r-1") == [made[1]["id"]]
    assert await walk(api, "/orders", receipt="r-1", status="paid") == []
    assert await walk(api, "/orders", status="paid") == []
    span = {"created_from": made[1]["created_at"], "created_to": made[2]["created_at"]}
    assert await walk(api, "/orders", **span) == [made[1]["id"]]


async def test_payments_are_found_by_each_filter_and_all_together(
    api: Api, db: Connection, config: Config, conn: psycopg.Connection[Any]
) -> None:
    made = await pay(db, config, 4)
    (own,) = await pay(db, config, order_id="mine", amount=100)
    conn.execute("UPDATE payments SET status = 'failed', error_code = 'x' WHERE id = %s", [made[1]])
    conn.execute("UPDATE payments SET status = 'success' WHERE id = %s", [made[2]])
    conn.execute("DELETE FROM outbox WHERE id = ANY(%s)", [made[1:3]])

    assert await walk(api, "/payments", status="pending") == [own, made[3], made[0]]
    assert await walk(api, "/payments", status="pending", order_id="mine", method="upi") == [own]
    assert await walk(api, "/payments", status="failed") == [made[1]]
    assert await walk(api, "/payments", status="success", order_id="order_test_123") == [made[2]]
    assert await walk(api, "/payments", order_id="mine") == [own]
    assert await walk(api, "/payments", method="card") == []
    assert await walk(api, "/payments", status="pending", after=own, limit=1) == [made[3], made[0]]


@pytest.mark.parametrize("status", [None, "pending"])
async def test_a_range_of_time_is_exact(
    api: Api, db: Connection, config: Config, conn: psycopg.Connection[Any], status: str | None
) -> None:
    """To the microsecond, from included and to excluded, though ids bound the walk."""
    await pay(db, config)
    first, middle, last = [(await pay(db, config))[0] for _ in range(3)]
    await pay(db, config)
    times = {one["id"]: one["created_at"] for one in (await api.get("/payments", limit=100)).json()["data"]}
    where = {"status": status} if status else {}
    seen = await walk(api, "/payments", created_from=times[first], created_to=times[last], limit=1, **where)
    assert seen == [middle, first]
    assert await walk(api, "/payments", created_to="1970-01-01T00:00:00Z", **where) == []
    assert await walk(api, "/payments", created_from="9999-12-31T23:59:59Z", **where) == []
    assert await walk(api, "/payments", created_to="0001-01-01T00:00:00Z", **where) == []


async def test_a_rare_object_is_found_by_going_on(
    api: Api, db: Connection, config: Config, conn: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page looks at so many objects and no more: it may be empty, and says where to go on; nothing is skipped."""
    made = (await pay(db, config, 41))[::-1]
    rare = [made[9], made[10], made[35]]
    conn.execute("UPDATE payments SET status = 'failed', error_code = 'x' WHERE id = ANY(%s)", [rare])
    monkeypatch.setattr(listing, "WALK", 10)
    monkeypatch.setattr(sql, "compose", walking_ten(sql.compose))

    pages = [(await api.get("/payments", status="failed", limit=1)).json()]
    while pages[-1]["has_more"]:
        pages.append((await api.get("/payments", status="failed", limit=1, after=pages[-1]["next"])).json())
    assert [[one["id"] for one in page["data"]] for page in pages] == [[rare[0]], [rare[1]], [], [rare[2]], []]
    assert await walk(api, "/payments", status="failed", limit=2) == rare
    skipped = (await api.get("/payments", status="failed", limit=1, offset=1)).json()
    assert [one["id"] for one in skipped["data"]] == [rare[1]]


def walking_ten(compose: Any) -> Any:
    return lambda *query: compose(*query).replace("10000", "10")


def _combinations() -> list[tuple[str, str, frozenset[str]]]:
    """Every set of parameters that a request can give to a list."""
    made = []
    for package, name in LISTS:
        known = sql.optional(package, name)
        for size in range(len(known) + 1):
            for given in map(frozenset, itertools.combinations(sorted(known), size)):
                if len(given & {"after", "before", "offset"}) > 1 or ("id_from" in given) != ("created_from" in given):
                    continue
                if ("id_to" in given) == ("created_to" in given) or name == "list_orders":
                    made.append((package, name, given))
    return made


def test_every_combination_of_filters_prepares(conn: psycopg.Connection[Any]) -> None:
    """Each is a statement of its own, which PostgreSQL parses, resolves and types."""
    combinations = _combinations()
    assert {name for _, name, _ in combinations} >= {"list_orders", "list_payments", "list_deliveries", "list_events"}
    for package, name, given in combinations:
        text, numbers = listing.statement(package, name, given), itertools.count(1)
        for parameter in set(re.findall(r"%\(\w+\)s", text)):
            text = text.replace(parameter, f"${next(numbers)}")
        conn.execute(f"PREPARE checked AS {text.replace('%%', '%')}".encode())
        count = conn.execute(
            "SELECT cardinality(parameter_types) AS n FROM pg_prepared_statements WHERE name = 'checked'"
        ).fetchone()
        assert count == {"n": next(numbers) - 1}
        conn.execute("DEALLOCATE checked")


def test_a_statement_takes_no_name_that_its_file_does_not_know() -> None:
    """Only names of parameters choose lines, and no line comes from anywhere but the file."""
    with pytest.raises(KeyError, match="has no"):
        sql.compose("gateway", "list_payments", frozenset({"status; DROP TABLE payments"}))


async def test_no_input_reaches_the_text_of_a_statement(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that a request brings are parameters: one text serves them all, and holds none of them."""
    texts: list[str] = []

    async def seen(conn: Connection, query: str, values: dict[str, object]) -> list[dict[str, Any]]:
        texts.append(query)
        return []

    monkeypatch.setattr(listing, "fetch", seen)
    for mark in ("pay_0marked".ljust(30, "0"), "pay_0ther".ljust(30, "0")):
        await api.get("/payments", order_id=mark, method="upi", status="failed", after=mark)
    assert len(texts) == 2
    assert len(set(texts)) == 1
    assert "0marked" not in texts[0]
    assert MERCHANT_ID not in texts[0]
