"""Condition operators: the tables of AWS's guide, and what is undecided there."""

from __future__ import annotations

from typing import Any

import pytest

from faaskit.exceptions import DefinitionError
from faaskit.iam import Policy, deny, simulate

ABSENT: dict[str, Any] = {}


def effects(block: dict[str, Any], context: dict[str, Any]) -> tuple[str, str]:
    """Return what an Allow under the condition decides, and what a Deny does."""
    every = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    asked: dict[str, Any] = {"action": "s3:GetObject", "resource": "*", "context": context}

    def effect(*statements: dict[str, Any]) -> str:
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        return simulate(**asked, identity=[document]).effect

    conditional = every | {"Condition": block}
    return effect(conditional), effect(every, conditional | {"Effect": "Deny"})


TRUE = ("Allow", "ExplicitDeny")
FALSE = ("ImplicitDeny", "Allow")
UNKNOWN = ("ImplicitDeny", "ExplicitDeny")

TAG = "aws:PrincipalTag/job-category"
ORG = "aws:ResourceOrgPaths"
LOGS = "logs:LogGeneratingResourceArns"
CREATE_TAGS = {
    "StringEqualsIgnoreCase": {"aws:RequestTag/environment": ["preprod", "storage"]},
    "ForAnyValue:StringEquals": {"aws:TagKeys": "environment"},
}
DISTRIBUTIONS = {
    "ForAllValues:ArnLike": {
        LOGS: [
            "arn:aws::cloudfront:123456789012:distribution/*",
            "arn:aws::cloudfront:123456789012:distribution/support*",
        ]
    }
}
ATTRIBUTES = ["PostDateTime", "Message", "Tags"]


