"""
The request context: what is known of a request beside its action and resource. Pure.

What isn't known is named, too: an answer that leaves it out would be a guess.

Keys are compared without case; values are texts, one or several. A key whose value is
None or an empty list is a key that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from faaskit.exceptions import DefinitionError
from faaskit.iam.values import plain_text
from faaskit.iam.variables import UNKNOWN, Values

__all__ = ["KNOWN", "Unknowns", "read_context"]


@frozen
class Unknowns:
    """
    The parts of a request that its maker can't tell.

    An Allow must allow whatever they may be, a Deny counts if it may be about them.

    Attributes:
        resource: True if the resource is a pattern of what it may be: ``*`` and ``?`` are
            wildcards, ``?`` for a character other than a colon.
        keys: Condition keys that may be there or not, in lower case; ``aws:resourcetag/*``
            for a family, ``*`` for all that are not given.
        actions: A pattern of the actions that a Deny may mean, such as ``athena:*``, in
            lower case; empty where the action is known.
    """

    resource: bool = False
    keys: frozenset[str] = frozenset()
    actions: str = ""


KNOWN = Unknowns()


def read_context(
    context: Mapping[Any, Any] | None, known: Values, unknown: frozenset[str] = frozenset()
) -> Values:
    """
    Return the values of a request by key in lower case.

    Args:
        context: As the caller gives it: a str, bool, int, float, Decimal, bytes or aware
            datetime for each key, or a list, tuple or set of these.
        known: What follows from the request itself; the caller's own values win.
        unknown: Keys that may be there or not, as in ``Unknowns``; a value wins.

    Raises:
        DefinitionError: A value that has no text in IAM, or a key given twice. Neither is
            guessed at: what is wrong about a request must not decide it.
    """
    if unknown:
        known = {**dict.fromkeys(unknown, UNKNOWN), **known}
    if not context:
        return known
    given: dict[str, str | tuple[str, ...] | None] = {}
    for key, value in context.items():
        if not isinstance(key, str):
            msg = f"context key {key!r} is no str; pass keys such as 'aws:SourceIp'"
            raise DefinitionError(msg)
        folded = key.lower()
        if folded in given:
            msg = f"context key {key!r} is given twice: keys are compared without case"
            raise DefinitionError(msg)
        given[folded] = value if isinstance(value, str) else _read_value(key, value)
    read = {key: value for key, value in given.items() if value is not None}
    # A key that was given as None is known to be absent, even if it could be derived.
    return {**{key: value for key, value in known.items() if key not in given}, **read}


def _read_value(key: str, value: object) -> str | tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple | set | frozenset):
        return _read_one(key, value)
    several = tuple(_read_one(key, one) for one in value if one is not None)
    # A list of one is a value of one: operators without a set qualifier can compare it.
    return several[0] if len(several) == 1 else several or None


def _read_one(key: str, value: object) -> str:
    text = plain_text(value)
    if text is None:
        msg = (
            f"context key {key!r} has the value {value!r} ({type(value).__name__}), which has no "
            "text in IAM; pass a str, bool, finite number, bytes or aware datetime"
        )
        raise DefinitionError(msg)
    return text
