"""Key conditions: which run of a table's items a query asks for. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from faaskit.resources.dynamodb.definition import KeyAttribute, TableSettings
from faaskit.resources.dynamodb.keys import MAX_PARTITION_BYTES, MAX_SORT_BYTES, encoded
from faaskit.resources.dynamodb.refusals import bad_value, invalid
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
)
from faaskit.resources.dynamodb.values import kind_of

__all__ = ["KeyRange", "key_range"]

_MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_END = b"\xff"


@frozen
class KeyRange:
    """
    A run of items of one partition key, by their encoded sort keys.

    Attributes:
        low: The first sort key; None is the very first.
        high: The last sort key; None is the very last.
        low_open: ``low`` itself is not meant.
        high_open: ``high`` itself is not meant.
    """

    partition: bytes
    low: bytes | None = None
    high: bytes | None = None
    low_open: bool = False
    high_open: bool = False

    def holds(self, sort: bytes) -> bool:
        """Return whether a sort key is within."""
        above = self.low is None or sort > self.low or (sort == self.low and not self.low_open)
        below = self.high is None or sort < self.high or (sort == self.high and not self.high_open)
        return above and below


@frozen
class _One:
    """A condition on one attribute, with the attribute on the left."""

    name: str
    operator: str
    values: tuple[Mapping[str, object], ...]


def key_range(condition: Condition, settings: TableSettings) -> KeyRange:
    """
    Return the items that a key condition asks for.

    Args:
        condition: Checked as conditions are.
        settings: Of the table.

    Raises:
        Refusal: It is not a condition on the table's key.
    """
    conditions: dict[str, _One] = {}
    for each in _joined(condition):
        one = _one(each)
        if one.name in conditions:
            msg = "KeyConditionExpressions must only contain one condition per key"
            raise invalid(msg)
        conditions[one.name] = one
    if len(conditions) > 2:  # noqa: PLR2004
        msg = "Conditions can be of length 1 or 2 only"
        raise invalid(msg)
    partition = conditions.pop(settings.partition.name, None)
    if partition is None:
        raise _missed(settings.partition)
    if partition.operator != "=":
        msg = "Query key condition not supported"
        raise invalid(msg)
    (key,) = _encoded(settings.partition, partition, MAX_PARTITION_BYTES)
    whole = KeyRange(key)
    if not conditions:
        return whole
    if settings.sort is None:
        msg = "Query key condition not supported"
        raise invalid(msg)
    sort = conditions.pop(settings.sort.name, None)
    if sort is None:
        raise _missed(settings.sort)
    return _narrowed(whole, sort.operator, _encoded(settings.sort, sort, MAX_SORT_BYTES))


def _joined(condition: Condition) -> list[Condition]:
    if isinstance(condition, All):
        return [one for each in condition.conditions for one in _joined(each)]
    return [condition]


def _one(condition: Condition) -> _One:
    if isinstance(condition, Comparison) and condition.operator in _MIRRORED:
        left, right = condition.left, condition.right
        if isinstance(left, Path):
            return _on_attribute(condition.operator, (left, right))
        return _on_attribute(_MIRRORED[condition.operator], (right, left))
    if isinstance(condition, Between):
        return _on_attribute("BETWEEN", (condition.operand, condition.low, condition.high))
    if isinstance(condition, Call) and condition.function == "begins_with":
        return _on_attribute("begins_with", condition.operands)
    msg = f"Invalid operator used in KeyConditionExpression: {_name_of(condition)}"
    raise invalid(msg)


def _on_attribute(operator: str, operands: tuple[Operand, ...]) -> _One:
    for operand in operands:
        if isinstance(operand, Call):
            msg = f"Invalid operator used in KeyConditionExpression: {operand.function}"
            raise invalid(msg)
    path, *rest = operands
    beginning = "Invalid condition in KeyConditionExpression:"
    if any(isinstance(operand, Path) for operand in rest):
        several = isinstance(path, Path)
        msg = (
            f"{beginning} Multiple attribute names used in one condition"
            if several
            else f"{beginning} {operator} operator must have the key attribute as its first operand"
        )
        raise invalid(msg)
    if not isinstance(path, Path):
        msg = f"{beginning} No key attribute specified"
        raise invalid(msg)
    if len(path.parts) > 1:
        msg = "KeyConditionExpressions cannot have conditions on nested attributes"
        raise invalid(msg)
    values = tuple(operand.value for operand in rest if isinstance(operand, Constant))
    return _One(str(path.parts[0]), operator, values)


def _name_of(condition: Condition) -> str:
    if isinstance(condition, AnyOf):
        return "OR"
    if isinstance(condition, Not):
        return "NOT"
    if isinstance(condition, Among):
        return "IN"
    if isinstance(condition, Comparison):
        return condition.operator
    assert isinstance(condition, Call), condition
    return condition.function


def _encoded(key: KeyAttribute, one: _One, limit: int) -> list[bytes]:
    found = []
    for value in one.values:
        if kind_of(value) != key.kind:
            msg = "Condition parameter type does not match schema type"
            raise bad_value(msg)
        content = encoded(dict(value))
        if not content:
            kind = "string" if key.kind == "S" else "binary"
            msg = (
                "One or more parameter values are not valid. The AttributeValue for a key "
                f"attribute cannot contain an empty {kind} value. Key: {key.name}"
            )
            raise invalid(msg)
        if len(content) > limit:
            msg = f"The value for key {key.name} is longer than a key can be: {limit} bytes"
            raise bad_value(msg)
        found.append(content)
    return found


def _narrowed(whole: KeyRange, operator: str, values: list[bytes]) -> KeyRange:
    first = values[0]
    if operator == "BETWEEN":
        return evolve(whole, low=first, high=values[1])
    if operator == "begins_with":
        return evolve(whole, low=first, high=_behind(first), high_open=True)
    if operator == "=":
        return evolve(whole, low=first, high=first)
    if operator in {"<", "<="}:
        return evolve(whole, high=first, high_open=operator == "<")
    return evolve(whole, low=first, low_open=operator == ">")


def _behind(prefix: bytes) -> bytes | None:
    """Return what sorts right behind all that begins so; None where nothing does."""
    kept = prefix.rstrip(_END)
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else None


def _missed(key: KeyAttribute) -> Exception:
    msg = f"Query condition missed key schema element: {key.name}"
    return invalid(msg)
