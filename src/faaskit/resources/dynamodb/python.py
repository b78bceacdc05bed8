"""Attribute values from and to Python's own values, as boto3 turns them. Pure."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any, SupportsIndex

from faaskit.resources.dynamodb.values import AttributeValue, Item

__all__ = ["from_attribute", "from_item", "to_attribute", "to_item"]

_MAX_LEVELS = 32


def to_item(item: Any) -> Item:
    """Return a dict's values as attribute values."""
    if not isinstance(item, Mapping):
        msg = f"an item is a dict of attributes by name, not {type(item).__name__}"
        raise TypeError(msg)
    return {_name(name): to_attribute(value) for name, value in item.items()}


def from_item(item: Mapping[str, AttributeValue]) -> dict[str, Any]:
    """Return an item as a dict of Python's values."""
    return {name: from_attribute(value) for name, value in item.items()}


def to_attribute(value: Any, levels: int = 0) -> AttributeValue:
    """
    Return a value of Python as an attribute value.

    A float becomes the decimal that Python shows for it: 0.1 is 0.1. boto3 refuses floats;
    here that would only make every notebook write Decimal(str(x)), which is the same.

    Raises:
        TypeError: DynamoDB has no such type.
        ValueError: A number that is none, or an empty set: DynamoDB has neither.
    """
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"B": base64.b64encode(value).decode()}
    if isinstance(value, AbstractSet):
        return _to_set(value)
    if isinstance(value, (Mapping, list, tuple)):
        if levels > _MAX_LEVELS:
            msg = f"a value is nested more than {_MAX_LEVELS} levels deep, or holds itself"
            raise ValueError(msg)
        if isinstance(value, Mapping):
            return {"M": {_name(k): to_attribute(v, levels + 1) for k, v in value.items()}}
        return {"L": [to_attribute(each, levels + 1) for each in value]}
    return {"N": _to_number(value)}


def from_attribute(value: AttributeValue) -> Any:
    """Return an attribute value as one of Python; a number is an int or else a Decimal."""
    ((kind, content),) = value.items()
    if kind == "NULL":
        return None
    if kind == "N":
        return _from_number(content)
    if kind == "B":
        return base64.b64decode(content)
    if kind in {"SS", "NS", "BS"}:
        return {from_attribute({kind[0]: each}) for each in content}
    if kind == "L":
        return [from_attribute(each) for each in content]
    if kind == "M":
        return from_item(content)
    return content


def _to_set(value: AbstractSet[Any]) -> AttributeValue:
    if not value:
        msg = "DynamoDB has no empty sets: leave the attribute out, or store an empty list"
        raise ValueError(msg)
    elements = [to_attribute(each) for each in value]
    kinds = {kind for element in elements for kind in element}
    if len(kinds) > 1 or not kinds <= {"S", "N", "B"}:
        msg = (
            f"a set of DynamoDB is of texts, of numbers or of bytes, all alike; {value!r:.100} is "
            "not: store a list"
        )
        raise TypeError(msg)
    (kind,) = kinds
    return {f"{kind}S": sorted(element[kind] for element in elements)}


def _to_number(value: Any) -> str:
    if isinstance(value, float):
        if not math.isfinite(value):
            msg = f"{value!r} is no number that DynamoDB has: store None, or a text"
            raise ValueError(msg)
        return float.__repr__(value)  # that of a subclass, such as numpy's, says more
    if isinstance(value, Decimal):
        if not value.is_finite():
            msg = f"{value!r} is no number that DynamoDB has: store None, or a text"
            raise ValueError(msg)
        return str(value)
    if isinstance(value, (int, SupportsIndex)):  # the second takes its time
        return _int_text(value)
    msg = (
        f"DynamoDB has no type for {type(value).__name__} ({value!r:.100}): it has texts, bytes, "
        "numbers (int, float, Decimal), bool, None, lists, dicts and sets"
    )
    raise TypeError(msg)


def _int_text(value: SupportsIndex) -> str:
    # By way of Decimal: str() of an int refuses more than 4,300 digits in words of its own,
    # where it is for DynamoDB to say that 38 are the most.
    return str(Decimal(value.__index__()))


def _from_number(text: str) -> int | Decimal:
    return Decimal(text) if "." in text else int(text)


def _name(name: object) -> str:
    if not isinstance(name, str):
        msg = f"an attribute's name is a text, not {type(name).__name__} ({name!r:.100})"
        raise TypeError(msg)
    return name
