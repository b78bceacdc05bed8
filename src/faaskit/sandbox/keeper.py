"""
The app's end: starts a launcher, gives it orders, and ends it.

Orders go one way. What comes of them is told on the pipes that each order carries, so no
thread of the app has to listen here.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faaskit.exceptions import SandboxError
from faaskit.sandbox.launcher import interpreter_command

__all__ = ["Keeper", "LauncherLostError"]


class LauncherLostError(SandboxError):
    """The launcher was killed from outside, or its Invoker was closed."""


class Keeper:
    """
    One launcher and the socket to it.

    Raises:
        SandboxError: The launcher could not be started.
    """

    def __init__(self) -> None:
        self._closing = threading.Lock()
        self._closed = False
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        folder = str(Path(__file__).parent)
        arguments = [str(theirs.fileno()), str(os.getpid()), tempfile.gettempdir()]
        try:
            self._process = subprocess.Popen(
                interpreter_command(folder, "launcher") + arguments,
                pass_fds=(theirs.fileno(),),
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
        self._control = ours

    @property
    def pid(self) -> int:
        """The launcher's process."""
        return self._process.pid

    def order(self, orders: Sequence[Mapping[str, Any]], descriptors: Sequence[int] = ()) -> None:
        """
        Send orders, in one message, from any thread.

        Raises:
            LauncherLostError: The launcher is gone.
        """
        message = json.dumps(orders).encode()
        try:
            if descriptors:
                socket.send_fds(self._control, [message], descriptors)
            else:
                self._control.send(message)
        except OSError as error:
            msg = "the launcher is gone: it was killed from outside, or its Invoker was closed"
            raise LauncherLostError(msg, step="send an order", errno=error.errno) from error

    def close(self) -> None:
        """End the launcher and everything below it; nothing is left when this returns."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._control.close()
            self._process.wait()

    def abandon(self) -> None:
        """Forget a launcher that belongs to another process, of which this is a fork."""
        self._closed = True
        self._control.close()
        self._process.returncode = 0  # not this process's child: there is nothing to wait for
