"""The ways to a signature: the right one, and those that receivers take instead, each made again.

Bounded: some hundred HMACs of a body, where it is short also one for each second of ten minutes either way, and 12 MiB
in all, a fifth of a second.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from gateway import mangled
from gateway.mistakes import Reason
from kit import signing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

_HEX = re.compile(r"[0-9a-fA-F]{64}|[0-9a-fA-F]{40}|[0-9a-fA-F]{128}")
_SECONDS = re.compile(r"[0-9]{1,15}")
_WINDOW = 600  # seconds around the given timestamp, and around now, in which the signed one is looked for
_WINDOW_BODY = 8192  # bytes of a body for which it is: each second costs an HMAC
_BUDGET = 12 * 1024 * 1024  # bytes that one question may have hashed; webhooks of 4 KiB never need as many
_DIGESTS = {20: "sha1", 64: "sha512"}
_BODY_ID = re.compile(rb'\s*\{\s*"id"\s*:\s*"(evt_[0-9a-z]{26})"')

Mistakes = tuple[Reason, ...]


class KnownSecret(NamedTuple):
    """A secret that Ledgate signs with, or did."""

    endpoint_id: str
    secret: str
    own: bool = True
    """Of the endpoint that is asked about."""
    until: datetime | None = None
    """Until when it signs, or signed, beside the one that replaced it; None for a current one."""


class Known(NamedTuple):
    """What the ledger adds; nothing of it is needed."""

    secrets: Sequence[KnownSecret] = ()
    events: Mapping[str, bytes] = {}
    """The bytes of events, by id."""
    timestamps: Sequence[str] = ()
    """The `webhook-timestamp` of attempts that were made."""


class Written(NamedTuple):
    """A signature as somebody wrote it: its bytes, and what is wrong with the writing."""

    raw: bytes
    mistakes: Mistakes


class _Trial(NamedTuple):
    mistakes: Mistakes
    key: bytes
    content: bytes


class _Secret(NamedTuple):
    text: str
    mistakes: Mistakes
    bodies: Sequence[tuple[bytes, Mistakes]]
    """Those that are worth trying with it."""


class Ways:
    """All ways to the signatures of one request."""

    def __init__(
        self,
        *,
        webhook_id: str,
        timestamp: str,
        body: bytes,
        secret: str | None,
        trusted: Sequence[str],
        known: Known,
        now: float,
    ) -> None:
        """Set up.

        Args:
            webhook_id: the header, or nothing.
            timestamp: the header, or nothing.
            body: as it was given.
            secret: as it was given.
            trusted: the secrets that a right receiver would check with: the given one, or those that sign now.
            known: what the ledger knows.
            now: unix seconds.
        """
        self._id, self._timestamp, self._body = webhook_id, timestamp, body
        self._now = now
        self._budget = _BUDGET
        self.trusted = trusted
        self.asked = secret
        self.given = next(
            (one for one in known.secrets if secret is not None and same(_bare(one.secret), _bare(secret))), None
        )
        self._others = [one for one in known.secrets if not any(same(one.secret, ours) for ours in trusted)]
        self._timestamps = list(dict.fromkeys(known.timestamps))
        self.body_id = id_in(body)
        self.event = known.events.get(webhook_id) or known.events.get(self.body_id or "")
        self.happened: Mistakes = () if self.event is None else mangled.compared(body, self.event)

    def explain(self, found: Sequence[Written], *, simple: bool) -> Mistakes:
        """The mistakes that lead to one of the signatures; empty when none does.

        Args:
            found: signatures as they were written.
            simple: as `X-Webhook-Signature`, not `webhook-signature`.
        """
        for trial in self._simple() if simple else self._standard():
            self._budget -= len(trial.content)
            if self._budget < 0:
                break
            made = hmac.digest(trial.key, trial.content, "sha256")
            for one in found:
                if hmac.compare_digest(one.raw, made):
                    return trial.mistakes if "wrong_header" in trial.mistakes else (*one.mistakes, *trial.mistakes)
        for one in found:
            for secret in self.trusted if len(one.raw) in _DIGESTS else ():
                key, content = (secret.encode(), self._body) if simple else (signing.key_of(secret), self.content())
                if hmac.compare_digest(one.raw, hmac.digest(key, content, _DIGESTS[len(one.raw)])):
                    return ("algorithm_wrong",)
        return ()

    def content(self, webhook_id: str | None = None, timestamp: str | None = None, body: bytes | None = None) -> bytes:
        """What is signed, with parts replaced."""
        head = (self._id if webhook_id is None else webhook_id, self._timestamp if timestamp is None else timestamp)
        return b".".join((*map(_wire, head), self._body if body is None else body))

    def wrongness(self, signer: KnownSecret | None = None) -> Reason:
        """What is wrong with the given secret, where another one signed."""
        if self.given is not None and not self.given.own:
            return "secret_of_another_endpoint"
        if self.given is not None and self.given.until is not None:
            return "secret_old"
        if signer is not None and not signer.own:
            return "secret_of_another_endpoint"
        if signer is not None and signer.until is not None and (self.asked is None or self.given is not None):
            return "signed_before_rotation"
        return "secret_wrong"

    def _standard(self) -> Iterator[_Trial]:
        """Ways to a `webhook-signature`. What the given secret explains is no other's."""
        yield from self._straight(self._given_secrets())
        for secret in self.trusted:
            yield from self._misread(secret)
        yield from self._straight(self._other_secrets())
        for secret in [*self.trusted, *(one.secret for one in self._others if one.own)]:
            for body, of_body in self._near_bodies():
                for mistake, webhook_id, timestamp in self._identities():
                    content = self.content(webhook_id, timestamp, body)
                    yield _Trial((mistake, *of_body), signing.key_of(secret), content)
        yield from self._around()

    def _straight(self, secrets: Iterable[_Secret]) -> Iterator[_Trial]:
        for secret in secrets:
            key = signing.key_of(secret.text)
            for body, of_body in secret.bodies:
                yield _Trial((*secret.mistakes, *of_body), key, self.content(body=body))

    def _misread(self, secret: str) -> Iterator[_Trial]:
        """Wrong keys of a secret, and wrong contents."""
        keys: list[tuple[Mistakes, bytes]] = [((), signing.key_of(secret))]
        keys += [((mistake,), key) for mistake, key in mangled.key_mistakes(secret)]
        for body, of_body in self._near_bodies():
            # The text as key over the body alone is no two mistakes, but the other header's recipe.
            yield _Trial(("wrong_header", *of_body), secret.encode(), body)
            for of_key, key in keys:
                for of_shape, content in self._shapes(body):
                    yield _Trial((*of_key, *of_shape, *of_body), key, content)

    def _simple(self) -> Iterator[_Trial]:
        """Ways to an `X-Webhook-Signature`."""
        for one in (*self._given_secrets(), *self._other_secrets()):
            for body, of_body in one.bodies:
                yield _Trial((*one.mistakes, *of_body), one.text.encode(), body)
        for secret in self.trusted:
            for body, of_body in self._near_bodies():
                yield _Trial(("secret_prefix_missing", *of_body), f"whsec_{secret}".encode(), body)
                yield _Trial(("key_decoded", *of_body), signing.key_of(secret), body)
                yield _Trial(("wrong_header", *of_body), signing.key_of(secret), self.content(body=body))
                for text in (b"[object Object]", repr(body).encode()):
                    yield _Trial(("signature_of_parsed_body", *of_body), secret.encode(), text)

    def _given_secrets(self) -> Iterator[_Secret]:
        bodies = self._all_bodies()
        for secret in self.trusted:
            yield _Secret(secret, (), bodies)
            if (bare := mangled.undecorated(secret)) != secret:
                yield _Secret(bare, ("secret_decorated",), bodies)

    def _other_secrets(self) -> Iterator[_Secret]:
        bodies, near = self._all_bodies(), self._near_bodies()
        for one in self._others:
            yield _Secret(one.secret, (self.wrongness(one),), bodies if one.own else near)

    def _all_bodies(self) -> list[tuple[bytes, Mistakes]]:
        return [*self._near_bodies(), *((one.body, one.mistakes) for one in mangled.originals(self._body))]

    def _near_bodies(self) -> list[tuple[bytes, Mistakes]]:
        bodies: list[tuple[bytes, Mistakes]] = [(self._body, ())]
        return bodies + ([(self.event, self.happened)] if self.event is not None and self.happened else [])

    def _identities(self) -> Iterator[tuple[Reason, str, str]]:
        """Other ids and timestamps that may have been signed."""
        if self.body_id and self.body_id != self._id:
            yield "webhook_id_altered", self.body_id, self._timestamp
        for zeros in (3, 6, 9):
            if self._timestamp.isdigit() and len(self._timestamp) > zeros:
                yield "timestamp_milliseconds", self._id, self._timestamp[:-zeros]
        for timestamp in self._timestamps:
            yield "timestamp_altered", self._id, timestamp

    def _around(self) -> Iterator[_Trial]:
        """Every second near the given timestamp and near now."""
        if len(self._body) > _WINDOW_BODY or not self.trusted:
            return
        middles = {round(self._now)} | ({int(self._timestamp)} if _SECONDS.fullmatch(self._timestamp) else set())
        for middle in middles:
            for timestamp in range(middle - _WINDOW, middle + _WINDOW + 1):
                content = self.content(timestamp=str(timestamp))
                yield _Trial(("timestamp_altered",), signing.key_of(self.trusted[0]), content)

    def _shapes(self, body: bytes) -> Iterator[tuple[Mistakes, bytes]]:
        yield (), self.content(body=body)
        webhook_id, timestamp = _wire(self._id), _wire(self._timestamp)
        for parts in ((body,), (timestamp, body), (webhook_id, body), (webhook_id, timestamp)):
            yield ("signature_parts_missing",), b".".join(parts)
        yield ("signature_parts_missing",), webhook_id + timestamp + body
        for text in (b"[object Object]", repr(body).encode(), b""):
            yield ("signature_of_parsed_body",), self.content(body=text)


