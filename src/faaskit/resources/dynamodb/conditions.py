"""Conditions and filters: whether DynamoDB takes them, and whether an item meets them. Pure."""

from __future__ import annotations

import base64
import operator
from collections.abc import Callable, Mapping
from typing import Any

from faaskit.resources.dynamodb.grammar import SyntaxProblem
from faaskit.resources.dynamodb.paths import found
from faaskit.resources.dynamodb.syntax import (
    All,
    Among,
    AnyOf,
    Between,
    Call,
    Comparison,
    Condition,
    Constant,
    Not,
    Operand,
    Path,
    path_text,
)
from faaskit.resources.dynamodb.values import (
    AttributeValue,
    equal,
    kind_of,
    ordered,
    sized,
)

__all__ = ["check_condition", "holds", "paths_of"]

_MAX_OPTIONS = 100
_ORDERED = {"S", "N", "B"}
_SIZED = {"S", "B", "SS", "NS", "BS", "L", "M"}
_TYPES = ("B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M")
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# How many operands, and of which types they may be; the first of some has to be a path.
_FUNCTIONS: Mapping[str, tuple[set[str] | None, ...]] = {
    "attribute_exists": (None,),
    "attribute_not_exists": (None,),
    "attribute_type": (None, {"S"}),
    "begins_with": ({"S", "B"}, {"S", "B"}),
    "contains": ({"S", "B", "SS", "NS", "BS", "L"}, None),
    "size": (_SIZED,),
}
_OF_A_PATH = {"attribute_exists", "attribute_not_exists", "attribute_type"}
_NO_CONDITIONS = {"size", "if_not_exists", "list_append"}


def check_condition(condition: Condition) -> None:
    """
    See that a condition is one that can be decided.

    Raises:
        SyntaxProblem: It is not.
    """
    if isinstance(condition, (All, AnyOf)):
        for each in condition.conditions:
            check_condition(each)
    elif isinstance(condition, Not):
        check_condition(condition.condition)
    elif isinstance(condition, Comparison):
        _check_comparison(condition)
    elif isinstance(condition, Between):
        _check_between(condition)
    elif isinstance(condition, Among):
        _check_among(condition)
    else:
        if condition.function in _NO_CONDITIONS:
            raise _misplaced(condition.function)
        _check_call(condition)


def holds(condition: Condition | None, item: Mapping[str, AttributeValue]) -> bool:
    """
    Return whether an item meets a condition that was checked.

    Args:
        condition: None is met by all.
        item: Its attributes; none where there is no item.
    """
    if condition is None:
        return True
    if isinstance(condition, All):
        return all(holds(each, item) for each in condition.conditions)
    if isinstance(condition, AnyOf):
        return any(holds(each, item) for each in condition.conditions)
    if isinstance(condition, Not):
        return not holds(condition.condition, item)
    if isinstance(condition, Comparison):
        return _compares(condition.operator, condition.left, condition.right, item)
    if isinstance(condition, Between):
        return _compares(">=", condition.operand, condition.low, item) and _compares(
            "<=", condition.operand, condition.high, item
        )
    if isinstance(condition, Among):
        return any(_compares("=", condition.operand, one, item) for one in condition.options)
    return _DECIDED[condition.function](*(_value(operand, item) for operand in condition.operands))


def paths_of(condition: Condition) -> list[Path]:
    """Return the paths that a condition looks at."""
    if isinstance(condition, (All, AnyOf)):
        return [path for each in condition.conditions for path in paths_of(each)]
    if isinstance(condition, Not):
        return paths_of(condition.condition)
    return [path for operand in _operands(condition) for path in _paths_in(operand)]


def _operands(condition: Comparison | Between | Among | Call) -> tuple[Operand, ...]:
    if isinstance(condition, Comparison):
        return (condition.left, condition.right)
    if isinstance(condition, Between):
        return (condition.operand, condition.low, condition.high)
    if isinstance(condition, Among):
        return (condition.operand, *condition.options)
    return condition.operands


def _paths_in(operand: Operand) -> list[Path]:
    if isinstance(operand, Call):
        return [path for each in operand.operands for path in _paths_in(each)]
    return [operand] if isinstance(operand, Path) else []


# --- whether it can be decided ------------------------------------------------------------


def _check_comparison(condition: Comparison) -> None:
    for operand in (condition.left, condition.right):
        _check_operand(operand)
        if condition.operator in _ORDER:
            _check_type("operator", condition.operator, operand, _ORDERED)
    _check_distinct("operator", condition.operator, condition.left, condition.right)


def _check_between(condition: Between) -> None:
    for operand in (condition.operand, condition.low, condition.high):
        _check_operand(operand)
        _check_type("operator", "BETWEEN", operand, _ORDERED)
    low, high = condition.low, condition.high
    if isinstance(low, Constant) and isinstance(high, Constant):
        bounds = (
            f"lower bound operand: AttributeValue: {_shown(low.value)}, "
            f"upper bound operand: AttributeValue: {_shown(high.value)}"
        )
        if kind_of(low.value) != kind_of(high.value):
            msg = (
                f"The BETWEEN operator requires same data type for lower and upper bounds; {bounds}"
            )
            raise SyntaxProblem(msg)
        if _order(">", low.value, high.value):
            msg = (
                "The BETWEEN operator requires upper bound to be greater than or equal to lower "
                f"bound; {bounds}"
            )
            raise SyntaxProblem(msg)
    _check_distinct("operator", "BETWEEN", condition.operand, low, high)


