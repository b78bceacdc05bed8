"""Requests of which a part isn't known: an Allow must allow all of it, a Deny may be about it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faaskit.iam import Role, allow, deny
from faaskit.iam.context import Unknowns
from faaskit.iam.matching import Wild, compile_text, covers, meets, split_tokens

_KEYS = "arn:aws:kms:us-east-1:123456789012:key/*"
_KEY = "arn:aws:kms:us-east-1:123456789012:key/abc"
_SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-??????"


def _effect(resource: str, *statements: Any, action: str = "kms:Sign") -> str:
    role = Role("r", policies=[allow("sts:X", on="*"), *statements])
    key = {
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": "123456789012"},
            "Action": "kms:*",
            "Resource": "*",
        }
    }
    found = role.decide(action, resource, resource_policy=key, unknown=Unknowns(resource=True))
    return found.effect


@pytest.mark.parametrize(
    ("named", "effect"),
    [
        ("*", "Allow"),
        (_KEYS, "Allow"),
        ("arn:aws:kms:*:123456789012:*", "Allow"),
        (_KEY, "ImplicitDeny"),
        ("arn:aws:kms:us-east-1:123456789012:key/?*", "ImplicitDeny"),
        ("arn:aws:kms:us-east-1:123456789012:key/a*", "ImplicitDeny"),
        ("arn:aws:kms:us-east-1:123456789012:key/${*}", "ImplicitDeny"),
    ],
)
def test_allow_counts_if_it_covers_all_the_resource_may_be(named: str, effect: str) -> None:
    """A key by its alias may be any key."""
    assert _effect(_KEYS, allow("kms:*", on=named)) == effect


@pytest.mark.parametrize(
    ("named", "effect"),
    [
        ("*", "ExplicitDeny"),
        (_KEY, "ExplicitDeny"),
        ("arn:aws:kms:*:*:key/a?c", "ExplicitDeny"),
        ("arn:aws:kms:us-east-1:123456789012:key/${aws:username}", "Allow"),  # it has no value
        ("arn:aws:kms:eu-west-1:123456789012:key/abc", "Allow"),
        ("arn:aws:kms:us-east-1:123456789012:alias/abc", "Allow"),
    ],
)
def test_deny_counts_if_it_may_touch_the_resource(named: str, effect: str) -> None:
    """Whatever key it is in the end."""
    assert _effect(_KEYS, allow("kms:*", on="*"), deny("kms:*", on=named)) == effect


@pytest.mark.parametrize(
    ("statement", "effect"),
    [
        ({"Effect": "Deny", "NotResource": "*"}, "Allow"),
        ({"Effect": "Deny", "NotResource": _KEYS}, "Allow"),
        ({"Effect": "Deny", "NotResource": _KEY}, "ExplicitDeny"),
    ],
)
def test_deny_of_all_but_a_resource_counts_unless_it_is_surely_that(
    statement: dict[str, Any], effect: str
) -> None:
    """The key may be another one than those that are left out."""
    document = {"Version": "2012-10-17", "Statement": {**statement, "Action": "kms:*"}}
    assert _effect(_KEYS, allow("kms:*", on="*"), document) == effect


def test_suffix_of_a_secret_is_matched_by_question_marks_and_stars() -> None:
    """Six characters that nobody knows before AWS draws them; none is a colon."""
    prefix = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-"

    def effect(*statements: Any) -> str:
        return _effect(_SECRET, *statements, action="secretsmanager:GetSecretValue")

    for named in (f"{prefix}??????", f"{prefix}*", "*"):
        assert effect(allow("secretsmanager:*", on=named)) == "Allow"
    for named in (f"{prefix}AbCdEf", f"{prefix}?????"):
        assert effect(allow("secretsmanager:*", on=named)) == "ImplicitDeny"
    everything = allow("secretsmanager:*", on="*")
    assert effect(everything, deny("secretsmanager:*", on=f"{prefix}AbCdEf")) == "ExplicitDeny"
    assert effect(everything, deny("secretsmanager:*", on=f"{prefix}AbCdE")) == "Allow"


_text = st.text("ab:", max_size=5)
_pattern = st.text("ab:*?", max_size=6)


@given(_pattern, _pattern, st.lists(_text, max_size=30))
def test_covering_and_meeting_agree_with_the_texts_themselves(
    pattern: str, described: str, texts: list[str]
) -> None:
    """A text of both is one that they have in common; one of the second alone is not covered."""
    ours = compile_text(pattern)
    for text in texts:
        # The described question mark stands for no colon.
        if not fnmatchcase(text, described) or not _without_colons(text, described):
            continue
        if ours.matches(text):
            assert meets(split_tokens(pattern), split_tokens(described))
        else:
            assert not covers(split_tokens(pattern), split_tokens(described))


def _without_colons(text: str, described: str) -> bool:
    return fnmatchcase(text, described.replace("?", "[!:]"))


def test_pattern_covers_itself_and_a_star_covers_all() -> None:
    """Else nothing could be allowed."""
    for text in ("a*b", "a?b", "*", "a", "*:b?", ""):
        assert covers(split_tokens(text), split_tokens(text))
        assert covers(split_tokens("*"), split_tokens(text))


def test_star_within_a_field_does_not_cover_what_may_reach_over_colons() -> None:
    """A described star stands for any text; a policy's in the middle of a field does not."""
    described = split_tokens("a*b")
    assert covers(("a", Wild.ANY, "b"), described)
    assert not covers(("a", Wild.ANY_IN_FIELD, "b"), described)
    assert meets(("a", Wild.ANY_IN_FIELD, "b"), described)


