"""The delivery log and the lists of refunds: what is shown, found and counted."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from gateway import listing
from gateway.config import Config
from kit import sql
from kit.db import Connection
from tests.gateway.conftest import Api
from tests.gateway.test_lists import walk, walking_ten
from tests.support.paying import pay

_FINISH = """
    WITH done AS (DELETE FROM outbox WHERE id = ANY(%s) RETURNING *)
    INSERT INTO deliveries (bucket, merchant_id, id, event_id, event_type, subject_id, endpoint_id, status, attempts,
                            claims, response_code, created_at, last_attempt_at, finished_at)
    SELECT bucket, merchant_id, id, event_id, event_type, subject_id, endpoint_id, %s, 1, 1, 200, created_at, now(),
           now()
    FROM done
"""
_REFUND = (
    "INSERT INTO refunds (bucket, merchant_id, id, payment_id, amount, status, error_code, created_at, processed_at)"
    " SELECT bucket, merchant_id, 'rfnd_' || left(right(id, 26), 25) || %(n)s, id, 1, %(status)s,"
    " CASE WHEN %(status)s = 'failed' THEN 'x' END, created_at, CASE WHEN %(status)s <> 'pending' THEN now() END"
    " FROM payments WHERE id = %(payment)s RETURNING id"
)


@pytest.fixture
async def log(db: Connection, config: Config, conn: psycopg.Connection[Any]) -> list[str]:
    """Deliveries of four payments, newest first; of these the second is failed, the last four succeeded."""
    await pay(db, config, 4)
    rows = conn.execute("SELECT id FROM outbox WHERE kind = 'webhook.deliver' ORDER BY id DESC").fetchall()
    made = [row["id"] for row in rows]
    conn.execute(_FINISH, [made[1:2], "failed"])
    conn.execute(_FINISH, [made[4:], "success"])
    return made


async def test_open_and_finished_deliveries_are_one_log(api: Api, log: list[str]) -> None:
    page = (await api.get("/webhooks")).json()
    assert [one["id"] for one in page["data"]] == log
    assert [one["status"] for one in page["data"]] == ["pending", "failed", *["pending"] * 2, *["success"] * 4]
    assert {name: page[name] for name in ("total", "total_is", "limit", "offset", "has_more", "next")} == {
        "total": 8, "total_is": "exact", "limit": 10, "offset": 0, "has_more": False, "next": None,
    }  # fmt: skip
    first = page["data"][0]
    assert first["next_retry_at"] is not None
    assert (first["event"], first["attempts"], first["response_code"]) == ("payment.pending", 0, None)
    assert page["data"][1]["next_retry_at"] is None


async def test_a_leased_delivery_does_not_show_its_lease(
    api: Api, log: list[str], conn: psycopg.Connection[Any]
) -> None:
    conn.execute("UPDATE outbox SET leased_by = 'dispatcher' WHERE id = %s", [log[0]])
    assert (await api.get("/webhooks", limit=1)).json()["data"][0]["next_retry_at"] is None


async def test_the_log_is_found_by_each_filter(api: Api, log: list[str], conn: psycopg.Connection[Any]) -> None:
    row = conn.execute("SELECT * FROM deliveries WHERE id = %s", [log[6]]).fetchone()
    assert row is not None
    conn.execute("UPDATE deliveries SET endpoint_id = 'whep_other' WHERE id = %s", [log[6]])

    async def found(**where: object) -> list[str]:
        paged = await walk(api, "/webhooks", limit=2, **where)
        page = (await api.get("/webhooks", limit=100, **where)).json()
        assert [one["id"] for one in page["data"]] == paged
        assert (page["total"], page["total_is"]) == (len(paged), "exact")
        return paged

    assert await found(status="failed") == [log[1]]
    assert await found(status="pending") == [log[0], log[2], log[3]]
    assert await found(status="success") == log[4:]
    assert await found(status="success", event="payment.created") == [log[5], log[7]]
    assert await found(event="payment.pending") == log[0::2]
    assert await found(event="refund.failed") == []
    assert await found(endpoint="whep_other") == [log[6]]
    of_payment = await found(payment=row["subject_id"])
    assert log[6] in of_payment
    assert len(of_payment) == 2
    assert await found(payment=row["subject_id"], endpoint="whep_other", status="success") == [log[6]]
    assert await found(payment="mine-1") == []


async def test_a_delivery_that_moves_is_paged_once(
    api: Api, log: list[str], conn: psycopg.Connection[Any], db: Connection, config: Config
) -> None:
    """Between two pages deliveries end, begin again, and new ones arrive: the rest comes, each once."""
    page = (await api.get("/webhooks", limit=3)).json()
    conn.execute(_FINISH, [log[:4], "success"])
    await pay(db, config, 2)
    rest = (await api.get("/webhooks", limit=10, after=page["next"])).json()
    assert [one["id"] for one in page["data"] + rest["data"]] == log
    newer = (await api.get("/webhooks", limit=100, before=log[0])).json()
    assert len(newer["data"]) == 4
    assert (await api.get("/webhooks", limit=3, before=log[3])).json()["data"][0]["id"] == log[0]
    assert (rest["total"], rest["total_is"]) == (None, None)


async def test_the_days_before_are_read_when_the_last_one_is_short(
    api: Api, log: list[str], conn: psycopg.Connection[Any]
) -> None:
    """Pages are sought near the cursor first; deliveries of long ago follow all the same."""
    old = [f"dlv_01aaaaaaaaaaaaaaaaaaaaaa{n:02}" for n in range(30, 10, -1)]
    conn.execute(
        "INSERT INTO deliveries SELECT d.bucket, d.merchant_id, o.id, event_id, event_type, subject_id, endpoint_id,"
        " status, attempts, claims, response_code, '2020-01-01Z', NULL, now()"
        " FROM deliveries d, unnest(%s::text[]) AS o (id) WHERE d.id = %s",
        [old, log[7]],
    )
    assert await walk(api, "/webhooks", limit=3) == log + old
    back = (await api.get("/webhooks", limit=100, before=old[-1])).json()
    assert [one["id"] for one in back["data"]] == log + old[:-1]


@pytest.mark.parametrize(("limit", "offset"), [(3, 0), (3, 6), (8, 0), (10, 8), (10, 20)])
async def test_total_is_the_same_on_every_page(api: Api, log: list[str], limit: int, offset: int) -> None:
    """Counted, or known from the last page without counting."""
    page = (await api.get("/webhooks", limit=limit, offset=offset)).json()
    assert (page["total"], page["total_is"]) == (8, "exact")


async def test_total_says_when_it_stopped_counting(
    api: Api, log: list[str], monkeypatch: pytest.MonkeyPatch, db: Connection, config: Config
) -> None:
    monkeypatch.setattr(listing, "WALK", 10)
    monkeypatch.setattr(sql, "compose", walking_ten(sql.compose))
    page = (await api.get("/webhooks", event="payment.created")).json()
    assert (page["total"], page["total_is"]) == (4, "exact")
    await pay(db, config, 4)
    page = (await api.get("/webhooks", event="payment.created")).json()
    assert (page["total"], page["total_is"]) == (5, "at_least")


async def test_a_range_of_the_log_is_exact(api: Api, log: list[str]) -> None:
    page = (await api.get("/webhooks", limit=100)).json()["data"]
    times = {one["id"]: one["created_at"] for one in page}
    span = {"created_from": times[log[5]], "created_to": times[log[1]]}
    expected = [one["id"] for one in page if times[log[5]] <= one["created_at"] < times[log[1]]]
    assert expected
    assert await walk(api, "/webhooks", limit=1, **span) == expected


@pytest.mark.parametrize(
    ("path", "params", "reason"),
    [
        ("/webhooks", {"after": "evt_" + "0" * 26}, "cursor_invalid"),
        ("/webhooks", {"after": "dlv_" + "0" * 26, "offset": 1}, "cursor_conflict"),
        ("/webhooks", {"status": "lost"}, "parameter_invalid"),
        ("/webhooks", {"event": "payment.lost"}, "parameter_invalid"),
        ("/webhooks", {"endpoint": "a b"}, "parameter_invalid"),
        ("/refunds", {"before": "pay_" + "0" * 26}, "cursor_invalid"),
        ("/refunds", {"payment_id": "rfnd_" + "0" * 26}, "parameter_invalid"),
    ],
)
async def test_wrong_pages_are_refused(api: Api, path: str, params: dict[str, object], reason: str) -> None:
    said = await api.get(path, **params)
    assert (said.status_code, said.json()["error"]["reason"]) == (400, reason)


async def test_refunds_are_found_by_payment_status_and_cursor(
    api: Api, db: Connection, config: Config, conn: psycopg.Connection[Any]
) -> None:
    first, second = await pay(db, config, 2)
    conn.execute("UPDATE payments SET status = 'success'")

    def refund(payment: str, n: str, status: str) -> str:
        row = conn.execute(_REFUND, {"payment": payment, "n": n, "status": status}).fetchone()
        assert row is not None
        return str(row["id"])

    made = [refund(first, "1", "processed"), refund(first, "2", "failed"), refund(second, "1", "pending")][::-1]
    conn.execute(
        "INSERT INTO outbox (bucket, merchant_id, id, kind, next_retry_at, created_at)"
        " SELECT bucket, merchant_id, id, 'refund.process', now(), created_at FROM refunds WHERE status = 'pending'"
    )
    assert await walk(api, "/refunds", limit=2) == made
    assert await walk(api, "/refunds", payment_id=first, limit=1) == made[1:]
    assert await walk(api, "/refunds", status="pending") == made[:1]
    assert await walk(api, "/refunds", status="pending", payment_id=first) == []
    assert await walk(api, "/refunds", status="failed", payment_id=first) == [made[1]]
    assert await walk(api, f"/payments/{first}/refunds", limit=1) == made[1:]
    shown = (await api.get("/refunds", limit=1)).json()["data"][0]
    assert shown == (await api.get(f"/refunds/{made[0]}")).json()


async def test_refunds_of_an_unknown_payment_are_not_found(api: Api, db: Connection, config: Config) -> None:
    (payment,) = await pay(db, config)
    assert (await api.get(f"/payments/{payment}/refunds")).json()["data"] == []
    assert (await api.get(f"/payments/pay_{'0' * 26}/refunds")).status_code == 404
    assert (await api.get("/payments/pay_x/refunds")).status_code == 404
