"""What a table is declared as: its keys and its stream. Pure."""

from __future__ import annotations

import re
from typing import Literal, Protocol, cast

from attrs import frozen

from faaskit.exceptions import DefinitionError

__all__ = [
    "DeclaredTable",
    "KeyAttribute",
    "KeyLike",
    "StreamView",
    "TableSettings",
    "declared",
    "validate_table_name",
]

StreamView = Literal["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"]
KeyLike = str | tuple[str, str]

_VIEWS = ("KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES")
_KINDS = {"S": "text", "N": "numbers", "B": "bytes"}
_NAME = re.compile(r"[a-zA-Z0-9_.-]{3,255}")
_MAX_KEY_NAME_BYTES = 255


@frozen
class KeyAttribute:
    """
    An attribute that is part of the key.

    Attributes:
        kind: Of its values: ``S``, ``N`` or ``B``.
    """

    name: str
    kind: str = "S"


@frozen
class TableSettings:
    """
    What a table is declared as.

    Attributes:
        stream: What records of changes hold; None where none are kept.
    """

    partition: KeyAttribute
    sort: KeyAttribute | None = None
    stream: StreamView | None = None

    @property
    def keys(self) -> tuple[KeyAttribute, ...]:
        """The attributes of the key."""
        return (self.partition,) if self.sort is None else (self.partition, self.sort)


class DeclaredTable(Protocol):
    """What the service needs of a table that an app declares."""

    @property
    def settings(self) -> TableSettings:
        """What it is declared as."""


def validate_table_name(name: object) -> str:
    """Return a legal table name, or raise DefinitionError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        msg = (
            f"table name {name!r} is not one that DynamoDB takes: 3 to 255 characters of a-z, "
            "A-Z, 0-9, '_', '-' and '.'"
        )
        raise DefinitionError(msg)
    return name


def declared(
    name: str, partition_key: KeyLike, sort_key: KeyLike | None, stream: str | None
) -> TableSettings:
    """
    Return a table's settings.

    Raises:
        DefinitionError: DynamoDB does not take such a key or stream.
    """
    partition = _key(name, "partition_key", partition_key)
    sort = None if sort_key is None else _key(name, "sort_key", sort_key)
    if sort is not None and sort.name == partition.name:
        msg = f"table {name!r}: partition_key and sort_key are both {sort.name!r}: name two"
        raise DefinitionError(msg)
    if stream is not None and stream not in _VIEWS:
        msg = f"table {name!r}: stream is {stream!r}: one of {', '.join(_VIEWS)}, or None"
        raise DefinitionError(msg)
    return TableSettings(partition, sort, cast("StreamView | None", stream))


def _key(table: str, what: str, key: object) -> KeyAttribute:
    name, kind = key if isinstance(key, tuple) and len(key) == 2 else (key, "S")  # noqa: PLR2004
    if not isinstance(name, str) or not 0 < len(name.encode(errors="replace")) <= (
        _MAX_KEY_NAME_BYTES
    ):
        msg = (
            f"table {table!r}: {what} is {key!r}: pass an attribute's name, 1 to 255 bytes, or a "
            "pair of name and type, such as ('id', 'N')"
        )
        raise DefinitionError(msg)
    if not isinstance(kind, str) or kind not in _KINDS:
        kinds = ", ".join(f"{kind!r} ({text})" for kind, text in _KINDS.items())
        msg = f"table {table!r}: the type of {what} {name!r} is {kind!r}: one of {kinds}"
        raise DefinitionError(msg)
    return KeyAttribute(name, kind)
