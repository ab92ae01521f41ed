"""Seal secrets at rest: AES-256-GCM, with keys that rotate by id and a context that binds each value to its row."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from collections.abc import Mapping

_NONCE_BYTES = 12  # NIST SP 800-38D: 96 bits
_KEY_BYTES = 32


class SealError(Exception):
    """A key that is malformed or missing, or a value that was changed or moved to another row."""


class Sealer:
    """Seals with the first of its keys, opens with any of them.

    A sealed value is `<key id length><key id><nonce><ciphertext and tag>`.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise SealError("no key to seal with; set LEDGATE_SECRET_KEYS to id:base64 of 32 random bytes")
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}
        # A key of its own for hashing: one key is never used in two algorithms.
        self._hash_keys = {name: hmac.digest(key, b"ledgate fingerprint", "sha256") for name, key in keys.items()}
        self._current = next(iter(keys))

    @classmethod
    def parse(cls, text: str) -> Sealer:
        """Read keys from `id:base64,id2:base64`; the first one seals.

        Raises:
            SealError: a part that is not `id:base64 of 32 bytes`. The message never shows key material.
        """
        keys: dict[str, bytes] = {}
        for number, part in enumerate(filter(None, text.split(",")), 1):
            name, _, encoded = part.strip().partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                key = b""
            if not name or len(name) > 32 or len(key) != _KEY_BYTES or name in keys:  # noqa: PLR2004 - stated in the message
                raise SealError(
                    f"secret key number {number} is not id:base64 of 32 bytes, with an id of 1 to 32 characters, once"
                )
            keys[name] = key
        return cls(keys)

    def seal(self, plain: bytes, *, context: str) -> bytes:
        """Encrypt `plain` for the row that `context` names, such as `endpoint:whep_…`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        name = self._current.encode()
        return bytes([len(name)]) + name + nonce + self._ciphers[self._current].encrypt(nonce, plain, context.encode())

    def unseal(self, sealed: bytes, *, context: str) -> bytes:
        """Decrypt what `seal` made for the same context.

        Raises:
            SealError: an unknown key id, or a value that is not what was sealed for this context.
        """
        end = 1 + sealed[0] if sealed else 0
        name = sealed[1:end].decode(errors="replace")
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise SealError(f"sealed with key {name!r}, which LEDGATE_SECRET_KEYS does not hold")
        try:
            return cipher.decrypt(sealed[end : end + _NONCE_BYTES], sealed[end + _NONCE_BYTES :], context.encode())
        except InvalidTag:
            raise SealError("a sealed value does not belong to its row, or was changed") from None

    def fingerprint(self, data: bytes) -> str:
        """A keyed hash of `data`, `id:hex of HMAC-SHA256`: equal data can be recognised, and not guessed."""
        return f"{self._current}:{hmac.new(self._hash_keys[self._current], data, hashlib.sha256).hexdigest()}"

    def has_fingerprint(self, data: bytes, known: str) -> bool:
        """Whether `known` is the fingerprint of `data`, under whichever of the keys it was made."""
        name, _, digest = known.partition(":")
        key = self._hash_keys.get(name)
        # As bytes: a comparison of texts refuses other letters than ASCII's, and `known` may be a stranger's.
        return key is not None and hmac.compare_digest(
            hmac.new(key, data, hashlib.sha256).hexdigest().encode(), digest.encode(errors="replace")
        )
