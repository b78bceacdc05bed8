"""Bounds on the function's text that is kept and logged when an event fails. Pure."""

from __future__ import annotations

__all__ = ["DETAIL_CHARACTERS", "in_log"]

DETAIL_CHARACTERS = 1000


def in_log(detail: str) -> str:
    """Return what a line of the log holds of a function's text: its start, as one line."""
    shown = detail[:DETAIL_CHARACTERS]
    if not shown.isprintable():
        shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in shown)
    left_out = len(detail) - DETAIL_CHARACTERS
    return f"{shown}… and {left_out} characters more" if left_out > 0 else shown
