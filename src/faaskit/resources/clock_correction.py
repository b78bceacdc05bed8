"""
What to do when the host's clock was set back: bring stored moments back to the present.

Due times are wall-clock times. After the clock was set back by an hour, what was put into a
queue before would wait for an hour. Whatever is stored as a moment of the past, such as when
an event was accepted, can't lie in the future: where it does, the clock went back by at
least as much, and what was derived from it (when the event is due) moves back with it. So
nothing has to be remembered of the clock itself, the rule holds across restarts, and two
processes that apply it do no more than one.

A clock of the state folder's own that never goes back was rejected: conditions of policies,
schedules and timestamps would follow a clock that the user has corrected because it was wrong.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from faaskit.clock import Clock, epoch_ms
from faaskit.resources.state import State

if TYPE_CHECKING:
    import sqlite3

__all__ = ["ClockCorrection"]

# Smaller steps back are those of a clock that is kept right, and cost a wait as small.
_LEAST_MS = 1000

# By table: the latest moment of the past that a row tells of, the moments of the past, and
# what was derived from them.
_MOMENTS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "events": (
        "MAX(accepted_ms, COALESCE(tried_ms, 0))",
        ("accepted_ms", "tried_ms"),
        ("due_ms",),
    ),
    "messages": (
        "MAX(sent_ms, COALESCE(received_ms, 0))",
        ("sent_ms", "received_ms", "first_received_ms"),
        ("visible_ms",),
    ),
    "deduplications": ("sent_ms", ("sent_ms",), ()),
    "records": ("arrived_ms", ("arrived_ms",), ()),
    "dynamodb_changes": ("changed_ms", ("changed_ms",), ()),
}


class ClockCorrection:
    """
    Corrects what a state folder holds, when it is opened and when its clock went back.

    Args:
        state: The folder.
        clock: Decides what is due in it.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._seen_ms = 0
        state.on_open(self._correct)

    def look(self) -> None:
        """Correct the folder if the clock went back since the last look."""
        now = epoch_ms(self._clock.now())
        if now + _LEAST_MS > self._seen_ms:
            self._seen_ms = max(now, self._seen_ms)
        else:
            self._correct()

    def fire_due(self) -> None:
        """Look, before it is decided what is due."""
        self.look()

    def next_due(self) -> datetime | None:
        """Return None: nobody knows when a clock is set."""
        return None

    def _correct(self) -> None:
        self._seen_ms = now = epoch_ms(self._clock.now())
        with self._state.reading() as connection:
            if not any(_ahead(connection, table, now) for table in _MOMENTS):
                return
        with self._state.writing() as connection:
            for table, (latest, past, derived) in _MOMENTS.items():
                moved = [f"{name} = {name} - ({latest} - :now)" for name in derived]
                moved += [f"{name} = MIN({name}, :now)" for name in past]  # of NULL it is NULL
                connection.execute(
                    f"UPDATE {table} SET {', '.join(moved)} WHERE {latest} > :now",  # noqa: S608
                    {"now": now},
                )


def _ahead(connection: sqlite3.Connection, table: str, now: int) -> bool:
    query = f"SELECT EXISTS (SELECT 1 FROM {table} WHERE {_MOMENTS[table][0]} > ?)"  # noqa: S608
    (found,) = connection.execute(query, (now + _LEAST_MS,)).fetchone()
    return bool(found)
