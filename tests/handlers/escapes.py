"""
Handlers that try to get out of their jail, one thing each.

``attempt`` returns what came of it: ``["did", value]``, or ``["refused", "ENOENT"]``.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import random
import resource
import signal
import socket
import stat
import struct
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_libc = ctypes.CDLL(None, use_errno=True)
_DEEDS: dict[str, Callable[[Any], Any]] = {}
_MB = 1024 * 1024

left_by_the_last = "nothing"
drawn_in_init = np.random.random()  # noqa: NPY002  # so that the generator is in the template


def attempt(event: Any, context: Any) -> Any:
    """Try what the event names; without one, tell what this environment is like."""
    if not event:
        return _state()
    try:
        return ["did", _DEEDS[event["do"]](event)]
    except OSError as error:
        return ["refused", errno.errorcode.get(error.errno or 0, repr(error))]


def _state() -> dict[str, Any]:
    """Return what an earlier invocation could have spoilt."""
    return {
        "tmp": os.listdir("/tmp"),
        "shm": os.listdir("/dev/shm"),
        "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "segments": len(Path("/proc/sysvipc/shm").read_text().splitlines()) - 1,
        "queues": len(Path("/proc/sysvipc/msg").read_text().splitlines()) - 1,
        "variable": os.environ.get("LEFT"),
        "global": left_by_the_last,
        "umask": os.umask(0o022),
        "folder": str(Path.cwd()),
        "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
        "handlers": signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL,
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
    }


def _deed(deed: Callable[[Any], Any]) -> Callable[[Any], Any]:
    _DEEDS[deed.__name__] = deed
    return deed


def _call(number_or_name: str, *arguments: Any) -> int:
    result = int(getattr(_libc, number_or_name)(*arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), number_or_name)
    return result


def _syscall(number: int, *arguments: Any) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), str(number))
    return result


# Reading and writing what is not its own


@_deed
def reads(event: Any) -> Any:
    return Path(event["path"]).read_bytes()[:16].hex()


@_deed
def lists(event: Any) -> Any:
    return sorted(os.listdir(event["path"]))


@_deed
def writes(event: Any) -> Any:
    with open(event["path"], "r+b" if os.path.exists(event["path"]) else "xb") as file:
        file.write(event.get("text", "1").encode())


@_deed
def climbs(event: Any) -> Any:
    # Out of the root, by its parent and by the links of /proc.
    os.chdir("/proc/self/root/../../../..")
    return sorted(os.listdir("."))


@_deed
def keeps_a_folder_open(event: Any) -> Any:
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if stat.S_ISDIR(os.fstat(int(name)).st_mode) and os.readlink(f"/proc/self/fd/{name}"):
                found.append(os.readlink(f"/proc/self/fd/{name}"))
    return [path for path in found if not path.startswith("/proc/")]


@_deed
def renames_its_code(event: Any) -> Any:
    os.rename(__file__, f"{__file__}.old")


@_deed
def opens_by_handle(event: Any) -> Any:
    return _syscall(304, -100, b"", 0)


# Other processes


@_deed
def kills(event: Any) -> Any:
    os.kill(event["pid"], event.get("signal", signal.SIGKILL))


@_deed
def kills_everybody(event: Any) -> Any:
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


@_deed
def traces(event: Any) -> Any:
    return _call("ptrace", 16, event["pid"], 0, 0)


@_deed
def reads_memory(event: Any) -> Any:
    buffer = ctypes.create_string_buffer(16)
    local = struct.pack("QQ", ctypes.addressof(buffer), 16)
    remote = struct.pack("QQ", id(buffer), 16)
    return _call("process_vm_readv", event["pid"], local, 1, remote, 1, 0)


@_deed
def opens_pidfd(event: Any) -> Any:
    return os.pidfd_open(event["pid"])


@_deed
def changes_priority(event: Any) -> Any:
    os.setpriority(os.PRIO_PROCESS, 0, -10)


@_deed
def becomes_realtime(event: Any) -> Any:
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


@_deed
def limits_another(event: Any) -> Any:
    return resource.prlimit(event["pid"], resource.RLIMIT_NOFILE, (1, 1))


# Rights


@_deed
def holds_capabilities(event: Any) -> Any:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {
        key: value.strip()
        for key, _, value in (line.partition(":") for line in lines)
        if key in {"CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp"}
    }


@_deed
def becomes_root(event: Any) -> Any:
    os.setuid(0)


@_deed
def changes_groups(event: Any) -> Any:
    os.setgroups([0])


@_deed
def raises_its_limit(event: Any) -> Any:
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    except ValueError as error:
        raise PermissionError(errno.EPERM, str(error)) from error


@_deed
def raises_its_memory(event: Any) -> Any:
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except ValueError as error:
        raise PermissionError(errno.EPERM, str(error)) from error


@_deed
def unshares(event: Any) -> Any:
    return _call("unshare", event["flags"])


@_deed
def enters_a_namespace(event: Any) -> Any:
    descriptor = os.open(f"/proc/1/ns/{event['kind']}", os.O_RDONLY)
    return _call("setns", descriptor, 0)


@_deed
def names_the_host(event: Any) -> Any:
    return _call("sethostname", b"mine", 4)


@_deed
def sets_the_clock(event: Any) -> Any:
    time.clock_settime(time.CLOCK_REALTIME, 0)


@_deed
def reboots(event: Any) -> Any:
    return _call("reboot", 0x89ABCDEF)  # enables Ctrl-Alt-Del, where it is allowed


@_deed
def calls(event: Any) -> Any:
    return _syscall(event["number"], 0, 0, 0, 0, 0)


@_deed
def keeps_a_key(event: Any) -> Any:
    return _syscall(248, b"user", b"left", b"secret", 6, -4)


@_deed
def finds_its_session_keyring(event: Any) -> Any:
    return session_keyring()


def session_keyring() -> int:
    """Return the id of this process's session keyring (KEYCTL_GET_KEYRING_ID, of x86-64)."""
    return _syscall(250, 0, -3, 0)


