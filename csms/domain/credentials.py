"""Machine-made secrets: how they are generated, and the keyed hash under which they are kept.

Station passwords and API keys have 96 bits and more, so a fast keyed hash (HMAC-SHA256, 3 µs) is enough and a reconnect
storm stays cheap; slow hashes are for what people invent (reliability 0.5). Without the key a stolen table is useless.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

KEY_BYTES = 32
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"  # No 0 O 1 I l: people type them.


class Vault:
    """Hashes secrets with a key that every node of the system shares."""

    def __init__(self, key: bytes):
        if len(key) < 16:
            raise ValueError("the secret key needs at least 16 bytes")
        self._key = key

    def station_hash(self, operator: str, identity: str, password: bytes) -> bytes:
        """The hash of a station's password; bound to the station, so that rows cannot be swapped."""
        return self._hash(b"station\0%b\0%b\0%b" % (operator.encode(), identity.encode(), password))

    def key_hash(self, api_key: str) -> bytes:
        return self._hash(b"api-key\0" + api_key.encode())

    def station_matches(self, kept: bytes, operator: str, identity: str, password: bytes) -> bool:
        """Whether `password` is the one kept; takes the same time whatever differs."""
        return hmac.compare_digest(kept, self.station_hash(operator, identity, password))

    def derived(self, purpose: bytes, salt: bytes) -> bytes:
        """A secret of 256 bits that has to be known again, and stands nowhere: only its salt is kept."""
        return self._hash(b"derived\0%b\0%b" % (purpose, salt))

    def _hash(self, message: bytes) -> bytes:
        return hmac.digest(self._key, message, hashlib.sha256)


def new_password() -> str:
    """A station password of 20 characters and 116 bits: within the 16-20 bytes of 1.6 and the 16-40 of 2.x."""
    return "".join(secrets.choice(_LETTERS) for _ in range(20))


def new_api_key() -> str:
    """An API key of 256 bits."""
    return "csms_" + secrets.token_urlsafe(32)
