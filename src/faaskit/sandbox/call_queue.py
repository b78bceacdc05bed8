"""
The service calls that an environment has sent: one is under way, the others wait.

They are answered away from the thread that listens, so a function could send any number
while the first is carried out. While one waits, or a large one is under way, the app reads no
further; what follows stays in the pipe, and then in the function's own memory.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Generic, TypeVar

__all__ = ["READ_ON_BYTES", "CallQueue"]

# Beside a call of this size the next message is read: a handler may return while a thread of
# it waits for a reply. With the largest message that there can be, this bounds what the app
# holds for one environment.
READ_ON_BYTES = 16 * 1024 * 1024


_T = TypeVar("_T")


class CallQueue(Generic[_T]):
    """
    The calls of one environment, one at a time.

    Not locked: its ``Line`` calls it with a lock held, since two threads use it.

    Attributes:
        wake: An eventfd that becomes readable when reading goes on; -1 until it was paused.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[_T, int]] = deque()
        self._under_way: int | None = None  # its size
        self._paused = False
        self.wake = -1

    def add(self, call: _T, size: int) -> None:
        """Put a call of so many bytes behind those that are there."""
        self._waiting.append((call, size))

    def next(self) -> _T | None:
        """Return the call whose turn it is; None while one is under way, or none waits."""
        if self._under_way is not None or not self._waiting:
            return None
        call, self._under_way = self._waiting.popleft()
        return call

    def pause(self) -> bool:
        """Return whether nothing more is to be read until ``wake`` is readable."""
        size = self._under_way
        self._paused = size is not None and (bool(self._waiting) or size > READ_ON_BYTES)
        if self._paused and self.wake < 0:
            self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        return self._paused

    def answered(self) -> None:
        """End the turn of the call that is under way."""
        self._under_way = None
        if self._paused:
            self._paused = False
            os.eventfd_write(self.wake, 1)

    def close(self) -> None:
        """Forget all calls."""
        self._waiting.clear()
        self._paused = False
        if self.wake >= 0:
            os.close(self.wake)
            self.wake = -1
