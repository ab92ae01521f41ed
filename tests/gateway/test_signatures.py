"""Each mistake is made with a webhook that a real dispatcher sent, and told apart from all the others."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from typing import Any, get_args

import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Standard

from gateway import mangled
from gateway.mistakes import WORDS, Reason
from gateway.signatures import Diagnosis, Given, diagnose
from gateway.trials import Known, KnownSecret
from kit import signing
from tests.support.captured import Captured, Webhook, captured, datetime_of
from tests.support.tools import run_node

__all__ = ["captured"]


def _ask(webhook: Webhook, given: Given, known: Known | None = None, *, late: float = 0) -> Diagnosis:
    return diagnose(given, known, now=webhook.sent_at + late)


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix("whsec_"))


def _sign(key: bytes, content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()


def _content(webhook: Webhook, body: bytes | None = None) -> bytes:
    head = f"{webhook.headers['webhook-id']}.{webhook.headers['webhook-timestamp']}."
    return head.encode() + (webhook.body if body is None else body)


def test_every_reason_has_words() -> None:
    assert set(WORDS) == set(get_args(Reason))
    assert [reason for reason, words in WORDS.items() if not words.description] == []


def test_what_is_right_is_valid(captured: Captured) -> None:
    """As the public library says; in whatever case the headers come, and by CGI's names for them."""
    one = captured.plain
    Standard(captured.old).verify(one.body, one.headers)
    cgi = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in one.headers.items()}
    for headers in (one.headers, {name.title(): value for name, value in one.headers.items()}, cgi):
        for known in (None, captured.known()):
            said = _ask(one, Given(one.body, headers, captured.old), known)
            assert (said.valid, said.reason, said.mistakes, said.offset) == (True, "ok", [], None)


def test_express_writes_the_same_bytes(captured: Captured) -> None:
    """`JSON.stringify(req.body)` stays valid: the promise of every body that is sent."""
    script = "process.stdout.write(JSON.stringify(JSON.parse(require('fs').readFileSync(0, 'utf8'))))"
    body = run_node(script, captured.plain.body).encode()
    assert _ask(captured.plain, captured.plain.given(captured.old, body)).valid


BODIES: list[tuple[str, Any, list[str], bool]] = [
    # what was done to it, how, what is said, whether it is said without the ledger too
    ("json.dumps", lambda b: json.dumps(json.loads(b)).encode(), ["body_reserialised"], True),
    ("json.dumps, compact", lambda b: json.dumps(json.loads(b), separators=(",", ":")).encode(),
     ["body_reserialised"], True),
    ("json.dumps, indented", lambda b: json.dumps(json.loads(b), indent=2, ensure_ascii=False).encode(),
     ["body_reserialised"], True),
    ("json.dumps, sorted", lambda b: json.dumps(json.loads(b), sort_keys=True, separators=(",", ":")).encode(),
     ["body_reserialised"], False),
    ("json_encode of PHP", lambda b: json.dumps(json.loads(b), separators=(",", ":")).replace("/", "\\/").encode(),
     ["body_reserialised"], True),
    ("json_encode of PHP's arrays", lambda b: json.dumps(json.loads(b), separators=(",", ":"))
     .replace("/", "\\/").replace("{}", "[]").encode(), ["body_reserialised"], True),
    ("HTML escapes", lambda b: b.decode().replace("&", "&amp;").replace('"', "&quot;").encode(),
     ["body_reserialised"], True),
    ("a newline at the end", lambda b: b + b"\n", ["body_whitespace"], True),
    ("CRLF at the end", lambda b: b + b"\r\n", ["body_whitespace"], True),
    ("indented, CRLF", lambda b: json.dumps(json.loads(b), indent=4).replace("\n", "\r\n").encode(),
     ["body_reserialised"], True),
    ("a byte order mark", lambda b: b"\xef\xbb\xbf" + b, ["body_bom"], True),
    ("a mark and a newline", lambda b: b"\xef\xbb\xbf" + b + b"\n", ["body_bom", "body_whitespace"], True),
    ("UTF-16", lambda b: b.decode().encode("utf-16"), ["body_charset"], True),
    ("read as Latin-1", lambda b: b.decode("latin-1").encode(), ["body_charset"], True),
    ("read as ASCII", lambda b: b.decode("ascii", "replace").encode(), ["body_charset"], False),
    ("written as ASCII", lambda b: b.decode().encode("ascii", "replace"), ["body_charset"], False),
    ("a string of JSON", lambda b: json.dumps(b.decode()).encode(), ["body_encoded_twice"], True),
    ("str() of Python's bytes", lambda b: str(b).encode(), ["body_encoded_twice"], True),
    ("read before", lambda _: b"", ["body_empty"], False),
    ("cut", lambda b: b[:100], ["body_truncated"], False),
    ("a digit changed", lambda b: b.replace(b"129900", b"129901"), ["body_changed"], False),
]  # fmt: skip


