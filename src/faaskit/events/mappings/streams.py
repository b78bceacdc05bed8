"""
Streams and tables, as work: a batch of each lane at a time, in order, until it is done.

A batch is done when its function says so, or when it is given up: its place in the lane is
written down in one transaction with what follows from it, a record for the destination and a
dead event. What ends before that, by whatever death, is tried again.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import evolve

from faaskit.clock import epoch_ms, from_epoch_ms
from faaskit.events.asynchronous import AsynchronousQueue
from faaskit.events.details import in_log
from faaskit.events.mappings.giving_up import GivenUp, GivingUp
from faaskit.events.mappings.lane import Batch, Lane
from faaskit.events.mappings.lanes import LaneKey, LaneStore
from faaskit.events.mappings.outcomes import MAX_STATE_BYTES, Answer, read_answer
from faaskit.events.mappings.progress import Piece, Progress, Window, backoff_ms, retried
from faaskit.events.mappings.reader import Invocable, Reader
from faaskit.events.mappings.registry import OK, PROBLEM, Declared
from faaskit.events.mappings.sources import Row, Shard
from faaskit.events.watching import EventStatus
from faaskit.events.work import Ended, Errors
from faaskit.exceptions import PayloadError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["StreamMappings"]

_log = logging.getLogger(__name__)

# So many records that nobody gets are read over before that is written down.
_MOST_SKIPPED = 1000


_F = TypeVar("_F", bound=Invocable)
_I = TypeVar("_I", bound=Ended)


class StreamMappings(Generic[_F, _I]):
    """
    The mappings of streams and tables, as work.

    Args:
        reader: What is read with.
        queue: Where what follows from a batch that was given up goes.
    """

    def __init__(self, reader: Reader[_F, _I], queue: AsynchronousQueue) -> None:
        self._reader = reader
        self._registry = reader.registry
        self._state = reader.state
        self._clock = reader.clock
        self._giving_up = GivingUp(queue, reader.clock)
        self._store = LaneStore(reader.state)
        self.after_fork_in_child()

    def after_fork_in_child(self) -> None:
        """Let go of the parent's lanes."""
        self._lock = threading.RLock()
        self._lanes: dict[LaneKey, Lane] = {}
        self._read = -1  # at which count of the folder's changes lanes were read

    # --- as work ------------------------------------------------------------------------

    def look(self) -> None:
        """Take the lanes that nobody has, and see what other processes wrote."""
        if not self._registry.of("stream", "table"):
            return
        with self._lock:
            self._read = -1
            self._registry.refresh()
            self._write_positions()  # first: what is done of a shard lets its children begin
            wanted = self._wanted()
            for key, lane in list(self._lanes.items()):
                mapping, shard = wanted.get(key, (None, lane.shard))
                lane.shard = shard  # it may have been closed since
                if lane.mapping is not mapping:  # or declared anew, with other settings
                    self._forget(key)
            # What is under way of a shard ends before it is divided otherwise.
            held = {(key.mapping, key.shard, key.parts) for key in self._lanes}
            self._acquire(
                {
                    key: what
                    for key, what in wanted.items()
                    if key not in self._lanes
                    and not any(
                        one[:2] == (key.mapping, key.shard) and one[2] != key.parts for one in held
                    )
                }
            )
            now_ms = epoch_ms(self._clock.now())
            for lane in self._lanes.values():
                lane.correct(now_ms)

    def next_due(self) -> datetime | None:
        """Return when the next batch is due."""
        with self._lock:
            lane = self._next()
            return None if lane is None else from_epoch_ms(lane.due_ms or 0)

    def claim(self) -> _Attempt[_F, _I] | None:
        """Claim the batch that is due first."""
        with self._lock:
            lane = self._next()
            now_ms = epoch_ms(self._clock.now())
            if lane is None or (lane.due_ms or 0) > now_ms:
                return None
            with self._state.reading() as connection:
                batch = lane.take(connection, now_ms)
            self._read = -1  # the next one is read while this one is under way
        return _Attempt(self, lane, batch)

    def abandon(self) -> None:
        """Have nobody be at any lane of this process."""
        with self._lock:
            claims = [lane.claim for lane in self._lanes.values()]
            self._lanes.clear()
            self._store.release(claims)

    def rest(self) -> None:
        """Let other processes have the lanes."""
        with self._lock:
            if self._lanes:
                self._write_positions()
                self.abandon()

    def leave(self, lane: Lane) -> None:
        """Have nobody be at a lane whose batch was not tried."""
        with self._lock:
            lane.begin_again()

    def retrying(self) -> list[EventStatus]:
        """Return the batches that are tried again, and the windows whose end is."""
        found = []
        for mapping in self._registry.of("stream", "table"):
            with self._state.reading() as connection:
                shards = {one.number: one.id for one in mapping.source.shards(connection)}
                for shard, progress in self._store.all(connection, mapping.uuid):
                    again: list[Piece | Window] = [*progress.pieces]
                    if progress.window is not None and progress.window.due_ms:
                        again.append(progress.window)
                    for one in again:
                        begin = f"from {one.first}" if isinstance(one, Piece) else "end of window"
                        found.append(
                            EventStatus(
                                "retrying",
                                mapping.function,
                                f"{shards.get(shard, shard)} {begin}",
                                mapping.source.key,
                                None,
                                from_epoch_ms(one.due_ms),
                                one.tries,
                                detail=mapping.result,
                            )
                        )
        return found

    # --- lanes --------------------------------------------------------------------------

    def _next(self) -> Lane | None:
        """Return the lane that is due first, having read what is new."""
        self._read_on()
        while any(lane.over for lane in self._lanes.values()):
            self.look()
            self._read_on()
        due = [
            (moment, lane) for lane in self._lanes.values() if (moment := lane.due_ms) is not None
        ]
        return min(due, key=lambda one: one[0])[1] if due else None

    def _read_on(self) -> None:
        """Read what is new in the lanes, if anything can be."""
        changes = self._state.changes.count
        if self._lanes and changes != self._read:
            now_ms = epoch_ms(self._clock.now())
            with self._state.reading() as connection:
                for lane in self._lanes.values():
                    if not lane.full:
                        lane.read(connection, now_ms)
            self._read = changes

    def _wanted(self) -> dict[LaneKey, tuple[Declared, Shard]]:
        """Return the lanes that there is work in: of enabled mappings, parents before children."""
        wanted = {}
        with self._state.reading() as connection:
            for mapping, _ in self._reader.readable("stream", "table"):
                parts = mapping.settings.parallelization_factor
                for shard in self._open_shards(connection, mapping):
                    for part in range(parts):
                        key = LaneKey(mapping.uuid, shard.number, part, parts)
                        wanted[key] = (mapping, shard)
        return wanted

    def _open_shards(self, connection: sqlite3.Connection, mapping: Declared) -> Iterator[Shard]:
        ended = self._store.ended(connection, mapping.uuid)
        shards = mapping.source.shards(connection)
        known = {shard.number for shard in shards}
        for shard in shards:
            parents = [parent for parent in shard.parents if parent in known]
            if not ended.get(shard.number) and all(ended.get(parent) for parent in parents):
                yield shard

    def _acquire(self, wanted: Mapping[LaneKey, tuple[Declared, Shard]]) -> None:
        with self._state.reading() as connection:
            free = [key for key in wanted if self._store.is_free(connection, key)]
        if not free:
            return
        functions = self._reader.functions()
        with self._state.writing() as connection:
            for key in free:
                claim = self._store.acquire(connection, key, Progress(0))
                if claim is not None:
                    mapping, shard = wanted[key]
                    role_arn = functions[mapping.function].role.arn
                    arn = mapping.source.arn(connection)
                    self._lanes[key] = Lane.of(mapping, shard, claim, arn=arn, role_arn=role_arn)

    def _forget(self, key: LaneKey) -> None:
        """Give a lane up that is not wanted any more, unless an attempt is under way."""
        lane = self._lanes[key]
        if not lane.busy:
            del self._lanes[key]
            self._store.release([lane.claim])

    def _write_positions(self) -> None:
        """Write down of lanes that much was read over, or that a closed shard is done."""
        for lane in list(self._lanes.values()):
            skipped = lane.skipped >= _MOST_SKIPPED and not lane.rows and not lane.progress.pieces
            if lane.busy or not (lane.over or skipped):
                continue
            progress = evolve(lane.progress, position=lane.read_to, ended=lane.over)
            with self._state.writing() as connection:
                if not self._store.store(connection, lane.claim, progress):
                    self._lanes.pop(lane.claim.key, None)
            lane.done(progress)
            lane.skipped = 0

    # --- attempts -----------------------------------------------------------------------

    def carry_out(self, lane: Lane, batch: Batch, later: Errors) -> _I | None:
        """Try a batch, and note how it ended."""
        function = self._reader.function_of(lane.mapping)
        if function is None:  # taken away since
            self.leave(lane)
            return None
        try:
            young, old = self._by_age(lane, batch)
            if batch.piece is not None and not young:
                if old is None:
                    self._tell_of_expiry(lane, batch.piece)
                self._settle(function, lane, _without(lane, batch.piece), [old] if old else [])
                return None
            batch = evolve(batch, rows=young)
            return self._try(function, lane, batch, [old] if old else [], later)
        except BaseException:
            self.leave(lane)  # Ctrl-C, or a function that can't run at all: as if not tried
            raise

    def _by_age(self, lane: Lane, batch: Batch) -> tuple[Sequence[Row], GivenUp | None]:
        """Return the records that may be tried, and those that are too old for it."""
        oldest = lane.mapping.settings.max_record_age
        if oldest < 0 or batch.piece is None:
            return batch.rows, None
        horizon = epoch_ms(self._clock.now()) - oldest * 1000
        young = [row for row in batch.rows if row.arrived_ms >= horizon]
        old = batch.rows[: len(batch.rows) - len(young)]
        if not old:
            return young, None
        detail = f"older than max_record_age, {oldest} s"
        attempts = batch.piece.tries
        return young, GivenUp(old, "RecordAgeExceeded", attempts, detail, _new_id(), failed=True)

    def _try(
        self, function: _F, lane: Lane, batch: Batch, old: list[GivenUp], later: Errors
    ) -> _I | None:
        request_id = _new_id()
        event = _event(lane, batch)
        try:
            invocation = self._reader.invoke(function, event, request_id)
        except PayloadError as error:
            self._too_large(function, lane, batch, old, str(error))
            return None
        except later as error:
            self._throttled(function, lane, batch, old, f"{type(error).__name__}: {error}")
            return None
        settings = lane.mapping.settings
        known = {row.number for row in batch.rows}
        if invocation.ok:
            answer = read_answer(
                invocation.raw,
                known,
                reports=settings.report_batch_item_failures,
                window=bool(settings.tumbling_window),
            )
        else:
            detail = invocation.raw.decode("utf-8", "replace")
            answer = Answer(None, problem=detail)
        self._after(function, lane, batch, answer, old, ended=invocation)
        return invocation

    def _after(
        self,
        function: _F,
        lane: Lane,
        batch: Batch,
        answer: Answer,
        old: list[GivenUp],
        *,
        ended: Ended,
    ) -> None:
        """Note what an answer means for the batch."""
        if batch.piece is None:
            self._after_window(function, lane, batch, answer, ended.request_id)
            return
        window = lane.progress.window
        onward = answer.failed is not None and batch.rows[0].number not in answer.failed
        if batch.window is not None and onward:
            early = len(json.dumps(answer.state)) > MAX_STATE_BYTES
            window = Window(batch.window.start_ms, answer.state, early=early)
        left: tuple[Piece, ...] = ()
        given = list(old)
        detail = ""
        if answer.failed != ():
            settings = lane.mapping.settings
            left, dead = retried(
                batch.piece,
                [row.sequence for row in batch.rows],
                _first_failed(batch.rows, answer.failed),
                bisect=settings.bisect_batch_on_error,
                retry_attempts=settings.retry_attempts,
                now_ms=epoch_ms(self._clock.now()),
            )
            detail = answer.problem or f"failed: {', '.join(answer.failed or ())}"
            if dead is not None:
                rows = [row for row in batch.rows if row.sequence >= dead.first]
                reason = "RetryAttemptsExhausted"
                given.append(
                    GivenUp(rows, reason, dead.tries, detail, ended.request_id, failed=not ended.ok)
                )
        progress = evolve(_without(lane, batch.piece, left), window=window)
        self._settle(function, lane, progress, given, detail)

    def _after_window(
        self, function: _F, lane: Lane, batch: Batch, answer: Answer, request_id: str
    ) -> None:
        """Note how the end of a window went; a failure holds the shard up."""
        window = batch.window
        assert window is not None
        left: Window | None = None
        given = []
        if answer.failed != ():
            tries = window.tries + 1
            retries = lane.mapping.settings.retry_attempts
            if retries < 0 or tries <= retries:
                due = epoch_ms(self._clock.now()) + backoff_ms(tries)
                left = evolve(window, tries=tries, due_ms=due, throttles=0)
            else:
                reason, event = "RetryAttemptsExhausted", _event(lane, batch)
                over = GivenUp((), reason, tries, answer.problem, request_id, event=event)
                given.append(over)
        progress = evolve(lane.progress, window=left)
        self._settle(function, lane, progress, given, answer.problem)

    def _throttled(
        self, function: _F, lane: Lane, batch: Batch, old: list[GivenUp], detail: str
    ) -> None:
        """Have a batch tried again that could not be run: that is no attempt of the function's."""
        now_ms = epoch_ms(self._clock.now())
        _log.warning("a batch of %s for %r is put off: %s", lane.arn, function.name, in_log(detail))
        if batch.piece is None:
            assert batch.window is not None
            throttles = batch.window.throttles + 1
            due_ms = now_ms + backoff_ms(throttles)
            window = evolve(batch.window, throttles=throttles, due_ms=due_ms)
            self._settle(function, lane, evolve(lane.progress, window=window), [], detail)
            return
        throttles = batch.piece.throttles + 1
        again = evolve(
            batch.piece,
            first=batch.rows[0].sequence,
            throttles=throttles,
            due_ms=now_ms + backoff_ms(throttles),
        )
        self._settle(function, lane, _without(lane, batch.piece, (again,)), old, detail)

    def _too_large(
        self, function: _F, lane: Lane, batch: Batch, old: list[GivenUp], detail: str
    ) -> None:
        """Halve what no event holds; what has one record will never fit, and is given up."""
        if batch.piece is None:
            answer = Answer(None, problem=detail)
            self._after_window(function, lane, batch, answer, _new_id())
            return
        left, dead = retried(
            batch.piece,
            [row.sequence for row in batch.rows],
            None,
            bisect=True,
            retry_attempts=0,
            now_ms=epoch_ms(self._clock.now()),
        )
        given = []
        if dead is not None:
            given = [GivenUp(batch.rows, "RetryAttemptsExhausted", 0, detail, _new_id())]
        self._settle(function, lane, _without(lane, batch.piece, left), [*old, *given], detail)

    def _tell_of_expiry(self, lane: Lane, piece: Piece) -> None:
        _log.error(
            "records of %s, %s, for %r were not kept any longer after %d attempts: the stream's "
            "retention ended; set retry_attempts or max_record_age, and on_failure",
            lane.arn,
            lane.shard.id,
            lane.mapping.function,
            piece.tries,
        )

    # --- how it ended -------------------------------------------------------------------

    def _settle(
        self,
        function: _F,
        lane: Lane,
        progress: Progress,
        given_up: Sequence[GivenUp],
        problem: str = "",
    ) -> None:
        """Write down how far a lane is, and what follows from what is not tried again."""
        result = PROBLEM if problem or given_up else OK
        with self._state.writing() as connection:
            ours = self._store.store(connection, lane.claim, progress)
            if ours:
                for one in given_up:
                    self._giving_up.note(connection, function, lane, one)
                self._registry.note(connection, lane.mapping, result)
        with self._lock:
            lane.done(progress)
            if not ours and self._lanes.get(lane.claim.key) is lane:
                del self._lanes[lane.claim.key]  # it is another process's by now


