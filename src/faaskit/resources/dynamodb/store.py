"""The rows of tables: items in their order, and what was done to them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import frozen

from faaskit.exceptions import DefinitionError
from faaskit.resources.dynamodb.changes import RETENTION_MS
from faaskit.resources.dynamodb.definition import TableSettings
from faaskit.resources.dynamodb.keys import Place, key_of, slot_of
from faaskit.resources.dynamodb.pages import Page
from faaskit.resources.dynamodb.values import Item, equal, item_size

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "MAX_PAGE_BYTES",
    "Change",
    "StoredTable",
    "check_table",
    "keep_table",
    "load",
    "rows",
    "save",
]

MAX_PAGE_BYTES = 1 << 20

# With each change that comes, so many that are too old go: more than one, so that it ends.
_TRIMMED = 2
_AT = "name = ? AND slot = ? AND partition = ? AND sort = ?"


@frozen
class StoredTable:
    """
    A table as the state folder has it.

    Attributes:
        created_ms: When it was first used.
        stream_ms: When it got its stream; None where it has none.
    """

    created_ms: int
    stream_ms: int | None


@frozen
class Change:
    """
    What a write makes of an item.

    Attributes:
        old: None where there was none.
        new: None where there is none now.
    """

    table: str
    settings: TableSettings
    place: Place
    old: Item | None
    new: Item | None


def check_table(connection: sqlite3.Connection, name: str, settings: TableSettings) -> None:
    """
    See that what is stored of a table has the keys that it is declared with.

    Raises:
        DefinitionError: It has others.
    """
    query = "SELECT keys FROM dynamodb_tables WHERE name = ?"
    row = connection.execute(query, (name,)).fetchone()
    if row is not None and row[0] != _keys_text(settings) and _holds_items(connection, name):
        msg = (
            f"table {name!r} is declared with the key {_keys_text(settings)}, but the state folder "
            f"has items of it with the key {row[0]}: declare it as before, or under another name"
        )
        raise DefinitionError(msg)


def keep_table(
    connection: sqlite3.Connection, name: str, settings: TableSettings, now_ms: int
) -> StoredTable:
    """
    Return what is stored of a table; from now on it is there.

    Args:
        connection: Inside the transaction of a write.
        name: The table's.
        settings: What it is declared as.
        now_ms: Milliseconds since 1970.

    Raises:
        DefinitionError: There are items of it with another key.
    """
    check_table(connection, name, settings)
    query = "SELECT keys, created_ms, stream, stream_ms FROM dynamodb_tables WHERE name = ?"
    row = connection.execute(query, (name,)).fetchone()
    keys, created, stream, stream_ms = row or ("", now_ms, None, None)
    wanted = _keys_text(settings)
    if row is None or keys != wanted or stream != settings.stream:
        if stream != settings.stream:
            stream_ms = None if settings.stream is None else now_ms
        connection.execute(
            "INSERT OR REPLACE INTO dynamodb_tables (name, keys, created_ms, stream, stream_ms) "
            "VALUES (?, ?, ?, ?, ?)",
            (name, wanted, created, settings.stream, stream_ms),
        )
    return StoredTable(created, stream_ms)


def load(connection: sqlite3.Connection, table: str, place: Place) -> Item | None:
    """Return an item; None where there is none."""
    row = connection.execute(
        f"SELECT item FROM dynamodb_items WHERE {_AT}",  # noqa: S608
        (table, place.slot, place.partition, place.sort),
    ).fetchone()
    return None if row is None else json.loads(row[0])


def save(connection: sqlite3.Connection, change: Change, now_ms: int) -> None:
    """
    Write what a change makes of an item, and the change itself where the table has a stream.

    Args:
        connection: Inside the transaction in which ``old`` was read.
        change: What was, and what is to be.
        now_ms: Milliseconds since 1970.
    """
    where = (change.table, change.place.slot, change.place.partition, change.place.sort)
    if change.new is None:
        if change.old is None:
            return
        connection.execute(
            f"DELETE FROM dynamodb_items WHERE {_AT}",  # noqa: S608
            where,
        )
    else:
        connection.execute(
            "INSERT INTO dynamodb_items (name, slot, partition, sort, size, item) "
            "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name, slot, partition, sort) "
            "DO UPDATE SET size = excluded.size, item = excluded.item",
            (*where, item_size(change.new), _text(change.new)),
        )
    if change.settings.stream is not None:
        _record(connection, change, now_ms)


def rows(connection: sqlite3.Connection, page: Page) -> tuple[list[tuple[int, str]], bool]:
    """Return the size and text of the items of a page, and whether it ended before they did."""
    query, values = _query(page)
    found: list[tuple[int, str]] = []
    total = 0
    for size, text in connection.execute(query, values):
        if found and total + size > MAX_PAGE_BYTES:
            return found, True
        found.append((size, text))
        total += size
        if len(found) == page.limit:
            return found, True
    return found, False


def _query(page: Page) -> tuple[str, list[Any]]:
    query = "SELECT size, item FROM dynamodb_items WHERE name = ?"
    values: list[Any] = [page.table]
    if page.run is None:
        query += " AND slot >= ? AND slot < ?"
        values += page.slots
        if page.start is not None:
            query += " AND (slot, partition, sort) > (?, ?, ?)"
            values += (page.start.slot, page.start.partition, page.start.sort)
        return f"{query} ORDER BY slot, partition, sort", values
    run = page.run
    query += " AND slot = ? AND partition = ?"
    values += (slot_of(run.partition), run.partition)
    if run.low is not None:
        query += f" AND sort {'>' if run.low_open else '>='} ?"
        values.append(run.low)
    if run.high is not None:
        query += f" AND sort {'<' if run.high_open else '<='} ?"
        values.append(run.high)
    if page.start is not None:
        query += f" AND sort {'>' if page.forward else '<'} ?"
        values.append(page.start.sort)
    return f"{query} ORDER BY sort {'ASC' if page.forward else 'DESC'}", values


def _record(connection: sqlite3.Connection, change: Change, now_ms: int) -> None:
    old, new = change.old, change.new
    if old is not None and new is not None and equal({"M": old}, {"M": new}):
        return  # as on AWS: a write that changes nothing is no record
    event = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
    keys = key_of(change.settings, (new if old is None else old) or {})
    inserted = connection.execute(
        "INSERT INTO dynamodb_changes (name, slot, changed_ms, event, keys, old, new) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            change.table,
            change.place.slot,
            now_ms,
            event,
            _text(keys),
            None if old is None else _text(old),
            None if new is None else _text(new),
        ),
    )
    connection.execute(
        "DELETE FROM dynamodb_changes WHERE changed_ms < ? AND id IN ("
        "SELECT id FROM dynamodb_changes WHERE name = ? AND id < ? ORDER BY id LIMIT ?)",
        (now_ms - RETENTION_MS, change.table, inserted.lastrowid, _TRIMMED),
    )


def _holds_items(connection: sqlite3.Connection, name: str) -> bool:
    query = "SELECT 1 FROM dynamodb_items WHERE name = ? LIMIT 1"
    return connection.execute(query, (name,)).fetchone() is not None


def _keys_text(settings: TableSettings) -> str:
    return ", ".join(f"{key.name} ({key.kind})" for key in settings.keys)


def _text(item: Item) -> str:
    return json.dumps(item, separators=(",", ":"), ensure_ascii=False)
