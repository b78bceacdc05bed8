"""
The app's end: starts a launcher, gives it orders, and ends it.

Orders go one way. What comes of them is told on the pipes that each order carries, so no
thread of the app has to listen here.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import socket
import subprocess
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faaskit.exceptions import SandboxError
from faaskit.sandbox.launcher import interpreter_command
from faaskit.sandbox.table import ROWS, Table, create

__all__ = ["Keeper", "LauncherLostError"]


_IN_FLIGHT_PATIENCE_S = 5.0
_IN_FLIGHT_PAUSE_S = 0.02
_raising_limit = threading.Lock()


class LauncherLostError(SandboxError):
    """The launcher was killed from outside, or its Invoker was closed."""


class Keeper:
    """
    One launcher, the socket to it and the table that is shared with it.

    Args:
        idle_s: For how long nobody calls a function before what is ready of it ends.

    Attributes:
        table: Of what runs.

    Raises:
        SandboxError: The launcher could not be started.
    """

    def __init__(self, idle_s: float = 300.0) -> None:
        self._closing = threading.Lock()
        self._closed = False
        shared = create()
        self.table = Table(shared)
        self._rows = deque(range(1, ROWS))  # 0 is nobody's
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        folder = str(Path(__file__).parent)
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        # Not when it is closed: another thread may be about to ring, and the number could be
        # another file's by then. Nor at exit, where an Invoker may be closed later.
        weakref.finalize(self, os.close, self._bell).atexit = False
        given = (theirs.fileno(), shared, self._bell)
        facts = (*given, os.getpid(), int(idle_s * 1000), tempfile.gettempdir())
        arguments = [str(fact) for fact in facts]
        try:
            self._process = subprocess.Popen(
                interpreter_command(folder, "launcher") + arguments,
                pass_fds=given,
                stdin=subprocess.DEVNULL,
                # Ctrl-C goes to a terminal's foreground group: the launcher must survive it
                # to clear up. It must not be a fork of the app either, which has threads.
                start_new_session=True,
                env={},
                cwd="/",
            )
        except OSError as error:
            ours.close()
            msg = f"the launcher could not be started: {error}; is {folder} readable?"
            raise SandboxError(msg, step="start the launcher", errno=error.errno) from error
        finally:
            theirs.close()
            os.close(shared)
        self._control = ours

    @property
    def pid(self) -> int:
        """The launcher's process."""
        return self._process.pid

    def order(
        self,
        orders: Sequence[Mapping[str, Any]],
        descriptors: Sequence[int] = (),
        *,
        urgent: bool = True,
    ) -> None:
        """
        Send orders, in one message, from any thread.

        Args:
            orders: Each with its ``op``.
            descriptors: Those of all the orders, in their order.
            urgent: Wake the launcher. Else it hears them when it looks next, within a tick:
                to wake it is to have it run in the place of whoever does.

        Raises:
            LauncherLostError: The launcher is gone.
        """
        message = json.dumps(orders).encode()
        try:
            if descriptors:
                self._send_with(message, descriptors)
            else:
                self._control.send(message)
            if urgent:
                os.eventfd_write(self._bell, 1)
        except OSError as error:
            if error.errno == errno.ETOOMANYREFS:
                raise _too_many_in_flight() from error
            msg = "the launcher is gone: it was killed from outside, or its Invoker was closed"
            raise LauncherLostError(msg, step="send an order", errno=error.errno) from error

    def _send_with(self, message: bytes, descriptors: Sequence[int]) -> None:
        """
        Send a message with descriptors, whatever this user's other processes have under way.

        The kernel counts the descriptors that a user has sent and nobody has received, over all
        processes, and compares the sum with the sender's soft limit of open files. A function
        may hold as many as its own limit allows; so this one is at the hard limit for as long
        as it sends. It does not stay there: ``select`` can't take a descriptor over 1,023.
        """
        give_up = time.monotonic() + _IN_FLIGHT_PATIENCE_S
        while True:
            try:
                socket.send_fds(self._control, [message], descriptors)
            except OSError as error:
                if error.errno != errno.ETOOMANYREFS or time.monotonic() > give_up:
                    raise
            else:
                return
            with _raising_limit:
                soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
                try:
                    socket.send_fds(self._control, [message], descriptors)
                except OSError as error:
                    if error.errno != errno.ETOOMANYREFS:
                        raise
                else:
                    return
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            time.sleep(_IN_FLIGHT_PAUSE_S)  # until whoever holds them has received or lost them

    def take_row(self) -> int:
        """
        Return a row of the table for one more environment.

        Raises:
            SandboxError: All are taken.
        """
        try:
            row = self._rows.popleft()
        except IndexError:
            msg = f"there are {ROWS} environments, which is as many as one Invoker can have"
            raise SandboxError(msg, step="order an environment", errno=errno.EAGAIN) from None
        self.table.clear(row)
        return row

    def give_row(self, row: int) -> None:
        """Give a row back, once the launcher has been told that its environment is over."""
        self._rows.append(row)

    def close(self) -> None:
        """End the launcher and everything below it; nothing is left when this returns."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._control.close()
            os.eventfd_write(self._bell, 1)
            self._process.wait()

    def abandon(self) -> None:
        """Forget a launcher that belongs to another process, of which this is a fork."""
        self._closed = True
        self._control.close()
        self._process.returncode = 0  # not this process's child: there is nothing to wait for


def _too_many_in_flight() -> SandboxError:
    msg = (
        "no environment could be ordered: other processes of this user have sent more descriptors "
        "over sockets, not yet received, than this one's limit of open files allows; raise it "
        "(ulimit -n), or end what holds them"
    )
    return SandboxError(msg, step="send an order", errno=errno.ETOOMANYREFS)