def read(text: str, kind: Literal["standard", "simple", "computed"]) -> Iterator[Written]:
    """The bytes of a signature, however it is written, and what is wrong with the writing."""
    version, comma, rest = text.partition(",")
    if comma and version != "v1":
        return  # another version of the standard: not for us
    bare = (rest if comma else text).removeprefix("sha256=")
    mistakes: Mistakes = ("version_missing",) if kind == "standard" and not comma else ()
    if _HEX.fullmatch(bare):
        yield Written(bytes.fromhex(bare), () if kind == "simple" else ("signature_hex",))
        return
    try:
        raw = base64.b64decode(bare.replace("-", "+").replace("_", "/") + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        return
    if len(raw) != 32 and len(raw) not in _DIGESTS:  # noqa: PLR2004 - SHA-256
        return
    if kind == "simple":
        yield Written(raw, ("signature_base64",))
    else:
        usual = base64.b64encode(raw).decode()
        yield Written(raw, mistakes if bare == usual else (*mistakes, "signature_base64url"))


def id_in(body: bytes) -> str | None:
    """The event's id that a body begins with."""
    found = _BODY_ID.match(body)
    return found[1].decode() if found else None


def same(one: str, other: str) -> bool:
    """Equal, in a time that tells nothing."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _bare(secret: str) -> str:
    return mangled.undecorated(secret).removeprefix("whsec_")


def _wire(value: str) -> bytes:
    """A header's bytes; what is no UTF-8 was replaced by whoever read it, and fits nothing."""
    return value.encode("utf-8", "replace")
