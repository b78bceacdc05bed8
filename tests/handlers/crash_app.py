"""
An App whose every kind of event is written to a log, itself a stream; for programs that are killed.

Run as ``python crash_app.py produce FILE`` or ``python crash_app.py deliver``, with the state
folder in ``CRASH_FOLDER``, and in ``CRASH_AWS`` an endpoint that has a stream ``far``. ``produce``
writes down what was acknowledged, a line each.
"""

from __future__ import annotations

import base64
import itertools
import os
import sys
from typing import Any

from faaskit import App, allow

app = App("crash", state=os.environ.get("CRASH_FOLDER"), aws=os.environ.get("CRASH_AWS", "moto"))
log = app.stream("log")
clicks = app.stream("clicks", shards=2)
orders = app.table("orders", partition_key="id", stream="NEW_IMAGE")
jobs = app.queue("jobs", visibility_timeout=10)
steps = app.queue("steps.fifo", content_based_deduplication=True, visibility_timeout=10)
inbox = app.bucket("inbox")
far = app.remote_stream("arn:aws:kinesis:us-east-1:123456789012:stream/far")

_KEYS = 5


def _log_records(kind: str, event: Any, context: Any) -> None:
    """Log a batch of a stream, with what tells it from others."""
    records = [one["kinesis"] for one in event["Records"]]
    texts = [base64.b64decode(one["data"]).decode() for one in records]
    log.put_many(
        (f"{kind} {text} {context.aws_request_id}", one["partitionKey"])
        for text, one in zip(texts, records, strict=True)
    )


@clicks.on_records(batch_size=20, parallelization_factor=2, bisect_batch_on_error=True)
@app.function(timeout=10)
@allow("kinesis:PutRecords", on=log)
def on_clicks(event: Any, context: Any) -> None:
    """Log a stream's records."""
    _log_records("clicks", event, context)


@orders.on_change(batch_size=20)
@app.function(timeout=10)
@allow("kinesis:PutRecords", on=log)
def on_orders(event: Any, context: Any) -> None:
    """Log a table's changes."""
    images = [one["dynamodb"]["NewImage"] for one in event["Records"]]
    batch = context.aws_request_id
    log.put_many((f"orders {image['n']['N']} {batch}", image["id"]["S"]) for image in images)


@jobs.on_messages()
@app.function(timeout=10)
@allow("kinesis:PutRecords", on=log)
def on_jobs(event: Any, context: Any) -> None:
    """Log a queue's messages."""
    log.put_many((f"jobs {one['body']}", "k") for one in event["Records"])


@steps.on_messages()
@app.function(timeout=10)
@allow("kinesis:PutRecords", on=log)
def on_steps(event: Any, context: Any) -> None:
    """Log a FIFO queue's messages."""
    batch = context.aws_request_id
    log.put_many(
        (f"steps {one['body']} {batch}", one["attributes"]["MessageGroupId"])
        for one in event["Records"]
    )


@far.on_records(batch_size=20, parallelization_factor=2)
@app.function(timeout=10)
@allow("kinesis:PutRecords", on=log)
def on_far(event: Any, context: Any) -> None:
    """Log the records of a stream elsewhere."""
    _log_records("far", event, context)


@inbox.on("s3:ObjectCreated:*")
@app.function(timeout=10)
@allow("kinesis:PutRecord", on=log)
def on_inbox(event: Any, context: Any) -> None:
    """Log a bucket's objects."""
    log.put(f"inbox {event['Records'][0]['s3']['object']['key']}", "k")


@app.function(timeout=10)
@allow("kinesis:PutRecord", on=log)
def on_call(event: Any, context: Any) -> None:
    """Log an asynchronous invocation."""
    log.put(f"call {event}", "k")


def produce(path: str) -> None:
    """Put events of every kind for ever, and write down which are acknowledged, and their keys."""
    acknowledged = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    first = int(os.environ["CRASH_FIRST"])
    kinesis = app.client("kinesis")
    for number in itertools.count(first):
        key = f"k{number % _KEYS}"
        clicks.put(str(number), key)
        os.write(acknowledged, f"clicks {number} {key}\n".encode())
        orders.put({"id": key, "n": number})
        os.write(acknowledged, f"orders {number} {key}\n".encode())
        kinesis.put_record(StreamName="far", Data=str(number).encode(), PartitionKey=key)
        os.write(acknowledged, f"far {number} {key}\n".encode())
        jobs.send(str(number))
        os.write(acknowledged, f"jobs {number} k\n".encode())
        steps.send(str(number), group_id=key)
        os.write(acknowledged, f"steps {number} {key}\n".encode())
        if number % 4 == 0:
            inbox.put(str(number), b"x")
            os.write(acknowledged, f"inbox {number} k\n".encode())
            on_call.send(number)
            os.write(acknowledged, f"call {number} k\n".encode())


if __name__ == "__main__":
    if sys.argv[1] == "produce":
        produce(sys.argv[2])
    else:
        app.run(concurrency=8)
