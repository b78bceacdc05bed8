"""
Attribute values, as AWS's JSON has them: ``{"S": "text"}``. Checked, compared, measured. Pure.

A value that was checked is in one form: numbers as ``numbers.py`` writes them, blobs in
base64 without anything that is not part of it.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from faaskit.gate.service import excerpt
from faaskit.resources.dynamodb.numbers import canonical, number
from faaskit.resources.dynamodb.refusals import bad_value, invalid

__all__ = [
    "MAX_ITEM_BYTES",
    "AttributeValue",
    "Item",
    "checked",
    "checked_depth",
    "checked_item",
    "equal",
    "item_size",
    "kind_of",
    "ordered",
    "sized",
    "utf8",
]

AttributeValue = dict[str, Any]
Item = dict[str, AttributeValue]

MAX_ITEM_BYTES = 400 * 1024
_MAX_NAME_BYTES = 65535
_MAX_LEVELS = 32
_CONTAINER_BYTES = 3
_ELEMENT_BYTES = 1


def checked_item(item: object, name: str = "Item") -> Item:
    """
    Return an item's attributes, checked.

    Raises:
        Refusal: One is not as DynamoDB takes it.
    """
    if not isinstance(item, Mapping):
        msg = f"{name} is {excerpt(item)}: DynamoDB takes attribute values by name"
        raise invalid(msg)
    return {_name(key): checked(value) for key, value in item.items()}


def checked(value: object, levels: int = 0) -> AttributeValue:
    """
    Return an attribute value in the one form that is kept.

    Args:
        value: Not trusted: any type, any nesting.
        levels: How deep it is inside its item.

    Raises:
        Refusal: It is not as DynamoDB takes it.
    """
    if not isinstance(value, Mapping):
        msg = f"an attribute value is {excerpt(value)}: DynamoDB takes one such as {{'S': 'text'}}"
        raise invalid(msg)
    if not value:
        msg = (
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
        )
        raise invalid(msg)
    if len(value) > 1:
        msg = (
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of "
            "the supported datatypes"
        )
        raise invalid(msg)
    ((kind, content),) = value.items()
    if kind in ("L", "M"):  # a set would hash it, whatever it is
        if levels >= _MAX_LEVELS:
            raise _too_deep()
        return {kind: _contents(kind, content, levels + 1)}
    check = _CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None:
        msg = f"an attribute value's type is {excerpt(kind)}: one of {', '.join(_KINDS)}"
        raise invalid(msg)
    return {kind: check(content)}


def checked_depth(value: AttributeValue, levels: int = 0) -> None:
    """
    See that a value that was put together of checked ones is not nested too deeply.

    Raises:
        Refusal: It is.
    """
    kind = kind_of(value)
    if kind in {"L", "M"}:
        if levels >= _MAX_LEVELS:
            raise _too_deep()
        for inner in value["L"] if kind == "L" else value["M"].values():
            checked_depth(inner, levels + 1)


def kind_of(value: Mapping[str, Any]) -> str:
    """Return the type of a checked value, such as ``S``."""
    return next(iter(value))


def equal(left: AttributeValue, right: AttributeValue) -> bool:
    """Return whether two checked values are the same; a set has no order."""
    kind = kind_of(left)
    if kind != kind_of(right):
        return False
    a, b = left[kind], right[kind]
    if kind in _SETS:
        return frozenset(a) == frozenset(b)
    if kind == "L":
        return len(a) == len(b) and all(map(equal, a, b))
    if kind == "M":
        return a.keys() == b.keys() and all(equal(a[name], b[name]) for name in a)
    return bool(a == b)


def ordered(value: AttributeValue) -> bytes | Decimal | None:
    """Return what a value is ordered by among those of its type; None where it has no order."""
    if "S" in value:
        return utf8(value["S"])
    if "N" in value:
        return number(value["N"])
    if "B" in value:
        return base64.b64decode(value["B"])
    return None


def sized(value: AttributeValue) -> int | None:
    """Return what ``size()`` says of a value; None where it says nothing."""
    kind = kind_of(value)
    if kind == "B":
        return len(base64.b64decode(value["B"]))
    if kind in _SETS or kind in {"S", "L", "M"}:
        return len(value[kind])
    return None


def item_size(item: Mapping[str, AttributeValue], limit: float = math.inf) -> int:
    """
    Return an item's size in bytes, by the rules that AWS publishes.

    Args:
        item: Attributes, checked.
        limit: Above which it does not matter how large it is; so much is looked at.
    """
    total = 0
    for name, value in item.items():
        total += len(utf8(name)) + _size(value)
        if total > limit:
            break
    return total


def utf8(text: str) -> bytes:
    """
    Return a text's bytes.

    Raises:
        Refusal: It holds half of a surrogate pair.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        msg = (
            f"{excerpt(text)} can't be written in UTF-8: it holds half of a surrogate pair, or "
            "bytes that were decoded as something else"
        )
        raise invalid(msg) from None


