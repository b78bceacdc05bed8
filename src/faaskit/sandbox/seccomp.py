"""
The filter of system calls that a function's processes run under. Runs in the child; stdlib only.

Refused is only what would get around the other walls: keys outlive a process and no namespace
holds them apart; a user namespace of the function's own gives it every capability in there;
sockets of the rarer families pass the network namespace by, or are large and little-used parts
of the kernel; a lease on a file that may only be read keeps the host's programs from opening it
for writing; the rest are ways into the kernel that no handler on AWS has either. Everything else
is left alone: ``flock`` and the read locks of ``fcntl``, too, for no filter sees which file a
descriptor is of, and honest code locks its own. The filter is installed once, in a template, and
inherited by all it forks.

Each rule is a block that ends in a return of its own, and jumps over itself where it does not
match. A jump to a shared return at the end would be shorter, but one instruction too short it
lands on "allow", and no call made in the usual way shows it.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from typing import NamedTuple

from .kernel import CLONE_NEWUSER, libc

__all__ = ["ARCHITECTURES", "Architecture", "Instruction", "install", "program"]

LOAD, JUMP_IF_EQUAL, JUMP_IF_AT_LEAST, JUMP_IF_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW = 0x7FFF0000
FAIL = 0x00050000  # with the errno in its lower half

OFFSET_OF_NUMBER, OFFSET_OF_ARCHITECTURE = 0, 4
OFFSET_OF_ARGUMENT, OFFSET_OF_SECOND_ARGUMENT = 16, 24  # their lower halves

X32_BIT = 0x40000000

_UNIX = 1
_FAMILIES = 2, 10, 16  # AF_INET, AF_INET6, AF_NETLINK
_DATAGRAM_BIT = 2  # of SOCK_DGRAM and SOCK_RAW, not of SOCK_STREAM and SOCK_SEQPACKET
_LEASES = 1024, 1040  # F_SETLEASE, F_SETDELEG

_PR_SET_SECCOMP = 22
_MODE_FILTER = 2


class Architecture(NamedTuple):
    """
    One architecture's numbers.

    Attributes:
        audit: The kernel's name for it.
        refused: add_key, request_key, keyctl, bpf, perf_event_open, userfaultfd,
            open_by_handle_at; then io_uring's three, whose requests no other filter sees; last
            clone3, whose flags lie in memory, where a filter can't look: C libraries fall back
            to clone.
        system_v: semget, shmget, msgget.
        new_user: clone and unshare, whose first argument has the flags.
        socket: socket and socketpair, whose first argument is the family.
        fcntl: Its second argument is the command.
    """

    audit: int
    refused: tuple[int, ...]
    system_v: tuple[int, ...]
    new_user: tuple[int, ...]
    socket: tuple[int, int]
    fcntl: int


ARCHITECTURES = {
    "x86_64": Architecture(
        audit=0xC000003E,
        refused=(248, 249, 250, 321, 298, 323, 304, 425, 426, 427, 435),
        system_v=(64, 29, 68),
        new_user=(56, 272),
        socket=(41, 53),
        fcntl=72,
    ),
    "aarch64": Architecture(
        audit=0xC00000B7,
        refused=(217, 218, 219, 280, 241, 282, 265, 425, 426, 427, 435),
        system_v=(190, 194, 186),
        new_user=(220, 97),
        socket=(198, 199),
        fcntl=25,
    ),
}


class Instruction(NamedTuple):
    """One instruction of classic BPF; the jumps count from the next one."""

    code: int
    if_true: int
    if_false: int
    operand: int


def _return(value: int) -> Instruction:
    return Instruction(RETURN, 0, 0, value)


def _block(test: Instruction, body: list[Instruction]) -> list[Instruction]:
    """Return a test and what follows if it holds, which must end in a return."""
    assert body[-1].code == RETURN
    return [test._replace(if_true=0, if_false=len(body)), *body]


def _fail(number: int) -> Instruction:
    return _return(FAIL | number)


def program(
    architecture: Architecture, *, system_v: bool, named_sockets: bool = True
) -> list[Instruction]:
    """
    Return the filter.

    Args:
        architecture: The native one. By another one's door (``int 0x80``, x32) all calls fail
            with ENOSYS: the numbers mean other calls there.
        system_v: Whether System V semaphores, segments and queues may be made.
        named_sockets: Whether there may be Unix sockets that can connect to a path. Without,
            there are connected pairs alone: of streams, since a pair of datagrams can still
            send to a path.
    """
    refused = architecture.refused + (() if system_v else architecture.system_v)
    is_native = Instruction(JUMP_IF_EQUAL, 1, 0, architecture.audit)
    steps = [Instruction(LOAD, 0, 0, OFFSET_OF_ARCHITECTURE), is_native, _fail(errno.ENOSYS)]
    steps.append(Instruction(LOAD, 0, 0, OFFSET_OF_NUMBER))
    steps += _block(Instruction(JUMP_IF_AT_LEAST, 0, 0, X32_BIT), [_fail(errno.ENOSYS)])
    for number in refused:
        steps += _block(Instruction(JUMP_IF_EQUAL, 0, 0, number), [_fail(errno.ENOSYS)])
    argument = Instruction(LOAD, 0, 0, OFFSET_OF_ARGUMENT)
    for number in architecture.new_user:
        asked = _block(Instruction(JUMP_IF_ANY_BIT, 0, 0, CLONE_NEWUSER), [_fail(errno.EPERM)])
        body = [argument, *asked, _return(ALLOW)]
        steps += _block(Instruction(JUMP_IF_EQUAL, 0, 0, number), body)
    for number in architecture.socket:
        body = [argument]
        for family in _FAMILIES:
            body += _block(Instruction(JUMP_IF_EQUAL, 0, 0, family), [_return(ALLOW)])
        unix = _unix(number == architecture.socket[1], named=named_sockets)
        body += _block(Instruction(JUMP_IF_EQUAL, 0, 0, _UNIX), unix)
        body.append(_fail(errno.EAFNOSUPPORT))
        steps += _block(Instruction(JUMP_IF_EQUAL, 0, 0, number), body)
    body = [argument._replace(operand=OFFSET_OF_SECOND_ARGUMENT)]
    for command in _LEASES:
        # As on a file system without leases.
        body += _block(Instruction(JUMP_IF_EQUAL, 0, 0, command), [_fail(errno.EINVAL)])
    body.append(_return(ALLOW))
    steps += _block(Instruction(JUMP_IF_EQUAL, 0, 0, architecture.fcntl), body)
    return [*steps, _return(ALLOW)]


def _unix(is_pair: bool, *, named: bool) -> list[Instruction]:
    """Return what is done about a Unix socket, or a pair of them."""
    if named:
        return [_return(ALLOW)]
    if not is_pair:
        return [_fail(errno.EAFNOSUPPORT)]
    kind = Instruction(LOAD, 0, 0, OFFSET_OF_SECOND_ARGUMENT)
    refused = _block(Instruction(JUMP_IF_ANY_BIT, 0, 0, _DATAGRAM_BIT), [_fail(errno.EAFNOSUPPORT)])
    return [kind, *refused, _return(ALLOW)]


def install(*, system_v: bool = True, named_sockets: bool = True) -> None:
    """
    Put this process and its descendants under the filter, for good.

    Needs no_new_privs or CAP_SYS_ADMIN. On an architecture that is not listed it does nothing.

    Args:
        system_v: As in ``program``.
        named_sockets: The same.

    Raises:
        OSError: The kernel refused.
    """
    architecture = ARCHITECTURES.get(platform.machine())
    if architecture is None:
        return
    steps = program(architecture, system_v=system_v, named_sockets=named_sockets)
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    held = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(held))
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, header, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, "install a filter of system calls")
