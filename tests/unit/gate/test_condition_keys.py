"""The condition keys that parameters give: there, absent, or not known."""

from __future__ import annotations

from typing import Any

import pytest

from faaskit.gate.operations.keys import Accounts, Filled, fill
from faaskit.gate.operations.requirements import requirements
from faaskit.gate.service import Refusal, Requirement
from faaskit.iam import Role, allow, deny
from faaskit.runtimes.contract import ServiceCall


def _fill(sources: dict[str, str], **parameters: Any) -> Filled:
    return fill(
        sources, parameters, accounts=Accounts("1", "2"), function_arn=lambda name: f"arn:{name}"
    )


@pytest.mark.parametrize(
    ("sources", "parameters", "context", "unknown"),
    [
        ({"k": "A"}, {"A": "x"}, {"k": "x"}, set()),
        ({"k": "A"}, {}, {}, set()),
        ({"k": "A.B"}, {"A": {"B": True}}, {"k": "true"}, set()),
        ({"k": "A.B"}, {"A": {}}, {}, set()),
        ({"k": "A"}, {"A": ["x", 1]}, {"k": ("x", "1")}, set()),
        ({"k": "A=d"}, {}, {"k": "d"}, set()),
        ({"k": "A=d"}, {"A": "x"}, {"k": "x"}, set()),
        ({"K": "A?"}, {}, {}, {"k"}),
        ({"k": "A?"}, {"A": "x"}, {"k": "x"}, set()),
        ({"K": "?A"}, {"A": "x"}, {}, {"k"}),
        ({"k": "?A"}, {}, {}, set()),
        ({"k": "=x"}, {}, {"k": "x"}, set()),
        ({"k": "@account", "l": "@owner"}, {}, {"k": "1", "l": "2"}, set()),
        ({"k": "&A"}, {"A": "f"}, {"k": "arn:f"}, set()),
        ({"t/*": "A"}, {"A": {"a": "b"}}, {"t/a": "b"}, set()),
        ({"t:*": "A"}, {"A": {"a": "b"}}, {"t:a": "b"}, set()),
        ({"t/*": "A"}, {"A": [{"Key": "a", "Value": "b"}]}, {"t/a": "b"}, set()),
        ({"t/*": "A"}, {"A": [{"TagKey": "a", "TagValue": "b"}]}, {"t/a": "b"}, set()),
        ({"t/*": "A"}, {"A": "a=b&c=d%20e"}, {"t/a": "b", "t/c": "d e"}, set()),
        ({"t/*": "A"}, {"A": []}, {}, set()),
        ({"t": "#A"}, {"A": {"a": "b"}}, {"t": ("a",)}, set()),
        ({"t": "#A"}, {"A": ["a", "b"]}, {"t": ("a", "b")}, set()),
        ({"t": "#A"}, {}, {}, set()),
        ({"t/*": "A"}, {"A": {"a": "b", "A": "c", "d": "e"}}, {"t/d": "e"}, {"t/a"}),
    ],
)
def test_key_is_filled_by_its_source(
    sources: dict[str, str],
    parameters: dict[str, Any],
    context: dict[str, Any],
    unknown: set[str],
) -> None:
    """A value, an absent key, or a key of which it isn't known."""
    assert _fill(sources, **parameters) == Filled(context, frozenset(unknown))


@pytest.mark.parametrize(
    ("sources", "parameters"),
    [
        ({"k": "A"}, {"A": {"b": 1}}),
        ({"k": "A"}, {"A": [[]]}),
        ({"k": "A"}, {"A": ["x"] * 2000}),
        ({"k": "A.B"}, {"A": "x"}),
        ({"t/*": "A"}, {"A": 7}),
        ({"t/*": "A"}, {"A": [{"Name": "a"}]}),
        ({"t/*": "A"}, {"A": [7]}),
        ({"t/*": "A"}, {"A": {str(n): "x" for n in range(2000)}}),
        ({"t/*": "A"}, {"A": "a=b&" * 2000}),
        ({"t": "#A"}, {"A": [{"Key": []}]}),
    ],
)
def test_parameter_that_is_no_value_is_refused(
    sources: dict[str, str], parameters: dict[str, Any]
) -> None:
    """It is hostile, or a mistake; and its size is bounded."""
    with pytest.raises(Refusal):
        _fill(sources, **parameters)


def _needed(service: str, operation: str, **parameters: Any) -> list[Requirement]:
    call = ServiceCall(service, operation, parameters)
    return [*requirements(call, region="us-east-1", account="123456789012")]


