"""The form of an endpoint: what a browser sends as what `gateway.endpoints` takes, and errors beside their fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dashboard import durations, forms
from gateway import endpoint_rules as rules
from gateway.endpoints import ChangeEndpoint, CreateEndpoint
from gateway.errors import BadRequestError, LedgateError
from outbox.endpoints import EVENT_TYPES, Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestar import Request

FIELDS = ("url", "description", "events", "retry_schedule", "rate", "ordered", "headers", "remove_headers")
_FASTEST = 1000  # attempts a second
_NAMES = {
    "webhook_url": "The URL",
    "url": "The URL",
    "retry_schedule": "The schedule",
    "rate": "The rate",
    "description": "The description",
}


class EndpointForm(msgspec.Struct, frozen=True):
    """What is typed and ticked. `key` makes a second click harmless."""

    url: Annotated[str, Meta(max_length=rules.MAX_URL)] = ""
    description: Annotated[str, Meta(max_length=500)] = ""
    events: list[Annotated[str, Meta(max_length=64)]] = msgspec.field(default_factory=list)
    retry_schedule: Annotated[str, Meta(max_length=300)] = ""
    rate: Annotated[str, Meta(max_length=20)] = ""
    ordered: bool = False
    headers: Annotated[str, Meta(max_length=12_000)] = ""
    remove_headers: bool = False
    key: Annotated[str, Meta(max_length=100)] = ""


class Shown(NamedTuple):
    """What stands in the form's fields: texts, right or wrong."""

    url: str = ""
    description: str = ""
    events: Sequence[str] = ("*",)
    retry_schedule: str = ""
    rate: str = ""
    ordered: bool = False
    headers: str = ""
    remove_headers: bool = False


def families() -> list[tuple[str, list[str]]]:
    """Event types by their family, as the form lists them."""
    order = ("payment", "order", "refund", "endpoint", "webhook")
    flow = ("created", "pending", "success", "processed", "paid", "failed", "captured", "failing", "disabled", "test")
    found = []
    for family in order:
        types = [one for one in EVENT_TYPES if one.startswith(f"{family}.")]
        found.append((family, sorted(types, key=lambda one: flow.index(one.partition(".")[2]))))
    return found


def of_endpoint(endpoint: Endpoint) -> Shown:
    """The form as an endpoint fills it; its headers' values are kept from us too."""
    return Shown(
        url=endpoint.url,
        description=endpoint.description or "",
        events=endpoint.events,
        retry_schedule=durations.written(endpoint.retry_schedule) if endpoint.retry_schedule else "",
        rate=str(endpoint.rate or ""),
        ordered=endpoint.ordered,
    )


async def as_sent(request: Request[Any, Any, Any]) -> Shown:
    """The form as it was sent, for somebody who has to mend it."""
    given = await request.form()
    texts = {name: str(given.get(name, "")) for name in ("url", "description", "retry_schedule", "rate", "headers")}
    return Shown(
        **texts,
        events=[str(one) for one in given.getall("events", [])],
        ordered=bool(given.get("ordered")),
        remove_headers=bool(given.get("remove_headers")),
    )


async def read_new(request: Request[Any, Any, Any]) -> tuple[CreateEndpoint, str]:
    """A new endpoint, checked as far as it can be without asking anybody, and the form's key.

    Raises:
        BadRequestError: naming the field.
    """
    form = await forms.read(request, EndpointForm)
    asked = CreateEndpoint(
        url=_url(form),
        events=_events(form.events),
        description=form.description.strip() or None,
        retry_schedule=_schedule(form.retry_schedule),
        rate=_rate(form.rate),
        ordered=form.ordered,
        headers=read_headers(form.headers, "headers") or None,
    )
    return asked, form.key


