"""
The Condition element. Pure.

A condition is true, false, or neither: a request value that is no number, a variable that
stands for nothing, several values under an operator for one. AWS documents little of what
it does then, so neither is *unknown* (None) and the statement decides: an Allow whose
condition is not surely true does not allow, a Deny whose condition is not surely false
denies. A policy value that can't be read is refused when the policy is made.

What is documented, and followed (IAM User Guide, "Condition operators" and "Single-valued
vs. multivalued context keys"):

- operators, and keys in an operator, are ANDed; the values of a key are ORed; for a
  negated operator they are NORed.
- a key that is not there: false; true for a negated operator, for ``…IfExists`` and for
  ``ForAllValues:``; false for ``ForAnyValue:`` of any operator, unknown with ``…IfExists``.
- set operators: each value of the request against all of the policy; a request whose
  values are nothing but empty text has none.
- a key that may be there or not (the gate doesn't know it): unknown, ``Null`` and
  ``…IfExists`` included.
- a key with several values needs a set operator. Without one, the result is unknown.
- ``Null`` asks whether a key has a value. Whether nothing but empty text is one is not
  documented, and set operators say no, so it is unknown.
- a text with a variable that has no value matches nothing, and a negated operator is met by
  it ("Variables and tags"). The same page says that it "might" invalidate the statement, so
  a condition with such a variable never lets an Allow apply: it is unknown where it would be
  true. ``…IfExists`` on a key that is not there never looks at it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from attrs import frozen

from faaskit.iam.comparisons import OPERATORS, Test
from faaskit.iam.refusal import listed, refuse, shortened
from faaskit.iam.values import plain_text
from faaskit.iam.variables import (
    UNKNOWN,
    Values,
    Variable,
    parse_template,
    undefined,
    value_of,
)

__all__ = ["Condition", "check_block", "compile_block"]

_NAME = re.compile(r"(ForAllValues:|ForAnyValue:)?([A-Za-z]+?)(IfExists)?")
_TRUTHS = {"true", "false"}

Quantifier = Literal["ForAllValues:", "ForAnyValue:", ""]


@frozen
class Condition:
    """
    One operator on one key.

    Attributes:
        operator: As written, with its qualifiers.
        key: As written.
        wanted: The policy's values, as text.
        test: None for ``Null``.
        variables: Those without which the test can't be made.
    """

    operator: str
    key: str
    folded_key: str
    wanted: tuple[str, ...]
    test: Test | None = None
    negated: bool = False
    if_exists: bool = False
    quantifier: Quantifier = ""
    variables: tuple[Variable, ...] = ()

    def holds(self, values: Values) -> bool | None:
        """Whether a request meets it; None where that can't be told."""
        value = value_of(values, self.folded_key)
        if value is UNKNOWN:
            return None
        if self.test is None:
            if value is not None and not any((value,) if isinstance(value, str) else value):
                return None if len(set(self.wanted)) == 1 else True
            return ("true" if value is None else "false") in self.wanted
        if value is None and self.if_exists:
            # IfExists would make it true, ForAnyValue false; the guide does not say which wins.
            return None if self.quantifier == "ForAnyValue:" else True
        result = self._result(self.test, value, values)
        if result and self.variables and undefined(self.variables, values) is not None:
            return None
        return result

    def _result(
        self, test: Test, value: str | tuple[str, ...] | None, values: Values
    ) -> bool | None:
        if self.quantifier:
            every = (value,) if isinstance(value, str) else value or ()
            if not any(every):
                return self.quantifier == "ForAllValues:"
            results = {self._turned(test.matches(one, values)) for one in every}
            decisive = self.quantifier == "ForAnyValue:"
            if decisive in results:
                return decisive
            return None if None in results else not decisive
        if value is None:
            return self.negated
        if not isinstance(value, str):
            return None
        return self._turned(test.matches(value, values))

    def _turned(self, result: bool | None) -> bool | None:
        return not result if self.negated and result is not None else result

    def __str__(self) -> str:
        return f"{self.operator} {self.key} {listed(repr(one) for one in self.wanted)}"

    def explain(self, values: Values) -> str:
        """Return in words what decides about it in a request, or why that can't be told."""
        missing = undefined(self.variables, values)
        if missing is not None:
            return f"{missing.source} has no value in this request"
        value = value_of(values, self.folded_key)
        if value is UNKNOWN:
            return f"the request's {self.key} is not known here"
        if value is None:
            return f"the request has no {self.key}"
        if isinstance(value, str):
            fact = f"the request has {shortened(value)!r}"
            value = (value,)
        else:
            fact = f"the request has {listed(repr(one) for one in value)}"
        if self.holds(values) is False and self.quantifier == "ForAllValues:" and self.test:
            met = [self._turned(self.test.matches(one, values)) for one in value]
            failing = [repr(one) for one, each in zip(value, met, strict=True) if each is False]
            return f"{fact}, of which {listed(failing)} does not"
        if self.holds(values) is not None:
            return fact
        if len(value) > 1 and not self.quantifier:
            return f"{fact}: several values, which only ForAllValues: and ForAnyValue: compare"
        return f"{fact}, which {self.operator} can't compare"