@pytest.mark.parametrize(("done", "how", "said", "offline"), BODIES, ids=[one[0] for one in BODIES])
def test_what_was_done_to_a_body_is_told(
    captured: Captured, done: str, how: Any, said: list[str], *, offline: bool
) -> None:
    """With the ledger each of them, and where it differs; without it each that can be undone."""
    one = captured.plain
    given = one.given(captured.old, how(one.body))
    assert given.body != one.body

    found = _ask(one, given, captured.known())
    assert (found.valid, found.mistakes[: len(said)]) == (False, said)
    assert found.offset == mangled.first_difference(given.body, one.body)
    assert given.body[: found.offset] == one.body[: found.offset]
    assert found.checks.secret == "current"

    alone = _ask(one, given)
    assert not alone.valid
    assert (alone.mistakes == said) == offline, alone
    if not offline:
        assert "signature_mismatch" in alone.mistakes


def test_the_marks_of_a_rewritten_body_are_named(captured: Captured) -> None:
    one = captured.plain
    sorted_keys = json.dumps(json.loads(one.body), sort_keys=True).encode()
    assert _ask(one, one.given(captured.old, sorted_keys)).marks == [
        "spaces after commas or colons",
        "letters beyond ASCII as \\u escapes",
        "keys in alphabetical order",
    ]
    assert mangled.marks(one.body) == []


def test_the_body_of_another_event_is_told(captured: Captured) -> None:
    one, other = captured.plain, captured.other_event
    for known in (None, captured.known()):
        assert _ask(one, one.given(captured.old, other.body), known).reason == "body_of_another_event"


SECRETS: list[tuple[str, Any, str]] = [
    ("a newline at its end", lambda c: c.old + "\n", "secret_decorated"),
    ("quotes around it", lambda c: f'"{c.old}"', "secret_decorated"),
    ("quotes and spaces", lambda c: f" '{c.old}' ", "secret_decorated"),
    ("decoded, and written as hex", lambda c: _key(c.old).hex(), "key_is_hex"),
]


@pytest.mark.parametrize(("done", "how", "reason"), SECRETS, ids=[one[0] for one in SECRETS])
def test_what_was_done_to_a_secret_is_told(captured: Captured, done: str, how: Any, reason: str) -> None:
    one = captured.plain
    for known in (None, captured.known()):
        found = _ask(one, one.given(how(captured)), known)
        assert (found.valid, found.reason) == (False, reason)
        assert captured.old.removeprefix("whsec_") not in repr(found)


def test_which_secret_it_is_is_told(captured: Captured) -> None:
    """A wrong one, the one before, the next endpoint's; without the ledger only that it does not fit."""
    wrong = "whsec_" + base64.b64encode(b"x" * 32).decode()
    one, after = captured.plain, captured.rotated
    known = captured.known(rotated=True)

    said = _ask(one, one.given(wrong), captured.known())
    assert (said.reason, said.checks.secret) == ("secret_wrong", "none_of_yours")
    said = _ask(after, after.given(captured.old), known)
    assert (said.reason, said.checks.secret) == ("secret_old", "previous")
    assert said.checks.secret_until == known.secrets[1].until
    said = _ask(one, one.given(captured.other), captured.known())
    assert (said.reason, said.checks.secret) == ("secret_of_another_endpoint", "other_endpoint")
    assert said.checks.secret_endpoint_id == "whep_other"
    said = _ask(captured.elsewhere, captured.elsewhere.given(captured.old), captured.known())
    assert (said.reason, said.checks.secret) == ("secret_of_another_endpoint", "current")
    for secret in (captured.new, None):
        said = _ask(one, one.given(secret), known, late=200)
        assert said.reason == (
            "ok" if secret is None and one.sent_at + 200 < after.sent_at else "signed_before_rotation"
        )
    assert _ask(one, one.given(wrong)).reason == "signature_mismatch"

    said = _ask(one, one.given(wrong, one.body + b"\n"), captured.known())
    assert said.mistakes == ["secret_wrong", "body_whitespace"]


