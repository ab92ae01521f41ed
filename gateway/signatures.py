"""Why did my signature fail? Each mistake is made again until what was computed is what was given.

Nothing here answers with a signature that was not given, or with a secret: whoever asks learns whether what they hold
fits, and cannot sign with it. Signatures and secrets are compared in a time that does not depend on what they hold.
"""

from __future__ import annotations

import base64
import hmac
import re
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from gateway import mangled
from gateway.mistakes import WORDS, Reason
from gateway.trials import Known, Ways, read, same
from kit import signing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOLERANCE = 300
"""Seconds that a timestamp may be away, as in Standard Webhooks 1.0.0."""

_STANDARD = ("webhook-id", "webhook-timestamp", "webhook-signature")
_SIMPLE = "x-webhook-signature"
_SECONDS = re.compile(r"[0-9]{1,15}")
_ENTRIES = 10  # of a webhook-signature that are looked into

Verdict = Literal["right", "wrong", "absent", "unknown"]
Timing = Literal["fresh", "stale", "future", "malformed", "absent"]


class Given(NamedTuple):
    """What a receiver has."""

    body: bytes
    """As its check saw it."""
    headers: Mapping[str, str]
    secret: str | None = None
    """As it is configured; without it, what signs for the endpoint now."""
    computed: str | None = None
    """The signature that its own code computes."""


class Checks(msgspec.Struct, frozen=True, kw_only=True):
    """Each part by itself."""

    webhook_signature: Verdict
    x_webhook_signature: Verdict
    """Unknown when the secret signed as the one before: this header is made with the new one alone."""
    timestamp: Timing
    age_seconds: int | None
    """Of the timestamp, when it was received; below 0 when it lies ahead."""
    body: Literal["same", "different", "unknown"]
    """As the event's bytes in the ledger; unknown for an event that is not there."""
    secret: Literal["current", "previous", "other_endpoint", "none_of_yours", "unknown"] | None
    """Which of your secrets the given one is; null when none was given."""
    secret_endpoint_id: str | None
    """Whose the given secret is."""
    secret_until: datetime | None
    """Until when a secret that was replaced signs, or signed, beside the new one."""


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a receiver that is right accepts it; if not, or if its own computed signature is another, why."""

    valid: bool
    reason: Reason
    description: str
    hint: str | None
    mistakes: list[Reason]
    """All that were found, the first one to mend first; empty when nothing is wrong."""
    marks: list[str]
    """What in a body that fails shows that it was written anew."""
    offset: int | None
    """The first byte at which the body differs from the event's, from 0; for keys that may read."""
    checks: Checks


def diagnose(
    given: Given, known: Known | None = None, *, now: float, tolerance: int = TOLERANCE, tells_offset: bool = True
) -> Diagnosis:
    """Check a webhook as a receiver should, and find out why it fails.

    Args:
        given: what the receiver has.
        known: what the ledger knows.
        now: unix seconds, when it was received.
        tolerance: seconds.
        tells_offset: whether whoever asks may read the event.
    """
    return _Case(given, known or Known(), now, tolerance).diagnosis(tells_offset=tells_offset)


def normalised(headers: Mapping[str, str]) -> dict[str, str]:
    """Names in lower case, `HTTP_WEBHOOK_ID` of CGI and WSGI as `webhook-id`; values without white space around."""
    return {
        name.strip().lower().removeprefix("http_").replace("_", "-"): value.strip() for name, value in headers.items()
    }


