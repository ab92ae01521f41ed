"""What schemathesis is told of us, beside its own checks."""

from __future__ import annotations

import json
from typing import Any

import schemathesis

from gateway import demo

SHAPE = {
    "field_invalid", "field_unknown", "field_missing", "json_invalid", "parameter_invalid", "parameter_unknown",
    "parameter_repeated", "query_invalid", "nul_character", "currency_unknown",
}  # fmt: skip
"""Reasons that speak of a request's shape alone: the description must have forbidden what they refuse."""


@schemathesis.hook  # type: ignore[untyped-decorator]
def filter_case(ctx: Any, case: Any) -> bool:
    """The key that it comes with is not revoked: it finds it in the list of keys, and all after that would be a 401."""
    revokes = case.operation.path.endswith("/api-keys/{key_id}/revoke")
    return not (revokes and (case.path_parameters or {}).get("key_id") == demo.KEY_ID)


@schemathesis.check  # type: ignore[untyped-decorator]
def shape_is_described(ctx: Any, response: Any, case: Any) -> None:
    """A request that keeps to the description is not refused for its shape.

    It may be refused for what it asks: the state of a payment, a card that fails Luhn's check, a key used before.
    """
    mode = case.meta.generation.mode if case.meta is not None else None
    if response.status_code != 400 or mode is None or not mode.is_positive:
        return
    error = response.json()["error"]
    if error["reason"] == "field_invalid" and "got `float`" in error["description"]:
        return  # JSON Schema calls 1.0 an integer; money is written without a point
    if str(error.get("field", "")).startswith("data"):
        return  # a test event's own data: no schema says what JSON.stringify leaves as it is
    if error["reason"] in SHAPE:
        raise AssertionError(f"described as right, refused as wrong: {json.dumps(error)}")


@schemathesis.check  # type: ignore[untyped-decorator]
def refusals_have_the_shape(ctx: Any, response: Any, case: Any) -> None:
    """Every refusal is a code, a description and the request's id, and shows nothing of the inside."""
    if response.status_code < 400:
        return
    error = response.json()["error"]
    assert error["code"]
    assert error["description"]
    assert error["request_id"] == response.headers["x-request-id"][0]
    text = response.text.lower()
    assert not any(word in text for word in ("traceback", "psycopg", "select ", "insert into"))
