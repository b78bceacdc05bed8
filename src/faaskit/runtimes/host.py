"""What this host lets the sandbox hold, probed and not assumed."""

from __future__ import annotations

import errno
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
from typing import Any

from attrs import frozen

from faaskit.runtimes.capacity import capacity, delegated_controllers
from faaskit.runtimes.errno_advice import PASSING, sandbox_error
from faaskit.sandbox import launcher, sweep
from faaskit.sandbox.hierarchies import homes

__all__ = ["Host", "jail_problem", "probe", "supported"]

_PROBE_TIMEOUT_S = 20


@frozen
class Host:
    """
    Facts of this host.

    Attributes:
        cpus: How many this process may use: its affinity, and its cgroups' quotas.
        memory_mb: How much this process may use: its cgroups' limits count.
        host_cpus: How many there are.
        host_memory_mb: How much there is.
        processes: How many this process's cgroups allow; None for no limit.
        open_files: How many descriptors this process may have.
        temporary_mb: Free where environments have their folders.
        pids_group: Whether processes can be counted by a cgroup.
        user_namespaces: Whether there may be any.
        landlock: The version of its ABI; 0 where there is none.
        pidfd: Whether a process can be held by a descriptor (Linux 5.3).
        subreaper: Whether a process can adopt orphans (Linux 3.4).
        cgroups: The controllers that this process may use, by version.
    """

    system: str
    python: str
    root: bool
    cpus: float
    memory_mb: int
    host_cpus: int
    host_memory_mb: int
    processes: int | None
    open_files: int
    temporary_mb: int
    pids_group: bool
    user_namespaces: bool
    landlock: int
    pidfd: bool
    subreaper: bool
    cgroups: dict[str, tuple[str, ...]]


def probe() -> Host:
    """Look at this host."""
    mb = 1024 * 1024
    tried = _trial() if supported() else {}
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = capacity()
    return Host(
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        root=os.geteuid() == 0,
        cpus=found.cpus,
        memory_mb=found.memory_bytes // mb,
        host_cpus=found.host_cpus,
        host_memory_mb=found.host_memory_bytes // mb,
        processes=found.processes,
        open_files=soft,
        temporary_mb=shutil.disk_usage(tempfile.gettempdir()).free // mb,
        pids_group=any("pids" in controllers for _, controllers, _ in homes()),
        user_namespaces=_allowed("/proc/sys/user/max_user_namespaces"),
        landlock=int(tried.get("landlock", 0)),
        pidfd=bool(tried.get("pidfd")),
        subreaper=bool(tried.get("subreaper")),
        cgroups=delegated_controllers(),
    )


def _allowed(path: str) -> bool:
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123  # a file of the kernel's
            return int(file.read()) > 0
    except (OSError, ValueError):
        return False


def jail_problem() -> str:
    """
    Return why isolation "namespace" can't be given here; empty where it can.

    Tried once in a process of its own, which takes some 50 ms.

    Raises:
        SandboxError: It could not be tried, for something that this host is short of now. To
            take that for a "no" would run functions with less isolation than they could have.
    """
    facts = _trial()
    if facts.get("errno") in PASSING:
        _trial.cache_clear()
        raise sandbox_error(
            {"errno": facts["errno"], "detail": str(facts["problem"])},
            "the sandbox",
            "try isolation 'namespace'",
        )
    return str(facts["problem"])


@functools.cache
def _trial() -> dict[str, Any]:
    folder = str(Path(launcher.__file__).parent)
    # Named as a launcher's folder is: if this process is killed now, the next one removes it.
    place = Path(tempfile.gettempdir(), sweep.name_of(os.getpid()))
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        tried = subprocess.run(
            [*launcher.interpreter_command(folder, "probe"), str(place)],
            capture_output=True,
            text=True,
            env={},
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        return {"problem": str(error), "errno": error.errno}
    except subprocess.TimeoutExpired as error:
        return {"problem": str(error), "errno": errno.EAGAIN}
    finally:
        shutil.rmtree(place, ignore_errors=True)
    try:
        facts = json.loads(tried.stdout)
    except ValueError:
        facts = None
    if isinstance(facts, dict) and "problem" in facts:
        return facts
    return {"problem": tried.stderr.strip().rpartition("\n")[2] or "the trial failed"}


def supported() -> bool:
    """Return whether this host has what the sandbox is made of."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")
