"""The checkout in a shop's frame: where the shop may show it, what it says to the shop, and what it does not hear."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

from gateway.checkout import assets
from tests.checkout_page.browsing import Hosted, Tab, browsing, hosting, shopper

SHOP = """<!doctype html><title>Shop</title><script>
window.heard = [];
addEventListener("message", (event) => heard.push({origin: event.origin, ...event.data}));
</script><iframe id="frame" width="440" height="700" referrerpolicy="%s" src="%s"></iframe>"""


class Shop(BaseHTTPRequestHandler):
    """A page on an origin of its own, with the checkout in a frame."""

    page: ClassVar[str] = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    with hosting(tmp_path_factory.mktemp("framed")) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as made:
        yield made


@pytest.fixture(scope="module")
def shop_port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


class Framed:
    """A shopper at the shop."""

    def __init__(self, hosted: Hosted, page: Page, shop: str) -> None:
        self.hosted = hosted
        self.page = page
        self.shop = shop
        self.tab = Tab(hosted, page)
        self.frame: FrameLocator = page.frame_locator("#frame")

    def open(self, order: str, *, referrer: str = "origin") -> None:
        Shop.page = SHOP % (referrer, self.hosted.address(order, embedded="true").replace("&", "&amp;"))
        self.tab.go(self.shop)

    def heard(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.page.evaluate("heard")
        return [one for one in found if one["type"] == kind]

    def await_heard(self, kind: str) -> dict[str, Any]:
        self.page.wait_for_function("kind => heard.some(one => one.type === kind)", arg=kind)
        return self.heard(kind)[-1]

    def say(self, message: object, origin: str) -> None:
        self.page.evaluate("([m, o]) => frames[0].postMessage(m, o)", [message, origin])

    def __getitem__(self, test_id: str) -> Any:
        return self.frame.locator(f'[data-test-id="{test_id}"]')


@pytest.fixture
def framed(hosted: Hosted, browser: Browser, shop_port: int) -> Iterator[Framed]:
    with shopper(browser) as context:
        yield Framed(hosted, context.new_page(), f"http://localhost:{shop_port}")
    hosted.frame_on()


@pytest.mark.parametrize("referrer", ["origin", "no-referrer"])
def test_a_payment_in_a_frame_is_told_to_the_shop_at_its_origin(framed: Framed, referrer: str) -> None:
    """The shop is one of several origins, which is also found where the browser does not say who is around."""
    hosted = framed.hosted
    hosted.frame_on("https://other.example", framed.shop)
    order = hosted.order()
    framed.open(order, referrer=referrer)
    assert framed.await_heard("checkout_ready")["origin"] == hosted.url
    assert framed.await_heard("checkout_resize")["data"]["height"] > 300
    framed["vpa-input"].fill("success@paytm")
    framed["pay-button"].click()
    payment = hosted.pending(order)
    hosted.settle()
    told = framed.await_heard("payment_success")
    assert told["data"] == {"paymentId": payment, "orderId": order, "status": "success"}
    framed["done-button"].click()
    framed.await_heard("close_modal")
    assert len(framed.heard("payment_success")) == 1


def test_a_failure_is_told_and_escape_closes(framed: Framed) -> None:
    order = framed.hosted.order()
    framed.open(order)
    framed.await_heard("checkout_ready")
    framed["vpa-input"].fill("failure@psp")
    framed["pay-button"].click()
    payment = framed.hosted.pending(order)
    framed.hosted.settle()
    told = framed.await_heard("payment_failed")["data"]
    assert (told["code"], told["paymentId"]) == ("payment_declined", payment)
    assert "declined" in told["description"]
    framed["retry-button"].press("Escape")
    framed.await_heard("close_modal")


def test_the_shop_s_wishes_are_heard_from_the_shop_alone(framed: Framed) -> None:
    """From its window and its origin. The amount is not among them: the order has one."""
    hosted = framed.hosted
    order = hosted.order()
    framed.open(order)
    framed.await_heard("checkout_ready")
    wishes = {
        "name": "Chai & Co", "description": "Chai", "amount": 1, "theme": {"color": "#0a7c59"},
        "prefill": {"name": "Asha Rao", "vpa": "asha@okbank"},
    }  # fmt: skip
    framed.say({"type": "checkout_options", "data": wishes}, hosted.url)
    # A frame beside ours on the same page is not the shop's window, though of the shop's origin.
    framed.page.evaluate(
        """([wishes, origin]) => {
        const other = document.body.appendChild(document.createElement("iframe")).contentWindow;
        other.eval(`parent.frames[0].postMessage(${JSON.stringify(wishes)}, "${origin}")`); }""",
        [{"type": "checkout_options", "data": {**wishes, "name": "Forged"}}, hosted.url],
    )
    for nonsense in (None, 1, "checkout_options", {"type": "payment_success"}, {"type": "checkout_options"}):
        framed.say(nonsense, hosted.url)
    framed.say({"type": "checkout_options", "data": {"description": "Two <b>masala</b> chai"}}, hosted.url)

    expect(framed.frame.locator("#description")).to_have_text("Two <b>masala</b> chai")
    expect(framed.frame.locator("#name")).to_have_text("Chai & Co")
    expect(framed.frame.locator("#merchant")).to_have_text("Ledgate Demo")
    expect(framed["vpa-input"]).to_have_value("asha@okbank")
    expect(framed["pay-button"]).to_have_text("Pay ₹1,299.00")
    expect(framed["pay-button"]).to_have_css("background-color", "rgb(10, 124, 89)")
    framed["pay-button"].click()
    framed.hosted.pending(order)
    assert framed.hosted.payments(order)[0]["amount"] == 129_900


@pytest.mark.parametrize("origins", [["https://shop.example"], ["http://localhost:1"], ["http://127.0.0.1"]])
def test_the_browser_refuses_a_frame_on_an_origin_that_was_not_named(framed: Framed, origins: list[str]) -> None:
    """Nobody can lay the checkout under a page of theirs and have its button clicked."""
    said: list[str] = []
    framed.page.on("console", lambda message: said.append(message.text))
    framed.hosted.frame_on(*origins)
    framed.open(framed.hosted.order())
    framed.page.wait_for_load_state()
    expect(framed["checkout-form"]).to_have_count(0)
    assert any(re.search(r"frame-ancestors|refused to connect|Framing", text) for text in said), said
    assert framed.page.evaluate("heard") == []


@pytest.mark.parametrize("origins", [[], ["https://shop.example"]])
def test_an_order_that_is_not_there_is_told_to_the_shop_at_once(framed: Framed, origins: list[str]) -> None:
    """Whoever frames it, since a wrong key has no merchant whose origins could be asked; there is nothing to press."""
    framed.hosted.frame_on(*origins)
    framed.open("order_none")
    expect(framed["refused-state"]).to_contain_text("There is nothing to pay here")
    expect(framed["reload-link"]).to_be_hidden()
    framed.await_heard("checkout_ready")
    assert framed.await_heard("payment_failed")["data"]["code"] == "NOT_FOUND"


def test_by_itself_the_page_works_whatever_the_origins(framed: Framed) -> None:
    framed.hosted.frame_on("https://shop.example")
    framed.tab.open(framed.hosted.order())
    expect(framed.tab["pay-button"]).to_be_enabled()
    expect(framed.tab["cancel-button"]).to_be_hidden()


SDK_SHOP = """<!doctype html><title>Shop</title><script src="%s/checkout.js"></script><button id="buy">Buy</button>
<script>
window.told = [];
const tell = (kind) => (what) => told.push([kind, what]);
document.getElementById("buy").onclick = () => new PaymentGateway({ key: "key_test_abc123", orderId: "%s",
  name: "Chai & Co", theme: { color: "#0a7c59" }, prefill: { vpa: "success@paytm" },
  onSuccess: tell("success"), onFailure: tell("failure"), onClose: tell("close") }).open();
</script>"""


def test_with_the_sdk_a_shopper_pays_without_leaving_the_shop(framed: Framed) -> None:
    if not assets.sdk():
        pytest.skip("the SDK has not been built: npm run build in sdk-js")
    hosted, page = framed.hosted, framed.page
    order = hosted.order()
    Shop.page = SDK_SHOP % (hosted.url, order)
    framed.tab.go(framed.shop)
    page.locator("#buy").click()
    expect(framed.tab["payment-modal"]).to_be_attached()
    frame = page.frame_locator('[data-test-id="payment-iframe"]')
    expect(frame.locator("#vpa")).to_have_value("success@paytm")
    frame.locator('[data-test-id="pay-button"]').click()
    payment = hosted.pending(order)
    hosted.settle()
    expect(frame.locator('[data-test-id="payment-id"]')).to_have_text(payment)
    page.wait_for_function("told.length > 0")
    assert page.evaluate("told") == [["success", {"paymentId": payment, "orderId": order, "status": "success"}]]
    frame.locator('[data-test-id="done-button"]').press("Enter")  # the dialog may still be growing under a pointer
    expect(framed.tab["payment-modal"]).to_have_count(0)
    assert page.evaluate("told.at(-1)[0]") == "close"
