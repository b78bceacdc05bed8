"""allow() and deny(): statements in a policy, and decorators."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from faaskit.exceptions import DefinitionError
from faaskit.iam import Statement, allow, deny


class Bucket:
    """Anything that has an ARN."""

    def __init__(self, name: str) -> None:
        self.arn = f"arn:aws:s3:::{name}"


class Handle:
    """What stands for a function and takes statements itself."""

    def __init__(self, permitted: tuple[Statement, ...] = ()) -> None:
        self.permitted = permitted

    def __faaskit_permit__(self, statement: Statement) -> Handle:
        return Handle((statement, *self.permitted))


@pytest.mark.parametrize(
    ("on", "resource"),
    [
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/*"),
        (Bucket("b"), "arn:aws:s3:::b"),
        (["arn:aws:s3:::b/*", Bucket("b")], ["arn:aws:s3:::b/*", "arn:aws:s3:::b"]),
        ((Bucket("b"),), ["arn:aws:s3:::b"]),
        ("*", "*"),
    ],
)
def test_statements_are_about_what_has_an_arn(on: Any, resource: Any) -> None:
    """On takes an ARN, a thing that has one, or several of either."""
    assert allow("s3:GetObject", on=on).to_document() == {
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": resource,
    }


def test_deny_is_allow_with_the_other_effect() -> None:
    """Both take several actions and a condition."""
    when = {"Bool": {"aws:SecureTransport": "false"}}
    assert deny("s3:GetObject", "s3:PutObject", on="*", when=when).to_document() == {
        "Effect": "Deny",
        "Action": ["s3:GetObject", "s3:PutObject"],
        "Resource": "*",
        "Condition": when,
    }


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: allow("s3:GetObject"), 'on="\\*" is every resource'),
        (lambda: deny("s3:GetObject"), r"deny\('s3:GetObject'\) names no resource"),
        (lambda: allow(on="*"), r"allow\(\) names no action"),
        (lambda: allow(len), "takes actions before it decorates"),  # type: ignore[arg-type]
        (lambda: allow("GetObject", on="*"), "write service:Name"),
        (lambda: allow(1, on="*"), "no string"),  # type: ignore[arg-type]
        (lambda: allow("s3:Get", on="uploads/*"), "write an ARN"),
        (lambda: allow("s3:Get", on=[]), "empty"),
        (lambda: allow("s3:Get", on=[None]), "no resource"),  # type: ignore[list-item]
        (lambda: allow("s3:Get", on=7), "no resource"),  # type: ignore[arg-type]
        (lambda: allow("s3:Get", on="*", when={"Like": {"k": "a"}}), "no condition operator"),
        (lambda: allow("s3:Get", on="*", when=["a"]), "Condition"),  # type: ignore[arg-type]
        (lambda: allow("s3:Get", on="arn:aws:s3:::b/${aws:"), "never closes"),
    ],
)
def test_mistakes_are_found_at_once(make: Any, reason: str) -> None:
    """What IAM would not take is refused where it is written, with what to write instead."""
    with pytest.raises(DefinitionError, match=reason):
        make()


def test_decorators_read_from_top_to_bottom() -> None:
    """A plain function carries its statements in the order in which they stand above it."""

    @allow("s3:GetObject", on="*")
    @deny("s3:GetObject", on="arn:aws:s3:::b/secret")
    @allow("s3:PutObject", on="*")
    def handler(event: Any, context: Any) -> Any:
        return event

    carried = handler.__faaskit_statements__  # type: ignore[attr-defined]
    assert [statement.effect for statement in carried] == ["Allow", "Deny", "Allow"]
    assert carried[0].action == "s3:GetObject"
    assert carried[2].action == "s3:PutObject"
    assert handler({"a": 1}, None) == {"a": 1}


def test_a_handle_takes_the_statement_itself() -> None:
    """What has __faaskit_permit__ answers for itself, and its answer is the result."""
    first, second = allow("s3:GetObject", on="*"), deny("s3:PutObject", on="*")
    handle = Handle()
    assert first(second(handle)).permitted == (first, second)
    assert handle.permitted == ()


def test_one_statement_decorates_many() -> None:
    """A statement is a value: what one function gets, another does not lose or share."""
    statement = allow("s3:GetObject", on="*")

    def one() -> None: ...
    def two() -> None: ...

    statement(one)
    allow("s3:PutObject", on="*")(statement(two))
    assert one.__faaskit_statements__ == (statement,)  # type: ignore[attr-defined]
    assert len(two.__faaskit_statements__) == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", ["text", 1, None, len, "text".upper])
def test_what_can_not_be_decorated(target: Any) -> None:
    """No function, or one that can carry nothing: said, not lost."""
    with pytest.raises(DefinitionError):
        allow("s3:GetObject", on="*")(target)


def test_a_statement_with_a_principal_decorates_nothing() -> None:
    """It is for a resource; a function's own principal is its role."""
    statement = Statement(effect="Allow", action="s3:Get", resource="*", principal="*")
    with pytest.raises(DefinitionError, match="principal"):
        statement(lambda: None)


def test_statements_are_frozen_and_travel() -> None:
    """They can't be changed, and survive a pickle, as functions do that carry them."""
    statement = allow("s3:Get", on=["*"], when={"StringLike": {"k": ["a", "${l, 'b'}"]}})
    assert pickle.loads(pickle.dumps(statement)) == statement
    with pytest.raises(AttributeError):
        statement.effect = "Deny"  # type: ignore[misc]
    assert repr(statement).startswith("Statement(effect='Allow', action='s3:Get', resource=('*',)")
