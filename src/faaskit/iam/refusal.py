"""How a policy that can't be taken is refused: one sentence, with the place in front. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from faaskit.exceptions import DefinitionError

__all__ = ["listed", "refuse", "shortened"]

_LONGEST = 300
_MOST = 3


def refuse(place: str, reason: str) -> NoReturn:
    """
    Refuse a policy.

    Args:
        place: The path in the document, such as ``Statement[2].Condition.StringEquals``.
        reason: What is there, what AWS takes, and what to write instead.

    Raises:
        DefinitionError: Always.
    """
    msg = f"the policy is malformed at {place}: {reason}"
    # What a reader of JSON or numbers raised before says nothing more.
    raise DefinitionError(msg) from None


def shortened(text: str) -> str:
    """Return the text, cut where it is too long for a message."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def listed(values: Iterable[object]) -> str:
    """Return the first few values in words: a reason is read by people."""
    every = [shortened(str(value)) for value in values]
    if len(every) <= _MOST:
        return ", ".join(every)
    return f"{', '.join(every[:_MOST])} and {len(every) - _MOST} more"