def _size(value: AttributeValue) -> int:
    kind = kind_of(value)
    content = value[kind]
    if kind == "L":
        return _CONTAINER_BYTES + sum(_ELEMENT_BYTES + _size(each) for each in content)
    if kind == "M":
        return _CONTAINER_BYTES + item_size(content) + _ELEMENT_BYTES * len(content)
    if kind in _SETS:
        return sum(_size({kind[0]: each}) for each in content)
    if kind == "S":
        return len(utf8(content))
    if kind == "B":
        return len(base64.b64decode(content))
    if kind == "N":
        # A byte for two digits, one for the exponent, one more for a minus.
        text = str(content)
        digits = len(text.strip("-").replace(".", "").strip("0"))
        return (digits + 1) // 2 + 1 + text.startswith("-")
    return 1


def _contents(kind: str, content: object, levels: int) -> list[AttributeValue] | Item:
    if kind == "M":
        if not isinstance(content, Mapping):
            raise _wrong(kind, content)
        return {_name(name): checked(value, levels) for name, value in content.items()}
    if not isinstance(content, (list, tuple)):
        raise _wrong(kind, content)
    return [checked(value, levels) for value in content]


def _name(name: object) -> str:
    if not isinstance(name, str):
        msg = f"an attribute's name is {excerpt(name)}: DynamoDB takes a text"
        raise invalid(msg)
    if len(utf8(name)) > _MAX_NAME_BYTES:
        msg = "Attribute name is too large, must be less than 65536 bytes"
        raise bad_value(msg)
    return name


def _text(content: object) -> str:
    if not isinstance(content, str):
        raise _wrong("S", content)  # noqa: EM101 - no message
    utf8(content)
    return content


def _blob(content: object) -> str:
    if not isinstance(content, str):
        raise _wrong("B", content)  # noqa: EM101 - no message
    try:
        return base64.b64encode(base64.b64decode(content, validate=True)).decode()
    except (binascii.Error, ValueError):
        msg = f"{excerpt(content)} is not base64, in which AWS's JSON has binary values"
        raise invalid(msg) from None


def _true_or_false(content: object) -> bool:
    if not isinstance(content, bool):
        raise _wrong("BOOL", content)  # noqa: EM101 - no message
    return content


def _null(content: object) -> bool:
    if content is not True:
        msg = "Null attribute value types must have the value of true"
        raise bad_value(msg)
    return True


def _set(kind: str, name: str, check: Callable[[object], str]) -> Callable[[object], list[str]]:
    def check_all(content: object) -> list[str]:
        if not isinstance(content, (list, tuple)):
            raise _wrong(kind, content)
        if not content:
            msg = f"An {name} set  may not be empty"  # with AWS's two blanks
            raise bad_value(msg)
        elements = [check(each) for each in content]
        if not all(elements):
            msg = f"An {name} set may not have a empty string as a member"
            raise bad_value(msg)
        if len(set(elements)) < len(elements):
            msg = f"Input collection {excerpt(elements)} contains duplicates."
            raise bad_value(msg)
        return elements

    return check_all


def _too_deep() -> Exception:
    msg = (
        "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels "
        "beyond supported limit"
    )
    return invalid(msg)


def _wrong(kind: str, content: object) -> Exception:
    msg = f"an attribute value of type {kind} holds {excerpt(content)}, which is not of that type"
    return invalid(msg)


_CHECKS: dict[str, Callable[[object], Any]] = {
    "S": _text,
    "N": canonical,
    "B": _blob,
    "BOOL": _true_or_false,
    "NULL": _null,
    "SS": _set("SS", "string", _text),
    "NS": _set("NS", "number", canonical),
    "BS": _set("BS", "binary", _blob),
}
_SETS = {"SS", "NS", "BS"}
_KINDS = (*_CHECKS, "L", "M")
