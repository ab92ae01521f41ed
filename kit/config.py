"""Read a frozen settings struct from the environment, once; refuse what is unknown or wrong, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

S = TypeVar("S", bound=msgspec.Struct)


class ConfigError(Exception):
    """The environment holds a setting that is unknown, missing or out of range."""


def load(cls: type[S], environ: Mapping[str, str], *, prefix: str) -> S:
    """Build `cls` from `environ`.

    A field is read from its encoded name (`msgspec.field(name=...)`); one without such a name is read from
    `prefix` + its name in capitals. An empty variable counts as absent.

    Raises:
        ConfigError: an unknown variable with `prefix`, or a value that does not fit its field.
    """
    fields = {
        field.encode_name: (prefix + field.name.upper() if field.encode_name == field.name else field.encode_name)
        for field in msgspec.structs.fields(cls)
    }
    if unknown := sorted({name for name in environ if name.startswith(prefix)} - set(fields.values())):
        known = ", ".join(sorted(name for name in fields.values() if name.startswith(prefix)))
        raise ConfigError(f"unknown setting {', '.join(unknown)}. Known settings are: {known}")
    given = {key: environ[variable] for key, variable in fields.items() if environ.get(variable)}
    try:
        return msgspec.convert(given, cls, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`")
        raise ConfigError(f"setting {fields.get(name, name) or 'environment'}: {reason}") from None
