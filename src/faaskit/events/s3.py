"""S3's event notifications: their names, rules and records. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote_plus

from attrs import frozen

from faaskit.exceptions import DefinitionError
from faaskit.names import bucket_arn

__all__ = ["EVENT_NAMES", "Rule", "event_types", "overlapping", "record", "rule"]

# What S3 takes in a notification configuration. Its families are those with a "*".
EVENT_NAMES = (
    "s3:IntelligentTiering",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:LifecycleTransition",
    "s3:ObjectAcl:Put",
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Put",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:ObjectRestore:Post",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Delete",
    "s3:ObjectTagging:Put",
    "s3:ReducedRedundancyLostObject",
    "s3:Replication:*",
    "s3:Replication:OperationFailedReplication",
    "s3:Replication:OperationMissedThreshold",
    "s3:Replication:OperationNotTracked",
    "s3:Replication:OperationReplicatedAfterThreshold",
)

_MAX_FILTER_BYTES = 1024


@frozen
class Rule:
    """
    Which of a bucket's events invoke a function.

    Attributes:
        types: The event types, families resolved, without the ``s3:``.
        prefix: Of the key; literal, case-sensitive.
        suffix: Of the key; literal, case-sensitive.
    """

    types: frozenset[str]
    prefix: str = ""
    suffix: str = ""

    def matches(self, event: str, key: str) -> bool:
        """
        Return whether the rule is for an event on a key.

        Args:
            event: Without the ``s3:``.
            key: As it is, not URL-encoded.
        """
        # Prefix and suffix may share characters: "a.png" fits prefix "a.p", suffix ".png".
        return event in self.types and key.startswith(self.prefix) and key.endswith(self.suffix)


def rule(events: Sequence[str], *, prefix: str = "", suffix: str = "") -> Rule:
    """
    Return the rule of some of S3's event names and a filter.

    Raises:
        DefinitionError: No name, one that S3 has not, or a filter that it does not take.
    """
    if not events:
        msg = "a bucket's trigger names no event: pass one such as 's3:ObjectCreated:*'"
        raise DefinitionError(msg)
    for name, value in (("prefix", prefix), ("suffix", suffix)):
        _check_filter(name, value)
    return Rule(frozenset(event_types(events)), prefix, suffix)


def event_types(names: Iterable[str]) -> set[str]:
    """
    Return the event types of S3's names for them: families resolved, without the ``s3:``.

    Raises:
        DefinitionError: S3 has no such name.
    """
    types: set[str] = set()
    for name in names:
        if name not in EVENT_NAMES:
            msg = f"{name!r} is not an event of S3; there are: {', '.join(EVENT_NAMES)}"
            raise DefinitionError(msg)
        if name.endswith("*"):
            family = [other for other in EVENT_NAMES if other.startswith(name[:-1])]
            types.update(_type(member) for member in family if member != name)
        else:
            types.add(_type(name))
    return types


def overlapping(one: Rule, other: Rule) -> bool:
    """
    Return whether S3 refuses two rules side by side on one bucket.

    It does where an event type is in both and their prefixes overlap (one begins with the
    other) and their suffixes do (one ends with the other). No filter overlaps with all.
    """
    return (
        bool(one.types & other.types)
        and (one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix))
        and (one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix))
    )


def record(
    *,
    event: str,
    bucket: str,
    key: str,
    time: datetime,
    sequencer: str,
    size: int | None,
    etag: str | None,
    region: str,
    account: str,
    user_id: str,
    configuration_id: str,
    request_id: str,
    source_ip: str = "127.0.0.1",
) -> dict[str, Any]:
    """
    Return one record of S3's event, version 2.1.

    Args:
        event: Without the ``s3:``, such as ``ObjectCreated:Put``.
        bucket: Its name.
        key: As it is; the record has it form-encoded, as S3 does.
        time: Aware; when S3 was done with the request.
        sequencer: Hexadecimal; grows with each change of a key.
        size: In bytes; None where the object was removed: the record lacks it then.
        etag: Hexadecimal; None as ``size``.
        region: Of the bucket.
        account: The bucket's owner.
        user_id: AWS's unique id of who caused it.
        configuration_id: The rule's.
        request_id: Of the request to S3, 16 characters.
        source_ip: Where the request came from.
    """
    utc = time.astimezone(timezone.utc)
    thing: dict[str, Any] = {"key": quote_plus(key, safe="/")}
    if size is not None:
        thing["size"] = size
    if etag is not None:
        thing["eTag"] = etag
    thing["sequencer"] = sequencer
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z",
        "eventName": event,
        "userIdentity": {"principalId": f"AWS:{user_id}"},
        "requestParameters": {"sourceIPAddress": source_ip},
        "responseElements": {
            "x-amz-request-id": request_id,
            "x-amz-id-2": _host_id(request_id),
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration_id,
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": _owner_id(account)},
                "arn": bucket_arn(bucket),
            },
            "object": thing,
        },
    }


def _type(name: str) -> str:
    return name.removeprefix("s3:")


def _check_filter(name: str, value: object) -> None:
    if not isinstance(value, str):
        msg = f"{name} of a bucket's trigger is {value!r}: pass a string"
        raise DefinitionError(msg)
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        msg = f"{name} of a bucket's trigger, {value!r}, can't be written in UTF-8"
        raise DefinitionError(msg) from None
    if size > _MAX_FILTER_BYTES:
        msg = (
            f"{name} of a bucket's trigger has {size} bytes; S3 takes up to "
            f"{_MAX_FILTER_BYTES}, and no key is longer"
        )
        raise DefinitionError(msg)


def _owner_id(account: str) -> str:
    """Return an id of the form that S3 has for a bucket's owner; it follows from the account."""
    digest = hashlib.sha256(f"owner:{account}".encode()).digest()
    return f"A{base64.b32encode(digest).decode()[:13]}"


def _host_id(request_id: str) -> str:
    """Return what S3 calls the extended request id; it follows from the request id."""
    return base64.b64encode(hashlib.sha512(request_id.encode()).digest()[:57]).decode()