def test_both_secrets_are_valid_while_they_overlap(captured: Captured) -> None:
    """X-Webhook-Signature is made with the new one alone, and cannot be held against the old one."""
    one = captured.rotating
    for secret, simple in ((captured.new, "right"), (captured.old, "unknown")):
        Standard(secret).verify(one.body, one.headers)
        said = _ask(one, one.given(secret))
        assert (said.valid, said.reason, said.checks.x_webhook_signature) == (True, "ok", simple)
    alone = {name: value for name, value in one.headers.items() if not name.startswith("webhook-")}
    assert _ask(one, Given(one.body, alone, captured.new)).valid
    assert not _ask(one, Given(one.body, alone, captured.old)).valid


HEADERS: list[tuple[str, Any, str]] = [
    ("X-Webhook-Signature as webhook-signature", lambda h: {"webhook-signature": h["x-webhook-signature"]},
     "wrong_header"),
    ("webhook-signature as X-Webhook-Signature", lambda h: {"x-webhook-signature": h["webhook-signature"]},
     "wrong_header"),
    ("without v1,", lambda h: {"webhook-signature": h["webhook-signature"][3:]}, "version_missing"),
    ("in hex", lambda h: {"webhook-signature": "v1," + base64.b64decode(h["webhook-signature"][3:]).hex()},
     "signature_hex"),
    ("the other in base64", lambda h: {"x-webhook-signature":
     base64.b64encode(bytes.fromhex(h["x-webhook-signature"])).decode()}, "signature_base64"),
    ("without padding", lambda h: {"webhook-signature": h["webhook-signature"].rstrip("=")}, "signature_base64url"),
    ("cut", lambda h: {"webhook-signature": h["webhook-signature"][:20]}, "signature_malformed"),
    ("no id", lambda _: {"webhook-id": None}, "header_missing"),
    ("no timestamp", lambda _: {"webhook-timestamp": None}, "header_missing"),
    ("an empty signature", lambda _: {"webhook-signature": ""}, "header_missing"),
    ("nothing", dict.fromkeys, "headers_missing"),
    ("X-Webhook-Id as webhook-id", lambda h: {"webhook-id": h["x-webhook-id"]}, "webhook_id_altered"),
    ("milliseconds", lambda h: {"webhook-timestamp": h["webhook-timestamp"] + "000"}, "timestamp_milliseconds"),
    ("another second", lambda h: {"webhook-timestamp": str(int(h["webhook-timestamp"]) + 1)}, "timestamp_altered"),
    ("a date", lambda _: {"webhook-timestamp": "2026-01-01T00:00:00Z"}, "timestamp_altered"),
    ("both other", lambda _: {"webhook-id": "evt_x", "webhook-timestamp": "1"}, "id_or_timestamp_altered"),
    ("the simple one other", lambda _: {"x-webhook-signature": "0" * 64}, "simple_signature_wrong"),
]  # fmt: skip


@pytest.mark.parametrize(("done", "how", "reason"), HEADERS, ids=[one[0] for one in HEADERS])
def test_what_was_done_to_headers_is_told(captured: Captured, done: str, how: Any, reason: str) -> None:
    """Without the ledger as with it."""
    one = captured.plain
    changed = {name.replace("-", "_"): value for name, value in how(one.headers).items()}
    if reason == "webhook_id_altered":  # the test event's body carries its id, as every event's
        assert json.loads(one.body)["id"] != changed["webhook_id"]
    for known in (None, captured.known()):
        found = _ask(one, one.given(captured.old, **changed), known)
        assert (found.valid, found.reason) == (False, reason), found


def test_the_webhook_id_of_another_delivery_is_told(captured: Captured) -> None:
    one, other = captured.plain, captured.other_event
    for known in (None, captured.known()):
        found = _ask(one, one.given(captured.old, webhook_id=other.headers["webhook-id"]), known)
        assert found.reason == "webhook_id_altered"


def test_an_attempt_s_own_timestamp_is_found_however_far_away(captured: Captured) -> None:
    one = captured.plain
    given = one.given(captured.old, webhook_timestamp="1000000000", x_webhook_signature=None)
    assert diagnose(given, now=2e9).reason == "signature_mismatch"
    known = captured.known()._replace(timestamps=[one.headers["webhook-timestamp"]])
    assert diagnose(given, known, now=2e9).reason == "timestamp_altered"


def test_old_and_early_are_told_apart(captured: Captured) -> None:
    """Five minutes either way are no mistake; one more second is, and which way round it is."""
    one = captured.plain
    for late, reason in ((300, "ok"), (301, "timestamp_stale"), (-300, "ok"), (-301, "timestamp_future")):
        found = _ask(one, one.given(captured.old), late=late)
        assert (found.valid, found.reason, found.checks.age_seconds) == (reason == "ok", reason, late)
    body = json.dumps(json.loads(one.body)).encode()
    assert _ask(one, one.given(captured.old, body), late=9999).mistakes == ["body_reserialised", "timestamp_stale"]
    assert diagnose(one.given(captured.old), now=one.sent_at + 9999, tolerance=10_000).valid


