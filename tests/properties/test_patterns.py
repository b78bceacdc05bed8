"""Event patterns against an oracle that tries every element of every array."""

from __future__ import annotations

import ipaddress
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faaskit import DefinitionError
from faaskit.events import matches
from faaskit.events.patterns import Pattern

# --- the oracle -------------------------------------------------------------------------
# A view of an event has, for each array, its leaves and one of its objects.


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _flat(one)
    else:
        yield value


def _views(event: dict[str, Any]) -> Iterator[dict[str, tuple[list[Any], dict[str, Any]]]]:
    choices = []
    for name, value in event.items():
        elements = list(_flat(value))
        leaves = [one for one in elements if not isinstance(one, dict)]
        objects = [view for one in elements if isinstance(one, dict) for view in _views(one)]
        choices.append([(name, (leaves, chosen)) for chosen in objects or [{}]])
    for chosen in itertools.product(*choices):
        yield dict(chosen)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _allows(alternative: Any, leaf: Any) -> bool:  # noqa: PLR0911 - an operator each
    if not isinstance(alternative, dict):
        return json.dumps(alternative) == json.dumps(leaf)
    ((name, operand),) = alternative.items()
    text = leaf if isinstance(leaf, str) else None
    if name == "exists":
        return bool(operand)
    if name == "anything-but":
        return not any(_allows(one, leaf) for one in _excluded(operand))
    if name == "numeric":
        if not _is_number(leaf):
            return False
        pairs = zip(operand[::2], operand[1::2], strict=True)
        return all(eval(f"{leaf!r} {'==' if s == '=' else s} {b!r}") for s, b in pairs)
    if text is None:
        return False
    if isinstance(operand, dict):
        operand, text = operand["equals-ignore-case"].lower(), text.lower()
    if name == "cidr":
        try:
            return ipaddress.ip_address(text) in ipaddress.ip_network(operand)
        except ValueError:
            return False
    expressions = {
        "prefix": f"{re.escape(operand)}.*",
        "suffix": f".*{re.escape(operand)}",
        "equals-ignore-case": f"(?i:{re.escape(operand)})",
        "wildcard": re.sub(
            r"\\(\*|\\)|(\*)|(.)",
            lambda found: ".*" if found[2] else re.escape(found[1] or found[3]),
            operand,
            flags=re.DOTALL,
        ),
    }
    return re.fullmatch(expressions[name], text, re.DOTALL) is not None


def _excluded(operand: Any) -> list[Any]:
    if isinstance(operand, dict):
        ((name, inner),) = operand.items()
        return [{name: one} for one in (inner if isinstance(inner, list) else [inner])]
    return operand if isinstance(operand, list) else [operand]


def _fits(pattern: dict[str, Any], view: dict[str, tuple[list[Any], dict[str, Any]]]) -> bool:
    for name, inner in pattern.items():
        if name == "$or":
            if not any(_fits(branch, view) for branch in inner):
                return False
            continue
        leaves, inside = view.get(name, ([], {}))
        if isinstance(inner, dict):
            if not _fits(inner, inside):
                return False
        elif leaves:
            if not any(_allows(one, leaf) for one in inner for leaf in leaves):
                return False
        elif {"exists": False} not in inner:
            return False
    return True


