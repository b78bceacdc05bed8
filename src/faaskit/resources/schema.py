"""
Every table of the state file, in one place: one version number counts for all of them.

A change adds an entry to ``_STEPS``; entries that were published are never edited. Times
are milliseconds since 1970. Only SQL that SQLite 3.24 (2018) knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faaskit.exceptions import DefinitionError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["VERSION", "migrate"]

_STEPS: tuple[tuple[str, ...], ...] = (
    (
        # Whose folder this is: 'app'.
        "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        # The last sequencer that was given out. One row.
        "CREATE TABLE sequence (value INTEGER NOT NULL)",
        "INSERT INTO sequence VALUES (0)",
        # Keys are bytes: S3 lists in the order of their UTF-8, and a key may hold a NUL.
        """CREATE TABLE objects (
            bucket TEXT NOT NULL,
            key BLOB NOT NULL,
            blob TEXT NOT NULL,
            size INTEGER NOT NULL,
            etag TEXT NOT NULL,
            content_type TEXT NOT NULL,
            metadata TEXT NOT NULL,
            modified_ms INTEGER NOT NULL,
            PRIMARY KEY (bucket, key)
        ) WITHOUT ROWID""",
        # Asynchronous invocations that wait or are under way. AUTOINCREMENT: an id is
        # never given twice, so that a late answer can't be taken for another event's.
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            request_id TEXT NOT NULL UNIQUE,
            function TEXT NOT NULL,
            event BLOB NOT NULL,
            accepted_ms INTEGER NOT NULL,
            due_ms INTEGER NOT NULL,
            tried_ms INTEGER,
            attempts INTEGER NOT NULL DEFAULT 0,
            throttles INTEGER NOT NULL DEFAULT 0,
            owner TEXT,
            claim INTEGER NOT NULL DEFAULT 0
        )""",
        "CREATE INDEX events_due ON events (due_ms, id) WHERE owner IS NULL",
        "CREATE INDEX events_owned ON events (owner) WHERE owner IS NOT NULL",
        # What was given up, newest last, bounded.
        """CREATE TABLE dead_events (
            id INTEGER PRIMARY KEY,
            request_id TEXT NOT NULL,
            function TEXT NOT NULL,
            event BLOB NOT NULL,
            accepted_ms INTEGER NOT NULL,
            died_ms INTEGER NOT NULL,
            attempts INTEGER NOT NULL,
            reason TEXT NOT NULL,
            detail TEXT NOT NULL
        )""",
    ),
    (
        # What functions asked their roles for, with the latest decision.
        """CREATE TABLE access (
            function TEXT NOT NULL,
            action TEXT NOT NULL,
            resource TEXT NOT NULL,
            effect TEXT NOT NULL,
            asked_ms INTEGER NOT NULL,
            PRIMARY KEY (function, action, resource)
        ) WITHOUT ROWID""",
    ),
    (
        # What SetQueueAttributes changed of a queue, as long as it is declared the same.
        """CREATE TABLE queues (
            name TEXT PRIMARY KEY,
            declared TEXT NOT NULL,
            changed TEXT NOT NULL,
            created_ms INTEGER NOT NULL,
            modified_ms INTEGER NOT NULL,
            purged_ms INTEGER
        ) WITHOUT ROWID""",
        # Delayed: no receipt, and visible later. In flight: a receipt, and visible later.
        # AUTOINCREMENT: a receipt handle names an id, which is never another message's.
        """CREATE TABLE messages (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            queue TEXT NOT NULL,
            message_id TEXT NOT NULL,
            body TEXT NOT NULL,
            attributes TEXT NOT NULL,
            trace_header TEXT,
            sender TEXT NOT NULL,
            sent_ms INTEGER NOT NULL,
            visible_ms INTEGER NOT NULL,
            receipt TEXT,
            received_ms INTEGER,
            first_received_ms INTEGER,
            receives INTEGER NOT NULL DEFAULT 0,
            group_id TEXT,
            deduplication_id TEXT,
            sequence INTEGER,
            source TEXT
        )""",
        "CREATE INDEX messages_visible ON messages (queue, visible_ms, id, receipt)",
        "CREATE INDEX messages_sent ON messages (queue, sent_ms)",
        """CREATE INDEX messages_order ON messages (queue, id) WHERE group_id IS NOT NULL""",
        """CREATE INDEX messages_group ON messages (queue, group_id, visible_ms)
            WHERE group_id IS NOT NULL""",
        """CREATE TABLE deduplications (
            queue TEXT NOT NULL,
            deduplication_id TEXT NOT NULL,
            message_id TEXT NOT NULL,
            sequence INTEGER NOT NULL,
            sent_ms INTEGER NOT NULL,
            PRIMARY KEY (queue, deduplication_id)
        ) WITHOUT ROWID""",
        "CREATE INDEX deduplications_sent ON deduplications (queue, sent_ms)",
        # `sequence` is the last one that was given out, in any shard.
        """CREATE TABLE streams (
            name TEXT PRIMARY KEY,
            shards INTEGER NOT NULL,
            created_ms INTEGER NOT NULL,
            first_sequence INTEGER NOT NULL,
            sequence INTEGER NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE records (
            stream TEXT NOT NULL,
            shard INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            arrived_ms INTEGER NOT NULL,
            partition_key TEXT NOT NULL,
            data BLOB NOT NULL
        )""",
        "CREATE UNIQUE INDEX records_order ON records (stream, shard, sequence)",
        # Events as rules see them, in the order in which they were put.
        """CREATE TABLE bus_events (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            bus TEXT NOT NULL,
            event_id TEXT NOT NULL,
            event TEXT NOT NULL,
            put_ms INTEGER NOT NULL
        )""",
        "CREATE INDEX bus_events_put ON bus_events (bus, put_ms)",
        # When a bus was first there.
        """CREATE TABLE buses (
            name TEXT PRIMARY KEY,
            created_ms INTEGER NOT NULL
        ) WITHOUT ROWID""",
    ),
    (
        # Objects that come in parts, until they are complete.
        """CREATE TABLE uploads (
            id TEXT PRIMARY KEY,
            bucket TEXT NOT NULL,
            key BLOB NOT NULL,
            content_type TEXT NOT NULL,
            metadata TEXT NOT NULL,
            created_ms INTEGER NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE parts (
            upload TEXT NOT NULL,
            number INTEGER NOT NULL,
            blob TEXT NOT NULL,
            size INTEGER NOT NULL,
            etag TEXT NOT NULL,
            modified_ms INTEGER NOT NULL,
            PRIMARY KEY (upload, number)
        ) WITHOUT ROWID""",
    ),
    (
        # When schedules fired last; one of another timing begins anew.
        """CREATE TABLE schedules (
            name TEXT PRIMARY KEY,
            timing TEXT NOT NULL,
            fired_ms INTEGER NOT NULL
        ) WITHOUT ROWID""",
    ),
    (
        # DynamoDB's tables. What each was declared as when it was last written to.
        """CREATE TABLE dynamodb_tables (
            name TEXT PRIMARY KEY,
            keys TEXT NOT NULL,
            created_ms INTEGER NOT NULL,
            stream TEXT,
            stream_ms INTEGER
        ) WITHOUT ROWID""",
        # In the order of scans; partition and sort key are encoded so that they compare. With
        # row ids: an item may be of 400 KB, and the index on keys stays small.
        """CREATE TABLE dynamodb_items (
            name TEXT NOT NULL,
            slot INTEGER NOT NULL,
            partition BLOB NOT NULL,
            sort BLOB NOT NULL,
            size INTEGER NOT NULL,
            item TEXT NOT NULL
        )""",
        """CREATE UNIQUE INDEX dynamodb_items_place
            ON dynamodb_items (name, slot, partition, sort)""",
        # What was done to items of tables with a stream. AUTOINCREMENT: the id is the order,
        # and of no other change, ever.
        """CREATE TABLE dynamodb_changes (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL,
            slot INTEGER NOT NULL,
            changed_ms INTEGER NOT NULL,
            event TEXT NOT NULL,
            keys TEXT NOT NULL,
            old TEXT,
            new TEXT
        )""",
        "CREATE INDEX dynamodb_changes_order ON dynamodb_changes (name, id)",
        # Transactions that were done, by the token of who asked for them.
        """CREATE TABLE dynamodb_transactions (
            token TEXT PRIMARY KEY,
            digest TEXT NOT NULL,
            done_ms INTEGER NOT NULL
        ) WITHOUT ROWID""",
        "CREATE INDEX dynamodb_transactions_done ON dynamodb_transactions (done_ms)",
    ),
    (
        # Where an event goes that is no invocation, as JSON, and how many invocations stand
        # behind it.
        "ALTER TABLE events ADD COLUMN target TEXT",
        "ALTER TABLE events ADD COLUMN depth INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE dead_events ADD COLUMN target TEXT",
        "ALTER TABLE messages ADD COLUMN depth INTEGER NOT NULL DEFAULT 0",
    ),
    (
        # The shards of a stream that was split or merged, as JSON.
        "ALTER TABLE streams ADD COLUMN shard_map TEXT",
        # What was wrong at the last attempt.
        "ALTER TABLE events ADD COLUMN detail TEXT NOT NULL DEFAULT ''",
        # Event source mappings: whether one was enabled or disabled since it was declared,
        # and what came of its last batch.
        """CREATE TABLE mappings (
            id TEXT PRIMARY KEY,
            source TEXT NOT NULL,
            function TEXT NOT NULL,
            created_ms INTEGER NOT NULL,
            enabled INTEGER,
            result TEXT NOT NULL,
            UNIQUE (source, function)
        ) WITHOUT ROWID""",
        # How far each is in each part of its source, and which process is at it.
        """CREATE TABLE lanes (
            mapping TEXT NOT NULL,
            shard INTEGER NOT NULL,
            part INTEGER NOT NULL,
            parts INTEGER NOT NULL,
            progress TEXT NOT NULL,
            owner TEXT,
            claim INTEGER NOT NULL,
            PRIMARY KEY (mapping, shard, part)
        )""",
    ),
    (
        # Streams elsewhere: the shards of each that a mapping reads, how far each was copied
        # and by which process, and the copies.
        """CREATE TABLE remote_shards (
            mapping TEXT NOT NULL,
            number INTEGER NOT NULL,
            id TEXT NOT NULL,
            stream TEXT NOT NULL,
            created TEXT NOT NULL,
            parents TEXT NOT NULL,
            begin_ms INTEGER,
            position TEXT,
            last INTEGER,
            owner TEXT,
            PRIMARY KEY (mapping, number)
        ) WITHOUT ROWID""",
        # Numbers are never used again: what reads them is past those that were deleted.
        """CREATE TABLE remote_records (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            mapping TEXT NOT NULL,
            shard INTEGER NOT NULL,
            number TEXT NOT NULL,
            slot INTEGER NOT NULL,
            arrived_ms INTEGER NOT NULL,
            expires_ms INTEGER NOT NULL,
            size INTEGER NOT NULL,
            entry TEXT NOT NULL
        )""",
        "CREATE INDEX remote_records_order ON remote_records (mapping, shard, id, size)",
    ),
)