class _Case:
    """One question."""

    def __init__(self, given: Given, known: Known, now: float, tolerance: int) -> None:
        self._now, self._tolerance = now, tolerance
        self._body, self._secret, self._computed = given.body, given.secret, given.computed
        self._known = known
        self._headers = normalised(given.headers)
        self._id, self._timestamp, signature = (self._headers.get(name, "") for name in _STANDARD)
        self._entries = signature.split()[:_ENTRIES]
        signs = [one for one in known.secrets if one.own and (one.until is None or one.until.timestamp() > now)]
        self._ways = Ways(
            webhook_id=self._id,
            timestamp=self._timestamp,
            body=given.body,
            secret=given.secret,
            trusted=[one.secret for one in signs] if given.secret is None else [given.secret],
            known=known,
            now=now,
        )
        self._standard = self._check_standard()
        self._simple = self._check_simple()
        self._timing, self._age = self._check_timing()

    def diagnosis(self, *, tells_offset: bool) -> Diagnosis:
        verdicts = {self._standard, self._simple}
        valid = "wrong" not in verdicts and "right" in verdicts
        found = [*self._of_computed(), *self._mistakes()] if valid else [*self._mistakes()]
        found = list(dict.fromkeys(found))
        reason: Reason = found[0] if found else "ok"
        event = self._ways.event
        differs = event is not None and self._body != event
        return Diagnosis(
            valid=valid and not (self._standard == "right" and self._timing != "fresh"),
            reason=reason,
            description=WORDS[reason].description,
            hint=WORDS[reason].hint,
            mistakes=found,
            marks=[] if valid else mangled.marks(self._body),
            offset=mangled.first_difference(self._body, event)
            if event is not None and differs and tells_offset
            else None,
            checks=self._checks(differs=differs),
        )

    def _checks(self, *, differs: bool) -> Checks:
        kind: Literal["current", "previous", "other_endpoint", "none_of_yours", "unknown"] | None = None
        given = self._ways.given
        if given is not None:
            kind = "other_endpoint" if not given.own else "previous" if given.until is not None else "current"
        elif self._secret is not None:
            kind = "none_of_yours" if self._known.secrets else "unknown"
        return Checks(
            webhook_signature=self._standard,
            x_webhook_signature=self._simple,
            timestamp=self._timing,
            age_seconds=self._age,
            body="unknown" if self._ways.event is None else "different" if differs else "same",
            secret=kind,
            secret_endpoint_id=given.endpoint_id if given is not None else None,
            secret_until=given.until if given is not None else None,
        )

    def _check_standard(self) -> Verdict:
        if not any(name in self._headers for name in _STANDARD):
            return "absent"
        right = self._right_entries()
        fits = [same(entry, wanted) for entry in self._entries for wanted in right]
        return "right" if any(fits) and self._id and self._timestamp else "wrong"

    def _check_simple(self) -> Verdict:
        if _SIMPLE not in self._headers:
            return "absent"
        # The standard leaves a secret's prefix to taste; where webhook-signature is right, a missing one is no mistake.
        texts = list(self._ways.trusted)
        if self._standard == "right":
            texts += [f"whsec_{one}" for one in self._ways.trusted]
        fits = [same(self._headers[_SIMPLE], signing.plain(text, self._body)) for text in texts]
        if any(fits):
            return "right"
        as_the_one_before = self._standard == "right" and self._entries[0] not in self._right_entries()
        return "unknown" if as_the_one_before else "wrong"

    def _check_timing(self) -> tuple[Timing, int | None]:
        if not self._timestamp:
            return "absent", None
        if not _SECONDS.fullmatch(self._timestamp):
            return "malformed", None
        age = self._now - int(self._timestamp)
        if abs(age) <= self._tolerance:
            return "fresh", round(age)
        return "stale" if age > 0 else "future", round(age)

    def _mistakes(self) -> Iterator[Reason]:
        if {self._standard, self._simple} == {"absent"}:
            yield "headers_missing"
            return
        if self._standard == "wrong" and not all(self._headers.get(name) for name in _STANDARD):
            yield "header_missing"
            return
        explained: list[Reason] = []
        if self._standard == "wrong":
            written = [one for entry in self._entries for one in read(entry, "standard")]
            explained += self._ways.explain(written, simple=False) if written else ["signature_malformed"]
        if self._simple == "wrong":
            explained += self._ways.explain([*read(self._headers[_SIMPLE], "simple")], simple=True)
        yield from explained
        if "wrong" in {self._standard, self._simple} and not explained:
            yield from self._unexplained()
        if self._standard != "absent" and self._timing == "malformed":
            yield "timestamp_malformed"
        if self._standard == "right" or explained:
            if self._timing == "stale":
                yield "timestamp_stale"
            if self._timing == "future":
                yield "timestamp_future"

    def _unexplained(self) -> Iterator[Reason]:
        """No known mistake gave this signature. What can be told without it still is."""
        if "right" in {self._standard, self._simple}:
            yield "simple_signature_wrong" if self._standard == "right" else "id_or_timestamp_altered"
            return
        yield from self._ways.happened
        if self._id and self._ways.event is None and self._ways.body_id not in {None, self._id}:
            yield "body_of_another_event"
        if not self._body:
            yield "body_empty"
        given = self._ways.given
        if self._secret is not None and self._known.secrets and (given is None or not given.own or given.until):
            yield self._ways.wrongness()
        yield "signature_unknown" if self._known.secrets and self._ways.event is not None else "signature_mismatch"

    def _of_computed(self) -> Iterator[Reason]:
        """What the receiver's own code does, where what came is right."""
        if self._computed is None:
            return
        text = self._computed.strip()
        came = {self._headers.get(_SIMPLE, ""), *self._entries, *(one.removeprefix("v1,") for one in self._entries)}
        fits = [same(text, one) for one in came]
        if any(fits):
            return
        mistakes: tuple[Reason, ...] = ()
        if self._standard == "right":
            mistakes = self._ways.explain([*read(text, "computed")], simple=False)
        yield from (mistakes or self._ways.explain([*read(text, "simple")], simple=True) or ("signature_mismatch",))

    def _right_entries(self) -> list[str]:
        content = self._ways.content()
        return [f"v1,{_base64(hmac.digest(signing.key_of(one), content, 'sha256'))}" for one in self._ways.trusted]


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
