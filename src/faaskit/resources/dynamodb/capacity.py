"""What an operation would consume on AWS, by the rules that AWS publishes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["consumed", "read_units", "write_units"]

_READ_BYTES = 4096
_WRITE_BYTES = 1024


def read_units(size: int, *, consistent: bool, transactional: bool = False) -> float:
    """Return the units of reading so many bytes."""
    whole = max(1, -(-size // _READ_BYTES))
    if transactional:
        return 2.0 * whole
    return float(whole) if consistent else whole / 2


def write_units(*sizes: int, transactional: bool = False) -> float:
    """Return the units of a write: by the larger one of what was there and what is."""
    whole = max(1, *(-(-size // _WRITE_BYTES) for size in sizes))
    return (2.0 if transactional else 1.0) * whole


def consumed(asked: str, table: str, units: float) -> dict[str, Any] | None:
    """
    Return the member ``ConsumedCapacity``, or None where it was not asked for.

    Args:
        asked: ``NONE``, ``TOTAL`` or ``INDEXES``.
        table: As the request names it.
        units: Of capacity.
    """
    if asked == "NONE":
        return None
    told: dict[str, Any] = {"TableName": table, "CapacityUnits": units}
    if asked == "INDEXES":
        of_table: Mapping[str, Any] = {"CapacityUnits": units}
        told["Table"] = of_table
    return told
