"""The room for calls at once: what it is counted from, and when it is read again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faaskit.runtimes.capacity import Capacity
from faaskit.runtimes.room import (
    READY_MAX,
    Room,
    RoomReader,
    memory_mb,
    processes_at_once,
    ready_at_once,
)

MB = 1024 * 1024


def capacity_of(memory_mb: int, processes: int | None = None, in_use: int = 0) -> Capacity:
    """Return a capacity on a host of 64 GB and 8 CPUs."""
    return Capacity(memory_mb * MB, 8.0, processes, in_use, 65_536 * MB, 8)


class Host:
    """A host whose limits and clock a test sets."""

    def __init__(self, found: Capacity) -> None:
        self.found = found
        self.now = 100.0
        self.reads = 0

    def read(self) -> Capacity:
        """Return the capacity, counting."""
        self.reads += 1
        return self.found

    def reader(self) -> RoomReader:
        """Return a reader of this host."""
        return RoomReader(self.read, lambda: self.now)


def test_room_is_four_fifths_of_the_memory_of_this_process() -> None:
    """Not of the host's."""
    assert Host(capacity_of(300)).reader()().memory_mb == 240
    assert Host(capacity_of(300)).reader()().threads is None
    assert memory_mb(300 * MB) == 240


def test_room_is_read_again_after_a_second() -> None:
    """A container's limit may be changed while its program runs, down and up."""
    host = Host(capacity_of(1000))
    room = host.reader()
    host.found = capacity_of(500)
    host.now += 0.9
    assert room().memory_mb == 800
    host.now += 0.1
    assert room().memory_mb == 400
    host.found = capacity_of(2000)
    for _ in range(100):
        host.now += 0.03
        room()
    assert room().memory_mb == 1600
    assert host.reads <= 6


def test_room_has_few_calls_where_processes_are_few() -> None:
    """What this process had already is off; what its calls use later is not counted twice."""
    host = Host(capacity_of(100_000, processes=200, in_use=18))
    room = host.reader()
    assert room() == Room(80_000, processes_at_once(200, 18), processes_at_once(200, 18) + 1)
    assert 1 <= room().calls <= 20
    host.found = capacity_of(100_000, processes=200, in_use=150)
    host.now += 2
    assert room().calls == processes_at_once(200, 18)


@given(st.integers(0, 100_000), st.integers(0, 1000))
def test_calls_and_what_is_ready_fit_the_limit_on_processes(processes: int, in_use: int) -> None:
    """One call can run whatever there is; more only where five processes each are left."""
    calls = processes_at_once(processes, in_use)
    ready = ready_at_once(1 << 20, capacity_of(1 << 20, processes))
    assert calls >= 1
    if calls > 1 and ready > READY_MAX:
        assert in_use + 5 * calls + 2 * ready <= processes


def test_what_is_ready_is_counted_from_the_memory_of_this_process() -> None:
    """A twentieth of it, at 2 MB each."""
    assert ready_at_once(1 << 20, capacity_of(2000)) == 50