CODE: list[tuple[str, Any, list[str]]] = [
    ("right", lambda _, w: w.headers["webhook-signature"], []),
    ("right, without v1,", lambda _, w: w.headers["webhook-signature"][3:], []),
    ("right, the simple one", lambda _, w: w.headers["x-webhook-signature"], []),
    ("key is the text", lambda s, w: _sign(s.encode(), _content(w)), ["key_is_text"]),
    ("key is the text after whsec_", lambda s, w: _sign(s[6:].encode(), _content(w)), ["key_is_text"]),
    ("decoded with whsec_, in Node", lambda s, w: _in_node(s, w, "Buffer.from(secret, 'base64')"),
     ["key_decoded_with_prefix"]),
    ("decoded as hex, in Node", lambda s, w: _in_node(s, w, "Buffer.from(secret, 'hex')"), ["key_is_hex"]),
    ("in hex", lambda s, w: hmac.digest(_key(s), _content(w), "sha256").hex(), ["signature_hex"]),
    ("over the body alone", lambda s, w: _sign(_key(s), w.body), ["signature_parts_missing"]),
    ("over timestamp and body", lambda s, w: _sign(_key(s), _content(w).split(b".", 1)[1]),
     ["signature_parts_missing"]),
    ("over a parsed body", lambda s, w: _sign(_key(s), _content(w, b"[object Object]")), ["signature_of_parsed_body"]),
    ("over Python's b'…'", lambda s, w: _sign(_key(s), _content(w, str(w.body).encode())),
     ["signature_of_parsed_body"]),
    ("text and body alone, in base64", lambda s, w: _sign(s.encode(), w.body), ["wrong_header"]),
    ("SHA-1", lambda s, w: hmac.digest(_key(s), _content(w), "sha1").hex(), ["algorithm_wrong"]),
    ("text as key, parts missing", lambda s, w: _sign(s[6:].encode(), w.body),
     ["key_is_text", "signature_parts_missing"]),
    ("something else", lambda *_: hashlib.sha256(b"x").hexdigest(), ["signature_mismatch"]),
    ("no signature", lambda *_: "true", ["signature_mismatch"]),
]  # fmt: skip


def _in_node(secret: str, webhook: Webhook, key: str) -> str:
    script = (
        f"const secret = {json.dumps(secret)}; const sent = require('fs').readFileSync(0);"
        f"console.log(require('crypto').createHmac('sha256', {key}).update(sent).digest('base64'))"
    )
    return run_node(script, _content(webhook))


@pytest.mark.parametrize(("done", "how", "mistakes"), CODE, ids=[one[0] for one in CODE])
def test_what_the_receiver_s_code_does_is_told(captured: Captured, done: str, how: Any, mistakes: list[str]) -> None:
    """What came is right, and the code computes something else; a past delivery is asked about as well."""
    one = captured.plain
    given = one.given(captured.old)._replace(computed=how(captured.old, one))
    for known in (None, captured.known()):
        found = _ask(one, given, known)
        assert (found.valid, found.mistakes) == (True, mistakes)
        assert _ask(one, given, known, late=9999).mistakes == [*mistakes, "timestamp_stale"]


def test_a_wrongly_signed_request_is_told_by_the_signer_s_mistake(captured: Captured) -> None:
    """A merchant's own test requests: the same mistakes, made when signing."""
    one, secret = captured.plain, captured.old
    for signature, mistakes in (
        (_sign(secret.encode(), _content(one)), ["key_is_text"]),
        (_sign(_key(secret), one.body), ["signature_parts_missing"]),
        (_sign(secret.encode(), one.body), ["wrong_header"]),
    ):
        found = _ask(one, one.given(secret, webhook_signature=signature, x_webhook_signature=None))
        assert (found.valid, found.mistakes) == (False, mistakes)
    found = _ask(one, one.given(secret, x_webhook_signature=hmac.digest(_key(secret), one.body, "sha256").hex()))
    assert (found.valid, found.reason) == (False, "key_decoded")
    simple = {"x-webhook-signature": one.headers["x-webhook-signature"]}
    assert _ask(one, Given(one.body, simple, secret)).valid
    assert _ask(one, Given(one.body, simple, secret[6:])).reason == "secret_prefix_missing"


