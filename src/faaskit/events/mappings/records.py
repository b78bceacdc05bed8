"""What a mapping's on-failure destination gets: AWS's record of a batch that was given up. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from faaskit.events.mappings.sources import Row
from faaskit.events.records import object_key
from faaskit.events.targets import Target, kind_of

__all__ = ["batch_record", "batch_target"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_INFO = {"stream": "KinesisBatchInfo", "table": "DDBStreamBatchInfo"}


def batch_record(
    *,
    kind: str,
    now: datetime,
    request_id: str,
    function_arn: str,
    condition: str,
    attempts: int,
    failed: bool,
    shard_id: str,
    stream_arn: str,
    rows: Sequence[Row],
    payload: str | None,
) -> bytes:
    """
    Return the record of a batch of a stream or table that was given up.

    Args:
        kind: ``stream`` or ``table``.
        now: Aware.
        request_id: Of the last attempt.
        function_arn: Unqualified.
        condition: ``RetryAttemptsExhausted`` or ``RecordAgeExceeded``.
        attempts: How often it was invoked; with 0 there is no response.
        failed: Whether the function raised; else its answer named what failed.
        shard_id: Where the records are.
        stream_arn: Of the stream.
        rows: The records.
        payload: The event, for a bucket; None for all others.
    """
    first, last = rows[0], rows[-1]
    context = {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled" if failed else None,
    }
    record: dict[str, Any] = {
        "requestContext": {
            "requestId": request_id,
            "functionArn": function_arn,
            "condition": condition,
            "approximateInvokeCount": attempts,
        },
        "responseContext": context if attempts else None,
        "version": "1.0",
        "timestamp": _written(now, precise=True),
        _INFO[kind]: {
            "shardId": shard_id,
            "startSequenceNumber": first.number,
            "endSequenceNumber": last.number,
            "approximateArrivalOfFirstRecord": _arrived(kind, first),
            "approximateArrivalOfLastRecord": _arrived(kind, last),
            "batchSize": len(rows),
            "streamArn": stream_arn,
        },
    }
    if payload is not None:
        record["payload"] = payload
    return json.dumps(record).encode()


def batch_target(arn: str, *, mapping: str, shard_id: str, now: datetime, unique: str) -> Target:
    """Return where a record goes: in a bucket under a key as AWS makes them."""
    if kind_of(arn) == "bucket":
        return Target(arn, key=object_key(f"aws/lambda/{mapping}/{shard_id}", now, unique))
    return Target(arn)


def _arrived(kind: str, row: Row) -> str:
    moment = _EPOCH + timedelta(milliseconds=row.arrived_ms)
    return _written(moment, precise=kind == "stream")


def _written(moment: datetime, *, precise: bool) -> str:
    """Return a moment; DynamoDB's are to the second."""
    utc = moment.astimezone(timezone.utc)
    fraction = f".{utc.microsecond // 1000:03d}" if precise else ""
    return f"{utc:%Y-%m-%dT%H:%M:%S}{fraction}Z"
