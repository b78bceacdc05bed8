"""Sessions of roles that were assumed inside functions: who has which credentials."""

from __future__ import annotations

import secrets
import string
import threading
from collections import OrderedDict
from datetime import datetime

from attrs import frozen

from faaskit.gate.gate import Principal
from faaskit.gate.service import Refusal

__all__ = ["Credentials", "Sessions"]

# So many sessions of an app are known at once; the oldest are forgotten.
_MOST = 10_000
_ID_CHARACTERS = string.ascii_uppercase + "234567"


@frozen
class Credentials:
    """
    What AssumeRole gives out. Here the token alone counts; the rest is of AWS's form.

    Attributes:
        expires: Aware.
    """

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires: datetime


class Sessions:
    """Knows principals by session token. Thread-safe; kept in memory alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[Principal, datetime]] = OrderedDict()

    def begin(self, principal: Principal, expires: datetime) -> Credentials:
        """Return new credentials of a principal."""
        made = Credentials(
            access_key_id="ASIA" + "".join(secrets.choice(_ID_CHARACTERS) for _ in range(16)),
            secret_access_key=secrets.token_urlsafe(30),
            session_token=secrets.token_urlsafe(256),
            expires=expires,
        )
        with self._lock:
            self._known[made.session_token] = (principal, expires)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        return made

    def find(self, token: str, now: datetime) -> Principal:
        """
        Return whose a token is.

        Raises:
            Refusal: It is nobody's, or has expired.
        """
        with self._lock:
            principal, expires = self._known.get(token, (None, now))
        if principal is None:
            msg = "The security token included in the request is invalid."
            raise Refusal(msg, code="InvalidClientTokenId")
        if expires <= now:
            msg = "The security token included in the request is expired"
            raise Refusal(msg, code="ExpiredToken")
        return principal
