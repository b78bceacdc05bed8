"""
What is kept of a stream elsewhere: how far each shard was copied, and the copied records.

Records and the place that they were read up to are written in one transaction, by the process
that owns the shard: none is copied twice, none is left out, whoever dies when.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from faaskit.clock import epoch_ms
from faaskit.events.mappings.lanes import LaneStore
from faaskit.events.mappings.remote.services import Found, Listing
from faaskit.events.mappings.settings import Kind, MappingSettings
from faaskit.events.mappings.sources import Page, Row, Shard
from faaskit.resources.state import State

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Copies", "KnownShard", "RemoteStreamSource"]

# How far ahead of what reads them records are copied.
_AHEAD_RECORDS = 10_000
_AHEAD_BYTES = 64 * 1024 * 1024


@frozen
class KnownShard:
    """
    A shard that is known.

    Attributes:
        number: In its mapping.
        id: The service's.
        stream: The stream's ARN.
        created: When the stream was.
        parents: Numbers.
        begin_ms: What arrived before is not wanted; None where all is.
        position: The sequence number of the last record that was copied; None before one was.
        last: The last copy's, where there will be no more.
    """

    number: int
    id: str
    stream: str
    created: str
    parents: Sequence[int]
    begin_ms: int | None = None
    position: str | None = None
    last: int | None = None


@frozen
class News:
    """
    What a listing says that was not known.

    Attributes:
        new: Shards that were not.
        gone: Those that are not there any more, before they were copied to their end.
        past: Those that are not there any more, and were.
    """

    new: Sequence[KnownShard]
    gone: Sequence[KnownShard]
    past: Sequence[KnownShard]

    @classmethod
    def of(cls, known: Sequence[KnownShard], listing: Listing, *, begin_ms: int | None) -> News:
        """
        Compare.

        Args:
            known: All that are.
            listing: What the service says.
            begin_ms: What arrived before is not wanted; None where all is.
        """
        numbers = {one.id: one.number for one in known if one.created == listing.created}
        following = max((one.number for one in known), default=-1) + 1
        new = []
        for shard in listing.shards:
            if shard.id in numbers:
                continue
            parents = [numbers[parent] for parent in shard.parents if parent in numbers]
            numbers[shard.id] = following
            where = (following, shard.id, listing.arn, listing.created)
            new.append(KnownShard(*where, parents, begin_ms))
            following += 1
        listed = {shard.id for shard in listing.shards}
        missing = [one for one in known if one.created != listing.created or one.id not in listed]
        return cls(
            new,
            gone=[one for one in missing if one.last is None],
            past=[one for one in missing if one.last is not None],
        )

    @property
    def any(self) -> bool:
        """Whether there is something to write down."""
        return bool(self.new or self.gone or self.past)


class Copies:
    """
    The copies in a state folder. Safe to use from several threads.

    Args:
        state: Where they are.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._lanes = LaneStore(state)

    # --- shards -------------------------------------------------------------------------

    def shards(self, mapping: str) -> list[KnownShard]:
        """Return those that are known of a mapping, by its UUID."""
        with self._state.reading() as connection:
            return _shards(connection, mapping)

    def take_up(self, mapping: str, settings: MappingSettings, listing: Listing) -> News:
        """
        Write down which shards there are.

        What is gone is at its end: what was not copied of it never will be.
        """
        with self._state.reading() as connection:
            news = self._compare(connection, mapping, settings, listing)
        if not news.any:
            return news
        with self._state.writing() as connection:
            news = self._compare(connection, mapping, settings, listing)
            connection.executemany(
                "INSERT INTO remote_shards"
                " (mapping, number, id, stream, created, parents, begin_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        mapping,
                        one.number,
                        one.id,
                        one.stream,
                        one.created,
                        json.dumps(one.parents),
                        one.begin_ms,
                    )
                    for one in news.new
                ],
            )
            for one in news.gone:
                _end(connection, mapping, one.number)
            self._forget(connection, mapping, news.past)
        return news

    def _forget(
        self, connection: sqlite3.Connection, mapping: str, shards: Sequence[KnownShard]
    ) -> None:
        """Forget shards that are past, and done: tables' streams have new ones each few hours."""
        done = self._lanes.ended(connection, mapping)
        numbers = [(mapping, one.number) for one in shards if done.get(one.number)]
        for statement in (
            "DELETE FROM remote_records WHERE mapping = ? AND shard = ?",
            "DELETE FROM remote_shards WHERE mapping = ? AND number = ?",
            "DELETE FROM lanes WHERE mapping = ? AND shard = ?",
        ):
            connection.executemany(statement, numbers)

    def _compare(
        self,
        connection: sqlite3.Connection,
        mapping: str,
        settings: MappingSettings,
        listing: Listing,
    ) -> News:
        known = _shards(connection, mapping)
        begin_ms = None
        if settings.starting_position == "LATEST":
            # Not the service's LATEST, which is wherever it is when it is asked: a process
            # that dies before the first record would forget where that was.
            (begin_ms,) = connection.execute(
                "SELECT created_ms FROM mappings WHERE id = ?", (mapping,)
            ).fetchone()
            begin_ms = begin_ms // listing.exact_to_ms * listing.exact_to_ms
        elif settings.starting_position_timestamp is not None:
            begin_ms = epoch_ms(settings.starting_position_timestamp)
        return News.of(known, listing, begin_ms=begin_ms)

    # --- records ------------------------------------------------------------------------

    def own(self, mapping: str, number: int) -> bool:
        """Make this process the one that copies a shard; return whether it is."""
        token, where = self._state.token, (mapping, number)
        query = "SELECT owner FROM remote_shards WHERE mapping = ? AND number = ?"
        with self._state.reading() as connection:
            (owner,) = connection.execute(query, where).fetchone()
        if owner == token:
            return True
        if owner is not None and self._state.is_alive(owner):
            return False
        with self._state.writing() as connection:
            taken = connection.execute(
                "UPDATE remote_shards SET owner = ? WHERE mapping = ? AND number = ?"
                " AND owner IS ?",
                (token, mapping, number, owner),
            )
        return bool(taken.rowcount)

    def let_go(self) -> None:
        """Let other processes copy what this one does."""
        with self._state.writing() as connection:
            connection.execute(
                "UPDATE remote_shards SET owner = NULL WHERE owner = ?", (self._state.token,)
            )

    def is_far_ahead(self, mapping: str, shard: KnownShard, batch: int) -> bool:
        """
        Return whether what was copied is enough for now.

        Args:
            mapping: The mapping's UUID.
            shard: Of it.
            batch: How many records what reads it can wait for, at the most.
        """
        with self._state.reading() as connection:
            reached = [one.position for one in self._progress(connection, mapping, shard.number)]
            count, size = connection.execute(
                "SELECT COUNT(*), TOTAL(size) FROM remote_records"
                " WHERE mapping = ? AND shard = ? AND id >= ?",
                (mapping, shard.number, max(reached, default=0)),
            ).fetchone()
        return bool(count >= max(_AHEAD_RECORDS, 2 * batch) or size >= _AHEAD_BYTES)

    def add(
        self, mapping: str, shard: KnownShard, found: Found, *, retention_ms: int, now_ms: int
    ) -> bool:
        """
        Write down what a read found, and forget what was delivered.

        Returns:
            Whether this process still owns the shard; else nothing was written.
        """
        wanted = [one for one in found.records if one.arrived_ms >= (shard.begin_ms or 0)]
        if not found.records and found.next is not None:
            with self._state.reading() as connection:
                where, values = self._done(connection, mapping, shard.number, now_ms)
                if not connection.execute(f"SELECT 1 {where} LIMIT 1", values).fetchone():
                    return True
        position = found.records[-1].number if found.records else shard.position
        with self._state.writing() as connection:
            ours = connection.execute(
                "UPDATE remote_shards SET position = ?"
                " WHERE mapping = ? AND number = ? AND owner = ? AND position IS ?"
                " AND last IS NULL",
                (position, mapping, shard.number, self._state.token, shard.position),
            )
            if not ours.rowcount:
                return False
            where, values = self._done(connection, mapping, shard.number, now_ms)
            connection.execute(f"DELETE {where}", values)
            connection.executemany(
                "INSERT INTO remote_records"
                " (mapping, shard, number, slot, arrived_ms, expires_ms, size, entry)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        mapping,
                        shard.number,
                        one.number,
                        one.slot,
                        min(one.arrived_ms, now_ms),  # clocks differ
                        min(one.arrived_ms, now_ms) + retention_ms,
                        len(entry) + 2,
                        entry,
                    )
                    for one in wanted
                    for entry in [json.dumps(one.entry)]
                ],
            )
            if found.next is None:
                _end(connection, mapping, shard.number)
        return True

    def _done(
        self, connection: sqlite3.Connection, mapping: str, number: int, now_ms: int
    ) -> tuple[str, tuple[Any, ...]]:
        """Return the end of a statement about copies that are not needed any more."""
        progress = self._progress(connection, mapping, number)
        first = min(
            (min([one.position, *(piece.first for piece in one.pieces)]) for one in progress),
            default=0,
        )
        where = (
            "FROM remote_records WHERE mapping = ? AND shard = ? AND (id < ? OR expires_ms <= ?)"
        )
        return where, (mapping, number, first, now_ms)

    def _progress(self, connection: sqlite3.Connection, mapping: str, number: int) -> list[Any]:
        return [
            progress for shard, progress in self._lanes.all(connection, mapping) if shard == number
        ]


