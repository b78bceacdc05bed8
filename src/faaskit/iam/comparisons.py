"""
How a request's value is compared with a policy's: one test for each kind of operator. Pure.

A test answers True, False, or None: the request's value can't be read as what the operator
compares. A text of the policy with a variable that has no value matches nothing. What of the
*policy* can't be read is refused here, when the policy is made: a Deny that is not understood
would never deny.

Source: IAM User Guide, "Condition operators" and "Variables and tags". Variables are for the
text and ARN operators and for Bool; the guide says elsewhere that Bool has none, which would
refuse more. Truths are compared without case, as other evaluators of IAM's language do.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Protocol

from attrs import frozen

from faaskit.iam.matching import Pattern, Token, Wild, compile_tokens
from faaskit.iam.refusal import refuse
from faaskit.iam.values import (
    Network,
    fold_case,
    read_address,
    read_binary,
    read_instant,
    read_network,
    read_number,
)
from faaskit.iam.variables import Template, Values, Variable, parse_template

__all__ = ["OPERATORS", "Operator", "Test"]

_ARN_PARTS = 6
_TRUTHS = frozenset({"true", "false"})


class Test(Protocol):
    """Whether one value of a request matches one of the policy's."""

    def matches(self, value: str, values: Values) -> bool | None:
        """Return None where that can't be told."""


@frozen
class Operator:
    """
    An operator without its qualifiers.

    Attributes:
        compile: Makes the test of the policy's texts: (texts, place, has variables).
        negated: Whether the test's answer is turned round.
    """

    compile: Callable[[Sequence[str], str, bool], Test]
    negated: bool = False


# --- texts ---


@frozen
class _SameText:
    fixed: frozenset[str]
    templates: tuple[Template, ...]
    fold: bool

    def matches(self, value: str, values: Values) -> bool | None:
        value = fold_case(value) if self.fold else value
        if value in self.fixed:
            return True
        texts = (template.plain(values) for template in self.templates)
        if any((fold_case(one) if self.fold else one) == value for one in texts if one is not None):
            return True
        return _no_match(self.templates, values)


def _no_match(templates: tuple[Template, ...], values: Values) -> bool | None:
    """Return False, or None where a variable may have a value that matches."""
    return None if any(template.unknown(values) for template in templates) else False


def _same_text(texts: Sequence[str], place: str, expand: bool) -> Test:
    fixed, templates = _parse(texts, place, expand=expand)
    return _SameText(frozenset(one.plain({}) or "" for one in fixed), templates, fold=False)


def _same_text_in_any_case(texts: Sequence[str], place: str, expand: bool) -> Test:
    fixed, templates = _parse(texts, place, expand=expand)
    folded = frozenset(fold_case(one.plain({}) or "") for one in fixed)
    return _SameText(folded, templates, fold=True)


@frozen
class _LikeText:
    fixed: tuple[Pattern, ...]
    templates: tuple[Template, ...]

    def matches(self, value: str, values: Values) -> bool | None:
        if any(pattern.matches(value) for pattern in self.fixed):
            return True
        every = (template.tokens(values) for template in self.templates)
        if any(compile_tokens(tokens).matches(value) for tokens in every if tokens is not None):
            return True
        return _no_match(self.templates, values)


def _like_text(texts: Sequence[str], place: str, expand: bool) -> Test:
    fixed, templates = _parse(texts, place, expand=expand)
    return _LikeText(tuple(compile_tokens(one.tokens({}) or ()) for one in fixed), templates)


def _parse(
    texts: Sequence[str], place: str, *, expand: bool
) -> tuple[list[Template], tuple[Template, ...]]:
    """Return the texts without variables, and those with."""
    every = [parse_template(text, place, expand=expand) for text in texts]
    fixed = [template for template in every if not template.variables]
    return fixed, tuple(template for template in every if template.variables)


# --- ARNs ---