async def read_change(request: Request[Any, Any, Any]) -> ChangeEndpoint:
    """What an endpoint is to be. Headers stay unless others are written, or all are taken away.

    Raises:
        BadRequestError: naming the field.
    """
    form = await forms.read(request, EndpointForm)
    headers: dict[str, str] | UnsetType | None = read_headers(form.headers, "headers") or UNSET
    if form.remove_headers:
        if headers is not UNSET:
            told = "Write other headers, or remove them all; not both."
            raise BadRequestError(told, field="headers", reason="field_invalid")
        headers = None
    return ChangeEndpoint(
        url=_url(form),
        events=_events(form.events),
        description=form.description.strip() or None,
        retry_schedule=_schedule(form.retry_schedule),
        rate=_rate(form.rate),
        ordered=form.ordered,
        headers=headers,
    )


def read_headers(text: str, field: str) -> dict[str, str]:
    """Lines of `Name: value`. No message holds a value.

    Raises:
        BadRequestError: a line that is none, or a name that stands there twice.
    """
    found: dict[str, str] = {}
    for n, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise BadRequestError(f"Line {n} is no header. Write Name: value.", field=field, reason="field_invalid")
        if name.strip().lower() in {known.lower() for known in found}:
            raise BadRequestError(f"{name.strip()[:64]} stands there twice.", field=field, reason="header_repeated")
        found[name.strip()] = value.strip()
    return found


def in_place(error: LedgateError) -> LedgateError:
    """A refusal as it stands beside a field of the form: the field's own name, and words for people."""
    if error.field is None:
        return error
    field = error.field.partition("[")[0].partition(".")[0]
    text = error.description
    for name in (error.field, field):
        if text.startswith(f"{name} "):
            text = f"{_NAMES.get(field, 'This')} {text.removeprefix(name).strip()}"
        elif text.startswith(f"{name}: "):
            named = error.field.partition(".")[2]
            rest = text.removeprefix(f"{name}: ")
            text = f"{named}: {rest}" if named else rest[:1].upper() + rest[1:]
    return BadRequestError(text, field=field, reason=error.reason)


def named(values: Mapping[str, str]) -> str:
    """Headers as lines."""
    return "\n".join(f"{name}: {value}" for name, value in values.items())


def check_url(url: str, field: str) -> None:
    """Refuse what cannot be one, without asking anybody.

    Raises:
        BadRequestError: what is wrong with it.
    """
    if not url:
        raise BadRequestError("Enter the URL of your receiver.", field=field, reason="field_invalid")
    rules.check_url(url, field)


def _url(form: EndpointForm) -> str:
    url = form.url.strip()
    check_url(url, "url")
    return url


def _events(ticked: Sequence[str]) -> list[str]:
    if not ticked:
        raise BadRequestError("Choose at least one event, or all of them.", field="events", reason="field_invalid")
    rules.check_events(ticked)
    if "*" in ticked:
        return ["*"]
    whole = {one.removesuffix(".*") for one in ticked if one.endswith(".*")}
    return [one for one in dict.fromkeys(ticked) if one.endswith(".*") or one.partition(".")[0] not in whole]


def _rate(text: str) -> int | None:
    if not text.strip():
        return None
    if not re.fullmatch(r"[0-9]{1,4}", text.strip()) or not 1 <= int(text) <= _FASTEST:
        told = "Enter a whole number from 1 to 1000, or leave it empty."
        raise BadRequestError(told, field="rate", reason="field_invalid")
    return int(text)


def _schedule(text: str) -> list[int] | None:
    steps = durations.read_schedule(text, "retry_schedule")
    if steps is None:
        return None
    if len(steps) > rules.MAX_STEPS:
        told = f"A schedule has at most {rules.MAX_STEPS} attempts."
        raise BadRequestError(told, field="retry_schedule", reason="field_invalid")
    if max(steps) > rules.MAX_STEP:
        raise BadRequestError("A step is at most 7 days long.", field="retry_schedule", reason="field_invalid")
    rules.check_schedule(steps)
    return steps
