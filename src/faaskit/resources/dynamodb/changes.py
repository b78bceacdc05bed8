"""A table's stream: what was done to its items, in order. Each inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    import sqlite3

__all__ = ["RETENTION_MS", "StoredChange", "first_change_at", "read_changes", "stream_label"]

RETENTION_MS = 24 * 3600 * 1000


@frozen
class StoredChange:
    """
    A change that is stored.

    Attributes:
        id: Grows.
        slot: Of the item's partition key.
        event: ``INSERT``, ``MODIFY`` or ``REMOVE``.
        keys: JSON of the item's key.
        old: JSON of the item before; None where there was none.
        new: JSON of the item since; None where there is none.
    """

    id: int
    slot: int
    changed_ms: int
    event: str
    keys: str = field(repr=False)
    old: str | None = field(repr=False)
    new: str | None = field(repr=False)


def stream_label(connection: sqlite3.Connection, name: str) -> str:
    """Return the label of a table's stream, which is in its ARN: when it was begun."""
    row = connection.execute(
        "SELECT stream_ms FROM dynamodb_tables WHERE name = ?", (name,)
    ).fetchone()
    moment = 0 if row is None or row[0] is None else row[0]
    begun = datetime.fromtimestamp(moment // 1000, timezone.utc)
    return f"{begun:%Y-%m-%dT%H:%M:%S}.{moment % 1000:03d}"


def first_change_at(connection: sqlite3.Connection, name: str, moment_ms: int | None) -> int:
    """
    Return the least id of what is done to a table from a moment on.

    Args:
        connection: For a query.
        name: The table's.
        moment_ms: None for what is done from now on.
    """
    if moment_ms is not None:
        (known,) = connection.execute(
            "SELECT MIN(id) FROM dynamodb_changes WHERE name = ? AND changed_ms >= ?",
            (name, moment_ms),
        ).fetchone()
        if known is not None:
            return int(known)
    row = connection.execute(
        "SELECT seq FROM sqlite_sequence WHERE name = 'dynamodb_changes'"
    ).fetchone()
    return 1 if row is None else int(row[0]) + 1


def read_changes(
    connection: sqlite3.Connection, name: str, first: int, *, limit: int, now_ms: int
) -> Sequence[StoredChange]:
    """Return changes of a table from an id on; a day later they are not there any more."""
    rows = connection.execute(
        "SELECT id, slot, changed_ms, event, keys, old, new FROM dynamodb_changes"
        " WHERE name = ? AND id >= ? AND changed_ms >= ? ORDER BY id LIMIT ?",
        (name, first, now_ms - RETENTION_MS, limit),
    ).fetchall()
    return [StoredChange(*row) for row in rows]
