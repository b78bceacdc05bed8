"""
The sweep: finds and removes what a launcher left that was killed itself.

Everything that outlives a process carries the launcher's pid and start time in its name: the
folder, the cgroups and, as an environment variable of the first exec, the processes. A pid means
something in one pid namespace of one boot, so these two are in the name as well: a container
that shares a folder or a hierarchy with this one does not show its processes here, and they are
no less alive for that.
"""

from __future__ import annotations

import os
import subprocess
import sys

from . import cgroups, hierarchies, tree, usage

__all__ = ["MARKER", "main", "name_of", "owner_is_gone", "sweep"]

PREFIX = "faaskit-"
MARKER = "FAASKIT_LAUNCHER"


def _namespace() -> str:
    """Return what a pid's meaning depends on: the boot, and the pid namespace of that."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read(8)
        pids = os.stat("/proc/self/ns/pid").st_ino
    except OSError:  # without /proc nothing is swept either: no process's end can be seen
        return "0-0"
    return f"{boot}-{pids}"


def name_of(pid: int) -> str:
    """Return the name under which a launcher's things are kept, in this pid namespace."""
    return f"{PREFIX}{_namespace()}-{pid}-{usage.parent_and_start(pid)[1]}"


def owner_is_gone(label: str) -> bool:
    """Return whether a name is a launcher's of this pid namespace, and of one that has ended."""
    own = f"{PREFIX}{_namespace()}-"
    pid, _, start = label.removeprefix(own).partition("-")
    if not label.startswith(own) or not (pid.isdigit() and start.isdigit()):
        return False
    return usage.parent_and_start(int(pid))[1] != int(start)


def sweep(temporary: str) -> None:
    """Remove what launchers of this user that have ended left on this host."""
    _sweep_processes()
    own = os.getuid()
    for entry in os.scandir(temporary):
        try:
            ours = owner_is_gone(entry.name) and entry.stat(follow_symlinks=False).st_uid == own
        except FileNotFoundError:  # another sweep was faster
            continue
        if ours:
            subprocess.run(["rm", "-rf", "--", entry.path], check=False)
    for _, _, home in hierarchies.homes():
        for entry in os.scandir(home):
            if owner_is_gone(entry.name) and entry.is_dir():
                _remove_group(entry.path)


def _sweep_processes() -> None:
    marker = f"{MARKER}=".encode()
    own = os.getuid()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if os.stat(f"/proc/{entry}").st_uid != own:
                continue
            with open(f"/proc/{entry}/environ", "rb") as file:
                variables = file.read().split(b"\0")
        except OSError:
            continue
        for variable in variables:
            if variable.startswith(marker):
                if owner_is_gone(variable[len(marker) :].decode("ascii", "replace")):
                    tree.kill_tree(int(entry))
                break


def _remove_group(folder: str) -> None:
    for child in [entry.path for entry in os.scandir(folder) if entry.is_dir()]:
        with open(f"{child}/cgroup.procs", encoding="ascii") as file:
            # 0 is a process of an outer pid namespace; to kill that would be to kill oneself.
            for pid in filter(None, map(int, file)):
                tree.kill(pid)
        cgroups.remove_group(child)
    cgroups.remove_group(folder)


def main() -> None:
    """Sweep, as a process of its own: ``argv`` holds the folder for temporary files."""
    sweep(sys.argv[1])
