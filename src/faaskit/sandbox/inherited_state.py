"""
Open files, shared memory and processes that INIT leaves. Runs in the child; stdlib only.

A fork shares them: a file's position, the bytes in a pipe, a lock, the pages of a shared
mapping. What one environment does to them the next one sees. Files that are only read can be
opened anew, each environment with a position of its own; devices such as ``/dev/null`` have no
state. All else is reported, and the function then has no snapshot: nor can a child process be
copied, which would be the template's alone.

The template looks once, after INIT. An environment has nothing to do unless there are such files.
"""

from __future__ import annotations

import contextlib
import os
import stat

__all__ = ["Before", "OpenFile", "inspect", "reopen"]

_FD = "/proc/self/fd"
_O_PATH = 0o10000000
# null, zero, full, random, urandom
_STATELESS_DEVICES = frozenset(os.makedev(1, minor) for minor in (3, 5, 7, 8, 9))
_NAMES_OF_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_NAMES_OF_OBJECTS = {
    "anon_inode:[eventpoll]": "an epoll instance, as an event loop has one",
    "anon_inode:[eventfd]": "an eventfd",
    "anon_inode:[timerfd]": "a timer",
    "anon_inode:[signalfd]": "a signalfd",
    "anon_inode:inotify": "an inotify instance",
}
_NAME_LIMIT = 200


class Before:
    """The descriptors and mappings that are there before INIT, and so not its doing."""

    __slots__ = ("descriptors", "mappings")

    def __init__(self) -> None:
        self.descriptors = frozenset(_descriptors())
        self.mappings = frozenset(_shared_mappings())


class OpenFile:
    """A file that was opened for reading only, and where INIT left its position."""

    __slots__ = ("descriptor", "flags", "inheritable", "position")

    def __init__(self, descriptor: int, flags: int) -> None:
        self.descriptor = descriptor
        # By its link in /proc, which O_NOFOLLOW would not follow.
        self.flags = flags & ~os.O_NOFOLLOW | os.O_CLOEXEC
        self.inheritable = os.get_inheritable(descriptor)
        self.position = os.lseek(descriptor, 0, os.SEEK_CUR)

    def open(self) -> int:
        """Return another descriptor of the file, at that position; its name may be gone."""
        made = os.open(f"{_FD}/{self.descriptor}", self.flags)
        os.lseek(made, self.position, os.SEEK_SET)
        return made


def inspect(before: Before) -> tuple[tuple[OpenFile, ...], list[str]]:
    """
    Return the files to open again in each environment, and what can't be copied.

    Args:
        before: Taken before INIT.

    Returns:
        The files; and a noun phrase for each thing that environments would share.
    """
    files: list[OpenFile] = []
    shared: list[str] = []
    for descriptor in sorted(_descriptors() - before.descriptors):
        found = _inspect(descriptor)
        if isinstance(found, OpenFile):
            files.append(found)
        elif found:
            shared.append(f"{found} (descriptor {descriptor})")
    for _, size, path in sorted(set(_shared_mappings()) - before.mappings):
        # One without a file has the name of a deleted one.
        of = "" if path.endswith("(deleted)") else f" of {_quoted(path)}"
        shared.append(f"a shared memory mapping of {size:,} bytes{of}")
    shared += [f"a process running (pid {pid})" for pid in _children()]
    return tuple(files), shared


def reopen(files: tuple[OpenFile, ...]) -> None:
    """Put a new open file in the place of each that a template and all its forks share."""
    for file in files:
        made = file.open()
        os.dup2(made, file.descriptor, inheritable=file.inheritable)
        os.close(made)


def _descriptors() -> set[int]:
    found = set(map(int, os.listdir(_FD)))
    return {descriptor for descriptor in found if _is_open(descriptor)}  # not the folder's own


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _inspect(descriptor: int) -> OpenFile | str:
    """Return a file to be opened again, or what is shared; an empty text for what has no state."""
    import fcntl  # a template whose INIT leaves nothing never needs it

    status = os.fstat(descriptor)
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    path = os.readlink(f"{_FD}/{descriptor}")
    kind = stat.S_IFMT(status.st_mode)
    if flags & _O_PATH or (kind == stat.S_IFCHR and status.st_rdev in _STATELESS_DEVICES):
        return ""
    if kind in _NAMES_OF_KINDS:
        name = _NAMES_OF_KINDS[kind]
        return f"{name} {_quoted(path)}" if path.startswith("/") else name
    if kind not in (stat.S_IFREG, stat.S_IFDIR):
        return _NAMES_OF_OBJECTS.get(path, f"an object of the kernel {_quoted(path)}")
    return _inspect_file(descriptor, flags, path)


def _inspect_file(descriptor: int, flags: int, path: str) -> OpenFile | str:
    if path.startswith("/memfd:"):
        name = "a file in memory"
    elif path.endswith(" (deleted)"):
        name = "a file without a name"
    else:
        name = f"a file {_quoted(path)}"
    if flags & os.O_ACCMODE != os.O_RDONLY:
        return f"{name} that is open for writing"
    if _is_of_a_process(path):
        return f"{name} about the process of INIT"  # which no environment is
    if _is_locked(descriptor):
        return f"a locked{name[1:]}"
    try:
        file = OpenFile(descriptor, flags)
        os.close(file.open())
    except OSError:
        return f"{name} that can't be opened again"
    return file


def _is_of_a_process(path: str) -> bool:
    return path.startswith("/proc/") and path.split("/")[2].isdigit()


def _is_locked(descriptor: int) -> bool:
    # The lock is the open file's: the template would hold it while an environment lets it go.
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as info:
        return "\nlock:" in info.read()


def _shared_mappings() -> list[tuple[int, int, str]]:
    """Return address, size and path of each writable mapping that forks share."""
    found = []
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            place, access, _, _, _, *path = line.split(maxsplit=5)
            if access[1] == "w" and access[3] == "s":
                start, end = (int(number, 16) for number in place.split("-"))
                found.append((start, end - start, path[0].rstrip("\n") if path else ""))
    return found


def _children() -> list[str]:
    """Return the pids of this process's children that have not ended."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return []  # as nearly always
    found = []
    for task in os.listdir("/proc/self/task"):
        # Kernels that are built for little memory lack this file, or a thread is gone.
        with (
            contextlib.suppress(FileNotFoundError),
            open(f"/proc/self/task/{task}/children", encoding="ascii") as children,
        ):
            found += children.read().split()
    return [pid for pid in found if _is_running(pid)]


def _is_running(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # Its name stands in parentheses and may have any in it.
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False  # nobody waits for it where SIGCHLD is ignored


def _quoted(path: str) -> str:
    return repr(path[:_NAME_LIMIT])
