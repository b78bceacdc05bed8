"""A table of the app, as a source: what was done to its items, in DynamoDB Streams' event shape."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from faaskit.events.mappings.settings import Kind, MappingSettings
from faaskit.events.mappings.sources import Page, Row, Shard
from faaskit.resources.dynamodb.changes import (
    StoredChange,
    first_change_at,
    read_changes,
    stream_label,
)
from faaskit.resources.dynamodb.definition import DeclaredTable
from faaskit.resources.dynamodb.values import item_size

if TYPE_CHECKING:
    import sqlite3

__all__ = ["TableSource"]

# DynamoDB's sequence numbers have 21 digits and more.
_FIRST_NUMBER = 10**20
# Which images the records of a stream have.
_IMAGES = {
    "KEYS_ONLY": (),
    "NEW_IMAGE": ("NewImage",),
    "OLD_IMAGE": ("OldImage",),
    "NEW_AND_OLD_IMAGES": ("NewImage", "OldImage"),
}


class TableSource:
    """
    A table of the app; its stream has one shard, for a day.

    Args:
        table: Declared with a stream.
        name: Its name.
        arn: The table's ARN.
        region: The app's.
    """

    kind: Kind = "table"

    def __init__(self, table: DeclaredTable, *, name: str, arn: str, region: str) -> None:
        self.key = arn
        self._table = table
        self._name = name
        self._region = region

    def arn(self, connection: sqlite3.Connection) -> str:
        """Return the ARN of the table's stream."""
        return f"{self.key}/stream/{stream_label(connection, self._name)}"

    def shards(self, connection: sqlite3.Connection) -> Sequence[Shard]:  # noqa: ARG002
        """Return the one shard."""
        digest = hashlib.md5(self.key.encode(), usedforsecurity=False).hexdigest()
        return [Shard(0, f"shardId-{0:020d}-{digest[:8]}")]

    def start(
        self,
        connection: sqlite3.Connection,
        shard: Shard,  # noqa: ARG002
        settings: MappingSettings,
        now_ms: int,  # noqa: ARG002
    ) -> int:
        """Return the sequence that a mapping which is declared now begins at."""
        if settings.starting_position == "TRIM_HORIZON":
            return 0
        return first_change_at(connection, self._name, None)

    def read(
        self,
        connection: sqlite3.Connection,
        shard: Shard,  # noqa: ARG002
        position: int,
        *,
        limit: int,
        now_ms: int,
        role_arn: str,  # noqa: ARG002
    ) -> Page:
        """Return changes from a sequence on."""
        found = read_changes(connection, self._name, position, limit=limit, now_ms=now_ms)
        if not found:
            return Page((), position, more=False)
        arn = self.arn(connection)
        rows = [self._row(change, arn) for change in found]
        return Page(rows, found[-1].id + 1, len(found) == limit)

    def slot(self, key: Any) -> int:
        """Return the slot of a partition key, which a change has itself."""
        return int(key)

    def _row(self, change: StoredChange, arn: str) -> Row:
        view = self._table.settings.stream or "KEYS_ONLY"
        number = str(_FIRST_NUMBER + change.id)
        images = {"NewImage": change.new, "OldImage": change.old}
        parts: dict[str, Any] = {"Keys": json.loads(change.keys)}
        for name in _IMAGES[view]:
            text = images[name]
            if text is not None:
                parts[name] = json.loads(text)
        identity = f"{self.key}/{change.id}".encode()
        entry = {
            "eventID": hashlib.md5(identity, usedforsecurity=False).hexdigest(),
            "eventName": change.event,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": self._region,
            "dynamodb": {
                "ApproximateCreationDateTime": float(change.changed_ms // 1000),
                **parts,
                "SequenceNumber": number,
                "SizeBytes": sum(item_size(part) for part in parts.values()),
                "StreamViewType": view,
            },
            "eventSourceARN": arn,
        }
        size = len(json.dumps(entry)) + 2
        return Row(change.id, change.changed_ms, change.slot, number, entry, size)
