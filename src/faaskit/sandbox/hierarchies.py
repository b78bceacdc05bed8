"""
The cgroup hierarchies that this process sees, and where in them it may make groups of its own.

Runs in the launcher and in the app; stdlib only.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["CONTROLLERS", "Hierarchy", "delegated", "hierarchies", "homes", "turned_on"]

CONTROLLERS = ("pids", "memory", "cpu")  # those that a function's limits need

_ESCAPED = re.compile(r"\\([0-7]{3})")


class Hierarchy(NamedTuple):
    """
    One mounted hierarchy, and the group of this process in it.

    Attributes:
        version: 1 or 2.
        controllers: Of a version 1 hierarchy. Version 2 has one hierarchy for all of them, and
            a file in each group that names them: empty here.
        folder: The group's own. It may be missing where the mount shows only a part.
        top: Where the hierarchy, or a part of it, is mounted.
        writable: False for a read-only mount.
    """

    version: int
    controllers: frozenset[str]
    folder: str
    top: str
    writable: bool

    @property
    def ancestors(self) -> tuple[str, ...]:
        """The folders from the group up to the mount, both included: all their limits apply."""
        found = [self.folder]
        while len(found[-1]) > len(self.top):
            found.append(found[-1].rpartition("/")[0])
        return tuple(found)


def hierarchies(mountinfo: str, membership: str) -> tuple[Hierarchy, ...]:
    """
    Return the group of this process in each mounted hierarchy.

    A container may see only a part of a hierarchy: the mount's root is then a group, which is
    named as in ``membership``. In a cgroup namespace names begin at the namespace's root, and a
    root or a group outside of it begins with ``/..``; where the group can't be found for such a
    reason, the mount itself is taken for it, since it is an ancestor or the group itself.

    Args:
        mountinfo: The text of ``/proc/self/mountinfo``.
        membership: The text of ``/proc/self/cgroup``.
    """
    paths = dict(_paths(membership))
    seen: dict[tuple[int, frozenset[str]], tuple[bool, Hierarchy]] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, facts = before.split(" "), after.split(" ")
        if facts[0] not in ("cgroup", "cgroup2") or len(facts) < 3:  # noqa: PLR2004  # type, source, options
            continue
        version = 2 if facts[0] == "cgroup2" else 1
        names = frozenset(facts[2].split(",")).intersection(paths) if version == 1 else frozenset()
        if version == 1 and not names:
            continue  # a hierarchy for names alone, such as systemd's
        root, top, options = _plain(fields[3]), _plain(fields[4]).rstrip("/"), fields[5]
        below = _below(root, paths.get(min(names, default=""), "/"))
        writable = "ro" not in options.split(",")
        group = Hierarchy(version, names, top + (below or ""), top, writable)
        key = version, names
        # One hierarchy may be mounted twice; the mount that shows the group itself counts.
        if key not in seen or (below is not None and not seen[key][0]):
            seen[key] = below is not None, group
    return tuple(group for _, group in seen.values())


def _paths(membership: str) -> Iterator[tuple[str, str]]:
    for line in membership.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            if "=" not in name:
                yield name, path


def _plain(path: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), path)


def _below(root: str, path: str) -> str | None:
    """Return a group's path below a mount's root; None where it is not below it."""
    if ".." in f"{root}/{path}".split("/"):
        return None
    prefix = root.rstrip("/")
    path = path.rstrip("/")
    if path == prefix or path.startswith(f"{prefix}/"):
        return path[len(prefix) :]
    return None


def homes() -> list[tuple[Hierarchy, frozenset[str], str]]:
    """
    Return where this process may make groups: the hierarchy, its controllers, the folder.

    Under version 2 a group that has processes can have no groups with controllers below it,
    but at the root. So the nearest folder above is taken whose controllers are on, or can be
    turned on, and between which and this process's group the latter's processes may be moved.
    """
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mountinfo = file.read()
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            found = hierarchies(mountinfo, file.read())
    except OSError:
        return []
    usable: list[tuple[Hierarchy, frozenset[str], str]] = []
    for hierarchy in found:
        if hierarchy.version == 1:
            wanted = hierarchy.controllers & set(CONTROLLERS)
            if wanted and os.access(hierarchy.folder, os.W_OK):
                usable.append((hierarchy, wanted, hierarchy.folder))
            continue
        folder, controllers = delegated(hierarchy)
        if controllers:
            usable.append((hierarchy, controllers, folder))
    return usable


def delegated(hierarchy: Hierarchy) -> tuple[str, frozenset[str]]:
    """Return the folder of a version 2 hierarchy to make groups in, and its controllers."""
    folder = hierarchy.folder
    best: tuple[str, frozenset[str]] = ("", frozenset())
    while folder.startswith(hierarchy.top):
        if not all(os.access(path, os.W_OK) for path in (folder, f"{folder}/cgroup.procs")):
            break
        controllers = frozenset[str]() if _is_occupied(folder) else turned_on(folder, CONTROLLERS)
        if len(controllers) > len(best[1]) and ("memory" in controllers or not best[0]):
            best = folder, controllers
        if folder == hierarchy.top:
            break
        folder = os.path.dirname(folder)
    return best


def _is_occupied(folder: str) -> bool:
    # To turn on those that the kernel allows there all the same would make its groups threaded.
    try:
        return bool(_read(f"{folder}/cgroup.procs")) and os.path.exists(f"{folder}/cgroup.type")
    except OSError:
        return True


def turned_on(folder: str, wanted: tuple[str, ...]) -> frozenset[str]:
    """Return which of the controllers are on for the groups below a folder, now if need be."""
    try:
        on = frozenset(_read(f"{folder}/cgroup.subtree_control").split())
        there = frozenset(_read(f"{folder}/cgroup.controllers").split())
    except OSError:
        return frozenset()
    for name in wanted:
        if name in there - on:
            with contextlib.suppress(OSError):
                _write(f"{folder}/cgroup.subtree_control", f"+{name}")
                on |= {name}
    return on & frozenset(wanted)


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def _write(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)
