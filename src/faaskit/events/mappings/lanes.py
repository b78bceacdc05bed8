"""
Lanes: how far each mapping is in each part of its source, and which process is at it.

A lane is a shard, or one of the parts that ``parallelization_factor`` makes of it. One process
owns it at a time: its token is in the row, and the lock behind the token ends with the process,
so that another one goes on at once where a process was killed. What an owner wrote down after
it was taken over changes nothing: each taking over has a number.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from faaskit.events.mappings.progress import Progress
from faaskit.resources.state import State

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Claim", "LaneKey", "LaneStore"]


@frozen
class LaneKey:
    """
    Which lane.

    Attributes:
        mapping: The mapping's UUID.
        shard: Its number.
        part: From 0 on.
        parts: How many the shard has been divided into.
    """

    mapping: str
    shard: int
    part: int
    parts: int


@frozen
class Claim:
    """What a process that owns a lane knows of it."""

    key: LaneKey
    number: int
    progress: Progress


class LaneStore:
    """
    The lanes of a state folder. Safe to use from several threads.

    Args:
        state: Where they are.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def acquire(
        self, connection: sqlite3.Connection, key: LaneKey, fresh: Progress
    ) -> Claim | None:
        """
        Make this process the owner of a lane.

        Args:
            connection: In a transaction.
            key: Which.
            fresh: How far a mapping is that has not begun.

        Returns:
            The claim; None where another process that is alive has it.
        """
        token = self._state.token
        # All parts are looked at: of a process that divides otherwise, none may be at work.
        if not self.is_free(connection, key):
            return None
        known = connection.execute(
            "SELECT part, parts, progress, claim FROM lanes"
            " WHERE mapping = ? AND shard = ? ORDER BY part",
            (key.mapping, key.shard),
        ).fetchall()
        if known and known[0][1] != key.parts:
            self._divide(connection, key, _together([Progress.parse(row[2]) for row in known]))
            return self.acquire(connection, key, fresh)
        for part, _, progress, claim in known:
            if part == key.part:
                claimed = Claim(key, claim + 1, Progress.parse(progress))
                break
        else:
            claimed = Claim(key, 1, fresh)
        connection.execute(
            "INSERT OR REPLACE INTO lanes (mapping, shard, part, parts, progress, owner, claim)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                key.mapping,
                key.shard,
                key.part,
                key.parts,
                claimed.progress.text,
                token,
                claimed.number,
            ),
        )
        return claimed

    def _divide(self, connection: sqlite3.Connection, key: LaneKey, progress: Progress) -> None:
        """Divide a shard into other parts than before, all of them as far as it is itself."""
        connection.execute(
            "DELETE FROM lanes WHERE mapping = ? AND shard = ?", (key.mapping, key.shard)
        )
        connection.executemany(
            "INSERT INTO lanes (mapping, shard, part, parts, progress, claim)"
            " VALUES (?, ?, ?, ?, ?, 0)",
            [(key.mapping, key.shard, part, key.parts, progress.text) for part in range(key.parts)],
        )

    def store(self, connection: sqlite3.Connection, claim: Claim, progress: Progress) -> bool:
        """
        Write down how far a lane is.

        Returns:
            Whether this process still owns it; else nothing was written.
        """
        changed = connection.execute(
            "UPDATE lanes SET progress = ?"
            " WHERE mapping = ? AND shard = ? AND part = ? AND claim = ? AND owner = ?",
            (
                progress.text,
                claim.key.mapping,
                claim.key.shard,
                claim.key.part,
                claim.number,
                self._state.token,
            ),
        )
        return bool(changed.rowcount)

    def release(self, claims: Collection[Claim]) -> None:
        """Let other processes have lanes."""
        if claims:
            with self._state.writing() as connection:
                connection.executemany(
                    "UPDATE lanes SET owner = NULL, claim = claim + 1"
                    " WHERE mapping = ? AND shard = ? AND part = ? AND claim = ?",
                    [(one.key.mapping, one.key.shard, one.key.part, one.number) for one in claims],
                )

    def ended(self, connection: sqlite3.Connection, mapping: str) -> Mapping[int, bool]:
        """Return of each shard that was begun whether all of it is done."""
        done: dict[int, bool] = {}
        for shard, progress in self.all(connection, mapping):
            done[shard] = done.get(shard, True) and progress.ended
        return done

    def all(self, connection: sqlite3.Connection, mapping: str) -> list[tuple[int, Progress]]:
        """Return the shard and progress of every lane of a mapping."""
        rows = connection.execute(
            "SELECT shard, progress FROM lanes WHERE mapping = ? ORDER BY shard, part", (mapping,)
        ).fetchall()
        return [(shard, Progress.parse(text)) for shard, text in rows]

    def is_free(self, connection: sqlite3.Connection, key: LaneKey) -> bool:
        """Return whether no process that is alive, but this one, is at a shard."""
        owners = connection.execute(
            "SELECT DISTINCT owner FROM lanes WHERE mapping = ? AND shard = ?"
            " AND owner IS NOT NULL",
            (key.mapping, key.shard),
        ).fetchall()
        return not any(
            owner != self._state.token and self._state.is_alive(owner) for (owner,) in owners
        )


def _together(parts: Collection[Progress]) -> Progress:
    """Return the progress of a shard that is divided anew: what any part has not done is done."""
    first = min(min([part.position, *(piece.first for piece in part.pieces)]) for part in parts)
    return evolve(Progress(first), ended=all(part.ended for part in parts))