@pytest.mark.parametrize(
    ("block", "context", "expected"),
    [
        # The guide's tables, "Condition operators".
        ({"StringEquals": {TAG: "iamuser-admin"}}, {TAG: "iamuser-admin"}, TRUE),
        ({"StringEquals": {TAG: "iamuser-admin"}}, {TAG: "dev-ops"}, FALSE),
        ({"StringEquals": {TAG: "iamuser-admin"}}, ABSENT, FALSE),
        (
            CREATE_TAGS,
            {"aws:TagKeys": "environment", "aws:RequestTag/environment": "preprod"},
            TRUE,
        ),
        (
            CREATE_TAGS,
            {"aws:TagKeys": ["environment", "cost"], "aws:RequestTag/environment": "PreProd"},
            TRUE,
        ),
        (
            CREATE_TAGS,
            {"aws:TagKeys": "Environment", "aws:RequestTag/Environment": "preprod"},
            FALSE,
        ),
        (
            CREATE_TAGS,
            {"aws:TagKeys": "costcenter", "aws:RequestTag/environment": "preprod"},
            FALSE,
        ),
        (CREATE_TAGS, {"aws:RequestTag/environment": "storage"}, FALSE),
        (CREATE_TAGS, {"aws:TagKeys": "environment"}, FALSE),
        (CREATE_TAGS, ABSENT, FALSE),
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:SecureTransport": "false"}, TRUE),
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:SecureTransport": False}, TRUE),
        ({"Bool": {"aws:SecureTransport": False}}, {"aws:SecureTransport": "true"}, FALSE),
        ({"Bool": {"aws:SecureTransport": "false"}}, ABSENT, FALSE),
        (
            {"BinaryEquals": {"key": "QmluYXJ5VmFsdWVJbkJhc2U2NA=="}},
            {"key": "QmluYXJ5VmFsdWVJbkJhc2U2NA=="},
            TRUE,
        ),
        (
            {"BinaryEquals": {"key": "QmluYXJ5VmFsdWVJbkJhc2U2NA=="}},
            {"key": b"BinaryValueInBase64"},
            TRUE,
        ),
        (
            {"BinaryEquals": {"key": "QmluYXJ5VmFsdWVJbkJhc2U2NA=="}},
            {"key": "ASIAIOSFODNN7EXAMPLE"},
            FALSE,
        ),
        ({"BinaryEquals": {"key": "QmluYXJ5VmFsdWVJbkJhc2U2NA=="}}, ABSENT, FALSE),
        ({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, {"aws:SourceIp": "203.0.113.1"}, TRUE),
        (
            {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}},
            {"aws:SourceIp": "198.51.100.1"},
            FALSE,
        ),
        (
            {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-west-2:123456789012:T"}},
            {"aws:SourceArn": "arn:aws:sns:us-west-2:123456789012:T"},
            TRUE,
        ),
        (
            {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-west-2:123456789012:T"}},
            {"aws:SourceArn": "arn:aws:sns:us-west-2:777788889999:T"},
            FALSE,
        ),
        ({"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-west-2:1:T"}}, ABSENT, FALSE),
        # ARN operators compare six parts; text operators compare one text.
        (
            {"StringLike": {"k": "arn:aws:someservice:*:111122223333:finance/*"}},
            {"k": "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/d"},
            TRUE,
        ),
        (
            {"ArnLike": {"k": "arn:aws:someservice:*:111122223333:finance/*"}},
            {"k": "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/d"},
            FALSE,
        ),
        ({"ArnLike": {"k": "arn:aws:s3:::b:*"}}, {"k": "arn:aws:s3:::b:c:d"}, TRUE),
        ({"ArnNotLike": {"k": "arn:aws:s3:::b*"}}, {"k": "arn:aws:s3:::b"}, FALSE),
        ({"ArnNotEquals": {"k": "arn:aws:s3:::b*"}}, {"k": "arn:aws:s3:::c"}, TRUE),
        ({"ArnLike": {"k": "*"}}, {"k": "arn:aws:s3:::b"}, TRUE),
        (DISTRIBUTIONS, {LOGS: ["arn:aws::cloudfront:123456789012:distribution/costcenter"]}, TRUE),
        (
            DISTRIBUTIONS,
            {
                LOGS: [
                    "arn:aws::cloudfront:123456789012:distribution/a",
                    "arn:aws::cloudfront:123456789012:distribution/support2025",
                ]
            },
            TRUE,
        ),
        (DISTRIBUTIONS, {LOGS: "arn:aws::cloudfront:777788889999:distribution/a"}, FALSE),
        (DISTRIBUTIONS, ABSENT, TRUE),
        (
            {"StringLikeIfExists": {"ec2:InstanceType": ["t1.*", "t2.*", "m3.*"]}},
            {"ec2:InstanceType": "t1.micro"},
            TRUE,
        ),
        (
            {"StringLikeIfExists": {"ec2:InstanceType": ["t1.*", "t2.*", "m3.*"]}},
            {"ec2:InstanceType": "m2.micro"},
            FALSE,
        ),
        ({"StringLikeIfExists": {"ec2:InstanceType": ["t1.*"]}}, ABSENT, TRUE),
        # "Multivalued context keys".
        (
            {"ForAllValues:StringLike": {"k": ATTRIBUTES}},
            {"k": ["PostDateTime", "Message"]},
            TRUE,
        ),
        (
            {"ForAllValues:StringLike": {"k": ATTRIBUTES}},
            {"k": ["PostDateTime", "UserName"]},
            FALSE,
        ),
        (
            {"ForAnyValue:StringLike": {"k": ["ID", "PostDateTime"]}},
            {"k": ["UserName", "Message", "PostDateTime"]},
            TRUE,
        ),
        ({"ForAnyValue:StringLike": {"k": ["ID", "PostDateTime"]}}, {"k": ["UserName"]}, FALSE),
        ({"ForAllValues:StringNotLike": {"k": "key1*"}}, {"k": ["key1:legal"]}, FALSE),
        ({"ForAllValues:StringNotLike": {"k": "key1*"}}, {"k": ["key1:a", "key2:b"]}, FALSE),
        ({"ForAllValues:StringNotLike": {"k": "key1*"}}, {"k": ["key2:audit"]}, TRUE),
        ({"ForAllValues:StringNotLike": {"k": "key1*"}}, ABSENT, TRUE),
        ({"ForAnyValue:StringNotLike": {"k": "key1*"}}, {"k": ["key1:a", "key2:b"]}, TRUE),
        ({"ForAnyValue:StringNotLike": {"k": "key1*"}}, {"k": ["key1:a"]}, FALSE),
        ({"ForAnyValue:StringNotEquals": {"k": "a"}}, ABSENT, FALSE),
        ({"ForAllValues:StringEquals": {"k": "a"}}, {"k": []}, TRUE),
        ({"ForAllValues:StringEquals": {"k": "a"}}, {"k": ""}, TRUE),
        ({"ForAnyValue:StringEquals": {"k": ""}}, {"k": ""}, FALSE),
        ({"ForAnyValue:StringEquals": {"k": "a"}}, {"k": "a"}, TRUE),
        ({"ForAnyValue:StringEqualsIfExists": {"k": "a"}}, ABSENT, UNKNOWN),
        ({"ForAllValues:Bool": {"k": "true"}}, {"k": [True, True]}, TRUE),
        # Missing keys, several values, keys without case.
        ({"StringNotEquals": {"k": "a"}}, ABSENT, TRUE),
        ({"StringNotEquals": {"k": ["a", "b"]}}, {"k": "b"}, FALSE),
        ({"StringNotEquals": {"k": ["a", "b"]}}, {"k": "c"}, TRUE),
        ({"StringEquals": {"k": ["a", "b"]}}, {"k": "b"}, TRUE),
        ({"StringEquals": {"AWS:UserName": "ann"}}, {"aws:username": "ann"}, TRUE),
        ({"StringEquals": {"k": "Ann"}}, {"k": "ann"}, FALSE),
        ({"StringNotEqualsIgnoreCase": {"k": "Ann"}}, {"k": "aNN"}, FALSE),
        ({"StringEquals": {"k": "a*"}}, {"k": "ab"}, FALSE),
        ({"StringEquals": {"k": "a*"}}, {"k": "a*"}, TRUE),
        ({"StringEquals": {"k": "a", "l": "b"}}, {"k": "a"}, FALSE),
        ({"StringEquals": {"k": "a"}, "Bool": {"l": "true"}}, {"k": "a", "l": "false"}, FALSE),
        ({"StringEquals": {"k": ["a"]}}, {"k": ["a"]}, TRUE),
        ({}, ABSENT, TRUE),
        ({"StringEquals": {}}, ABSENT, TRUE),
        # Null.
        ({"Null": {"k": "true"}}, ABSENT, TRUE),
        ({"Null": {"k": "true"}}, {"k": "a"}, FALSE),
        ({"Null": {"k": "false"}}, {"k": "a"}, TRUE),
        ({"Null": {"k": False}}, ABSENT, FALSE),
        ({"Null": {"k": "false"}}, {"k": None}, FALSE),
        ({"Null": {"k": "false"}}, {"k": []}, FALSE),
        ({"Null": {"k": "false"}}, {"k": ["a", "b"]}, TRUE),
        ({"Null": {"k": "false"}}, {"k": ["", "b"]}, TRUE),
        ({"Null": {"k": "false"}}, {"k": ""}, UNKNOWN),
        ({"Null": {"k": "true"}}, {"k": ["", ""]}, UNKNOWN),
        ({"Null": {"k": ["true", "false"]}}, {"k": ""}, TRUE),
        ({"ForAllValues:StringEquals": {"k": "a"}, "Null": {"k": "false"}}, {"k": ""}, UNKNOWN),
        # Numbers and dates.
        ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, {"s3:max-keys": 10}, TRUE),
        ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, {"s3:max-keys": "9"}, TRUE),
        ({"NumericLessThanEquals": {"s3:max-keys": 10}}, {"s3:max-keys": "10.01"}, FALSE),
        ({"NumericLessThan": {"k": "10"}}, {"k": "10"}, FALSE),
        ({"NumericGreaterThan": {"k": "9"}}, {"k": "10"}, TRUE),
        ({"NumericGreaterThanEquals": {"k": "10.0"}}, {"k": "10"}, TRUE),
        ({"NumericEquals": {"k": ["1", "10.0"]}}, {"k": "10"}, TRUE),
        ({"NumericNotEquals": {"k": ["1", "10.0"]}}, {"k": "10"}, FALSE),
        ({"NumericNotEquals": {"k": "1"}}, ABSENT, TRUE),
        (
            {"DateGreaterThan": {"k": "2020-01-01T00:00:01Z"}},
            {"k": "2020-01-01T00:00:02Z"},
            TRUE,
        ),
        ({"DateLessThan": {"k": "2020-01-01T00:00:01Z"}}, {"k": "1577836800"}, TRUE),
        ({"DateLessThanEquals": {"k": "1577836800"}}, {"k": "2020-01-01"}, TRUE),
        ({"DateGreaterThanEquals": {"k": "2020-01-02"}}, {"k": "2020-01-01"}, FALSE),
        ({"DateEquals": {"k": "2020-01-01T01:00:00+01:00"}}, {"k": "2020-01-01"}, TRUE),
        ({"DateNotEquals": {"k": "2020-01-01"}}, {"k": "2020-01-02"}, TRUE),
        ({"NotIpAddress": {"k": ["10.0.0.0/8", "192.168.0.0/16"]}}, {"k": "192.168.1.1"}, FALSE),
        ({"NotIpAddress": {"k": "10.0.0.0/8"}}, {"k": "8.8.8.8"}, TRUE),
        ({"NotIpAddress": {"k": "10.0.0.0/8"}}, ABSENT, TRUE),
        # What can't be compared: no Allow, and no way round a Deny.
        ({"NumericLessThan": {"k": "10"}}, {"k": "x"}, UNKNOWN),
        ({"NumericNotEquals": {"k": "10"}}, {"k": "1e1"}, UNKNOWN),
        ({"DateLessThan": {"k": "2020-01-01"}}, {"k": "2019"}, UNKNOWN),
        ({"Bool": {"k": "true"}}, {"k": "yes"}, UNKNOWN),
        ({"BoolIfExists": {"k": "true"}}, {"k": ""}, UNKNOWN),
        ({"IpAddress": {"k": "10.0.0.0/8"}}, {"k": "10.0.0.0/8"}, UNKNOWN),
        ({"NotIpAddress": {"k": "10.0.0.0/8"}}, {"k": "host"}, UNKNOWN),
        ({"BinaryEquals": {"k": "YQ=="}}, {"k": "~"}, UNKNOWN),
        ({"ArnLike": {"k": "arn:aws:s3:::b"}}, {"k": "b"}, UNKNOWN),
        ({"ArnNotLike": {"k": "arn:aws:s3:::b"}}, {"k": "b"}, UNKNOWN),
        ({"StringEquals": {"k": "a"}}, {"k": ["a", "b"]}, UNKNOWN),
        ({"StringNotEquals": {"k": "a"}}, {"k": ["c", "d"]}, UNKNOWN),
        ({"ForAllValues:NumericEquals": {"k": "1"}}, {"k": ["1", "x"]}, UNKNOWN),
        ({"ForAllValues:NumericEquals": {"k": "1"}}, {"k": ["2", "x"]}, FALSE),
        ({"ForAnyValue:NumericEquals": {"k": "1"}}, {"k": ["1", "x"]}, TRUE),
        ({"ForAnyValue:NumericEquals": {"k": "1"}}, {"k": ["2", "x"]}, UNKNOWN),
    ],
)
def test_conditions(
    block: dict[str, Any], context: dict[str, Any], expected: tuple[str, str]
) -> None:
    """True allows or denies; false does neither; what can't be told denies and never allows."""
    assert effects(block, context) == expected


