"""
Who may run now: AWS's concurrency limits, and the room that this host has.

Over a limit a call is refused at once, as on AWS. Below it, a call waits its turn until
there is room for its memory size, and files for its pipes.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from attrs import field, frozen

from faaskit.exceptions import ThrottledError
from faaskit.runtimes.room import Room

__all__ = ["Concurrency", "Need"]

_log = logging.getLogger(__name__)

_MB = 1024 * 1024
# What makes room may happen without anybody saying so: a function deletes files, or an
# administrator raises a limit.
_LOOK_AGAIN_S = 0.5


@frozen
class Need:
    """
    What one call may take of the host's memory.

    Attributes:
        memory_mb: Its memory size.
        storage_mb: What its /tmp may hold, where that is memory; else 0.
    """

    memory_mb: int
    storage_mb: int = 0


@frozen(eq=False)
class _Waiting:
    """A call that waits its turn."""

    need: Need
    turn: threading.Event = field(factory=threading.Event)


def _nothing() -> int:
    return 0


class Concurrency:
    """
    Counts what runs in one Invoker.

    Args:
        limit: Of all functions together.
        room: Returns the room for those that run at once; may change from call to call.
        held_bytes: Returns what the /tmp of all that run hold in memory now. Only asked where
            there would not be room if all of them were full.
    """

    def __init__(
        self, limit: int, room: Callable[[], Room], held_bytes: Callable[[], int] = _nothing
    ) -> None:
        self._limit = limit
        self._room = room
        self._held_bytes = held_bytes
        self._lock = threading.Lock()
        self._total = 0
        self._by_function: dict[str, int] = {}
        self._used_mb = 0
        self._storage_mb = 0
        self._running = 0
        self._queue: deque[_Waiting] = deque()
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

    def take_room(self, need: Need, *, nested: bool) -> None:
        """
        Take room until ``give_room``, after waiting for one's turn.

        Args:
            need: One that is larger than all the room runs alone.
            nested: Made by a function that holds room itself: waiting could be for ever,
                because what would make room waits for this very call.
        """
        waiting = None
        with self._lock:
            if nested or (not self._queue and self._fits(need)):
                self._add(need)
            else:
                waiting = _Waiting(need)
                self._queue.append(waiting)
        if waiting is not None:
            self._warn()
            self._await(waiting)

    def give_room(self, need: Need) -> None:
        """Give it back, and let in who waits for it."""
        with self._lock:
            self._remove(need)
            if self._queue:
                self._admit()

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            room = self._room()
            _log.warning(
                "calls wait: %d run, and their memory sizes add up to %d MB, with %d MB in their "
                "/tmp; at once there may be %d, as many as this process has files (ulimit -n) and "
                "processes for, and %d MB, four fifths of the memory that it may use",
                self._running,
                self._used_mb,
                self._held_bytes() // _MB,
                room.calls,
                room.memory_mb,
            )

    def _await(self, waiting: _Waiting) -> None:
        try:
            while not waiting.turn.wait(_LOOK_AGAIN_S):
                with self._lock:
                    self._admit()
        except BaseException:  # Ctrl-C while it waited
            with self._lock:
                if waiting.turn.is_set():
                    self._remove(waiting.need)
                else:
                    self._queue.remove(waiting)
                self._admit()
            raise

    def _add(self, need: Need) -> None:
        self._used_mb += need.memory_mb
        self._storage_mb += need.storage_mb
        self._running += 1

    def _remove(self, need: Need) -> None:
        self._used_mb -= need.memory_mb
        self._storage_mb -= need.storage_mb
        self._running -= 1

    def _fits(self, need: Need) -> bool:
        if self._running == 0:
            return True
        room = self._room()
        used_mb = self._used_mb + need.memory_mb
        if self._running >= room.calls or used_mb > room.memory_mb:
            return False
        # There is room even if every /tmp were full. This is what most hosts see in most calls,
        # and it costs no look at the files.
        if used_mb + self._storage_mb <= room.memory_mb:
            return True
        return used_mb + self._held_bytes() / _MB <= room.memory_mb

    def _admit(self) -> None:
        # In the order of arrival: a large one is not overtaken for ever by small ones.
        while self._queue and self._fits(self._queue[0].need):
            waiting = self._queue.popleft()
            self._add(waiting.need)
            waiting.turn.set()
