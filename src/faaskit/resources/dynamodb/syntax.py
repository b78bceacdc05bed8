"""
What an expression says, as data. Pure.

As it is read, a path's part that begins with ``#`` and an ``Argument`` stand for what the
request says beside the expression; ``binding.py`` puts that in their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

__all__ = [
    "Action",
    "All",
    "Among",
    "AnyOf",
    "Argument",
    "Arithmetic",
    "Between",
    "Call",
    "Comparison",
    "Condition",
    "Constant",
    "Not",
    "Operand",
    "Path",
    "Section",
    "Update",
    "path_text",
]


@frozen
class Path:
    """Where in an item: names of attributes, and places in lists."""

    parts: tuple[str | int, ...]


@frozen
class Argument:
    """A value that the request gives beside the expression, such as ``:v``."""

    name: str


@frozen
class Constant:
    """A value, checked."""

    value: Mapping[str, Any]


@frozen
class Call:
    """A function, as a condition or as an operand."""

    function: str
    operands: tuple[Operand, ...]


Operand = Path | Argument | Constant | Call


@frozen
class Comparison:
    """``=``, ``<>``, ``<``, ``<=``, ``>`` or ``>=``."""

    operator: str
    left: Operand
    right: Operand


@frozen
class Between:
    """``operand BETWEEN low AND high``, both included."""

    operand: Operand
    low: Operand
    high: Operand


@frozen
class Among:
    """``operand IN (options)``."""

    operand: Operand
    options: tuple[Operand, ...]


@frozen
class All:
    """Conditions joined by AND."""

    conditions: tuple[Condition, ...]


@frozen
class AnyOf:
    """Conditions joined by OR."""

    conditions: tuple[Condition, ...]


@frozen
class Not:
    """A condition that must not hold."""

    condition: Condition


Condition = Comparison | Between | Among | All | AnyOf | Not | Call


@frozen
class Arithmetic:
    """``left + right`` or ``left - right``."""

    operator: str
    left: Operand
    right: Operand


@frozen
class Action:
    """
    One thing that an update does.

    Attributes:
        kind: ``SET``, ``REMOVE``, ``ADD`` or ``DELETE``.
        value: None for ``REMOVE``.
    """

    kind: str
    path: Path
    value: Operand | Arithmetic | None = None


@frozen
class Section:
    """All that stands behind one ``SET``, ``REMOVE``, ``ADD`` or ``DELETE``."""

    kind: str
    actions: tuple[Action, ...]


Update = tuple[Section, ...]


def path_text(parts: tuple[str | int, ...]) -> str:
    """Return a path as DynamoDB's messages write it: ``[a, [1], b]``."""
    return f"[{', '.join(f'[{part}]' if isinstance(part, int) else part for part in parts)}]"