def _check_among(condition: Among) -> None:
    if len(condition.options) > _MAX_OPTIONS:
        msg = (
            "The IN operator is provided with too many operands; number of operands: "
            f"{len(condition.options)}"
        )
        raise SyntaxProblem(msg)
    for operand in _operands(condition):
        _check_operand(operand)
    _check_distinct("operator", "IN", condition.operand, *condition.options)


def _check_call(call: Call) -> None:
    name = call.function
    kinds = _FUNCTIONS.get(name)
    if kinds is None:
        if name in _NO_CONDITIONS:
            raise _misplaced(name)
        msg = f"Invalid function name; function: {name}"
        raise SyntaxProblem(msg)
    if len(call.operands) != len(kinds):
        msg = (
            "Incorrect number of operands for operator or function; operator or function: "
            f"{name}, number of operands: {len(call.operands)}"
        )
        raise SyntaxProblem(msg)
    if name in _OF_A_PATH and not isinstance(call.operands[0], Path):
        msg = f"Operator or function requires a document path; operator or function: {name}"
        raise SyntaxProblem(msg)
    for operand, allowed in zip(call.operands, kinds, strict=True):
        _check_operand(operand)
        if allowed is not None:
            _check_type("operator or function", name, operand, allowed)
    if name == "attribute_type":
        _check_type_name(call.operands[1])
    if len(call.operands) > 1:
        _check_distinct("operator or function", name, *call.operands)


def _check_type_name(operand: Operand) -> None:
    name = operand.value["S"] if isinstance(operand, Constant) else None
    if name not in _TYPES:
        msg = (
            f"Invalid attribute type name found; type: {name}, valid types: {{{','.join(_TYPES)}}}"
        )
        raise SyntaxProblem(msg)


def _check_operand(operand: Operand) -> None:
    """See that an operand that is a function is size(), which alone has a value."""
    if isinstance(operand, Call):
        if operand.function in _FUNCTIONS and operand.function != "size":
            raise _misplaced(operand.function)
        _check_call(operand)


def _check_type(what: str, name: str, operand: Operand, allowed: set[str]) -> None:
    kind = ""
    if isinstance(operand, Constant):
        kind = kind_of(operand.value)
    elif isinstance(operand, Call):
        kind = "N"  # size() is the only one that is an operand
    if kind and kind not in allowed:
        msg = (
            f"Incorrect operand type for operator or function; {what}: {name}, operand type: {kind}"
        )
        raise SyntaxProblem(msg)


def _check_distinct(what: str, name: str, first: Operand, *others: Operand) -> None:
    if isinstance(first, Path) and first in others:
        msg = (
            "The first operand must be distinct from the remaining operands for this operator or "
            f"function; {what}: {name}, first operand: {path_text(first.parts)}"
        )
        raise SyntaxProblem(msg)


def _misplaced(function: str) -> SyntaxProblem:
    msg = f"The function is not allowed to be used this way in an expression; function: {function}"
    return SyntaxProblem(msg)


def _shown(value: Mapping[str, Any]) -> str:
    ((kind, content),) = value.items()
    return f"{{{kind}:{str(content)[:100]}}}"


# --- what it comes to ---------------------------------------------------------------------


def _value(operand: Operand, item: Mapping[str, AttributeValue]) -> AttributeValue | None:
    if isinstance(operand, Path):
        return found(item, operand.parts)
    if isinstance(operand, Constant):
        return dict(operand.value)
    assert isinstance(operand, Call), operand
    value = _value(operand.operands[0], item)
    size = None if value is None else sized(value)
    return None if size is None else {"N": str(size)}


def _compares(
    symbol: str, left: Operand, right: Operand, item: Mapping[str, AttributeValue]
) -> bool:
    a, b = _value(left, item), _value(right, item)
    if symbol == "<>":
        return a is None or b is None or not equal(a, b)
    if a is None or b is None:
        return False
    return equal(a, b) if symbol == "=" else _order(symbol, a, b)


def _order(symbol: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    left, right = dict(a), dict(b)
    if kind_of(left) != kind_of(right) or kind_of(left) not in _ORDERED:
        return False
    return _ORDER[symbol](ordered(left), ordered(right))


def _exists(value: AttributeValue | None) -> bool:
    return value is not None


def _exists_not(value: AttributeValue | None) -> bool:
    return value is None


def _is_of_type(value: AttributeValue | None, kind: AttributeValue | None) -> bool:
    return value is not None and kind is not None and kind_of(value) == kind.get("S")


def _begins(value: AttributeValue | None, prefix: AttributeValue | None) -> bool:
    if value is None or prefix is None or kind_of(value) != kind_of(prefix):
        return False
    if "S" in value:
        return bool(value["S"].startswith(prefix["S"]))
    return "B" in value and base64.b64decode(value["B"]).startswith(base64.b64decode(prefix["B"]))


def _contains(value: AttributeValue | None, part: AttributeValue | None) -> bool:
    if value is None or part is None:
        return False
    kind, inner = kind_of(value), kind_of(part)
    if kind == "L":
        return any(equal(each, part) for each in value["L"])
    if kind == f"{inner}S" and inner in _ORDERED:
        return part[inner] in value[kind]
    if kind == inner == "S":
        return part["S"] in value["S"]
    if kind == inner == "B":
        return base64.b64decode(part["B"]) in base64.b64decode(value["B"])
    return False


_DECIDED: Mapping[str, Callable[..., bool]] = {
    "attribute_exists": _exists,
    "attribute_not_exists": _exists_not,
    "attribute_type": _is_of_type,
    "begins_with": _begins,
    "contains": _contains,
}
