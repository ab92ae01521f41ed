"""Read a frozen settings struct from the environment, once; refuse what is unknown or wrong, by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

S = TypeVar("S", bound=msgspec.Struct)

_FILE = "_FILE"
_MOST = 65_536  # bytes of a setting's file


class ConfigError(Exception):
    """The environment holds a setting that is unknown, missing or out of range."""


def load(cls: type[S], environ: Mapping[str, str], *, prefix: str) -> S:
    """Build `cls` from `environ`.

    A field is read from its encoded name (`msgspec.field(name=...)`); one without such a name is read from
    `prefix` + its name in capitals. An empty variable counts as absent. `<variable>_FILE` names a file that holds
    the value, as secrets are given to containers; white space around it does not count.

    Raises:
        ConfigError: an unknown variable with `prefix`, a value that does not fit its field, one that is given twice,
            or a file that cannot be read.
    """
    fields = {
        field.encode_name: (prefix + field.name.upper() if field.encode_name == field.name else field.encode_name)
        for field in msgspec.structs.fields(cls)
    }
    variables = {*fields.values(), *(variable + _FILE for variable in fields.values())}
    if unknown := sorted({name for name in environ if name.startswith(prefix)} - variables):
        known = ", ".join(sorted(name for name in fields.values() if name.startswith(prefix)))
        raise ConfigError(f"unknown setting {', '.join(unknown)}. Known settings are: {known}")
    given = {key: value for key, variable in fields.items() if (value := _value(environ, variable))}
    try:
        return msgspec.convert(given, cls, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`")
        raise ConfigError(f"setting {fields.get(name, name) or 'environment'}: {reason}") from None


def _value(environ: Mapping[str, str], variable: str) -> str:
    value, path = environ.get(variable, ""), environ.get(variable + _FILE, "")
    if not path:
        return value
    if value:
        raise ConfigError(f"settings {variable} and {variable}{_FILE}: one of them")
    try:
        with Path(path).open("rb") as file:
            value = file.read(_MOST + 1).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"setting {variable}{_FILE}: cannot read {path}: {reason}") from None
    if not value or len(value) > _MOST:
        raise ConfigError(f"setting {variable}{_FILE}: {path} is empty or longer than {_MOST} bytes")
    return value
