"""The overview: how the business goes, what arrives, what is in trouble and the button that mends it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from litestar import Request, Response, get

from dashboard import addresses, charts, glance, paging, trouble, zones
from dashboard.admission import visit_of
from dashboard.reading import news, overview, webhooks
from dashboard.render import is_part, render
from gateway import payments
from gateway.errors import BadRequestError
from gateway.listing import Paging
from gateway.money import CURRENCIES
from gateway.payments import PaymentFilter

if TYPE_CHECKING:
    from datetime import timedelta

    from dashboard.reading.overview import Overview
    from dashboard.reading.periods import Period
    from dashboard.reading.webhooks import EndpointCard
    from dashboard.trouble import Trouble
    from gateway.merchants import Merchant
    from gateway.payments import Payment
    from kit.db import Connection

AnyRequest = Request[Any, Any, Any]
HERE = addresses.HOME
_USUAL: Period = "24h"
_CURRENCY = "INR"  # of a merchant that has taken no money yet
KINDS = {
    "delivery": "Webhooks to deliver",
    "payment": "Payments to process",
    "refund": "Refunds to process",
    "recovery": "Recoveries to make",
}


@get(HERE)
async def show_overview(request: AnyRequest) -> Response[Any]:
    """The page. `period`: how far back; `currency`: which money, the one with the largest volume without it.

    Raises:
        BadRequestError: a period or a currency that there is not.
    """
    query, gateway = request.query_params, request.app.state.gateway
    merchant, now, zone = visit_of(request).merchant, datetime.now(UTC), zones.reader()
    asked, currency = query.get("period", _USUAL), query.get("currency", "")
    if asked not in glance.NAMES or (currency and currency not in CURRENCIES):
        raise BadRequestError("The address of this page is not right.", reason="parameter_invalid")
    period = cast("Period", asked)
    async with gateway.database.connection(reading=True) as conn:
        mark = "" if is_part(request) else await _mark(conn, merchant)
        found = await overview.overview(
            conn, merchant, period, now=now, zone=zone, disable_after=gateway.config.disabling
        )
        troubles = await _troubles(conn, merchant, found, now, gateway.config.disabling)
        totals = found.totals
        quiet = not (totals.created or totals.all.succeeded or totals.all.failed or totals.refunds)
        latest = await _latest(conn, merchant) if quiet else None
    currencies = _currencies(found)
    money = currency or (currencies[0] if currencies else _CURRENCY)

    def other(**more: str) -> str:
        where = {"period": period, "currency": currency} | more
        return paging.address(HERE, {name: value for name, value in where.items() if value != _USUAL})

    return render(
        request,
        "overview.html",
        mark=mark,
        found=found,
        zone=zone.key,
        period=period,
        periods=glance.NAMES,
        currency=money,
        currencies=currencies if money in currencies else [*currencies, money],
        address=other(),
        other=other,
        troubles=troubles,
        states=trouble.STATES,
        payment_figures=glance.of_payments(found, money),
        payment_charts=charts.of_payments(found, money, zone),
        delivery_figures=glance.of_deliveries(found),
        delivery_chart=charts.of_deliveries(found, zone),
        kinds=KINDS,
        quiet=quiet,
        latest=latest,
        new=quiet and latest is None,
        shop=addresses.shop(request, gateway.config) if gateway.config.test_mode else "",
    )


@get(f"{HERE}/live")
async def stream_overview(request: AnyRequest) -> Response[Any]:
    """A word whenever a payment moved or a delivery was tried."""
    gateway, merchant = request.app.state.gateway, visit_of(request).merchant

    async def ask() -> str:
        async with gateway.database.connection(reading=True) as conn:
            return await _mark(conn, merchant)

    stream: Response[Any] = request.app.state.live.stream(request, f"overview:{merchant.merchant_id}", ask)
    return stream


async def _mark(conn: Connection, merchant: Merchant) -> str:
    return f"{await news.of_payments(conn, merchant)} {await news.of_log(conn, merchant)}"


async def _troubles(
    conn: Connection, merchant: Merchant, found: Overview, now: datetime, disable_after: timedelta | None
) -> list[tuple[EndpointCard, Trouble]]:
    if not found.trouble:
        return []
    cards = await webhooks.cards(conn, merchant, now=now, disable_after=disable_after)
    return trouble.all_of(cards, now)


async def _latest(conn: Connection, merchant: Merchant) -> Payment | None:
    page = await payments.page(conn, merchant, PaymentFilter(), Paging(limit=1))
    return page.data[0] if page.data else None


def _currencies(found: Overview) -> list[str]:
    """Those of both periods, the largest volume first."""
    known = [one.currency for one in found.totals.money]
    return known + [one.currency for one in found.before.money if one.currency not in known]


HANDLERS = (show_overview, stream_overview)
