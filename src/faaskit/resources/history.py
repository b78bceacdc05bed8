"""
What was invoked, with its log: lines of JSON in the state folder, bounded by age and size.

Each process appends to a file of its own, whose name begins with the time; a new one is begun
when it is full or a day old. They are written without waiting for the disk: a killed process
loses none of them, and a host that loses power may lose the last. A row of the database for
each invocation was rejected: it would have to wait for the disk, longer than most functions run.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from attrs import field, frozen

from faaskit.clock import Clock, epoch_ms, from_epoch_ms
from faaskit.exceptions import FaaskitError
from faaskit.invoke import Invocation
from faaskit.names import log_group_name
from faaskit.resources.state import State

__all__ = ["History", "PastInvocation"]

_log = logging.getLogger(__name__)

_FOLDER = "logs"
_DAY_MS = 24 * 3_600_000
_DAYS = 7


@frozen
class PastInvocation:
    """
    An invocation that has ended, as it is kept.

    Attributes:
        ended: Aware.
        status: ``ok``, or how it failed.
        duration_ms: As in the report, with the three after it.
        init_duration_ms: None where the invocation waited for no INIT.
        log_stream_name: AWS's, of the environment.
        logs: START, what was written, END and REPORT.
    """

    function_name: str
    request_id: str
    ended: datetime
    status: str
    duration_ms: float
    billed_duration_ms: int
    memory_size: int
    max_memory_used_mb: int
    init_duration_ms: float | None
    cost_usd: Decimal
    log_stream_name: str
    logs: str = field(repr=False)

    @property
    def log_group_name(self) -> str:
        """AWS's, of the function."""
        return log_group_name(self.function_name)


class History:
    """
    The invocations of an app's functions. Safe to use from several threads and processes.

    Args:
        state: In whose folder they are kept; in a temporary one none are.
        clock: For when they ended.
        file_bytes: A new file is begun after so many.
        all_bytes: Of all files, about; the oldest go first.
    """

    def __init__(
        self,
        state: State,
        clock: Clock,
        *,
        file_bytes: int = 4 << 20,
        all_bytes: int = 64 << 20,
    ) -> None:
        self._state = state
        self._clock = clock
        self._file_bytes = file_bytes
        self._all_bytes = all_bytes
        self.after_fork_in_child()

    def after_fork_in_child(self) -> None:
        """Let go of the parent's file."""
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._file: int | None = None
        self._begun_ms = 0
        self._written = 0

    def note(self, invocation: Invocation) -> None:
        """Keep an invocation; a failure is in the log, and no call fails for it."""
        if self._state.temporary:
            return
        if self._owner != os.getpid():
            self.after_fork_in_child()
        now_ms = epoch_ms(self._clock.now())
        line = json.dumps(_facts(invocation, now_ms)).encode() + b"\n"
        try:
            with self._lock:
                if self._is_full(now_ms):
                    self._begin(now_ms)
                assert self._file is not None
                self._written += os.write(self._file, line)
        except (OSError, FaaskitError):
            _log.warning("an invocation could not be written down", exc_info=True)

    def read(self) -> Iterator[PastInvocation]:
        """Yield what is kept, the oldest first."""
        kept: list[dict[str, Any]] = []
        for _, path in self._files():
            kept += _lines(path, 0)[0]
        kept.sort(key=lambda facts: facts["ended_ms"])
        for facts in kept:
            yield _past(facts)

    def since(self, places: dict[str, int]) -> list[PastInvocation]:
        """
        Return what was written since the last time.

        Args:
            places: How far each file was read; changed by this.
        """
        new: list[dict[str, Any]] = []
        for _, path in self._files():
            found, places[path.name] = _lines(path, places.get(path.name, 0))
            new += found
        return [_past(facts) for facts in sorted(new, key=lambda facts: facts["ended_ms"])]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None and self._owner == os.getpid():
                os.close(self._file)
            self._file = None

    # --- files --------------------------------------------------------------------------

    def _is_full(self, now_ms: int) -> bool:
        if self._file is None or self._written >= self._file_bytes:
            return True
        return now_ms - self._begun_ms >= _DAY_MS

    def _begin(self, now_ms: int) -> None:
        """Begin a file, and throw away those that are too many or too old."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        folder = self._state.folder / _FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        self._sweep(now_ms)
        name = f"{now_ms:015d}-{self._state.token}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(folder / name, flags, 0o600)
        self._begun_ms = now_ms
        self._written = os.fstat(self._file).st_size

    def _sweep(self, now_ms: int) -> None:
        total = 0
        for begun_ms, path in reversed(self._files()):
            total += path.stat().st_size
            # A file goes on for a day after it was begun.
            if total > self._all_bytes or now_ms - begun_ms > (_DAYS + 1) * _DAY_MS:
                path.unlink(missing_ok=True)

    def _files(self) -> list[tuple[int, Path]]:
        if self._state.temporary:
            return []
        try:
            paths = sorted((self._state.folder / _FOLDER).glob("*.jsonl"))
        except OSError:
            return []
        return [(int(path.name[:15]), path) for path in paths if path.name[:15].isdigit()]


def _facts(invocation: Invocation, now_ms: int) -> dict[str, Any]:
    meter = invocation.meter
    return {
        "ended_ms": now_ms,
        "function_name": invocation.function_name,
        "request_id": invocation.request_id,
        "status": invocation.status,
        "duration_ms": meter.duration_ms,
        "billed_duration_ms": meter.billed_duration_ms,
        "memory_size": meter.memory_size,
        "max_memory_used_mb": meter.max_memory_used_mb,
        "init_duration_ms": meter.init_duration_ms,
        "cost_usd": f"{meter.cost_usd:f}",
        "log_stream_name": invocation.log_stream_name,
        "logs": invocation.logs,
    }


def _past(facts: dict[str, Any]) -> PastInvocation:
    known = {name: value for name, value in facts.items() if name not in {"ended_ms", "cost_usd"}}
    ended, cost = from_epoch_ms(facts["ended_ms"]), Decimal(facts["cost_usd"])
    return PastInvocation(ended=ended, cost_usd=cost, **known)


def _lines(path: Path, start: int) -> tuple[list[dict[str, Any]], int]:
    """Return the whole lines of a file from a place on, and where they end."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            content = file.read()
    except FileNotFoundError:  # swept meanwhile
        return [], start
    whole = content[: content.rfind(b"\n") + 1]
    found = []
    for line in whole.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:  # cut off by a disk that was full
            continue
    return found, start + len(whole)
