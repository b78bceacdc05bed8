"""The memory, CPUs and processes of this host that this process may use."""

from __future__ import annotations

import os

from attrs import frozen

from faaskit.runtimes import cgroups
from faaskit.sandbox.hierarchies import Hierarchy, hierarchies

__all__ = ["Capacity", "capacity", "delegated_controllers"]


@frozen
class Capacity:
    """
    What this process may use, and what the host has.

    In a container, or under a service manager, the first is less than the second.

    Attributes:
        memory_bytes: The smaller of the host's memory and the limits of all its cgroups.
        cpus: The smallest of the host's CPUs, its CPU affinity and its cgroups' quotas.
        processes: The limit of its cgroups on processes and threads; None for no limit.
        processes_in_use: How many of these there are.
        host_memory_bytes: All memory of the host.
        host_cpus: All CPUs of the host.
    """

    memory_bytes: int
    cpus: float
    processes: int | None
    processes_in_use: int
    host_memory_bytes: int
    host_cpus: int


def capacity() -> Capacity:
    """Read it: some 20 small files of the kernel's, since a limit may change at any time."""
    limits = cgroups.limits(_groups(), _read)
    memory, cpus = _host_memory(_read("/proc/meminfo")), os.cpu_count() or 1
    allowed = float(_affinity() or cpus)
    return Capacity(
        memory_bytes=memory if limits.memory_bytes is None else min(memory, limits.memory_bytes),
        cpus=allowed if limits.cpus is None else min(allowed, limits.cpus),
        processes=limits.processes,
        processes_in_use=limits.processes_in_use,
        host_memory_bytes=memory,
        host_cpus=cpus,
    )


def delegated_controllers() -> dict[str, tuple[str, ...]]:
    """Return the cgroup controllers that this process may use for groups of its own."""
    return cgroups.delegated(_groups(), _read, lambda folder: os.access(folder, os.W_OK))


def _host_memory(meminfo: str) -> int:
    # Not by sysconf alone: some containers are shown a /proc/meminfo of their own.
    for line in meminfo.splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal":
            return int(value.split()[0]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _groups() -> tuple[Hierarchy, ...]:
    return hierarchies(_read("/proc/self/mountinfo"), _read("/proc/self/cgroup"))


def _affinity() -> int:
    # Not on macOS.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123  # a file of the kernel's
            return file.read()
    except OSError:
        return ""
