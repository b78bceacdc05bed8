"""
The root that a function sees: a new tree of read-only binds, made before any of its code runs.

Runs in the child; stdlib only. What is not listed does not exist in there: no home, no
``/run``, nobody's processes. The tree is made in a mount namespace that the template has no
power over, so nothing of it can be unmounted or made writable later, INIT code included.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FUNCTION_GID", "FUNCTION_UID", "build"]

# AWS's own, of its user sbx_user1051.
FUNCTION_UID = 993
FUNCTION_GID = 990

_ALWAYS = (
    "/usr",
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/sbin",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/fonts",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
)
_DEVICES = ("null", "zero", "full", "random", "urandom")
_FOLDERS = ("tmp", "var/tmp", "var/task", "dev/shm", "opt", "proc")
_LINKS = {
    "dev/fd": "/proc/self/fd",
    "dev/stdin": "/proc/self/fd/0",
    "dev/stdout": "/proc/self/fd/1",
    "dev/stderr": "/proc/self/fd/2",
}
_USERS = (
    "root:x:0:0::/:/sbin/nologin\n"
    f"sbx_user1051:x:{FUNCTION_UID}:{FUNCTION_GID}::/tmp:/sbin/nologin\n"
)
_GROUPS = f"root:x:0:\nsbx_user1051:x:{FUNCTION_GID}:\n"
_OPTIONS = "size=4m,mode=755"
_PLAIN = kernel.MS_NOSUID | kernel.MS_NODEV
_LINKS_AT_MOST = 40  # as the kernel has it


def build(spec: Mapping[str, Any], place: str, users: int) -> None:
    """
    Make the view and enter it. The caller is alone in its mount and pid namespaces.

    Args:
        spec: ``binds``, pairs of a host path and where it is in there, read-only;
            ``covers``, host folders that are empty in there, whatever is opened around them.
        place: An empty folder of the host, to mount on; it is as it was afterwards.
        users: A user namespace's descriptor to see owners through, or -1.

    Raises:
        OSError: The kernel refused.
    """
    kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", place, "tmpfs", _PLAIN, _OPTIONS)
    tree = _Tree(place, lambda source, target: _bind(source, target, users))
    for folder in _FOLDERS:
        os.makedirs(f"{place}/{folder}", exist_ok=True)
    _make_devices(place)
    for path in _ALWAYS:
        tree.expose(path)
    for source, target in spec["binds"]:
        if source == target:
            tree.expose(source)
        else:
            tree.put(source, target)
    for folder in spec["covers"]:
        tree.cover(folder)
    for name, text in (("passwd", _USERS), ("group", _GROUPS)):
        with open(f"{place}/etc/{name}", "w", encoding="ascii") as file:
            file.write(text)
    # Of this pid namespace, so that not even under a later one the host's processes show.
    kernel.mount("proc", f"{place}/proc", "proc", _PLAIN | kernel.MS_NOEXEC)
    kernel.pivot_root(place)
    flags = kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY
    kernel.mount("", "/", "", flags | _PLAIN)


def _bind(source: str, target: str, users: int) -> None:
    tree = kernel.clone_tree(source)
    try:
        try:
            kernel.protect_tree(tree, users)
        except OSError:
            # Not every file system can be seen with other owners, /proc's kin for one.
            if users < 0:
                raise
            kernel.protect_tree(tree)
        kernel.attach_tree(tree, target)
    finally:
        os.close(tree)


def _make_devices(place: str) -> None:
    for name in _DEVICES:
        target = f"{place}/dev/{name}"
        _touch(target)
        kernel.mount(f"/dev/{name}", target, "", kernel.MS_BIND)
    for name, source in _LINKS.items():
        os.symlink(source, f"{place}/{name}")


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))


class _Tree:
    """The tree under way: what is bound where."""

    def __init__(self, place: str, bind: Callable[[str, str], None]) -> None:
        self._place = place
        self._bind = bind
        self._bound: list[tuple[str, str]] = []

    def expose(self, path: str) -> None:
        """Have a host path there at the same place, links on the way to it included."""
        for _ in range(_LINKS_AT_MOST):
            at = _first_link(path)
            if at is None:
                break
            target = os.readlink(at)
            if not self._holds(at):
                os.makedirs(os.path.dirname(self._place + at), exist_ok=True)
                if not os.path.lexists(self._place + at):
                    os.symlink(target, self._place + at)
            path = os.path.normpath(os.path.join(os.path.dirname(at), target) + path[len(at) :])
        if os.path.exists(path) and not self._holds(path):
            self.put(path, path)

    def put(self, source: str, target: str) -> None:
        """Bind a host path somewhere."""
        place = self._place + target
        if os.path.isdir(source):
            os.makedirs(place, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            _touch(place)
        self._bind(source, place)
        self._bound.append((source, target))

    def cover(self, folder: str) -> None:
        """Have a host folder be empty wherever it would be there."""
        real = os.path.realpath(folder)
        for source, target in self._bound:
            above = os.path.realpath(source)
            if real == above or real.startswith(f"{above.rstrip('/')}/"):
                place = self._place + target + real[len(above) :]
                if os.path.isdir(place):
                    flags = _PLAIN | kernel.MS_NOEXEC | kernel.MS_RDONLY
                    kernel.mount("tmpfs", place, "tmpfs", flags, "size=4k,mode=555")

    def _holds(self, path: str) -> bool:
        return any(path == bound or path.startswith(f"{bound}/") for _, bound in self._bound)


def _first_link(path: str) -> str | None:
    at = ""
    for part in path.strip("/").split("/"):
        at = f"{at}/{part}"
        if os.path.islink(at):
            return at
    return None
