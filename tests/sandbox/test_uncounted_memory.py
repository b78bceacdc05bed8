"""Memory that no resident set has: it counts all the same, at isolation "namespace"."""

from __future__ import annotations

from collections.abc import Iterator

import hoards
import hostile_init
import pytest
from probes import family, wait_gone

from faaskit import Invoker, function
from faaskit.functions import Function
from faaskit.sandbox.cgroups import homes

pytestmark = pytest.mark.timeout(120)

MEMORY_MB, STORAGE_MB, MB = 256, 512, 1024 * 1024
# What its kernel memory may add; more than all that is held here.
WANTED_MB = MEMORY_MB + STORAGE_MB + 64 + STORAGE_MB // 16 + 200
HOARD: Function = function(
    hoards.hoard, name="hoard", memory_size=MEMORY_MB, ephemeral_storage=STORAGE_MB, timeout=60
)
COUNTED = any("memory" in controllers for _, controllers, _ in homes())
needs_a_memory_cgroup = pytest.mark.skipif(
    not COUNTED, reason="a gap of hosts without a memory cgroup, which doctor lists"
)


@pytest.fixture(scope="module")
def invoker() -> Iterator[Invoker]:
    """One Invoker, which none of it troubles; at full speed, so that it does not take long."""
    with Invoker("namespace", cpu_scaling=False) as made:
        made.warm(HOARD, 1)
        yield made
        processes = family(made)
    wait_gone(processes)


@pytest.mark.parametrize(
    "way",
    [
        pytest.param("descriptors_in_flight", marks=needs_a_memory_cgroup),
        pytest.param("shared_pages_unmapped", marks=needs_a_memory_cgroup),
        pytest.param("socket_buffers", marks=needs_a_memory_cgroup),
        "detached_segments",
        "semaphores",
        "page_tables",
    ],
)
def test_memory_that_no_resident_set_has_is_held(invoker: Invoker, way: str) -> None:
    """No way to hold it ends well, and the next call is untouched."""
    invocation = invoker.invoke(HOARD, {"way": way, "mb": WANTED_MB})
    if invocation.ok:
        assert invocation.payload[0] == "refused", invocation.payload
        assert invocation.payload[1] in {"ENOMEM", "ENOSPC", "ENOSYS"}
    else:
        assert invocation.status == "out_of_memory", invocation.payload
    assert invoker.invoke(HOARD).result() == "calm"


@pytest.mark.parametrize("way", ["detached_segments", "shared_pages_unmapped"])
@needs_a_memory_cgroup
def test_memory_in_files_counts_toward_memory_size(invoker: Invoker, way: str) -> None:
    """Exactly, not only within what /tmp may hold besides."""
    assert invoker.invoke(HOARD, {"way": way, "mb": MEMORY_MB - 64}).ok
    over = invoker.invoke(HOARD, {"way": way, "mb": MEMORY_MB + 64})
    assert over.status == "out_of_memory"
    assert over.meter.max_memory_used_mb > MEMORY_MB // 2


def test_tmp_does_not_count(invoker: Invoker) -> None:
    """All of it may be full, beside as much memory as there may be."""
    fill = function(
        hostile_init.fill_both, name="fill", memory_size=MEMORY_MB, ephemeral_storage=STORAGE_MB,
        timeout=60,
    )  # fmt: skip
    event = {"disk": STORAGE_MB - 2, "memory": MEMORY_MB - 40}
    assert invoker.invoke(fill, event).result() == event


def test_many_small_files_fit(invoker: Invoker) -> None:
    """As many files as /tmp has room for: their kernel memory is not the function's."""
    fill = function(hostile_init.fill_with_files, name="files", timeout=60, memory_size=128)
    assert invoker.invoke(fill).result() > 30_000


@pytest.mark.parametrize("attack", ["mount ramfs", "mount tmpfs"])
def test_init_mounts_no_memory(invoker: Invoker, attack: str) -> None:
    """A file system of INIT's in memory is ended with its function."""
    made = function(
        hostile_init.handler, name="mounts", memory_size=128, timeout=5,
        environment={"ATTACK": attack},
    )  # fmt: skip
    if COUNTED:
        invocation = invoker.invoke(made)
        assert invocation.status == "out_of_memory", invocation.payload
    assert invoker.invoke(HOARD).result() == "calm"
