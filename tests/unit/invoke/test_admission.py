"""Which calls may run at once: memory sizes, files in /tmp, and a room that changes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from probes import until

from faaskit.invoke.concurrency import Concurrency, Need
from faaskit.runtimes.room import Room

pytestmark = pytest.mark.timeout(50)

MB = 1024 * 1024


class Host:
    """A host whose room and files a test sets."""

    def __init__(self, memory_mb: int, calls: int = 1000) -> None:
        self.room = Room(memory_mb, calls)
        self.held_mb = 0
        self.asked = 0

    def held_bytes(self) -> int:
        """Return what every /tmp holds, counting."""
        self.asked += 1
        return self.held_mb * MB

    def admission(self) -> Concurrency:
        """Return the admission of this host."""
        return Concurrency(1000, lambda: self.room, self.held_bytes)


def start(concurrency: Concurrency, need: Need) -> threading.Thread:
    """Take room in a thread, as a call does."""
    thread = threading.Thread(
        target=concurrency.take_room, args=(need,), kwargs={"nested": False}, daemon=True
    )
    thread.start()
    return thread


def waits(thread: threading.Thread, concurrency: Concurrency) -> bool:
    """Return whether a call waits its turn, once it has come to a decision."""
    until(lambda: not thread.is_alive() or concurrency._queue, "a decision")
    return thread.is_alive()


def test_files_in_tmp_count_beside_memory_sizes() -> None:
    """A call of 128 MB waits where 128 run and their /tmp hold the rest."""
    host = Host(memory_mb=300)
    concurrency = host.admission()
    concurrency.take_room(Need(128, 512), nested=False)
    host.held_mb = 44
    fits = start(concurrency, Need(128, 512))
    assert not waits(fits, concurrency)
    concurrency.give_room(Need(128, 512))
    host.held_mb = 45
    late = start(concurrency, Need(128, 512))
    assert waits(late, concurrency)
    concurrency.give_room(Need(128, 512))  # one that runs alone always may
    late.join(20)
    assert not late.is_alive()


def test_files_are_not_looked_at_where_full_ones_would_fit() -> None:
    """What they hold is only asked for where it could matter."""
    host = Host(memory_mb=2000)
    concurrency = host.admission()
    for _ in range(3):
        concurrency.take_room(Need(128, 512), nested=False)
    assert host.asked == 0
    concurrency.take_room(Need(128, 512), nested=False)  # four sizes and three full ones are more
    assert host.asked == 1


@pytest.mark.parametrize("change", ["deleted files", "a raised limit"])
def test_waiting_call_begins_without_another_call_that_ends(change: str) -> None:
    """Nobody says that a function deletes files, or that a container's limit is raised."""
    host = Host(memory_mb=300)
    concurrency = host.admission()
    concurrency.take_room(Need(128, 512), nested=False)
    host.held_mb = 100
    late = start(concurrency, Need(128, 512))
    assert waits(late, concurrency)
    if change == "deleted files":
        host.held_mb = 0
    else:
        host.room = Room(400, 1000)
    late.join(20)
    assert not late.is_alive()


def test_lowered_limit_holds_for_the_next_call() -> None:
    """Those that run go on."""
    host = Host(memory_mb=1000)
    concurrency = host.admission()
    concurrency.take_room(Need(400), nested=False)
    host.room = Room(500, 1000)
    late = start(concurrency, Need(128))
    assert waits(late, concurrency)
    concurrency.give_room(Need(400))
    late.join(20)
    assert not late.is_alive()


def test_nested_call_never_waits() -> None:
    """What would make room for it waits for this very call."""
    host = Host(memory_mb=100, calls=1)
    concurrency = host.admission()
    concurrency.take_room(Need(100, 512), nested=False)
    host.held_mb = 500
    concurrency.take_room(Need(100, 512), nested=True)


@given(
    st.integers(1, 3000),
    st.integers(1, 6),
    st.integers(0, 3000),
    st.lists(
        st.builds(Need, st.integers(128, 1024), st.integers(512, 1024)), min_size=1, max_size=8
    ),
)
def test_those_that_run_fit_the_room(
    memory_mb: int, calls: int, held_mb: int, needs: list[Need]
) -> None:
    """Whatever comes in whatever order; one alone may be too large. All of them come to a turn."""
    host = Host(memory_mb, calls)
    host.held_mb = held_mb
    concurrency = host.admission()
    lock = threading.Lock()
    running: list[Need] = []
    wrong: list[list[Need]] = []

    def call(need: Need, barrier: Callable[[], object]) -> None:
        concurrency.take_room(need, nested=False)
        with lock:
            running.append(need)
            total = sum(one.memory_mb for one in running)
            storage = sum(one.storage_mb for one in running if one is not need)
            over = total + min(held_mb, storage) > memory_mb or len(running) > calls
            if len(running) > 1 and over:
                wrong.append(list(running))
        barrier()
        with lock:
            running.remove(need)
        concurrency.give_room(need)

    pause = threading.Event()
    threads = [
        threading.Thread(target=call, args=(need, lambda: pause.wait(0.002)), daemon=True)
        for need in needs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert not wrong
    assert concurrency._used_mb == concurrency._storage_mb == concurrency._running == 0
