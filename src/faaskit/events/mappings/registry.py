"""
The mappings of an app: what was declared, and what is known of each over runs of the program.

A mapping is known by its source and function. What begins at ``LATEST`` begins when the state
folder is first opened with it declared: before anything that this program puts, and on the
disk, so that a program which dies before it delivers loses nothing.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from attrs import define, field

from faaskit.clock import Clock, epoch_ms
from faaskit.events.mappings.progress import Progress
from faaskit.events.mappings.settings import MappingSettings, same
from faaskit.events.mappings.sources import StreamSource
from faaskit.exceptions import DefinitionError
from faaskit.resources.state import State

if TYPE_CHECKING:
    import sqlite3

__all__ = ["NOTHING_YET", "OK", "PROBLEM", "Declared", "Registry", "Source"]

NOTHING_YET = "No records processed"
OK = "OK"
PROBLEM = "PROBLEM: Function call failed"


class Source(Protocol):
    """What every source is, a queue too."""

    @property
    def key(self) -> str:
        """The ARN of the stream, table or queue."""

    @property
    def kind(self) -> str:
        """``stream``, ``table``, ``queue`` or ``remote queue``."""


@define(eq=False)
class Declared:
    """
    A mapping.

    Attributes:
        source: A StreamSource, or a queue.
        function: Its name: a function that is defined again takes over.
        definition: Which of its definitions asked for it.
        uuid: Empty until the state folder has been opened.
        enabled: As declared, or as it was set since.
        result: What came of the last batch.
    """

    source: Any
    function: str
    settings: MappingSettings
    definition: int
    uuid: str = ""
    enabled: bool = True
    result: str = field(default=NOTHING_YET)

    @property
    def kind(self) -> str:
        """Of its source."""
        return str(self.source.kind)


class Registry:
    """
    The mappings that an app declares. Safe to use from several threads.

    Args:
        state: Where they are known.
        clock: For where a stream begins.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._lock = threading.RLock()
        self._mappings: tuple[Declared, ...] = ()  # replaced, never changed: threads read it
        state.on_open(self.refresh)

    def add(
        self, source: Source, function: str, settings: MappingSettings, definition: int
    ) -> Declared:
        """
        Declare a mapping.

        The first of a function's new definition takes the place of all those of its earlier
        ones, as when a notebook's cell is run twice.

        Raises:
            DefinitionError: There is one of that source and function already.
        """
        with self._lock:
            kept = [
                one
                for one in self._mappings
                if one.function != function or one.definition == definition
            ]
            for one in kept:
                if one.function == function and one.source.key == source.key:
                    if same(one.settings, settings):
                        return one
                    msg = (
                        f"The event source arn ({source.key}) and function ({function}) provided "
                        f"mapping already exists{f' with UUID {one.uuid}' if one.uuid else ''}: "
                        "a function has one mapping of a source; change that one"
                    )
                    raise DefinitionError(msg)
            added = Declared(source, function, settings, definition, enabled=settings.enabled)
            self._mappings = (*kept, added)
        if self._state.opened:
            self.refresh()
        return added

    def of(self, *kinds: str) -> tuple[Declared, ...]:
        """Return the mappings of sources of some kinds."""
        return tuple(one for one in self._mappings if one.kind in kinds)

    @property
    def all(self) -> tuple[Declared, ...]:
        """Every mapping."""
        return self._mappings

    def refresh(self) -> None:
        """Make those known that are not, and take up what was changed of the others."""
        mappings = self._mappings
        if not mappings:
            return
        with self._state.reading() as connection:
            known = _known(connection)
        new = [one for one in mappings if (one.source.key, one.function) not in known]
        if new:
            with self._state.writing() as connection:
                for one in new:
                    self._begin(connection, one)
                known = _known(connection)
        for one in mappings:
            one.uuid, enabled, one.result = known[one.source.key, one.function]
            one.enabled = one.settings.enabled if enabled is None else bool(enabled)

    def set_enabled(self, mapping: Declared, enabled: bool) -> None:
        """Have a mapping read, or not, until it is set otherwise."""
        with self._state.writing() as connection:
            connection.execute(
                "UPDATE mappings SET enabled = ? WHERE source = ? AND function = ?",
                (enabled, mapping.source.key, mapping.function),
            )
        mapping.enabled = enabled

    def note(self, connection: sqlite3.Connection, mapping: Declared, result: str) -> None:
        """Write down what came of a batch, in a transaction."""
        if mapping.result != result:
            connection.execute(
                "UPDATE mappings SET result = ? WHERE id = ?", (result, mapping.uuid)
            )
            mapping.result = result

    def tell(self, mapping: Declared, result: str) -> None:
        """Write down what came of a batch."""
        if mapping.result != result:
            with self._state.writing() as connection:
                self.note(connection, mapping, result)

    def _begin(self, connection: sqlite3.Connection, mapping: Declared) -> None:
        now_ms = epoch_ms(self._clock.now())
        identifier = str(uuid.uuid4())
        added = connection.execute(
            "INSERT OR IGNORE INTO mappings (id, source, function, created_ms, result)"
            " VALUES (?, ?, ?, ?, ?)",
            (identifier, mapping.source.key, mapping.function, now_ms, NOTHING_YET),
        )
        if not added.rowcount or mapping.kind not in {"stream", "table"}:
            return
        source: StreamSource = mapping.source
        parts = mapping.settings.parallelization_factor
        for shard in source.shards(connection):
            start = Progress(source.start(connection, shard, mapping.settings, now_ms)).text
            connection.executemany(
                "INSERT OR IGNORE INTO lanes (mapping, shard, part, parts, progress, claim)"
                " VALUES (?, ?, ?, ?, ?, 0)",
                [(identifier, shard.number, part, parts, start) for part in range(parts)],
            )


def _known(
    connection: sqlite3.Connection,
) -> Mapping[tuple[str, str], tuple[str, int | None, str]]:
    rows: Iterable[Any] = connection.execute(
        "SELECT source, function, id, enabled, result FROM mappings"
    ).fetchall()
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}