def compile_block(
    block: Mapping[str, Mapping[str, object]], place: str, *, expand: bool
) -> tuple[Condition, ...]:
    """
    Return the conditions of a Condition element that ``check_block`` let pass.

    Args:
        block: Values by key by operator.
        place: The path of the element, for messages.
        expand: Whether the policy's version has variables.

    Raises:
        DefinitionError: A value is not what its operator compares.
    """
    return tuple(
        _compile(name, key, value, place=f"{place}.{name}", expand=expand)
        for name, keys in block.items()
        for key, value in keys.items()
    )


def _compile(name: str, key: str, value: object, *, place: str, expand: bool) -> Condition:
    texts = _texts(value, place=f"{place}.{key}")
    quantifier, base, if_exists = _parse_name(name, place)
    if base == "Null":
        texts = tuple(text.lower() for text in texts)
        for text in set(texts) - _TRUTHS:
            refuse(f"{place}.{key}", f"{text!r} is not true or false")
        return Condition(name, key, key.lower(), texts)
    known = OPERATORS[base]
    test = known.compile(texts, f"{place}.{key}", expand)
    templates = [parse_template(text, f"{place}.{key}", expand=expand) for text in texts]
    return Condition(
        name,
        key,
        key.lower(),
        texts,
        test,
        negated=known.negated,
        if_exists=if_exists,
        quantifier=quantifier,
        variables=tuple(variable for one in templates for variable in one.variables),
    )


def check_block(block: object, place: str) -> None:
    """
    Refuse what is no Condition element, whatever the policy's version.

    Raises:
        DefinitionError: An unknown operator, a key given twice, or no values.
    """
    if not isinstance(block, Mapping):
        reason = f"{block!r} is no object of operators, such as {{'StringEquals': {{key: value}}}}"
        refuse(place, reason)
    for name, keys in block.items():
        here = f"{place}.{name}"
        _parse_name(name, here)
        if not isinstance(keys, Mapping):
            refuse(here, f"{keys!r} is no object of context keys and values")
        seen: set[str] = set()
        for key, value in keys.items():
            if not isinstance(key, str) or not key or "${" in key:
                refuse(here, f"{key!r} is no context key, such as 'aws:SourceIp'")
            if key.lower() in seen:
                refuse(here, f"{key!r} is there twice: keys are compared without case")
            seen.add(key.lower())
            _texts(value, place=f"{here}.{key}")


def _parse_name(name: object, place: str) -> tuple[Quantifier, str, bool]:
    found = _NAME.fullmatch(name) if isinstance(name, str) else None
    quantifier, base, if_exists = found.groups() if found else (None, "", None)
    if base == "Null" and (quantifier or if_exists):
        reason = "Null takes neither IfExists nor a set operator: it asks for the key itself"
        refuse(place, reason)
    if base != "Null" and base not in OPERATORS:
        near = {one.lower(): one for one in OPERATORS}.get(base.lower())
        hint = f"; write {near}" if near else ""
        refuse(place, f"{name!r} is no condition operator of IAM's{hint}")
    if quantifier == "ForAllValues:":
        return "ForAllValues:", base, bool(if_exists)
    return ("ForAnyValue:" if quantifier else ""), base, bool(if_exists)


def _texts(value: object, place: str) -> tuple[str, ...]:
    every: Sequence[object] = value if isinstance(value, list | tuple) else (value,)
    if not every:
        refuse(place, "the list of values is empty: nothing would ever match it")
    texts: list[str] = []
    for one in every:
        text = None if isinstance(one, bytes) else plain_text(one)
        if text is None:
            refuse(place, f"{one!r} is no value: a string, a number, true or false")
        texts.append(text)
    return tuple(texts)
