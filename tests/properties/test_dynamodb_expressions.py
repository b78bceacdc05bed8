"""Expressions on tables, against an oracle that never sees their text."""

from __future__ import annotations

import base64
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import assume, example, given
from hypothesis import strategies as st

from faaskit.gate.service import Refusal
from faaskit.resources.dynamodb import grammar
from faaskit.resources.dynamodb.binding import Bindings
from faaskit.resources.dynamodb.conditions import check_condition, holds
from faaskit.resources.dynamodb.forms import condition_form, projection_form, update_form
from faaskit.resources.dynamodb.keys import encoded
from faaskit.resources.dynamodb.numbers import added, canonical
from faaskit.resources.dynamodb.paths import branches, picked
from faaskit.resources.dynamodb.python import from_attribute, from_item, to_attribute, to_item
from faaskit.resources.dynamodb.updates import check_update, updated
from faaskit.resources.dynamodb.values import checked

# --- numbers ----------------------------------------------------------------------------

_numbers = st.builds(
    lambda sign, digits, exponent: Decimal((sign, tuple(digits), exponent)),
    st.integers(0, 1),
    st.lists(st.integers(0, 9), min_size=1, max_size=38),
    st.integers(-130, 87),
)

# Of few digits, so that some begin as others do.
_alike = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(-1111, 1111),
    st.integers(-3, 3),
)


def _kept(number: Decimal) -> str:
    try:
        return canonical(str(number))
    except Refusal:
        assume(False)
        raise


@given(_numbers)
def test_a_number_is_kept_as_it_is(number: Decimal) -> None:
    """In one way of writing it, whatever way it came in."""
    text = _kept(number)
    assert Decimal(text) == number
    assert canonical(text) == text
    assert canonical(f"{number:e}") == text
    assert "e" not in text.lower()


@given(st.one_of(_numbers, _alike), st.one_of(_numbers, _alike))
@example(Decimal("-1.5"), Decimal(-1))
@example(Decimal("1.5"), Decimal(1))
def test_numbers_as_keys_compare_as_numbers_do(one: Decimal, two: Decimal) -> None:
    """Their encoded forms are in the order of the numbers."""
    a, b = encoded({"N": _kept(one)}), encoded({"N": _kept(two)})
    assert (a < b, a == b) == (one < two, one == two)


@given(_numbers, _numbers, st.sampled_from([1, -1]))
def test_sums_are_exact_or_refused(one: Decimal, two: Decimal, sign: int) -> None:
    """To the last digit, or not at all."""
    a, b = _kept(one), _kept(two)
    exact = Fraction(one) + sign * Fraction(two)
    try:
        total = added(a, b, sign=sign)
    except Refusal:
        significant = str(abs(int(exact * 10**400))).strip("0")
        assert len(significant) > 38 or not 10**-130 <= abs(exact) < 10**126
    else:
        assert Fraction(total) == exact


# --- values -----------------------------------------------------------------------------

_scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**37), 10**37),
    st.decimals(-1000, 1000, places=3),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.binary(max_size=5),
    st.sets(st.sampled_from(["a", "b", "c"]), min_size=1),
    st.sets(st.integers(0, 3), min_size=1),
    st.sets(st.sampled_from([b"a", b"b"]), min_size=1),
)
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["x", "y", "z"]), inner, max_size=3),
    ),
    max_leaves=6,
)


@given(_values)
def test_values_of_python_are_boto3s(value: Any) -> None:
    """As boto3 turns them; but numbers without a fraction are ints, and bytes are bytes."""
    attribute = checked(to_attribute(value))
    theirs = TypeSerializer().serialize(value)
    assert _without_order(attribute) == _without_order(checked(_as_json(dict(theirs))))
    assert from_attribute(attribute) == TypeDeserializer().deserialize(theirs) == value


def _as_json(value: dict[str, Any]) -> dict[str, Any]:
    ((kind, content),) = value.items()
    if kind == "B":
        return {"B": base64.b64encode(bytes(content)).decode()}
    if kind == "BS":
        return {"BS": [base64.b64encode(bytes(each)).decode() for each in content]}
    if kind == "L":
        return {"L": [_as_json(each) for each in content]}
    if kind == "M":
        return {"M": {name: _as_json(each) for name, each in content.items()}}
    return value


