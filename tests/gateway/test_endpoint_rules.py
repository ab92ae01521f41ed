"""The pure rules of endpoints, with whatever anybody may type."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import endpoint_rules as rules
from gateway.errors import BadRequestError

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
