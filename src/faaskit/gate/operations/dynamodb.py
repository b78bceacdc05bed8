"""
The condition keys of DynamoDB that look into items: keys, attributes, what is returned. Pure.

Expressions are not parsed here: all names in them count. So a policy that limits attributes may
deny more than AWS would, and never less. The same goes for a partition key whose name is not
known.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from faaskit.gate.operations.resources import refuse
from faaskit.gate.service import excerpt

__all__ = ["item_context"]

_EXPRESSIONS = (
    "ConditionExpression",
    "FilterExpression",
    "KeyConditionExpression",
    "ProjectionExpression",
    "UpdateExpression",
)
_WORDS = frozenset({"SET", "REMOVE", "ADD", "DELETE", "AND", "OR", "NOT", "BETWEEN", "IN"})
# A name that stands at the beginning of a path: no value, no function, no later part.
_NAME = re.compile(r"(?<![\w:.#])(#?[A-Za-z_]\w*)(?!\w)(?!\s*\()")
_EQUALS = re.compile(r"(?<![\w:.#])(#?[A-Za-z_]\w*)\s*=\s*(:\w+)")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,12})?")
_LONGEST_NUMBER = 400  # characters; its digits are 38 at the most
_LEAST, _MOST = -130, 125  # powers of ten
_LONGEST = 4096  # bytes of an expression, DynamoDB's limit


def item_context(
    operation: str, parameters: Mapping[str, Any], partition_key: str | None
) -> dict[str, str | tuple[str, ...]]:
    """
    Return the condition keys of an operation on items.

    Args:
        operation: AWS's name.
        parameters: Of the operation, or of its entry for one table.
        partition_key: The name of the table's partition key, if it is known.

    Raises:
        Refusal: The parameters are malformed.
    """
    found: dict[str, str | tuple[str, ...]] = {}
    keys = [*_keys(operation, parameters)]
    leading = {value for key in keys for value in _leading(key, partition_key)}
    if operation == "Query":
        leading = _of_query(parameters, partition_key)
    if leading:
        found["dynamodb:LeadingKeys"] = tuple(sorted(leading))
    attributes = {str(name) for key in keys for name in key} | {*_attributes(parameters)}
    if attributes:
        found["dynamodb:Attributes"] = tuple(sorted(attributes))
    for name in ("Select", "ReturnValues", "ReturnConsumedCapacity"):
        value = parameters.get(name)
        if isinstance(value, str):
            found[f"dynamodb:{name}"] = value
    if operation.startswith("Transact"):
        found["dynamodb:EnclosingOperation"] = operation
    return found


def _keys(operation: str, parameters: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the keys, or whole items, that parameters name."""
    for name in ("Key", "Item"):
        if parameters.get(name) is not None:
            yield _mapping(name, parameters[name])
    if operation == "BatchGetItem":
        for key in _list("Keys", parameters.get("Keys")):
            yield _mapping("Keys", key)
    if operation == "BatchWriteItem":
        for entry in _list("RequestItems", parameters.get("$of")):
            for request, part in (("PutRequest", "Item"), ("DeleteRequest", "Key")):
                inner = _mapping("RequestItems", entry).get(request)
                if inner is not None:
                    yield _mapping(part, _mapping(request, inner).get(part))


def _leading(key: Mapping[str, Any], partition_key: str | None) -> Iterator[str]:
    """Yield the partition key's value; where its name is not known, every plain value."""
    for name, value in key.items():
        if partition_key is None or name == partition_key:
            yield from _value(value, sure=partition_key is not None)


def _of_query(parameters: Mapping[str, Any], partition_key: str | None) -> set[str]:
    values = _mapping(
        "ExpressionAttributeValues", parameters.get("ExpressionAttributeValues") or {}
    )
    conditions = parameters.get("KeyConditions")
    if conditions is not None:
        return {
            found
            for name, one in _mapping("KeyConditions", conditions).items()
            if partition_key in {None, name}
            for value in _list("AttributeValueList", _mapping(name, one).get("AttributeValueList"))
            for found in _value(value, sure=False)
        }
    expression = _expression(parameters.get("KeyConditionExpression"))
    names = _names(parameters)
    for name, placeholder in _EQUALS.findall(expression):
        if partition_key is not None and names.get(name, name) == partition_key:
            return {*_value(values.get(placeholder), sure=True)}
    return {found for value in values.values() for found in _value(value, sure=False)}


def _attributes(parameters: Mapping[str, Any]) -> Iterator[str]:
    names = _names(parameters)
    for name in _EXPRESSIONS:
        for word in _NAME.findall(_expression(parameters.get(name))):
            if word.upper() not in _WORDS:
                yield str(names.get(word, word))
    yield from (str(one) for one in _list("AttributesToGet", parameters.get("AttributesToGet")))
    for name in ("AttributeUpdates", "Expected", "KeyConditions", "QueryFilter", "ScanFilter"):
        if parameters.get(name) is not None:
            yield from (str(one) for one in _mapping(name, parameters[name]))


def _names(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping("ExpressionAttributeNames", parameters.get("ExpressionAttributeNames") or {})


def _expression(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _LONGEST:
        refuse(f"{excerpt(value)} is no expression of up to {_LONGEST} bytes")
    return value


def _value(value: object, *, sure: bool) -> Iterator[str]:
    """Yield what a key's value is as text; only text, numbers and binary are keys."""
    if isinstance(value, Mapping):
        for kind in ("S", "N", "B"):
            text = value.get(kind)
            if isinstance(text, str):
                yield _SPELLED[kind](text)
                return
    if sure:
        refuse(f"{excerpt(value)} is no value of a partition key")


def _number(text: str) -> str:
    """
    Return a number as DynamoDB keeps it: 1, for 1.0 and 10e-1.

    A Deny on a key must not be evaded by another way of writing it.
    """
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        refuse(f"{excerpt(text)} is no number that DynamoDB takes")
    value = Decimal(text)
    if not value:
        return "0"
    if not _LEAST <= value.adjusted() <= _MOST:
        refuse(f"{excerpt(text)} is out of the range of DynamoDB's numbers")
    plain = format(value, "f")
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return plain.removeprefix("+")


def _binary(text: str) -> str:
    """Return base64 as it is written: its last bits may be anything, and mean nothing."""
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode()
    except ValueError:
        refuse(f"{excerpt(text)} is no base64 text")


_SPELLED: Mapping[str, Callable[[str], str]] = {"S": str, "N": _number, "B": _binary}


def _mapping(name: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        refuse(f"parameter {name} is {excerpt(value)}: pass values by name")
    return value


def _list(name: str, value: object) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        refuse(f"parameter {name} is {excerpt(value)}: pass a list")
    return value