def _without_order(value: Any) -> Any:
    ((kind, content),) = value.items()
    if kind in {"SS", "NS", "BS"}:
        return {kind: set(content)}
    if kind == "L":
        return {"L": [_without_order(each) for each in content]}
    if kind == "M":
        return {"M": {name: _without_order(each) for name, each in content.items()}}
    return value


# --- conditions: a tree, its text, and what it comes to -----------------------------------

_MISSING = object()
_PATHS = ["a", "b", "c", "m.x", "m.y", "l[0]", "l[11]", "#n", "#n.x", "m.#n", "nowhere.x"]
_NAMES = {"#n": "size of it"}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_TYPES: dict[str, Callable[[Any], bool]] = {
    "NULL": lambda value: value is None,
    "BOOL": lambda value: isinstance(value, bool),
    "N": lambda value: isinstance(value, (int, Decimal)) and not isinstance(value, bool),
    "S": lambda value: isinstance(value, str),
    "B": lambda value: isinstance(value, bytes),
    "L": lambda value: isinstance(value, list),
    "M": lambda value: isinstance(value, dict),
    "SS": lambda value: isinstance(value, set) and isinstance(min(value), str),
    "NS": lambda value: isinstance(value, set) and isinstance(min(value), int),
    "BS": lambda value: isinstance(value, set) and isinstance(min(value), bytes),
}


def _kind(value: Any) -> str:
    return next(kind for kind, matches in _TYPES.items() if matches(value))


def _same(a: Any, b: Any) -> bool:
    """Python takes True for 1; DynamoDB does not."""
    if _kind(a) != _kind(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    return bool(a == b)


_constants = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 3),
    st.sampled_from(["", "a", "ab", "b", "a€", b"", b"a", b"ab", b"\xff"]),
    st.sampled_from([{"a"}, {"a", "b"}, {1, 2}, {b"a"}]),
    st.lists(st.integers(0, 1), max_size=2),
    st.dictionaries(st.sampled_from(["x"]), st.integers(0, 1)),
)
_items = st.fixed_dictionaries(
    {},
    optional={
        "a": _constants,
        "b": _constants,
        "c": _constants,
        "m": st.dictionaries(st.sampled_from(["x", "y", "size of it"]), _constants),
        "l": st.lists(_constants, max_size=13),
        "size of it": st.one_of(_constants, st.dictionaries(st.just("x"), _constants)),
    },
)


def _at(item: Any, path: str) -> Any:
    value = item
    for step in path.replace("[", ".[").split("."):
        if step.startswith("["):
            index = int(step[1:-1])
            if not isinstance(value, list) or index >= len(value):
                return _MISSING
            value = value[index]
        else:
            name = _NAMES.get(step, step)
            if not isinstance(value, dict) or name not in value:
                return _MISSING
            value = value[name]
    return value


