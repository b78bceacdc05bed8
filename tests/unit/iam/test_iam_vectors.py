"""
Cases that other evaluators of IAM's language test themselves by, decided here.

They are facts, put in this suite's words: of iam-simulate's tests those on boundaries, session
policies, KMS keys, trust of services, reserved roles, actions without a resource, and set
operators; of PMapper's those on matching; of ceph's s3-tests the NotPrincipal one. Where AWS's
documentation says otherwise than a project, the case is at the end, with its page.
"""

from __future__ import annotations

from typing import Any

import pytest

from faaskit.exceptions import DefinitionError
from faaskit.iam import simulate

A = "123456789012"
OBJECT, KEY = "arn:aws:s3:::mybucket/testobject", f"arn:aws:kms:us-east-1:{A}:key/1234"
USER, ROLE = f"arn:aws:iam::{A}:user/test-user", f"arn:aws:iam::{A}:role/test-role"
SESSION = f"arn:aws:sts::{A}:assumed-role/test-role/session-name"
SERVICE_ROLE = f"arn:aws:iam::{A}:role/aws-service-role/test-role"
RESERVED = f"arn:aws:iam::{A}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_99"


def policy(effect: str, action: Any, resource: Any = "*", **elements: Any) -> dict[str, Any]:
    """Return a policy of one statement; a resource of None is left out."""
    statement = {"Effect": effect, "Action": action, "Resource": resource, **elements}
    kept = {name: value for name, value in statement.items() if value is not None}
    return {"Version": "2012-10-17", "Statement": [kept]}


def to(principal: str, action: str = "s3:GetObject", resource: str | None = OBJECT) -> Any:
    """Return a resource-based policy that allows a principal."""
    kind = "Service" if principal.endswith(".com") else "AWS"
    return policy("Allow", action, resource, Principal={kind: principal})


ALL, OTHER = policy("Allow", "*"), policy("Allow", "ec2:*")
READ, NO_READ = policy("Allow", "s3:GetObject", OBJECT), policy("Deny", "s3:GetObject", OBJECT)
S3, NO_S3 = policy("Allow", "s3:*"), policy("Deny", "s3:*")
BOUNDARIES = [
    ("Allow", ROLE, [READ], S3, None),
    ("ImplicitDeny", ROLE, [READ], OTHER, None),
    ("ExplicitDeny", ROLE, [NO_READ], S3, None),
    ("ExplicitDeny", ROLE, [NO_READ], NO_S3, None),
    ("ImplicitDeny", ROLE, [], S3, None),
    ("ExplicitDeny", ROLE, [], NO_S3, to(ROLE)),
    ("ExplicitDeny", SESSION, [], NO_S3, to(ROLE)),
    ("ExplicitDeny", SESSION, [], NO_S3, to(SESSION)),
    ("ImplicitDeny", ROLE, [], OTHER, to(ROLE)),
    ("ImplicitDeny", SESSION, [], OTHER, to(ROLE)),
    ("Allow", SESSION, [], OTHER, to(SESSION)),
    ("Allow", USER, [], OTHER, to(USER)),
]


@pytest.mark.parametrize(("effect", "principal", "identity", "boundary", "there"), BOUNDARIES)
def test_boundaries_decide_as_in_other_suites(
    effect: str, principal: str, identity: list[Any], boundary: Any, there: Any
) -> None:
    """In one account, with and without a policy of the bucket."""
    policies: dict[str, Any] = {"boundary": boundary, "resource_policy": there}
    asked = simulate("s3:GetObject", OBJECT, None, identity, principal=principal, **policies)
    assert asked.effect == effect


SESSIONS = [
    ("Allow", [READ], ALL, None),
    ("ImplicitDeny", [], ALL, None),
    ("ImplicitDeny", [READ], OTHER, None),
    ("ExplicitDeny", [READ], policy("Deny", "s3:GetObject"), None),
    ("ImplicitDeny", [], OTHER, to(ROLE)),
    ("ExplicitDeny", [], policy("Deny", "s3:GetObject"), to(ROLE)),
]


@pytest.mark.parametrize(("effect", "identity", "session", "there"), SESSIONS)
def test_session_policies_decide_as_in_other_suites(
    effect: str, identity: list[Any], session: Any, there: Any
) -> None:
    """A session of a role, with and without a policy of the bucket."""
    policies: dict[str, Any] = {"session": session, "resource_policy": there}
    asked = simulate("s3:GetObject", OBJECT, None, identity, principal=SESSION, **policies)
    assert asked.effect == effect