@frozen
class _LikeArn:
    """Six parts between colons, each matched by itself; the last may have colons in it."""

    fixed: tuple[tuple[Pattern, ...], ...]
    templates: tuple[Template, ...]

    def matches(self, value: str, values: Values) -> bool | None:
        parts = value.split(":", _ARN_PARTS - 1)
        if len(parts) != _ARN_PARTS or parts[0] != "arn":
            return None
        if any(_parts_match(patterns, parts) for patterns in self.fixed):
            return True
        unsure = False
        for template in self.templates:
            tokens = template.tokens(values)
            if tokens is None:
                unsure |= template.unknown(values)
                continue
            patterns = None if _shifts_parts(template, values) else _arn_patterns(tokens)
            if patterns is None:
                unsure = True
            elif _parts_match(patterns, parts):
                return True
        return None if unsure else False


def _like_arn(texts: Sequence[str], place: str, expand: bool) -> Test:
    fixed, templates = _parse(texts, place, expand=expand)
    compiled: list[tuple[Pattern, ...]] = []
    for text in fixed:
        # A star alone is any ARN. Other short patterns are not filled up: AWS does that
        # in Resource only, and this operator compares six parts.
        tokens = text.tokens({}) or []
        whole: list[Token] = [Wild.ANY, ":", Wild.ANY, ":", Wild.ANY, ":"] * 2
        patterns = _arn_patterns(whole[:-1] if tokens == [Wild.ANY] else tokens)
        if patterns is None:
            reason = (
                f"{text.plain({})!r} is no ARN: six parts between colons, such as "
                "'arn:aws:s3:::uploads'; a wildcard does not reach over a colon here"
            )
            refuse(place, reason)
        compiled.append(patterns)
    return _LikeArn(tuple(compiled), templates)


def _shifts_parts(template: Template, values: Values) -> bool:
    """Whether a variable's value brings colons of its own among those that are written."""
    colons, brought = 0, False
    for part in template.parts:
        if isinstance(part, Variable):
            brought |= colons < _ARN_PARTS - 1 and ":" in (part.value(values) or "")
        else:
            colons += (part if isinstance(part, str) else part.text).count(":")
    return brought and colons > 0