@pytest.mark.parametrize(
    "operator",
    [
        {"StringEquals": {"aws:ResourceTag/team": "a"}},
        {"StringNotEquals": {"aws:ResourceTag/team": "a"}},
        {"StringEqualsIfExists": {"aws:ResourceTag/team": "a"}},
        {"ForAllValues:StringEquals": {"aws:ResourceTag/team": "a"}},
        {"ForAnyValue:StringEquals": {"aws:ResourceTag/team": "a"}},
        {"Null": {"aws:ResourceTag/team": "true"}},
        {"Null": {"aws:ResourceTag/team": "false"}},
        {"StringEquals": {"box:lid": "${aws:ResourceTag/team, 'red'}"}},
    ],
)
def test_condition_on_an_unknown_key_allows_nothing_and_denies(operator: dict[str, Any]) -> None:
    """Whichever way it asks, the answer isn't known."""

    def decide(*statements: Any) -> str:
        unknown = Unknowns(keys=frozenset({"aws:resourcetag/*"}))
        role = Role("r", policies=[*statements])
        return role.decide("box:Open", "*", {"box:lid": "red"}, unknown=unknown).effect

    assert decide(allow("box:*", on="*", when=operator)) == "ImplicitDeny"
    assert decide(allow("box:*", on="*"), deny("box:*", on="*", when=operator)) == "ExplicitDeny"


@pytest.mark.parametrize(
    ("resource", "effect"),
    [
        (_KEYS, "Allow"),
        ("arn:aws:kms:us-east-1:*:key/*", "ExplicitDeny"),
        ("*", "ExplicitDeny"),
        ("arn:aws:s3:::b/*", "Allow"),
    ],
)
def test_account_of_a_resource_is_unknown_if_its_pattern_names_none(
    resource: str, effect: str
) -> None:
    """It may be that of another account."""
    theirs = {"StringNotEquals": {"aws:ResourceAccount": "123456789012"}}
    role = Role("r", policies=[allow("*", on="*"), deny("*", on="*", when=theirs)])
    assert role.decide("box:Open", resource, unknown=Unknowns(resource=True)).effect == effect


