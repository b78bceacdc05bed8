"""What an event source mapping is declared with, and Lambda's ranges. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, NoReturn

from attrs import asdict, evolve, field, frozen

from faaskit.events.mappings.filters import Filters
from faaskit.events.targets import target_arn
from faaskit.exceptions import DefinitionError

__all__ = ["MAX_RECORDS_BYTES", "Kind", "MappingSettings", "StartingPosition", "declared"]

# What the events come from: a Kinesis stream, a table's stream, a queue.
Kind = Literal["stream", "table", "queue"]
StartingPosition = Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]

FOREVER = -1
# An event may have 6 MB; the rest is for what is beside the records.
MAX_RECORDS_BYTES = 6 * 1024 * 1024 - 4096
MAX_FIFO_BATCH = 10
_LARGE_BATCH = 10  # of a queue: beyond it Lambda wants a window
_DEFAULT_BATCH: dict[Kind, int] = {"stream": 100, "table": 100, "queue": 10}
_POSITIONS: dict[Kind, tuple[str, ...]] = {
    "stream": ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"),
    "table": ("TRIM_HORIZON", "LATEST"),
}
_OF_STREAMS = (
    "starting_position",
    "starting_position_timestamp",
    "parallelization_factor",
    "max_record_age",
    "retry_attempts",
    "bisect_batch_on_error",
    "tumbling_window",
    "on_failure",
)
_RANGES = {
    "batch_size": (1, 10_000),
    "max_batching_window": (0, 300),
    "parallelization_factor": (1, 10),
    "max_record_age": (60, 604_800),
    "retry_attempts": (0, 10_000),
    "tumbling_window": (0, 900),
    "max_concurrency": (2, 1000),
}


@frozen
class MappingSettings:
    """
    How a mapping reads, and what it does with a batch that fails; the defaults are Lambda's.

    Attributes:
        batch_size: How many records one invocation gets, at the most.
        max_batching_window: Seconds for which a batch that is not full is waited for.
        starting_position: Where a stream is begun: ``TRIM_HORIZON``, ``LATEST`` or
            ``AT_TIMESTAMP``.
        starting_position_timestamp: For ``AT_TIMESTAMP``; aware.
        parallelization_factor: How many batches of one shard are under way at once, each of
            partition keys of its own.
        max_record_age: Seconds; what is older is not tried. -1: all is.
        retry_attempts: How often a batch that failed is tried again. -1: for ever.
        bisect_batch_on_error: A batch that fails is tried in halves.
        tumbling_window: Seconds; state is carried from invocation to invocation for so long.
        on_failure: ARN of the queue, topic or bucket that is told what was given up.
        report_batch_item_failures: The function says which of a batch failed.
        filters: Which records the function gets.
        max_concurrency: How many batches of a queue are under way at once. None: no limit of
            its own.
        enabled: Whether it reads at all.
    """

    batch_size: int
    max_batching_window: int = 0
    starting_position: str = "TRIM_HORIZON"
    starting_position_timestamp: datetime | None = None
    parallelization_factor: int = 1
    max_record_age: int = FOREVER
    retry_attempts: int = FOREVER
    bisect_batch_on_error: bool = False
    tumbling_window: int = 0
    on_failure: str | None = None
    report_batch_item_failures: bool = False
    filters: Filters = field(factory=Filters)
    max_concurrency: int | None = None
    enabled: bool = True


def declared(
    kind: Kind, source: str, *, now: datetime, filters: Iterable[Any] | None = None, **given: Any
) -> MappingSettings:
    """
    Return the settings that a user gave.

    Args:
        kind: Of the source.
        source: Its name, for messages.
        now: Aware.
        filters: Patterns: of them one must match.
        given: The other settings; None for what was not given.

    Raises:
        DefinitionError: Lambda does not take one of them.
    """
    what = f"mapping of {kind} {source!r}"
    chosen = {name: value for name, value in given.items() if value is not None}
    for name in _OF_STREAMS:
        if kind == "queue" and name in chosen:
            _refuse(what, f"{name} is for streams and tables: a queue has settings of its own")
    if kind != "queue" and "max_concurrency" in chosen:
        _refuse(what, "max_concurrency is for queues; parallelization_factor is a stream's")
    for name, value in chosen.items():
        _check_type(what, name, value)
    if "on_failure" in chosen:
        kinds = ("queue", "topic", "bucket")
        chosen["on_failure"] = target_arn(chosen["on_failure"], f"on_failure of the {what}", kinds)
    settings = MappingSettings(_DEFAULT_BATCH[kind])
    settings = evolve(settings, filters=Filters.parse(filters or (), kind, what), **chosen)
    _check_together(what, kind, source, settings, now)
    return settings


def same(one: MappingSettings, other: MappingSettings) -> bool:
    """Return whether two are the same, but for whether they are enabled."""
    return asdict(evolve(one, enabled=True)) == asdict(evolve(other, enabled=True))


def _check_type(what: str, name: str, value: Any) -> None:
    if name in _RANGES:
        low, high = _RANGES[name]
        endless = name in {"max_record_age", "retry_attempts"}
        if type(value) is int and (low <= value <= high or (endless and value == FOREVER)):
            return
        _refuse(
            what,
            f"{name} is {value!r}: Lambda takes {low} to {high}"
            + (", or -1 for no limit" if endless else ""),
        )
    if name in {"bisect_batch_on_error", "report_batch_item_failures", "enabled"}:
        if not isinstance(value, bool):
            _refuse(what, f"{name} is {value!r}: pass True or False")
    elif name == "starting_position_timestamp" and (
        not isinstance(value, datetime) or value.tzinfo is None
    ):
        _refuse(what, f"{name} is {value!r}: pass a datetime with a time zone")


def _check_together(
    what: str, kind: Kind, source: str, settings: MappingSettings, now: datetime
) -> None:
    if kind == "queue":
        _check_queue(what, source, settings)
        return
    allowed = _POSITIONS[kind]
    if settings.starting_position not in allowed:
        _refuse(
            what,
            f"starting_position is {settings.starting_position!r}: one of {_listed(allowed)}",
        )
    moment = settings.starting_position_timestamp
    if (moment is not None) != (settings.starting_position == "AT_TIMESTAMP"):
        _refuse(
            what, "starting_position 'AT_TIMESTAMP' and starting_position_timestamp go together"
        )
    if moment is not None and moment > now:
        _refuse(what, f"starting_position_timestamp {moment.isoformat()} is in the future")
    if settings.tumbling_window and settings.parallelization_factor > 1:
        _refuse(what, "tumbling_window wants parallelization_factor 1: the state is a shard's")


def _check_queue(what: str, source: str, settings: MappingSettings) -> None:
    if source.endswith(".fifo"):
        if settings.batch_size > MAX_FIFO_BATCH:
            _refuse(what, f"batch_size of a FIFO queue is {MAX_FIFO_BATCH} at the most")
        if settings.max_batching_window:
            _refuse(what, "max_batching_window is for standard queues")
    elif settings.batch_size > _LARGE_BATCH and not settings.max_batching_window:
        _refuse(
            what,
            f"batch_size {settings.batch_size} is over {_LARGE_BATCH}: "
            "pass max_batching_window=1 or more",
        )


def _listed(names: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(map(repr, names[:-1])), repr(names[-1])]))


def _refuse(what: str, problem: str) -> NoReturn:
    msg = f"{what}: {problem}"
    raise DefinitionError(msg)
