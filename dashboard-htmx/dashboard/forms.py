"""Forms as structs: what a browser sends is text, and everything about it is checked here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from dashboard.admission import FIELD
from gateway.errors import BadRequestError

if TYPE_CHECKING:
    from litestar import Request

T = TypeVar("T")
_VALUE_MOST = 20_000  # characters


async def read(request: Request[Any, Any, Any], kind: type[T]) -> T:
    """The form as `kind`, a struct whose fields are called like the form's: text, numbers, flags, lists.

    A field that is not sent, or is empty, gets its default; a checkbox is a `bool = False`; several values of one name
    are a list where the field is one. Bounds stand in the struct as `Meta`. Fields that it does not have are refused.

    Raises:
        BadRequestError: with the field's name; show it beside the field (`ui.field` does).
    """
    given = await request.form()
    fields = {field.name: field for field in msgspec.structs.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name in dict.fromkeys(given):
        if name == FIELD:
            continue
        if name not in fields:
            raise BadRequestError(f"{name} is not a field of this form.", reason="field_unknown")
        several = [str(one) for one in given.getall(name)]
        if any(len(one) > _VALUE_MOST or "\0" in one for one in several):
            raise BadRequestError("That is too long.", field=name, reason="field_invalid")
        if _is_list(fields[name].type):
            values[name] = [one for one in several if one]
        elif several[-1] or fields[name].required:
            values[name] = several[-1]
    for name, field in fields.items():
        if field.required and name not in values:
            values[name] = [] if _is_list(field.type) else ""
    return convert(values, kind)


def convert(values: dict[str, Any], kind: type[T]) -> T:
    """Texts as the struct `kind`.

    Raises:
        BadRequestError: with the field's name.
    """
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise BadRequestError(
            _told(reason), field=path.rstrip("`").partition("[")[0] or None, reason="field_invalid"
        ) from None


def _is_list(kind: Any) -> bool:
    while hasattr(kind, "__metadata__"):
        kind = kind.__origin__
    return getattr(kind, "__origin__", kind) is list


def _told(reason: str) -> str:
    """Msgspec's word as a person's."""
    if reason.startswith("Expected `str` of length >= "):
        return "Fill this in."
    if reason.startswith("Expected `str` of length <= "):
        return f"At most {reason.rpartition(' ')[2]} characters."
    if reason.startswith("Expected `int`"):
        return "Enter a whole number" + (f" ({reason.partition('` ')[2]})." if "` " in reason else ".")
    if reason.startswith("Invalid enum value"):
        return "Choose one of these."
    return "This can not be right."
