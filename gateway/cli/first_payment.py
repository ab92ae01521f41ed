"""Make one payment as a merchant does, and follow it until its webhooks have arrived and been verified."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import msgspec

from gateway.cli.errors import CliError
from gateway.demo import KEY_ID, ORDER_IDS, SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

BODY = {"order_id": ORDER_IDS[0], "method": "upi", "vpa": "user@paytm"}

SECONDS = 15.0
"""How long the whole way may take: with the simulator's slowest answer outside test mode it takes 10."""

_POLL = 0.02  # seconds, growing to
_POLL_MOST = 0.1
_HEADERS = {"X-Api-Key": KEY_ID, "X-Api-Secret": SECRET}


class Payment(msgspec.Struct, frozen=True):
    """What is needed here of a payment as the API shows it."""

    id: str
    status: str


class Arrival(msgspec.Struct, frozen=True):
    """What is needed here of a webhook as the test merchant has received it."""

    event: str | None
    verified: bool
    reason: str | None = None


class Arrivals(msgspec.Struct, frozen=True):
    """The test merchant's answer."""

    data: list[Arrival]


class _Problem(msgspec.Struct, frozen=True):
    code: str
    description: str
    request_id: str = ""


class _Refusal(msgspec.Struct, frozen=True):
    error: _Problem


def base_url(host: str, port: int) -> str:
    """Give the base URL at which a process of this machine reaches one that listens on `host`."""
    anywhere = host in {"0.0.0.0", "::", "localhost"}  # noqa: S104 - compared with, not listened on
    return f"http://{'127.0.0.1' if anywhere else host}:{port}"


def follow(
    api: str,
    test_merchant: str,
    *,
    seconds: float,
    tell: Callable[[str, float], None],
    check: Callable[[], None] = lambda: None,
) -> None:
    """Pay the demo order, then wait for the outcome and for the three webhooks that tell of it.

    Args:
        api: base URL, such as `http://127.0.0.1:8000`.
        test_merchant: base URL.
        seconds: for the whole way.
        tell: gets each stage that was reached, and the seconds since the request was sent.
        check: called in every round; what it raises ends the wait.

    Raises:
        CliError: how far the payment got, and what stood in its way.
    """
    started = time.monotonic()
    arrivals: list[Arrival] = []
    wanted: list[str] = []

    def stuck() -> str:
        return f"payment {payment.id} is still pending. Is a dispatcher running?"

    def unheard() -> str:
        return _what_is_missing(payment.id, wanted, arrivals)

    def rounds(missing: Callable[[], str]) -> Iterator[None]:
        pause = _POLL
        while True:
            yield
            check()
            if time.monotonic() > started + seconds:
                raise CliError(f"After {seconds:.0f} s {missing()}")
            time.sleep(pause)
            pause = min(pause * 1.5, _POLL_MOST)  # the API logs every one

    # No proxy of the environment stands between two processes of one machine.
    with httpx.Client(timeout=5.0, trust_env=False) as http:
        payment = _pay(http, api)
        tell(f"payment {payment.id} accepted: {payment.status}", time.monotonic() - started)

        for _ in rounds(stuck):
            payment = _get(http, f"{api}/api/v1/payments/{payment.id}", Payment, headers=_HEADERS)
            if payment.status != "pending":
                break
        tell(f"payment processed: {payment.status}", time.monotonic() - started)

        wanted = ["created", "pending", payment.status]
        query = {"limit": "50", "payment_id": payment.id}
        for _ in rounds(unheard):
            arrivals = _get(http, f"{test_merchant}/received", Arrivals, params=query).data
            if not _missing(wanted, arrivals):
                break
        tell(f"3 webhooks received and verified: {', '.join(wanted)}", time.monotonic() - started)


def _pay(http: httpx.Client, api: str) -> Payment:
    headers = {**_HEADERS, "Idempotency-Key": str(uuid.uuid4())}
    try:
        answer = http.post(f"{api}/api/v1/payments", headers=headers, json=BODY)
    except httpx.HTTPError as error:
        raise CliError(f"No API answers at {api}: {_words(error)}. `make run` starts everything.") from None
    if answer.status_code != httpx.codes.CREATED:
        raise CliError(f"The API refused the payment: {_told(answer)}")
    return _decoded(answer, Payment)


def _get(http: httpx.Client, url: str, shape: type[T], **request: Any) -> T:
    try:
        answer = http.get(url, **request)
    except httpx.HTTPError as error:
        raise CliError(f"{url} does not answer: {_words(error)}") from None
    if answer.status_code != httpx.codes.OK:
        raise CliError(f"{url} answered {_told(answer)}")
    return _decoded(answer, shape)


def _decoded(answer: httpx.Response, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.content, type=shape)
    except msgspec.DecodeError as error:
        raise CliError(f"{answer.url} does not answer as Ledgate does: {error}") from None


def _missing(wanted: list[str], arrivals: list[Arrival]) -> list[str]:
    verified = {arrival.event for arrival in arrivals if arrival.verified}
    return [name for name in wanted if f"payment.{name}" not in verified]


def _what_is_missing(payment_id: str, wanted: list[str], arrivals: list[Arrival]) -> str:
    refused = next((arrival.reason for arrival in arrivals if not arrival.verified), None)
    why = f"; the test merchant refused one: {refused}" if refused else ""
    names = ", ".join(f"payment.{name}" for name in _missing(wanted, arrivals))
    return (
        f"the test merchant has no verified webhook {names} of {payment_id}{why}. "
        f"GET /api/v1/webhooks?payment={payment_id} tells what became of each, "
        "GET /api/v1/webhooks/config where they go."
    )


def _told(answer: httpx.Response) -> str:
    try:
        problem = msgspec.json.decode(answer.content, type=_Refusal).error
    except msgspec.DecodeError:
        return f"{answer.status_code} {answer.text[:200]}"
    return f"{answer.status_code} {problem.code}: {problem.description} (request {problem.request_id})"


def _words(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__