class RemoteStreamSource:
    """
    A stream elsewhere, or a table's: what was copied of it.

    Args:
        kind: Which of the two.
        arn: As the user named it.
        function: The name of the function that reads it: each mapping has copies of its own.
    """

    def __init__(self, kind: Kind, arn: str, function: str) -> None:
        self.kind = kind
        self.key = arn
        self._function = function

    def arn(self, connection: sqlite3.Connection) -> str:
        """Return the stream's ARN, as events show it."""
        row = connection.execute(
            "SELECT stream FROM remote_shards WHERE mapping = ? ORDER BY number DESC LIMIT 1",
            (self._mapping(connection),),
        ).fetchone()
        return self.key if row is None else str(row[0])

    def shards(self, connection: sqlite3.Connection) -> Sequence[Shard]:
        """Return the shards that are known, parents first."""
        return [
            Shard(one.number, one.id, tuple(one.parents), one.last)
            for one in _shards(connection, self._mapping(connection))
        ]

    def start(
        self,
        connection: sqlite3.Connection,  # noqa: ARG002
        shard: Shard,  # noqa: ARG002
        settings: MappingSettings,  # noqa: ARG002
        now_ms: int,  # noqa: ARG002
    ) -> int:
        """Return the first sequence: what is not wanted is not copied."""
        return 0

    def read(
        self,
        connection: sqlite3.Connection,
        shard: Shard,
        position: int,
        *,
        limit: int,
        now_ms: int,  # noqa: ARG002 - what is too old is forgotten when more is copied
        role_arn: str,
    ) -> Page:
        """Return copies from a sequence on."""
        found = connection.execute(
            "SELECT id, arrived_ms, slot, number, entry, size FROM remote_records"
            " WHERE mapping = ? AND shard = ? AND id >= ? ORDER BY id LIMIT ?",
            (self._mapping(connection), shard.number, position, limit),
        ).fetchall()
        more = len(found) == limit
        # Nothing more comes into a shard that was copied to its end.
        end = 0 if shard.last is None or more else shard.last + 1
        following = found[-1][0] + 1 if found else position
        rows = [self._row(one, role_arn) for one in found]
        return Page(rows, max(following, end), more)

    def slot(self, key: Any) -> int:
        """Return the slot of a key, which a copy has itself."""
        return int(key)

    def _row(self, stored: tuple[Any, ...], role_arn: str) -> Row:
        sequence, arrived_ms, slot, number, text, size = stored
        entry = json.loads(text)
        if self.kind == "stream":
            entry["invokeIdentityArn"] = role_arn
            size += len(role_arn)
        return Row(sequence, arrived_ms, slot, number, entry, size)

    def _mapping(self, connection: sqlite3.Connection) -> str:
        row = connection.execute(
            "SELECT id FROM mappings WHERE source = ? AND function = ?", (self.key, self._function)
        ).fetchone()
        return "" if row is None else str(row[0])


def _shards(connection: sqlite3.Connection, mapping: str) -> list[KnownShard]:
    rows = connection.execute(
        "SELECT number, id, stream, created, parents, begin_ms, position, last"
        " FROM remote_shards WHERE mapping = ? ORDER BY number",
        (mapping,),
    ).fetchall()
    return [
        KnownShard(number, name, stream, created, json.loads(parents), begin_ms, position, last)
        for number, name, stream, created, parents, begin_ms, position, last in rows
    ]


def _end(connection: sqlite3.Connection, mapping: str, number: int) -> None:
    """Have a shard be at its end, with what was copied of it."""
    connection.execute(
        "UPDATE remote_shards SET last = (SELECT COALESCE(MAX(id), 0)"
        " FROM remote_records WHERE mapping = ?1 AND shard = ?2)"
        " WHERE mapping = ?1 AND number = ?2",
        (mapping, number),
    )
