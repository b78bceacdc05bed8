"""JSON values of a policy that nobody can change any more, and the way back. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Element", "each", "freeze", "thaw"]


class Element(Mapping[str, Any]):
    """
    An object of a policy document: a mapping that is frozen, hashable and equal to a dict.

    Not ``types.MappingProxyType``: that can't be pickled, and statements travel with
    functions.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Any]) -> None:
        self._items = {key: freeze(value) for key, value in items.items()}

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)


def each(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the texts of an element that may be one or several."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


def freeze(value: Any) -> Any:
    """Return a JSON value with objects as ``Element`` and lists as tuples."""
    if isinstance(value, Element):
        return value
    if isinstance(value, Mapping):
        return Element(value)
    return tuple(freeze(one) for one in value) if isinstance(value, list | tuple) else value


def thaw(value: Any) -> Any:
    """Return a frozen JSON value as dicts and lists of its own."""
    if isinstance(value, Mapping):
        return {key: thaw(one) for key, one in value.items()}
    return [thaw(one) for one in value] if isinstance(value, tuple) else value