def test_condition_on_a_known_key_is_decided_beside_unknown_ones() -> None:
    """A value that is given wins over its family's being unknown."""
    unknown = Unknowns(keys=frozenset({"aws:requesttag/*"}))
    when = {"StringEquals": {"aws:RequestTag/team": "a"}}
    role = Role("r", policies=[allow("box:*", on="*", when=when)])
    assert role.decide("box:Open", "*", {"aws:RequestTag/team": "a"}, unknown=unknown)
    assert not role.decide("box:Open", "*", {"aws:RequestTag/team": "b"}, unknown=unknown)


@pytest.mark.parametrize(
    ("statement", "effect"),
    [
        ({"Action": "athena:Get*"}, "ExplicitDeny"),
        ({"Action": "athena:*"}, "ExplicitDeny"),
        ({"Action": "*"}, "ExplicitDeny"),
        ({"Action": "s3:*"}, "Allow"),
        ({"NotAction": "s3:*"}, "ExplicitDeny"),
        ({"NotAction": "athena:GetTable"}, "ExplicitDeny"),
        ({"NotAction": ["s3:*", "athena:*"]}, "Allow"),
        ({"Action": "athena:*", "Resource": "arn:aws:athena:::x"}, "ExplicitDeny"),
        (
            {"Action": "athena:*", "Condition": {"StringEquals": {"athena:x": "y"}}},
            "ExplicitDeny",
        ),
    ],
)
def test_unlisted_operation_is_denied_by_any_deny_of_its_service(
    statement: dict[str, Any], effect: str
) -> None:
    """Which action AWS asks for isn't known, nor on what, nor which keys it fills."""
    unknown = Unknowns(resource=True, keys=frozenset({"*"}), actions="athena:*")
    document = {"Effect": "Deny", "Resource": "*", **statement}
    denying = {"Version": "2012-10-17", "Statement": document}
    role = Role("r", policies=[allow("*", on="*"), denying])
    assert role.decide("athena:StartQueryExecution", "*", unknown=unknown).effect == effect


def test_unlisted_operation_needs_its_own_name_allowed() -> None:
    """An Allow of another action of the service says nothing about it."""
    unknown = Unknowns(resource=True, keys=frozenset({"*"}), actions="athena:*")

    def allowed(action: str, on: str = "*") -> bool:
        role = Role("r", policies=[allow(action, on=on)])
        return role.decide("athena:StartQueryExecution", "*", unknown=unknown).allowed

    assert allowed("athena:StartQueryExecution")
    assert allowed("athena:*")
    assert not allowed("athena:GetTable")
    assert not allowed("athena:*", on="arn:aws:athena:us-east-1:123456789012:workgroup/x")


@pytest.mark.parametrize(
    ("resource", "when"),
    [
        ("arn:aws:s3:::b/${aws:ResourceTag/team}/*", {}),
        ("*", {"StringEquals": {"box:lid": "${aws:ResourceTag/team}"}}),
        ("*", {"StringLike": {"box:lid": "r${aws:ResourceTag/team}*"}}),
        ("*", {"StringEqualsIgnoreCase": {"box:lid": "${aws:ResourceTag/team}"}}),
    ],
)
def test_deny_counts_if_a_variable_may_have_the_value(resource: str, when: dict[str, Any]) -> None:
    """A tag that may be there is not one that is absent, which matches nothing."""
    document = {"Version": "2012-10-17"}
    statement = {"Effect": "Deny", "Action": "*", "Resource": resource, "Condition": when}
    every = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    role = Role("r", [document | {"Statement": [every, statement]}])
    asked: Any = ("s3:GetObject", "arn:aws:s3:::b/red/k", {"box:lid": "red"})
    unknown = Unknowns(keys=frozenset({"aws:resourcetag/*"}))
    assert role.decide(*asked, unknown=unknown).effect == "ExplicitDeny"
    assert role.decide(*asked).effect == "Allow"
    only = Role("r", [document | {"Statement": [statement | {"Effect": "Allow"}]}])
    assert only.decide(*asked, unknown=unknown).effect == "ImplicitDeny"
