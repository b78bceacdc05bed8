"""
DynamoDB's numbers: up to 38 significant digits, from 1E-130 to 9.99…E+125. Pure.

A number is kept as its text, in one way of writing it: no exponent, no zeros in front or
behind, so that equal numbers are equal texts.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal

from faaskit.resources.dynamodb.refusals import invalid

__all__ = ["MAX_DIGITS", "MAX_EXPONENT", "MIN_EXPONENT", "added", "canonical", "number"]

MAX_DIGITS = 38
MAX_EXPONENT = 125
MIN_EXPONENT = -130

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?([0-9]+))?")
# More digits than this in an exponent, and there is no need to look: it is out of range.
_LONGEST_EXPONENT = 12
# Enough for the sum of any two numbers of the range, digit by digit.
_EXACT = Context(prec=MAX_EXPONENT - MIN_EXPONENT + MAX_DIGITS + 2)
_ROUNDED = Context(prec=MAX_DIGITS)


def number(text: str) -> Decimal:
    """Return the number of a text that is kept."""
    return Decimal(text)


def canonical(text: object) -> str:
    """
    Return the one way of writing a number.

    Raises:
        Refusal: It is no number, or one that DynamoDB does not take.
    """
    if not isinstance(text, str) or not text:
        msg = "The parameter cannot be converted to a numeric value"
        raise invalid(msg)
    match = _NUMBER.fullmatch(text)
    if match is None:
        msg = f"The parameter cannot be converted to a numeric value: {text[:100]}"
        raise invalid(msg)
    exponent = match[1]
    if exponent is not None and len(exponent.lstrip("0")) > _LONGEST_EXPONENT:
        mantissa = text.lower().partition("e")[0]
        if not mantissa.strip("+-.0"):
            return "0"
        raise _underflow() if "e-" in text.lower() else _overflow()
    return _written(Decimal(text))


def added(left: str, right: str, *, sign: int = 1) -> str:
    """
    Return a sum, or a difference where ``sign`` is -1.

    Raises:
        Refusal: It is out of range, or has more digits than a number can: AWS calls that an
            overflow, too.
    """
    exact = _EXACT.add(Decimal(left), _EXACT.multiply(Decimal(sign), Decimal(right)))
    if exact != _ROUNDED.plus(exact):
        raise _overflow()
    return _written(exact)


def _written(value: Decimal) -> str:
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).lstrip("0")
    if not text:
        return "0"
    kept = text.rstrip("0")
    exponent += len(text) - len(kept)
    magnitude = exponent + len(kept) - 1
    if magnitude > MAX_EXPONENT:
        raise _overflow()
    if magnitude < MIN_EXPONENT:
        raise _underflow()
    if len(kept) > MAX_DIGITS:
        msg = "Attempting to store more than 38 significant digits in a Number"
        raise invalid(msg)
    return format(Decimal((sign, tuple(map(int, kept)), exponent)), "f")


def _overflow() -> Exception:
    msg = "Number overflow. Attempting to store a number with magnitude larger than supported range"
    return invalid(msg)


def _underflow() -> Exception:
    msg = (
        "Number underflow. Attempting to store a number with magnitude smaller than supported range"
    )
    return invalid(msg)
