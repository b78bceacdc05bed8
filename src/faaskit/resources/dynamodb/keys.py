"""Keys as bytes, in the order in which DynamoDB sorts them. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from attrs import frozen

from faaskit.resources.dynamodb.definition import KeyAttribute, TableSettings
from faaskit.resources.dynamodb.numbers import MIN_EXPONENT, number
from faaskit.resources.dynamodb.refusals import bad_value, invalid
from faaskit.resources.dynamodb.values import AttributeValue, Item, kind_of, utf8

__all__ = ["SLOTS", "Place", "encoded", "key_of", "place_of", "slot_of", "true_key"]

MAX_PARTITION_BYTES = 2048
MAX_SORT_BYTES = 1024

# Items lie in the order of a hash of their partition key, as on AWS: a scan tells nothing of
# the keys' order, and its segments are runs of slots.
SLOTS = 1 << 32
_SLOT_BYTES = 4

_NEGATIVE, _ZERO, _POSITIVE = b"\x00", b"\x01", b"\x02"


@frozen
class Place:
    """
    Where an item lies. Places compare as scans go.

    Attributes:
        slot: From 0 on, below ``SLOTS``.
        partition: The encoded partition key.
        sort: The encoded sort key; empty where the table has none.
    """

    slot: int
    partition: bytes
    sort: bytes


def key_of(settings: TableSettings, item: Mapping[str, AttributeValue]) -> Item:
    """Return the key of an item that is in a table."""
    return {key.name: item[key.name] for key in settings.keys}


def true_key(settings: TableSettings, key: Item) -> Place:
    """
    Return where the item of a key lies.

    Raises:
        Refusal: It is not a key of the table, and nothing else.
    """
    wanted = settings.keys
    if len(key) != len(wanted) or any(
        one.name not in key or kind_of(key[one.name]) != one.kind for one in wanted
    ):
        msg = "The provided key element does not match the schema"
        raise invalid(msg)
    return place_of(settings, key)


def place_of(settings: TableSettings, item: Mapping[str, AttributeValue]) -> Place:
    """
    Return where an item lies.

    Raises:
        Refusal: It lacks a part of the key, or DynamoDB does not take it as a key.
    """
    for key in settings.keys:
        value = item.get(key.name)
        if value is None:
            msg = f"Missing the key {key.name} in the item"
            raise bad_value(msg)
        if kind_of(value) != key.kind:
            msg = f"Type mismatch for key {key.name} expected: {key.kind} actual: {kind_of(value)}"
            raise bad_value(msg)
    partition = _part(settings.partition, item)
    if len(partition) > MAX_PARTITION_BYTES:
        msg = "Size of hashkey has exceeded the maximum size limit of2048 bytes"  # AWS's spelling
        raise bad_value(msg)
    sort = b"" if settings.sort is None else _part(settings.sort, item)
    if len(sort) > MAX_SORT_BYTES:
        msg = "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
        raise bad_value(msg)
    return Place(slot_of(partition), partition, sort)


def _part(key: KeyAttribute, item: Mapping[str, AttributeValue]) -> bytes:
    part = encoded(item[key.name])
    if not part:
        kind = "string" if key.kind == "S" else "binary"
        msg = (
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            f"cannot contain an empty {kind} value. Key: {key.name}"
        )
        raise invalid(msg)
    return part


def encoded(value: AttributeValue) -> bytes:
    """
    Return bytes that compare as values of one type do.

    Args:
        value: Checked; a text, a number or a blob.
    """
    kind = kind_of(value)
    if kind == "S":
        return utf8(value["S"])
    if kind == "B":
        return base64.b64decode(value["B"])
    return _number(value["N"])


def slot_of(partition: bytes) -> int:
    """Return where an encoded partition key lies, from 0 on, below ``SLOTS``."""
    digest = hashlib.md5(partition, usedforsecurity=False).digest()
    return int.from_bytes(digest[:_SLOT_BYTES], "big")


def _number(text: str) -> bytes:
    """
    Return a number's sign, exponent and digits, each in a form that compares.

    Those of a negative number are turned upside down, with an end that is above every
    digit: of two where one begins with the other, the longer one is the smaller.
    """
    sign, digits, exponent = number(text).as_tuple()
    assert isinstance(exponent, int)
    written = "".join(map(str, digits))
    significant = written.rstrip("0")
    if not significant:
        return _ZERO
    magnitude = exponent + len(written) - 1 - MIN_EXPONENT  # 0 to 255
    if not sign:
        return _POSITIVE + bytes([magnitude]) + significant.encode()
    upside_down = bytes(ord("9") - byte for byte in significant.encode())
    return _NEGATIVE + bytes([255 - magnitude]) + upside_down + b"\xff"