def test_encryption_context_is_a_key_for_each_entry() -> None:
    """With a colon in front of the entry's name, as AWS writes it."""
    (one,) = _needed("kms", "Encrypt", KeyId="x", Plaintext="", EncryptionContext={"app": "a"})
    assert one.context["kms:EncryptionContext:app"] == "a"
    assert one.context["kms:EncryptionContextKeys"] == ("app",)
    assert one.context["kms:EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    assert one.context["kms:CallerAccount"] == "123456789012"


def test_names_that_differ_in_case_only_are_not_compared() -> None:
    """They are one key to IAM, of two values: an Allow does not count, a Deny does."""
    (one, _) = _needed("ssm", "PutParameter", Name="p", Value="v", Tags=_tags("team", "Team"))
    assert "aws:requesttag/team" in one.unknown.keys
    when = {"StringEquals": {"aws:RequestTag/team": "other"}}
    asked = (one.action, one.resource, one.context)
    allowing = Role("r", [allow("ssm:*", on="*", when=when)])
    assert not allowing.decide(*asked, unknown=one.unknown)
    denying = Role("r", [allow("ssm:*", on="*"), deny("ssm:*", on="*", when=when)])
    assert denying.decide(*asked, unknown=one.unknown).effect == "ExplicitDeny"


def _tags(*names: str) -> list[dict[str, str]]:
    return [{"Key": name, "Value": name} for name in names]


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"),
    [
        (
            "lambda",
            "CreateEventSourceMapping",
            {"FunctionName": "f"},
            {"lambda:FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:f"},
        ),
        (
            "lambda",
            "CreateFunction",
            {"FunctionName": "f", "VpcConfig": {"SubnetIds": ["s"]}},
            {"lambda:SubnetIds": ("s",)},
        ),
        (
            "stepfunctions",
            "StartExecution",
            {"stateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:m:live"},
            {"states:StateMachineQualifier": "live"},
        ),
        (
            "secretsmanager",
            "DeleteSecret",
            {"SecretId": "s", "ForceDeleteWithoutRecovery": True},
            {"secretsmanager:ForceDeleteWithoutRecovery": "true", "secretsmanager:SecretId": "s"},
        ),
        (
            "kms",
            "ScheduleKeyDeletion",
            {"KeyId": "x"},
            {"kms:ScheduleKeyDeletionPendingWindowInDays": "30"},
        ),
        (
            "events",
            "PutTargets",
            {"Rule": "r", "Targets": [{"Id": "1", "Arn": "arn:x"}]},
            {"events:TargetArn": "arn:x"},
        ),
        (
            "s3",
            "CopyObject",
            {"Bucket": "b", "Key": "k", "CopySource": "c/d?versionId=7", "SSEKMSKeyId": "x"},
            {"s3:versionid": "7", "s3:x-amz-server-side-encryption-aws-kms-key-id": "x"},
        ),
        (
            "sns",
            "CreateTopic",
            {"Name": "t", "Tags": [{"Key": "a", "Value": "b"}]},
            {"aws:RequestTag/a": "b", "aws:TagKeys": ("a",)},
        ),
    ],
)
def test_parameter_fills_its_condition_key(
    service: str, operation: str, parameters: dict[str, Any], expected: dict[str, Any]
) -> None:
    """As the reference describes the key."""
    merged: dict[str, Any] = {}
    for one in _needed(service, operation, **parameters):
        merged |= one.context
    assert {key: merged.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "dependent"),
    [
        (
            "s3",
            "PutBucketReplication",
            {"Bucket": "b", "ReplicationConfiguration": {"Role": "arn:aws:iam::1:role/r"}},
            ("iam:PassRole", "arn:aws:iam::1:role/r"),
        ),
        (
            "logs",
            "PutSubscriptionFilter",
            {"logGroupName": "g", "roleArn": "arn:aws:iam::1:role/r"},
            ("iam:PassRole", "arn:aws:iam::1:role/r"),
        ),
        (
            "events",
            "PutTargets",
            {"Rule": "r", "Targets": [{"Arn": "x", "RoleArn": "arn:aws:iam::1:role/r"}]},
            ("iam:PassRole", "arn:aws:iam::1:role/r"),
        ),
        (
            "sns",
            "SetTopicAttributes",
            {
                "TopicArn": "arn:aws:sns:us-east-1:123456789012:t",
                "AttributeName": "SQSSuccessFeedbackRoleArn",
                "AttributeValue": "arn:aws:iam::1:role/r",
            },
            ("iam:PassRole", "arn:aws:iam::1:role/r"),
        ),
        (
            "secretsmanager",
            "RotateSecret",
            {"SecretId": "s"},
            ("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:*:function:*"),
        ),
        (
            "sqs",
            "StartMessageMoveTask",
            {
                "SourceArn": "arn:aws:sqs:us-east-1:123456789012:a",
                "DestinationArn": "arn:aws:sqs:us-east-1:123456789012:b",
            },
            ("sqs:SendMessage", "arn:aws:sqs:us-east-1:123456789012:b"),
        ),
        (
            "sqs",
            "StartMessageMoveTask",
            {"SourceArn": "arn:aws:sqs:us-east-1:123456789012:a"},
            ("sqs:ReceiveMessage", "arn:aws:sqs:us-east-1:123456789012:a"),
        ),
        (
            "stepfunctions",
            "CreateStateMachine",
            {"name": "m", "publish": True},
            (
                "states:PublishStateMachineVersion",
                "arn:aws:states:us-east-1:123456789012:stateMachine:m",
            ),
        ),
        (
            "kms",
            "CreateKey",
            {"Tags": [{"TagKey": "a", "TagValue": "b"}]},
            ("kms:TagResource", "arn:aws:kms:us-east-1:123456789012:key/*"),
        ),
        (
            "lambda",
            "CreateFunction",
            {"FunctionName": "f", "Layers": ["arn:aws:lambda:us-east-1:1:layer:l:1"]},
            ("lambda:GetLayerVersion", "arn:aws:lambda:us-east-1:1:layer:l:1"),
        ),
        (
            "ssm",
            "GetParameter",
            {"Name": "/aws/reference/secretsmanager/db:1"},
            (
                "secretsmanager:GetSecretValue",
                "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-??????",
            ),
        ),
        (
            "ssm",
            "GetParameters",
            {"Names": ["a", "/aws/reference/secretsmanager/db"]},
            (
                "secretsmanager:GetSecretValue",
                "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-??????",
            ),
        ),
        (
            "logs",
            "StartQuery",
            {"logGroupName": "g", "queryString": "SOURCE logGroups(namePrefix: ['h'])"},
            ("logs:StartQuery", "arn:aws:logs:us-east-1:*:log-group:*"),
        ),
        (
            "sqs",
            "CreateQueue",
            {"QueueName": "q", "tags": {"a": "b"}},
            ("sqs:TagQueue", "arn:aws:sqs:us-east-1:123456789012:q"),
        ),
    ],
)
def test_operation_needs_what_it_hands_on(
    service: str, operation: str, parameters: dict[str, Any], dependent: tuple[str, str]
) -> None:
    """A role, a function, a queue: AWS asks the caller for a permission of their own."""
    needed = _needed(service, operation, **parameters)
    assert dependent in {(one.action, one.resource) for one in needed}
    assert len(needed) > 1