def _arn_patterns(tokens: Iterable[Token]) -> tuple[Pattern, ...] | None:
    """Return a pattern for each of the six parts, or None where there are fewer."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if isinstance(token, Wild):
            parts[-1].append(token)
        else:
            first, *rest = token.split(":", _ARN_PARTS - len(parts))
            parts[-1].append(first)
            parts += [[piece] for piece in rest]
    if len(parts) != _ARN_PARTS:
        return None
    return tuple(compile_tokens(part) for part in parts)


def _parts_match(patterns: tuple[Pattern, ...], parts: list[str]) -> bool:
    return all(pattern.matches(part) for pattern, part in zip(patterns, parts, strict=True))


# --- numbers and instants ---


@frozen
class _Compared:
    read: Callable[[str], Decimal | None]
    compare: Callable[[Decimal, Decimal], bool]
    limits: tuple[Decimal, ...]

    def matches(self, value: str, values: Values) -> bool | None:  # noqa: ARG002
        number = self.read(value)
        if number is None:
            return None
        return any(self.compare(number, limit) for limit in self.limits)


@frozen
class _Reader:
    """
    Makes the tests of numbers or instants. A class, so that what it makes can be pickled.

    Attributes:
        wanted: What the values have to be, for the message.
    """

    read: Callable[[str], Decimal | None]
    compare: Callable[[Decimal, Decimal], bool]
    wanted: str

    def __call__(self, texts: Sequence[str], place: str, expand: bool) -> Test:
        limits: list[Decimal] = []
        for text in texts:
            limit = self.read(text)
            if limit is None:
                refuse(place, _unreadable(text, self.wanted, expand=expand))
            limits.append(limit)
        return _Compared(self.read, self.compare, tuple(limits))


def _unreadable(text: str, wanted: str, *, expand: bool) -> str:
    if expand and "${" in text:
        return f"{text!r} has a policy variable, which this operator does not take"
    return f"{text!r} is not {wanted}"


# --- truths, bytes, addresses ---


@frozen
class _SameTruth:
    fixed: frozenset[str]
    templates: tuple[Template, ...]

    def matches(self, value: str, values: Values) -> bool | None:
        value = value.lower()
        if value not in _TRUTHS:
            return None
        every = [template.plain(values) for template in self.templates]
        texts = [text.lower() for text in every if text is not None]
        if value in self.fixed or value in texts:
            return True
        if not _TRUTHS.issuperset(texts):
            return None
        return _no_match(self.templates, values)


def _same_truth(texts: Sequence[str], place: str, expand: bool) -> Test:
    fixed, templates = _parse(texts, place, expand=expand)
    truths = frozenset((one.plain({}) or "").lower() for one in fixed)
    for text in truths - _TRUTHS:
        refuse(place, f"{text!r} is not true or false")
    return _SameTruth(truths, templates)


@frozen
class _SameBytes:
    fixed: frozenset[bytes]

    def matches(self, value: str, values: Values) -> bool | None:  # noqa: ARG002
        data = read_binary(value)
        return None if data is None else data in self.fixed


def _same_bytes(texts: Sequence[str], place: str, expand: bool) -> Test:
    data: list[bytes] = []
    for text in texts:
        one = read_binary(text)
        if one is None:
            refuse(place, _unreadable(text, "base64", expand=expand))
        data.append(one)
    return _SameBytes(frozenset(data))


@frozen
class _InNetwork:
    networks: tuple[Network, ...]

    def matches(self, value: str, values: Values) -> bool | None:  # noqa: ARG002
        address = read_address(value)
        if address is None:
            return None
        return any(network.holds(address) for network in self.networks)


def _in_network(texts: Sequence[str], place: str, expand: bool) -> Test:
    networks: list[Network] = []
    for text in texts:
        network = read_network(text)
        if network is None:
            wanted = "an IP address or a range such as 203.0.113.0/24 or 2001:db8::/32"
            refuse(place, _unreadable(text, wanted, expand=expand))
        networks.append(network)
    return _InNetwork(tuple(networks))


_A_NUMBER = "a number such as 10 or 2.5"
_A_DATE = "a date such as 2026-01-31T00:00:00Z or seconds since 1970 (a year alone could be both)"
_ORDER: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
}

OPERATORS: dict[str, Operator] = {
    "StringEquals": Operator(_same_text),
    "StringNotEquals": Operator(_same_text, negated=True),
    "StringEqualsIgnoreCase": Operator(_same_text_in_any_case),
    "StringNotEqualsIgnoreCase": Operator(_same_text_in_any_case, negated=True),
    "StringLike": Operator(_like_text),
    "StringNotLike": Operator(_like_text, negated=True),
    "ArnEquals": Operator(_like_arn),
    "ArnNotEquals": Operator(_like_arn, negated=True),
    "ArnLike": Operator(_like_arn),
    "ArnNotLike": Operator(_like_arn, negated=True),
    **{
        f"Numeric{name}": Operator(_Reader(read_number, by, _A_NUMBER))
        for name, by in _ORDER.items()
    },
    "NumericNotEquals": Operator(_Reader(read_number, operator.eq, _A_NUMBER), negated=True),
    **{f"Date{name}": Operator(_Reader(read_instant, by, _A_DATE)) for name, by in _ORDER.items()},
    "DateNotEquals": Operator(_Reader(read_instant, operator.eq, _A_DATE), negated=True),
    "Bool": Operator(_same_truth),
    "BinaryEquals": Operator(_same_bytes),
    "IpAddress": Operator(_in_network),
    "NotIpAddress": Operator(_in_network, negated=True),
}
