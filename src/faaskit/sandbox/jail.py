"""
The way from the launcher's child to a template that is shut in. Runs in the child; stdlib only.

Three processes of one program::

    doorkeeper   in the host's namespaces; waits, and ends as the next one does
     │ fork
    warden       pid 1 of a pid namespace; makes the view, then waits
     │ fork
    template     in a user namespace that has no power over the view

To kill the doorkeeper is to kill all of them and whatever they forked: the warden is tied
to it, and with a pid namespace's first process its last one ends.

An ordinary user gets the power to mount from a user namespace; root has it. Then both are in
the same place: the view is made by somebody more powerful than the template, so its mounts
are locked for it. A root app's functions run under a host uid that nobody has, each under one of
its own: what the kernel counts for a user (processes, descriptors in flight, locked memory) is
then no business of a neighbour's. As uid 0, even one without capabilities, they could write the
kernel's settings in /proc/sys, which ask for nothing else; the binds are seen through a map that
shows root's files as theirs.
"""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING, Any

from . import kernel, landlock, seccomp, view

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

__all__ = ["enter", "user_of"]

_DESCRIPTORS = 1 << 16
# Above what hosts, containers and their subordinate ids use.
_FIRST_USER = 2_000_001_051
_USERS_OF_A_LAUNCHER = 512


def user_of(launcher: int, number: int) -> int:
    """
    Return the host uid and gid for a root app's function: nobody else's.

    Args:
        launcher: The launcher's pid, below 2^22 as all pids are.
        number: The template's.
    """
    return _FIRST_USER + launcher * _USERS_OF_A_LAUNCHER + number % _USERS_OF_A_LAUNCHER


def enter(spec: Mapping[str, Any], place: str, user: int, *, system_v: bool = True) -> None:
    """
    Shut this process in; only the template returns from here.

    Args:
        spec: For ``view.build``, and ``network``: whether it has the host's.
        place: An empty folder to mount the view on.
        user: The uid and gid on the host that a root app's function runs under.
        system_v: Whether System V semaphores, segments and queues may be made.

    Raises:
        OSError: The kernel refused.
    """
    uid, gid = os.geteuid(), os.getegid()
    users = -1
    if uid == 0:
        users = _owners_map(user)
        kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWPID)
    else:
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWPID)
        _map_self((uid, gid), outside=(uid, gid))
    told, tell = os.pipe2(os.O_CLOEXEC)
    warden = os.fork()
    if warden:
        os.close(tell)
        _end_as(warden, told)
    os.close(told)
    kernel.tie_to_parent(0)
    view.build(spec, place, users)
    if uid == 0:
        os.close(users)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        kernel.set_dumpable(dumpable=True)  # else its own files in /proc are root's
        kernel.tie_to_parent(0)  # which the change of user took back
    _shut_in(tell, network=spec["network"])
    # A socket with a name is a file, which no network namespace holds. Landlock tells a function's
    # own from others', in newer kernels.
    told_apart = landlock.abi() >= landlock.RESOLVE_UNIX_ABI
    seccomp.install(system_v=system_v, named_sockets=spec["network"] or told_apart)


def _shut_in(tell: int, *, network: bool) -> None:
    """Be the warden; the template returns."""
    flags = kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC
    if not network:
        flags |= kernel.CLONE_NEWNET
    outside = os.getuid(), os.getgid()
    kernel.unshare(flags)
    _map_self((view.FUNCTION_UID, view.FUNCTION_GID), outside)
    if not network:
        _raise_loopback()
    # Before there is anybody who could trace it: the idle process shares this one's memory.
    kernel.set_dumpable(dumpable=False)
    kernel.spawn_idle_init()
    template = os.fork()
    if template:
        _watch_over(template, tell)
    kernel.set_dumpable(dumpable=True)
    os.close(tell)
    kernel.tie_to_parent(0)
    # A user namespace of the function's own would give it more of the kernel to try.
    _write("/proc/sys/user/max_user_namespaces", "0")


def _map_self(inside: tuple[int, int], outside: tuple[int, int]) -> None:
    """Have one user and group in this new user namespace: those of outside."""
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{inside[0]} {outside[0]} 1")
    _write("/proc/self/gid_map", f"{inside[1]} {outside[1]} 1")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _owners_map(user: int) -> int:
    """Return a user namespace in which root's files are that user's."""
    ready, made = os.pipe2(os.O_CLOEXEC)
    holder = os.fork()
    if holder == 0:
        try:
            kernel.unshare(kernel.CLONE_NEWUSER)
            os.write(made, b"1")
            signal.pause()
        finally:
            os._exit(1)
    try:
        os.close(made)
        if not os.read(ready, 1):
            raise PermissionError(errno.EPERM, "make a user namespace")
        for kind in ("uid", "gid"):
            _write(f"/proc/{holder}/{kind}_map", f"0 {user} 1\n1 1 {user - 1}\n")
        return os.open(f"/proc/{holder}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)


def _raise_loopback() -> None:
    import fcntl
    import socket
    import struct

    set_flags, up_and_running = 0x8914, 0x41
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sH14x", b"lo", up_and_running))


def _watch_over(template: int, tell: int) -> NoReturn:
    """Be pid 1: wait for the template, tell the doorkeeper how it ended."""
    os.dup2(tell, 0)
    os.closerange(1, _DESCRIPTORS)  # what the template has must end with it
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == template:
            os.write(0, status.to_bytes(4, "little"))
            os._exit(0)


def _end_as(warden: int, told: int) -> NoReturn:
    """Be the doorkeeper: wait, and end as the template did."""
    os.dup2(told, 0)
    os.closerange(1, _DESCRIPTORS)
    said = os.read(0, 4)
    _, status = os.waitpid(warden, 0)
    if said:
        status = int.from_bytes(said, "little")
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))
