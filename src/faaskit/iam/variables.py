"""
Policy variables: ``${aws:username}``, ``${aws:PrincipalTag/team, 'none'}``, ``${*}``. Pure.

Only version 2012-10-17 has them; in an older policy (and in one without a version) they
are ordinary text. What a variable stands for is always taken literally: a ``*`` in a
value that the caller chose must never become a wildcard of the policy.

Source: IAM User Guide, "IAM policy elements: Variables and tags" and, for what is refused
(no closing brace, a space, a default without quotes), "Access Analyzer policy checks".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum

from attrs import frozen

from faaskit.iam.matching import Token, Wild, split_tokens
from faaskit.iam.refusal import refuse

__all__ = [
    "UNKNOWN",
    "Fixed",
    "Template",
    "Unknown",
    "Value",
    "Values",
    "Variable",
    "first_unknown",
    "parse_template",
    "undefined",
    "value_of",
]

_VARIABLE = re.compile(r"([\w.:/=+@-]+)(?:, ?'([^'{}]*)')?")
_CHARACTERS = {"*", "?", "$"}

# The part of a key that a family of keys has in common: aws:ResourceTag/, kms:EncryptionContext:
_FAMILY = re.compile(r"[^:/]*:[^:/]*[:/]")


class Unknown(Enum):
    """A value of which not even its presence is known."""

    UNKNOWN = "unknown"


UNKNOWN = Unknown.UNKNOWN

Value = str | tuple[str, ...] | Unknown
Values = Mapping[str, Value]


def value_of(values: Values, key: str) -> Value | None:
    """
    Return the value of a key, in lower case; None for a key that the request lacks.

    ``aws:resourcetag/*`` may be unknown as a family of keys, and ``*`` as all that have no
    value: then each of them is.
    """
    value = values.get(key)
    if value is not None:
        return value
    family = _FAMILY.match(key)
    if family and values.get(f"{family[0]}*") is UNKNOWN:
        return UNKNOWN
    return UNKNOWN if values.get("*") is UNKNOWN else None


@frozen
class Fixed:
    """Text in which ``*`` and ``?`` are themselves: what ``${*}`` and ``${?}`` write."""

    text: str


@frozen
class Variable:
    """
    A place for a value of the request.

    Attributes:
        key: The context key, in lower case.
        default: What stands there when the request has no such key.
        source: As it is written in the policy.
    """

    key: str
    default: str | None
    source: str

    def value(self, values: Values) -> str | None:
        """
        Return what it stands for in a request, or None.

        A key of several values can't be a variable (IAM User Guide, "Single-valued vs.
        multivalued context keys"), and its default is for a key that is not there. A key
        that may be there has neither.
        """
        value = value_of(values, self.key)
        if value is None:
            return self.default
        return value if isinstance(value, str) else None


@frozen
class Template:
    """A text of the policy: written parts, fixed characters and variables."""

    parts: tuple[str | Fixed | Variable, ...]

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The variables in it."""
        return tuple(part for part in self.parts if isinstance(part, Variable))

    def plain(self, values: Values) -> str | None:
        """Return the text for a request with no wildcards in it; None if a value is missing."""
        pieces: list[str] = []
        for part in self.parts:
            if isinstance(part, Variable):
                value = part.value(values)
                if value is None:
                    return None
                pieces.append(value)
            else:
                pieces.append(part if isinstance(part, str) else part.text)
        return "".join(pieces)

    def unknown(self, values: Values) -> bool:
        """Return True if a variable may or may not have a value."""
        return first_unknown(self.variables, values) is not None

    def tokens(self, values: Values, *, unknown: Wild | None = None) -> list[Token] | None:
        """
        Return literals and wildcards for a request.

        Args:
            values: The request's context.
            unknown: What stands for a variable that may or may not have a value. Without it,
                and for one that has none, the text matches nothing: the answer is None.
        """
        tokens: list[Token] = []
        for part in self.parts:
            if isinstance(part, str):
                tokens += split_tokens(part)
            elif isinstance(part, Fixed):
                tokens.append(part.text)
            else:
                value = part.value(values)
                if value is not None:
                    tokens.append(value)
                elif unknown is not None and value_of(values, part.key) is UNKNOWN:
                    tokens.append(unknown)
                else:
                    return None
        return tokens


def first_unknown(variables: tuple[Variable, ...], values: Values) -> Variable | None:
    """Return the first variable that may or may not have a value."""
    for variable in variables:
        if value_of(values, variable.key) is UNKNOWN:
            return variable
    return None


def undefined(variables: tuple[Variable, ...], values: Values) -> Variable | None:
    """Return the first variable that stands for nothing in a request."""
    for variable in variables:
        if variable.value(values) is None:
            return variable
    return None


def parse_template(text: str, place: str, *, expand: bool) -> Template:
    """
    Return a text of the policy, taken apart.

    Args:
        text: As written.
        place: Where, for the message.
        expand: Whether the policy's version has variables.

    Raises:
        DefinitionError: A variable is not well formed.
    """
    if not expand or "${" not in text:
        return Template((text,))
    parts: list[str | Fixed | Variable] = []
    written, *rest = text.split("${")
    parts.append(written)
    for piece in rest:
        inside, brace, after = piece.partition("}")
        if not brace:
            reason = f"{text!r} opens a variable with '${{' and never closes it; add '}}'"
            refuse(place, reason)
        parts += [_parse_variable(inside, text, place), after]
    return Template(tuple(part for part in parts if part != ""))


def _parse_variable(inside: str, text: str, place: str) -> Fixed | Variable:
    if inside in _CHARACTERS:
        return Fixed(inside)
    found = _VARIABLE.fullmatch(inside)
    if found is None:
        reason = (
            f"{text!r} has the variable '${{{inside}}}', which is not one that AWS takes; "
            "write ${key} or ${key, 'default'} without other spaces, or ${*}, ${?}, ${$}"
        )
        refuse(place, reason)
    return Variable(found[1].lower(), found[2], f"${{{inside}}}")
