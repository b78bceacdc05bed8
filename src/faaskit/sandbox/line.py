"""
The app's ends of the pipes of one template or environment, and what is heard on them.

Pipes and not sockets: reading from a socket wakes its writer, and on the way of one call
that costs more than everything else together.
"""

from __future__ import annotations

import json
import os
import select
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import frozen

from faaskit.exceptions import SandboxError
from faaskit.sandbox import wire
from faaskit.sandbox.call_queue import CallQueue

__all__ = ["Hangup", "Item", "Line", "Message", "Text", "Verdict"]

_READ_SIZE = 1 << 16
# How soon an answer that can't be written notices that nobody wants it any more.
_LOOK_AFTER_MS = 50


@frozen
class Text:
    """A piece of what was written to stdout and stderr."""

    data: bytes


@frozen
class Message:
    """A complete message on the channel."""

    kind: int
    number: int
    payload: bytes


@frozen
class Hangup:
    """
    The channel's other end is closed, or what came was no frame.

    Attributes:
        reason: What was wrong, empty for a plain end.
    """

    reason: str = ""


@frozen
class Verdict:
    """
    What the launcher told, the last thing that comes.

    Attributes:
        facts: ``ending`` and what belongs to it, ``cpu_ns``, ``peak``; None where the
            launcher itself is gone.
    """

    facts: Mapping[str, Any] | None


Item = Text | Message | Hangup | Verdict


