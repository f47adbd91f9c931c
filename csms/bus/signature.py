"""Signs what webhooks carry, as Standard Webhooks says (https://www.standardwebhooks.com): receivers find libraries.

Signed are id, time and body together, so that none can be replaced, and an old message can be told from a new one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

_PREFIX = "whsec_"
WINDOW = 300  # s that receivers allow between the time signed and theirs; each attempt is signed anew.


def shown_secret(secret: bytes) -> str:
    """A secret as it is given to people."""
    return _PREFIX + base64.b64encode(secret).decode()


def signed_headers(secret: bytes, id: str, at: int, body: bytes) -> dict[str, str]:
    """`at`: s since 1970."""
    digest = hmac.digest(secret, b"%b.%d.%b" % (id.encode(), at, body), hashlib.sha256)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(at),
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }
