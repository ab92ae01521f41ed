"""Somebody before the dashboard, who signs in and acts over and over while its containers are restarted."""

from __future__ import annotations

import contextlib
import html
import re
import threading
from collections.abc import Iterator

import httpx

from gateway import demo
from tests.support.waiting import until

_THINKS = 0.3  # seconds
_PATIENCE = 60.0


def form_of(page: httpx.Response, **fields: str) -> dict[str, str]:
    """A form of a page, with the token that it carries."""
    (token, *_) = re.findall(r'name="csrf" value="([^"]+)"', page.text)
    return {"csrf": html.unescape(token), **fields}


@contextlib.contextmanager
def signed_in(url: str, email: str = demo.USERS[0].email) -> Iterator[httpx.Client]:
    """A new browser, signed in. It lies about where it is, which only a proxy that is known may say."""
    lie = {"X-Forwarded-For": "203.0.113.7"}
    with httpx.Client(base_url=url, timeout=_PATIENCE, trust_env=False, headers=lie) as browser:
        form = form_of(browser.get("/login").raise_for_status(), email=email, password=demo.PASSWORD)
        said = browser.post("/login", data=form)
        assert (said.status_code, said.headers.get("location", "")[:10]) == (303, "/dashboard"), said.text[:500]
        yield browser


class Visitor:
    """Each round is a new sign-in and one action, which leaves a line in the audit log."""

    def __init__(self, url: str) -> None:
        self.rounds = 0
        self.wrong: list[str] = []
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="visitor")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End with a whole round."""
        self._over.set()
        self._thread.join(2 * _PATIENCE)
        assert not self._thread.is_alive()

    def await_more(self, rounds: int) -> None:
        """Wait until that many more were done."""
        goal = self.rounds + rounds
        until(lambda: self.rounds >= goal or self.wrong, within=_PATIENCE, what=f"{rounds} sign-ins")

    def _run(self) -> None:
        while not self._over.is_set() and not self.wrong:
            try:
                with signed_in(self._url) as browser:
                    page = browser.get("/dashboard/account").raise_for_status()
                    form = form_of(page, name=f"Asha the {self.rounds}th")
                    said = browser.post("/dashboard/account/name", data=form)
                    assert said.status_code == 303, said.text[:500]
                    self.rounds += 1
            except (httpx.HTTPError, AssertionError, ValueError) as error:
                self.wrong.append(f"{type(error).__name__}: {error}")
            self._over.wait(_THINKS)


@contextlib.contextmanager
def visiting(url: str) -> Iterator[Visitor]:
    """Somebody who comes again and again until the block ends."""
    visitor = Visitor(url)
    visitor.start()
    try:
        yield visitor
    finally:
        visitor.stop()
