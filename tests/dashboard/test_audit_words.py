"""The audit log in words: what was done, what stands with it, and where to look at it."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

import dashboard
from dashboard import audit_words, subjects
from gateway import audit
from gateway.audit import Actor
from kit.db import Connection
from tests.dashboard.conftest import Browser
from tests.dashboard.hooks import NASTY
from tests.support.paying import MERCHANT


def test_every_action_has_words_and_a_noun_to_look_for() -> None:
    pages = "".join(path.read_text() for path in Path(dashboard.__file__).parent.rglob("*.py"))
    calls = re.findall(r"audit\.note\((.*?)\n?\)\n", pages, re.DOTALL)
    noted = {found[1] for call in calls if (found := re.search(r'[^f]"([a-z_]+\.[a-z_]+)"', call))}
    assert len(noted) > 20
    assert noted <= set(audit_words.SAYS)
    assert {one.partition(".")[0] for one in audit_words.SAYS} - {"sign_in"} <= set(audit_words.NOUNS)


async def test_an_entry_says_what_was_done_to_what(owner: Browser, db: Connection) -> None:
    who = Actor(None, "asha@example.com")
    for action, object_id, detail in (
        ("refund.created", "rfnd_1", {"payment": "pay_1", "amount": 129_900, "currency": "INR", "reason": NASTY}),
        ("endpoint.secret_regenerated", "whep_1", {"overlap_seconds": 86_400}),
        ("recovery.started", "rcv_1", {"since": "2026-11-22T10:00:00Z", "until": "soon", "total": 12}),
        ("api_key.created", "key_1", {"name": None, "scopes": ["read", "write"]}),
    ):
        await audit.note(db, MERCHANT.scope, who, action, object_id, **detail)
    await owner.get("/dashboard/audit")
    for text in (
        "Refund asked for payment: pay_1 amount: ₹1,299.00 reason: ", "overlap: 1 d", "since: 22 Nov 2026, 10:00 UTC",
        "until: soon total: 12", "API key made scopes: read, write",
    ):  # fmt: skip
        assert text in owner.text, text
    assert "<script>alert" not in owner.page.text
    assert NASTY in html.unescape(owner.page.text)
    links = re.findall(r'<td data-label="On"><a href="([^"]+)"', owner.page.text)
    assert links == ["/dashboard/webhooks/recoveries/rcv_1", "/dashboard/payments?q=rfnd_1"]


@pytest.mark.parametrize("object_id", ["", "usr_1", "key_1", "javascript:alert(1)", "<b>", "order_test_123"])
def test_a_link_goes_to_a_page_of_ours_or_nowhere(object_id: str) -> None:
    assert subjects.page(object_id) == "" or subjects.page(object_id).startswith("/dashboard/payments?q=order_")
