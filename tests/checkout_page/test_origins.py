"""Where the checkout may be framed is what the merchant said, exactly, and each page says it to the browser."""

from __future__ import annotations

import msgspec
import psycopg
import pytest

from gateway import demo
from gateway.checkout.app import make_app
from gateway.config import Config
from gateway.errors import BadRequestError
from gateway.origins import LOOPBACK, check
from tests.checkout_page.conftest import Conn, Page, Shop
from tests.gateway.conftest import AUTH, Api, side_by_side


def policy(page: Page) -> dict[str, list[str]]:
    """The page's Content-Security-Policy."""
    parts = [part.split() for part in page.headers["content-security-policy"].split(";")]
    return {part[0]: part[1:] for part in parts}


async def _put(api: Api, *origins: str) -> int:
    said = await api.client.put("/api/v1/checkout/origins", json={"origins": list(origins)}, headers=AUTH)
    return said.status_code


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://shop.example", "https://shop.example"),
        ("HTTPS://Shop.Example:443/", "https://shop.example"),
        ("https://shop.example:8443", "https://shop.example:8443"),
        ("http://localhost:3002", "http://localhost:3002"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_kept_as_browsers_write_it(given: str, kept: str) -> None:
    assert check(given, test_mode=False) == kept


@pytest.mark.parametrize(
    "wrong",
    [
        "", "*", "https://*", "https://*.shop.example", "shop.example", "https://", "https://shop.example/path",
        "https://shop.example?x", "https://shop.example#x", "https://user@shop.example", "https://shop.example:0x50",
        "https://shop.example:99999", "javascript:alert(1)", "data:text/html,x", "null", "'self'", "https:",
        "https://shop.example 'unsafe-inline'", "https://shop.example; script-src *", "https://a.example,https://b.example",
        "https://shop.example\n", "https://-.example", "https://shop..example", "https://bücher.example",
    ],
)  # fmt: skip
def test_what_is_no_origin_is_refused_and_cannot_enter_the_policy(wrong: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        check(wrong, test_mode=True)
    assert refused.value.reason == "origin_invalid"


def test_http_is_for_test_mode_and_loopback() -> None:
    with pytest.raises(BadRequestError) as refused:
        check("http://shop.example", test_mode=False)
    assert refused.value.reason == "origin_not_secure"
    assert check("http://shop.example", test_mode=True) == "http://shop.example"


async def test_the_page_may_be_framed_there_and_nowhere_else(shop: Shop, api: Api) -> None:
    shop.order("order_a")
    assert policy(await shop.open("order_a"))["frame-ancestors"] == list(LOOPBACK)

    assert await _put(api, "https://shop.example", "https://b.example:8443", "https://shop.example/") == 200
    page = await shop.open("order_a")
    said = policy(page)
    assert said["frame-ancestors"] == ["https://shop.example", "https://b.example:8443"]
    assert page.boot["framing"] == said["frame-ancestors"]
    assert said["img-src"] == ["'self'", "data:", "https://shop.example", "https://b.example:8443"]
    read = await api.get("/checkout/origins")
    assert read.json() == {"origins": said["frame-ancestors"]}

    assert await _put(api, *(f"https://shop{n}.example" for n in range(21))) == 400
    assert await _put(api, "https://shop.example", "nonsense") == 400
    assert (await api.get("/checkout/origins")).json() == read.json()


async def test_outside_of_test_mode_nobody_frames_it_who_was_not_named(
    config: Config, demo_merchant: str, conn: Conn
) -> None:
    earnest = msgspec.structs.replace(config, test_mode=False, secret_keys="a:" + "A" * 43 + "=")
    async with side_by_side(earnest, make_app) as made:
        page = await Shop(made.client, conn).open("order_test_123")
    assert policy(page)["frame-ancestors"] == ["'none'"]
    assert 'data-shown="no"' in page.html


@pytest.mark.usefixtures("demo_merchant")
def test_the_database_holds_the_bounds_too(conn: Conn) -> None:
    for wrong in (["x"] * 21, [None]):
        with pytest.raises(psycopg.errors.CheckViolation):
            conn.execute("UPDATE merchants SET checkout_origins = %s WHERE id = %s", [wrong, demo.MERCHANT_ID])


async def test_the_page_forbids_what_it_does_not_need(shop: Shop) -> None:
    shop.order("order_a")
    page, again = await shop.open("order_a"), await shop.open("order_a")
    said = policy(page)
    assert said["default-src"] == said["base-uri"] == said["form-action"] == ["'none'"]
    assert said["connect-src"] == ["'self'"]
    assert said["script-src"] == [*said["style-src"], "'strict-dynamic'"]
    assert said["script-src"] != policy(again)["script-src"]
    (nonce,) = said["style-src"]
    assert f'nonce="{nonce[7:-1]}"' in page.html
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "payment=()" in page.headers["permissions-policy"]
    for unsafe in (" style=", "onclick", "javascript:", "http-equiv"):
        assert unsafe not in page.html


async def test_what_merchants_are_called_stays_text(shop: Shop, conn: Conn) -> None:
    """A name is shown and put into the script's data, and is markup in neither."""
    name = "</script><script>alert(1)</script>\"'&<img src=x onerror=alert(2)> $amount {amount}"
    conn.execute("UPDATE merchants SET name = %s WHERE id = %s", [name, demo.MERCHANT_ID])
    shop.order("order_a")
    page = await shop.open("order_a")
    assert "<img src=x" not in page.html
    assert "<script>alert" not in page.html
    assert page.text("order-summary") is not None
    assert page.html.count("&lt;script&gt;alert(1)") >= 2
