"""
Shard iterators: a position in a shard, as callers carry it from one call to the next. Pure.

They are opaque to callers, and not trusted when they come back. An iterator names its stream,
so that what reads with it can be authorised on that stream.
"""

from __future__ import annotations

import base64
import binascii
import json

from attrs import frozen

__all__ = ["ITERATOR_MS", "ShardIterator"]

ITERATOR_MS = 5 * 60 * 1000
_MAX_CHARACTERS = 512
_MAX_NUMBER = (1 << 63) - 1


@frozen
class ShardIterator:
    """
    A position.

    Attributes:
        stream: The stream's name.
        shard: Its number.
        sequence: Of the first record to read, if there is one: the least that it may have.
        made_ms: When; good for five minutes.
    """

    stream: str
    shard: int
    sequence: int
    made_ms: int

    @property
    def text(self) -> str:
        """As callers see it."""
        parts = [self.stream, self.shard, self.sequence, self.made_ms]
        return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode()

    @classmethod
    def parse(cls, text: str) -> ShardIterator | None:
        """Return the position of an iterator; None for what never was one."""
        if len(text) > _MAX_CHARACTERS:
            return None
        try:
            parts = json.loads(base64.b64decode(text.encode(), altchars=b"-_", validate=True))
        except (binascii.Error, ValueError, RecursionError):
            return None
        if not isinstance(parts, list) or [type(part) for part in parts] != [str, int, int, int]:
            return None
        stream, *numbers = parts
        if not all(0 <= number <= _MAX_NUMBER for number in numbers):
            return None
        return cls(stream, *numbers)