DESCRIBE, NO_DESCRIBE = (policy(one, "kms:DescribeKey", KEY) for one in ("Allow", "Deny"))
KEYS = [
    ("ImplicitDeny", [], None),
    ("ImplicitDeny", [], to(f"arn:aws:iam::{A}:user/other-user", "kms:DescribeKey", "*")),
    ("ImplicitDeny", [DESCRIBE], None),
    ("ImplicitDeny", [], to(f"arn:aws:iam::{A}:root", "kms:DescribeKey", "*")),
    ("ImplicitDeny", [], to(A, "kms:DescribeKey", "*")),
    ("Allow", [], to(USER, "kms:DescribeKey", KEY)),
    ("Allow", [DESCRIBE], to(f"arn:aws:iam::{A}:root", "kms:DescribeKey", "*")),
    ("ExplicitDeny", [NO_DESCRIBE], to(f"arn:aws:iam::{A}:root", "kms:DescribeKey", "*")),
    (
        "ExplicitDeny",
        [DESCRIBE],
        policy("Deny", "kms:DescribeKey", Principal={"AWS": f"arn:aws:iam::{A}:root"}),
    ),
]


@pytest.mark.parametrize(("effect", "identity", "there"), KEYS)
def test_keys_decide_as_in_other_suites(effect: str, identity: list[Any], there: Any) -> None:
    """The key's policy must allow, directly or by its account."""
    asked: dict[str, Any] = {"identity": identity, "resource_policy": there, "principal": USER}
    assert simulate("kms:DescribeKey", KEY, **asked).effect == effect


@pytest.mark.parametrize(
    ("effect", "action", "resource", "there"),
    [
        ("Allow", "sts:AssumeRole", SERVICE_ROLE, "lambda.amazonaws.com"),
        ("ImplicitDeny", "sts:AssumeRole", SERVICE_ROLE, "logs.amazonaws.com"),
        ("ImplicitDeny", "s3:GetObject", OBJECT, None),
    ],
)
def test_services_decide_as_in_other_suites(
    effect: str, action: str, resource: str, there: str | None
) -> None:
    """A service needs to be named by the resource's policy."""
    named = None if there is None else to(there, action, None)
    asked: dict[str, Any] = {"principal": "lambda.amazonaws.com", "resource_policy": named}
    assert simulate(action, resource, **asked).effect == effect


@pytest.mark.parametrize(
    "name",
    [
        "AttachRolePolicy",
        "CreateRole",
        "CreateServiceLinkedRole",
        "DeleteRole",
        "DeleteRolePermissionsBoundary",
        "DeleteRolePolicy",
        "DeleteServiceLinkedRole",
        "DetachRolePolicy",
        "PassRole",
        "PutRolePermissionsBoundary",
        "PutRolePolicy",
        "TagRole",
        "UntagRole",
        "UpdateAssumeRolePolicy",
        "UpdateRole",
        "UpdateRoleDescription",
    ],
)
def test_reserved_roles_are_not_changed(name: str) -> None:
    """Whatever the caller's policies allow; any other role may be changed."""
    asked: dict[str, Any] = {"identity": [ALL], "principal": USER}
    decision = simulate(f"iam:{name}", RESERVED, **asked)
    assert decision.effect == "ImplicitDeny"
    assert "/aws-reserved/ are AWS's" in decision.reason
    assert simulate(f"iam:{name}", ROLE, **asked).effect == "Allow"
    assert simulate("iam:GetRole", RESERVED, **asked).effect == "Allow"


@pytest.mark.parametrize(
    ("effect", "elements"),
    [
        ("Allow", {"NotResource": "arn:aws:s3:::my-bucket"}),
        ("ImplicitDeny", {"NotResource": "*"}),
        ("ImplicitDeny", {"Resource": ["arn:aws:s3:::one", "arn:aws:s3:::two/*"]}),
        ("Allow", {"Resource": ["arn:aws:s3:::one", "*"]}),
    ],
)
def test_action_without_a_resource_needs_a_star(effect: str, elements: dict[str, Any]) -> None:
    """It is asked about "*", which no ARN matches."""
    one = policy("Allow", "s3:ListAllMyBuckets", None, **elements)
    assert simulate("s3:ListAllMyBuckets", "*", identity=[one], principal=USER).effect == effect


