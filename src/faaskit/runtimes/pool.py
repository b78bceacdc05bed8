"""
One function's template, and the environments that are forked ahead of their use.

The first call that needs a template drives its INIT; others of the same code wait. Then to
take an environment is to take it off a queue.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
import tempfile
import threading
import time
import uuid
import warnings
from collections import deque
from collections.abc import Generator, Iterator
from typing import Any, NoReturn, Protocol

from attrs import evolve, field, frozen

from faaskit.exceptions import SandboxError
from faaskit.runtimes.contract import Code, Event, Limits, ServiceReply
from faaskit.runtimes.hearing import Hearing, log_of, write_reply
from faaskit.runtimes.opened import Opened, open_for, private_folders
from faaskit.runtimes.room import READY_MAX
from faaskit.sandbox import wire
from faaskit.sandbox.keeper import Keeper
from faaskit.sandbox.limits import PROCESSES
from faaskit.sandbox.line import Line, Message, Verdict

__all__ = ["Ahead", "Host", "StaleError", "Template", "new_log_stream"]

_MB = 1024 * 1024

# Address space is not memory: each thread reserves 8 MB of it for a stack that it hardly
# touches, there may be 1,024 of them, and numerical libraries reserve more. The watchdog holds
# the memory size itself; this only stops one huge allocation before its pages are touched.
_BACKSTOP_SLACK_MB = 8 * PROCESSES + 512


class Host(Protocol):
    """What a template needs of its backend."""

    @property
    def jailed(self) -> bool:
        """Whether the isolation is "namespace"."""

    def keeper(self) -> Keeper:
        """Return the launcher, started on first use."""

    def new_line(self, limits: Limits) -> tuple[int, Line]:
        """Return a number that was never used and the pipes to go with it."""

    def without_snapshot(self, code: Code, template: Template) -> None:
        """Run INIT in each environment of that code from now on, and not in this template."""

    def make_room(self, template: Template) -> None:
        """See that there are not too many ready, having others than this one give some up."""


class StaleError(Exception):
    """
    What was behind a line went away before the event was sent: another one can take it.

    Attributes:
        error: To be raised when too many went away.
        counts: False where it was another call that failed, not the sandbox.
    """

    def __init__(self, error: SandboxError, *, counts: bool = True) -> None:
        super().__init__(str(error))
        self.error = error
        self.counts = counts


def tree_limits(limits: Limits, *, jailed: bool) -> dict[str, int]:
    memory, disk = limits.memory_size * _MB, limits.ephemeral_storage * _MB
    return {
        "memory_limit": memory,
        "data_limit": memory + _BACKSTOP_SLACK_MB * _MB,
        # In a jail the file system is bounded as a whole, and says so by ENOSPC.
        "file_limit": max(memory, disk) + _MB if jailed else disk,
        "disk_limit": disk,
    }


@frozen
class Ahead:
    """
    An environment that was ordered.

    Attributes:
        number: By which the launcher knows it.
        row: In the table.
        line: To it.
        log_stream_name: As its function sees it.
    """

    number: int
    row: int
    line: Line = field(repr=False)
    log_stream_name: str = ""


class Template:
    """A template as the app sees it: INIT, then the queues of environments ahead of use."""

    def __init__(self, backend: Host, code: Code, *, snapshot: bool = True) -> None:
        self._backend = backend
        self.code = evolve(code, snapshot=code.snapshot and snapshot)
        # Two names of one lock: most only need that, and a Condition's way to it is long.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._phase = "new"  # new, initialising, ready, gone
        self._number = 0
        self._line: Line | None = None
        self.keeper: Keeper | None = None
        self._ahead: dict[Limits, deque[Ahead]] = {}
        self._running = 0
        self._floor = 0
        self.used_at = 0.0
        self._fading = False
        self._covers = private_folders()
        self._opened = open_for(code, self._covers) if backend.jailed else None

    @property
    def gone(self) -> bool:
        """Whether nothing more can come of it."""
        return self._phase == "gone"

    @property
    def ready(self) -> int:
        """How many environments wait to be taken."""
        with self._lock:
            return sum(map(len, self._ahead.values()))

    def shed(self, most: int) -> int:
        """Give up some of what is ready, down to what ``keep_ready`` asked for; return how many."""
        shed: list[Ahead] = []
        with self._lock:
            for queue in self._ahead.values():
                while len(queue) > self._floor and len(shed) < most:
                    shed.append(queue.popleft())
        if shed and self.keeper is not None:
            with contextlib.suppress(SandboxError):
                self.keeper.order([{"op": "abort", "number": one.number} for one in shed])
        for one in shed:
            self._put_back(one)
        return len(shed)

    def discard(self) -> None:
        """Take it out of use, with what it has ready and what runs in it."""
        with self._lock:
            was, self._phase = self._phase, "gone"
            ahead, self._ahead = self._ahead, {}
            self._changed.notify_all()
        keeper = self.keeper
        if was != "new" and keeper is not None:
            with contextlib.suppress(SandboxError):
                keeper.order([{"op": "retire", "number": self._number}])
        for one in itertools.chain.from_iterable(ahead.values()):
            self._put_back(one)

    def shows_a_private_folder(self) -> bool:
        """Whether a folder has become private since, and what it was made with shows that."""
        private = private_folders()
        if self._opened is None or private == self._covers:
            return False
        if any(map(self._opened.shows, private - self._covers)):
            return True
        self._covers = private
        return False

    def fade(self) -> None:
        """Take it out of use once nothing runs in it."""
        with self._lock:
            self._fading = True
            # INIT under way is somebody's call, which goes on to take an environment.
            now = self._running == 0 and self._phase != "initialising"
        if now:
            self.discard()

    def _put_back(self, one: Ahead) -> None:
        one.line.close()
        if self.keeper is not None:
            self.keeper.give_row(one.row)

    # INIT

    def prepare(self, limits: Limits) -> Generator[Event, None, float | None]:
        """
        Run INIT, or wait until another thread has.

        Yields its log and its service calls, and an ``Outcome`` if it fails.

        Returns:
            How long INIT took, in ms, if it ran here.
        """
        with self._lock:
            while self._phase == "initialising":
                self._changed.wait()
            if self._phase == "ready":
                return None
            if self._phase == "gone":
                msg = "the template ended while it was waited for"
                raise StaleError(SandboxError(msg, step="run INIT"), counts=False)
            self._phase = "initialising"
        try:
            return (yield from self._initialise(limits))
        finally:
            with self._lock:
                if self._phase == "initialising":
                    self._phase = "gone"  # failed, or whoever drove it was interrupted
                self._changed.notify_all()

    def _initialise(self, limits: Limits) -> Generator[Event, None, float | None]:
        self.keeper = self._backend.keeper()
        self._number, line = self._backend.new_line(limits)
        self._line = line
        began = time.monotonic_ns()
        try:
            jailed = self._opened is not None
            with _code_file(self.code, self._opened) as file:
                order = {
                    "op": "template",
                    "number": self._number,
                    "fds": 5,
                    "seconds": limits.init_timeout,
                    "jailed": jailed,
                    **tree_limits(limits, jailed=jailed),
                }
                self.keeper.order([order], [file, *line.theirs])
            line.hand_over()
            return (yield from self._hear_init(line, began))
        finally:
            if self._phase == "initialising":
                with contextlib.suppress(SandboxError):
                    self.keeper.order([{"op": "abort", "number": self._number}])
            line.close()
            self._line = None

    def _hear_init(self, line: Line, began: int) -> Generator[Event, None, float | None]:
        end = Hearing(line, phase="init")
        init_ms: float | None = None
        ending = ""
        keeper = self.keeper
        assert keeper is not None
        while True:
            for item in line.listen():
                if isinstance(item, Message) and item.kind == wire.INIT_DONE:
                    init_ms = (time.monotonic_ns() - began) / 1e6
                    if item.payload:
                        self.lose_snapshot(item.payload)
                elif isinstance(item, Verdict) and item.facts and item.facts["ending"] == "ready":
                    yield from map(log_of, line.rest_of_log())
                    if self.code.snapshot and init_ms is None:
                        msg = "the template was ready without having run INIT"
                        raise SandboxError(msg, step="run INIT")
                    with self._lock:
                        self._phase = "ready"
                    return init_ms
                else:
                    yield from end.hear(item, began)
                    if (end.answered or end.hung_up) and not ending:
                        ending = "finish" if end.answered else "gone"
                        keeper.order([{"op": ending, "number": self._number}])
                    if end.outcome is not None:
                        yield end.outcome
                        return None

    def lose_snapshot(self, leftovers: bytes) -> NoReturn:
        """
        Warn of what INIT left that can't be copied, and use no snapshot of it from now on.

        Args:
            leftovers: In words, from the function's process.

        Raises:
            StaleError: Always: the caller goes on without a snapshot.
        """
        self._backend.without_snapshot(self.code, self)
        # The text comes from the function's process.
        told = "".join(c if c.isprintable() else "?" for c in leftovers.decode("utf-8", "replace"))
        warnings.warn(
            f"function {self.code.function_name!r} leaves {told} after INIT, which can't be "
            "copied for each call; INIT runs in every environment instead. To get the snapshot "
            "back, make it in the handler, or close it in a hook of snapshot_restore_py. With "
            "snapshot=False INIT runs in every environment without this warning",
            RuntimeWarning,
            stacklevel=2,
        )
        msg = "INIT left what can't be copied"
        raise StaleError(SandboxError(msg, step="run INIT"))

    def reply(self, call_id: int, reply: ServiceReply) -> None:
        """Answer a service call of INIT, from any thread."""
        line = self._line
        if line is not None:
            write_reply(line, call_id, reply)

    # Environments ahead of use

    def take(self, limits: Limits) -> Ahead:
        """Return an environment that may be ready already, ordering one if there is none."""
        self.used_at = time.monotonic()
        while True:
            with self._lock:
                queue = self._ahead.setdefault(limits, deque())
                taken = queue.popleft() if queue else None
                self._running += 1
            try:
                if taken is None:
                    return self._order_one(limits)
            except BaseException:
                self.done()
                raise
            if not taken.line.told:
                return taken
            self._put_back(taken)  # it ended while it was waiting
            self.done()

    def _order_one(self, limits: Limits) -> Ahead:
        ahead, order = self.next_order(limits)
        assert self.keeper is not None
        try:
            self.keeper.order([order], ahead.line.theirs)
        except BaseException:
            self._put_back(ahead)
            raise
        ahead.line.hand_over()
        return ahead

    def next_order(self, limits: Limits) -> tuple[Ahead, dict[str, Any]]:
        """Return the order for one more environment, to be sent with its descriptors."""
        assert self.keeper is not None
        row = self.keeper.take_row()
        try:
            number, line = self._backend.new_line(limits)
        except BaseException:
            self.keeper.give_row(row)
            raise
        log_stream = new_log_stream()
        order = {
            "op": "fork",
            "number": number,
            "row": row,
            "template": self._number,
            "fds": 4,
            "vcpus": limits.vcpus,
            "stays": self._floor > 0,
            "environment": {
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(limits.memory_size),
                "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
            },
            **tree_limits(limits, jailed=self._backend.jailed),
        }
        return Ahead(number, row, line, log_stream), order

    def replenish(self, limits: Limits, *, wake: bool) -> None:
        """
        Order what is to follow one that runs, while it does.

        One in its place, and one more where the pool is behind; it catches up in the next
        calls, and no call pays for many.

        Args:
            limits: Of those to come.
            wake: Whether the launcher is to be woken in any case.
        """
        assert self.keeper is not None
        orders: list[dict[str, Any]] = []
        ordered: list[Ahead] = []
        missing, ready = self._missing(limits)
        if missing:
            self._backend.make_room(self)
        try:
            # No pipes for them is no failure of the call that runs.
            with contextlib.suppress(SandboxError):
                for _ in range(min(2, missing)):
                    ahead, order = self.next_order(limits)
                    ordered.append(ahead)
                    orders.append(order)
            # As long as there are others the next call does not wait for these.
            urgent = wake or ready < missing
            if orders or urgent:
                ends = [end for one in ordered for end in one.line.theirs]
                self.keeper.order(orders, ends, urgent=urgent)
        except BaseException:
            for one in ordered:
                self._put_back(one)
            raise
        for one in ordered:
            one.line.hand_over()
            self.give(limits, one)

    def done(self) -> None:
        """One that was taken has ended."""
        with self._lock:
            self._running -= 1
            last = self._fading and self._running == 0
        if last:
            self.discard()

    def _missing(self, limits: Limits) -> tuple[int, int]:
        """Return how many fewer are ready than this moment's load would use, and how many are."""
        with self._lock:
            if self._phase != "ready" or self._fading:
                return 0, 0
            wanted = max(self._floor, min(2 * self._running + 2, READY_MAX))
            ready = len(self._ahead.get(limits, ()))
            return max(0, wanted - ready), ready

    def give(self, limits: Limits, one: Ahead) -> None:
        """Put an environment that was not used with those that are ready."""
        with self._lock:
            if self._phase == "ready":
                self._ahead.setdefault(limits, deque()).append(one)
                return
        self._put_back(one)

    def keep_ready(self, count: int) -> None:
        """Have at least so many ready from now on."""
        with self._lock:
            self._floor = max(self._floor, count)


@contextlib.contextmanager
def _code_file(code: Code, opened: Opened | None) -> Iterator[int]:
    """Put the code where the template can read it: an unlinked file, of any size."""
    header: dict[str, Any] = {
        "handler": code.handler,
        "sys_path": list(code.sys_path),
        "executable": sys.executable,
        "environment": dict(code.environment),
        "snapshot": code.snapshot,
        "sources": dict(code.sources),
        "jail": None,
    }
    if opened is not None:
        header["jail"] = opened.jail
        header["sys_path"] = opened.sys_path
        header["executable"] = opened.executable
        header["environment"]["LAMBDA_TASK_ROOT"] = opened.task_root
    with tempfile.TemporaryFile() as file:
        head = json.dumps(header).encode()
        file.write(len(head).to_bytes(4, "big") + head + (code.pickled or b""))
        file.flush()
        yield file.fileno()


def new_log_stream() -> str:
    """Return a log stream's name, ``YYYY/MM/DD/[$LATEST]`` and 32 hex digits."""
    return f"{time.strftime('%Y/%m/%d', time.gmtime())}/[$LATEST]{uuid.uuid4().hex}"
