"""Least privilege from a run: what the suggestion covers, and what it leaves out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faaskit.iam import Policy, Role
from faaskit.iam.suggestion import Asked, suggest

_BUCKET = "arn:aws:s3:::uploads"


def _asked(action: str, *resources: str, effect: Any = "Allow") -> list[Asked]:
    return [Asked(action, resource, effect) for resource in resources]


def _documents(asked: list[Asked]) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = suggest(asked, ()).policy.to_document()["Statement"]
    return statements


def test_actions_on_the_same_resources_share_a_statement() -> None:
    """And a single text is no list, as AWS writes it."""
    asked = [
        *_asked("s3:GetObject", f"{_BUCKET}/a"),
        *_asked("s3:PutObject", f"{_BUCKET}/a"),
        *_asked("s3:ListBucket", _BUCKET),
    ]
    assert _documents(asked) == [
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": _BUCKET},
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": f"{_BUCKET}/a",
        },
    ]


@pytest.mark.parametrize(
    ("keys", "resources"),
    [
        ([f"raw/{n}" for n in range(5)], [f"raw/{n}" for n in range(5)]),
        ([f"raw/{n}.png" for n in range(6)], "raw/*"),
        ([f"raw/2026-{n}/x" for n in range(6)], "raw/2026-*"),
        ([*(f"raw/{n}" for n in range(6)), "other"], ["other", "raw/*"]),
        ([f"{letter}/x" for letter in "abcdef"], "*"),
        (["what*ever?$x"], "what${*}ever${?}${$}x"),
    ],
)
def test_many_of_a_kind(keys: list[str], resources: str | list[str]) -> None:
    """Few are written out; many are what they begin with, one that stands apart beside it."""
    every = [resources] if isinstance(resources, str) else resources
    full = [f"{_BUCKET}/{one}" for one in every]
    (statement,) = _documents(_asked("s3:GetObject", *(f"{_BUCKET}/{key}" for key in keys)))
    assert statement["Resource"] == (full[0] if isinstance(resources, str) else full)


def test_an_action_without_a_resource() -> None:
    """It is asked for on ``*``, and stays so."""
    (statement,) = _documents(_asked("cloudwatch:PutMetricData", "*"))
    assert statement["Resource"] == "*"


def test_what_was_denied() -> None:
    """A missing permission is in the policy, and told; what a Deny forbids is only told."""
    missing = _asked("s3:GetObject", f"{_BUCKET}/a", effect="ImplicitDeny")
    forbidden = _asked("s3:GetObject", f"{_BUCKET}/b", effect="ExplicitDeny")
    found = suggest([*missing, *forbidden], ())
    assert found.missing == tuple(missing)
    assert found.forbidden == tuple(forbidden)
    assert found.policy.to_document()["Statement"] == [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{_BUCKET}/a"}
    ]


def _policy(*statements: dict[str, Any]) -> Policy:
    return Policy.from_document({"Version": "2012-10-17", "Statement": list(statements)})


def test_what_nothing_used() -> None:
    """Actions that nothing asked for, and resources that no used action was asked for on."""
    policy = _policy(
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:DeleteObject"],
            "Resource": [f"{_BUCKET}/a/*", f"{_BUCKET}/b/*"],
        },
        {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:*", "Resource": f"{_BUCKET}/secret"},
    )
    found = suggest(_asked("s3:GetObject", f"{_BUCKET}/a/1"), [policy])
    assert [one.to_document() for one in found.unused] == [
        {
            "Effect": "Allow",
            "Action": "s3:DeleteObject",
            "Resource": [f"{_BUCKET}/a/*", f"{_BUCKET}/b/*"],
        },
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{_BUCKET}/b/*"},
        {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"},
    ]


def test_what_was_denied_uses_nothing() -> None:
    """A Deny beside the Allow: the Allow did not help."""
    policy = _policy({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})
    asked = _asked("s3:GetObject", f"{_BUCKET}/a", effect="ExplicitDeny")
    assert len(suggest(asked, [policy]).unused) == 1


def test_wildcards() -> None:
    """What a wildcard was used for is told, in whatever case it was written."""
    policy = _policy({"Effect": "Allow", "Action": ["S3:get*", "s3:Put*"], "Resource": "*"})
    asked = [*_asked("s3:GetObject", f"{_BUCKET}/a"), *_asked("s3:GetObjectAcl", f"{_BUCKET}/a")]
    assert suggest(asked, [policy]).wildcards == (("S3:get*", ("s3:GetObject", "s3:GetObjectAcl")),)


def test_a_variable_may_have_been_used() -> None:
    """What it stood for is not in the record, so the statement is not told to be unused."""
    policy = _policy(
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": f"{_BUCKET}/${{aws:userid}}/*",
            "Condition": {"Bool": {"aws:SecureTransport": "true"}},
        }
    )
    assert suggest(_asked("s3:GetObject", f"{_BUCKET}/AROA/1"), [policy]).unused == ()


_RESOURCES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(f"{_BUCKET}/{{}}".format),
    st.from_regex(r"arn:aws:sqs:us-east-1:123456789012:[a-c*?$]{1,4}", fullmatch=True),
    st.just("*"),
)
_ASKED = st.builds(
    Asked,
    st.sampled_from(["s3:GetObject", "s3:PutObject", "sqs:SendMessage"]),
    _RESOURCES,
    st.sampled_from(["Allow", "ImplicitDeny", "ExplicitDeny"]),
)


@given(st.lists(_ASKED, max_size=30))
def test_all_that_was_seen_is_covered(asked: list[Asked]) -> None:
    """Whatever the names are made of; and no more of a kind than few are written out in full."""
    found = suggest(asked, ())
    role = Role("r", policies=[found.policy] if found.policy.statements else [])
    wanted = [one for one in asked if one.effect != "ExplicitDeny"]
    for one in wanted:
        assert role.decide(one.action, one.resource), one
    actions = {one.action for one in wanted}
    assert not actions or len(found.policy.statements) <= len(actions)
    for action in {"s3:GetObject", "s3:PutObject", "sqs:SendMessage"} - actions:
        assert not role.decide(action, f"{_BUCKET}/a")
    few = {one.resource for one in wanted if one.action == "s3:GetObject"}
    if len(few) <= 5 and "*" not in few:
        assert bool(role.decide("s3:GetObject", f"{_BUCKET}/unseen-by-all")) is False
