"""
Policy documents that IAM refuses, by moto's validator, whose rules come from IAM's own answers.

What the validator refuses, faaskit refuses (but for `arn:aws:iam::*:root` and the jobs of S3, which
it does not know), so that no Deny is taken that IAM would not have
taken and that never denies. The other way round faaskit refuses more; those are listed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.iam.exceptions import MalformedPolicyDocument
from moto.iam.policy_validation import (
    IAMPolicyDocumentValidator,
    IAMTrustPolicyDocumentValidator,
)

from faaskit.exceptions import DefinitionError
from faaskit.iam import Policy, Role

ACCOUNT = "111122223333"
many = settings(max_examples=400, deadline=None)


def is_taken_by_moto(document: dict[str, Any], *, trust: bool = False) -> bool:
    """Return whether moto's validator takes a document."""
    validator = IAMTrustPolicyDocumentValidator if trust else IAMPolicyDocumentValidator
    try:
        validator(json.dumps(document)).validate()
    except MalformedPolicyDocument:
        return False
    return True


def is_taken(document: dict[str, Any], *, trust: bool = False) -> bool:
    """Return whether faaskit takes it."""
    try:
        if trust:
            Role("R", trust=document)
        else:
            Role("R", [Policy.from_document(document)])
    except DefinitionError:
        return False
    return True


def policy(**elements: Any) -> dict[str, Any]:
    """Return a policy of one statement with some elements changed; None takes one out."""
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"} | elements
    kept = {name: value for name, value in statement.items() if value is not None}
    return {"Version": "2012-10-17", "Statement": kept}


fields = st.sampled_from(
    ["", "*", "aws", "aws-cn", "gcp", "s3", "iam", "sqs", "s3*", "us-east-1", ACCOUNT, "b", "b/k"]
)
fields |= st.sampled_from(["role/R", "user/*", "u*", "accesspoint/a", "x:y", "?"])
arns = st.lists(fields, min_size=1, max_size=7).map(lambda parts: ":".join(["arn", *parts]))
near_arns = st.builds(
    "arn:{}:{}:{}:{}:{}".format,
    st.sampled_from(["aws", "aws", "aws", "*", "aws-us-gov"]),
    st.sampled_from(["s3", "iam", "sqs", "lambda", "s3", "iam"]),
    st.sampled_from(["", "", "*", "us-east-1"]),
    st.sampled_from(["", ACCOUNT, "*"]),
    fields,
)
cut_arns = st.tuples(near_arns, st.integers(1, 3)).map(
    lambda pair: ":".join(part for part in pair[0].split(":")[: -pair[1]])
)
resources = st.one_of(arns, near_arns, near_arns, cut_arns, st.sampled_from(["*", "", "b", "a:b"]))
actions = st.sampled_from(
    ["s3:GetObject", "s3:*", "*", "s3", "", "s3:Get:Object", "s 3:Get", "iam:a b", "s3.s:X", "*:*"]
)
dates = st.one_of(
    st.sampled_from(
        ["2026-01-31", "2026-13-01", "2026-01-31T00:00:00Z", "soon", "2026-01-31T25:00Z"]
    ),
    st.integers(-(2**65), 2**65).map(str),
)
FEW: Callable[..., Any] = lambda one: one | st.lists(one, max_size=2)  # noqa: E731
mutations: list[st.SearchStrategy[dict[str, Any]]] = [
    FEW(resources).map(lambda value: {"Resource": value}),
    FEW(resources).map(lambda value: {"NotResource": value, "Resource": None}),
    FEW(actions).map(lambda value: {"Action": value}),
    FEW(actions).map(lambda value: {"NotAction": value, "Action": None}),
    FEW(dates).map(lambda value: {"Condition": {"DateLessThan": {"k": value}}}),
    st.sampled_from(["Allow", "Deny", "allow", "DENY", "", None]).map(lambda one: {"Effect": one}),
    st.sampled_from(
        [
            {"Condition": []},
            {"Condition": "a"},
            {"Condition": {"a": "b"}},
            {"Condition": {"x": {"a": "1"}}},
            {"Condition": {"DateGreaterThan": []}},
            {"Condition": {"DateGreaterThan": {"a": {}}}},
            {"Condition": {"ForAnyValue::StringEqualsIfExists": {"a": "b"}}},
            {"Condition": {"ForAnyValue:StringEqualsIfExists": {"a": "b"}}},
            {"Sid": {}},
            {"Sid": []},
            {"Extra": 1},
            {"NotAction": "s3:*"},
            {"NotResource": "*"},
            {"Action": None},
            {"Resource": None},
            {"Resource": {"a": "*"}},
            {"Action": [[]]},
            {},
        ]
    ),
]
documents = st.builds(
    lambda first, second: policy(**{**first, **second}), st.one_of(mutations), st.one_of(mutations)
)