VERSION = len(_STEPS)


def migrate(connection: sqlite3.Connection, *, app: str, folder: str) -> None:
    """
    Bring a state file up to this version, and see that it is this app's.

    Args:
        connection: In autocommit mode, with no one else opening the file meanwhile.
        app: The app's name; an empty file becomes its.
        folder: For messages.

    Raises:
        DefinitionError: The file is of a later version, another app's, or another program's.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        msg = (
            f"state folder {folder} is of version {version}, written by a later faaskit; this "
            f"one knows versions up to {VERSION}: upgrade faaskit or choose another folder"
        )
        raise DefinitionError(msg)
    if not _is_ours(connection, version):
        msg = (
            f"state folder {folder}: state.sqlite is the database of another program, and no "
            "table was added to it: choose another folder"
        )
        raise DefinitionError(msg)
    if version < VERSION:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for step in _STEPS[version:]:
                for statement in step:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("INSERT OR IGNORE INTO about VALUES ('app', ?)", (app,))
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
    (owner,) = connection.execute("SELECT value FROM about WHERE name = 'app'").fetchone()
    if owner != app:
        msg = (
            f"state folder {folder} is that of App({owner!r}), not of App({app!r}): their "
            f"functions and buckets would mix; give App({app!r}) a folder of its own"
        )
        raise DefinitionError(msg)


def _is_ours(connection: sqlite3.Connection, version: int) -> bool:
    """Return whether a file is new, or one that this package began."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    return "about" in tables if version else not tables
