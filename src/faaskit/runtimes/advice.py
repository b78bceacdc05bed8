"""What a host's limits mean for functions, and how to raise those that can be. Pure."""

from __future__ import annotations

from faaskit.definition import MB_PER_VCPU, MEMORY_SIZE_RANGE_MB
from faaskit.runtimes.host import Host
from faaskit.runtimes.room import calls_at_once

__all__ = ["advice"]

_MANY_CALLS = 256
_FILES_FOR_MANY = 4096


def advice(host: Host, room_mb: int, refused: str) -> tuple[str, ...]:
    """
    Return what to know and what to do, a sentence or two each.

    Args:
        host: This one.
        room_mb: What the memory sizes that run at once may add up to.
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
    largest_mb = MEMORY_SIZE_RANGE_MB[1]
    found.append(
        f"The memory sizes of calls that run at once add up to {room_mb:,} MB at the most, four "
        f"fifths of this host's: {room_mb // 128:,} calls of 128 MB, {room_mb // 1024:,} of 1 GB. "
        "Others wait."
    )
    if host.cpus * MB_PER_VCPU < largest_mb:
        found.append(
            f"This host has {host.cpus} CPUs, what AWS gives a function of "
            f"{host.cpus * MB_PER_VCPU:,} MB. One with more memory has more on AWS than here."
        )
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
