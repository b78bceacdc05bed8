"""
Whether this host lets a process shut itself in: tried, not assumed. A process of its own.

It does what a template and an environment do, and prints what came of it as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from . import inside, jail, kernel, landlock

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

_MB = 1024 * 1024


def main() -> None:
    """Try it: ``argv`` holds an empty folder."""
    report, tell = os.pipe()
    tried = os.fork()
    if tried == 0:
        _try(sys.argv[1], tell)
    os.close(tell)
    os.waitpid(tried, 0)
    said = os.read(report, 1 << 16).decode()
    facts = {
        **(json.loads(said) if said else {"problem": "the trial ended without a word"}),
        "landlock": landlock.abi(),
        "pidfd": _works(lambda: os.close(os.pidfd_open(os.getpid()))),
        "subreaper": _works(kernel.adopt_orphans),
    }
    print(json.dumps(facts))  # noqa: T201


def _works(attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except (AttributeError, OSError):
        return False
    return True


def _try(place: str, tell: int) -> None:
    keep = os.dup(tell)
    step = "make namespaces and the view"
    try:
        jail.enter(
            {"binds": [], "covers": [], "moves": [], "network": True},
            place,
            jail.user_of(os.getpid(), 0),
        )
        step = "make an environment's namespaces"
        own = os.open("/proc/self/ns/pid", os.O_RDONLY)
        kernel.unshare(kernel.CLONE_NEWPID)
        kernel.spawn_idle_init()
        child = os.fork()
        if child == 0:
            _try_environment(keep)
        kernel.setns(own, kernel.CLONE_NEWPID)
        os.waitpid(child, 0)
    except OSError as error:
        _say(keep, f"could not {step}: {error}", error.errno)
    os._exit(0)


def _try_environment(tell: int) -> None:
    step = "make an environment's namespaces"
    try:
        kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC)
        step = "mount /tmp, /dev/shm and /proc"
        inside.mount_fresh(_MB, _MB, [])
        step = "give up rights"
        inside.give_up_rights(network=False)
    except OSError as error:
        _say(tell, f"could not {step}: {error}", error.errno)
    _say(tell, "")


def _say(tell: int, problem: str, number: int | None = None) -> None:
    os.write(tell, json.dumps({"problem": problem, "errno": number}).encode())
    os._exit(0)
