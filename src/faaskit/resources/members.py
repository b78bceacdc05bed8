"""The members of a request that is not trusted, read as the types that AWS's shapes have. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from attrs import frozen

from faaskit.gate.service import Refusal, excerpt

__all__ = ["Members", "refuse_operation"]

_T = TypeVar("_T")

_ELSEWHERE = 'App(aws="moto") has it for what the app does not define itself'


def refuse_operation(service: str, operation: str, known: Mapping[str, object]) -> NoReturn:
    """Refuse an operation that an embedded resource does not carry out."""
    msg = (
        f"{service}'s operation {excerpt(operation)} is not one that the app's own resources "
        f"carry out ({', '.join(sorted(known))}); {_ELSEWHERE}"
    )
    raise Refusal(msg, code="NotImplemented")


@frozen
class Members:
    """
    What a request, or a structure within it, holds by name.

    Every value may be of any type and size. A method returns one of the type that it says,
    or None where there is none, or raises Refusal.

    Attributes:
        of: What it is, for messages: an operation's name, or a member's.
        values: As they came in.
        missing: Makes the refusal for a required member that is not there.
    """

    of: str
    values: Mapping[str, Any]
    missing: Callable[[str], Refusal]

    def only(self, *names: str) -> None:
        """Refuse what has no effect here: to ignore it would be a promise."""
        for name in self.values:
            if name not in names:
                msg = (
                    f"{self.of}'s parameter {excerpt(name)} has no effect on the app's own "
                    f"resources; it takes {', '.join(sorted(names)) or 'none'}; {_ELSEWHERE}"
                )
                raise Refusal(msg, code="NotImplemented")

    def has(self, name: str) -> bool:
        """Return whether there is such a member; one that is None was not given."""
        return self.values.get(name) is not None

    def text(self, name: str) -> str | None:
        """Return a string that can be written in UTF-8."""
        value = self.values.get(name)
        if value is None:
            return None
        return self._text(name, value)

    def integer(self, name: str) -> int | None:
        """Return an integer."""
        value = self.values.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        return self._wrong(name, value, "an integer")

    def blob(self, name: str, limit: int) -> bytes | None:
        """Return the bytes of a blob, which travels as base64; not decoded if over a limit."""
        text = self.text(name)
        if text is None:
            return None
        if len(text) // 4 * 3 > limit + 3:
            return bytes(limit + 1)  # so much is told of it, and no more memory is spent
        try:
            return base64.b64decode(text.encode(), validate=True)
        except (binascii.Error, ValueError):
            self._wrong(name, text, "base64")

    def moment(self, name: str) -> datetime | None:
        """Return an aware datetime; a timestamp travels as ISO 8601."""
        text = self.text(name)
        if text is None:
            return None
        try:
            # datetime.fromisoformat knows "Z" from Python 3.11 on.
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self._wrong(name, text, "a time such as 2026-01-01T00:00:00Z")
        return moment

    def texts(self, name: str) -> Sequence[str]:
        """Return a list of strings; an empty one where there is none."""
        return [self._text(name, value) for value in self._list(name)]

    def structure(self, name: str) -> Members | None:
        """Return a structure, or a map, whose values may be of any type."""
        value = self.values.get(name)
        return None if value is None else self._structure(name, value)

    def structures(self, name: str) -> Sequence[Members]:
        """Return a list of structures; an empty one where there is none."""
        return [self._structure(name, value) for value in self._list(name)]

    def count(self, name: str) -> int:
        """Return how long a list is, before any of it is read."""
        return len(self._list(name))

    def required(self, name: str, value: _T | None) -> _T:
        """Return a value that was read, unless there was none."""
        if value is None:
            raise self.missing(name)
        return value

    def _list(self, name: str) -> Sequence[Any]:
        value = self.values.get(name)
        if value is None:
            return []
        if not isinstance(value, (list, tuple)):
            self._wrong(name, value, "a list")
        return value

    def _structure(self, name: str, value: object) -> Members:
        if not isinstance(value, Mapping):
            self._wrong(name, value, "a structure")
        for key in value:
            self._text(name, key)
        return Members(f"{self.of}.{name}", value, self.missing)

    def _text(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            self._wrong(name, value, "a string")
        try:
            value.encode()
        except UnicodeEncodeError:
            self._wrong(name, value, "a string that can be written in UTF-8")
        return value

    def _wrong(self, name: str, value: object, wanted: str) -> NoReturn:
        msg = f"{self.of}'s {name} is {excerpt(value)} ({type(value).__name__}): pass {wanted}"
        raise Refusal(msg, code="ValidationException")
