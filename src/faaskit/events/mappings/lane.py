"""One lane in memory: what has been read of it, and what is due next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import define, evolve, field, frozen

from faaskit.events.mappings.lanes import Claim
from faaskit.events.mappings.progress import LONGEST_BACKOFF_MS, Piece, Progress, Window
from faaskit.events.mappings.registry import Declared
from faaskit.events.mappings.settings import MAX_RECORDS_BYTES
from faaskit.events.mappings.sources import Page, Row, Shard, StreamSource

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Batch", "Lane"]

_LEAST_PAGE, _MOST_PAGE = 100, 10_000


@frozen
class Batch:
    """
    What one attempt is at.

    Attributes:
        piece: The range; None for the end of a window.
        rows: The records in it that are still there.
        window: The one that they are in; None without tumbling windows.
    """

    piece: Piece | None
    rows: Sequence[Row] = field(repr=False)
    window: Window | None = None


@define(eq=False)
class Lane:
    """
    A lane that this process owns.

    Attributes:
        arn: Of the stream, as events show it.
        role_arn: Of the function's role.
        read_to: The sequence that is read next.
        rows: What was read, and passes the filters.
        full: Whether they are a whole batch.
        skipped: How many were read over since progress was stored.
        busy: Whether an attempt is under way.
    """

    mapping: Declared
    shard: Shard
    claim: Claim
    arn: str
    role_arn: str
    progress: Progress
    read_to: int
    rows: list[Row] = field(factory=list, repr=False)
    full: bool = False
    skipped: int = 0
    busy: bool = False
    _size: int = 0

    @classmethod
    def of(cls, mapping: Declared, shard: Shard, claim: Claim, *, arn: str, role_arn: str) -> Lane:
        """Return the lane of a claim, with nothing read."""
        progress = claim.progress
        return cls(mapping, shard, claim, arn, role_arn, progress, progress.position)

    # --- reading ------------------------------------------------------------------------

    def read(self, connection: sqlite3.Connection, now_ms: int) -> None:
        """Read on, until there is a batch or no more."""
        while not self.full:
            page = self._page(connection, self.read_to, now_ms)
            for row in page.rows:
                if not self._take(row):
                    return
            self.read_to = max(self.read_to, page.next)
            if not page.more:
                return

    def _take(self, row: Row) -> bool:
        """Take a record, unless the batch is full; return whether it is not full by then."""
        if not self._passes(row):
            self.skipped += 1
        elif self.rows and not self._fits(row):
            self.full = True
            return False
        else:
            self.rows.append(row)
            self._size += row.size
            self.full = len(self.rows) == self.mapping.settings.batch_size
        self.read_to = row.sequence + 1
        return not self.full

    def _passes(self, row: Row) -> bool:
        key = self.claim.key
        if key.parts > 1 and self.mapping.source.slot(row.key) % key.parts != key.part:
            return False
        return self.mapping.settings.filters.pass_record(row.entry)

    def _fits(self, row: Row) -> bool:
        if self._size + row.size > MAX_RECORDS_BYTES:
            return False
        return self._window_start(row) == self._window_start(self.rows[0])

    def again(self, connection: sqlite3.Connection, piece: Piece, now_ms: int) -> list[Row]:
        """Return the records of a piece that are still there."""
        found: list[Row] = []
        position = piece.first
        while position <= piece.last:
            page = self._page(connection, position, now_ms)
            found += [row for row in page.rows if row.sequence <= piece.last and self._passes(row)]
            if not page.more:
                break
            position = page.next
        return found

    def _page(self, connection: sqlite3.Connection, position: int, now_ms: int) -> Page:
        source: StreamSource = self.mapping.source
        wanted = (self.mapping.settings.batch_size - len(self.rows)) * self.claim.key.parts
        return source.read(
            connection,
            self.shard,
            position,
            limit=min(_MOST_PAGE, max(_LEAST_PAGE, wanted)),
            now_ms=now_ms,
            role_arn=self.role_arn,
        )

    def done(self, progress: Progress) -> None:
        """Take up how an attempt ended."""
        self.progress = progress
        self.busy = False

    def begin_again(self) -> None:
        """Have everything as if nothing had been read or taken."""
        self._gather_anew()
        self.read_to = self.progress.position
        self.busy = False

    def correct(self, now_ms: int) -> None:
        """Put right what is due where the clock was set back; see ``ClockCorrection``."""
        if self.busy:
            return
        if self.rows and self.rows[-1].arrived_ms > now_ms + 1000:
            self.begin_again()  # they are stored with other moments by now
        pieces = self.progress.pieces
        if pieces and pieces[0].due_ms > now_ms + LONGEST_BACKOFF_MS + 1000:
            self.progress = evolve(self.progress, pieces=(evolve(pieces[0], due_ms=0), *pieces[1:]))

    def _gather_anew(self) -> None:
        self.rows = []
        self.full = False
        self._size = 0
        self.skipped = 0

    # --- what is due --------------------------------------------------------------------

    @property
    def due_ms(self) -> int | None:
        """When something is due next; None while an attempt is under way, or for never."""
        progress = self.progress
        if self.busy or progress.ended:
            return None
        if progress.pieces:
            return progress.pieces[0].due_ms
        window = progress.window
        if window is not None and self._is_over(window):
            at_once = window.early or self.drained
            return max(window.due_ms, 0 if at_once else self._end_of(window.start_ms))
        if not self.rows:
            return None
        first, last = self.rows[0], self.rows[-1]
        if self.full or self.drained:
            return last.arrived_ms
        due = first.arrived_ms + self.mapping.settings.max_batching_window * 1000
        if self.mapping.settings.tumbling_window:
            due = min(due, self._end_of(self._window_start(first)))
        return due

    def take(self, connection: sqlite3.Connection, now_ms: int) -> Batch:
        """Return what is due, for an attempt at it: the lane is busy from here on."""
        self.busy = True
        progress = self.progress
        if progress.pieces:
            piece = progress.pieces[0]
            rows: Sequence[Row] = self.again(connection, piece, now_ms)
        elif progress.window is not None and self._is_over(progress.window):
            return Batch(None, (), progress.window)
        else:
            rows = self.rows
            piece = Piece(rows[0].sequence, rows[-1].sequence)
            self._gather_anew()
        if not rows or not self.mapping.settings.tumbling_window:
            return Batch(piece, rows)
        return Batch(piece, rows, progress.window or Window(self._window_start(rows[0]), {}))

    @property
    def drained(self) -> bool:
        """Whether the shard was closed, and all of it has been read."""
        return self.shard.last is not None and self.read_to > self.shard.last

    @property
    def over(self) -> bool:
        """Whether all is done that will ever be in it, and that was not noted yet."""
        progress = self.progress
        left = self.rows or progress.pieces or progress.window or self.busy or progress.ended
        return self.drained and not left

    def _is_over(self, window: Window) -> bool:
        """Return whether nothing is left of an open window but its end."""
        if window.early or not self.rows:
            return True
        return self._window_start(self.rows[0]) != window.start_ms

    def _window_start(self, row: Row) -> int:
        width = self.mapping.settings.tumbling_window * 1000
        return row.arrived_ms // width * width if width else 0

    def _end_of(self, start_ms: int) -> int:
        return start_ms + self.mapping.settings.tumbling_window * 1000
