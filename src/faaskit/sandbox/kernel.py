"""The few calls to the kernel that Python has no name for. Runs in the child; stdlib only."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct

__all__ = [
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "MS_BIND",
    "MS_NODEV",
    "MS_NOEXEC",
    "MS_NOSUID",
    "MS_PRIVATE",
    "MS_RDONLY",
    "MS_REC",
    "MS_REMOUNT",
    "adopt_orphans",
    "attach_tree",
    "clone_tree",
    "collapse",
    "die_with_parent",
    "drop_capabilities",
    "forbid_new_privileges",
    "join_own_keyring",
    "libc",
    "mount",
    "pages_present",
    "pivot_root",
    "protect_tree",
    "set_dumpable",
    "setns",
    "spawn_idle_init",
    "tie_to_parent",
    "unshare",
]

CLONE_VM = 0x100
CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

_MNT_DETACH = 2
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_RDONLY = 1
_MOUNT_ATTR_NOSUID = 2
_MOUNT_ATTR_IDMAP = 0x00100000

# Numbers from 424 on are the same on every architecture.
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_MOUNT_SETATTR = 442
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(platform.machine(), -1)

_SYS_KEYCTL = {"x86_64": 250, "aarch64": 219}.get(platform.machine(), -1)

_CAPABILITY_VERSION_3 = 0x20080522
_KEYCTL_JOIN_SESSION_KEYRING = 1

_MADV_COLLAPSE = 25
_PAGE = os.sysconf("SC_PAGESIZE")

libc = ctypes.CDLL(None, use_errno=True)
libc.clone.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _prctl(option: int, value: int) -> None:
    _check(libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl({option})")


def die_with_parent() -> None:
    """
    Have the kernel kill this process when its parent ends.

    It fires when the *thread* that forked it ends. The launcher and the template have one
    thread for all their life; the app does not, so the launcher can't use it. A change of
    user takes it back.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans(*, adopt: bool = True) -> None:
    """Become the parent of descendants whose own parent ends, instead of pid 1; or no longer."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(adopt))


def tie_to_parent(parent: int) -> None:
    """
    Tie this process's life to its parent's, and adopt what it leaves orphaned below itself.

    Args:
        parent: As ``getppid`` gives it while the parent lives: 0 where the parent is in an
            outer pid namespace. One that has ended since the fork is not this process's
            parent any more, and its signal would never come.

    A daemon that the function makes by forking twice becomes this process's child, not the
    launcher's: while the function runs it is found below it, and counted.
    """
    die_with_parent()
    adopt_orphans()
    if os.getppid() != parent:
        os._exit(1)


def set_dumpable(*, dumpable: bool) -> None:
    """Let others of the same user trace this process or not; a fork inherits it."""
    _prctl(_PR_SET_DUMPABLE, int(dumpable))


def forbid_new_privileges() -> None:
    """Have no exec give this process or its descendants more rights than they have."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities() -> None:
    """Give up every capability; with another uid than 0 none comes back at an exec."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _check(libc.capset(header, bytes(24)), "capset")


def join_own_keyring() -> None:
    """
    Leave the session keyring of whoever started this process, for an empty one of its own.

    The user's keys (Kerberos tickets, passphrases of file systems) are found through it. It
    is a second wall behind the filter of system calls, so a kernel without keys, or one that
    gives this user no more of them, is no reason to fail.
    """
    libc.syscall(_SYS_KEYCTL, _KEYCTL_JOIN_SESSION_KEYRING, None)


# Memory


def pages_present(start: int, size: int) -> int:
    """Return how many pages of a range of this process's own memory are there."""
    found = ctypes.create_string_buffer(size // _PAGE)
    address, length = ctypes.c_void_p(start), ctypes.c_size_t(size)
    _check(libc.mincore(address, length, found), "mincore")
    return found.raw.count(1)


def collapse(start: int, size: int) -> None:
    """Have a range of this process's memory moved into huge pages; from Linux 6.1 on."""
    address, length = ctypes.c_void_p(start), ctypes.c_size_t(size)
    _check(libc.madvise(address, length, _MADV_COLLAPSE), "madvise")


# Namespaces


def unshare(flags: int) -> None:
    """Leave the namespaces that the flags name, into new ones."""
    _check(libc.unshare(flags), f"unshare({flags:#x})")


def setns(descriptor: int, kind: int) -> None:
    """Enter the namespace that a descriptor stands for."""
    _check(libc.setns(descriptor, kind), f"setns({kind:#x})")


_STACK_SIZE = 16384
_stack = ctypes.create_string_buffer(_STACK_SIZE)
_STACK_TOP = (ctypes.addressof(_stack) + _STACK_SIZE) & ~15
_PAUSE = ctypes.cast(libc.pause, ctypes.c_void_p)


def spawn_idle_init() -> int:
    """
    Make the first process of a pid namespace, which does nothing; return its pid.

    Pid 1 ignores signals that it sends itself and that its own children send, so no handler
    may be it. A fork for it would cost as much as an environment. This one shares the memory
    of its parent, sits in ``pause()`` on a stack of its own, and has all signals blocked, so
    that it never runs anything. To kill it is to kill everything in its namespace.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        return _check(libc.clone(_PAUSE, _STACK_TOP, CLONE_VM | signal.SIGCHLD, None), "clone")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


# Mounts


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Make or change a mount, as the system call of that name does."""
    result = libc.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()
    )
    _check(result, f"mount on {target}")


def clone_tree(path: str) -> int:
    """Return a descriptor of a copy of the mounts at and below a path, not mounted yet."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_RECURSIVE
    return _check(libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, path.encode(), flags), f"clone {path}")


def attach_tree(tree: int, target: str) -> None:
    """Mount a copy that ``clone_tree`` made."""
    result = libc.syscall(
        _SYS_MOVE_MOUNT, tree, b"", _AT_FDCWD, target.encode(), _MOVE_MOUNT_F_EMPTY_PATH
    )
    _check(result, f"mount on {target}")


def protect_tree(tree: int, users: int = -1) -> None:
    """
    Make a copy read-only and free of set-uid programs, all mounts in it.

    Args:
        tree: From ``clone_tree``.
        users: A user namespace's descriptor: owners are seen through its map.
    """
    flags = _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID
    if users >= 0:
        flags |= _MOUNT_ATTR_IDMAP
    attributes = struct.pack("QQQQ", flags, 0, 0, max(users, 0))
    result = libc.syscall(
        _SYS_MOUNT_SETATTR,
        tree,
        b"",
        _AT_EMPTY_PATH | _AT_RECURSIVE,
        attributes,
        ctypes.c_size_t(len(attributes)),
    )
    _check(result, "protect a mount")


def pivot_root(root: str) -> None:
    """Make a mounted folder the root, with nothing of the old one left in reach."""
    os.chdir(root)
    # Stacked on itself, the old root can be unmounted without a folder to keep it in.
    _check(libc.syscall(_SYS_PIVOT_ROOT, b".", b"."), "pivot_root")
    _check(libc.umount2(b".", _MNT_DETACH), "unmount the old root")
    os.chdir("/")
