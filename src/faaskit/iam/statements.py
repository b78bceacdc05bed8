"""
Statements: what is allowed or denied, to be put in a policy or over a function. Pure.

A statement is as it was written: a string stays a string and a list a list, so that a
document comes out as it went in. What it means depends on its policy's version (only
2012-10-17 has variables) and is worked out there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from attrs import field, frozen

from faaskit.exceptions import DefinitionError
from faaskit.iam.arns import reason_against_arn
from faaskit.iam.conditions import check_block
from faaskit.iam.elements import Element, freeze, thaw
from faaskit.iam.principals import check_principals
from faaskit.iam.refusal import refuse
from faaskit.iam.rules import compile_rule

__all__ = [
    "ELEMENTS",
    "Effect",
    "HasArn",
    "Statement",
    "Target",
    "allow",
    "check_statement",
    "deny",
]

Effect = Literal["Allow", "Deny"]

# A service prefix without wildcards, then a name with them; or a star alone.
_ACTION = re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9*?_-]+")
_SID = re.compile(r"[A-Za-z0-9]*")

_Function = TypeVar("_Function")


@runtime_checkable
class HasArn(Protocol):
    """Anything that a statement can be about: a bucket, a table, a function."""

    @property
    def arn(self) -> str:
        """Its Amazon Resource Name."""


Target = str | HasArn | Sequence[str | HasArn]


@frozen(kw_only=True, repr=False)
class Statement:
    """
    One statement of a policy, with AWS's element names in Python spelling.

    Each of the lists may be a single string. A statement without a resource belongs in a
    resource-based policy and is about what that is attached to.

    Called with a function, it is a decorator: it adds itself to the statements of that
    function, in front of those below it, so that they read as they are written.

    Attributes:
        effect: ``Allow`` or ``Deny``.
        action: Actions such as ``s3:Get*``; or ``not_action``: all but these.
        resource: ARNs with wildcards; or ``not_resource``: all but these.
        principal: Whom it is about, in resource-based policies; or ``not_principal``.
        condition: Values by context key by operator.
        sid: Its name, letters and digits (more in resource-based policies).

    Raises:
        DefinitionError: It is not one that IAM takes.
    """

    effect: Effect
    action: str | tuple[str, ...] | None = field(default=None, converter=freeze)
    not_action: str | tuple[str, ...] | None = field(default=None, converter=freeze)
    resource: str | tuple[str, ...] | None = field(default=None, converter=freeze)
    not_resource: str | tuple[str, ...] | None = field(default=None, converter=freeze)
    principal: str | Element | None = field(default=None, converter=freeze)
    not_principal: str | Element | None = field(default=None, converter=freeze)
    condition: Element | None = field(default=None, converter=freeze)
    sid: str | None = None

    def __attrs_post_init__(self) -> None:
        check_statement(self.to_document(), "the statement")

    def __repr__(self) -> str:
        named = [(name, getattr(self, name)) for name in ELEMENTS.values()]
        said = ", ".join(f"{name}={value!r}" for name, value in named if value is not None)
        return f"Statement({said})"

    def to_document(self) -> dict[str, Any]:
        """Return the statement as AWS writes it, as values of its own."""
        return {
            name: thaw(value)
            for name, attribute in ELEMENTS.items()
            if (value := getattr(self, attribute)) is not None
        }

    def __call__(self, target: _Function) -> _Function:
        """Add the statement to a function, or to what stands for one."""
        if self.principal is not None or self.not_principal is not None:
            msg = "a statement with a principal is for a resource, not for a function"
            raise DefinitionError(msg)
        permit = getattr(target, "__faaskit_permit__", None)
        if permit is not None:
            result: _Function = permit(self)
            return result
        if not callable(target):
            msg = f"a statement decorates a function, not {target!r}"
            raise DefinitionError(msg)
        below: tuple[Statement, ...] = getattr(target, "__faaskit_statements__", ())
        try:
            target.__faaskit_statements__ = (self, *below)  # type: ignore[attr-defined]
        except (AttributeError, TypeError):
            msg = f"{target!r} can't carry a statement; decorate a function that is defined by def"
            raise DefinitionError(msg) from None
        return target


# The elements of a statement, in the order in which AWS's own examples have them.
ELEMENTS = {
    "Sid": "sid",
    "Effect": "effect",
    "Principal": "principal",
    "NotPrincipal": "not_principal",
    "Action": "action",
    "NotAction": "not_action",
    "Resource": "resource",
    "NotResource": "not_resource",
    "Condition": "condition",
}


def check_statement(document: Mapping[str, Any], place: str) -> None:
    """
    Refuse what is no statement, whatever the version of its policy.

    Raises:
        DefinitionError: It names the element and what is wrong about it.
    """
    for name in document:
        if name not in ELEMENTS:
            near = {one.lower(): one for one in ELEMENTS}.get(str(name).lower())
            hint = f"; write {near}" if near else f": {', '.join(ELEMENTS)}"
            refuse(f"{place}.{name}", f"{name!r} is no element of a statement{hint}")
    if document.get("Effect") not in ("Allow", "Deny"):
        reason = f"{document.get('Effect')!r} is no effect; write 'Allow' or 'Deny'"
        refuse(f"{place}.Effect", reason)
    has_principal = _one_of(document, "Principal", place)
    _one_of(document, "Action", place, needed="what it is about")
    # Only resource-based policies may leave it out: it is then what they are attached to.
    _one_of(document, "Resource", place, needed=None if has_principal else 'such as "*"')
    _check_sid(document.get("Sid", ""), f"{place}.Sid", strict=not has_principal)
    for name in ("Action", "NotAction"):
        _check_texts(document, name, place, _reason_against_action)
    for name in ("Resource", "NotResource"):
        _check_texts(document, name, place, reason_against_arn)
    if "NotPrincipal" in document and document["Effect"] == "Allow":
        reason = (
            "IAM takes NotPrincipal with Deny alone: an Allow with it would be for everybody else; "
            "write Principal"
        )
        refuse(f"{place}.NotPrincipal", reason)
    for name in ("Principal", "NotPrincipal"):
        if name in document:
            check_principals(document[name], f"{place}.{name}", negated=name.startswith("Not"))
    if "Condition" in document:
        check_block(document["Condition"], f"{place}.Condition")


def _one_of(
    document: Mapping[str, Any], name: str, place: str, *, needed: str | None = None
) -> bool:
    """Whether there is the element or its negation; there may not be both."""
    both = name in document and f"Not{name}" in document
    if both:
        refuse(place, f"it has {name} and Not{name}; write one of the two")
    found = name in document or f"Not{name}" in document
    if needed and not found:
        refuse(place, f"it has neither {name} nor Not{name}; add {name}, {needed}")
    return found


def _check_sid(sid: object, place: str, *, strict: bool) -> None:
    if not isinstance(sid, str) or (strict and not _SID.fullmatch(sid)):
        refuse(place, f"{sid!r} is no Sid: letters and digits alone")


def _check_texts(
    document: Mapping[str, Any], name: str, place: str, reason_against: Callable[[str], str | None]
) -> None:
    if name not in document:
        return
    value, here = document[name], f"{place}.{name}"
    every = value if isinstance(value, list | tuple) else [value]
    if not every:
        refuse(here, "the list is empty: the statement would be about nothing")
    for text in every:
        if not isinstance(text, str):
            refuse(here, f"{text!r} is no string")
        reason = reason_against(text)
        if reason is not None:
            refuse(here, reason)


def _reason_against_action(text: str) -> str | None:
    if _ACTION.fullmatch(text):
        return None
    return f"{text!r} is no action; write service:Name, such as 's3:GetObject' or 's3:Get*', or '*'"


def allow(
    *actions: str, on: Target | None = None, when: Mapping[str, Any] | None = None
) -> Statement:
    """
    Allow actions on resources: a statement for a policy, or a decorator of a function.

    Args:
        actions: Such as ``s3:GetObject`` or ``dynamodb:*``.
        on: An ARN with wildcards, anything that has an ``arn``, or a list of these.
            ``"*"`` for actions that are about no resource.
        when: A Condition block: values by context key by operator.

    Raises:
        DefinitionError: It is not one that IAM takes, or nothing was said about ``on``.
    """
    return _statement("Allow", actions, on, when)


def deny(
    *actions: str, on: Target | None = None, when: Mapping[str, Any] | None = None
) -> Statement:
    """
    Deny actions on resources, whatever else allows them. The arguments are ``allow``'s.

    Raises:
        DefinitionError: It is not one that IAM takes, or nothing was said about ``on``.
    """
    return _statement("Deny", actions, on, when)


def _statement(
    effect: Effect, actions: tuple[str, ...], on: Target | None, when: Mapping[str, Any] | None
) -> Statement:
    name = effect.lower()
    if not actions:
        msg = f"{name}() names no action; write {name}('s3:GetObject', on=…)"
        raise DefinitionError(msg)
    if callable(actions[0]):
        msg = f"{name} takes actions before it decorates; write @{name}('s3:GetObject', on=…)"
        raise DefinitionError(msg)
    if on is None:
        msg = (
            f"{name}({', '.join(repr(action) for action in actions)}) names no resource; pass "
            'on=… an ARN or what has one; on="*" is every resource'
        )
        raise DefinitionError(msg)
    statement = Statement(
        effect=effect,
        action=actions[0] if len(actions) == 1 else actions,
        resource=_arns(on, name),
        condition=freeze(when),
    )
    # A mistake in a value is found here, not when the function's role is put together.
    compile_rule(statement.to_document(), f"{name}(…)", expand=True)
    return statement


def _arns(on: object, name: str) -> str | tuple[str, ...]:
    if isinstance(on, list | tuple):
        return tuple(_arn(one, name) for one in on)
    return _arn(on, name)


def _arn(one: object, name: str) -> str:
    arn = one if isinstance(one, str) else getattr(one, "arn", None)
    if not isinstance(arn, str):
        msg = (
            f"{name}(on={one!r}) is no resource; pass an ARN, what has an .arn, or a list of these"
        )
        raise DefinitionError(msg)
    return arn
