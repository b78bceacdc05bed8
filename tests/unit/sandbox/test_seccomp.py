"""The filter of system calls, run on a machine of its own for every architecture and number."""

from __future__ import annotations

import errno
import platform
from collections.abc import Iterator

import pytest

from faaskit.sandbox.seccomp import ARCHITECTURES, Instruction, program

ALLOWED = 0x7FFF0000
X86_64, X86_32, ARM_64, ARM_32 = 0xC000003E, 0x40000003, 0xC00000B7, 0x40000028
NEW_USER, NEW_PIDS, NEW_THREAD = 0x10000000, 0x20000000, 0x3D0F00
# From the kernel's own tables, not from the module.
NAMES = {
    "x86_64": {
        "add_key": 248, "request_key": 249, "keyctl": 250, "bpf": 321, "perf_event_open": 298,
        "userfaultfd": 323, "open_by_handle_at": 304, "io_uring_setup": 425,
        "io_uring_enter": 426, "io_uring_register": 427, "clone3": 435, "semget": 64,
        "shmget": 29, "msgget": 68, "clone": 56, "unshare": 272, "socket": 41, "socketpair": 53,
    },
    "aarch64": {
        "add_key": 217, "request_key": 218, "keyctl": 219, "bpf": 280, "perf_event_open": 241,
        "userfaultfd": 282, "open_by_handle_at": 265, "io_uring_setup": 425,
        "io_uring_enter": 426, "io_uring_register": 427, "clone3": 435, "semget": 190,
        "shmget": 194, "msgget": 186, "clone": 220, "unshare": 97, "socket": 198,
        "socketpair": 199,
    },
}  # fmt: skip
BY_ARGUMENT = {"clone", "unshare", "socket", "socketpair"}
SYSTEM_V = {"semget", "shmget", "msgget"}


def run(
    steps: list[Instruction], audit: int, number: int, argument: int = 0, second: int = 0
) -> int:
    """Interpret a program as the kernel does; a jump that leaves it fails the test."""
    data = {0: number, 4: audit}
    for offset, value in ((16, argument), (24, second)):
        data |= {offset: value & 0xFFFFFFFF, offset + 4: value >> 32}
    held = at = 0
    while True:
        code, if_true, if_false, operand = steps[at]
        at += 1
        if code == 0x20:
            held = data[operand]
        elif code == 0x06:
            return operand
        else:
            holds = {0x15: held == operand, 0x35: held >= operand, 0x45: bool(held & operand)}
            at += if_true if holds[code] else if_false


def fails(number: int) -> int:
    """Return what the filter says for an errno."""
    return 0x00050000 | number


