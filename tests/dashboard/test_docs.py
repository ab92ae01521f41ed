"""The docs page: the merchant's own key in its code, and the code runs as it is shown."""

from __future__ import annotations

import hashlib
import html
import os
import re
import subprocess
import sys
import time
import tomllib
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from dashboard import code, snippets
from gateway import demo, merchants
from gateway.checkout import assets
from gateway.checkout.assets import sdk_file
from kit import ids, signing
from kit.db import Connection
from outbox.endpoints import new_secret
from tests.dashboard.conftest import Browser, House
from tests.support.npm import Installed, installed
from tests.support.processes import ROOT, stack
from tests.support.receivers import LANGUAGES, Language, Receiver, shop_database
from tests.support.tools import node_program, run_curl

__all__ = ["installed"]
HERE = "/dashboard/docs"
BODY = (
    '{"id":"evt_1","event":"payment.success","timestamp":1705315870,"data":{"payment":{"notes":{"é":"😀"}}}}'.encode()
)


def shown(browser: Browser, name: str, language: str) -> str:
    """The code of a snippet as a reader sees it; the button copies the same."""
    (block,) = re.findall(rf'<div class="snippet" id="snippet-{name}".*?(?=<div class="snippet"|<footer|</main)',
                          browser.page.text, re.DOTALL)  # fmt: skip
    (pane,) = re.findall(rf'<div class="pane" data-lang="{language}">(.*?)</pre>', block, re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]+>", "", re.findall(r"<code>(.*?)</code>", pane, re.DOTALL)[0]))
    (copied,) = re.findall(r'data-copy="([^"]*)"', pane)
    assert html.unescape(copied) == text
    return text


async def test_everything_that_is_counted_on_stands_there(viewer: Browser) -> None:
    """A viewer reads it too."""
    assert (await viewer.get(HERE)).status_code == 200
    for test_id in (
        "api-docs", "section-create-order", "code-snippet-create-order", "section-sdk-integration", "code-snippet-sdk",
        "section-webhook-verification", "code-snippet-webhook",
    ):  # fmt: skip
        assert viewer.page.text.count(f'data-test-id="{test_id}"') == 1, test_id


async def test_the_code_names_the_merchant_s_own_key_and_no_secret(house: House, db: Connection) -> None:
    """The newest that takes payments, or the one that is asked for; never another merchant's."""
    from gateway import users

    other = await merchants.add_merchant(db, "Another Shop")
    user_id = await users.add(db, email="o@other.test", name="Other")
    await users.grant(db, other, user_id, "owner")
    theirs = await house.signed_in("o@other.test")
    assert "your_key" in (await theirs.get(HERE)).text
    first, secret = await merchants.add_key(db, other, name="First")
    reports, _ = await merchants.add_key(db, other, scopes=("read",), name="Reports")

    await theirs.get(HERE)
    assert f"X-Api-Key: {first}" in shown(theirs, "order", "curl")
    assert "API_SECRET=your_secret" in shown(theirs, "secret", "curl")
    assert '"your_order_id"' in shown(theirs, "sdk", "pinned")
    assert secret not in theirs.page.text
    await theirs.get(f"{HERE}?key={reports}")
    assert f"X-Api-Key: {reports}" in shown(theirs, "order", "curl")
    for wrong in (demo.KEY_ID, '"><img src=x>', "x" * 3000):
        said = await theirs.client.get(HERE, params={"key": wrong})
        assert wrong not in said.text.partition("<main")[2].partition("</main")[0]
        assert "<img" not in said.text


async def test_addresses_are_the_settings_or_this_host_s(house: House, owner: Browser) -> None:
    await owner.get(HERE)
    assert "http://dash.test:8000/api/v1/orders" in shown(owner, "order", "curl")
    assert 'href="http://dash.test:8000/docs"' in owner.page.text
    assert 'src="http://dash.test:3001/checkout.js"' in shown(owner, "sdk", "newest")
    nasty = await owner.client.get(HERE, headers={"host": 'x"><img src=x>'})
    assert "<img" not in nasty.text
    house.app.state.gateway.config = msgspec.structs.replace(
        house.config, api_url="https://api.example/", checkout_url="https://pay.example"
    )
    await owner.get(HERE)
    assert "https://api.example/api/v1/orders" in shown(owner, "order", "python")
    assert 'from "https://pay.example/checkout-' in shown(owner, "sdk", "module")


async def test_calls_run_as_they_are_shown(house: House, owner: Browser, tmp_path: Path) -> None:
    """In all three languages, against a real API: one order, since they all say the same of it; a payment each."""
    with stack(house.config.database_url, tmp_path) as running:
        running.start_api()
        house.app.state.gateway.config = msgspec.structs.replace(house.config, api_url=running.url)
        await owner.get(HERE)
        (export,) = re.findall(r"^export (\w+=\w+)$", shown(owner, "secret", "curl"))
        name, _, secret = export.partition("=")
        env = {**os.environ, name: secret}
        status, body = run_curl(shown(owner, "order", "curl").replace(f"${name}", secret))
        assert status == 201, body
        order_id = msgspec.json.decode(body)["id"]
        for number, what in enumerate(("order", "payment")):
            python = [sys.executable, "-c", shown(owner, what, "python")]
            node = [node_program(), "--input-type=module", "-e", shown(owner, what, "node")]
            for argv in (python, node):
                told, state = _run(argv, env=env).split()
                assert (told == order_id, state) == ((True, "created") if number == 0 else (False, "pending"))
        status, body = run_curl(shown(owner, "payment", "curl").replace(f"${name}", secret))
        assert status == 201, body
    rows = house.conn.execute("SELECT count(*) AS n FROM payments").fetchone()
    assert rows == {"n": 3}


