"""What a host's limits mean for functions, and how to raise those that can be. Pure."""

from __future__ import annotations

from faaskit.definition import MB_PER_VCPU, MEMORY_SIZE_RANGE_MB
from faaskit.runtimes.host import Host
from faaskit.runtimes.room import calls_at_once, processes_at_once

__all__ = ["advice"]

_MANY_CALLS = 256
_FILES_FOR_MANY = 4096


def advice(host: Host, room_mb: int, refused: str) -> tuple[str, ...]:
    """
    Return what to know and what to do, a sentence or two each.

    Args:
        host: This one.
        room_mb: What the memory sizes of calls at once, and their /tmp, may add up to.
        refused: Why isolation "namespace" can't be given; empty where it can.
    """
    found: list[str] = []
    calls = calls_at_once(host.open_files)
    if calls < _MANY_CALLS:
        found.append(
            f"This process may open {host.open_files} files, enough for about {calls} calls at "
            f"once; others wait. For {_MANY_CALLS}: `ulimit -n {_FILES_FOR_MANY}`, or LimitNOFILE= "
            "of a systemd unit."
        )
    if host.processes is not None:
        calls = processes_at_once(host.processes)
        if calls < _MANY_CALLS:
            found.append(
                f"This process's cgroup allows {host.processes} processes and threads, enough for "
                f"about {calls} calls at once; others wait. Raise pids.max: docker run "
                "--pids-limit, or TasksMax= of a systemd unit."
            )
    found.append(_about_memory(host, room_mb))
    if host.cpus * MB_PER_VCPU < MEMORY_SIZE_RANGE_MB[1]:
        found.append(_about_cpus(host))
    if refused and not host.user_namespaces:
        found.append(
            "User namespaces are off: `sysctl user.max_user_namespaces=10000` allows them."
        )
    elif refused and not host.root:
        found.append(
            "Where a distribution keeps user namespaces from ordinary users: `sysctl "
            "kernel.unprivileged_userns_clone=1` (Debian), or `sysctl "
            "kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu)."
        )
    return tuple(found)


def _about_memory(host: Host, room_mb: int) -> str:
    whose = "this host's"
    if host.memory_mb < host.host_memory_mb:
        whose = (
            f"the {host.memory_mb:,} MB that this process's cgroup allows (this host has "
            f"{host.host_memory_mb:,} MB)"
        )
    return (
        f"The memory sizes of calls at once, and what their /tmp hold, add up to at most "
        f"{room_mb:,} MB, four fifths of {whose}: {room_mb // 128:,} calls of 128 MB, "
        f"{room_mb // 1024:,} of 1 GB. Others wait."
    )


def _about_cpus(host: Host) -> str:
    subject = f"This host has {host.cpus:g} CPUs"
    if host.cpus < host.host_cpus:
        subject = (
            f"This process may use {host.cpus:g} of this host's {host.host_cpus} CPUs, by its "
            "affinity or its cgroup's quota"
        )
    return (
        f"{subject}: what AWS gives a function of {int(host.cpus * MB_PER_VCPU):,} MB. One with "
        "more memory has more on AWS than here."
    )