EVERY_OPERATOR = {
    "StringEquals": "a",
    "StringNotEquals": "a",
    "StringEqualsIgnoreCase": "a",
    "StringNotEqualsIgnoreCase": "a",
    "StringLike": "a",
    "StringNotLike": "a",
    **{
        f"Numeric{name}": "1"
        for name in (
            "Equals",
            "NotEquals",
            "LessThan",
            "LessThanEquals",
            "GreaterThan",
            "GreaterThanEquals",
        )
    },
    **{
        f"Date{name}": "2026-01-01"
        for name in (
            "Equals",
            "NotEquals",
            "LessThan",
            "LessThanEquals",
            "GreaterThan",
            "GreaterThanEquals",
        )
    },
    "Bool": "true",
    "BinaryEquals": "YQ==",
    "IpAddress": "10.0.0.1",
    "NotIpAddress": "10.0.0.1",
    "ArnEquals": "arn:aws:s3:::b",
    "ArnNotEquals": "arn:aws:s3:::b",
    "ArnLike": "arn:aws:s3:::b",
    "ArnNotLike": "arn:aws:s3:::b",
}


@pytest.mark.parametrize(("name", "value"), EVERY_OPERATOR.items())
def test_every_operator_without_its_key(name: str, value: str) -> None:
    """A key that is not there: false, true where negated, true with IfExists; sets likewise."""
    absent = TRUE if "Not" in name else FALSE
    assert effects({name: {"k": value}}, {}) == absent
    assert effects({f"{name}IfExists": {"k": value}}, {}) == TRUE
    assert effects({f"ForAllValues:{name}": {"k": value}}, {}) == TRUE
    assert effects({f"ForAnyValue:{name}": {"k": value}}, {}) == FALSE


