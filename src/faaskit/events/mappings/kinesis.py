"""A stream of the app, as a source: its shards, and its records in Kinesis' event shape."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from functools import partial
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any

from faaskit.clock import epoch_ms
from faaskit.events.mappings.settings import Kind, MappingSettings
from faaskit.events.mappings.sources import Page, Row, Shard
from faaskit.resources.kinesis import records
from faaskit.resources.kinesis.resharding import alike
from faaskit.resources.kinesis.settings import DeclaredStream
from faaskit.resources.kinesis.shards import first_sequence_at, hash_key, sequence_number, shard_id

if TYPE_CHECKING:
    import sqlite3

__all__ = ["KinesisSource", "kinesis_entry"]


class KinesisSource:
    """
    A stream of the app.

    Args:
        stream: Declared.
        name: Its name.
        arn: Its ARN.
        region: The app's.
    """

    kind: Kind = "stream"

    def __init__(self, stream: DeclaredStream, *, name: str, arn: str, region: str) -> None:
        self.key = arn
        self._stream = stream
        self._name = name
        self._region = region

    def arn(self, connection: sqlite3.Connection) -> str:  # noqa: ARG002
        """Return the stream's ARN."""
        return self.key

    def shards(self, connection: sqlite3.Connection) -> Sequence[Shard]:
        """Return the stream's shards, those that were split or merged, too."""
        stored = records.load_stream(connection, self._name, self._stream.settings)
        known = alike(self._stream.settings.shards, 0) if stored is None else stored.shards()
        return [Shard(one.number, shard_id(one.number), one.parents, one.ended) for one in known]

    def start(
        self,
        connection: sqlite3.Connection,
        shard: Shard,  # noqa: ARG002
        settings: MappingSettings,
        now_ms: int,
    ) -> int:
        """Return the sequence that a mapping which is declared now begins at."""
        if settings.starting_position == "TRIM_HORIZON":
            return 0
        if settings.starting_position_timestamp is not None:
            return first_sequence_at(epoch_ms(settings.starting_position_timestamp))
        stored = records.load_stream(connection, self._name, self._stream.settings)
        return first_sequence_at(now_ms) if stored is None else stored.sequence + 1

    def read(
        self,
        connection: sqlite3.Connection,
        shard: Shard,
        position: int,
        *,
        limit: int,
        now_ms: int,
        role_arn: str,
    ) -> Page:
        """Return records from a sequence on."""
        stored = records.load_stream(connection, self._name, self._stream.settings)
        if stored is None:
            return Page((), position, more=False)
        page = records.read(connection, stored, shard.number, position, limit=limit, now=now_ms)
        # Nothing more comes into a shard that was closed: so far it has been read then.
        end = 0 if shard.last is None else shard.last + 1
        if not page.records:
            return Page((), max(position, end), more=False)
        make = partial(
            kinesis_entry,
            arn=self.key,
            region=self._region,
            shard_id=shard.id,
            role_arn=role_arn,
        )
        # What every entry has beside its data, its key and its number, whose length is fixed.
        plain = len(json.dumps(make(number="0" * 56, key="", data="", arrived=1_767_225_600.123)))
        rows = []
        for record in page.records:
            number = sequence_number(record.sequence, shard.number)
            data = base64.b64encode(record.data).decode()
            key = record.partition_key
            entry = make(number=number, key=key, data=data, arrived=record.arrived_ms / 1000)
            size = plain + len(data) + len(encode_basestring_ascii(key)) + 2
            rows.append(Row(record.sequence, record.arrived_ms, key, number, entry, size))
        following = rows[-1].sequence + 1
        return Page(rows, following if page.more else max(following, end), page.more)

    def slot(self, key: Any) -> int:
        """Return a number that records of one partition key have in common."""
        return hash_key(key)


def kinesis_entry(
    *,
    arn: str,
    region: str,
    shard_id: str,
    number: str,
    key: str,
    data: str,
    arrived: float,
    role_arn: str,
) -> dict[str, Any]:
    """
    Return a record as it is in an event.

    Args:
        arn: Of the stream.
        region: Of it.
        shard_id: Of its shard.
        number: Its sequence number.
        key: Its partition key.
        data: In base64.
        arrived: Seconds since the epoch.
        role_arn: Of the function's role.
    """
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": key,
            "sequenceNumber": number,
            "data": data,
            "approximateArrivalTimestamp": arrived,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{shard_id}:{number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": role_arn,
        "awsRegion": region,
        "eventSourceARN": arn,
    }
