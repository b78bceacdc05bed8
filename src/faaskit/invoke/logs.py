"""What a function wrote, kept whole up to a limit and then by its two ends."""

from __future__ import annotations

__all__ = ["LOG_LIMIT_BYTES", "LogBuffer"]

LOG_LIMIT_BYTES = 6 * 1024 * 1024


class LogBuffer:
    """
    Keeps the first and the last half of ``limit`` bytes, and counts what lies between.

    The beginning says what was begun, the end says how it failed; a flood is in between.
    """

    def __init__(self, limit: int = LOG_LIMIT_BYTES) -> None:
        self._half = limit // 2
        # Two buffers and no list of pieces: one of two bytes would take fifty.
        self._head = bytearray()
        self._tail = bytearray()
        # The tail is cut to its half once it is an eighth over, since each cut copies it.
        self._most = self._half + self._half // 8
        self._dropped = 0

    def add(self, data: bytes) -> None:
        """Add a piece."""
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > self._most:
            self._cut()

    def _cut(self) -> None:
        over = max(0, len(self._tail) - self._half)
        del self._tail[:over]
        self._dropped += over

    def text(self) -> str:
        """Return what was kept; bytes that are no UTF-8 are replaced."""
        self._cut()
        if not self._dropped:
            return (self._head + self._tail).decode("utf-8", "replace")
        mark = f"\n[faaskit: {self._dropped} bytes of log were dropped here]\n"
        head, tail = (part.decode("utf-8", "replace") for part in (self._head, self._tail))
        return head + mark + tail
