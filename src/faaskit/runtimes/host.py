"""What this host lets the sandbox hold, probed and not assumed."""

from __future__ import annotations

import functools
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

import psutil
from attrs import frozen

from faaskit.sandbox import launcher
from faaskit.sandbox.limits import PROCESSES, own_pids_group

__all__ = ["Finding", "Host", "findings", "jail_problem", "probe", "supported"]

_PROBE_TIMEOUT_S = 20

Held = Literal["held", "in part", "not held", "not measured"]


@frozen
class Host:
    """
    Facts of this host.

    Attributes:
        pids_group: Whether processes can be counted by a cgroup.
        memory_mb: Of the host.
        open_files: How many descriptors this process may have.
        temporary_mb: Free where environments have their folders.
    """

    system: str
    python: str
    root: bool
    cpus: int
    memory_mb: int
    open_files: int
    temporary_mb: int
    pids_group: bool
    user_namespaces: bool


@frozen
class Finding:
    """One of the ten promises, on this host."""

    number: int
    promise: str
    held: Held
    reason: str


def probe() -> Host:
    """Look at this host."""
    mb = 1024 * 1024
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Host(
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        root=os.geteuid() == 0,
        cpus=psutil.cpu_count() or 1,
        memory_mb=psutil.virtual_memory().total // mb,
        open_files=soft,
        temporary_mb=shutil.disk_usage(tempfile.gettempdir()).free // mb,
        pids_group=own_pids_group() is not None,
        user_namespaces=_allowed("/proc/sys/user/max_user_namespaces"),
    )


def _allowed(path: str) -> bool:
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123  # a file of the kernel's
            return int(file.read()) > 0
    except (OSError, ValueError):
        return False


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


@functools.cache
def jail_problem() -> str:
    """
    Return why isolation "namespace" can't be given here; empty where it can.

    Tried once in a process of its own, which takes some 50 ms.
    """
    folder = str(Path(launcher.__file__).parent)
    with tempfile.TemporaryDirectory(prefix="faaskit-probe-") as place:
        try:
            tried = subprocess.run(
                [*launcher.interpreter_command(folder, "probe"), place],
                capture_output=True,
                text=True,
                env={},
                timeout=_PROBE_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    try:
        return str(json.loads(tried.stdout)["problem"])
    except (ValueError, KeyError):
        return tried.stderr.strip().rpartition("\n")[2] or "the trial failed"


def supported() -> bool:
    """Return whether this host has what the sandbox is made of."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")