class _Text:
    """Writes a tree as an expression, collecting its constants."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def operand(self, tree: Any) -> str:
        if tree[0] == "path":
            return str(tree[1])
        if tree[0] == "size":
            return f"size({self.operand(tree[1])})"
        key = f":v{len(self.values)}"
        self.values[key] = to_attribute(tree[1])
        return key

    def condition(self, tree: Any, above: int = 0) -> str:
        kind = tree[0]
        if kind in {"AND", "OR", "NOT"}:
            level = {"OR": 1, "AND": 2, "NOT": 3}[kind]
            if kind == "NOT":
                text = f"NOT {self.condition(tree[1], level)}"
            else:
                text = f" {kind} ".join(self.condition(each, level) for each in tree[1])
            # Its own level within itself: AND and OR hold two or more, one never needs them.
            return f"({text})" if level < above or (level == above and kind != "NOT") else text
        operands = [self.operand(each) for each in tree[1:]]
        if kind == "BETWEEN":
            return "{} between {} AND {}".format(*operands)
        if kind == "IN":
            return f"{operands[0]} IN ({', '.join(operands[1:])})"
        if kind in {"=", "<>", *_COMPARE}:
            return f"{operands[0]} {kind} {operands[1]}"
        return f"{kind} ({','.join(operands)})"


def _operand(tree: Any, item: Any) -> Any:
    if tree[0] == "path":
        return _at(item, tree[1])
    if tree[0] == "value":
        return tree[1]
    value = _operand(tree[1], item)
    has_size = isinstance(value, (str, bytes, set, list, dict))
    return len(value) if has_size else _MISSING


def _decide(tree: Any, item: Any) -> bool:  # noqa: PLR0911 - one for each kind
    kind = tree[0]
    if kind == "AND":
        return all(_decide(each, item) for each in tree[1])
    if kind == "OR":
        return any(_decide(each, item) for each in tree[1])
    if kind == "NOT":
        return not _decide(tree[1], item)
    values = [_operand(each, item) for each in tree[1:]]
    if kind == "attribute_exists":
        return values[0] is not _MISSING
    if kind == "attribute_not_exists":
        return values[0] is _MISSING
    if kind == "<>":
        return _MISSING in values or not _same(*values)
    first, *others = values
    if first is _MISSING:
        return False
    if kind == "IN":
        return any(other is not _MISSING and _same(first, other) for other in others)
    if _MISSING in others:
        return False
    return _decide_present(kind, first, others)


def _decide_present(kind: str, first: Any, others: list[Any]) -> bool:
    other = others[0]
    if kind == "=":
        return _same(first, other)
    if kind == "attribute_type":
        return bool(_kind(first) == other)
    if kind == "begins_with":
        return type(first) is type(other) in {str, bytes} and bool(first.startswith(other))
    if kind == "contains":
        if isinstance(first, (str, bytes)):
            return type(first) is type(other) and other in first  # type: ignore[operator]
        return isinstance(first, (list, set)) and any(_same(each, other) for each in first)
    if kind == "BETWEEN":
        return _decide_present(">=", first, others[:1]) and _decide_present("<=", first, others[1:])
    if _kind(first) != _kind(other) or _kind(first) not in {"S", "N", "B"}:
        return False
    if isinstance(first, str):
        first, other = first.encode(), other.encode()
    return _COMPARE[kind](first, other)


_paths = st.sampled_from(_PATHS).map(lambda path: ("path", path))
_anything = st.one_of(
    _paths, _constants.map(lambda value: ("value", value)), _paths.map(lambda path: ("size", path))
)
_ordered = st.sampled_from([0, 1, 2, "a", "ab", b"a", b"ab"]).map(lambda value: ("value", value))
_texts = st.sampled_from(["a", "ab", "", b"a", b""]).map(lambda value: ("value", value))
_leaves = st.one_of(
    st.tuples(st.sampled_from(["=", "<>"]), _anything, _anything),
    st.tuples(st.sampled_from(list(_COMPARE)), _paths, st.one_of(_ordered, _paths)),
    st.tuples(st.just("BETWEEN"), _paths, _ordered, _paths),
    st.tuples(st.just("IN"), _anything, _anything, _anything),
    st.tuples(st.sampled_from(["attribute_exists", "attribute_not_exists"]), _paths),
    st.tuples(
        st.just("attribute_type"),
        _paths,
        st.sampled_from(list(_TYPES)).map(lambda kind: ("value", kind)),
    ),
    st.tuples(st.just("begins_with"), _paths, st.one_of(_texts, _paths)),
    st.tuples(st.just("contains"), _paths, _anything),
)
_trees = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.tuples(st.just("NOT"), inner),
        st.tuples(st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=6,
)


def _distinct(tree: Any) -> bool:
    """DynamoDB refuses what compares a path with itself."""
    if tree[0] in {"AND", "OR"}:
        return all(map(_distinct, tree[1]))
    if tree[0] == "NOT":
        return _distinct(tree[1])
    return tree[1][0] != "path" or tree[1] not in tree[2:]


@given(_trees.filter(_distinct), _items)
def test_conditions(tree: Any, item: dict[str, Any]) -> None:
    """What their text comes to is what the tree that it was written from does."""
    text = _Text()
    written = text.condition(tree)
    parameters: dict[str, Any] = {}
    if text.values:
        parameters["ExpressionAttributeValues"] = text.values
    if "#n" in written:
        parameters["ExpressionAttributeNames"] = _NAMES
    bindings = Bindings(parameters)
    condition = bindings.condition("ConditionExpression", written)
    assert condition is not None
    check_condition(condition)
    bindings.finish()
    assert holds(condition, to_item(item)) == _decide(tree, item)


# --- updates ----------------------------------------------------------------------------

_TARGETS = ["a", "b", "m.x", "m.y", "l[0]", "l[1]", "l[9]", "l[20]", "#n"]
_actions = st.lists(
    st.tuples(
        st.sampled_from(_TARGETS),
        st.one_of(
            st.tuples(st.just("SET"), _constants),
            st.tuples(st.just("COPY"), st.sampled_from(_PATHS)),
            st.tuples(st.just("DEFAULT"), st.sampled_from(_PATHS), _constants),
            st.tuples(st.just("APPEND"), st.sampled_from(_PATHS), st.lists(st.integers(0, 9))),
            st.tuples(st.sampled_from(["+", "-"]), st.sampled_from(_PATHS), st.integers(0, 9)),
            st.tuples(st.just("REMOVE")),
            st.tuples(st.just("ADD"), st.one_of(st.integers(0, 3), st.just({"a", "z"}))),
            st.tuples(st.just("DELETE"), st.sampled_from([{"a"}, {"a", "b"}, {1}])),
        ),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda action: action[0],
)


class _RefusedError(Exception):
    pass


def _written(actions: list[tuple[str, Any]]) -> tuple[str, dict[str, Any]]:
    sections: dict[str, list[str]] = {}
    values: dict[str, Any] = {}
    for number, (path, (kind, *arguments)) in enumerate(actions):
        key = f":v{number}"
        if kind not in {"COPY", "REMOVE"}:
            values[key] = to_attribute(arguments[-1])
        text = {
            "SET": f"{path} = {key}",
            "COPY": f"{path} = {(arguments or ['?'])[0]}",
            "DEFAULT": f"{path} = if_not_exists({(arguments or ['?'])[0]}, {key})",
            "APPEND": f"{path} = list_append({(arguments or ['?'])[0]}, {key})",
            "+": f"{path}={(arguments or ['?'])[0]}+{key}",
            "-": f"{path} = {(arguments or ['?'])[0]} - {key}",
            "REMOVE": path,
        }.get(kind, f"{path} {key}")
        section = kind if kind in {"REMOVE", "ADD", "DELETE"} else "SET"
        sections.setdefault(section, []).append(text)
    return "  ".join(f"{kind} {', '.join(each)}" for kind, each in sections.items()), values


def _new_value(  # noqa: PLR0911 - one for each kind
    kind: str, arguments: list[Any], item: Any, old: Any
) -> Any:
    """Return what a path is to hold; _MISSING removes it."""
    if kind == "SET":
        return arguments[0]
    if kind == "REMOVE":
        return _MISSING
    if kind in {"ADD", "DELETE"}:
        (value,) = arguments
        if old is _MISSING:
            return value if kind == "ADD" else _MISSING
        if _kind(old) != _kind(value):
            raise _RefusedError
        if kind == "ADD":
            return old | value if isinstance(value, set) else old + value
        return (old - value) or _MISSING
    source = _at(item, arguments[0])
    if kind == "DEFAULT":
        return arguments[1] if source is _MISSING else source
    if source is _MISSING:
        raise _RefusedError
    if kind == "COPY":
        return source
    if kind == "APPEND":
        if not isinstance(source, list):
            raise _RefusedError
        return source + arguments[1]
    if _kind(source) != "N":
        raise _RefusedError
    return source + arguments[1] if kind == "+" else source - arguments[1]


def _expected(actions: list[tuple[str, Any]], item: dict[str, Any]) -> dict[str, Any]:
    new: dict[str, Any] = from_item(to_item(item))
    gained: list[tuple[int, Any]] = []
    lost: set[int] = set()
    for path, (kind, *arguments) in actions:
        old = _at(item, path)
        value = _new_value(kind, arguments, item, old)
        if kind == "DELETE" and old is _MISSING:
            continue
        if path.startswith("l["):
            index = int(path[2:-1])
            if not isinstance(new.get("l"), list):
                raise _RefusedError
            if value is _MISSING:
                lost.add(index)
            elif index < len(item["l"]):
                new["l"][index] = value
            else:
                gained.append((index, value))
            continue
        *above, name = [_NAMES.get(step, step) for step in path.split(".")]
        inside = new.get(above[0]) if above else new
        if not isinstance(inside, dict):
            raise _RefusedError
        if value is _MISSING:
            inside.pop(name, None)
        else:
            inside[name] = value
    if gained or lost:
        kept = [each for index, each in enumerate(new["l"]) if index not in lost]
        new["l"] = kept + [value for _, value in sorted(gained, key=lambda pair: pair[0])]
    return new


@given(_actions, _items)
@example([("l[0]", ("REMOVE",)), ("l[1]", ("REMOVE",))], {"l": [0, 1, 2, 3]})
@example([("l[0]", ("REMOVE",)), ("l[1]", ("SET", 9)), ("l[20]", ("SET", 8))], {"l": [0, 1, 2]})
@example([("l[20]", ("SET", 8)), ("l[9]", ("SET", 9))], {"l": [0]})
def test_updates(actions: list[tuple[str, Any]], item: dict[str, Any]) -> None:
    """What they make of an item is what an oracle does; what it can't do is refused."""
    text, values = _written(actions)
    parameters: dict[str, Any] = {}
    if values:
        parameters["ExpressionAttributeValues"] = values
    if "#n" in text:
        parameters["ExpressionAttributeNames"] = _NAMES
    bindings = Bindings(parameters)
    update = bindings.update(text)
    assert update is not None
    bindings.finish()
    check_update(update)
    before = to_item(item)
    try:
        expected = _expected(actions, item)
    except _RefusedError:
        with pytest.raises(Refusal):
            updated(update, before, exists=True)
    else:
        after = updated(update, before, exists=True)
        assert _same(from_item(after), expected)
    assert before == to_item(item)  # it is the same item in a transaction that fails


