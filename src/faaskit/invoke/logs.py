"""What a function wrote, kept whole up to a limit and then by its two ends."""

from __future__ import annotations

from collections import deque

__all__ = ["LOG_LIMIT_BYTES", "LogBuffer"]

LOG_LIMIT_BYTES = 6 * 1024 * 1024


class LogBuffer:
    """
    Keeps the first and the last half of ``limit`` bytes, and counts what lies between.

    The beginning says what was begun, the end says how it failed; a flood is in between.
    """

    def __init__(self, limit: int = LOG_LIMIT_BYTES) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._dropped = 0

    def add(self, data: bytes) -> None:
        """Add a piece."""
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if not data:
            return
        self._tail.append(data)
        self._tail_size += len(data)
        while self._tail_size - len(self._tail[0]) >= self._half:
            gone = self._tail.popleft()
            self._tail_size -= len(gone)
            self._dropped += len(gone)

    def text(self) -> str:
        """Return what was kept; bytes that are no UTF-8 are replaced."""
        tail = b"".join(self._tail)
        over = max(0, len(tail) - self._half)
        dropped = self._dropped + over
        head = bytes(self._head)
        if not dropped:
            return (head + tail).decode("utf-8", "replace")
        mark = f"\n[faaskit: {dropped} bytes of log were dropped here]\n"
        return head.decode("utf-8", "replace") + mark + tail[over:].decode("utf-8", "replace")