@pytest.mark.parametrize(("value", "effect"), [("o-a", "Allow"), ("o-z", "ImplicitDeny")])
def test_set_operator_takes_a_key_of_one_value(value: str, effect: str) -> None:
    """ForAllValues on aws:PrincipalOrgID is misuse, and works."""
    when = {"ForAllValues:StringEquals": {"aws:PrincipalOrgID": ["o-a", "o-b"]}}
    one = policy("Allow", "*", Condition=when)
    asked = simulate("s3:ListBucket", "arn:aws:s3:::b", {"aws:PrincipalOrgId": value}, [one])
    assert asked.effect == effect


MATCHES = [
    (True, {"Action": ["ec2:RunInstances", "s3:*", "iam:Get*"]}, "ec2:RunInstances", "*"),
    (True, {"Action": ["ec2:RunInstances", "s3:*", "iam:Get*"]}, "iam:GetRole", "*"),
    (False, {"Action": ["ec2:RunInstances", "s3:*", "iam:Get*"]}, "ec2:DescribeInstances", "*"),
    (False, {"Action": ["ec2:RunInstances", "s3:*", "iam:Get*"]}, "iam:PutRolePolicy", "*"),
    (False, {"NotAction": "*", "Action": None}, "iam:GetRole", "*"),
    (False, {"NotAction": ["iam:*", "s3:Put*"], "Action": None}, "s3:PutObject", "*"),
    (True, {"NotAction": ["iam:*", "s3:Put*"], "Action": None}, "ec2:RunInstances", "*"),
    (True, {"Resource": ["arn:aws:s3:::bucket/*"]}, "s3:X", "arn:aws:s3:::bucket/anything"),
    (True, {"Resource": ["arn:aws:s3:::*/object"]}, "s3:X", "arn:aws:s3:::anything/object"),
    (True, {"Resource": "arn:aws:s3:::${aws:SourceAccount}/w"}, "s3:X", f"arn:aws:s3:::{A}/w"),
    (
        False,
        {"NotResource": "arn:aws:s3:::${aws:SourceAccount}/w", "Resource": None},
        "s3:X",
        f"arn:aws:s3:::{A}/w",
    ),
    (True, {"Resource": "arn:aws:sqs:::test*"}, "sqs:X", "arn:aws:sqs:::test"),
    (False, {"Resource": "arn:aws:sqs:::test*"}, "sqs:X", "arn:aws:sqs:::tset"),
    (True, {"Resource": "arn:aws:sqs:::test-?"}, "sqs:X", "arn:aws:sqs:::test-1"),
    (False, {"Resource": "arn:aws:sqs:::test-?"}, "sqs:X", "arn:aws:sqs:::test1"),
]


@pytest.mark.parametrize(("matches", "elements", "action", "resource"), MATCHES)
def test_statements_match_as_in_other_suites(
    matches: bool, elements: dict[str, Any], action: str, resource: str
) -> None:
    """Actions, resources and their negations, with wildcards and variables."""
    whole = {"Effect": "Allow", "Action": "*", "Resource": "*"} | elements
    statement = {name: value for name, value in whole.items() if value is not None}
    document = {"Version": "2012-10-17", "Statement": statement}
    decision = simulate(action, resource, {"aws:SourceAccount": A}, [document])
    assert bool(decision) is matches


# --- where AWS's documentation says otherwise ---


def test_session_policy_does_not_limit_a_grant_to_the_session() -> None:
    """iam-simulate denies; "Policy evaluation for requests within a single account" allows."""
    asked: dict[str, Any] = {"session": OTHER, "resource_policy": to(SESSION)}
    assert simulate("s3:GetObject", OBJECT, principal=SESSION, **asked).effect == "Allow"


@pytest.mark.parametrize("named", [USER, f"arn:aws:iam::{A}:user/other", [USER, ROLE]])
def test_allow_with_not_principal_is_refused(named: Any) -> None:
    """iam-simulate takes it; s3-tests and the guide, "NotPrincipal", do not."""
    there = policy("Allow", "s3:GetObject", OBJECT, NotPrincipal={"AWS": named})
    with pytest.raises(DefinitionError, match="NotPrincipal with Deny alone"):
        simulate("s3:GetObject", OBJECT, principal=USER, resource_policy=there)


def test_principal_that_is_a_bare_arn_is_refused() -> None:
    """iam-simulate takes it; the guide, "Principal", has it under AWS."""
    there = policy("Allow", "s3:GetObject", OBJECT, Principal=USER)
    with pytest.raises(DefinitionError, match="names no principal"):
        simulate("s3:GetObject", OBJECT, principal=USER, resource_policy=there)
