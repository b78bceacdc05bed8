"""Whatever a function sends, the gate answers, and never fails itself."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from faaskit import App, Role, allow
from faaskit.gate.gate import Gate, Principal
from faaskit.runtimes.contract import ServiceCall

_OPERATIONS = {
    "dynamodb": (
        "GetItem PutItem UpdateItem DeleteItem Query Scan BatchGetItem BatchWriteItem "
        "TransactGetItems TransactWriteItems DescribeTable"
    ),
    "events": "PutEvents ListEventBuses",
    "kinesis": (
        "PutRecord PutRecords GetRecords GetShardIterator DescribeStream ListShards SplitShard "
        "MergeShards"
    ),
    "lambda": "Invoke",
    "s3": (
        "GetObject PutObject DeleteObject DeleteObjects CopyObject HeadObject ListObjectsV2 "
        "CreateMultipartUpload UploadPart CompleteMultipartUpload AbortMultipartUpload ListParts"
    ),
    "sqs": (
        "SendMessage SendMessageBatch ReceiveMessage DeleteMessage ChangeMessageVisibility "
        "GetQueueAttributes SetQueueAttributes"
    ),
    "sts": "AssumeRole GetCallerIdentity",
}
_OURS = {
    "Bucket": "any-call",
    "EventBusName": "any-call",
    "QueueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/any-call",
    "ShardId": "shardId-000000000000",
    "StreamName": "any-call",
    "TableName": "any-call",
}
_EXPRESSIONS = (
    "id = :v",
    "SET #a = x + :v, y = :w",
    "ADD x :v",
    "attribute_exists(x)",
    "NOT contains(x, :v) AND size(x) > :w",
    "x IN (:v, :w)",
    "SET x[1].y = if_not_exists(z, :v)",
)
_HOSTILE: tuple[Any, ...] = (
    *("", "\ud800", "\0", "x" * 70_000, "NaN", "1e999", "9" * 45, "é" * 300, "a[0].b", ":v", "#a"),
    *(0, -1, 2**63, 10**400, 1.5, float("inf"), True, None, [], {}, [[]], {"S": 1}, {"": {}}),
)


class _Maker:
    """Parameters of an operation, mostly of the right types."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def choose(self, among: Any) -> Any:
        return self._random.choice(among)

    def _happens(self, probability: float) -> bool:
        return self._random.random() < probability

    def value(self, shape: Any, name: str, depth: int = 0) -> Any:
        if self._happens(0.04):
            return self.choose(_HOSTILE)
        if name in _OURS:
            return _OURS[name]
        if shape.name == "AttributeValue":
            return self.choose(({"S": "a"}, {"N": "-3.5"}, {"SS": ["a"]}, {"L": [{"NULL": True}]}))
        kind = shape.type_name
        if kind == "structure":
            rarely = 0.12 if depth < 6 else 0
            return {
                member: self.value(inner, member, depth + 1)
                for member, inner in shape.members.items()
                if self._happens(0.97 if member in shape.required_members else rarely)
            }
        if kind == "list":
            return [self.value(shape.member, name, depth + 1) for _ in range(self.choose((1, 2)))]
        if kind == "map":
            keys = {":": [":v", ":w"], "#": ["#a"], "T": ["any-call"], "": ["id", "x"]}
            kinds = {"ExpressionAttributeValues": ":", "ExpressionAttributeNames": "#"}
            first = kinds.get(name, "T" if name == "RequestItems" else "")
            return {key: self.value(shape.value, key, depth + 1) for key in keys[first]}
        if kind == "string":
            expressions = _EXPRESSIONS if "Expression" in name else ("a", "b", "id")
            return self.choose(shape.enum or expressions)
        plain = {
            "boolean": (True, False),
            "blob": ("YQ==",),
            "timestamp": ("2026-01-01T00:00:00Z",),
        }
        return self.choose(plain.get(kind, (0, 1, 2, 10)))


def _answers(gate: Gate, seed: int, rounds: int) -> Counter[str]:
    session = botocore.session.get_session()
    role = Role("any", policies=[allow("*", on="*")])
    principal = Principal(role, "any", "arn:aws:lambda:us-east-1:123456789012:function:any")
    answers: Counter[str] = Counter()
    for service, names in _OPERATIONS.items():
        maker = _Maker(seed)
        model = session.get_service_model(service)
        for name in names.split() * rounds:
            shape = model.operation_model(name).input_shape
            parameters = maker.value(shape, "") or {}
            if not isinstance(parameters, dict):
                continue
            parameters.pop("WaitTimeSeconds", None)
            payload = parameters.pop("Body", parameters.pop("Payload", None))
            call = ServiceCall(service, name, parameters, b"{}" if payload is not None else None)
            failure = gate.serve(principal, call).failure
            if failure is not None and failure.code == "InternalFailure":
                pytest.fail(f"{service} {name} {parameters!r}")
            answers["ok" if failure is None else "failed"] += 1
    return answers


@pytest.mark.parametrize("seed", [1, 2])
def test_the_gate_answers_whatever_it_is_asked(tmp_path: Path, seed: int) -> None:
    """Calls that AWS would take, and such that hold anything: none is a fault of ours."""
    with App("any-call", state=tmp_path) as app:
        app.bucket("any-call")
        app.table("any-call", partition_key="id")
        app.queue("any-call")
        app.stream("any-call", shards=2)
        app.bus("any-call")
        answers = _answers(app._gate, seed, rounds=600)
    assert answers["ok"] > 500  # else it would have shown little
    assert answers["failed"] > 500
