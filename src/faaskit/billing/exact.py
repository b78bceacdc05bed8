"""Decimal arithmetic that never rounds, and the figures that may enter it."""

from __future__ import annotations

import math
import operator
from decimal import ROUND_CEILING, Context, Decimal, Inexact, InvalidOperation, Overflow
from functools import reduce
from numbers import Integral

from faaskit.definition import shown
from faaskit.exceptions import DefinitionError

__all__ = [
    "difference",
    "exact_figure",
    "product",
    "tidy",
    "to_gb_seconds",
    "total",
    "whole_ms",
    "whole_ms_measured",
]

# A context of our own: the operators of Decimal round to the *caller's* context, and a
# program that works with six digits would get six digits of a bill. 1,000 digits hold the
# sum of the largest float and the smallest; a figure that would need more raises Inexact
# and is never cut short. Everything is given, since what is left out comes from
# decimal.DefaultContext, which a program can change, too.
_EXACT = Context(
    prec=1000,
    rounding=ROUND_CEILING,
    Emin=-999_999,
    Emax=999_999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[Inexact, InvalidOperation, Overflow],
)

_ONE = Decimal(1)
_FLOATS_ARE_SURE_MS = 1e9
_MARGIN_MS = 1e-6
_GB_SECONDS_PER_MB_MS = Decimal("9.765625E-7")  # 1/1024/1000, which ends in decimal


def product(*factors: Decimal) -> Decimal:
    """Return the exact product."""
    return reduce(_EXACT.multiply, factors, _ONE)


def total(*terms: Decimal) -> Decimal:
    """Return the exact sum; of nothing, 0."""
    return reduce(_EXACT.add, terms, Decimal(0))


def difference(minuend: Decimal, subtrahend: Decimal) -> Decimal:
    """Return the exact difference."""
    return _EXACT.subtract(minuend, subtrahend)


def tidy(value: Decimal) -> Decimal:
    """Return the same number without trailing zeros, for the eye."""
    normal = value.normalize(_EXACT)
    exponent = normal.as_tuple().exponent
    if isinstance(exponent, int) and exponent > 0:  # normalize makes 1E+5 of 100000
        return normal.quantize(_ONE, context=_EXACT)
    return normal


def to_gb_seconds(mb: Decimal, milliseconds: Decimal) -> Decimal:
    """Return GB-seconds, AWS's unit of compute: 1,024 MB held for 1,000 ms."""
    return product(mb, milliseconds, _GB_SECONDS_PER_MB_MS)


def whole_ms(*durations: Decimal) -> Decimal:
    """
    Return what is billed for parts of one invocation: their sum, rounded up to whole ms.

    The sum is rounded, not the parts; and the least that is billed is 1 ms.
    """
    return max(_ONE, total(*durations).to_integral_value(ROUND_CEILING, _EXACT))


def whole_ms_measured(*durations: float) -> int:
    """Return the same for floats, each of which counts as what it prints."""
    roughly = sum(durations)
    # Such a sum is off by less than the margin, which decides only next to a whole number.
    if roughly < _FLOATS_ARE_SURE_MS and abs(roughly - round(roughly)) > _MARGIN_MS:
        return max(1, math.ceil(roughly))
    return int(whole_ms(*(exact_figure(one, "billing", "a duration") for one in durations)))


def exact_figure(value: object, owner: str, parameter: str) -> Decimal:
    """
    Return a figure as the exact Decimal that its writer meant.

    A float counts as what it prints. 0.1 is a tenth, not the binary fraction next to it,
    which is a little more: 0.1 ms of INIT and 0.9 ms of handler are 1 ms, not 2.

    Args:
        value: An int, a float or a Decimal; NumPy's integers and float64 are such.
        owner: Whose it is, for the message.
        parameter: Its name, for the message.

    Raises:
        DefinitionError: It is of another type, bool included; or negative, NaN, infinite.
    """
    figure = _as_decimal(value)
    if figure is None:
        msg = (
            f"{owner}: {parameter}={shown(value)} is of type {type(value).__name__}; "
            "pass an int, a float or a Decimal"
        )
        raise DefinitionError(msg)
    if not figure.is_finite() or figure < 0:
        msg = f"{owner}: {parameter}={shown(value)} is no amount; pass a finite number from 0 up"
        raise DefinitionError(msg)
    return figure.copy_abs()  # -0.0 is 0


def _as_decimal(value: object) -> Decimal | None:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, float):
        return Decimal(float.__repr__(value))  # NumPy's floats print their type, too
    if isinstance(value, bool) or not isinstance(value, Integral):
        return None
    return Decimal(operator.index(value))