# --- projections ------------------------------------------------------------------------


@given(st.lists(st.sampled_from(_PATHS), min_size=1, max_size=4, unique=True), _items)
def test_projections_hold_each_path_and_no_more(paths: list[str], item: dict[str, Any]) -> None:
    """Each path's value is there, and nothing that is not at a path."""
    text = ", ".join(paths)
    names = {"ExpressionAttributeNames": _NAMES} if "#n" in text else {}
    bound = Bindings(names).paths(text)
    assert bound is not None
    try:
        tree = branches("ProjectionExpression", bound)
    except Refusal:
        assert "#n" in paths
        assert "#n.x" in paths
        return
    found = from_item(picked(to_item(item), tree))
    maps = [path for path in paths if "[" not in path]
    for path in maps:
        ours, theirs = _at(found, path), _at(item, path)
        assert (ours is theirs is _MISSING) or _same(ours, theirs)
    elements = [_at(item, path) for path in sorted(paths, key=_index) if "[" in path]
    wanted = [value for value in elements if value is not _MISSING]
    assert found.get("l", []) == wanted
    assert found.keys() <= {_NAMES.get(name, name) for name in (_top(path) for path in paths)}


def _index(path: str) -> int:
    return int(path.partition("[")[2].rstrip("]") or 0)