def _run(argv: list[str], given: bytes = b"", **more: Any) -> str:
    said = subprocess.run(argv, input=given, capture_output=True, timeout=60, check=False, **more)
    assert said.returncode == 0, said.stderr.decode()
    return said.stdout.decode()


def _signed(secrets: list[str], at: float) -> dict[str, str]:
    webhook_id, timestamp = ids.new("evt"), int(at)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signing.standard(secrets, webhook_id, timestamp, BODY),
    }


async def test_the_check_of_webhooks_tells_ours_from_others(owner: Browser, tmp_path: Path) -> None:
    """What we sign as it signs, with a secret of ours and with the demo's, through a rotation; nothing else."""
    now = time.time()
    secret, before = new_secret(), new_secret()
    good = _signed([secret], now)
    cases = [
        (secret, good, BODY, True),
        (demo.WEBHOOK_SECRET, _signed([demo.WEBHOOK_SECRET], now), BODY, True),
        (before, _signed([secret, before], now), BODY, True),
        (before, good, BODY, False),
        (secret, good, BODY + b" ", False),
        (secret, _signed([secret], now - 301), BODY, False),
        (secret, _signed([secret], now + 360), BODY, False),
        (secret, good | {"webhook-id": "evt_other"}, BODY, False),
        (secret, good | {"webhook-timestamp": "soon"}, BODY, False),
        (secret, good | {"webhook-signature": "v1,é v1, " + "x" * 47}, BODY, False),
        (secret, {}, BODY, False),
    ]
    given = msgspec.json.encode([(s, headers, body.decode()) for s, headers, body, _ in cases])
    await owner.get(HERE)
    (tmp_path / "check.py").write_text(
        shown(owner, "webhook", "python")
        + "\n\nimport json, sys\n"
        + "print(json.dumps([is_genuine(s, h, b.encode()) for s, h, b in json.load(sys.stdin)]))\n"
    )
    (tmp_path / "check.mjs").write_text(
        shown(owner, "webhook", "node")
        + '\nimport { readFileSync } from "node:fs";\n'
        + "const cases = JSON.parse(readFileSync(0));\n"
        + "console.log(JSON.stringify(cases.map(([s, h, b]) => isGenuine(s, h, Buffer.from(b)))));\n"
    )
    for argv in ([sys.executable, "-X", "utf8", "check.py"], [node_program(), "check.mjs"]):
        assert msgspec.json.decode(_run(argv, given=given, cwd=tmp_path)) == [genuine for *_, genuine in cases], argv


async def test_whole_receivers_are_the_very_files(owner: Browser) -> None:
    """Those that tests/examples kills and restarts."""
    await owner.get(HERE)
    for language, path in snippets.RECEIVER.items():
        assert shown(owner, "receiver", language) == (ROOT / "examples/receivers" / path).read_text().rstrip("\n")


def test_wheel_and_image_bring_the_receivers_along() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    files = [f"examples/receivers/{path}" for path in snippets.RECEIVER.values()]
    assert packed == {file: file.replace("examples", "dashboard", 1) for file in files}
    assert {f"!{file}" for file in files} <= set((ROOT / ".dockerignore").read_text().splitlines())


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_receiver_that_is_copied_from_the_page_takes_what_we_sign(
    owner: Browser, installed: Installed, tmp_path: Path, language: Language
) -> None:
    await owner.get(HERE)
    secret = new_secret()
    with shop_database() as shop:
        receiver = Receiver(language, installed, shop.url, tmp_path, secret)
        copied = receiver._cwd / "copied.mjs" if language == "node" else tmp_path / "copied.py"
        copied.write_text(shown(owner, "receiver", language))
        receiver._argv[-1] = copied
        try:
            receiver.start()
            async with httpx.AsyncClient() as http:
                said = [
                    (await http.post(receiver.url, content=body, headers=_signed([secret], time.time()))).status_code
                    for body in (BODY, BODY + b" ")
                ]
        finally:
            receiver.kill()
        assert said == [200, 401]
        assert shop.rows("SELECT count(*) AS n FROM received") == [{"n": 1}]


async def test_the_page_s_script_is_the_one_that_the_checkout_serves(owner: Browser) -> None:
    """Under that very address, with that very hash."""
    await owner.get(HERE)
    for language, sign in (("pinned", 'src="'), ("newest", 'src="'), ("module", 'from "')):
        text = shown(owner, "sdk", language)
        (path,) = re.findall(rf'{sign}http://dash.test:3001(/[^"]+)"', text)
        assert path in sdk_file.paths
        content = assets.sdk()[path.removeprefix("/")].content
        if language == "pinned":
            digest = b64encode(hashlib.sha384(content).digest()).decode()
            assert f'integrity="sha384-{digest}"' in text
        assert f'key: "{demo.KEY_ID}"' in text
        assert f'orderId: "{demo.ORDER_IDS[0]}"' in text


@pytest.mark.parametrize("language", ["bash", "python", "javascript", "html", "sql"])
@pytest.mark.parametrize(
    "text", ["", "\n\n  x", "<b>&amp;</b>", "a \"b\" 'c' # d\r\n\t", "é😀 \x7f ''' \"\"\" `${", "-- x\n/* y"]
)
def test_colours_change_no_character(language: code.Language, text: str) -> None:
    assert "".join(one.text for one in code.tokens(text, language)) == text.replace("\r\n", "\n")
