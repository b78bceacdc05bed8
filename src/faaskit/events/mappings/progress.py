"""
How far a mapping is in a shard, and what becomes of a batch that failed. Pure.

A shard's records are done in their order. What is under way again is a *piece*: a range of the
shard, from one sequence to another. As long as there are pieces, the first of them is due next,
and nothing behind them is read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from attrs import asdict, evolve, frozen

__all__ = ["LONGEST_BACKOFF_MS", "Piece", "Progress", "Window", "backoff_ms", "retried"]

LONGEST_BACKOFF_MS = 60_000


@frozen
class Piece:
    """
    A range of a shard that is tried again.

    Attributes:
        first: The sequence of its first record.
        last: That of its last one.
        tries: How many attempts at it failed.
        throttles: How often in a row it could not be run.
        due_ms: Not before then.
    """

    first: int
    last: int
    tries: int = 0
    throttles: int = 0
    due_ms: int = 0


@frozen
class Window:
    """
    A tumbling window that is open.

    Attributes:
        start_ms: When it began.
        state: What the last invocation returned.
        early: Whether it is over before its time, its state being too large.
        tries: How many attempts at its end failed.
        throttles: How often in a row that could not be run.
        due_ms: Its end is not tried before then.
    """

    start_ms: int
    state: Any
    early: bool = False
    tries: int = 0
    throttles: int = 0
    due_ms: int = 0


@frozen
class Progress:
    """
    Of one lane: a shard, or one of the parts that ``parallelization_factor`` makes of it.

    Attributes:
        position: What is before this sequence is done, or in a piece.
        pieces: In their order.
        window: Of a mapping with tumbling windows.
        ended: The shard was closed, and all of it is done.
    """

    position: int
    pieces: tuple[Piece, ...] = ()
    window: Window | None = None
    ended: bool = False

    @property
    def text(self) -> str:
        """It, as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Progress:
        """Return the progress that a text is of."""
        values = json.loads(text)
        window = values["window"]
        return cls(
            position=values["position"],
            pieces=tuple(Piece(**piece) for piece in values["pieces"]),
            window=None if window is None else Window(**window),
            ended=values["ended"],
        )

    def instead(self, piece: Piece, left: Sequence[Piece]) -> Progress:
        """
        Return it with what is left of a piece in its place.

        Args:
            piece: One of its pieces; or a new batch, which is in front of the position then.
            left: What is still to be done of it.
        """
        rest = tuple(one for one in self.pieces if one.first > piece.last)
        return evolve(self, position=max(self.position, piece.last + 1), pieces=(*left, *rest))


def retried(
    piece: Piece,
    sequences: Sequence[int],
    failed_from: int | None,
    *,
    bisect: bool,
    retry_attempts: int,
    now_ms: int,
) -> tuple[tuple[Piece, ...], Piece | None]:
    """
    Say what follows on an attempt at a piece that failed.

    Args:
        piece: As it was tried.
        sequences: Of the records that were in the attempt.
        failed_from: The first that failed, where the function said so; those before it are
            done.
        bisect: The mapping's ``bisect_batch_on_error``.
        retry_attempts: The mapping's.
        now_ms: When the attempt ended.

    Returns:
        What is tried again, and what is given up instead.
    """
    left = [one for one in sequences if failed_from is None or one >= failed_from]
    # What was tried with records before it that are done now has failed for the first time.
    onward = len(left) < len(sequences)
    tries = 0 if onward else piece.tries
    whole = Piece(left[0], left[-1], tries, due_ms=now_ms)
    if bisect and onward:
        return (whole,), None
    if bisect and len(left) > 1:
        half = len(left) // 2
        return (evolve(whole, last=left[half - 1]), evolve(whole, first=left[half])), None
    tries += 1
    if 0 <= retry_attempts < tries:
        return (), evolve(whole, tries=tries)
    return (evolve(whole, tries=tries, due_ms=now_ms + backoff_ms(tries)),), None


def backoff_ms(failures: int) -> int:
    """Return how long to wait after so many failures in a row: 1 s, 2 s, 4 s, up to a minute."""
    return min(LONGEST_BACKOFF_MS, 1000 << min(failures - 1, 6))
