"""
What is to be gone: trees that fight back, their cgroups, orphans, folders.

Runs in the launcher; stdlib only. Nothing here waits for what it kills, but for the end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
from typing import TYPE_CHECKING

from . import tree, usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .cgroups import Group, Groups
    from .watched import Watched

__all__ = ["Clearing"]

_FOLDERS_AT_ONCE = 100


class Clearing:
    """
    Clears up.

    Args:
        folder: The launcher's own; all others are in it.
        groups: The cgroups.

    Attributes:
        errands: Pids of helpers that end by themselves, which nobody must take for orphans.
    """

    def __init__(self, folder: str, groups: Groups) -> None:
        self._folder = folder
        self._groups = groups
        self._used_groups: list[Group] = []
        self._rubbish: list[str] = []
        self._sweepers: set[int] = set()
        self.errands: set[int] = set()

    def stop(self, watched: Watched) -> None:
        """Stop a tree that may fork on, as far as one step does it: its time is up now."""
        if watched.group is not None:
            watched.group.forbid_forks()
        watched.signal_root(signal.SIGSTOP)

    def kill(self, watched: Watched) -> None:
        """Kill a tree that may fight back."""
        watched.end()  # before anything is looked at: that takes long with a thousand processes
        if watched.group is not None:
            # Nothing in it can fork any more, so one look finds everybody.
            watched.group.forbid_forks()
            watched.group.free_cpu()
            for pid in watched.group.members():
                tree.kill(pid)
        if watched.pid is not None:
            # Stopped by its pidfd first: from here on its pid can't become another's.
            watched.signal_root(signal.SIGSTOP)
            if usage.parent_and_start(watched.pid)[0] in (os.getpid(), _parent_of(watched)):
                tree.kill_tree(watched.pid)
            watched.signal_root(signal.SIGKILL)

    def clear_group(self, group: Group | None) -> None:
        """Use a group again as soon as it is clean; kill whoever is still in it."""
        if group is not None:
            self._used_groups.append(group)
        self.look_after_groups()

    def look_after_groups(self) -> None:
        """Give those groups back for use that are clean by now."""
        still: list[Group] = []
        for used in self._used_groups:
            try:
                clean = used.is_clean()
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENODEV):
                    self._groups.discard(used)  # somebody has removed it: nobody was in it
                else:
                    still.append(used)  # this process has too many files open for the moment
                continue
            if clean:
                self._groups.give_back(used)
                continue
            left = used.members()
            if left:
                used.forbid_forks()
                for pid in left:
                    tree.kill(pid)
            still.append(used)  # killed, but not yet out of it: looked at again
        self._used_groups = still

    def kill_orphans(self, known: set[int]) -> None:
        """
        Kill this process's children that are nobody's here.

        What a function made outlives it as a child of the launcher: a daemon, or what an
        environment left when it ended by itself. From a jail nothing comes out.

        Args:
            known: Pids of templates and environments.
        """
        for pid in usage.children(os.getpid()):
            if pid not in known and pid not in self._sweepers and pid not in self.errands:
                tree.kill_tree(pid)

    def remove(self, folder: str) -> None:
        """Remove an environment's folder, by a helper where it is not empty."""
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            pass
        except OSError:
            self._rubbish.append(folder)
            self._take_out_rubbish()

    def _take_out_rubbish(self) -> None:
        # Not here: a folder may hold a million files, and functions are being watched.
        if self._rubbish and not self._sweepers:
            folders = self._rubbish[:_FOLDERS_AT_ONCE]
            self._rubbish = self._rubbish[_FOLDERS_AT_ONCE:]
            self._sweepers.add(os.posix_spawnp("rm", ["rm", "-rf", "--", *folders], {}))

    def was_helper(self, pid: int) -> bool:
        """Tell whether a process that has ended was a helper, and forget it."""
        if pid in self.errands:
            self.errands.discard(pid)
            return True
        if pid in self._sweepers:
            self._sweepers.discard(pid)
            self._take_out_rubbish()
            return True
        return False

    def end(self, templates: Iterable[int]) -> None:
        """Kill everything, beginning with the templates, and wait until it is gone."""
        self._groups.close_files()
        self._groups.forbid_all_forks()
        for pid in templates:
            tree.kill_tree(pid)
        with contextlib.suppress(ChildProcessError):
            while True:
                for pid in usage.children(os.getpid()):
                    if pid not in self._sweepers:
                        tree.kill_tree(pid)
                # One that ends, and all that have ended with it: a look at a thousand
                # children for each of them would take seconds.
                os.wait4(-1, 0)
                while os.wait4(-1, os.WNOHANG)[0]:
                    pass
        with contextlib.suppress(OSError):  # left to the next sweep
            subprocess.run(["rm", "-rf", "--", self._folder], check=False)
        self._groups.close()


def _parent_of(watched: Watched) -> int:
    template = watched.template
    if template is None or template.watched.pid is None:
        return os.getpid()
    return template.watched.pid