@many
@given(documents)
def test_what_iam_refuses_is_refused(document: dict[str, Any]) -> None:
    """No document is taken that moto's validator refuses in IAM's words."""
    if not is_taken_by_moto(document):
        assert not is_taken(document)


@many
@given(resources)
def test_what_iam_takes_as_a_resource_is_taken(resource: str) -> None:
    """But for what faaskit knows to match nothing, or to be refused by IAM today."""
    if not is_taken_by_moto(policy(Resource=resource)) or is_taken(policy(Resource=resource)):
        return
    prefix, _, service, *rest = [*resource.split(":", 5), "", "", ""][:6]
    assert (
        prefix != "arn"  # IAM's own message asks for "ARN format"; moto looks for a colon
        or not service
        or "*" in service  # "cannot contain regexes"
        or "?" in service
        or rest[-1] == ""  # an ARN of nothing
        or (service == "s3" and "accesspoint/" not in resource)
        or service == "iam"
    )


@many
@given(
    FEW(
        st.sampled_from(
            ["sts:AssumeRole", "sts:TagSession", "sts:*", "*", "s3:Get", "sts:AssumeRole*", "sts:X"]
        )
    ),
    st.sampled_from([{}, {"Resource": "*"}, {"NotResource": "*"}, {"Sid": "a"}]),
    st.sampled_from(["Action", "Action", "NotAction"]),
)
def test_what_iam_refuses_as_a_trust_policy_is_refused(
    value: Any, more: dict[str, Any], element: str
) -> None:
    """Actions are named in full, and there is no resource."""
    elements = {"Resource": None, "Action": None, "Principal": {"AWS": ACCOUNT}, element: value}
    trust = policy(**{**elements, **more})
    if not is_taken_by_moto(trust, trust=True):
        assert not is_taken(trust, trust=True)


@pytest.mark.parametrize(
    "elements",
    [
        {"Action": "s3:Get,Put"},
        {"Action": "iam: a b "},
        {"Action": "s3.s:X"},
        {"Condition": {"DateGreaterThan": {"a": []}}},
        {"Condition": {"DateGreaterThan": {"a": "01T"}}},
        {"Condition": {"DateLessThan": {"a": "-292275054"}}},
        {"Condition": {"a": {}}},
    ],
)
def test_documents_that_never_match_are_refused_beyond_iam(elements: dict[str, Any]) -> None:
    """IAM takes them, and a Deny with one would deny nothing: more likely a mistake."""
    assert is_taken_by_moto(policy(**elements))
    assert not is_taken(policy(**elements))


@pytest.mark.parametrize(
    "elements",
    [
        {"Resource": "arn:aws:fdsasf"},
        {"Resource": "arn:aws:invalid-service:us-east-1::b"},
        {"Resource": "arn:aws:iam:::user/b"},
        {"Condition": {}},
        {"Condition": {"DateGreaterThan": {}}},
        {"Condition": {"DateLessThanEquals": {"a": "2016-12-13T21:20:37.593194+00:00"}}},
        {"NotAction": "s3:ListBucket", "Action": None, "NotResource": "*", "Resource": None},
        {"Action": "service-prefix:action-name"},
    ],
)
def test_documents_that_iam_takes_are_taken(elements: dict[str, Any]) -> None:
    """Odd, and legal."""
    assert is_taken_by_moto(policy(**elements))
    assert is_taken(policy(**elements))