class _Attempt(Generic[_F, _I]):
    """One batch, claimed."""

    def __init__(self, mappings: StreamMappings[_F, _I], lane: Lane, batch: Batch) -> None:
        self._mappings = mappings
        self._lane = lane
        self._batch = batch

    @property
    def label(self) -> str:
        """What it is, for the log."""
        lane = self._lane
        what = f"{len(self._batch.rows)} records" if self._batch.piece else "the end of a window"
        return f"{what} of {lane.arn}, {lane.shard.id}, for function {lane.mapping.function!r}"

    def carry_out(self, later: Errors) -> _I | None:
        """Try it."""
        return self._mappings.carry_out(self._lane, self._batch, later)

    def drop(self) -> None:
        """Leave it as it was."""
        self._mappings.leave(self._lane)


def _event(lane: Lane, batch: Batch) -> dict[str, Any]:
    """Return what the function gets."""
    event: dict[str, Any] = {"Records": [row.entry for row in batch.rows]}
    window = batch.window
    if window is not None:
        width = lane.mapping.settings.tumbling_window * 1000
        event |= {
            "window": {
                "start": _to_the_second(window.start_ms),
                "end": _to_the_second(window.start_ms + width),
            },
            "state": window.state,
            "shardId": lane.shard.id,
            "eventSourceARN": lane.arn,
            "isFinalInvokeForWindow": batch.piece is None,
            "isWindowTerminatedEarly": window.early,
        }
    return event


def _new_id() -> str:
    return str(uuid.uuid4())


def _to_the_second(moment_ms: int) -> str:
    return f"{datetime.fromtimestamp(moment_ms // 1000, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _first_failed(rows: Sequence[Row], failed: Sequence[str] | None) -> int | None:
    """Return the sequence of the first record that failed; None where all did."""
    if failed is None:
        return None
    return min(row.sequence for row in rows if row.number in failed)


def _without(lane: Lane, piece: Piece, left: Sequence[Piece] = ()) -> Progress:
    """Return a lane's progress with what is left of a piece in its place."""
    return lane.progress.instead(piece, left)