def test_a_signature_that_is_nobody_s_is_unknown(captured: Captured) -> None:
    one = captured.plain
    forged = {"webhook_signature": _sign(b"x" * 32, b""), "x_webhook_signature": "0" * 64}
    assert _ask(one, one.given(captured.old, **forged), captured.known()).mistakes == ["signature_unknown"]
    assert _ask(one, one.given(None, **forged), captured.known()).mistakes == ["signature_unknown"]
    assert _ask(one, one.given(captured.old, **forged)).mistakes == ["signature_mismatch"]
    changed = one.given("whsec_no", one.body + b"x", **forged)
    assert _ask(one, changed, captured.known()).mistakes == ["body_changed", "secret_wrong", "signature_unknown"]


def test_the_demo_s_secret_is_a_text(captured: Captured) -> None:
    """`whsec_test_abc123` is no base64, and signs with its text."""
    one, secret = captured.plain, "whsec_test_abc123"
    stamp = int(one.headers["webhook-timestamp"])
    headers = {
        **one.headers,
        "webhook-signature": signing.standard([secret], one.headers["webhook-id"], stamp, one.body),
        "x-webhook-signature": signing.plain(secret, one.body),
    }
    assert _ask(one, Given(one.body, headers, secret)).valid


def test_no_answer_holds_a_secret_or_a_signature(captured: Captured) -> None:
    """Nothing that could sign: whoever may ask must not learn to."""
    one = captured.plain
    secrets = [captured.old, captured.new, captured.other]
    made = re.compile(r"[0-9a-f]{40}|[A-Za-z0-9+/]{43}=")
    for _, how, _, _ in BODIES:
        for secret in (captured.old, "whsec_wrong", None):
            said = repr(_ask(one, one.given(secret, how(one.body)), captured.known()))
            assert not any(secret[6:] in said for secret in secrets)
            assert not made.search(said)


_EDITS = st.lists(
    st.tuples(st.integers(0, 10_000), st.sampled_from("idr"), st.integers(0, 255)), min_size=1, max_size=3
)


def _edit(text: bytes, edits: list[tuple[int, str, int]]) -> bytes:
    made = bytearray(text)
    for place, what, value in edits:
        n = place % (len(made) + 1)
        if what == "i":
            made.insert(n, value)
        elif n < len(made):
            made[n : n + 1] = b"" if what == "d" else bytes([value])
    return bytes(made)


_PARTS = st.sampled_from(
    ["body", "secret", "webhook-id", "webhook-timestamp", "webhook-signature", "x-webhook-signature"]
)


def test_no_mutation_is_ever_valid(captured: Captured) -> None:
    """Whatever is changed by a byte or three; and nothing that is given breaks the diagnosis."""
    one, known = captured.plain, captured.known()

    @settings(max_examples=250, deadline=None, database=None)
    @examples(_PARTS, _EDITS, st.booleans())
    def mutate(part: str, edits: list[tuple[int, str, int]], ledger: bool) -> None:  # noqa: FBT001
        secret, body, headers = captured.old, one.body, dict(one.headers)
        if part == "body":
            body = _edit(body, edits)
        elif part == "secret":
            secret = _edit(secret.encode(), edits).decode("latin-1")
        else:
            headers[part] = _edit(headers[part].encode(), edits).decode("latin-1")
        same = (body, {name: value.strip() for name, value in headers.items()}) == (one.body, one.headers)
        if same and (part != "secret" or signing.key_of(secret) == signing.key_of(captured.old)):
            return
        said = _ask(one, Given(body, headers, secret), known if ledger else None)
        assert not said.valid
        assert said.mistakes

    mutate()


def test_what_a_question_costs_is_bounded(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest body, a hundred entries, fifty endpoints after a rotation: a bound on what is hashed."""
    hashed = 0
    digest = hmac.digest

    def counting(key: bytes, message: bytes, name: str) -> bytes:
        nonlocal hashed
        hashed += len(message)
        return digest(key, message, name)

    monkeypatch.setattr("gateway.trials.hmac.digest", counting)
    secrets = [
        KnownSecret(f"whep_{n}", f"whsec_{n}", own=n == 0, until=until)
        for n in range(50)
        for until in (None, datetime_of(2_000_000_000))
    ]
    one = captured.plain
    known = Known(secrets, {one.headers["webhook-id"]: one.body}, [str(n) for n in range(100)])
    given = one.given("whsec_x", b"[" * 65_536, webhook_signature="v1," + "A" * 43 + "= v1," + "B" * 43 + "=")
    assert not _ask(one, given, known).valid
    assert 4 * 1024 * 1024 < hashed < 16 * 1024 * 1024
