"""CPU follows memory, whatever a function does about it."""

from __future__ import annotations

from collections.abc import Iterator

import cpu_hogs
import pytest
from probes import family, wait_gone

from faaskit import Invoker, function
from faaskit.functions import Function
from faaskit.sandbox.hierarchies import homes

HOG: Function = function(cpu_hogs.hog, name="hog", memory_size=128, timeout=60)
SECONDS = 3
VCPUS = 128 / 1769
BY_THE_KERNEL = any("cpu" in controllers for _, controllers, _ in homes())


@pytest.fixture(scope="module", params=["process", "namespace"])
def invoker(request: pytest.FixtureRequest) -> Iterator[Invoker]:
    """One Invoker for all of a level."""
    with Invoker(request.param) as made:
        made.warm(HOG, 1)
        yield made
        processes = family(made)
    wait_gone(processes)


@pytest.mark.parametrize("way", ["plainly", "with_a_timer", "with_each_other", "in_short_lives"])
def test_share_of_cpu_is_held_against_resistance(invoker: Invoker, way: str) -> None:
    """By the kernel's quota it gets its share; else one that resumes itself is ended."""
    if way == "in_short_lives" and not BY_THE_KERNEL:
        pytest.skip("a gap of hosts without a cpu cgroup, which doctor lists")
    invocation = invoker.invoke(HOG, {"way": way, "seconds": SECONDS})
    if way != "plainly" and not BY_THE_KERNEL and invocation.status == "exit":
        assert "resumed itself" in str(invocation.error)
        assert invocation.meter.cpu_time_ms < 1000  # of the 6,000 that it wanted
    else:
        # Loosely: benchmarks tell how exactly. Those that share it take longer.
        most_ms = 1.5 * VCPUS * invocation.meter.duration_ms + 50
        assert invocation.result() < most_ms
        assert invocation.meter.cpu_time_ms < most_ms
    assert invoker.invoke(HOG).result() == "calm"
