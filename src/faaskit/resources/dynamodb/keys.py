"""Keys as bytes, in the order in which DynamoDB sorts them. Pure."""

from __future__ import annotations

import base64
import hashlib

from faaskit.resources.dynamodb.numbers import MIN_EXPONENT, number
from faaskit.resources.dynamodb.values import AttributeValue, kind_of, utf8

__all__ = ["SLOTS", "encoded", "slot_of"]

# Items lie in the order of a hash of their partition key, as on AWS: a scan tells nothing of
# the keys' order, and its segments are runs of slots.
SLOTS = 1 << 32
_SLOT_BYTES = 4

_NEGATIVE, _ZERO, _POSITIVE = b"\x00", b"\x01", b"\x02"


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
