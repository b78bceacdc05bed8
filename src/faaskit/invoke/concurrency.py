"""
Who may run now: AWS's concurrency limits, and the room that this host has.

Over a limit a call is refused at once, as on AWS. Below it, a call waits its turn until
there is room for its memory size, and files for its pipes.
"""

from __future__ import annotations

import logging
import threading
from collections import deque

from faaskit.exceptions import ThrottledError

__all__ = ["Concurrency"]

_log = logging.getLogger(__name__)


class Concurrency:
    """
    Counts what runs in one Invoker.

    Args:
        limit: Of all functions together.
        room_mb: For the sum of the memory sizes of those that run at once.
        most: How many may run at once.
    """

    def __init__(self, limit: int, room_mb: int, most: int) -> None:
        self._limit = limit
        self._room_mb = room_mb
        self._most = most
        self._lock = threading.Lock()
        self._total = 0
        self._by_function: dict[str, int] = {}
        self._used_mb = 0
        self._running = 0
        self._queue: deque[tuple[int, threading.Event]] = deque()
        self._warned = False

    def enter(self, key: str, reserved: int | None) -> None:
        """
        Count a call in, until ``leave``.

        Args:
            key: The function's ARN.
            reserved: Its reserved concurrency.

        Raises:
            ThrottledError: It is over a limit.
        """
        with self._lock:
            running = self._by_function.get(key, 0)
            if reserved is not None and running >= reserved:
                msg = "Rate Exceeded."
                reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
                raise ThrottledError(msg, reason=reason)
            if self._total >= self._limit:
                msg = "Rate Exceeded."
                raise ThrottledError(msg, reason="ConcurrentInvocationLimitExceeded")
            self._total += 1
            self._by_function[key] = running + 1

    def leave(self, key: str) -> None:
        """Count a call out."""
        with self._lock:
            self._total -= 1
            left = self._by_function[key] - 1
            if left:
                self._by_function[key] = left
            else:
                del self._by_function[key]

    def take_room(self, memory_size: int, *, nested: bool) -> None:
        """
        Take room for a memory size until ``give_room``, after waiting for one's turn.

        Args:
            memory_size: In MB. One that is larger than all the room runs alone.
            nested: Made by a function that holds room itself: waiting could be for ever,
                because what would make room waits for this very call.
        """
        turn = None
        with self._lock:
            if nested or (not self._queue and self._fits(memory_size)):
                self._add(memory_size)
            else:
                turn = threading.Event()
                self._queue.append((memory_size, turn))
        if turn is not None:
            self._warn()
            self._await(memory_size, turn)

    def give_room(self, memory_size: int) -> None:
        """Give it back, and let in who waits for it."""
        with self._lock:
            self._add(-memory_size)
            if self._queue:
                self._admit()

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(
                "calls wait: %d run, and their memory sizes add up to %d MB; at once there may be "
                "%d, as many as this process has files for (ulimit -n), and %d MB, four fifths of "
                "this host's memory",
                self._running,
                self._used_mb,
                self._most,
                self._room_mb,
            )

    def _await(self, memory_size: int, turn: threading.Event) -> None:
        try:
            turn.wait()
        except BaseException:  # Ctrl-C while it waited
            with self._lock:
                if turn.is_set():
                    self._add(-memory_size)
                else:
                    self._queue.remove((memory_size, turn))
                self._admit()
            raise

    def _add(self, memory_size: int) -> None:
        self._used_mb += memory_size
        self._running += 1 if memory_size > 0 else -1

    def _fits(self, memory_size: int) -> bool:
        if self._running == 0:
            return True
        return self._running < self._most and self._used_mb + memory_size <= self._room_mb

    def _admit(self) -> None:
        # In the order of arrival: a large one is not overtaken for ever by small ones.
        while self._queue and self._fits(self._queue[0][0]):
            memory_size, turn = self._queue.popleft()
            self._add(memory_size)
            turn.set()