def test_version_is_not_published_unless_it_is_asked_for() -> None:
    """The permission for it is needed by those alone who do."""
    for given in ({}, {"publish": False}):
        needed = _needed("stepfunctions", "CreateStateMachine", name="m", **given)
        assert [one.action for one in needed] == ["states:CreateStateMachine"]


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("sqs", "SendMessage", {"QueueUrl": "https://sqs/123456789012/public?/1/hidden"}),
        ("sqs", "SendMessage", {"QueueUrl": "https://sqs/123456789012/public#/1/hidden"}),
        ("sqs", "SendMessage", {"QueueUrl": "https://[/1/public"}),
        ("kinesis", "DescribeStream", {"StreamARN": "x/hidden"}),
        ("dynamodb", "TagResource", {"ResourceArn": "hidden"}),
        ("dynamodb", "GetItem", {"TableName": "arn:aws:x:us-east-1:1:table/hidden", "Key": {}}),
        (
            "lambda",
            "GetLayerVersion",
            {"LayerName": "arn:aws:lambda:us-east-1:1:layer:l:3", "VersionNumber": 5},
        ),
        ("stepfunctions", "StartExecution", {"stateMachineArn": "x:hidden"}),
        ("logs", "FilterLogEvents", {"logGroupIdentifier": "x:log-group:hidden"}),
        ("events", "DescribeRule", {"Name": "hidden", "EventBusName": "x/default"}),
        (
            "events",
            "DescribeRule",
            {"Name": "hidden", "EventBusName": "xarn:aws:events:bus/default"},
        ),
        (
            "s3",
            "DeleteObjects",
            {"Bucket": "b", "Delete": {"Objects": [{"Key": "k", "Bucket": "c"}]}},
        ),
        ("kinesis", "PutRecord", {"StreamName": "a", "StreamId": "b"}),
        ("secretsmanager", "BatchGetSecretValue", {"SecretIdList": [], "Filters": []}),
        ("sns", "Publish", {"PhoneNumber": "+1", "TopicArn": "arn:aws:sns:us-east-1:1:t"}),
    ],
)
def test_name_that_another_place_may_read_otherwise_is_refused(
    service: str, operation: str, parameters: dict[str, Any]
) -> None:
    """What is decided on must be what is reached."""
    with pytest.raises(Refusal):
        _needed(service, operation, **parameters)
