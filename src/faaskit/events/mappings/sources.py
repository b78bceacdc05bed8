"""What a mapping reads from: shards of records, as events show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from faaskit.events.mappings.settings import MappingSettings

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Page", "Row", "Shard", "StreamSource"]


@frozen
class Shard:
    """
    A shard.

    Attributes:
        number: Unique in its source.
        id: As AWS shows it.
        parents: The shards that it came from: they are done first.
        last: The sequence of its last record, where there will be no more.
    """

    number: int
    id: str
    parents: tuple[int, ...] = ()
    last: int | None = None


@frozen
class Row:
    """
    A record of a shard.

    Attributes:
        sequence: Grows in a shard.
        arrived_ms: When it was put.
        key: Records of one key stay in order; for the source's ``slot``.
        number: The sequence number, as AWS shows it.
        entry: As it is in an event.
        size: Of the entry as JSON, in bytes.
    """

    sequence: int
    arrived_ms: int
    key: Any
    number: str
    entry: Mapping[str, Any] = field(repr=False)
    size: int


@frozen
class Page:
    """
    What a read found.

    Attributes:
        rows: In their order.
        next: The sequence to read from next.
        more: Whether there is more by now.
    """

    rows: Sequence[Row]
    next: int
    more: bool


class StreamSource(Protocol):
    """A stream, or a table's."""

    @property
    def key(self) -> str:
        """What tells it from others: the ARN of the stream or table."""

    @property
    def kind(self) -> str:
        """``stream`` or ``table``."""

    def arn(self, connection: sqlite3.Connection) -> str:
        """Return the ARN of the stream, as events show it."""

    def shards(self, connection: sqlite3.Connection) -> Sequence[Shard]:
        """Return the shards that there are, parents first."""

    def slot(self, key: Any) -> int:
        """Return a number that records of one key have in common."""

    def start(
        self, connection: sqlite3.Connection, shard: Shard, settings: MappingSettings, now_ms: int
    ) -> int:
        """Return the sequence that a mapping which is declared now begins at."""

    def read(
        self,
        connection: sqlite3.Connection,
        shard: Shard,
        position: int,
        *,
        limit: int,
        now_ms: int,
        role_arn: str,
    ) -> Page:
        """Return records from a sequence on, without those that are too old to be kept."""
