"""What destinations and dead-letter queues get: AWS's records of how an event ended. Pure."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from faaskit.clock import iso8601
from faaskit.events.targets import Target, kind_of

__all__ = ["dead_letter", "destination", "invocation_record", "object_key"]

_MESSAGE_BYTES = 1024


def invocation_record(
    *,
    now: datetime,
    request_id: str,
    function_arn: str,
    condition: str,
    attempts: int,
    event: bytes,
    response: bytes | None,
    failed: bool,
) -> bytes:
    """
    Return the record of an asynchronous invocation that is over.

    Args:
        now: Aware.
        request_id: Of every attempt.
        function_arn: Unqualified; the record has the version.
        condition: ``Success``, or why it is over.
        attempts: How often it was invoked.
        event: JSON.
        response: What the last attempt returned, JSON; None where none did.
        failed: Whether the last attempt failed.
    """
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": iso8601(now),
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{function_arn}:$LATEST",
            "condition": condition,
            "approximateInvokeCount": attempts,
        },
        "requestPayload": json.loads(event),
    }
    if response is not None:
        context = {"statusCode": 200, "executedVersion": "$LATEST"}
        record["responseContext"] = {**context, "functionError": "Unhandled"} if failed else context
        record["responsePayload"] = _parsed(response)
    return json.dumps(record).encode()


def destination(
    arn: str, *, function: str, function_arn: str, failed: bool, now: datetime, unique: str
) -> Target:
    """
    Return the target that a record of a function's goes to.

    Args:
        arn: The destination's.
        function: The function's name.
        function_arn: Unqualified.
        failed: Whether it is the record of a failure.
        now: Aware.
        unique: Tells the record from others of the moment.
    """
    kind = kind_of(arn)
    if kind == "bus":
        outcome = "Failure" if failed else "Success"
        return Target(
            arn,
            detail_type=f"Lambda Function Invocation Result - {outcome}",
            resources=(arn, f"{function_arn}:$LATEST"),
        )
    if kind == "bucket":
        return Target(arn, key=object_key(f"aws/lambda/async/{function}", now, unique))
    return Target(arn)


def object_key(prefix: str, now: datetime, unique: str) -> str:
    """Return the key of a record in a bucket, as AWS makes them."""
    return f"{prefix}/{now:%Y/%m/%d}/{now:%Y-%m-%dT%H.%M.%S}-{unique}"


def dead_letter(arn: str, *, request_id: str, status: int, message: str) -> Target:
    """
    Return the target of an event that goes to a function's dead-letter queue.

    Args:
        arn: The queue's, or topic's.
        request_id: Of every attempt.
        status: 200 where the function failed; else that of the refusal.
        message: What was wrong; its first KB is told.
    """
    told = message.encode("utf-8", "replace")[:_MESSAGE_BYTES].decode("utf-8", "ignore")
    return Target(
        arn,
        attributes={
            "RequestID": ("String", request_id),
            "ErrorCode": ("Number", str(status)),
            "ErrorMessage": ("String", told or "Unknown"),
        },
    )


def _parsed(response: bytes) -> Any:
    try:
        return json.loads(response)
    except (ValueError, RecursionError):  # bytes that are no JSON: as text, as AWS shows them
        return response.decode("utf-8", "replace")
