"""
Event patterns, as EventBridge has them, and event source mappings in their filters. Pure.

A pattern mirrors an event: objects nest, siblings must all hold, and a leaf is an array of
alternatives. An array in an event holds what any of its elements holds; what a pattern asks of
objects in an array, one and the same element must have.

Read by ``parse``: every way through the ``$or`` of a pattern becomes a tree of its own, so that
what stands in different branches is still asked of one element.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NoReturn

from attrs import Factory, define, field, frozen

from faaskit.exceptions import DefinitionError

__all__ = ["Pattern", "matches"]

MAX_PATTERN_CHARACTERS = 4096
MAX_COMBINATIONS = 1000
_MAX_DEPTH = 100  # ours: Python's own recursion would end a little further down

# What a filter of an event source mapping may use of it; ``numeric`` and ``$or`` among them.
_IN_FILTERS = {"anything-but", "equals-ignore-case", "exists", "numeric", "prefix", "suffix"}
_INFINITE = (float("inf"), float("-inf"))  # what JSON's 1e999 is read as
_LOWER, _UPPER = (">", ">="), ("<", "<=")

_Test = Callable[[Any], bool]


@frozen
class _Alternatives:
    """What a leaf may be: any of these, or absent."""

    tests: tuple[_Test, ...]
    absent: bool


@define
class _Node:
    """What is asked of a value, and of what is in it."""

    asked: list[_Alternatives] = Factory(list)
    fields: dict[str, _Node] = Factory(dict)


# One thing that is asked: where, and what.
_Asked = tuple[tuple[str, ...], _Alternatives]


@frozen
class Pattern:
    """
    A pattern that was found to be one.

    Attributes:
        text: As JSON.
    """

    text: str
    _trees: tuple[_Node, ...] = field(repr=False, eq=False)

    @classmethod
    def parse(cls, pattern: Any, *, kind: Literal["rule", "filter"] = "rule") -> Pattern:
        """
        Read a pattern.

        Args:
            pattern: A dict, or its JSON.
            kind: Whose it is. A filter of an event source mapping has no ``cidr``, no
                ``wildcard``, and ``anything-but`` of values only.

        Raises:
            DefinitionError: AWS does not take it, and why.
        """
        try:
            text = pattern if isinstance(pattern, str) else json.dumps(pattern, allow_nan=False)
            read = json.loads(text, parse_constant=_no_constant)
        except (TypeError, ValueError, RecursionError) as error:
            _refuse(f"not JSON: {error}")
        if len(text) > MAX_PATTERN_CHARACTERS:
            _refuse(f"it has {len(text)} characters, and may have {MAX_PATTERN_CHARACTERS}")
        if not isinstance(read, dict):
            _refuse("Filter is not an object")
        reader = _Reader(None if kind == "rule" else _IN_FILTERS)
        ways = reader.ways(read, ())
        return cls(text, tuple(_tree(way) for way in ways))

    def matches(self, event: Any) -> bool:
        """Return whether an event, parsed JSON, is one of those that the pattern describes."""
        return any(_holds(tree, event) for tree in self._trees)


def matches(pattern: Any, event: Any) -> bool:
    """
    Return whether an event is one of those that a pattern describes.

    Args:
        pattern: As EventBridge takes it in a rule: a dict, its JSON, or a Pattern.
        event: Parsed JSON.

    Raises:
        DefinitionError: EventBridge does not take such a pattern.
    """
    known = pattern if isinstance(pattern, Pattern) else Pattern.parse(pattern)
    return known.matches(event)


# --- matching ---------------------------------------------------------------------------


def _holds(node: _Node, event: Any) -> bool:
    """Return whether an object has what is asked of its fields."""
    if not isinstance(event, dict):
        return False
    return all(_field_holds(child, event.get(name, ())) for name, child in node.fields.items())


def _field_holds(node: _Node, value: Any) -> bool:
    """Return whether a field's value, an empty array if there is none, is what is asked."""
    elements = list(_elements(value))
    if node.fields:
        # Where there is no object, what has to be absent in it is.
        objects = [element for element in elements if isinstance(element, dict)] or [{}]
        if not any(_holds(node, one) for one in objects):
            return False
    leaves = [element for element in elements if not isinstance(element, dict)]
    return all(_one_holds(alternatives, leaves) for alternatives in node.asked)


def _one_holds(alternatives: _Alternatives, leaves: Sequence[Any]) -> bool:
    if not leaves:
        return alternatives.absent
    return any(test(leaf) for leaf in leaves for test in alternatives.tests)


