"""Roles: policies in any form, frozen; decisions, and AWS's words for a denial."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError

from faaskit.exceptions import DefinitionError
from faaskit.iam import Decision, Policy, Role, allow, denial_message, deny, simulate

KEY = "arn:aws:s3:::b/k"
READ = allow("s3:GetObject", on="arn:aws:s3:::b/*")
DOCUMENT = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}],
}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def test_policies_come_in_any_form() -> None:
    """A Policy, a statement, a document and its JSON all end as policies."""
    role = Role("thumb", policies=[Policy([READ]), READ, DOCUMENT, json.dumps(DOCUMENT)])
    assert role.policies == (
        Policy([READ]),
        Policy([READ]),
        Policy.from_document(DOCUMENT),
        Policy.from_document(DOCUMENT),
    )
    assert Role("thumb", policies=READ).policies == (Policy([READ]),)
    assert Role("thumb").policies == ()
    assert role.arn == "arn:aws:iam::123456789012:role/thumb"
    assert Role("thumb", account="111122223333").arn == "arn:aws:iam::111122223333:role/thumb"


def test_boundary_and_trust_are_policies() -> None:
    """Both are parsed; the boundary limits, the trust policy is kept."""
    role = Role("thumb", [READ, DOCUMENT], boundary=DOCUMENT, trust=json.dumps(TRUST))
    assert role.boundary == Policy.from_document(DOCUMENT)
    assert role.trust == Policy.from_document(TRUST)
    assert role.decide("sqs:SendMessage", "*")
    assert role.decide("s3:GetObject", KEY).policy_type == "permissions boundary"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"name": ""}, "role name ''"),
        ({"name": "a b"}, "role name 'a b'"),
        ({"name": "r" * 65}, "1 to 64"),
        ({"name": None}, "role name None"),
        ({"account": "1"}, "12 digits"),
        ({"policies": [TRUST]}, r"Statement\[0\]: it names a principal.*identity-based policy"),
        ({"policies": [7]}, "no policy"),
        ({"policies": None}, "no identity-based policy"),
        ({"boundary": TRUST}, "names a principal.*permissions boundary"),
        ({"trust": DOCUMENT}, "names no principal.*trust policy"),
        ({"trust": {"Statement": TRUST["Statement"][0] | {"Resource": "*"}}}, "names a resource"),  # type: ignore[operator]
        ({"trust": {"Statement": TRUST["Statement"][0] | {"Action": "s3:*"}}}, "other than sts"),  # type: ignore[operator]
        ({"trust": {"Statement": TRUST["Statement"][0] | {"Sid": "a b"}}}, "letters and digits"),  # type: ignore[operator]
        ({"policies": ["{}"]}, "no Statement"),
    ],
)
def test_what_is_no_role(arguments: dict[str, Any], reason: str) -> None:
    """Each policy is checked for where it is attached."""
    with pytest.raises(DefinitionError, match=reason):
        Role(**{"name": "thumb", **arguments})


def test_roles_are_frozen_and_travel() -> None:
    """A role can't be changed, is equal by content, and decides the same after a pickle."""
    role = Role("thumb", [READ, deny("s3:*", on="arn:aws:s3:::b/secret*")], boundary=READ)
    with pytest.raises(FrozenInstanceError):
        role.policies = ()  # type: ignore[misc]
    again = pickle.loads(pickle.dumps(role))
    assert again == role == Role("thumb", role.policies, boundary=READ)
    assert hash(again) == hash(role)
    for key in (KEY, "arn:aws:s3:::b/secret/k", "arn:aws:s3:::c/k"):
        assert again.decide("s3:GetObject", key) == role.decide("s3:GetObject", key)


def test_with_statements_is_another_role() -> None:
    """What decorators add is on a new role; the one that was given stays as it was."""
    given = Role("thumb", [DOCUMENT], boundary=allow("*", on="*"), trust=TRUST)
    more = given.with_statements(READ, deny("s3:GetObject", on="arn:aws:s3:::b/secret"))
    assert not given.decide("s3:GetObject", KEY)
    assert more.decide("s3:GetObject", KEY)
    assert more.decide("s3:GetObject", "arn:aws:s3:::b/secret").effect == "ExplicitDeny"
    assert more.decide("sqs:SendMessage", "*")
    assert more.policies[:-1] == given.policies == (Policy.from_document(DOCUMENT),)
    assert (more.name, more.boundary, more.trust) == (given.name, given.boundary, given.trust)
    assert given.with_statements() == given


def test_a_role_that_denies_still_decides_with_what_decorators_allow() -> None:
    """Both together decide: a decorator is no way round the role's own Deny."""
    role = Role("thumb", [deny("s3:*", on="*")]).with_statements(READ)
    assert role.decide("s3:GetObject", KEY).effect == "ExplicitDeny"


