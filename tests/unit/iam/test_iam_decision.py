"""The decision: AWS's order, over accounts, principals and kinds of policies."""

from __future__ import annotations

from typing import Any

import pytest

from faaskit.exceptions import DefinitionError
from faaskit.iam import Policy, allow, deny, simulate

A, B = "111122223333", "444455556666"
USER = f"arn:aws:iam::{A}:user/ann"
ROLE = f"arn:aws:iam::{A}:role/R"
SESSION = f"arn:aws:sts::{A}:assumed-role/R/one"
FEDERATED = f"arn:aws:sts::{A}:federated-user/fay"
ROOT = f"arn:aws:iam::{A}:root"
EVENTS = "events.amazonaws.com"
KEY = "arn:aws:s3:::b/k"
THEIR_QUEUE = f"arn:aws:sqs:us-east-1:{B}:q"

EVERYTHING = allow("*", on="*")
NOTHING = deny("*", on="*")
UNRELATED = allow("sqs:SendMessage", on="*")


def resource_policy(
    principal: Any, effect: str = "Allow", *, element: str = "Principal"
) -> dict[str, Any]:
    """Return a policy of a resource about one principal and every action."""
    statement = {"Effect": effect, element: principal, "Action": "*", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def effect(
    principal: str | None,
    resource: str = KEY,
    action: str = "s3:GetObject",
    **policies: Any,
) -> str:
    """Return the effect of a simulation."""
    return simulate(action, resource, principal=principal, **policies).effect


READ_B = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/*"}],
}
TLS_ONLY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ],
}


@pytest.mark.parametrize(
    ("action", "resource", "secure", "expected"),
    [
        ("s3:GetObject", "arn:aws:s3:::b/k", True, "Allow"),
        ("S3:getobject", "arn:aws:s3:::b/k", True, "Allow"),
        ("s3:GetObject", "arn:aws:s3:::B/k", True, "ImplicitDeny"),
        ("s3:GetObject", "arn:aws:s3:::b/a/b:c", True, "Allow"),
        ("s3:PutObject", "arn:aws:s3:::b/k", True, "ImplicitDeny"),
        ("s3:ListBucket", "arn:aws:s3:::b", True, "ImplicitDeny"),
        ("s3:GetObject", "arn:aws:s3:::b/k", False, "ExplicitDeny"),
        ("sqs:SendMessage", "*", False, "ExplicitDeny"),
    ],
)
def test_identity_policies(action: str, resource: str, secure: bool, expected: str) -> None:
    """An Allow on action and resource allows; a Deny beats it; nothing is an implicit deny."""
    decision = simulate(action, resource, {"aws:SecureTransport": secure}, [READ_B, TLS_ONLY])
    assert decision.effect == expected


CARLOS = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "AllowS3ListRead",
            "Effect": "Allow",
            "Action": ["s3:GetBucketLocation", "s3:ListAllMyBuckets"],
            "Resource": "arn:aws:s3:::*",
        },
        {
            "Sid": "AllowS3Self",
            "Effect": "Allow",
            "Action": "s3:*",
            "Resource": ["arn:aws:s3:::carlossalazar/*", "arn:aws:s3:::carlossalazar"],
        },
        {
            "Sid": "DenyS3Logs",
            "Effect": "Deny",
            "Action": "s3:*",
            "Resource": "arn:aws:s3:::*log*",
        },
    ],
}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("arn:aws:s3:::carlossalazar-logs/file", "ExplicitDeny"),
        ("arn:aws:s3:::carlossalazar/file", "Allow"),
        ("arn:aws:s3:::other/file", "ImplicitDeny"),
    ],
)
def test_the_guides_example_of_carlos(resource: str, expected: str) -> None:
    """The guide's "Example identity-based and resource-based policy evaluation"."""
    carlos = "arn:aws:iam::123456789012:user/carlossalazar"
    bucket = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": carlos},
                "Action": "s3:*",
                "Resource": ["arn:aws:s3:::carlossalazar/*", "arn:aws:s3:::carlossalazar"],
            }
        ],
    }
    assert (
        effect(carlos, resource, "s3:PutObject", identity=[CARLOS], resource_policy=bucket)
        == expected
    )


F = "arn:aws:lambda:us-east-1:123456789012:function"


@pytest.mark.parametrize(
    ("pattern", "resource", "allow", "deny"),
    [
        # At the end of a field a star may reach over colons; elsewhere it stays within.
        (f"{F}:*", f"{F}:f:1", "Allow", "ExplicitDeny"),
        ("arn:aws:lambda:*:f:*", f"{F}:f:1", "Allow", "ExplicitDeny"),
        (f"{F}:*:1", f"{F}:f:1", "Allow", "ExplicitDeny"),
        (f"{F}:*-prod", f"{F}:x-prod", "Allow", "ExplicitDeny"),
        (f"{F}:*-prod", f"{F}:admin:x-prod", "ImplicitDeny", "ExplicitDeny"),
        (f"{F}:*-prod", f"{F}:admin:x-dev", "ImplicitDeny", "Allow"),
        (f"{F}:a*:*", f"{F}:admin:x:y", "Allow", "ExplicitDeny"),
        (f"{F}:f?1", f"{F}:f:1", "ImplicitDeny", "ExplicitDeny"),
        (f"{F}:f?1", f"{F}:f_1", "Allow", "ExplicitDeny"),
        (f"{F}:f?*", f"{F}:f:1", "ImplicitDeny", "ExplicitDeny"),
        ("arn:aws:lambda:us*1:*:f", f"{F}:f", "Allow", "ExplicitDeny"),
        ("arn:aws:lambda:u*2:function:f", f"{F}:f", "ImplicitDeny", "ExplicitDeny"),
        # A key of S3 may hold colons that end no field.
        ("arn:aws:s3:::b/*.txt", "arn:aws:s3:::b/10:20.txt", "Allow", "ExplicitDeny"),
        ("arn:*:s3:::b/1?:?0*t", "arn:aws:s3:::b/10:20.txt", "Allow", "ExplicitDeny"),
    ],
)
def test_wildcards_and_colons(pattern: str, resource: str, allow: str, deny: str) -> None:
    """What AWS's pages disagree on is no permission, and is denied where that is asked for."""
    named = {"Action": "*", "Resource": pattern}
    every = {"Effect": "Allow", "Action": "*", "Resource": "*"}

    def decided(*statements: dict[str, Any]) -> str:
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        return simulate("lambda:InvokeFunction", resource, identity=[document]).effect

    assert decided({"Effect": "Allow", **named}) == allow
    assert decided(every, {"Effect": "Deny", **named}) == deny
    other = {"Action": "*", "NotResource": pattern}
    assert decided({"Effect": "Allow", **other}) == ("Allow" if deny == "Allow" else "ImplicitDeny")
    spared = allow == "Allow"
    assert decided(every, {"Effect": "Deny", **other}) == ("Allow" if spared else "ExplicitDeny")


@pytest.mark.parametrize(
    ("statement", "action", "resource", "expected"),
    [
        ({"NotAction": "s3:Delete*", "Resource": "*"}, "s3:GetObject", KEY, "Allow"),
        ({"NotAction": "s3:Delete*", "Resource": "*"}, "s3:deleteObject", KEY, "ImplicitDeny"),
        ({"NotAction": ["s3:*"], "Resource": "*"}, "sqs:SendMessage", "*", "Allow"),
        ({"Action": "*", "NotResource": "arn:aws:s3:::b/*"}, "s3:Get", KEY, "ImplicitDeny"),
        ({"Action": "*", "NotResource": "arn:aws:s3:::b/*"}, "s3:Get", "arn:aws:s3:::b", "Allow"),
        ({"Action": "*", "NotResource": ["arn:aws:s3:::c", KEY]}, "s3:Get", KEY, "ImplicitDeny"),
        ({"Action": "s3:?etObject", "Resource": "*"}, "s3:GetObject", KEY, "Allow"),
        ({"Action": "s3:?GetObject", "Resource": "*"}, "s3:GetObject", KEY, "ImplicitDeny"),
        ({"Action": "iam:*AccessKey*", "Resource": "*"}, "iam:ListAccessKeys", "*", "Allow"),
        # Resources: * stands for anything, / too; short ARNs are filled up.
        ({"Action": "*", "Resource": "arn:aws:s3:::*"}, "s3:Get", "*", "ImplicitDeny"),
        ({"Action": "*", "Resource": "arn:aws:sqs"}, "sqs:Send", THEIR_QUEUE, "Allow"),
        ({"Action": "*", "Resource": "arn:aws:sns"}, "sqs:Send", THEIR_QUEUE, "ImplicitDeny"),
        (
            {"Action": "*", "Resource": "arn:aws:lambda:us-east-1:1:function:f"},
            "lambda:InvokeFunction",
            "arn:aws:lambda:us-east-1:1:function:f:PROD",
            "ImplicitDeny",
        ),
        (
            {"Action": "*", "Resource": "arn:aws:lambda:us-east-1:1:function:f:*"},
            "lambda:InvokeFunction",
            "arn:aws:lambda:us-east-1:1:function:f:PROD",
            "Allow",
        ),
        (
            {"Action": "*", "Resource": "arn:aws:secretsmanager:us-east-1:1:secret:s-??????"},
            "secretsmanager:GetSecretValue",
            "arn:aws:secretsmanager:us-east-1:1:secret:s-a1B2c3",
            "Allow",
        ),
    ],
)
def test_actions_and_resources(
    statement: dict[str, Any], action: str, resource: str, expected: str
) -> None:
    """Actions are matched without case, resources with it; Not… is everything else."""
    document = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", **statement}}
    assert effect(None, resource, action, identity=[document]) == expected


# Named how, by whom: what each Allow of a resource-based policy does alone, and what it
# does beside a boundary and a session policy that allow nothing of it.
@pytest.mark.parametrize(
    ("principal", "named", "alone", "limited"),
    [
        (USER, {"AWS": USER}, "Allow", "Allow"),
        (USER, {"AWS": f"arn:aws:iam::{A}:user/bob"}, "ImplicitDeny", "ImplicitDeny"),
        (USER, {"AWS": f"arn:aws:iam::{A}:user/Ann"}, "ImplicitDeny", "ImplicitDeny"),
        (USER, {"AWS": A}, "ImplicitDeny", "ImplicitDeny"),
        (USER, {"AWS": ROOT}, "ImplicitDeny", "ImplicitDeny"),
        (USER, {"AWS": B}, "ImplicitDeny", "ImplicitDeny"),
        (USER, "*", "Allow", "Allow"),
        (USER, {"AWS": "*"}, "Allow", "Allow"),
        (USER, {"Service": EVENTS}, "ImplicitDeny", "ImplicitDeny"),
        (USER, {"Federated": "accounts.google.com"}, "ImplicitDeny", "ImplicitDeny"),
        (SESSION, {"AWS": SESSION}, "Allow", "Allow"),
        (SESSION, {"AWS": ROLE}, "Allow", "ImplicitDeny"),
        (SESSION, {"AWS": [ROLE, SESSION]}, "Allow", "Allow"),
        (SESSION, {"AWS": f"arn:aws:iam::{A}:role/deep/path/R"}, "Allow", "ImplicitDeny"),
        (SESSION, {"AWS": f"arn:aws:iam::{B}:role/R"}, "ImplicitDeny", "ImplicitDeny"),
        (SESSION, {"AWS": f"arn:aws:sts::{A}:assumed-role/R/two"}, "ImplicitDeny", "ImplicitDeny"),
        (SESSION, {"AWS": ROOT}, "ImplicitDeny", "ImplicitDeny"),
        (ROLE, {"AWS": ROLE}, "Allow", "ImplicitDeny"),
        (ROLE, {"AWS": SESSION}, "ImplicitDeny", "ImplicitDeny"),
        (FEDERATED, {"AWS": FEDERATED}, "Allow", "Allow"),
        (FEDERATED, {"AWS": ROOT}, "ImplicitDeny", "ImplicitDeny"),
        (A, {"AWS": ROOT}, "ImplicitDeny", "ImplicitDeny"),
        (A, {"AWS": USER}, "ImplicitDeny", "ImplicitDeny"),
        (A, "*", "Allow", "Allow"),
        (EVENTS, {"Service": EVENTS}, "Allow", "Allow"),
        (EVENTS, {"Service": "s3.amazonaws.com"}, "ImplicitDeny", "ImplicitDeny"),
        (EVENTS, "*", "Allow", "Allow"),
        (EVENTS, {"AWS": "*"}, "ImplicitDeny", "ImplicitDeny"),
        (None, "*", "Allow", "Allow"),
        (None, {"AWS": USER}, "ImplicitDeny", "ImplicitDeny"),
    ],
)
def test_resource_policies_of_the_same_account(
    principal: str | None, named: Any, alone: str, limited: str
) -> None:
    """User, session and everyone: final; the role: within its limits; the account: delegated."""
    policy = resource_policy(named)
    assert effect(principal, resource_policy=policy) == alone
    assert effect(principal, resource_policy=policy, boundary=UNRELATED) == limited
    assert effect(principal, resource_policy=policy, session=UNRELATED) == limited


def test_delegation_needs_an_identity_policy() -> None:
    """An account that is named may let its principals in; they need its own Allow."""
    policy = resource_policy({"AWS": A})
    assert effect(USER, resource_policy=policy, identity=[EVERYTHING]) == "Allow"
    decision = simulate("s3:GetObject", KEY, resource_policy=policy, principal=USER)
    assert "leaves it to the account's own policies" in decision.reason
    assert decision.policy_type == "identity-based policy"


@pytest.mark.parametrize(
    ("own", "theirs", "limits", "expected"),
    [
        (EVERYTHING, {"AWS": USER}, {}, "Allow"),
        (EVERYTHING, {"AWS": A}, {}, "Allow"),
        (EVERYTHING, "*", {}, "Allow"),
        (EVERYTHING, {"AWS": B}, {}, "ImplicitDeny"),
        (EVERYTHING, None, {}, "ImplicitDeny"),
        (None, {"AWS": USER}, {}, "ImplicitDeny"),
        (None, "*", {}, "ImplicitDeny"),
        (NOTHING, {"AWS": USER}, {}, "ExplicitDeny"),
        (EVERYTHING, {"AWS": USER}, {"boundary": EVERYTHING, "session": EVERYTHING}, "Allow"),
        (EVERYTHING, {"AWS": USER}, {"boundary": allow("s3:*", on="*")}, "ImplicitDeny"),
        (EVERYTHING, {"AWS": USER}, {"session": allow("s3:*", on="*")}, "ImplicitDeny"),
    ],
)
def test_over_accounts_both_sides_must_allow(
    own: Any, theirs: Any, limits: dict[str, Any], expected: str
) -> None:
    """The caller's policies within its limits, and the resource's: both."""
    identity = [] if own is None else [own]
    policy = None if theirs is None else resource_policy(theirs)
    found = effect(
        USER, THEIR_QUEUE, "sqs:SendMessage", identity=identity, resource_policy=policy, **limits
    )
    assert found == expected


@pytest.mark.parametrize(
    ("resource", "account", "expected"),
    [
        (KEY, None, "Allow"),
        (KEY, A, "Allow"),
        (KEY, B, "ImplicitDeny"),
        ("*", B, "ImplicitDeny"),
        (THEIR_QUEUE, A, "ImplicitDeny"),
        (f"arn:aws:sqs:us-east-1:{A}:q", B, "Allow"),
        ("arn:aws:iam::aws:policy/ReadOnlyAccess", None, "Allow"),
    ],
)
def test_whose_the_resource_is(resource: str, account: str | None, expected: str) -> None:
    """The account in the ARN, else the one that is given, else the caller's."""
    assert effect(USER, resource, identity=[EVERYTHING], resource_account=account) == expected


def test_without_a_principal_the_account_is_the_same() -> None:
    """Nobody to compare it with: the identity policies decide."""
    assert effect(None, THEIR_QUEUE, identity=[EVERYTHING]) == "Allow"
    assert effect(None, KEY, identity=[EVERYTHING], resource_account=B) == "Allow"


@pytest.mark.parametrize("where", ["identity", "boundary", "session", "resource_policy"])
def test_an_explicit_deny_in_any_policy(where: str) -> None:
    """One Deny anywhere beats every Allow, in the same account and in another."""
    policies: dict[str, Any] = {
        "identity": [EVERYTHING],
        "boundary": Policy([EVERYTHING]),
        "session": EVERYTHING,
        "resource_policy": resource_policy("*"),
    }
    assert effect(USER, **policies) == "Allow"
    both = Policy([EVERYTHING, NOTHING])
    denial: Any = {"identity": [both], "resource_policy": resource_policy("*", "Deny")}
    policies[where] = denial.get(where, both)
    for resource in (KEY, THEIR_QUEUE):
        decision = simulate("s3:GetObject", resource, principal=USER, **policies)
        assert decision.effect == "ExplicitDeny"
    expected = {
        "identity": "identity-based policy",
        "boundary": "permissions boundary",
        "session": "session policy",
        "resource_policy": "resource-based policy",
    }
    assert decision.policy_type == expected[where]


@pytest.mark.parametrize(
    ("principal", "named", "expected"),
    [
        (USER, {"AWS": USER}, "ExplicitDeny"),
        (USER, {"AWS": A}, "ExplicitDeny"),
        (USER, {"AWS": B}, "Allow"),
        (USER, {"AWS": f"arn:aws:iam::{A}:user/bob"}, "Allow"),
        (SESSION, {"AWS": ROLE}, "ExplicitDeny"),
        (SESSION, {"AWS": f"arn:aws:sts::{A}:assumed-role/R/two"}, "Allow"),
        # The role that is given may be in that session.
        (ROLE, {"AWS": SESSION}, "ExplicitDeny"),
        (ROLE, {"AWS": f"arn:aws:sts::{A}:assumed-role/S/one"}, "Allow"),
        # Somebody of the account may be any of it.
        (A, {"AWS": USER}, "ExplicitDeny"),
        (A, {"AWS": f"arn:aws:iam::{B}:user/ann"}, "Allow"),
        (ROOT, {"AWS": USER}, "Allow"),
        (ROOT, {"AWS": A}, "ExplicitDeny"),
        # A federated user acts for some user of its account.
        (FEDERATED, {"AWS": USER}, "ExplicitDeny"),
        (FEDERATED, {"AWS": f"arn:aws:iam::{B}:user/ann"}, "Allow"),
        (FEDERATED, {"AWS": ROLE}, "Allow"),
        # Who can't be recognised may be the caller.
        (USER, {"CanonicalUser": "79a59df9"}, "ExplicitDeny"),
        (SESSION, {"Federated": "accounts.google.com"}, "ExplicitDeny"),
        (None, {"AWS": USER}, "ExplicitDeny"),
        (USER, {"Service": EVENTS}, "Allow"),
        (EVENTS, {"AWS": "*"}, "ExplicitDeny"),
    ],
)
def test_whom_a_deny_means(principal: str | None, named: Any, expected: str) -> None:
    """The caller, its role, its account; and whoever may be one of these."""
    allowing = resource_policy("*")
    statements = allowing["Statement"] + resource_policy(named, "Deny")["Statement"]
    policy = allowing | {"Statement": statements}
    assert effect(principal, resource_policy=policy, identity=[EVERYTHING]) == expected


@pytest.mark.parametrize(
    ("principal", "spared", "expected"),
    [
        (USER, [USER, A], "Allow"),
        (USER, [USER, ROOT], "Allow"),
        (USER, [USER], "ExplicitDeny"),
        (USER, [A], "ExplicitDeny"),
        (USER, [f"arn:aws:iam::{A}:user/bob", A], "ExplicitDeny"),
        (SESSION, [SESSION, ROLE, A], "Allow"),
        (SESSION, [ROLE, A], "ExplicitDeny"),
        (SESSION, [SESSION, A], "ExplicitDeny"),
        (ROLE, [ROLE, A], "Allow"),
        (ROOT, [A], "Allow"),
        (A, [A], "ExplicitDeny"),
        (FEDERATED, [FEDERATED, A], "ExplicitDeny"),
        (None, [USER, A], "ExplicitDeny"),
        (EVENTS, [A], "ExplicitDeny"),
    ],
)
def test_whom_a_deny_of_all_others_spares(
    principal: str | None, spared: list[str], expected: str
) -> None:
    """NotPrincipal: only who is named with its role and account, as the guide's examples are."""
    denial = resource_policy({"AWS": spared}, "Deny", element="NotPrincipal")
    policy = denial | {"Statement": denial["Statement"] + resource_policy("*")["Statement"]}
    assert effect(principal, resource_policy=policy) == expected


def test_not_principal_spares_a_service() -> None:
    """A service has no account: its name is enough."""
    denial = resource_policy({"Service": EVENTS}, "Deny", element="NotPrincipal")
    policy = denial | {"Statement": denial["Statement"] + resource_policy("*")["Statement"]}
    assert effect(EVENTS, resource_policy=policy) == "Allow"
    assert effect("s3.amazonaws.com", resource_policy=policy) == "ExplicitDeny"


def test_the_root_user() -> None:
    """It needs no identity policy in its own account, and one of the resource elsewhere."""
    decision = simulate("s3:GetObject", KEY, principal=ROOT)
    assert (decision.effect, decision.statements) == ("Allow", ())
    assert "root user" in decision.reason
    assert effect(ROOT, THEIR_QUEUE) == "ImplicitDeny"
    assert effect(ROOT, THEIR_QUEUE, resource_policy=resource_policy({"AWS": A})) == "Allow"
    assert effect(ROOT, resource_policy=resource_policy("*", "Deny")) == "ExplicitDeny"
    # An account is not its root user: it stands for somebody who needs a permission.
    assert effect(A) == "ImplicitDeny"


def test_services_need_the_resource_policy_alone() -> None:
    """A function's policy names the service and, so that no other account comes, the source."""
    function = f"arn:aws:lambda:us-east-1:{A}:function:f"
    rule = f"arn:aws:events:us-east-1:{A}:rule/r"
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": EVENTS},
                "Action": "lambda:InvokeFunction",
                "Resource": function,
                "Condition": {"ArnLike": {"AWS:SourceArn": rule}},
            }
        ],
    }

    def asked(context: dict[str, Any], **others: Any) -> str:
        return simulate(
            "lambda:InvokeFunction", function, context, principal=EVENTS, **others
        ).effect

    assert asked({"aws:SourceArn": rule}, resource_policy=policy) == "Allow"
    assert asked({}, resource_policy=policy) == "ImplicitDeny"
    other = f"arn:aws:events:us-east-1:{B}:rule/r"
    assert asked({"aws:SourceArn": other}, resource_policy=policy) == "ImplicitDeny"
    assert asked({"aws:SourceArn": rule}, identity=[EVERYTHING]) == "ImplicitDeny"


def test_federated_users_need_a_session_policy() -> None:
    """The guide's order, "Session policies": without one, such a session may do nothing."""
    assert effect(FEDERATED, identity=[EVERYTHING]) == "ImplicitDeny"
    assert effect(FEDERATED, identity=[EVERYTHING], session=EVERYTHING) == "Allow"
    assert effect(SESSION, identity=[EVERYTHING]) == "Allow"


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("sts:AssumeRole", f"arn:aws:iam::{A}:role/other"),
        ("sts:TagSession", f"arn:aws:iam::{A}:role/other"),
        ("kms:Decrypt", f"arn:aws:kms:us-east-1:{A}:key/1"),
    ],
)
def test_trust_and_key_policies_must_allow(action: str, resource: str) -> None:
    """An identity policy alone is not enough; the account's delegation with one is."""
    delegated, named = (policy_of({"AWS": one}, action, resource) for one in (A, USER))
    assert effect(USER, resource, action, identity=[EVERYTHING]) == "ImplicitDeny"
    assert effect(ROOT, resource, action) == "ImplicitDeny"
    assert effect(USER, resource, action, resource_policy=delegated) == "ImplicitDeny"
    both = {"identity": [EVERYTHING], "resource_policy": delegated}
    assert effect(USER, resource, action, **both) == "Allow"
    assert effect(USER, resource, action, resource_policy=named) == "Allow"
    # Other actions on a role, and other resources of KMS, are as any.
    assert effect(USER, resource, "iam:GetRole", identity=[EVERYTHING]) == "Allow"
    alias = f"arn:aws:kms:us-east-1:{A}:alias/a"
    assert effect(USER, alias, action, identity=[EVERYTHING]) == "Allow"


def policy_of(principal: Any, action: str, resource: str) -> dict[str, Any]:
    """Return a key policy, or a trust policy, which names its action and no resource."""
    if ":kms:" in resource:
        return resource_policy(principal)
    statement = {"Effect": "Allow", "Principal": principal, "Action": action}
    return {"Version": "2012-10-17", "Statement": statement}


def test_a_resource_policy_without_a_resource_is_about_its_own() -> None:
    """A trust policy leaves it out; it says nothing about other actions on the role."""
    trust = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
    role = f"arn:aws:iam::{A}:role/R"
    assume = "sts:AssumeRole"
    assert effect("lambda.amazonaws.com", role, assume, resource_policy=trust) == "Allow"
    assert effect("states.amazonaws.com", role, assume, resource_policy=trust) == "ImplicitDeny"
    passing: dict[str, Any] = {"action": "iam:PassRole", "resource": role, "resource_policy": trust}
    assert effect(USER, **passing) == "ImplicitDeny"
    assert effect(USER, **passing, identity=[EVERYTHING]) == "Allow"


@pytest.mark.parametrize(
    ("principal", "key", "value"),
    [
        (USER, "aws:PrincipalArn", USER),
        (SESSION, "aws:PrincipalArn", ROLE),
        (ROLE, "aws:PrincipalArn", ROLE),
        (USER, "aws:PrincipalAccount", A),
        (USER, "aws:PrincipalType", "User"),
        (SESSION, "aws:PrincipalType", "AssumedRole"),
        (ROOT, "aws:PrincipalType", "Account"),
        (f"arn:aws:iam::{A}:user/team/ann", "aws:username", "ann"),
        (USER, "aws:PrincipalIsAWSService", "false"),
        (EVENTS, "aws:PrincipalIsAWSService", "true"),
        (EVENTS, "aws:PrincipalServiceName", EVENTS),
        (USER, "aws:ResourceAccount", A),
    ],
)
def test_what_aws_knows_of_the_request(principal: str, key: str, value: str) -> None:
    """Keys that follow from the principal and the resource need not be given."""
    policy = resource_policy("*")
    policy["Statement"][0]["Condition"] = {"StringEquals": {key: value}}
    # As a Deny, so that the root user is not allowed by being it.
    policy["Statement"].append(policy["Statement"][0] | {"Effect": "Deny"})
    assert effect(principal, resource_policy=policy) == "ExplicitDeny"
    given = simulate("s3:Get", KEY, {key: "other"}, resource_policy=policy, principal=principal)
    assert given.effect != "ExplicitDeny"
    gone = simulate("s3:Get", KEY, {key: None}, resource_policy=policy, principal=principal)
    assert gone.effect != "ExplicitDeny"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"action": "s3:*"}, "no action that can be asked about"),
        ({"action": "s3:Get?bject"}, "no action that can be asked about"),
        ({"action": "GetObject"}, "no action that can be asked about"),
        ({"action": "s3:GetObject "}, "no action that can be asked about"),
        ({"action": "s3:\u212aey"}, "no action that can be asked about"),
        ({"action": None}, "no action that can be asked about"),
        ({"resource": ""}, "no resource"),
        ({"resource": None}, "no resource"),
        ({"principal": "ann"}, "none that can call"),
        ({"principal": "*"}, "none that can call"),
        ({"principal": f"arn:aws:iam::{A}:user/*"}, "none that can call"),
        ({"principal": f"arn:aws:iam::{A}:group/g"}, "none that can call"),
        ({"principal": "accounts.google.com"}, "none that can call"),
        ({"resource_account": "123"}, "12 digits"),
        ({"identity": [resource_policy("*")]}, "names a principal"),
        ({"boundary": resource_policy("*")}, "names a principal"),
        ({"session": resource_policy("*")}, "names a principal"),
        ({"resource_policy": READ_B}, "names no principal"),
        ({"session": allow("s3:*", on="arn:aws:sqs")}, "six fields"),
        ({"identity": 7}, "no identity-based policy"),
        ({"identity": [7]}, "no policy"),
        ({"boundary": []}, "no policy"),
    ],
)
def test_questions_that_are_none(changes: dict[str, Any], reason: str) -> None:
    """What can't be answered is refused: a wildcard action has more than one answer."""
    asked: dict[str, Any] = {"action": "s3:GetObject", "resource": KEY, **changes}
    with pytest.raises(DefinitionError, match=reason):
        simulate(**asked)


def test_a_literal_star_in_a_resource_is_a_character() -> None:
    """A key may have a star in it: the request is no pattern."""
    assert effect(None, "arn:aws:s3:::b/*", identity=[READ_B]) == "Allow"
    assert effect(None, "arn:aws:s3:::b/*", identity=[allow("s3:*", on=KEY)]) == "ImplicitDeny"


def test_a_policy_of_nothing_allows_nothing() -> None:
    """An empty boundary is there, and allows nothing; no boundary is no limit."""
    empty = Policy(())
    assert effect(None, identity=[EVERYTHING, empty]) == "Allow"
    assert effect(None, identity=[EVERYTHING], boundary=empty) == "ImplicitDeny"
    assert effect(None, identity=[EVERYTHING], session=[]) == "ImplicitDeny"
    assert effect(None, identity=None) == "ImplicitDeny"


def test_several_session_policies_are_one() -> None:
    """What one of them allows is in the session."""
    sessions = [UNRELATED, allow("s3:Get*", on="*")]
    assert effect(SESSION, identity=[EVERYTHING], session=sessions) == "Allow"
    put = effect(SESSION, action="s3:PutObject", identity=[EVERYTHING], session=sessions)
    assert put == "ImplicitDeny"
