"""Policy documents: what is taken, what is refused and where, and that nothing is lost."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from attrs import evolve

from faaskit.exceptions import DefinitionError
from faaskit.iam import Policy, Statement, allow, deny, simulate

GOOD = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
BAN = GOOD | {"Effect": "Deny"}
ROLE = "arn:aws:iam::123456789012:role/R"


def without(name: str) -> dict[str, Any]:
    """Return a good statement that lacks an element."""
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    "document",
    [
        {"Version": "2012-10-17", "Statement": [GOOD]},
        {"Version": "2008-10-17", "Id": "an id", "Statement": GOOD},
        {"Statement": [GOOD | {"Sid": "A1"}, GOOD | {"Sid": ""}, GOOD | {"Sid": ""}]},
        {"Statement": [without("Action") | {"NotAction": ["s3:Put*", "*"]}]},
        {"Statement": [without("Resource") | {"NotResource": ["*"]}]},
        {"Statement": [GOOD | {"Principal": "*", "Sid": "a name, in full"}]},
        {"Statement": [BAN | {"NotPrincipal": {"AWS": [ROLE, "123456789012"]}}]},
        {
            "Statement": [
                GOOD
                | {
                    "Principal": {
                        "AWS": ["*", "arn:aws-cn:iam::123456789012:root"],
                        "Service": "lambda.amazonaws.com",
                        "Federated": "accounts.google.com",
                        "CanonicalUser": "79a59df900b949e55d96a1e698fbace",
                    }
                }
            ]
        },
        {"Statement": [GOOD | {"Condition": {"Bool": {"k": True}, "NumericEquals": {"l": [1]}}}]},
        {"Statement": [GOOD | {"Condition": {}}]},
    ],
)
def test_documents_round_trip(document: dict[str, Any]) -> None:
    """What is legal comes out as it went in, from a dict and from JSON, and is the same policy."""
    before = copy.deepcopy(document)
    policy = Policy.from_document(document)
    assert policy.to_document() == before
    assert Policy.from_document(json.dumps(document)).to_document() == before
    assert Policy.from_document(policy.to_document()) == policy
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert copy.deepcopy(policy).to_document() == before
    assert hash(policy) == hash(Policy.from_document(before))


def test_a_policy_is_no_window_on_its_document() -> None:
    """Neither the document that went in nor one that came out changes the policy."""
    document: dict[str, Any] = {"Statement": [copy.deepcopy(GOOD) | {"Action": ["s3:GetObject"]}]}
    policy = Policy.from_document(document)
    document["Statement"][0]["Action"].append("s3:*")
    policy.to_document()["Statement"][0]["Action"].append("s3:*")
    assert policy.to_document()["Statement"][0]["Action"] == ["s3:GetObject"]


def test_decimals_of_json_are_exact() -> None:
    """A number in JSON is the decimal that is written there, not the nearest float."""
    text = (
        '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*",'
        ' "Condition": {"NumericEquals": {"k": 0.1000000000000000000001}}}}'
    )
    identity = [Policy.from_document(text)]
    assert simulate("s3:Get", "*", {"k": "0.1000000000000000000001"}, identity)
    assert not simulate("s3:Get", "*", {"k": "0.1"}, identity)


@pytest.mark.parametrize(
    ("statement", "place", "reason"),
    [
        (None, "Statement[1]", "no statement"),
        ("Allow", "Statement[1]", "no statement"),
        ({}, "Statement[1].Effect", "no effect"),
        (without("Effect"), "Statement[1].Effect", "None is no effect"),
        (GOOD | {"Effect": "allow"}, "Statement[1].Effect", "'allow' is no effect"),
        (GOOD | {"Effect": ["Allow"]}, "Statement[1].Effect", "no effect"),
        (without("Effect") | {"effect": "Allow"}, "Statement[1].effect", "write Effect"),
        (GOOD | {"Efect": "Deny"}, "Statement[1].Efect", "no element"),
        (without("Action"), "Statement[1]", "neither Action nor NotAction"),
        (GOOD | {"NotAction": "s3:*"}, "Statement[1]", "Action and NotAction"),
        (GOOD | {"Action": []}, "Statement[1].Action", "empty"),
        (GOOD | {"Action": ""}, "Statement[1].Action", "no action"),
        (GOOD | {"Action": "GetObject"}, "Statement[1].Action", "write service:Name"),
        (GOOD | {"Action": "s*:GetObject"}, "Statement[1].Action", "no action"),
        (GOOD | {"Action": "*:*"}, "Statement[1].Action", "no action"),
        (GOOD | {"Action": "s3:Get Object"}, "Statement[1].Action", "no action"),
        (GOOD | {"Action": "s3:${aws:username}"}, "Statement[1].Action", "no action"),
        (GOOD | {"Action": "s3:GetObject\n"}, "Statement[1].Action", "no action"),
        (GOOD | {"Action": ["s3:Get", 1]}, "Statement[1].Action", "1 is no string"),
        (GOOD | {"Action": {"s3:Get": 1}}, "Statement[1].Action", "no string"),
        (without("Action") | {"NotAction": "x"}, "Statement[1].NotAction", "no action"),
        (without("Resource"), "Statement[1]", "neither Resource nor NotResource"),
        (GOOD | {"NotResource": "*"}, "Statement[1]", "Resource and NotResource"),
        (GOOD | {"Resource": []}, "Statement[1].Resource", "empty"),
        (GOOD | {"Resource": "b/*"}, "Statement[1].Resource", "write an ARN"),
        (GOOD | {"Resource": ["*", ""]}, "Statement[1].Resource", "not a resource"),
        (GOOD | {"Resource": None}, "Statement[1].Resource", "None is no string"),
        (without("Resource") | {"NotResource": "b"}, "Statement[1].NotResource", "not a resource"),
        (GOOD | {"Sid": "not ok"}, "Statement[1].Sid", "letters and digits"),
        (GOOD | {"Sid": 1}, "Statement[1].Sid", "no Sid"),
        (GOOD | {"Sid": "First"}, "Statement[1].Sid", "twice"),
        (GOOD | {"Principal": []}, "Statement[1].Principal", "names no principal"),
        (GOOD | {"Principal": {}}, "Statement[1].Principal", "names no principal"),
        (GOOD | {"Principal": ROLE}, "Statement[1].Principal", "names no principal"),
        (GOOD | {"Principal": {"aws": "*"}}, "Statement[1].Principal.aws", "no type"),
        (GOOD | {"Principal": {"AWS": []}}, "Statement[1].Principal.AWS", "empty"),
        (GOOD | {"Principal": {"AWS": 123456789012}}, "Statement[1].Principal.AWS", "a string"),
        (GOOD | {"Principal": {"AWS": "12345678901"}}, "Statement[1].Principal.AWS", "none that"),
        (
            GOOD | {"Principal": {"AWS": "arn:aws:iam::123456789012:user/*"}},
            "Statement[1].Principal.AWS",
            "wildcard",
        ),
        (
            GOOD | {"Principal": {"AWS": "arn:aws:iam::123456789012:group/g"}},
            "Statement[1].Principal.AWS",
            "none that AWS knows",
        ),
        (
            GOOD | {"Principal": {"AWS": "arn:aws:sts::123456789012:assumed-role/R"}},
            "Statement[1].Principal.AWS",
            "none that AWS knows",
        ),
        (
            GOOD | {"Principal": {"AWS": "arn:aws:iam::123456789012:role/"}},
            "Statement[1].Principal.AWS",
            "none that AWS knows",
        ),
        (
            GOOD | {"Principal": {"AWS": "AIDACKCEVSQ6C2EXAMPLE"}},
            "Statement[1].Principal.AWS",
            "none that AWS knows",
        ),
        (GOOD | {"Principal": {"Service": "*"}}, "Statement[1].Principal.Service", "wildcard"),
        (
            GOOD | {"Principal": {"Service": "lambda"}},
            "Statement[1].Principal.Service",
            "no service principal",
        ),
        (BAN | {"NotPrincipal": "*"}, "Statement[1].NotPrincipal", "names no principal"),
        (BAN | {"NotPrincipal": {"AWS": "*"}}, "Statement[1].NotPrincipal.AWS", "nobody"),
        (
            GOOD | {"Principal": "*", "NotPrincipal": {"AWS": ROLE}},
            "Statement[1]",
            "Principal and NotPrincipal",
        ),
    ],
)
def test_malformed_statements_are_refused(statement: Any, place: str, reason: str) -> None:
    """The message has the path of what is wrong, and the reason; from JSON just as well."""
    document = {"Version": "2012-10-17", "Statement": [GOOD | {"Sid": "First"}, statement]}
    for given in (document, json.dumps(document)):
        with pytest.raises(DefinitionError) as caught:
            Policy.from_document(given)
        assert f"at {place}: " in str(caught.value)
        assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "no Statement"),
        ({"Version": "2012-10-17"}, "no Statement"),
        ({"Version": "2012-10-18", "Statement": [GOOD]}, "Version: '2012-10-18'"),
        ({"Version": ["2012-10-17"], "Statement": [GOOD]}, "Version: "),
        ({"Version": None, "Statement": [GOOD]}, "Version: None"),
        ({"version": "2012-10-17", "Statement": [GOOD]}, "'version' is no element"),
        ({"Statement": [GOOD], "Statements": []}, "'Statements' is no element"),
        ({"Id": 1, "Statement": [GOOD]}, "Id: 1"),
        ({"Statement": None}, "Statement: None"),
        ({"Statement": "Allow"}, "Statement: 'Allow'"),
        ({"Statement": without("Effect")}, "Statement.Effect: "),
        ([GOOD], "list is no policy"),
        (None, "NoneType is no policy"),
        (b"{}", "bytes is no policy"),
        ("", "no JSON"),
        ("{'Statement': []}", "no JSON"),
        ("[]", "list is no policy"),
        ('"Allow"', "str is no policy"),
        ("[" * 100_000, "nested too deep"),
        ('{"Statement": NaN}', "NaN is no JSON"),
        (
            '{"Statement": {"Effect": "Deny", "Effect": "Allow", "Action": "*", "Resource": "*"}}',
            "'Effect' is there twice",
        ),
        ('{"Statement": [], "Statement": []}', "'Statement' is there twice"),
    ],
)
def test_malformed_documents_are_refused(document: Any, reason: str) -> None:
    """What is no policy document is no policy."""
    with pytest.raises(DefinitionError) as caught:
        Policy.from_document(document)
    assert reason in str(caught.value)


def test_policies_are_made_of_statements() -> None:
    """In Python the version is the one with variables, and only statements are taken."""
    policy = Policy(statements=[allow("s3:Get*", on="*"), deny("s3:*", on="*")], id="mine")
    assert policy.to_document() == {
        "Version": "2012-10-17",
        "Id": "mine",
        "Statement": [
            {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"},
            {"Effect": "Deny", "Action": "s3:*", "Resource": "*"},
        ],
    }
    assert Policy(allow("s3:Get*", on="*")).statements == (allow("s3:Get*", on="*"),)
    with pytest.raises(DefinitionError, match=r"Statement\[0\].*allow\(\)"):
        Policy(statements=[GOOD])
    with pytest.raises(DefinitionError, match="Version"):
        Policy(statements=(), version="2020-01-01")
    with pytest.raises(DefinitionError, match="Id"):
        Policy(statements=(), id=1)  # type: ignore[arg-type]


def test_an_evolved_policy_keeps_every_statement() -> None:
    """A document with one bare statement, evolved to two, is written with both."""
    policy = Policy.from_document({"Statement": GOOD})
    more = evolve(policy, statements=(*policy.statements, deny("s3:*", on="*")))
    assert [one["Effect"] for one in more.to_document()["Statement"]] == ["Allow", "Deny"]


def test_statements_are_checked_where_they_are_made() -> None:
    """A Statement that IAM does not take is none, with AWS's names or Python's."""
    statement = Statement(effect="Allow", not_action=("s3:Put*",), not_resource="arn:aws:s3:::b")
    assert statement.to_document() == {
        "Effect": "Allow",
        "NotAction": ["s3:Put*"],
        "NotResource": "arn:aws:s3:::b",
    }
    with pytest.raises(DefinitionError, match=r"the statement\.Resource"):
        Statement(effect="Allow", action="s3:Get", resource="b")


def test_equality_is_by_content() -> None:
    """The order of keys means nothing, the order of a list stays."""
    one = {"StringEquals": {"a": "1", "b": "2"}, "Bool": {"c": "true"}}
    other = {"Bool": {"c": "true"}, "StringEquals": {"b": "2", "a": "1"}}
    first, second = allow("s3:Get", on="*", when=one), allow("s3:Get", on="*", when=other)
    assert first == second
    assert hash(first) == hash(second)
    assert first != allow("s3:Get", on="*")
    assert allow("s3:A", "s3:B", on="*") != allow("s3:B", "s3:A", on="*")
