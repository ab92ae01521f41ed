"""The keys that seal secrets at rest: from the settings; in test mode a fixed one, so that a demo just runs."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from kit.config import ConfigError
from kit.seal import Sealer, SealError

if TYPE_CHECKING:
    from gateway.config import Config

# Known to everybody, and so used in test mode only.
_TEST_KEY = hashlib.sha256(b"ledgate test mode").digest()


def make_sealer(config: Config) -> Sealer:
    """Build the sealer of a process.

    Raises:
        ConfigError: no key outside of test mode, or a malformed one.
    """
    if config.secret_keys:
        try:
            return Sealer.parse(config.secret_keys)
        except SealError as error:
            raise ConfigError(f"setting LEDGATE_SECRET_KEYS: {error}") from None
    if config.test_mode:
        return Sealer({"test": _TEST_KEY})
    raise ConfigError("setting LEDGATE_SECRET_KEYS: needed outside of TEST_MODE; id:base64 of 32 random bytes")
