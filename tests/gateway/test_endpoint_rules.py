"""The rules of endpoints, with whatever anybody may type: what is well-formed, and where webhooks may go."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import egress
from gateway import endpoint_rules as rules
from gateway.cli import main as ledgate
from gateway.config import Config, load
from gateway.egress import Egress
from gateway.errors import BadRequestError
from kit.config import ConfigError
from kit.egress import Rules
from tests.gateway.conftest import AUTH, side_by_side
from tests.support.nameserver import answering
from tests.support.paying import MERCHANT
from tests.support.strangers import everything
from tests.support.waiting import eventually

Conn = psycopg.Connection[dict[str, Any]]

PRINTABLE = st.from_regex(r"[!-~]{1,12}", fullmatch=True)


@settings(max_examples=300, deadline=None, database=None)
@given(st.text(max_size=30) | st.from_regex(r"https?://[!-~]{0,20}", fullmatch=True))
def test_any_url_is_taken_or_refused_clearly(url: str) -> None:
    """And what is taken holds nothing that two parsers could read as two hosts."""
    with contextlib.suppress(BadRequestError):
        rules.check_url(url, "url")
        assert url.lower().startswith(("http://", "https://"))
        assert url.isascii()
        assert not set(url.partition("//")[2].partition("/")[0].partition("?")[0]) & set("@\\ #")


@settings(max_examples=300, deadline=None, database=None)
@given(st.dictionaries(PRINTABLE | st.text(max_size=12), PRINTABLE | st.text(max_size=12), max_size=12))
def test_any_headers_are_taken_or_refused_clearly(headers: dict[str, str]) -> None:
    """What is taken cannot end its line, nor pass for one of ours."""
    with contextlib.suppress(BadRequestError):
        rules.check_headers(headers)
        assert len(headers) <= rules.MAX_HEADERS
        for name, value in headers.items():
            assert name.isascii()
            assert not set(name) & set(" \r\n:\0")
            assert value.isprintable() or "\t" in value
            assert not name.lower().startswith(("webhook-", "x-webhook-", "content-"))


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"LEDGATE_EGRESS_ALLOW": "10.0.0.1/8"}, "setting LEDGATE_EGRESS_ALLOW: 10.0.0.1/8 has host bits set"),
        (
            {"LEDGATE_EGRESS_ALLOW": "shop.example"},
            "setting LEDGATE_EGRESS_ALLOW: 'shop.example' does not appear to be",
        ),
        ({"LEDGATE_EGRESS_ALLOW": "10.0.0.0/8,"}, "setting LEDGATE_EGRESS_ALLOW: '' does not appear to be"),
        ({"LEDGATE_EGRESS_PORTS": "http"}, "setting LEDGATE_EGRESS_PORTS: 'http' is no port"),
        ({"LEDGATE_EGRESS_PORTS": "443,0"}, "setting LEDGATE_EGRESS_PORTS: '0' is no port"),
    ],
)
def test_wrong_networks_and_ports_are_refused_at_start_by_name(environ: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(environ)
    assert str(refused.value).startswith(says)


def test_loopback_is_allowed_in_test_mode_alone_and_unless_said_otherwise() -> None:
    def allowed(**environ: str) -> list[str]:
        return [str(network) for network in load(environ).egress.allow]

    assert allowed() == []
    assert allowed(TEST_MODE="true") == ["127.0.0.0/8", "::1/128"]
    assert allowed(TEST_MODE="true", LEDGATE_EGRESS_ALLOW="none") == []
    assert allowed(LEDGATE_EGRESS_ALLOW="10.1.0.0/16, fd00::/8") == ["10.1.0.0/16", "fd00::/8"]
    assert load({"LEDGATE_EGRESS_PORTS": "443"}).egress.ports == (range(443, 444),)


async def test_a_name_is_looked_up_when_it_is_saved() -> None:
    """Refused when it leads to private addresses alone; what cannot be known now is asked again at each delivery."""
    names = {"inner.net": [["10.0.0.1", "fd00::1"]], "mixed.net": [["10.0.0.1", "9.9.9.9"]], "outer.net": [["9.9.9.9"]]}
    async with answering(names) as server:
        one = Egress(Rules(), nameservers=[server.address])
        for url in ("https://outer.net/", "https://mixed.net/", "https://nobody.net/", "https://shop.example/"):
            await one.check_url(url, "url")
        with pytest.raises(BadRequestError) as refused:
            await one.check_url("https://inner.net/", "url")
        await one.close()
    told = refused.value
    assert (told.description, told.field, told.reason) == (
        "url is refused: inner.net has no public address",
        "url",
        "url_not_public",
    )
    assert "shop.example" not in server.asked


CALLS: list[tuple[str, str, str]] = [
    ("POST", "/webhook-endpoints", "url"),
    ("PATCH", "/webhook-endpoints/{default}", "url"),
    ("PUT", "/webhooks/config", "webhook_url"),
]
REFUSED = [
    ("http://127.0.0.1:8000/", "url_not_public"),
    ("http://localhost:8000/", "url_not_public"),
    ("http://[::1]:8000/", "url_not_public"),
    ("http://0x7f.1:8000/", "url_not_public"),
    ("http://inner.net/", "url_not_public"),
    ("https://shop.example:25/", "url_port_refused"),
]


async def test_every_call_that_saves_a_url_asks(
    config: Config, demo_merchant: str, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    (default,) = conn.execute("SELECT id FROM endpoints").fetchall()
    before = everything(conn)
    async with answering({"inner.net": [["10.0.0.1"]]}) as names:
        monkeypatch.setattr("gateway.api.app.Egress", functools.partial(Egress, nameservers=[names.address]))
        async with side_by_side(msgspec.structs.replace(config, egress_allow="none")) as api:
            for method, path, field in CALLS:
                for url, reason in REFUSED:
                    to = f"/api/v1{path.format(default=default['id'])}"
                    said = await api.client.request(method, to, json={field: url}, headers=AUTH)
                    error = said.json()["error"]
                    assert (said.status_code, error["field"], error["reason"]) == (400, field, reason), (method, url)
    assert everything(conn) == before


async def test_no_transaction_waits_for_a_name_server(
    config: Config, demo_merchant: str, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that never answers costs its merchant the look-up's time, and no connection of the database's."""
    monkeypatch.setattr(egress, "LOOKUP_TIMEOUT", 0.7)
    async with answering({"dead.net": [[]]}) as names:
        monkeypatch.setattr("gateway.api.app.Egress", functools.partial(Egress, nameservers=[names.address]))
        async with side_by_side(config) as api:
            await api.get("/webhook-endpoints")  # so that the connections are there
            saving = asyncio.create_task(api.post("/webhook-endpoints", {"url": "https://dead.net/hook"}))

            async def asked() -> bool:
                return bool(names.asked["dead.net"])

            await eventually(asked)
            busy = conn.execute(
                "SELECT count(*) AS n FROM pg_stat_activity"
                " WHERE application_name = 'ledgate-api' AND datname = current_database() AND state <> 'idle'"
            ).fetchone()
            assert not saving.done()
            said = await saving
    assert busy == {"n": 0}
    assert said.status_code == 201


def test_the_operator_s_command_asks_too(
    config: Config, demo_merchant: str, conn: Conn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", config.database_url)
    monkeypatch.setattr("sys.argv", ["ledgate", "endpoints", "create", MERCHANT.merchant_id, "http://169.254.169.254/"])
    before = everything(conn)
    with pytest.raises(SystemExit) as ended:
        ledgate()
    assert ended.value.code == 2
    assert "URL is refused: 169.254.169.254 is not a public address" in capsys.readouterr().err
    assert everything(conn) == before
