"""What templates say in words: amounts, times, browsers, states."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dashboard import audit_words, durations, instruments, json_text, subjects, zones
from gateway.checkout.amounts import shown as amount

if TYPE_CHECKING:
    from collections.abc import Callable

_OURS = re.compile(r"\A([a-z]+_)[0-7][0-9a-z]{17}([0-9a-z]{8})\Z")
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_TONES = {
    **dict.fromkeys(("success", "processed", "paid", "enabled", "live", "active", "healthy", "owner", "done"), "good"),
    **dict.fromkeys(("failed", "disabled", "silent", "revoked", "broken"), "bad"),
    **dict.fromkeys(("pending", "attempted", "failing", "paused", "processing", "running", "invited"), "wait"),
}
_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)  # fmt: skip


def ago(time: datetime | None) -> str:
    """How long since, or until: `just now`, `5 min ago`, `in 3 h`, `12 d ago`. The script keeps it true."""
    if time is None:
        return "never"
    seconds = (datetime.now(UTC) - time).total_seconds()
    far = abs(seconds)
    if far < _MINUTE:
        return "just now" if seconds >= 0 else "in a moment"
    unit, size = ("min", _MINUTE) if far < _HOUR else ("h", _HOUR) if far < 2 * _DAY else ("d", _DAY)
    text = f"{int(far // size)} {unit}"
    return f"{text} ago" if seconds > 0 else f"in {text}"


def universal(time: datetime) -> str:
    """To the second, in UTC: `22 Nov 2026, 13:05:09 UTC`."""
    return f"{time.astimezone(UTC):%-d %b %Y, %H:%M:%S} UTC"


def both(time: datetime) -> str:
    """As the reader's clock has it, and in UTC where that is another."""
    shown, utc = zones.full(time), universal(time)
    return shown if shown == utc else f"{shown} ({utc})"


def day(time: datetime) -> str:
    """`22 Nov 2026`, where the reader is."""
    return f"{zones.here(time):%-d %b %Y}"


def tail(made: str) -> str:
    """An id of ours by its end, where ids differ: `pay_…7qezkv4s`. A merchant's own stays whole."""
    return _OURS.sub(r"\1…\2", made)


def clock(time: datetime) -> str:
    """To the millisecond, where the reader is: `18:35:09.081`."""
    return f"{zones.here(time):%H:%M:%S}.{time.microsecond // 1000:03}"


def iso(time: datetime) -> str:
    """As `<time datetime>` wants it."""
    return time.astimezone(UTC).isoformat(timespec="seconds")


def tone(state: str) -> str:
    """The colour of a state: `good`, `bad`, `wait` or `calm`. Never the only sign of it: the word stands beside."""
    return _TONES.get(state, "calm")


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def lasts(since: datetime) -> str:
    """For how long something goes on: `3 h 20 min`."""
    return durations.span((datetime.now(UTC) - since).total_seconds())


def count(number: int) -> str:
    """With a comma at each thousand."""
    return f"{number:,}"


def browser(agent: str) -> str:
    """Which browser on which system, as far as it says so: `Firefox on Windows`."""
    name = next((name for sign, name in _BROWSERS if sign in agent), "")
    system = next((name for sign, name in _SYSTEMS if sign in agent), "")
    return f"{name} on {system}" if name and system else name or system or (agent[:40] or "unknown")


def initials(text: str) -> str:
    """Two letters for a person or a merchant."""
    words = re.findall(r"\w+", text)
    return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words[:1])).upper() or "?"


FILTERS: dict[str, Callable[..., Any]] = {
    "amount": amount,
    "ago": ago,
    "full": zones.full,
    "universal": universal,
    "both": both,
    "zone": zones.name,
    "day": day,
    "iso": iso,
    "clock": clock,
    "tail": tail,
    "tone": tone,
    "count": count,
    "sentence": sentence,
    "span": durations.span,
    "lasts": lasts,
    "took": durations.took,
    "finely": durations.finely,
    "browser": browser,
    "initials": initials,
    "instrument": instruments.masked,
    "subject_address": subjects.address,
    "audit_details": audit_words.details,
    "how": instruments.how,
    "json_tokens": json_text.tokens,
}