def test_session_and_resource_policies_of_a_call() -> None:
    """A call may have a session policy, a resource's policy, and a session of its own."""
    role = Role("thumb", [READ])
    session = "arn:aws:sts::123456789012:assumed-role/thumb/f"
    bucket = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": session}, "Action": "*", "Resource": "*"}
        ],
    }
    put = "s3:PutObject"
    assert role.decide("s3:GetObject", KEY, session=DOCUMENT).policy_type == "session policy"
    assert not role.decide(put, KEY, resource_policy=bucket)
    assert role.decide(put, KEY, resource_policy=bucket, principal=session)
    assert not role.decide(put, KEY, resource_policy=bucket, principal=session[:-1] + "g")
    assert not role.decide("s3:GetObject", KEY, resource_account="111122223333")
    for other in ("arn:aws:sts::123456789012:assumed-role/other/f", "123456789012"):
        with pytest.raises(DefinitionError, match="neither"):
            role.decide(put, KEY, principal=other)


def test_a_role_knows_its_own_arn() -> None:
    """aws:PrincipalArn and its kin need not be in the context."""
    when = {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/thumb"}}
    assert Role("thumb", [allow("s3:*", on="*", when=when)]).decide("s3:GetObject", KEY)
    assert not Role("other", [allow("s3:*", on="*", when=when)]).decide("s3:GetObject", KEY)


SESSION = "arn:aws:sts::123456789012:assumed-role/thumb/f"
EVERYBODY = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
SAID = f"User: {SESSION} is not authorized to perform: s3:PutObject on resource: {KEY} "


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        ({"identity": [READ]}, "because no identity-based policy allows the s3:PutObject action"),
        (
            {"identity": [deny("s3:*", on="*")]},
            "with an explicit deny in an identity-based policy",
        ),
        (
            {"identity": [allow("*", on="*")], "boundary": READ},
            "because no permissions boundary allows the s3:PutObject action",
        ),
        ({"boundary": deny("*", on="*")}, "with an explicit deny in a permissions boundary"),
        (
            {"identity": [allow("*", on="*")], "session": READ},
            "because no session policy allows the s3:PutObject action",
        ),
        ({"session": deny("*", on="*")}, "with an explicit deny in a session policy"),
        (
            {"identity": [allow("*", on="*")], "resource_account": "111122223333"},
            "because no resource-based policy allows the s3:PutObject action",
        ),
        (
            {"resource_policy": {"Statement": EVERYBODY | {"Effect": "Deny"}}},
            "with an explicit deny in a resource-based policy",
        ),
    ],
)
def test_denials_in_the_words_of_aws(policies: dict[str, Any], message: str) -> None:
    """The guide's "Access denied error message examples", with the type of the policy."""
    decision = simulate("s3:PutObject", KEY, principal=SESSION, **policies)
    assert denial_message(SESSION, "s3:PutObject", KEY, decision) == SAID + message


def test_session_of_role_is_not_allowed_by_role_with_a_path() -> None:
    """The role that decides has no path, so another ARN with its name is another role."""
    role = Role("thumb", account="123456789012")
    named = EVERYBODY | {"Principal": {"AWS": "arn:aws:iam::123456789012:role/x/thumb"}}
    asked: dict[str, Any] = {"action": "s3:PutObject", "resource": KEY, "principal": SESSION}
    assert not role.decide(**asked, resource_policy={"Statement": named})
    named["Principal"] = {"AWS": role.arn}
    assert role.decide(**asked, resource_policy={"Statement": named})


def test_denied_assumption_is_in_the_words_of_aws() -> None:
    """The guide names the role's trust policy."""
    arn = "arn:aws:iam::123456789012:role/other"
    said = f"User: {SESSION} is not authorized to perform: sts:AssumeRole on resource: {arn} "
    trust = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    asked: dict[str, Any] = {"identity": [allow("*", on="*")], "principal": SESSION}
    decision = simulate("sts:AssumeRole", arn, **asked)
    message = denial_message(SESSION, "sts:AssumeRole", arn, decision)
    assert message == said + "because no role trust policy allows the sts:AssumeRole action"
    decision = simulate("sts:AssumeRole", arn, resource_policy={"Statement": trust}, **asked)
    message = denial_message(SESSION, "sts:AssumeRole", arn, decision)
    assert message == said + "with an explicit deny in the role trust policy"


def test_there_is_no_message_for_a_permission() -> None:
    """A decision that allows has nothing to say."""
    with pytest.raises(DefinitionError, match="was allowed"):
        denial_message(SESSION, "s3:PutObject", KEY, Decision(True, "Allow", (), ""))