def _top(path: str) -> str:
    return path.partition(".")[0].partition("[")[0]


# --- the fixed forms --------------------------------------------------------------------

_TERMS = [
    "#a = :v",
    "#a <> :v",
    "#a <= :v",
    "#a BETWEEN :v AND :w",
    "begins_with(#a, :v)",
    "attribute_exists(#a)",
    "attribute_not_exists(#b1_)",
]
_PIECES = [
    *_TERMS,
    " AND ",
    "(",
    ")",
    " ",
    "#a",
    ":v",
    ", ",
    "SET ",
    "REMOVE ",
    "ADD ",
    "DELETE ",
    "=",
]


@given(
    st.one_of(
        st.sampled_from(_TERMS),
        st.tuples(st.sampled_from(_TERMS), st.sampled_from(_TERMS)).map(
            lambda pair: f"({pair[0]} AND {pair[1]})"
        ),
        st.lists(st.sampled_from(_PIECES), max_size=7).map("".join),
    )
)
def test_fixed_forms_are_read_as_the_grammar_reads_them(text: str) -> None:
    """Whatever they take, the grammar takes, and means the same by it."""
    for form, rule, read in (
        (condition_form, "condition", lambda reader, tree: reader.condition(tree.condition())),
        (update_form, "update", lambda reader, tree: reader.update(tree.update())),
        (
            projection_form,
            "projection",
            lambda reader, tree: tuple(map(reader.path, tree.projection().path())),
        ),
    ):
        found = form(text)
        if found is not None:
            tree = grammar._parsed(f"parse_{rule}", text)
            assert found == read(grammar._Reader(text), tree)
