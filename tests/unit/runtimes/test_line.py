"""A line's service calls: answered one at a time, from another thread, and never too late."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from faaskit.sandbox import wire
from faaskit.sandbox.call_queue import READ_ON_BYTES
from faaskit.sandbox.line import Item, Line, Message

pytestmark = pytest.mark.timeout(40)

_LIMIT = READ_ON_BYTES + (1 << 20)
_PIPE_BYTES = 1 << 16


class Function:
    """The function's side of a line."""

    def __init__(self) -> None:
        self.line = Line({wire.CALL: _LIMIT, wire.RESULT: _LIMIT}, 7)
        self.event, self.reply = (os.dup(end) for end in self.line.theirs[:2])
        self.line.hand_over()
        self.sent = 0  # messages that the pipe took whole

    def send(self, *messages: tuple[int, int, int]) -> threading.Thread:
        """Send messages (kind, number, size), in a thread: the pipe may be full."""

        def write() -> None:
            for kind, number, size in messages:
                for frame in wire.encode(kind, number, bytes(size)):
                    view = memoryview(frame)
                    while view:
                        view = view[os.write(self.reply, view) :]
                self.sent += 1

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        return thread

    def heard(self, count: int, seconds: float = 10) -> list[tuple[int, int]]:
        """Return kind and number of the messages that are heard, up to so many."""
        found: list[tuple[int, int]] = []
        give_up = time.monotonic() + seconds
        while len(found) < count:
            left = max(0.0, give_up - time.monotonic())
            items: list[Item] = list(self.line.listen(left))
            found += [(one.kind, one.number) for one in items if isinstance(one, Message)]
            if not left:
                break
        return found

    def close(self) -> None:
        """Close both sides."""
        self.line.close()
        for descriptor in (self.event, self.reply):
            os.close(descriptor)


@pytest.fixture
def function() -> Iterator[Function]:
    """A line with nobody on it yet."""
    made = Function()
    yield made
    made.close()


def test_line_gives_one_call_at_a_time(function: Function) -> None:
    """The next one when the first is answered, in order; none is lost."""
    numbers = list(range(1, 200))
    function.send(*((wire.CALL, number, 100) for number in numbers)).join()
    for number in numbers:
        assert function.heard(1) == [(wire.CALL, number)]
        assert function.heard(1, seconds=0) == []
        function.line.answer([b"reply"])
        assert os.read(function.event, 100) == b"reply"


def test_result_is_heard_beside_a_small_call(function: Function) -> None:
    """A handler may return while a thread of it waits for a reply."""
    function.send((wire.CALL, 1, 100)).join()
    assert function.heard(1) == [(wire.CALL, 1)]
    function.send((wire.RESULT, 0, 100)).join()
    assert function.heard(1) == [(wire.RESULT, 0)]


@pytest.mark.parametrize(
    "sizes", [[READ_ON_BYTES + 1, 1 << 20], [100, 1 << 20, 1 << 20]], ids=["large", "many"]
)
def test_line_does_not_read_on_behind_calls(function: Function, sizes: list[int]) -> None:
    """A large call under way, or one that waits: what follows stays in the function's memory."""
    calls = [(wire.CALL, number, size) for number, size in enumerate(sizes)]
    writing = function.send(*calls)
    assert function.heard(1) == [(wire.CALL, 0)]
    assert function.heard(1, seconds=0.3) == []
    assert function.sent == len(sizes) - 1  # the last one is not taken from the pipe
    for number in range(1, len(sizes)):
        function.line.answer([b"reply"])
        assert function.heard(1) == [(wire.CALL, number)]
    writing.join(10)
    assert function.sent == len(sizes)


def test_answer_to_closed_line_writes_to_no_other_file(function: Function) -> None:
    """Not even to one that has its descriptor's number by then."""
    function.send((wire.CALL, 1, 100)).join()
    assert function.heard(1) == [(wire.CALL, 1)]
    function.line.close()
    others = [os.pipe() for _ in range(8)]
    try:
        function.line.answer([b"secret"])
        for read, _ in others:
            os.set_blocking(read, False)
            with pytest.raises(BlockingIOError):
                os.read(read, 1)
    finally:
        for descriptor in (end for pair in others for end in pair):
            os.close(descriptor)


def test_closing_ends_an_answer_that_nobody_reads(function: Function) -> None:
    """The thread that writes it goes on to something else."""
    function.send((wire.CALL, 1, 100)).join()
    assert function.heard(1) == [(wire.CALL, 1)]
    frames = [bytes(_PIPE_BYTES)] * 4
    answering = threading.Thread(target=function.line.answer, args=(frames,), daemon=True)
    answering.start()
    answering.join(0.2)
    assert answering.is_alive()
    function.line.close()
    answering.join(10)
    assert not answering.is_alive()
