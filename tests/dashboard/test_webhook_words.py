"""Spans, schedules, pages and refusals, as people write and read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import durations, endpoint_forms, paging, trouble
from dashboard.reading.webhooks import EndpointCard, Traffic
from gateway import samples
from gateway.errors import BadRequestError
from gateway.listing import Page, Paging

SECONDS = st.integers(min_value=0, max_value=604_800)


@given(st.lists(SECONDS, min_size=1, max_size=20))
def test_a_schedule_is_read_as_it_is_written(schedule: list[int]) -> None:
    assert durations.read_schedule(durations.written(schedule), "retry_schedule") == schedule


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", None), (" ,\n", None), ("0, 1m, 5 min, 30m, 2h, 1d", [0, 60, 300, 1800, 7200, 86400]), ("90", [90]),
        ("0 30s 5m", [0, 30, 300]), ("5M\n2H", [300, 7200]),
    ],
)  # fmt: skip
def test_schedules_as_people_write_them(text: str, read: list[int] | None) -> None:
    assert durations.read_schedule(text, "retry_schedule") == read


@pytest.mark.parametrize("text", ["soon", "1w", "-5", "1.5h", "0, 1m, x", "99999999"])
def test_what_is_no_span_is_named(text: str) -> None:
    with pytest.raises(BadRequestError, match="is no span of time") as caught:
        durations.read_schedule(text, "f")
    assert caught.value.field == "f"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59, "59 s"),
        (90, "1 min 30 s"),
        (7200, "2 h"),
        (9360, "2 h 36 min"),
        (90_061, "1 d 1 h"),
    ],
)
def test_spans(seconds: float, told: str) -> None:
    assert durations.span(seconds) == told


@pytest.mark.parametrize(
    ("took", "told"), [(None, "\N{EN DASH}"), (0, "0 ms"), (999.4, "999 ms"), (1234, "1.2 s"), (10_000, "10.0 s")]
)
def test_how_long_an_answer_took(took: float | None, told: str) -> None:
    assert durations.took(took) == told


def test_the_pages_beside_a_page() -> None:
    def beside(paging_: Paging, *, more: bool, end: str | None, shown: list[str]) -> tuple[str, str]:
        page = Page(limit=2, offset=0, has_more=more, next=end)
        return paging.neighbours("/log", {"status": "failed"}, page, paging_, shown)

    first = beside(Paging(), more=True, end="c", shown=["d", "c"])
    assert first == ("/log?status=failed&after=c", "")
    middle = beside(Paging(after="c"), more=True, end="a", shown=["b", "a"])
    assert middle == ("/log?status=failed&after=a", "/log?status=failed&before=b")
    last = beside(Paging(after="a"), more=False, end=None, shown=[])
    assert last == ("", "/log?status=failed")
    back = beside(Paging(before="b"), more=False, end=None, shown=["d", "c"])
    assert back == ("/log?status=failed&after=c", "")
    further = beside(Paging(before="a"), more=True, end="c", shown=["c", "b"])
    assert further == ("/log?status=failed&after=b", "/log?status=failed&before=c")


@pytest.mark.parametrize(
    ("field", "text", "place", "told"),
    [
        ("url", "url must name a host", "url", "The URL must name a host"),
        ("webhook_url", "webhook_url is refused: x", "webhook_url", "The URL is refused: x"),
        ("events[1]", "events[1] is no event type", "events", "This is no event type"),
        ("headers.Host", "headers.Host: this header is ours", "headers", "Host: this header is ours"),
        ("headers[0]", "headers[0]: a header's name is", "headers", "A header's name is"),
    ],
)
def test_a_refusal_stands_beside_its_field_in_words(field: str, text: str, place: str, told: str) -> None:
    found = endpoint_forms.in_place(BadRequestError(text, field=field))
    assert (found.field, found.description) == (place, told)


def test_headers_as_they_are_pasted() -> None:
    assert endpoint_forms.read_headers("A: 1\r\n\r\n b : x: y \n", "h") == {"A": "1", "b": "x: y"}
    for text in ("no colon", ": no name", "A: 1\na: 2"):
        with pytest.raises(BadRequestError) as caught:
            endpoint_forms.read_headers(text, "h")
        assert "1" not in caught.value.description.replace("Line 1", "")


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def _card(state: Any, *, waiting: int = 3, trouble: bool = True, **health: Any) -> EndpointCard:
    endpoint = samples.sample("endpoint.failing", NOW)["endpoint"]
    endpoint = msgspec.structs.replace(endpoint, health=msgspec.structs.replace(endpoint.health, **health))
    traffic = Traffic(
        open=waiting, open_is="exact", due=0, oldest_at=None, next_retry_at=None, delivered=0, failed=0,
        last_success_at=None, last_failure_at=None, median_ms=None, slow_ms=None,
    )  # fmt: skip
    return EndpointCard(endpoint=endpoint, traffic=traffic, state=state, trouble=trouble)


@pytest.mark.parametrize(
    ("card", "told", "mend"),
    [
        (_card("failing"), ("Every attempt has failed for 1 d.", "3 deliveries wait.", "turns it off in 4 d"), ""),
        (_card("failing", failures=1), ("1 failure in a row. The last: HTTP 503.",), ""),
        (_card("failing", last_error="HTTP 401"), ("HTTP 401. It may have another secret.",), ""),
        (_card("failing", will_be_disabled_at=None), ("Each is tried again by its schedule.",), ""),
        (
            _card("held_up", probe_at=NOW + timedelta(seconds=200)),
            ("One delivery tries it in 3 min 20 s",),
            "retry_now",
        ),
        (_card("held_up", waiting=1), ("Held up", "One delivery tries it in a moment"), "retry_now"),
        (_card("probing"), ("about to be tried with one delivery", "42 failures in a row"), "retry_now"),
    ],
)
def test_what_is_the_matter_with_an_endpoint(card: EndpointCard, told: tuple[str, ...], mend: str) -> None:
    found = trouble.of(card, NOW)
    assert found
    for text in told:
        assert text in f"{found.title} {found.why} {found.then}", text
    assert found.mend == mend


def test_of_very_many_that_wait_it_is_not_said_that_they_are_all() -> None:
    card = _card("held_up", waiting=1000)
    found = trouble.of(
        msgspec.structs.replace(card, traffic=msgspec.structs.replace(card.traffic, open_is="at_least")), NOW
    )
    assert found
    assert "1,000+ deliveries wait." in f"{found.why} {found.then}"


def test_who_is_well_has_no_trouble() -> None:
    assert trouble.of(_card("healthy", trouble=False), NOW) is None


def test_the_worst_trouble_stands_first() -> None:
    """What gets nothing, before what gets something late; and who is well not at all."""
    cards = [_card("failing"), _card("healthy", trouble=False), _card("held_up"), _card("probing")]
    assert [card.state for card, _ in trouble.all_of(cards, NOW)] == ["held_up", "failing", "probing"]
