"""
What functions asked their roles for: each permission once, kept in the state folder.

A record for people, not a promise: it is written some seconds late, so that calls do not wait
for the disk. What a crash loses of it comes again with the next run.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from faaskit.clock import Clock, epoch_ms
from faaskit.exceptions import FaaskitError
from faaskit.iam.suggestion import Asked
from faaskit.resources.state import State
from faaskit.runtimes.contract import Permission

if TYPE_CHECKING:
    from faaskit.iam.decision import Verdict

__all__ = ["AccessRecord"]

_log = logging.getLogger(__name__)

_MOST_OF_ONE_FUNCTION = 10_000
_WRITE_AFTER_MS = 5_000


def _writable(name: str) -> str:
    """Return a function's own text as a database and a terminal can take it: no lone surrogates."""
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode()


class AccessRecord:
    """
    Each permission that a function asked for, with the latest decision.

    Threads share it without a lock, which a fork could find held: each step is one operation
    on a dict or a deque.

    Args:
        state: Where it is kept; a temporary one is not written to.
        clock: For when it was last asked for.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._seen: defaultdict[str, dict[tuple[str, str], Verdict]] = defaultdict(dict)
        self._new: deque[tuple[str, str, str, Verdict, int]] = deque()
        self._since_ms = 0

    def note(self, function: str, permissions: Iterable[Permission]) -> None:
        """Remember what a function asked for; never raises for the state's sake."""
        seen = self._seen[function]
        for one in permissions:
            what = (_writable(one.action), _writable(one.resource))
            if seen.get(what) == one.effect or len(seen) >= _MOST_OF_ONE_FUNCTION:
                continue
            seen[what] = one.effect
            if not self._state.temporary:
                now = epoch_ms(self._clock.now())
                if not self._new:
                    self._since_ms = now
                self._new.append((function, *what, one.effect, now))
                if now - self._since_ms >= _WRITE_AFTER_MS:
                    self.write()

    def write(self) -> None:
        """Write down what is new. A failure is in the log: no call fails for it."""
        rows = []
        while self._new:
            rows.append(self._new.popleft())
        if not rows:
            return
        try:
            with self._state.writing() as connection:
                connection.executemany("INSERT OR REPLACE INTO access VALUES (?, ?, ?, ?, ?)", rows)
        except FaaskitError:
            _log.warning("what functions asked for could not be written down", exc_info=True)

    def asked(self, function: str) -> list[Asked]:
        """Return what a function asked for, in this and in earlier runs."""
        found: dict[tuple[str, str], Verdict] = {}
        if not self._state.temporary:
            self.write()
            with self._state.reading() as connection:
                query = "SELECT action, resource, effect FROM access WHERE function = ?"
                for action, resource, effect in connection.execute(query, (function,)):
                    found[action, resource] = effect
        found.update(self._seen.get(function, {}))
        return [Asked(*what, effect) for what, effect in found.items()]