def _elements(value: Any) -> Iterator[Any]:
    """Yield what is in an array, and in arrays in it; a value that is none, itself."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (list, tuple)):
            waiting.extend(reversed(one))
        else:
            yield one


# --- reading ----------------------------------------------------------------------------


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is no JSON"
    raise ValueError(msg)


def _refuse(reason: str) -> NoReturn:
    msg = f"Event pattern is not valid. Reason: {reason}"
    raise DefinitionError(msg)


def _tree(way: Sequence[_Asked]) -> _Node:
    root = _Node()
    for path, alternatives in way:
        node = root
        for name in path:
            node = node.fields.setdefault(name, _Node())
        node.asked.append(alternatives)
    return root


class _Reader:
    """
    Reads the objects and leaves of a pattern.

    Args:
        known: Operators that may be used; None for all.
    """

    def __init__(self, known: set[str] | None) -> None:
        self._known = known

    def ways(self, pattern: Mapping[str, Any], path: tuple[str, ...]) -> list[list[_Asked]]:
        """Return the ways through an object: of each, all that is asked."""
        if not pattern:
            _refuse("Empty objects are not allowed")
        if len(path) > _MAX_DEPTH:
            _refuse(f"it nests over {_MAX_DEPTH} levels")
        ways: list[list[_Asked]] = [[]]
        for name, inner in pattern.items():
            if name == "$or" and _is_choice(inner):
                further = [way for branch in inner for way in self.ways(branch, path)]
            elif isinstance(inner, dict):
                further = self.ways(inner, (*path, name))
            elif isinstance(inner, list):
                further = [[((*path, name), self._alternatives(inner))]]
            else:
                _refuse(f'"{name}" must be an object or an array')
            if len(ways) * len(further) > MAX_COMBINATIONS:
                _refuse(f"its $or make over {MAX_COMBINATIONS} combinations")
            ways = [[*way, *more] for way in ways for more in further]
        return ways

    def _alternatives(self, values: list[Any]) -> _Alternatives:
        if not values:
            _refuse("Empty arrays are not allowed")
        tests: list[_Test] = []
        absent = False
        for value in values:
            if isinstance(value, list):
                _refuse("Match value must be String, number, true, false, or null")
            if not isinstance(value, dict):
                tests.append(_equal_to(value))
                continue
            name, operand = self._expression(value)
            if name == "exists" and operand is False:
                absent = True
            else:
                tests.append(_OPERATORS[name](operand, self._known is not None))
        return _Alternatives(tuple(tests), absent)

    def _expression(self, value: Mapping[str, Any]) -> tuple[str, Any]:
        if not value:
            _refuse("Match expression name not found")
        if len(value) > 1:
            _refuse("Only one key allowed in match expression")
        ((name, operand),) = value.items()
        if name not in _OPERATORS:
            _refuse(f"Unrecognized match type {name}")
        if self._known is not None and name not in self._known:
            _refuse(f"{name} is for rules of a bus, not for a filter of an event source mapping")
        return name, operand


def _is_choice(value: Any) -> bool:
    """Return whether what ``$or`` has is a choice; else it is a field of that name."""
    return (
        isinstance(value, list)
        and len(value) > 1
        and all(isinstance(one, dict) and not one.keys() & _OPERATORS.keys() for one in value)
    )


# --- operators --------------------------------------------------------------------------


def _equal_to(wanted: Any) -> _Test:
    kind = type(wanted)  # 1, 1.0 and true are three things
    return lambda value: type(value) is kind and value == wanted


def _text_of(operand: Any, name: str) -> str:
    if not isinstance(operand, str):
        _refuse(f"{name} match pattern must be a string")
    return operand


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _begins(operand: Any, _: bool) -> _Test:
    return _edge("prefix", operand, str.startswith)


def _ends(operand: Any, _: bool) -> _Test:
    return _edge("suffix", operand, str.endswith)


def _edge(name: str, operand: Any, has: Callable[[str, str], bool]) -> _Test:
    if isinstance(operand, dict):
        if operand.keys() != {"equals-ignore-case"}:
            _refuse(f"Unsupported {name} pattern: {', '.join(map(str, operand)) or 'empty'}")
        folded = _text_of(operand["equals-ignore-case"], "equals-ignore-case").lower()
        return lambda value: isinstance(value, str) and has(value.lower(), folded)
    edge = _text_of(operand, name)
    return lambda value: isinstance(value, str) and has(value, edge)


def _same_but_case(operand: Any, _: bool) -> _Test:
    folded = _text_of(operand, "equals-ignore-case").lower()
    return lambda value: isinstance(value, str) and value.lower() == folded


def _exists(operand: Any, _: bool) -> _Test:
    if not isinstance(operand, bool):
        _refuse("exists match pattern must be either true or false.")
    return lambda _: True


def _wildcard(operand: Any, _: bool) -> _Test:
    parts = _literals(_text_of(operand, "wildcard"))
    if len(parts) == 1:
        return lambda value: value == parts[0]
    first, *middle, last = parts

    def test(value: Any) -> bool:
        if not isinstance(value, str) or len(value) < len(first) + len(last):
            return False
        if not (value.startswith(first) and value.endswith(last)):
            return False
        at, end = len(first), len(value) - len(last)
        # The earliest place of each leaves the most room for the next: nothing is tried twice.
        for part in middle:
            found = value.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    return test


def _literals(text: str) -> list[str]:
    """Return what stands between the ``*`` of a wildcard."""
    parts, literal = [], ""
    characters = iter(text)
    before = ""
    for character in characters:
        if character == "\\":
            escaped = next(characters, "")
            if escaped not in {"*", "\\"} or not escaped:
                _refuse("Invalid escape character in a wildcard: \\ stands before * or \\ only")
            literal += escaped
            before = ""
            continue
        if character == "*":
            if before == "*":
                _refuse("Consecutive wildcard characters are not allowed")
            parts.append(literal)
            literal = ""
        else:
            literal += character
        before = character
    return [*parts, literal]


def _cidr(operand: Any, _: bool) -> _Test:
    try:
        network = ipaddress.ip_network(_text_of(operand, "cidr"), strict=False)
    except ValueError as error:
        _refuse(f"Malformed CIDR: {error}")

    def test(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return test


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda value, bound: bool(value == bound),
    "<": lambda value, bound: bool(value < bound),
    "<=": lambda value, bound: bool(value <= bound),
    ">": lambda value, bound: bool(value > bound),
    ">=": lambda value, bound: bool(value >= bound),
}


def _numeric(operand: Any, _: bool) -> _Test:
    if not isinstance(operand, list) or not operand:
        _refuse("Value of numeric must be an array.")
    if len(operand) not in {2, 4}:
        _refuse("numeric takes a comparison and a number, or two of each: a range")
    signs, bounds = operand[::2], operand[1::2]
    for sign, bound in zip(signs, bounds, strict=True):
        if not isinstance(sign, str) or sign not in _COMPARISONS:
            _refuse(f"Unrecognized numeric range operator: {sign}")
        if not _is_number(bound) or bound in _INFINITE:
            _refuse(f"Value of {sign} must be numeric")
    if len(signs) == 2:  # noqa: PLR2004 - a range
        if signs[0] not in _LOWER or signs[1] not in _UPPER:
            _refuse(f"a range is a lower bound, then an upper one: not {signs[0]} and {signs[1]}")
        if bounds[0] >= bounds[1]:
            _refuse("Bottom must be less than top")
    pairs = [(_COMPARISONS[sign], bound) for sign, bound in zip(signs, bounds, strict=True)]
    return lambda value: _is_number(value) and all(holds(value, bound) for holds, bound in pairs)


def _anything_but(operand: Any, in_filter: bool) -> _Test:
    if isinstance(operand, dict):
        if in_filter:
            _refuse("anything-but of another operator is for rules of a bus, not for a filter")
        return _none_of(operand)
    values = operand if isinstance(operand, list) else [operand]
    if not values:
        _refuse("Empty arrays are not allowed")
    if all(isinstance(value, str) for value in values):
        texts = frozenset(values)
        return lambda value: not (isinstance(value, str) and value in texts)
    if all(map(_is_number, values)):
        numbers = frozenset(values)
        return lambda value: not (_is_number(value) and value in numbers)
    _refuse("Inside anything but list, either all values are number or string, mixed is not")


def _none_of(operand: Mapping[str, Any]) -> _Test:
    if len(operand) != 1:
        _refuse("Only one key allowed in match expression")
    ((name, inner),) = operand.items()
    if name not in {"equals-ignore-case", "prefix", "suffix", "wildcard"}:
        _refuse(f"Unsupported anything-but pattern: {name}")
    values = inner if isinstance(inner, list) else [inner]
    if not values:
        _refuse("Empty arrays are not allowed")
    for value in values:
        if not _text_of(value, name) and name in {"prefix", "suffix"}:
            _refuse(f"Null {name} not allowed")
    tests = [_OPERATORS[name](value, False) for value in values]
    return lambda value: not any(test(value) for test in tests)


_OPERATORS: Mapping[str, Callable[[Any, bool], _Test]] = {
    "anything-but": _anything_but,
    "cidr": _cidr,
    "equals-ignore-case": _same_but_case,
    "exists": _exists,
    "numeric": _numeric,
    "prefix": _begins,
    "suffix": _ends,
    "wildcard": _wildcard,
}
