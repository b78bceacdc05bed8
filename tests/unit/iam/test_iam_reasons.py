"""What a decision says of itself: the statements that decided, or what came nearest."""

from __future__ import annotations

from typing import Any

import pytest

from faaskit.iam import Decision, allow, deny, simulate

A, B = "111122223333", "444455556666"
USER = f"arn:aws:iam::{A}:user/ann"
KEY = "arn:aws:s3:::b/k"
THEIR_QUEUE = f"arn:aws:sqs:us-east-1:{B}:q"
EVERYTHING = allow("*", on="*")
UNRELATED = allow("sqs:SendMessage", on="*")
READ_B = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/*"}],
}
NAMED = {
    "Version": "2012-10-17",
    "Statement": [
        {"Sid": "List", "Effect": "Allow", "Action": "s3:List*", "Resource": "*"},
        {
            "Sid": "AllowS3Self",
            "Effect": "Allow",
            "Action": "s3:*",
            "Resource": "arn:aws:s3:::own/*",
        },
    ],
}


def resource_policy(
    principal: Any, effect: str = "Allow", *, element: str = "Principal"
) -> dict[str, Any]:
    """Return a policy of a resource about one principal and every action."""
    statement = {"Effect": effect, element: principal, "Action": "*", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        (
            [READ_B],
            "statement 1 allows s3:Get*, not s3:PutObject",
        ),
        (
            [allow("sqs:*", on="*")],
            "none of the statements is about its service",
        ),
        ([], "there is no Allow statement"),
        ([deny("s3:Get*", on="*")], "there is no Allow statement"),
        (
            [allow("s3:*", on="arn:aws:s3:::c/*")],
            (
                "statement 1 allows the action s3:PutObject but its resource arn:aws:s3:::c/* "
                "does not match arn:aws:s3:::b/k"
            ),
        ),
        (
            [allow("sqs:*", on="*"), allow("s3:*", on="arn:aws:s3:::c/*")],
            "statement 2 allows the action s3:PutObject but its resource",
        ),
        (
            [allow("s3:*", on="*", when={"StringEquals": {"k": ["x", "y"]}})],
            (
                "statement 1 allows the action s3:PutObject on arn:aws:s3:::b/k but only if "
                "StringEquals k 'x', 'y': the request has 'z'"
            ),
        ),
        (
            [allow("s3:*", on="*", when={"StringEquals": {"l": "x"}})],
            "the request has no l",
        ),
        (
            [allow("s3:*", on="*", when={"NumericLessThan": {"k": "1"}})],
            "the request has 'z', which NumericLessThan can't compare",
        ),
        (
            [allow("s3:*", on="*", when={"StringEquals": {"m": "a"}})],
            "several values, which only ForAllValues: and ForAnyValue: compare",
        ),
        (
            [{"Statement": {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}}],
            "allows all actions but s3:*",
        ),
        (
            [{"Statement": {"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::b/*"}}],
            "its NotResource arn:aws:s3:::b/* leaves out arn:aws:s3:::b/k",
        ),
        (
            [allow("s3:*", on="arn:aws:s3:::b")],
            f"its resource arn:aws:s3:::b does not match {KEY} (objects: arn:aws:s3:::b/*)",
        ),
        (
            [allow("s3:*", on=["arn:aws:s3:::shared/*", "arn:aws:s3:::b/${aws:username}/*"])],
            (
                "its resource arn:aws:s3:::shared/*, arn:aws:s3:::b/${aws:username}/* does not "
                "match arn:aws:s3:::b/k (${aws:username} has no value in this request)"
            ),
        ),
        (
            [allow("s3:*", on="*", when={"ForAllValues:StringEquals": {"m": ["a", "c"]}})],
            "the request has 'a', 'b', of which 'b' does not",
        ),
        (
            [allow("s3:*", on="*", when={"ForAllValues:StringNotEquals": {"m": "a"}})],
            "the request has 'a', 'b', of which 'a' does not",
        ),
        ([NAMED], "statement 2 ('AllowS3Self') allows the action"),
        ([READ_B, NAMED], "statement 2 ('AllowS3Self') of policy 2 allows the action"),
        (
            [allow("s3:*", on=[f"arn:aws:s3:::c{at}" for at in range(9)])],
            "arn:aws:s3:::c0, arn:aws:s3:::c1, arn:aws:s3:::c2 and 6 more",
        ),
    ],
)
def test_an_implicit_deny_names_the_nearest_miss(identity: list[Any], reason: str) -> None:
    """Which statement came nearest to allowing, and what was missing."""
    decision = simulate("s3:PutObject", KEY, {"k": "z", "m": ["a", "b"]}, identity)
    assert decision.effect == "ImplicitDeny"
    assert decision.statements == ()
    assert decision.policy_type == "identity-based policy"
    assert decision.reason.startswith(f"no identity-based policy allows s3:PutObject on {KEY}: ")
    assert reason in decision.reason


@pytest.mark.parametrize("limit", ["boundary", "session"])
def test_a_limit_that_denies_is_named(limit: str) -> None:
    """The reason is about the policy that was in the way, not the one that allowed."""
    narrow: dict[str, Any] = {limit: allow("s3:Get*", on="*")}
    decision = simulate("s3:PutObject", KEY, identity=[EVERYTHING], **narrow)
    names = {"boundary": "permissions boundary", "session": "session policy"}
    assert decision.policy_type == names[limit]
    assert decision.reason == (
        f"no {names[limit]} allows s3:PutObject on {KEY}: statement 1 of the {names[limit]} "
        "allows s3:Get*, not s3:PutObject; statement 1 does"
    )


def test_a_resource_policy_that_does_not_name_the_caller_says_so() -> None:
    """Over accounts the reason is the resource's own policy, or that there is none."""
    policy = resource_policy({"AWS": f"arn:aws:iam::{B}:user/bob"})
    decision = simulate("sqs:SendMessage", THEIR_QUEUE, None, [EVERYTHING], principal=USER)
    assert decision.reason.endswith(
        f"there is none; the resource is of the account {B}, so both sides must allow"
    )
    assert decision.policy_type == "resource-based policy"
    asked: dict[str, Any] = {"identity": [EVERYTHING], "principal": USER}
    decision = simulate("sqs:SendMessage", THEIR_QUEUE, resource_policy=policy, **asked)
    assert f"its principal arn:aws:iam::{B}:user/bob does not name {USER}" in decision.reason


def test_what_its_own_policy_must_allow_is_said() -> None:
    """A role and a KMS key are not for whoever the identity-based policies allow."""
    role, key = f"arn:aws:iam::{A}:role/R", f"arn:aws:kms:us-east-1:{A}:key/1"
    asked: dict[str, Any] = {"identity": [EVERYTHING], "principal": USER}
    decision = simulate("sts:AssumeRole", role, **asked)
    assert decision.policy_type == "trust policy"
    assert decision.reason == (
        f"no trust policy allows sts:AssumeRole on {role}: there is none; a role is assumed only "
        "if its trust policy allows it, too"
    )
    assert "there is none; a key is used only if its key policy allows it, too" in (
        simulate("kms:Decrypt", key, **asked).reason
    )


def test_explicit_deny_says_which_conditions_hold() -> None:
    """Otherwise it would be a riddle why a Deny with a condition applies now."""
    when = {
        "DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"},
        "StringNotEquals": {"aws:PrincipalTag/team": "red"},
    }
    context = {"aws:CurrentTime": "2026-06-01T00:00:00Z"}
    decision = simulate("s3:Get", KEY, context, [EVERYTHING, deny("s3:*", on="*", when=when)])
    assert decision.reason == (
        f"statement 2 denies s3:Get on {KEY} because "
        "DateGreaterThan aws:CurrentTime '2026-01-01T00:00:00Z': the request has "
        "'2026-06-01T00:00:00Z' and StringNotEquals aws:PrincipalTag/team 'red': the request has "
        "no aws:PrincipalTag/team"
    )


def test_explicit_deny_says_that_a_boundary_is_not_spared() -> None:
    """NotPrincipal names the caller, and yet the Deny applies."""
    policy = resource_policy({"AWS": [USER, A]}, "Deny", element="NotPrincipal")
    asked: dict[str, Any] = {"principal": USER, "resource_policy": policy}
    assert "has a permissions boundary" not in simulate("s3:Get", KEY, **asked).reason
    reason = simulate("s3:Get", KEY, **asked, boundary=EVERYTHING).reason
    assert f"NotPrincipal spares nobody who has a permissions boundary, as {USER} does" in reason


def test_an_explicit_deny_names_every_statement() -> None:
    """All that deny are in it; the reason names the first."""
    first, second = deny("s3:*", on=KEY), deny("*", on="*")
    decision = simulate("s3:GetObject", KEY, None, [EVERYTHING, first, second])
    assert decision.statements == (first, second)
    assert decision.reason == f"statement 2 denies s3:GetObject on {KEY}"


@pytest.mark.parametrize(
    ("named", "principal", "reason"),
    [
        ({"AWS": USER}, None, "no principal was given"),
        ({"AWS": USER}, A, f"{A} may be, or act for, one that it names"),
        ({"CanonicalUser": "79a5"}, USER, "79a5: whether that is the caller can't be told"),
    ],
)
def test_a_deny_in_doubt_says_what_is_in_doubt(
    named: Any, principal: str | None, reason: str
) -> None:
    """A Deny that counts because it can't be ruled out is no riddle."""
    policy = resource_policy(named, "Deny")
    decision = simulate("s3:Get", KEY, principal=principal, resource_policy=policy)
    assert decision.effect == "ExplicitDeny"
    assert f"; that can't be ruled out, so it counts ({reason})" in decision.reason


def test_an_allow_names_all_that_it_took() -> None:
    """The statements of each policy that had to allow, in the order of evaluation."""
    own, limit, narrow = EVERYTHING, allow("s3:*", on="*"), allow("s3:Get*", on="*")
    decision = simulate("s3:GetObject", KEY, None, [UNRELATED, own], limit, narrow)
    assert decision.statements == (own, limit, narrow)
    assert decision.policy_type == ""
    assert decision.reason == (
        "statement 2 and statement 1 of the permissions boundary and statement 1 of the session "
        f"policy allow s3:GetObject on {KEY}"
    )


def test_decisions_are_true_where_they_allow() -> None:
    """`if decision` is the permission: an object that is always true would allow everything."""
    assert simulate("s3:GetObject", KEY, None, [EVERYTHING])
    assert not simulate("s3:GetObject", KEY, None, [])
    assert not Decision(False, "ImplicitDeny", (), "")
