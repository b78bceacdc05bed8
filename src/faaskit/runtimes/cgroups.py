"""Which cgroup controllers this process may use, under version 1 and version 2."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["mounted", "usable"]


def mounted(mounts: str, membership: str) -> Iterator[tuple[str, str, str]]:
    """
    Yield ``(version, controller, folder)`` of this process's group in each hierarchy.

    Under version 2 all controllers share one, whose files name them; its controller is empty.

    Args:
        mounts: The text of ``/proc/self/mounts``.
        membership: The text of ``/proc/self/cgroup``.
    """
    groups: dict[str, str] = {}
    for line in membership.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            groups[name] = path.rstrip("/")
    for line in mounts.splitlines():
        _, folder, kind, options, *_ = line.split(" ")
        flags = options.split(",")
        if kind not in ("cgroup", "cgroup2") or "ro" in flags:
            continue
        if kind == "cgroup2":
            yield "v2", "", folder + groups.get("", "")
        for name in flags:
            if kind == "cgroup" and name in groups and "=" not in name:
                yield "v1", name, folder + groups[name]


def _may_write(folder: str) -> bool:
    return os.access(folder, os.W_OK)


def usable(may_write: Callable[[str], bool] = _may_write) -> dict[str, tuple[str, ...]]:
    """
    Return the controllers in whose groups this process may make others, by version.

    A version that the host has not is not there; one that is not delegated has no controllers.
    """
    found: dict[str, list[str]] = {}
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", "replace")
        membership = Path("/proc/self/cgroup").read_text("utf-8", "replace")
    except OSError:
        return {}
    for version, controller, folder in mounted(mounts, membership):
        controllers = found.setdefault(version, [])
        if not may_write(folder):
            continue
        if controller:
            controllers.append(controller)
        else:
            controllers.extend(_listed(folder))
    return {version: tuple(sorted(controllers)) for version, controllers in sorted(found.items())}


def _listed(folder: str) -> list[str]:
    try:
        return Path(folder, "cgroup.controllers").read_text("ascii").split()
    except OSError:
        return []
