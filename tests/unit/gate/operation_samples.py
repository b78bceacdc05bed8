"""Parameters for every operation of the table, made from botocore's models."""

from __future__ import annotations

from typing import Any

import botocore.session

from faaskit.gate.operations.table import SERVICES, Operation, table

__all__ = ["EVERY", "model_of", "operation_of", "sample"]

_ACCOUNT, _REGION = "123456789012", "us-east-1"
_botocore = botocore.session.Session()
_models = {service: _botocore.get_service_model(service) for service in SERVICES}
_DEPTH = 6

EVERY = [
    (service, operation)
    for service in SERVICES
    for operation in sorted(_models[service].operation_names)
]

_SPECIAL: dict[str, Any] = {
    "AttributeName": "SQSFailureFeedbackRoleArn",
    "AttributeValue": f"arn:aws:iam::{_ACCOUNT}:role/x-1",
    "Content": '{"assumeRole": "x-1"}',
    "ConsumerARN": f"arn:aws:kinesis:{_REGION}:{_ACCOUNT}:stream/x-1/consumer/x-1:1",
    "CopySource": "c-1/k-1",
    "QueueUrl": f"https://sqs.us-east-1.amazonaws.com/{_ACCOUNT}/x-1",
    "Layers": f"arn:aws:lambda:{_REGION}:{_ACCOUNT}:layer:x-1:1",
    "ResourceType": "Parameter",
    "RotationLambdaARN": f"arn:aws:lambda:{_REGION}:{_ACCOUNT}:function:x-1",
    "SecretId": f"arn:aws:secretsmanager:{_REGION}:{_ACCOUNT}:secret:x-1-AbCdEf",
    "SourceKeyId": "x-2",
    "SourceTableArn": f"arn:aws:dynamodb:{_REGION}:{_ACCOUNT}:table/x-1",
    "Statement": 'SELECT * FROM "t-1"."i-1" WHERE a = ?',
    "StreamARN": f"arn:aws:kinesis:{_REGION}:{_ACCOUNT}:stream/x-1",
    "Tagging": "class=public",
    "SubscriptionArn": f"arn:aws:sns:{_REGION}:{_ACCOUNT}:x-1:1-2",
    "destinationArn": f"arn:aws:logs:{_REGION}:{_ACCOUNT}:destination:x-1",
    "stateMachineArn": f"arn:aws:states:{_REGION}:{_ACCOUNT}:stateMachine:x-1",
}


def model_of(service: str, operation: str) -> Any:
    """Return the shape of an operation's parameters; None where it has none."""
    return _models[service].operation_model(operation).input_shape


def operation_of(service: str, operation: str) -> Operation:
    """Return an operation of the table."""
    found = table(service)
    assert found is not None
    return found.operations[operation]


def sample(service: str, operation: str, *, full: bool) -> dict[str, Any]:
    """
    Return parameters that the table understands.

    Args:
        service: botocore's name.
        operation: AWS's name.
        full: All parameters, but for those that exclude each other; or the required ones.
    """
    shape = model_of(service, operation)
    made: dict[str, Any] = {} if shape is None else _value(shape, "", full=full)
    if service == "kinesis":
        made.pop("StreamId", None)  # reserved by AWS; refused beside any other
    rule = operation_of(service, operation)
    for excluded in rule.exclusive:
        for name in [name for name in excluded.members if name in made][1:]:
            del made[name]
    sources = {ask.on.source for ask in rule.asks if ask.on is not None}
    for one in rule.same[1:] if full else ():
        # Both may be given if they agree; one of them is enough here.
        if one.source in made and one.source not in sources:
            del made[one.source]
    if not full:
        _give_one(service, operation, made)
    return made


def _give_one(service: str, operation: str, made: dict[str, Any]) -> None:
    """Add what no parameter is required for, but without which nothing is named."""
    given = _NEEDED.get((service, operation), {})
    shape = model_of(service, operation)
    members = {} if shape is None else shape.members
    if service == "kinesis" and "StreamARN" in members:
        given = {"StreamARN": _SPECIAL["StreamARN"], **given}
    made |= given
    if operation == "ListShards":
        made.pop("StreamARN", None)


_NEEDED: dict[tuple[str, str], dict[str, Any]] = {
    ("events", "PutEvents"): {"Entries": [{"Source": "a"}]},
    ("logs", "DescribeLogStreams"): {"logGroupName": "x-1"},
    ("logs", "FilterLogEvents"): {"logGroupIdentifier": "x-1"},
    ("logs", "GetLogEvents"): {"logGroupName": "x-1", "logStreamName": "x-1"},
    ("logs", "GetLogGroupFields"): {"logGroupName": "x-1"},
    ("sns", "Publish"): {"PhoneNumber": "+1"},
    ("sns", "SetSubscriptionAttributes"): {"AttributeName": "RawMessageDelivery"},
    ("sns", "SetTopicAttributes"): {"AttributeName": "DisplayName"},
    ("dynamodb", "TransactWriteItems"): {
        "TransactItems": [{"Delete": {"TableName": "x-1", "Key": {"a": {"S": "b"}}}}]
    },
    ("dynamodb", "RestoreTableToPointInTime"): {"SourceTableName": "x-1"},
}


def _value(shape: Any, name: str, *, full: bool, depth: int = 0) -> Any:
    if name in _SPECIAL and shape.type_name == "string":
        return _SPECIAL[name]
    if shape.name == "AttributeValue":
        return {"S": "x-1"}
    kind = shape.type_name
    if kind == "structure":
        return {
            member: _value(inner, member, full=full, depth=depth + 1)
            for member, inner in shape.members.items()
            if member in shape.required_members
            or (full and depth < _DEPTH)
            or shape.name in {"Tag", "TagType"}
        }
    if kind == "list":
        return [_value(shape.member, name, full=full, depth=depth + 1)]
    if kind == "map":
        key = "SQSFailureFeedbackRoleArn" if name == "Attributes" else "x-1"
        value = _value(shape.value, key, full=full, depth=depth + 1)
        return {key: value}
    if kind == "string":
        if shape.enum:
            return shape.enum[0]
        return _text(name.lower())
    plain = {"boolean": True, "blob": "YQ==", "timestamp": "2026-01-01T00:00:00Z"}
    return plain.get(kind, 1)


def _text(name: str) -> str:
    """Return a name, or an ARN where the parameter is called one."""
    if not name.endswith("arn") and name not in {"resource", "role"}:
        return "x-1"
    kind = "iam::123456789012:role" if "role" in name else f"x:{_REGION}:{_ACCOUNT}:y"
    return f"arn:aws:{kind}/x-1"
