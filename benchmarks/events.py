"""
How fast a stream is written and delivered, beside raw SQLite and beside moto with a poller.

    python benchmarks/events.py [--records N] [--backlog N] [--quick]

*Delivery*: a backlog of records of 100 bytes, read in batches of 100 by one mapping whose handler
counts them, until the last batch was acknowledged; of a stream of the app's own, and of one that
is on moto's server. Peers: moto's server on loopback, polled by
boto3's GetRecords with the same limit, the handler called in the poller itself, no sandbox and no
checkpoint; and raw SQLite, which reads 100 rows and commits a position, and calls nothing.

*Put*: single records, one after another, against an INSERT of the same bytes in its own
transaction, in write-ahead mode with synchronous=FULL, as faaskit has it.

*Backlog*: what a record costs of a backlog of 10,000, and of a large one.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faaskit import App
from faaskit.events.mappings.remote.handles import RemoteStream
from faaskit.functions import Function
from faaskit.resources.kinesis.stream import Stream
from gated import server

_BODY = b"x" * 100
_BATCH = 100
_KEYS = 1000


def delivery(records: int, shards: int) -> tuple[float, float]:
    """
    Deliver a backlog.

    Returns:
        Records a second that were put, in batches, and that were delivered.
    """
    with tempfile.TemporaryDirectory() as folder, App("bench", state=folder) as app:
        stream = app.stream("clicks", shards=shards)
        count = _counting(app, stream)
        app.invoker.warm(count, 4)
        began = time.perf_counter()
        stream.put_many((_BODY, f"key {number % _KEYS}") for number in range(records))
        put = records / (time.perf_counter() - began)
        return put, _delivered(app, records)


def _counting(app: App, stream: Stream | RemoteStream) -> Function:
    """Return a function that counts the records of a stream."""

    @stream.on_records(batch_size=_BATCH)
    @app.function
    def count(event: Any, context: Any) -> int:  # noqa: ARG001
        return len(event["Records"])

    return count


def _delivered(app: App, records: int) -> float:
    """Return how many records a second are delivered, until all of them are."""
    done, over = [0], threading.Event()

    def note(invocation: Any) -> None:
        done[0] += invocation.result()
        if done[0] >= records:
            over.set()

    began = time.perf_counter()
    with app.running(on_delivery=note):
        assert over.wait(600), f"{done[0]} of {records} delivered"
    return records / (time.perf_counter() - began)


def delivery_from_moto(records: int, shards: int) -> float:
    """Return how many records a second are delivered of a stream on moto's server."""
    process, client = server("kinesis")
    try:
        _fill(client, records, shards)
        address = client.meta.endpoint_url
        with (
            tempfile.TemporaryDirectory() as folder,
            App("bench", state=folder, aws=address) as app,
        ):
            arn = f"arn:aws:kinesis:{app.region}:{app.account}:stream/clicks"
            app.invoker.warm(_counting(app, app.remote_stream(arn)), 4)
            return _delivered(app, records)
    finally:
        process.communicate("")


def _fill(client: Any, records: int, shards: int) -> None:
    client.create_stream(StreamName="clicks", ShardCount=shards)
    for first in range(0, records, 500):
        entries = [
            {"Data": _BODY, "PartitionKey": f"key {number % _KEYS}"}
            for number in range(first, min(first + 500, records))
        ]
        client.put_records(StreamName="clicks", Records=entries)


def polled_moto(records: int, shards: int) -> float:
    """Return how many records a second a poller gets of moto's server."""
    process, client = server("kinesis")
    try:
        _fill(client, records, shards)
        iterators = [
            client.get_shard_iterator(
                StreamName="clicks", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            for shard in client.list_shards(StreamName="clicks")["Shards"]
        ]

        def handler(event: Any) -> int:
            return len(event["Records"])

        done, began = 0, time.perf_counter()
        while done < records:
            for place, iterator in enumerate(iterators):
                answer = client.get_records(ShardIterator=iterator, Limit=_BATCH)
                done += handler(answer)
                iterators[place] = answer["NextShardIterator"]
        return records / (time.perf_counter() - began)
    finally:
        process.communicate("")


def _database(folder: str) -> sqlite3.Connection:
    connection = sqlite3.connect(Path(folder) / "raw.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, key TEXT, data BLOB)")
    connection.execute("CREATE TABLE place (id INTEGER)")
    connection.execute("INSERT INTO place VALUES (0)")
    return connection


def raw_reads(records: int) -> float:
    """Return how many records a second raw SQLite reads, a position committed for each 100."""
    with tempfile.TemporaryDirectory() as folder:
        connection = _database(folder)
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO records (key, data) VALUES (?, ?)",
            ((f"key {number % _KEYS}", _BODY) for number in range(records)),
        )
        connection.execute("COMMIT")
        began, last = time.perf_counter(), 0
        while last < records:
            rows = connection.execute(
                "SELECT id, key, data FROM records WHERE id > ? ORDER BY id LIMIT ?",
                (last, _BATCH),
            ).fetchall()
            last = rows[-1][0]
            connection.execute("UPDATE place SET id = ?", (last,))
        took = time.perf_counter() - began
        connection.close()
        return records / took


def puts(count: int) -> tuple[float, float]:
    """Return how many single records a second raw SQLite takes, and a stream."""

    def rate(put: Callable[[], object]) -> float:
        began = time.perf_counter()
        for _ in range(count):
            put()
        return count / (time.perf_counter() - began)

    with tempfile.TemporaryDirectory() as folder, App("bench", state=f"{folder}/state") as app:
        connection = _database(folder)
        insert = "INSERT INTO records (key, data) VALUES (?, ?)"
        stream = app.stream("clicks")
        stream.put(_BODY, "key")
        raw, ours = [], []
        for _ in range(3):  # in turns: the disk is shared, and has moods
            raw.append(rate(lambda: connection.execute(insert, ("key", _BODY))))
            ours.append(rate(lambda: stream.put(_BODY, "key")))
        connection.close()
        return sorted(raw)[1], sorted(ours)[1]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--backlog", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    records = 5_000 if arguments.quick else arguments.records
    backlog = 20_000 if arguments.quick else arguments.backlog
    print("| Delivery, batches of 100 | records/s | ratio to moto + poller | to raw SQLite |")
    print("|---|---|---|---|", flush=True)
    raw = raw_reads(records)
    for shards in (1, 4):
        _, ours = delivery(records, shards)
        moto = polled_moto(min(records, 20_000), shards)
        print(f"| faaskit, {shards} shards | {ours:,.0f} | {ours / moto:.2f} | {ours / raw:.2f} |")
        away = delivery_from_moto(min(records, 20_000), shards)
        place = f"faaskit, from moto, {shards} shards"
        print(f"| {place} | {away:,.0f} | {away / moto:.2f} | {away / raw:.2f} |")
        print(f"| moto + poller, {shards} shards | {moto:,.0f} | 1 | {moto / raw:.2f} |")
    print(f"| raw SQLite | {raw:,.0f} | | 1 |")
    raw, ours = puts(200 if arguments.quick else 2_000)
    print("\n| Put of single records | records/s | ratio |\n|---|---|---|")
    print(f"| raw SQLite | {raw:,.0f} | 1 |\n| faaskit | {ours:,.0f} | {ours / raw:.2f} |")
    print("\n| Backlog | µs a record, put | delivered |\n|---|---|---|")
    for size in (10_000, backlog):
        put, delivered = delivery(size, 4)
        print(f"| {size:,} | {1e6 / put:.1f} | {1e6 / delivered:.1f} |")


if __name__ == "__main__":
    main()
