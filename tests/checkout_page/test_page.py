"""What stands on the page before any script: amounts, languages, states, files."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import httpx
import pytest

from gateway.checkout import amounts, codes, language
from tests.checkout_page.conftest import Shop

ROOT = Path(language.__file__).parent
TEST_IDS = {
    "checkout-form", "order-summary", "method-upi", "method-card", "vpa-input", "card-number-input", "expiry-input",
    "cvv-input", "cardholder-name-input", "pay-button", "processing-state", "success-state", "error-state",
    "error-message", "retry-button", "payment-id",
}  # fmt: skip
"""CONTRACT.md's."""


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1, "INR", "₹0.01"), (129_900, "INR", "₹1,299.00"), (12_990_050, "INR", "₹1,29,900.50"),
        (123_456_789_012, "INR", "₹1,23,45,67,890.12"), (100_000, "INR", "₹1,000.00"), (99_999, "INR", "₹999.99"),
        (2**53 - 1, "INR", "₹9,00,71,99,25,47,409.91"),
        (1250, "USD", "$12.50"), (123_456_789, "USD", "$1,234,567.89"), (500, "JPY", "¥500"),
        (12_345, "KWD", "KWD\N{NO-BREAK SPACE}12.345"), (5, "CHF", "CHF\N{NO-BREAK SPACE}0.05"),
        (100, "ZMW", "ZMW\N{NO-BREAK SPACE}1.00"),
    ],
)  # fmt: skip
def test_amounts_read_as_people_write_them(amount: int, currency: str, text: str) -> None:
    assert amounts.shown(amount, currency) == text


def test_catalogues_have_the_same_keys_and_values() -> None:
    """A language that lacks a text, or forgets an amount in it, fails here; another file joins by itself."""
    known = language.catalogues()
    assert {"en", "hi"} <= known.keys()
    english = known["en"].texts
    for tag, other in known.items():
        assert other.texts.keys() == english.keys(), tag
        for key, text in other.texts.items():
            assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", english[key])), (tag, key)
            assert text.strip(), (tag, key)


def test_every_text_is_used_and_every_text_that_is_used_is_there() -> None:
    known = set(language.catalogues()["en"].texts)
    pages = "".join(file.read_text() for file in (ROOT / "pages").iterdir())
    scripts = "".join(file.read_text() for file in (ROOT / "static").glob("*.js"))
    python = "".join(file.read_text() for file in ROOT.glob("*.py"))
    for key in known:
        stem = key.removeprefix("js.")
        used = f"$t_{key.replace('.', '_')}" in pages or f'"{stem}"' in scripts or f"texts.{stem}" in scripts
        said = (
            f'"{key}"' in python
            or key.startswith("declined.")
            or key.rpartition(".")[0] in {"not_found", "unavailable"}
        )
        assert used or said or stem.startswith("state."), key
    for key in re.findall(r"texts\.(\w+)", scripts):
        assert f"js.{key}" in known or key == "title", key


@pytest.mark.parametrize(
    ("asked", "accepted", "tag"),
    [
        ("", "", "en"), ("hi", "en", "hi"), ("hi-IN", "", "hi"), ("xx", "hi", "hi"),
        ("", "fr, hi;q=0.8, en;q=0.7", "hi"),
        ("", "en-IN,en;q=0.9,hi;q=0.8", "en"), ("", "hi;q=0, en;q=0.1", "en"), ("", "ta;q=nonsense,,;", "en"),
        ("../../etc", "*", "en"),
    ],
)  # fmt: skip
def test_the_language_is_the_asked_one_or_the_browser_s(asked: str, accepted: str, tag: str) -> None:
    assert language.choose(asked, accepted).tag == tag


async def test_the_page_stands_in_its_language(shop: Shop) -> None:
    shop.order("order_a")
    page = await shop.open("order_a", language="hi-IN,hi;q=0.9")
    assert '<html lang="hi"' in page.html
    assert "₹1,299.00 का भुगतान करें" in page.html
    assert page.boot["texts"]["vpa_missing"] == "अपना UPI ID लिखें"
    view = (await page.try_to_pay({"method": "upi", "vpa": "x"})).json()
    assert view["error"]["reason"] == "vpa_invalid"