class Line:
    """
    Three pipes and a fourth for the verdict.

    One thread listens, writes the event and closes; any other may ``answer``.

    Args:
        limits: The largest message of each kind that is taken, in bytes.
        number: Of the template or environment behind it, unlike any other's.

    Attributes:
        theirs: The other ends (event, reply, log, verdict), to be handed over once.
        parked: Whether the environment behind it has said that it is ready.
    """

    def __init__(self, limits: Mapping[int, int], number: int = 0) -> None:
        self.number = number
        made: list[int] = []
        try:
            for _ in range(4):
                made.extend(os.pipe2(os.O_CLOEXEC))
        except OSError:
            for descriptor in made:
                os.close(descriptor)
            raise
        event_read, self._event, self._reply, reply_write = made[:4]
        self._log, log_write, self._verdict, verdict_write = made[4:]
        self.theirs = [event_read, reply_write, log_write, verdict_write]
        os.set_blocking(self._event, False)
        self._decoder = wire.Decoder()
        # The other side writes one message after another, whole. Two under way would be held
        # here for as long as it likes.
        self._assembler = wire.Assembler(limits, open_limit=1)
        self._open = {self._reply, self._log, self._verdict}
        self._poll = select.poll()
        for descriptor in self._open:
            self._poll.register(descriptor, select.POLLIN)
        # For what an answering thread touches: the event pipe, whose number may be another
        # file's once it is closed, and the turns of the calls.
        self._lock = threading.Lock()
        self._calls: CallQueue[Message] = CallQueue()
        self._closed = False
        self.parked = False

    def hand_over(self) -> None:
        """Close the other ends, once the launcher has them."""
        for descriptor in self.theirs:
            os.close(descriptor)
        self.theirs = []

    def write(self, frames: Iterable[bytes]) -> Iterator[Item]:
        """
        Write frames, yielding what is heard meanwhile.

        The other side may be writing too. If neither read, neither would ever go on.

        Raises:
            BrokenPipeError: It has ended, without having read all of this.
        """
        for frame in frames:
            view = memoryview(frame)
            while view:
                try:
                    view = view[os.write(self._event, view) :]
                except BlockingIOError:
                    yield from self._listen_until_writable()

    def answer(self, frames: Iterable[bytes]) -> None:
        """
        Write the reply to the call that is under way, from any thread.

        A function that does not read what it asked for gets no further: its pipe fills, and
        this waits until its line is closed.
        """
        rest = iter(frames)
        frame = next(rest, None)
        while frame is not None:
            following = next(rest, None)
            if not self._write_answer(memoryview(frame), last=following is None):
                return
            frame = following

    def _write_answer(self, view: memoryview, *, last: bool) -> bool:
        """Write a frame of an answer; return False where nobody will read it."""
        while True:
            with self._lock:
                if self._closed:
                    return False
                try:
                    view = view[os.write(self._event, view) :]
                except BlockingIOError:
                    pass
                except BrokenPipeError:
                    return False
                if not view:
                    if last:
                        # Under the lock: a function that has read this sends its next call at
                        # once, which is heard only after its turn has come.
                        self._calls.answered()
                    return True
            writable = select.poll()
            writable.register(self._event, select.POLLOUT)
            writable.poll(_LOOK_AFTER_MS)

    def _listen_until_writable(self) -> Iterator[Item]:
        self._poll.register(self._event, select.POLLOUT)
        try:
            yield from self.listen()
        finally:
            self._poll.unregister(self._event)

    def listen(self, timeout: float | None = None) -> Iterator[Item]:
        """
        Wait for something and yield it: at least one item, unless the time is up.

        A reply is yielded before a verdict that came with it.

        Args:
            timeout: In seconds; None waits for as long as it takes.
        """
        limit_ms = None if timeout is None else timeout * 1000
        ready = dict(self._poll.poll(limit_ms))
        if self._log in ready:
            yield from self._hear_log()
        if self._reply in ready:
            yield from self._hear_reply()
        elif self._calls.wake in ready:
            yield from self._resume()
        if self._verdict in ready:
            yield self._hear_verdict()

    def _hear_log(self) -> Iterator[Item]:
        data = os.read(self._log, _READ_SIZE)
        if data:
            yield Text(data)
        else:
            self._forget(self._log)

    def _hear_reply(self) -> Iterator[Item]:
        data = os.read(self._reply, _READ_SIZE)
        if not data:
            self._forget(self._reply)
            yield Hangup()
            return
        try:
            for frame in self._decoder.feed(data):
                message = self._assembler.add(frame)
                if message is None:
                    continue
                if message[0] != wire.CALL:
                    yield Message(*message)
                    continue
                with self._lock:
                    self._calls.add(Message(*message), len(message[2]))
                    call = self._calls.next()
                if call is not None:
                    yield call
        except wire.WireError as error:
            self._forget(self._reply)
            yield Hangup(str(error))
        else:
            yield from self._next_call()

    def _next_call(self) -> Iterator[Message]:
        """Yield a call whose turn has come; stop reading where there are others behind it."""
        with self._lock:  # in one: a turn that ends between the two would wake nobody
            call = self._calls.next()
            try:
                paused = self._calls.pause()
            except OSError as error:
                msg = (
                    f"no descriptor to wait for a service call with: {error.strerror}; this "
                    "process has too many files open (ulimit -n)"
                )
                raise SandboxError(msg, step="read a call", errno=error.errno) from error
            if paused:
                self._poll.unregister(self._reply)
                self._poll.register(self._calls.wake, select.POLLIN)
        if call is not None:
            yield call

    def _resume(self) -> Iterator[Message]:
        """Go on reading: the call that was under way is answered."""
        os.eventfd_read(self._calls.wake)
        self._poll.unregister(self._calls.wake)
        self._poll.register(self._reply, select.POLLIN)
        yield from self._next_call()

    def _hear_verdict(self) -> Verdict:
        data = os.read(self._verdict, _READ_SIZE)
        self._forget(self._verdict)
        return Verdict(json.loads(data) if data else None)

    def _forget(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        self._open.discard(descriptor)

    def rest_of_log(self, limit_s: float = 1.0) -> Iterator[Text]:
        """
        Yield what was written before the end. All writers have been killed by now.

        Args:
            limit_s: A killed process may be in the middle of a write, and one that got away
                must not keep this side busy for ever.
        """
        if self._log not in self._open:
            return
        os.set_blocking(self._log, False)
        give_up = time.monotonic() + limit_s
        while time.monotonic() < give_up:
            try:
                data = os.read(self._log, _READ_SIZE)
            except BlockingIOError:
                return
            if not data:
                return
            yield Text(data)

    @property
    def told(self) -> bool:
        """Whether a verdict waits here or has been heard: what was behind this line is gone."""
        if self._verdict not in self._open:
            return True
        return self._verdict in dict(self._poll.poll(0))

    def close(self) -> None:
        """Close this side's ends. What is behind them is killed by an order, not by this."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._calls.close()
            self.hand_over()
            for descriptor in (self._event, self._reply, self._log, self._verdict):
                os.close(descriptor)

    def after_fork_in_child(self) -> None:
        """Close what a fork has inherited; a thread that is gone may have held the lock."""
        self._lock = threading.Lock()
        self.close()
