"""The dashboard's application on a real database, asked as a browser without a script asks it."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest

from dashboard.app import make_app
from gateway import demo
from gateway.config import Config
from kit.db import Connection
from tests.dashboard.entering import begin_session
from tests.dashboard.paying import Till
from tests.gateway.conftest import side_by_side

Conn = psycopg.Connection[dict[str, Any]]
OWNER, VIEWER, OPERATOR = (one.email for one in demo.USERS)
COOKIE = "ledgate_session"


class Browser:
    """Somebody's browser: cookies, and the forms of the page that it has shown last."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self.client = httpx.AsyncClient(transport=transport, base_url="http://dash.test")
        self.page: httpx.Response = httpx.Response(0)

    async def get(self, path: str, *, follow: bool = True, **headers: str) -> httpx.Response:
        self.page = await self.client.get(path, headers=headers, follow_redirects=follow)
        return self.page

    async def post(self, path: str, *, follow: bool = True, headers: Any = None, **form: Any) -> httpx.Response:
        """Send a form with the token of the page that is shown."""
        data = {"csrf": self.csrf, **form}
        said = await self.client.post(path, data=data, headers=headers, follow_redirects=follow)
        self.page = said
        return said

    @property
    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.page.text)
        return html.unescape(found[1]) if found else ""

    @property
    def text(self) -> str:
        """What the page says, without its tags."""
        body = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", self.page.text, flags=re.DOTALL)
        return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)))

    @property
    def token(self) -> str | None:
        """The session's cookie."""
        return self.client.cookies.get(COOKIE)

    async def sign_in(self, email: str = OWNER, password: str = demo.PASSWORD, **more: str) -> httpx.Response:
        await self.get("/login")
        return await self.post("/login", email=email, password=password, **more)


class House:
    """The application, and as many browsers before it as a test wants."""

    def __init__(self, transport: httpx.AsyncBaseTransport, config: Config, conn: Conn) -> None:
        self._transport = transport
        self.config = config
        self.conn = conn
        self.browsers: list[Browser] = []

    def browser(self) -> Browser:
        made = Browser(self._transport)
        self.browsers.append(made)
        return made

    async def signed_in(self, email: str = OWNER) -> Browser:
        """A browser with a full session; without the password, whose hash takes its time."""
        made = self.browser()
        token = await begin_session(self.config, email)
        made.client.cookies.set(COOKIE, token, domain="dash.test")
        await made.get("/dashboard/account")
        return made

    @property
    def app(self) -> Any:
        return self._transport.app  # type: ignore[attr-defined]

    def held(self) -> float:
        """How long who guesses must wait, in seconds; and an hour is put on top, however slow the test is."""
        rows = self.conn.execute(
            "UPDATE sign_in_tries SET blocked_until = blocked_until + interval '1 hour' WHERE blocked_until > tried_at"
            " RETURNING extract(epoch FROM blocked_until - tried_at)::float - 3600 AS seconds"
        ).fetchall()
        return max((float(row["seconds"]) for row in rows), default=0.0)

    def audit(self) -> list[tuple[str, str]]:
        """Actor and action, the oldest first."""
        rows = self.conn.execute("SELECT actor, action FROM audit_log ORDER BY id").fetchall()
        return [(row["actor"], row["action"]) for row in rows]


@pytest.fixture
async def house(config: Config, demo_merchant: str, conn: Conn) -> AsyncIterator[House]:
    async with side_by_side(config, make_app) as made:
        opened = House(made.client._transport, config, conn)
        yield opened
        for one in opened.browsers:
            await one.client.aclose()


@pytest.fixture
def visitor(house: House) -> Browser:
    """Somebody who is not signed in."""
    return house.browser()


@pytest.fixture
async def owner(house: House) -> Browser:
    return await house.signed_in(OWNER)


@pytest.fixture
def till(db: Connection, config: Config) -> Till:
    """Takes payments for pages to show."""
    return Till(db, config)


@pytest.fixture
async def viewer(house: House) -> Browser:
    return await house.signed_in(VIEWER)