@pytest.mark.parametrize(("name", "value"), EVERY_OPERATOR.items())
def test_every_operator_on_its_own_value(name: str, value: str) -> None:
    """The same value on both sides: equal, or not less and not greater."""
    same = FALSE if "Not" in name or name.endswith("Than") else TRUE
    for written in (name, f"{name}IfExists", f"ForAllValues:{name}", f"ForAnyValue:{name}"):
        assert effects({written: {"k": value}}, {"k": value}) == same


@pytest.mark.parametrize(
    ("block", "place", "reason"),
    [
        ({"StringMatches": {"k": "a"}}, "StringMatches", "no condition operator"),
        ({"stringequals": {"k": "a"}}, "stringequals", "write StringEquals"),
        ({"StringEqualsIfExist": {"k": "a"}}, "StringEqualsIfExist", "no condition operator"),
        ({"ForSomeValues:StringEquals": {"k": "a"}}, "ForSomeValues", "no condition operator"),
        ({"NullIfExists": {"k": "true"}}, "NullIfExists", "Null takes neither"),
        ({"ForAllValues:Null": {"k": "true"}}, "ForAllValues:Null", "Null takes neither"),
        ({"Null": {"k": "yes"}}, "Null.k", "true or false"),
        ({"Null": {"k": "${k:bool}"}}, "Null.k", "true or false"),
        ({"Bool": {"k": "yes"}}, "Bool.k", "true or false"),
        ({"NumericEquals": {"k": "many"}}, "NumericEquals.k", "'many' is not a number"),
        ({"NumericEquals": {"k": "1e3"}}, "NumericEquals.k", "not a number"),
        ({"NumericLessThan": {"k": "${k:n}"}}, "NumericLessThan.k", "policy variable"),
        ({"DateEquals": {"k": "tomorrow"}}, "DateEquals.k", "not a date"),
        ({"DateEquals": {"k": "2026"}}, "DateEquals.k", "a year alone could be both"),
        ({"DateEquals": {"k": "2026-*"}}, "DateEquals.k", "not a date"),
        ({"IpAddress": {"k": "10.0.0.0/33"}}, "IpAddress.k", "not an IP address"),
        ({"NotIpAddress": {"k": ["10.0.0.1", "home"]}}, "NotIpAddress.k", "'home'"),
        ({"BinaryEquals": {"k": "~"}}, "BinaryEquals.k", "not base64"),
        ({"ArnLike": {"k": "arn:aws:s3"}}, "ArnLike.k", "six parts"),
        ({"ArnEquals": {"k": "bucket"}}, "ArnEquals.k", "six parts"),
        ({"StringEquals": {"k": []}}, "StringEquals.k", "empty"),
        ({"StringEquals": {"k": None}}, "StringEquals.k", "no value"),
        ({"StringEquals": {"k": {"l": "a"}}}, "StringEquals.k", "no value"),
        ({"StringEquals": {"k": ["a", ["b"]]}}, "StringEquals.k", "no value"),
        ({"StringEquals": "a"}, "StringEquals", "no object"),
        ({"StringEquals": {"": "a"}}, "StringEquals", "no context key"),
        ({"StringEquals": {"k/${aws:username}": "a"}}, "StringEquals", "no context key"),
        ({"StringEquals": {"k": "a", "K": "b"}}, "StringEquals", "twice"),
        ({"StringEquals": {"k": "${aws:username"}}, "StringEquals.k", "never closes"),
        ({"StringLike": {"k": "${aws:user name}"}}, "StringLike.k", "not one that AWS takes"),
        ({"StringLike": {"k": "${aws:username, x}"}}, "StringLike.k", "not one that AWS takes"),
        ({"StringLike": {"k": "${}"}}, "StringLike.k", "not one that AWS takes"),
        ([], "Condition", "no object"),
        ("a", "Condition", "no object"),
    ],
)
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_what_can_not_be_read_is_refused(block: Any, place: str, reason: str, effect: str) -> None:
    """A condition that is not understood is no policy: the message says where and why."""
    statement = {"Effect": effect, "Action": "*", "Resource": "*", "Condition": block}
    good = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [good, good, statement]}
    with pytest.raises(DefinitionError) as caught:
        Policy.from_document(document)
    assert "Statement[2].Condition" in str(caught.value)
    assert place in str(caught.value)
    assert reason in str(caught.value)


def test_a_deny_is_refused_where_it_is_written() -> None:
    """deny() reads its condition at once, not when a role is made of it."""
    with pytest.raises(DefinitionError, match=r"deny\(…\)\.Condition\.NumericLessThan\.k"):
        deny("s3:*", on="*", when={"NumericLessThan": {"k": "many"}})


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        ({"k": object()}, "no text in IAM"),
        ({"k": float("nan")}, "no text in IAM"),
        ({"k": [["a"]]}, "no text in IAM"),
        ({1: "a"}, "no str"),
        ({"k": "a", "K": "b"}, "given twice"),
    ],
)
def test_a_context_that_is_none_is_refused(context: dict[Any, Any], reason: str) -> None:
    """A request value that has no text decides nothing."""
    with pytest.raises(DefinitionError, match=reason):
        simulate("s3:GetObject", "*", context, identity=[])
