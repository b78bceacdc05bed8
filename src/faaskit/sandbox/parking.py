"""
Which parked environments leave: those of functions that nobody has called for a while.

Runs in the launcher; stdlib only. The app may be taking one at this very moment, and one that
has its event must not be killed. So one is marked first and killed a while later, if it was
not claimed meanwhile. The app claims first and looks for the mark then: whichever was first,
one of the two sees the other's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .table import Table
    from .watched import Watched

__all__ = ["Parking"]

# Between mark and kill. It only has to be longer than a write takes to reach the other side.
_NOTICE_NS = 10_000_000
_NEVER = 1 << 62


class Parking:
    """
    Finds those that leave.

    Args:
        table: Where the app claims.
        idle_ns: How long a function is idle before its environments leave.
    """

    def __init__(self, table: Table, idle_ns: int) -> None:
        self._table = table
        self._idle_ns = idle_ns
        self._next = 0

    def due(self) -> int:
        """Return when to look next, in monotonic ns."""
        return self._next

    def look_by(self, when: int) -> None:
        """Look then at the latest."""
        self._next = min(self._next, when)

    def leaving(self, environments: Iterable[Watched], now: int) -> list[Watched]:
        """Return those to be killed now, mark those to be killed next."""
        self._next = _NEVER
        found: list[Watched] = []
        for watched in environments:
            if watched.stays or watched.told or not watched.is_parked(self._table):
                continue
            template = watched.template
            assert template is not None
            idle_at = template.used_at + self._idle_ns
            if self._table.leaving[watched.row]:
                found.append(watched)
            elif idle_at <= now:
                self._table.leaving[watched.row] = 1
                self._next = now + _NOTICE_NS
            else:
                self._next = min(self._next, idle_at)
        return found
