"""Payments: the list with its filters, the search, and what is new since it was shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Request, Response, get

from dashboard import forms, paging, typed
from dashboard.admission import visit_of
from dashboard.reading import news, payments
from dashboard.reading.payments import PaymentFilter
from dashboard.render import go, render
from gateway import payments as ledger
from gateway.errors import BadRequestError
from gateway.instruments import Method
from gateway.listing import Paging
from gateway.money import CURRENCIES
from gateway.payments import PaymentPage, PaymentStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboard.reading.payments import Match

AnyRequest = Request[Any, Any, Any]
HERE = "/dashboard/payments"
A_PAGE = 25
_NEWS = 50  # payments that are counted
_TEXT_MOST = 100  # characters
STATUSES = (("", "Any status"), ("success", "Successful"), ("pending", "Pending"), ("failed", "Failed"))
METHODS = (("", "Any method"), ("upi", "UPI"), ("card", "Card"))


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The address's query: what the form of filters holds, as it was typed."""

    status: str = ""
    method: str = ""
    order: str = ""
    instrument: str = ""
    least: str = ""
    most: str = ""
    currency: str = ""
    since: str = ""
    until: str = ""

    def where(self) -> PaymentFilter:
        """What is asked for.

        Raises:
            BadRequestError: a field that cannot be right, by its name.
        """
        if self.currency and self.currency not in CURRENCIES:
            raise BadRequestError("That is no currency.", field="currency", reason="field_invalid")
        money = self.currency or "INR"
        return PaymentFilter(
            status=_one_of(self.status, PaymentStatus, "status"),
            method=_one_of(self.method, Method, "method"),
            order_id=self.order.strip() or None,
            instrument=self.instrument.strip() or None,
            currency=self.currency or None,
            amount_from=typed.read_amount(self.least, money, "least") if self.least else None,
            amount_to=typed.read_amount(self.most, money, "most") if self.most else None,
            created_from=typed.read_moment(self.since, "since") if self.since else None,
            created_to=typed.read_moment(self.until, "until", days=1) if self.until else None,
        )

    @property
    def given(self) -> dict[str, str]:
        """Without what is empty."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value}

    def address(self, **more: str | None) -> str:
        """The list with these filters."""
        return paging.address(HERE, self.given, **more)


@get(HERE)
async def show_payments(request: AnyRequest) -> Response[Any]:
    """A page of the list, or what a search found; what is sure to be meant is shown at once."""
    query = request.query_params
    if text := query.get("q", "").strip():
        return await _search(request, text[:_TEXT_MOST])
    asked = _asked(request)
    which = paging.asked(query, limit=A_PAGE)
    merchant = visit_of(request).merchant
    found, error, mark = PaymentPage(data=[], limit=A_PAGE, offset=0, has_more=False, next=None), None, ""
    try:
        where = asked.where()
    except BadRequestError as refusal:
        error = refusal
    else:
        async with request.app.state.gateway.database.connection(reading=True) as conn:
            mark = await news.of_payments(conn, merchant)
            found = await payments.page(conn, merchant, where, which)
            if which.before is not None and not found.has_more:  # the first page, and perhaps not a whole one
                which = Paging(limit=A_PAGE)
                found = await payments.page(conn, merchant, where, which)
    return render(request, "payments.html", **_context(asked), **_place(asked, which, found), mark=mark, error=error)


async def _search(request: AnyRequest, text: str) -> Response[Any]:
    merchant = visit_of(request).merchant
    async with request.app.state.gateway.database.connection(reading=True) as conn:
        matches = await payments.search(conn, merchant, text)
    if len(matches) == 1 and matches[0].by in {"payment", "refund"}:
        return go(request, f"{HERE}/{matches[0].payments[0].id}")
    return render(request, "payments.html", **_context(Asked(), text, matches), error=None)


@get(f"{HERE}/news")
async def show_news(request: AnyRequest) -> Response[Any]:
    """How many payments came since the list was shown, and what became of the pending ones in it."""
    query, asked = request.query_params, _asked(request)
    newest, waiting = query.get("newest", ""), query.get("waiting", "").split()[:A_PAGE]
    merchant = visit_of(request).merchant
    async with request.app.state.gateway.database.connection(reading=True) as conn:
        found = await payments.page(conn, merchant, asked.where(), Paging(limit=_NEWS, before=newest or None))
        moved = await news.again(conn, merchant, [one for one in waiting if ledger.ID.match(one)])
    return render(
        request, "payment_news.html", part="news", asked=asked, news=len(found.data), more=found.has_more,
        moved=[one for one in moved if one.status != "pending"],
    )  # fmt: skip


@get(f"{HERE}/live")
async def stream_payments(request: AnyRequest) -> Response[Any]:
    """A word whenever something happened."""
    gateway, merchant = request.app.state.gateway, visit_of(request).merchant

    async def ask() -> str:
        async with gateway.database.connection(reading=True) as conn:
            return await news.of_payments(conn, merchant)

    stream: Response[Any] = request.app.state.live.stream(request, f"payments:{merchant.merchant_id}", ask)
    return stream


def _asked(request: AnyRequest) -> Asked:
    known = Asked.__struct_fields__
    given = {name: value[:_TEXT_MOST] for name, value in request.query_params.items() if name in known}
    return forms.convert(given, Asked)


def _one_of(text: str, kind: Any, field: str) -> Any:
    if not text:
        return None
    try:
        return msgspec.convert(text, kind)
    except msgspec.ValidationError:
        raise BadRequestError("Choose one of these.", field=field, reason="field_invalid") from None


def _context(asked: Asked, text: str = "", matches: Sequence[Match] = ()) -> dict[str, Any]:
    """What the form shows, and what a search found."""
    return {
        "asked": asked,
        "statuses": STATUSES,
        "methods": METHODS,
        "currencies": [("", "Any currency"), *((one, one) for one in sorted(CURRENCIES))],
        "searched": text,
        "matches": matches,
    }


def _place(asked: Asked, which: Paging, found: PaymentPage) -> dict[str, Any]:
    """What stands on the page, and where it stands in the list."""
    ids = [one.id for one in found.data]
    beside = paging.neighbours(HERE, asked.given, found, which, ids)
    return {
        "found": found.data,
        "more": found.has_more,
        "older": beside.older,
        "newer": beside.newer,
        "first": which.after is None and which.before is None,
        "newest": ids[0] if ids else "",
        "waiting": [one.id for one in found.data if one.status == "pending"],
    }


HANDLERS = (show_payments, show_news, stream_payments)
