"""Records as rows: put, read and trimmed. Each inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import field, frozen

from faaskit.exceptions import DefinitionError
from faaskit.resources.kinesis.requests import NewRecord
from faaskit.resources.kinesis.resharding import StoredShard, alike, parsed, written
from faaskit.resources.kinesis.settings import StreamSettings
from faaskit.resources.kinesis.shards import (
    first_sequence_at,
    hash_key,
    hash_range,
    next_sequence,
    shard_of,
)

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "Page",
    "StoredRecord",
    "StoredStream",
    "append",
    "keep_stream",
    "load_stream",
    "read",
    "store_shards",
]

MAX_READ_BYTES = 10 << 20
_HOUR_MS = 3_600_000


@frozen
class StoredStream:
    """
    A stream as it is now.

    Attributes:
        first_sequence: That of the stream's beginning; every record's is greater.
        sequence: The last that was given out.
        shard_map: The shards, as text, where they were split or merged.
    """

    name: str
    settings: StreamSettings
    created_ms: int
    first_sequence: int
    sequence: int
    shard_map: str | None = None

    def shard_of(self, key: int) -> int:
        """Return the open shard that a hash key belongs to."""
        if self.shard_map is None:
            return shard_of(key, self.settings.shards)
        return next(
            one.number
            for one in parsed(self.shard_map)
            if one.open and one.first_hash <= key <= one.last_hash
        )

    def shards(self) -> Sequence[StoredShard]:
        """Return every shard that there was, in their order."""
        if self.shard_map is None:
            return alike(self.settings.shards, self.first_sequence)
        return parsed(self.shard_map)

    def kept(self, now: int) -> Sequence[StoredShard]:
        """Return the shards that may have records: those that were closed too long ago don't."""
        horizon = self.horizon(now)
        return [one for one in self.shards() if one.ended is None or one.ended >= horizon]

    def shard(self, number: int) -> StoredShard | None:
        """Return the shard of a number; None if there was none."""
        if self.shard_map is None:
            if not 0 <= number < self.settings.shards:
                return None
            return StoredShard(
                number, *hash_range(number, self.settings.shards), self.first_sequence
            )
        return next((one for one in parsed(self.shard_map) if one.number == number), None)

    def horizon(self, now: int) -> int:
        """Return the least sequence of a record that is young enough to be kept."""
        return first_sequence_at(now - self.settings.retention_hours * _HOUR_MS + 1)


@frozen
class StoredRecord:
    """A record that is stored."""

    sequence: int
    arrived_ms: int
    partition_key: str
    data: bytes = field(repr=False)


@frozen
class Page:
    """
    What a read found.

    Attributes:
        more: Whether there is more behind it by now.
    """

    records: Sequence[StoredRecord]
    more: bool


def load_stream(
    connection: sqlite3.Connection, name: str, settings: StreamSettings
) -> StoredStream | None:
    """Return a stream; None if nothing is stored of it yet, or with other shards."""
    row = connection.execute(
        "SELECT shards, created_ms, first_sequence, sequence, shard_map FROM streams"
        " WHERE name = ?",
        (name,),
    ).fetchone()
    if row is None or row[0] != settings.shards:
        return None
    return StoredStream(name, settings, *row[1:])


def keep_stream(
    connection: sqlite3.Connection, name: str, settings: StreamSettings, now: int
) -> StoredStream:
    """
    Return a stream, in a transaction.

    Raises:
        DefinitionError: It has records, in other shards than it is declared with now.
    """
    stream = load_stream(connection, name, settings)
    if stream is None:
        first = next_sequence(_last_sequence(connection, name, settings, now), now)
        connection.execute(
            "INSERT OR REPLACE INTO streams (name, shards, created_ms, first_sequence, sequence)"
            " VALUES (?, ?, ?, ?, ?)",
            (name, settings.shards, now, first, first),
        )
        stream = StoredStream(name, settings, now, first, first)
    return stream


def append(
    connection: sqlite3.Connection,
    stream: StoredStream,
    records: Sequence[NewRecord],
    now: int,
) -> list[tuple[int, int]]:
    """
    Store records, in their order, and throw away what is too old.

    Returns:
        The shard and the sequence of each.
    """
    sequence = stream.sequence
    placed, rows = [], []
    for record in records:
        key = hash_key(record.partition_key) if record.hash_key is None else record.hash_key
        shard = stream.shard_of(key)
        sequence = next_sequence(sequence, now)
        placed.append((shard, sequence))
        rows.append((stream.name, shard, sequence, now, record.partition_key, record.data))
    connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.execute("UPDATE streams SET sequence = ? WHERE name = ?", (sequence, stream.name))
    horizon = stream.horizon(now)
    touched = {shard for shard, _ in placed}
    if stream.shard_map is not None:  # nothing is put into those that were closed
        touched |= {shard.number for shard in stream.shards() if not shard.open}
    for shard in touched:
        connection.execute(
            "DELETE FROM records WHERE stream = ? AND shard = ? AND sequence < ?",
            (stream.name, shard, horizon),
        )
    return placed


def store_shards(
    connection: sqlite3.Connection, stream: StoredStream, shards: Sequence[StoredShard], last: int
) -> None:
    """Keep the shards of a stream, and the last sequence that was given out."""
    connection.execute(
        "UPDATE streams SET shard_map = ?, sequence = ? WHERE name = ?",
        (written(shards), last, stream.name),
    )


def read(
    connection: sqlite3.Connection,
    stream: StoredStream,
    shard: int,
    sequence: int,
    *,
    limit: int,
    now: int,
) -> Page:
    """
    Return the records of a shard from a sequence on, as many as one answer takes.

    Args:
        connection: For a query.
        stream: As it is now.
        shard: Its number.
        sequence: Of the first record, at least.
        limit: How many records; 10 MiB of data is a limit, too.
        now: What is too old by then is not there.
    """
    rows = connection.execute(
        "SELECT sequence, arrived_ms, partition_key, data FROM records"
        " WHERE stream = ? AND shard = ? AND sequence >= ? ORDER BY sequence",
        (stream.name, shard, max(sequence, stream.horizon(now))),
    )
    records: list[StoredRecord] = []
    size = 0
    try:
        for row in rows:
            size += len(row[3])
            if len(records) == limit or (records and size > MAX_READ_BYTES):
                return Page(records, more=True)
            records.append(StoredRecord(*row))
    finally:
        rows.close()  # not a query that goes on while others write
    return Page(records, more=False)


def _last_sequence(
    connection: sqlite3.Connection, name: str, settings: StreamSettings, now: int
) -> int:
    """Return the last sequence of a stream that is begun anew; 0 if there was none."""
    row = connection.execute(
        "SELECT shards, created_ms, first_sequence, sequence FROM streams WHERE name = ?", (name,)
    ).fetchone()
    if row is None:
        return 0
    before = StoredStream(name, settings, *row[1:])
    (kept,) = connection.execute(
        "SELECT COUNT(*) FROM records WHERE stream = ? AND sequence >= ?",
        (name, before.horizon(now)),
    ).fetchone()
    if kept:
        msg = (
            f"stream {name!r} is declared with {settings.shards} shards, and the state folder has "
            f"{kept} records of it in {row[0]}: keep the number, wait until they are older than "
            f"{settings.retention_hours} hours, or choose another name"
        )
        raise DefinitionError(msg)
    connection.execute("DELETE FROM records WHERE stream = ?", (name,))
    return before.sequence
