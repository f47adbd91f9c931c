"""Signed messages of OCPP 2.x: `Action-Signed`, whose payload is a flattened JWS around the real one (Part 4, 7).

They are unwrapped and processed whether or not the signature can be verified: whoever has no keys may do so, and a
station that signs must not lose its messages by it.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from csms.ocpp.errors import Fault, OcppError
from csms.ocpp.frames import Call

SUFFIX = "-Signed"


class _Jws(msgspec.Struct):
    """RFC 7515, 7.2.2: one signature. An unprotected header may be there, too; it proves nothing and is not read."""

    payload: str
    protected: str
    signature: str


class _Header(msgspec.Struct):
    """What the signature protects besides the payload, so that it cannot be put into another message."""

    alg: str
    OCPPAction: str | None = None
    OCPPMessageId: str | None = None


_jws = msgspec.json.Decoder(_Jws).decode
_header = msgspec.json.Decoder(_Header).decode


def unwrapped(call: Call) -> Call:
    """The call that a signed one carries; OcppError for what is no signed message, or belongs to another one."""
    action = call.action.removesuffix(SUFFIX)
    try:
        jws = _jws(call.payload)
        header = _header(_decoded(jws.protected))
        payload = _decoded(jws.payload)
    except (ValueError, RecursionError) as error:  # What base64 and msgspec raise are ValueErrors.
        raise OcppError(Fault.FORMAT, f"The payload is no flattened JWS: {error}") from None
    if header.OCPPAction not in (None, action, call.action) or header.OCPPMessageId not in (None, call.id):
        raise OcppError(Fault.SECURITY, "The signature belongs to another message.")
    return Call(call.id, action, msgspec.Raw(payload))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(f"not base64url ({error})") from None