def _oracle(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    return any(_fits(pattern, view) for view in _views(event))


# --- what it is tried on ----------------------------------------------------------------

_TEXTS = st.sampled_from(["", "a", "A", "ab", "aB", "ba", "a*b", "10.0.0.7", "10.1.0.7", "\\", "é"])
_NUMBERS = st.sampled_from([0, 1, 2, -1, 1.5])
_SCALARS = st.one_of(_TEXTS, _NUMBERS, st.sampled_from([None, True, False]))
_WILDCARDS = st.sampled_from(["*", "a*", "a*a", "*b", "a*b", "a\\*b", "*a*", "ab", "\\\\", "*\\**"])
_RANGES = st.sampled_from(
    [["=", 1], [">", 0], [">=", 1, "<", 2], ["<=", 1.5], ["<", 0], [">", -1, "<=", 1]]
)
_IGNORING = st.fixed_dictionaries({"equals-ignore-case": _TEXTS})
_FULL = st.sampled_from(["a", "ab", "b", "10."])
_NEGATED = st.one_of(
    _TEXTS,
    _NUMBERS,
    st.lists(_TEXTS, min_size=1, max_size=2),
    st.lists(_NUMBERS, min_size=1, max_size=2),
    st.fixed_dictionaries({"prefix": st.one_of(_FULL, st.lists(_FULL, min_size=1, max_size=2))}),
    st.fixed_dictionaries({"suffix": _FULL}),
    st.fixed_dictionaries({"wildcard": _WILDCARDS}),
    _IGNORING,
)
_ALTERNATIVES = st.one_of(
    _SCALARS,
    st.fixed_dictionaries({"prefix": st.one_of(_TEXTS, _IGNORING)}),
    st.fixed_dictionaries({"suffix": st.one_of(_TEXTS, _IGNORING)}),
    st.fixed_dictionaries({"wildcard": _WILDCARDS}),
    st.fixed_dictionaries({"numeric": _RANGES}),
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({"cidr": st.sampled_from(["10.0.0.0/24", "10.0.0.0/8"])}),
    st.fixed_dictionaries({"anything-but": _NEGATED}),
    _IGNORING,
)
_LEAVES = st.lists(_ALTERNATIVES, min_size=1, max_size=3)


def _patterns(depth: int, names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Patterns whose branches ask of other leaves than what stands beside them."""
    leaves = st.dictionaries(st.sampled_from(names[:2]), _LEAVES, min_size=1, max_size=2)
    if not depth:
        return leaves
    inner = _patterns(depth - 1, names)
    nested = st.dictionaries(st.sampled_from("xy"), inner, min_size=1, max_size=2)
    both = st.builds(lambda one, other: {**one, **other}, leaves, nested)
    plain = st.one_of(leaves, nested, both)
    if len(names) < 4:
        return plain
    choice = st.lists(_patterns(depth, names[2:]), min_size=2, max_size=2)
    return st.one_of(plain, st.builds(lambda one, other: {**one, "$or": other}, plain, choice))


def _events(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    values: st.SearchStrategy[Any] = st.one_of(_SCALARS, st.lists(_SCALARS, max_size=2))
    fields = dict.fromkeys("abcd", values)
    if depth:
        inner = _events(depth - 1)
        some = st.one_of(inner, st.lists(st.one_of(inner, _SCALARS), max_size=2), _SCALARS)
        fields |= {"x": some, "y": some}
    return st.fixed_dictionaries({}, optional=fields)


@settings(max_examples=1500, deadline=None)
@given(pattern=_patterns(2, "abcd"), event=_events(2))
def test_a_pattern_matches_what_it_describes(
    pattern: dict[str, Any], event: dict[str, Any]
) -> None:
    """Whatever the pattern, the event and its arrays."""
    assert matches(pattern, event) == _oracle(pattern, event)


# --- AWS's own examples -----------------------------------------------------------------

_DETAIL = {
    "n": 5,
    "s": "Hello",
    "l": ["x", "y"],
    "o": {"k": 1},
    "z": None,
    "e": "",
    "emp": [{"f": "Anna", "l": "Smith"}, {"f": "Peter", "l": "Jones"}],
    "t": True,
    "f": 300.0,
    "ip": "10.0.0.9",
    "six": "2001:db8::7",
    "p": "dir/a/b.png",
}


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ({"n": [5]}, True),
        ({"n": ["5"]}, False),
        ({"n": [{"numeric": [">", 0, "<=", 5]}]}, True),
        ({"s": [{"numeric": ["=", 5]}]}, False),
        ({"s": ["hello"]}, False),
        ({"s": [{"equals-ignore-case": "hello"}]}, True),
        ({"z": [None]}, True),
        ({"e": [""]}, True),
        ({"e": [None]}, False),
        ({"$or": [{"n": [9]}, {"s": ["Hello"]}]}, True),
        ({"l": ["y", "q"]}, True),
        ({"l": [{"anything-but": "x"}]}, True),
        ({"l": [{"anything-but": ["x", "y"]}]}, False),
        ({"missing": [{"anything-but": "x"}]}, False),
        ({"missing": [{"exists": False}]}, True),
        ({"missing": {"k": [{"exists": False}]}}, True),
        ({"o": [{"exists": True}]}, False),
        ({"o": [{"exists": False}]}, True),
        ({"o": {"k": [{"exists": True}]}}, True),
        ({"emp": {"f": ["Anna"], "l": ["Smith"]}}, True),
        ({"emp": {"f": ["Anna"], "l": ["Jones"]}}, False),
        ({"emp": {"f": ["Anna"]}, "$or": [{"emp": {"l": ["Jones"]}}, {"n": [9]}]}, False),
        ({"emp": {"f": ["Peter"]}, "$or": [{"emp": {"l": ["Jones"]}}, {"n": [9]}]}, True),
        ({"t": [True]}, True),
        ({"t": [1]}, False),
        ({"f": [300]}, False),
        ({"f": [{"numeric": ["=", 300]}]}, True),
        ({"t": [{"numeric": ["=", 1]}]}, False),
        ({"ip": [{"cidr": "10.0.0.0/24"}]}, True),
        ({"ip": [{"cidr": "10.0.1.0/24"}]}, False),
        ({"six": [{"cidr": "2001:db8::/32"}]}, True),
        ({"s": [{"cidr": "10.0.0.0/24"}]}, False),
        ({"p": [{"wildcard": "dir/*.png"}]}, True),
        ({"p": [{"wildcard": "dir/*/*/*.png"}]}, False),
        ({"s": [{"wildcard": "Hel*ello"}]}, False),  # its ends may not overlap
        ({"p": [{"anything-but": {"wildcard": "*/a/*"}}]}, False),
        ({"s": [{"prefix": {"equals-ignore-case": "heL"}}]}, True),
        ({"n": [{"anything-but": {"prefix": "x"}}]}, True),
    ],
)
def test_examples(pattern: dict[str, Any], *, wanted: bool) -> None:
    """As documented: types, arrays, absence and one element of an array."""
    assert matches(pattern, _DETAIL) is wanted
    nested = {"detail": pattern}
    assert Pattern.parse(json.dumps(nested)).matches({"detail": _DETAIL}) is wanted


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ({}, "Empty objects"),
        ([], "not an object"),
        ("nonsense", "not JSON"),
        ('{"a": [NaN]}', "NaN"),
        ({"a": "b"}, "must be an object or an array"),
        ({"a": []}, "Empty arrays"),
        ({"a": {}}, "Empty objects"),
        ({"a": [["b"]]}, "Match value must be"),
        ({"a": [{}]}, "name not found"),
        ({"a": [{"prefix": "a", "suffix": "b"}]}, "Only one key"),
        ({"a": [{"like": "a"}]}, "Unrecognized match type like"),
        ({"a": [{"prefix": 1}]}, "must be a string"),
        ({"a": [{"prefix": {"suffix": "a"}}]}, "Unsupported prefix"),
        ({"a": [{"exists": "yes"}]}, "either true or false"),
        ({"a": [{"numeric": []}]}, "must be an array"),
        ({"a": [{"numeric": [">"]}]}, "a comparison and a number"),
        ({"a": [{"numeric": ["!", 1]}]}, "Unrecognized numeric"),
        ({"a": [{"numeric": [">", "1"]}]}, "must be numeric"),
        ('{"a": [{"numeric": [">", 1e999]}]}', "must be numeric"),
        ({"a": [{"numeric": ["<", 1, ">", 0]}]}, "lower bound"),
        ({"a": [{"numeric": [">", 1, "<", 1]}]}, "less than top"),
        ({"a": [{"cidr": "10.0.0.0/99"}]}, "Malformed CIDR"),
        ({"a": [{"wildcard": "a**"}]}, "Consecutive"),
        ({"a": [{"wildcard": "a\\b"}]}, "escape"),
        ({"a": [{"wildcard": "a\\"}]}, "escape"),
        ({"a": [{"anything-but": ["a", 1]}]}, "mixed"),
        ({"a": [{"anything-but": []}]}, "Empty arrays"),
        ({"a": [{"anything-but": None}]}, "mixed"),
        ({"a": [{"anything-but": {"prefix": ""}}]}, "Null prefix"),
        ({"a": [{"anything-but": {"numeric": ["=", 1]}}]}, "Unsupported anything-but"),
        ({"$or": [{"a": [1]}]}, "match type a"),  # one alone is no choice
        ({"$or": [{"prefix": ["x"]}, {"a": [1]}]}, "prefix match"),
        ({"a": ["x" * 4096]}, "characters"),
        ({"a": [object()]}, "not JSON"),
        (
            {f"l{n}": {"$or": [{"a": [1]}, {"b": [1]}]} for n in range(10)},
            "1000 combinations",
        ),
    ],
)
def test_what_is_no_pattern(pattern: Any, reason: str) -> None:
    """Refused when it is read, as at creation on AWS."""
    with pytest.raises(DefinitionError, match=reason) as caught:
        Pattern.parse(pattern)
    assert str(caught.value).startswith("Event pattern is not valid. Reason: ")


@pytest.mark.parametrize(
    "leaf",
    [{"wildcard": "*"}, {"cidr": "10.0.0.0/8"}, {"anything-but": {"prefix": "a"}}],
)
def test_filters_have_fewer(leaf: dict[str, Any]) -> None:
    """What rules may ask, and filters of event source mappings may not."""
    Pattern.parse({"a": [leaf]})
    with pytest.raises(DefinitionError, match="not for a filter"):
        Pattern.parse({"a": [leaf]}, kind="filter")
    Pattern.parse({"a": [{"anything-but": ["a"]}]}, kind="filter")


def test_depth() -> None:
    """Far down in an event; and a pattern that goes further is refused, not followed."""
    deep: Any = ["x"]
    event: Any = "x"
    for _ in range(100):
        deep, event = {"a": deep}, {"a": [event]}
    assert matches(deep, event)
    for _ in range(2):
        deep = {"a": deep}
    with pytest.raises(DefinitionError, match="nests over 100"):
        matches(deep, event)
