"""
What a launcher leaves when it is killed itself, found and removed by the next one.

Everything that outlives a process carries the launcher's pid and start time in its name:
the folder, the cgroups and, as an environment variable of the first exec, the processes.
"""

from __future__ import annotations

import os
import subprocess
import sys

from . import limits, tree, usage

__all__ = ["MARKER", "main", "name", "owner_is_gone", "sweep"]

PREFIX = "faaskit-"
MARKER = "FAASKIT_LAUNCHER"


def name(pid: int, start: int) -> str:
    """Return the name under which a launcher's things are kept."""
    return f"{PREFIX}{pid}-{start}"


def owner_is_gone(label: str) -> bool:
    """Return whether a name is a launcher's, and of one that has ended."""
    pid, _, start = label.removeprefix(PREFIX).partition("-")
    if not label.startswith(PREFIX) or not (pid.isdigit() and start.isdigit()):
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
    groups = limits.own_pids_group()
    if groups is not None:
        for entry in os.scandir(groups):
            if entry.is_dir() and owner_is_gone(entry.name):
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
    for child in (entry.path for entry in os.scandir(folder) if entry.is_dir()):
        with open(f"{child}/cgroup.procs", encoding="ascii") as file:
            for line in file:
                tree.kill(int(line))
        limits.remove_group(child)
    limits.remove_group(folder)


def main() -> None:
    """Sweep, as a process of its own: ``argv`` holds the folder for temporary files."""
    sweep(sys.argv[1])
