"""A card that was paid with stands nowhere in clear: in no log, also of a server that logs everything, and no table."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import dict_row

from gateway import demo
from gateway.checkout.app import make_app
from gateway.config import load
from kit.embedded import Server
from schema.migrate import migrate
from tests.checkout_page.conftest import Shop
from tests.gateway.conftest import side_by_side
from tests.support.sources import memory_server
from tests.support.working import work_off

PAN, HOLDER, CVV = "4539578763621486", "Zaphod Beeblebrox", "7361"
CARD = {"number": "4539 5787 6362 1486", "expiry_month": 11, "expiry_year": 2047, "cvv": "736", "name": HOLDER}
DECLINED = "4000000000009995"


@pytest.fixture
def server() -> Iterator[Server]:
    """One that writes down every statement with its parameters, also of those that fail, and counts them."""
    with memory_server() as made, psycopg.connect(made.url, autocommit=True) as conn:
        for name, value in (
            ("log_statement", "all"),
            ("log_min_duration_statement", "0"),
            ("log_parameter_max_length", "-1"),
            ("log_parameter_max_length_on_error", "-1"),
            ("log_error_verbosity", "default"),
        ):
            conn.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        conn.execute("SELECT pg_reload_conf()")
        yield made


def _spellings(text: str) -> list[bytes]:
    """A text as logs and dumps may have it: bytes as hexadecimal digits, base64 at any of its three beginnings."""
    raw = text.encode()
    inner = [base64.b64encode(b"\0" * n + raw)[4 if n else 0 : -4] for n in range(3)]
    return [raw, raw.hex().encode(), raw[::-1], *inner]


async def test_a_card_stands_in_no_log_and_no_table(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    """Paid with, declined, refused, sent by an odd body; while payments wait, and once they have settled."""
    migrate(server.url)
    config = load({"DATABASE_URL": server.url, "TEST_MODE": "true", "TEST_PROCESSING_DELAY": "0"})
    await demo.seed(config.database_url, config)
    with psycopg.connect(server.url, autocommit=True, row_factory=dict_row) as conn:
        async with side_by_side(config, make_app) as made:
            shop = Shop(made.client, conn)
            said = []
            for n, body in enumerate(
                (
                    {"method": "card", "card": CARD},
                    {"method": "card", "card": CARD | {"number": DECLINED}},
                    {"method": "card", "card": CARD | {"expiry_year": 2020}},
                    {"method": "card", "card": CARD | {"number": int(PAN)}},
                    {"method": "card", "card": CARD | {"cvv": CVV}},
                    {"method": "card", "card": PAN},
                    {"method": "card", "card": CARD, PAN: HOLDER},
                )
            ):
                page = await shop.open(shop.order(f"order_{n}"))
                said.append((await page.try_to_pay(body)).status_code)
            waiting = _dump(server)
            await work_off(config, "payment.process")
            statuses = [one["status"] for one in shop.payments()]
            settled = _dump(server)
    assert said == [200, 200, 400, 400, 400, 400, 400]
    assert sorted(statuses) == ["failed", "success"]

    log = (server.data_dir / "server.log").read_bytes()
    assert b"sealed_instrument" in log  # it does write down what it was given
    assert b"1486" in waiting  # the last four are kept
    ours = "".join(capfd.readouterr()).encode()
    assert ours.count(b"path=/checkout/pay") == len(said)
    for secret in (PAN, CARD["number"], PAN[:-4], DECLINED, HOLDER):
        for spelling in _spellings(str(secret)):
            for place, text in (("log", log), ("waiting", waiting), ("settled", settled), ("ours", ours)):
                assert spelling not in text, (secret, spelling, place)


def _dump(server: Server) -> bytes:
    """Every row of every table."""
    argv = [server.programs / "pg_dump", "--data-only", "--inserts", server.url]
    return subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout
