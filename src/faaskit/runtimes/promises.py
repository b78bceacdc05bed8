"""The ten promises: how far each goes on a host, and why not further. Pure."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from faaskit.runtimes.host import Host
from faaskit.sandbox.limits import PROCESSES

__all__ = ["Finding", "findings"]

Held = Literal["held", "in part", "not held", "not measured"]


@frozen
class Finding:
    """One of the ten promises, on this host."""

    number: int
    promise: str
    held: Held
    reason: str


def findings(host: Host, level: str = "process") -> tuple[Finding, ...]:
    """Return how far each promise goes here, at an isolation level."""
    return _of_process(host) if level == "process" else _of_namespace()


_ALWAYS = (
    Finding(7, "Nothing lost", "held", "writes and their events are one durable transaction"),
    Finding(8, "Bill from outside", "held", "clocks and figures are the launcher's and app's"),
    Finding(9, "Clean", "held", "the launcher ends all it started; the next one sweeps"),
    Finding(10, "Speed", "not measured", "python benchmarks/invoke.py measures it on this host"),
)
_TIME = Finding(2, "Time", "held", "a watchdog outside kills the whole tree at the timeout")
_CPU = Finding(
    4, "CPU follows memory", "held", "a tree that is ahead of its share is stopped until it is not"
)


def _of_namespace() -> tuple[Finding, ...]:
    return (
        Finding(1, "Fresh", "held", "memory, files, processes and IPC objects are its own"),
        _TIME,
        Finding(
            3,
            "Memory",
            "held",
            "a watchdog samples every 5 ms, so a fast function goes over by some MB first",
        ),
        _CPU,
        Finding(5, "Disk", "held", "its /tmp is a file system of exactly that size"),
        Finding(
            6,
            "Permission",
            "held",
            "it sees its code, the interpreter and what is readable, read-only; no process of "
            "the host's; with network=True the host's network",
        ),
        *_ALWAYS,
    )


def _of_process(host: Host) -> tuple[Finding, ...]:
    later = "at level 'process'; level 'namespace' holds it"
    if host.pids_group:
        bound = f"at most {PROCESSES} processes each, by a pids cgroup"
    elif host.root:
        bound = f"a tree of over {PROCESSES} processes is killed; root has no other bound here"
    else:
        bound = f"about {PROCESSES} processes and threads, by RLIMIT_NPROC"
    return (
        Finding(
            1,
            "Fresh",
            "in part",
            "memory, variables and the temporary folder are fresh; files written elsewhere stay, "
            + later,
        ),
        _TIME,
        Finding(
            3,
            "Memory",
            "in part",
            "a watchdog samples every 5 ms, so a fast function goes over by some MB first; files "
            "in /dev/shm count only while they are mapped",
        ),
        _CPU,
        Finding(5, "Disk", "in part", "each file is bounded, not their sum, " + later),
        Finding(
            6,
            "Permission",
            "in part",
            "the gate decides every service call; the function runs as this user and reads what "
            f"this user reads, {later}; {bound}",
        ),
        *_ALWAYS,
    )