def numbers() -> Iterator[int]:
    """Yield every number that is or may become one, x32's, and the edges."""
    yield from range(1024)
    yield from range(0x40000000, 0x40000000 + 1024)
    yield from (0x3FFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@pytest.fixture(params=sorted(ARCHITECTURES))
def machine(request: pytest.FixtureRequest) -> str:
    """An architecture's name."""
    return str(request.param)


@pytest.mark.parametrize("system_v", [True, False])
def test_filter_refuses_listed_numbers_alone(machine: str, system_v: bool) -> None:
    """Each number of the native architecture, with its first argument 0."""
    architecture = ARCHITECTURES[machine]
    steps = program(architecture, system_v=system_v)
    by_number = {number: name for name, number in NAMES[machine].items()}
    for number in numbers():
        name = by_number.get(number, "")
        refused = name and name not in BY_ARGUMENT and not (system_v and name in SYSTEM_V)
        expected = fails(errno.ENOSYS) if refused or number >= 0x40000000 else ALLOWED
        if name in {"socket", "socketpair"}:
            expected = fails(errno.EAFNOSUPPORT)  # there is no family 0
        assert run(steps, architecture.audit, number) == expected, (number, name)


def test_filter_refuses_every_call_of_another_architecture(machine: str) -> None:
    """The numbers mean other calls there: 286 is add_key by the 32-bit door."""
    architecture = ARCHITECTURES[machine]
    steps = program(architecture, system_v=True)
    for audit in {X86_64, X86_32, ARM_64, ARM_32, 0, 0xFFFFFFFF} - {architecture.audit}:
        for number in numbers():
            assert run(steps, audit, number) == fails(errno.ENOSYS)


@pytest.mark.parametrize("name", ["clone", "unshare"])
def test_filter_refuses_new_user_namespaces(machine: str, name: str) -> None:
    """Alone or among other flags; threads and other namespaces are not its business."""
    architecture = ARCHITECTURES[machine]
    steps, number = program(architecture, system_v=True), NAMES[machine][name]
    for flags in (NEW_USER, NEW_USER | NEW_PIDS, 0xFFFFFFFF, NEW_USER | 1 << 40):
        assert run(steps, architecture.audit, number, flags) == fails(errno.EPERM)
    for flags in (0, NEW_PIDS, NEW_THREAD, 0xFFFFFFFF ^ NEW_USER):
        assert run(steps, architecture.audit, number, flags) == ALLOWED


@pytest.mark.parametrize("name", ["socket", "socketpair"])
def test_filter_allows_common_socket_families_alone(machine: str, name: str) -> None:
    """The kernel reads 32 bits of the family, and so does the filter."""
    architecture = ARCHITECTURES[machine]
    steps, number = program(architecture, system_v=True), NAMES[machine][name]
    for family in (*range(64), 1 << 16, 0xFFFFFFFF, 1 << 32 | 1, 1 << 32 | 40):
        common = family & 0xFFFFFFFF in {1, 2, 10, 16}
        expected = ALLOWED if common else fails(errno.EAFNOSUPPORT)
        assert run(steps, architecture.audit, number, family) == expected, family


@pytest.mark.parametrize("name", ["socket", "socketpair"])
def test_filter_without_named_sockets_allows_pairs_of_streams_alone(
    machine: str, name: str
) -> None:
    """No other Unix socket is left that could connect or send to a path; the rest is as before."""
    architecture, number = ARCHITECTURES[machine], NAMES[machine][name]
    steps = program(architecture, system_v=True, named_sockets=False)
    for flags in (0, 0x800, 0x80000, 0x80800):  # SOCK_NONBLOCK, SOCK_CLOEXEC
        for kind in range(16):
            connected = name == "socketpair" and kind in {1, 5}  # SOCK_STREAM, SOCK_SEQPACKET
            found = run(steps, architecture.audit, number, 1, kind | flags)
            if kind in {1, 2, 3, 5}:  # all that Unix sockets have
                assert found == (ALLOWED if connected else fails(errno.EAFNOSUPPORT)), kind
            assert run(steps, architecture.audit, number, 2, kind | flags) == ALLOWED
    assert run(steps, architecture.audit, number, 40, 1) == fails(errno.EAFNOSUPPORT)


def test_filter_refuses_leases_alone(machine: str) -> None:
    """Of all commands of fcntl; locks are none of its business, whatever the descriptor is."""
    architecture = ARCHITECTURES[machine]
    steps = program(architecture, system_v=True)
    number = {"x86_64": 72, "aarch64": 25}[machine]
    for command in (*range(2048), 1 << 32 | 6):
        lease = command in {1024, 1040}  # F_SETLEASE, F_SETDELEG
        for descriptor in (0, 1024, 1040):
            expected = fails(errno.EINVAL) if lease else ALLOWED
            assert run(steps, architecture.audit, number, descriptor, command) == expected
    assert run(steps, architecture.audit, number, 5, 1 << 32 | 1024) == fails(errno.EINVAL)


def test_program_is_for_this_machine() -> None:
    """The filter exists where the tests run."""
    assert platform.machine() in ARCHITECTURES
