"""Who may open a conversation: decided from the handshake request, before the upgrade."""

from __future__ import annotations

import base64
import binascii
import re
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from websockets.datastructures import Headers

from csms.domain.stations import is_identity
from csms.gateway.tls import Certificate
from csms.ocpp.catalogue import Version
from csms.storage.records import Known

DEFAULT_OPERATOR = "default"
_ABSOLUTE = re.compile(r"(?i)(?:https?|wss?)://[^/?]*")  # A path as proxies are told it (RFC 9112 3.2.2).


class Refused(Exception):
    """The connection is not admitted; `status` is the HTTP answer, `reason` is for our log and the answer's text."""

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None):
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.text = reason  # What the client is told.
        self.headers = headers or {}
        self.limit: str | None = None  # The limit that was exceeded: such refusals are counted, not logged each.


class NoCommonVersion(Refused):
    """The client speaks none of the versions that are spoken here."""


@dataclass(frozen=True, slots=True)
class Address:
    """Which station a path speaks for."""

    operator: str
    identity: str


def address_of(path: str, base: str = "/ocpp") -> Address:
    """Read `<base>/<station>` or `<base>/<operator>/<station>`: split first, then percent-decode once (rules 1, 2)."""
    path, base = _ABSOLUTE.sub("", path).partition("?")[0], base.rstrip("/")
    parts = path.removeprefix(base).strip("/").split("/") if path.startswith(base + "/") else []
    if len(parts) not in (1, 2) or not parts[-1]:
        raise Refused(404, f"Connect to {base}/<station> or {base}/<operator>/<station>.")
    names = [_decoded(part) for part in parts]
    operator = names[0] if len(names) == 2 else DEFAULT_OPERATOR
    if "/" in operator:
        raise Refused(400, "An operator's name has no slash.")
    return Address(operator, names[-1])


def _decoded(part: str) -> str:
    try:
        name = unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        raise Refused(400, "The station's identity in the path is not UTF-8.") from None
    if not is_identity(name) or name in (".", ".."):
        raise Refused(400, "A station's identity has 1 to 48 printable characters, without colon.")
    return name


def chosen_version(
    headers: Headers, offered: tuple[Version, ...], *, assume_16: bool = False
) -> tuple[Version, str | None]:
    """The first of the client's subprotocols that we speak, and how the client spelled it (rules 5, 6).

    With `assume_16` a client that names none at all speaks 1.6, and is told none either.
    """
    if assume_16 and "Sec-WebSocket-Protocol" not in headers:
        return Version.V16, None
    asked = [name.strip() for line in headers.get_all("Sec-WebSocket-Protocol") for name in line.split(",")]
    for name in asked:
        version = Version.from_subprotocol(name.lower())
        if version in offered:
            return version, name
    spoken = ", ".join(version.subprotocol for version in offered)
    raise NoCommonVersion(400, f"No common subprotocol: offer one of {spoken} in Sec-WebSocket-Protocol.")


def password_of(headers: Headers, identity: str) -> bytes | None:
    """The password of Basic credentials, as bytes: it need not be text (T73). None without credentials.

    401 for credentials that cannot be read or name another station.
    """
    lines = headers.get_all("Authorization")
    if not lines:
        return None
    scheme, _, encoded = lines[0].strip().partition(" ")
    try:
        plain = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        plain = b""
    name, colon, password = plain.partition(b":")
    if scheme.lower() != "basic" or not colon or name != identity.encode():
        raise unauthorized("the credentials cannot be read or name another station")
    return password


def spellings(password: bytes) -> list[bytes]:
    """The password as it may have been kept: a 1.6 key is bytes that are written as hex, in any case, and stations send either (T73)."""
    found = [password, password.hex().encode(), password.hex().upper().encode()]
    with suppress(ValueError):
        found += [bytes.fromhex(password.decode("ascii")), password.lower(), password.upper()]
    return found


def check_certificate(certificate: Certificate | None, known: Known, organization: str | None) -> None:
    """The certificate has to be this station's own: its identity or its serial number as common name (T74)."""
    name = certificate.common_name if certificate is not None else None
    if name is None or name not in (known.identity, known.serial):
        raise Refused(403, "The certificate names another station.")
    if organization is not None and organization not in certificate.organizations:
        raise Refused(403, "The certificate names another organization.")  # A00.FR.404


def too_often(status: int, limit: str, retry_after: int) -> Refused:
    """Come back later: worded alike whatever the limit was."""
    refused = Refused(status, limit, {"Retry-After": str(retry_after)})
    refused.text = "Too many connections: try again later."
    refused.limit = limit
    return refused


def unauthorized(reason: str) -> Refused:
    """401, worded alike whatever was wrong: our log learns more than the client."""
    refused = Refused(401, reason, {"WWW-Authenticate": 'Basic realm="ocpp", charset="UTF-8"'})
    refused.text = "The credentials are missing or wrong."
    return refused
