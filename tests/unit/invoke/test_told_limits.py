"""What a caller is told where a limit of AWS's, or of this host, held something up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import plain_deeds
import pytest
from probes import Script

from faaskit import Invocation, Invoker, function
from faaskit.billing import Meter
from faaskit.definition import MB_PER_VCPU, MEMORY_SIZE_RANGE_MB
from faaskit.invoke.concurrency import Concurrency, Need
from faaskit.runtimes.capacity import capacity
from faaskit.runtimes.room import Room

pytestmark = pytest.mark.timeout(50)


def shown(throttled_ms: float, memory_size: int = 128) -> str:
    """Return the repr of a call of one second."""
    meter = Meter(
        request_id="r",
        memory_size=memory_size,
        duration_ms=1000.0,
        max_memory_used_mb=10,
        cpu_time_ms=72.0,
        cpu_throttled_ms=throttled_ms,
    )
    return repr(Invocation("f", "r", "ok", b"null", "", meter))


def test_a_throttled_call_names_the_size_that_would_not_have_been() -> None:
    """1,769 MB is a whole vCPU."""
    assert "900 ms of it throttled: memory_size=1769 has a whole vCPU" in shown(900.0)


def test_more_than_a_vcpu_is_no_help_to_one_thread() -> None:
    """Several threads can be throttled above it; then only the fact is told."""
    assert "900 ms of it throttled, " in shown(900.0, memory_size=2048)


@pytest.mark.parametrize("throttled_ms", [0.0, 5.0, 100.0])
def test_a_little_is_not_told(throttled_ms: float) -> None:
    """A tenth of the time is nothing to act upon."""
    assert "throttled" not in shown(throttled_ms)


def test_waiting_for_room_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """The first call that waits says why; the next ones wait without a word."""
    concurrency = Concurrency(10, lambda: Room(memory_mb=200, calls=9))
    need = Need(150)

    def call() -> None:
        concurrency.take_room(need, nested=False)
        concurrency.give_room(need)

    for _ in range(2):
        with caplog.at_level(logging.WARNING):
            waiting = threading.Thread(target=call)
            concurrency.take_room(need, nested=False)
            waiting.start()
            while not concurrency._queue:  # until it does wait
                assert waiting.is_alive()
            concurrency.give_room(need)
            waiting.join()
    (record,) = caplog.records
    assert "1 run, and their memory sizes add up to 150 MB" in record.getMessage()
    assert "200 MB, four fifths" in record.getMessage()


FEW_FILES = """
    import resource, sys
    resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))
    import plain_deeds
    from faaskit import Invoker, function

    act = function(plain_deeds.act, timeout=30)
    with Invoker(sys.argv[1]) as invoker:
        ended = list(invoker.map(act, range(60), concurrency=40))
    assert [one.payload for one in ended] == list(range(60)), ended
    print("all")
"""


@pytest.mark.parametrize("level", ["process", "namespace"])
def test_calls_wait_for_files(tmp_path: Path, level: str) -> None:
    """More at once than a process has descriptors for is slower, and no error."""
    script = Script(tmp_path, FEW_FILES, level)
    try:
        script.wait_line("all")
        assert script.wait_last() == 0
    finally:
        script.close()


@pytest.fixture(scope="module")
def invoker() -> Iterator[Invoker]:
    """A new one: it warns once."""
    with Invoker() as made:
        yield made


@pytest.mark.skipif(
    capacity().cpus * MB_PER_VCPU >= MEMORY_SIZE_RANGE_MB[1],
    reason="this host has as many CPUs as AWS gives the largest function",
)
def test_a_host_with_fewer_cpus_is_named(
    invoker: Invoker, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, with what AWS gives and what there is."""
    large = function(plain_deeds.act, name="large", memory_size=MEMORY_SIZE_RANGE_MB[1])
    small = large.with_config(name="small", memory_size=128)
    with caplog.at_level(logging.WARNING):
        assert invoker.invoke(small, 1).ok
        assert not caplog.records
        assert invoker.invoke(large, 1).ok
        assert invoker.invoke(large, 2).ok
    (record,) = caplog.records
    assert "'large'" in record.getMessage()
    assert "5.79 vCPUs on AWS" in record.getMessage()
    assert f"this host has {capacity().cpus:g};" in record.getMessage()