@_deed
def calls_by_the_32_bit_door(event: Any) -> Any:
    result = call_32_bit(event["number"])
    if result < 0:
        raise OSError(-result, "int 0x80")
    return result


def call_32_bit(number: int) -> int:
    """Make a system call by ``int 0x80`` with its arguments 0; return what the kernel says."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    # push rbx; mov eax, number; xor ebx, ecx, edx, esi, edi; int 0x80; pop rbx; ret
    zero = b"\x31\xdb\x31\xc9\x31\xd2\x31\xf6\x31\xff"
    code.write(b"\x53\xb8" + struct.pack("<I", number) + zero + b"\xcd\x80\x5b\xc3")
    here = ctypes.addressof(ctypes.c_char.from_buffer(code))
    return int(ctypes.CFUNCTYPE(ctypes.c_int)(here)())


@_deed
def makes_a_socket(event: Any) -> Any:
    socket.socket(event["family"], event.get("kind", socket.SOCK_STREAM)).close()


# Mounts


@_deed
def mounts(event: Any) -> Any:
    return _call("mount", b"tmpfs", event.get("on", "/tmp").encode(), b"tmpfs", 0, None)


@_deed
def binds(event: Any) -> Any:
    return _call("mount", b"/usr", b"/tmp", None, 4096, None)


@_deed
def unmounts(event: Any) -> Any:
    return _call("umount2", event["on"].encode(), 2)


@_deed
def remounts_writable(event: Any) -> Any:
    return _call("mount", None, event["on"].encode(), None, 32 | 4096, None)


@_deed
def changes_root(event: Any) -> Any:
    os.chroot("/tmp")


@_deed
def makes_a_device(event: Any) -> Any:
    os.mknod("/tmp/disk", stat.S_IFBLK | 0o666, os.makedev(8, 0))


# Leaving something for the next


@_deed
def leaves_files(event: Any) -> Any:
    Path("/tmp/left").write_text("left")
    Path("/dev/shm/left").write_text("left")
    Path("here").write_text("left")


@_deed
def leaves_a_segment(event: Any) -> Any:
    return _call("shmget", 77, 4096, 0o1666) >= 0


@_deed
def leaves_a_queue(event: Any) -> Any:
    return _call("msgget", 77, 0o1666) >= 0


@_deed
def leaves_settings(event: Any) -> Any:
    global left_by_the_last  # noqa: PLW0603  # it is the point
    left_by_the_last = "something"
    os.environ["LEFT"] = "something"
    os.umask(0)
    os.chdir("/")
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    os.nice(5)


@_deed
def draws_lots(event: Any) -> Any:
    drawn = [random.random(), str(uuid.uuid4()), tempfile.mktemp(), os.urandom(8).hex()]
    drawn.append(float(np.random.random()))  # noqa: NPY002  # the global one is the point
    return drawn


# Taking more than its share


@_deed
def fills_the_disk(event: Any) -> Any:
    with open("/tmp/big", "wb", buffering=0) as file:
        file.writelines(b"\1" * _MB for _ in range(2048))


@_deed
def fills_the_disk_exactly(event: Any) -> Any:
    written = 0
    with open("/tmp/big", "wb", buffering=0) as file:
        try:
            while True:
                written += file.write(b"\1" * 65536)
        except OSError as error:
            return [written, errno.errorcode[error.errno or 0]]


@_deed
def takes_every_inode(event: Any) -> Any:
    for number in range(1_000_000):
        os.close(os.open(f"/tmp/{number}", os.O_CREAT | os.O_WRONLY))


@_deed
def takes_every_descriptor(event: Any) -> Any:
    while True:
        os.dup(0)


@_deed
def takes_every_thread(event: Any) -> Any:
    threading.stack_size(65536)
    started = 0
    try:
        for _ in range(3000):
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
            started += 1
    except RuntimeError as error:
        raise BlockingIOError(errno.EAGAIN, str(error)) from error
    return started


@_deed
def maps_memory(event: Any) -> Any:
    held = mmap.mmap(-1, 4096 * _MB, mmap.MAP_SHARED if event["shared"] else mmap.MAP_PRIVATE)
    for offset in range(0, 4096 * _MB, 4096):
        held[offset] = 1


@_deed
def fills_a_memory_file(event: Any) -> Any:
    descriptor = os.memfd_create("hoard")
    with contextlib.suppress(OSError):
        while True:
            os.write(descriptor, b"\1" * _MB)
    time.sleep(600)


@_deed
def fills_shared_memory(event: Any) -> Any:
    with open("/dev/shm/hoard", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\1" * _MB)
    time.sleep(600)


@_deed
def shares_the_hoard_among_children(event: Any) -> Any:
    for _ in range(8):
        if os.fork() == 0:
            held = bytearray(40 * _MB)
            for offset in range(0, len(held), 4096):
                held[offset] = 1
            time.sleep(600)
    time.sleep(600)


@_deed
def maps_many_small_ones(event: Any) -> Any:
    held = []
    while True:
        held.append(mmap.mmap(-1, 64 * 1024))
        held[-1].write(b"\1" * 65536)


# Time


@_deed
def ignores_signals(event: Any) -> Any:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)


@_deed
def loops_in_c(event: Any) -> Any:
    # One call that never lets go of the interpreter's lock.
    return sum(iter(int, 1))


@_deed
def stops_itself(event: Any) -> Any:
    os.kill(os.getpid(), signal.SIGSTOP)


@_deed
def stops_its_child(event: Any) -> Any:
    child = os.fork()
    if child == 0:
        while True:
            time.sleep(0.01)
    os.kill(child, signal.SIGSTOP)
    os.waitpid(child, os.WUNTRACED)
    busy_until = time.monotonic() + event["seconds"]
    while time.monotonic() < busy_until:
        pass
    state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
    os.kill(child, signal.SIGKILL)
    return state


@_deed
def catches_everything(event: Any) -> Any:
    while True:
        with contextlib.suppress(BaseException):
            while True:
                time.sleep(1)


@_deed
def daemonises(event: Any) -> Any:
    line = socket.create_connection(("127.0.0.1", event["port"]))
    line.sendall(b"here")
    first = os.fork()
    if first == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        _libc.prctl(1, 0)  # no signal at its parent's death
        time.sleep(600)
    os.waitpid(first, 0)
    if event["wait"]:
        time.sleep(600)
    return "gone"


@_deed
def burns(event: Any) -> Any:
    for _ in range(event.get("processes", 1) - 1):
        if os.fork() == 0:
            while True:
                pass
    for _ in range(event.get("threads", 0)):
        threading.Thread(target=_burn_for, args=(event["seconds"],), daemon=True).start()
    _burn_for(event["seconds"])
    return "burnt"


def _burn_for(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@_deed
def burns_by_short_lives(event: Any) -> Any:
    # Nobody waits for them: their time is in no account of the kernel's.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    end = time.monotonic() + event["seconds"]
    while time.monotonic() < end:
        if os.fork() == 0:
            _burn_for(0.02)
            os._exit(0)
        time.sleep(0.02)
    return "burnt"


# The network


@_deed
def connects(event: Any) -> Any:
    with socket.create_connection(("127.0.0.1", event["port"]), timeout=5) as line:
        return line.recv(16).decode()


@_deed
def connects_to_abstract(event: Any) -> Any:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect("\0" + event["name"])


@_deed
def connects_to_path(event: Any) -> Any:
    if event.get("kind") == "pair of datagrams":
        line, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        other.close()
    else:
        datagram = event.get("kind") == "datagram"
        line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM)
    with line:
        line.connect(event["path"])


@_deed
def takes_a_lease(event: Any) -> Any:
    with open(event["path"], "rb") as file:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)


@_deed
def talks_to_itself_by_a_pair(event: Any) -> Any:
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"hello")
        return other.recv(16).decode()


@_deed
def talks_to_itself_by_path(event: Any) -> Any:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as line:
        server.bind("/tmp/itself")
        server.listen()
        line.connect("/tmp/itself")
        server.accept()[0].sendall(b"hello")
        os.unlink("/tmp/itself")
        return line.recv(16).decode()


@_deed
def opens_a_raw_socket(event: Any) -> Any:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()


@_deed
def talks_to_itself(event: Any) -> Any:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5) as line,
    ):
        server.accept()[0].sendall(b"hello")
        return line.recv(16).decode()
