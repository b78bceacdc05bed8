"""
Receipt handles: which receive of which message of which queue. Pure.

Opaque to callers. A handle is only good for the last receive of its message: the row knows
that one's nonce. Without it a handle could be made up by who may delete but not receive.
"""

from __future__ import annotations

import base64
import binascii
import secrets

from attrs import frozen

__all__ = ["Receipt", "new_nonce"]

_VERSION = b"faaskit-1"
_PARTS = 4
# SQLite's integers end there.
_MAX_ID = (1 << 63) - 1


@frozen
class Receipt:
    """
    What a receipt handle tells.

    Attributes:
        queue: The queue's name.
        id: The message's row.
        nonce: Of one receive.
    """

    queue: str
    id: int
    nonce: str

    @property
    def handle(self) -> str:
        """As callers see it."""
        parts = (_VERSION, self.queue.encode(), str(self.id).encode(), self.nonce.encode())
        return base64.b64encode(b"\n".join(parts)).decode()

    @classmethod
    def parse(cls, handle: str) -> Receipt | None:
        """Return what a handle tells; None for what never was one."""
        try:
            parts = base64.b64decode(handle.encode(), validate=True).split(b"\n")
            if len(parts) != _PARTS or parts[0] != _VERSION:
                return None
            queue, number, nonce = (part.decode() for part in parts[1:])
        except (binascii.Error, ValueError):
            return None
        if not number.isdecimal() or not number.isascii() or len(number) > len(str(_MAX_ID)):
            return None
        row = int(number)
        return None if row > _MAX_ID else cls(queue, row, nonce)


def new_nonce() -> str:
    """Return what tells one receive from every other."""
    return secrets.token_hex(16)