async def test_every_test_id_of_the_contract_is_on_the_page_once(shop: Shop) -> None:
    shop.order("order_a")
    page = await shop.open("order_a")
    found = re.findall(r'data-test-id="([\w-]+)"', page.html)
    assert set(found) >= TEST_IDS
    assert len(found) == len(set(found))


async def test_nothing_that_is_typed_can_be_sent_by_the_form_itself(shop: Shop) -> None:
    """Before the script runs, and if it never does: no field has a name, the button is off, and it would be no GET."""
    shop.order("order_a")
    page = await shop.open("order_a")
    form = re.search(r"<form.*?</form>", page.html, re.DOTALL)
    assert form
    assert ' name="' not in form[0]
    assert 'method="post"' in form[0]
    assert re.search(r'data-test-id="pay-button" disabled', form[0])
    assert re.search(r"<noscript>.*needs JavaScript.*</noscript>", page.html, re.DOTALL)
    for autocomplete in ("cc-number", "cc-exp", "cc-csc", "cc-name"):
        assert f'autocomplete="{autocomplete}"' in form[0]


async def test_files_are_cached_for_ever_under_the_page_s_hash(shop: Shop) -> None:
    shop.order("order_a")
    page = await shop.open("order_a")
    addresses = set(re.findall(r'href="(/checkout/static/[^"]+)"', page.html))
    assert len(addresses) == len(list((ROOT / "static").iterdir())) - 1  # refused.js is of the other page
    for address in addresses:
        said = await shop.client.get(address)
        assert said.status_code == 200
        assert "immutable" in said.headers["cache-control"]
        again = await shop.client.get(address, headers={"If-None-Match": said.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    other = await shop.client.get("/checkout/static/0123/page.js")
    assert (other.status_code, other.headers["cache-control"]) == (200, "no-store")
    for nothing in ("/checkout/static/0123/none.js", "/checkout/static/0123/..%2fpage.py", "/checkout/static/x"):
        assert (await shop.client.get(nothing)).status_code == 404


async def test_the_sdk_is_served_to_any_page(shop: Shop) -> None:
    build = json.loads((ROOT / "sdk" / "build.json").read_text())
    pinned = f"/checkout-{build['version']}.js"
    for address, caching in (("/checkout.js", "max-age=300"), (pinned, "immutable")):
        said = await shop.client.get(address)
        assert said.status_code == 200
        assert said.headers["access-control-allow-origin"] == "*"
        assert said.headers["content-type"].startswith("text/javascript")
        assert caching in said.headers["cache-control"]
        digest = hashlib.sha384(said.content).digest()
        assert build["integrity"] == f"sha384-{base64.b64encode(digest).decode()}"
    assert (await shop.client.get("/checkout.mjs")).status_code == 200
    for nothing in ("/checkout.d.ts", "/build.json", "/checkout-0.0.9.js"):
        assert (await shop.client.get(nothing)).status_code == 404


async def test_a_process_says_how_it_is(shop: Shop) -> None:
    answers: list[httpx.Response] = [await shop.client.get(path) for path in ("/health", "/health/ready", "/metrics")]
    assert [said.status_code for said in answers] == [200, 200, 200]


def test_a_qr_code_holds_its_text() -> None:
    """Drawn back from the path, it is the matrix that was made: the drawing loses nothing."""
    import segno

    text = "upi://pay?pa=mer_demo@ledgate&pn=Ledgate%20Demo&tr=pay_01kaxe3v7cfz9v1tm1r2c3d4e5&cu=INR&am=500.00"
    code = codes.draw(text)
    field = [[0] * code.size for _ in range(code.size)]
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", code.path):
        for at in range(int(x), int(x) + int(length)):
            field[int(y)][at] = 1
    assert [bytes(row) for row in field] == [bytes(row) for row in segno.make(text, error="m", micro=False).matrix]


async def test_the_shop_s_colour_is_on_the_page_before_any_script(shop: Shop) -> None:
    """It never stands in another one; and nothing but a colour gets from the address into the style."""
    order = shop.order("order_colour")
    assert "--accent:rgb(10 124 89);" in (await shop.open(order, color="#0a7c59")).html
    plain = (await shop.open(order)).html
    for nonsense in ("red", "#12", "#0a7c59;}", "</style><script>", "#0a7c59\n"):
        page = (await shop.open(order, color=nonsense)).html
        assert page.count("--accent") == plain.count("--accent") == 0, nonsense
