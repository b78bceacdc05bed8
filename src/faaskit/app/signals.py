"""What an app does on SIGTERM while it serves."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

__all__ = ["on_sigterm"]


@contextlib.contextmanager
def on_sigterm(stop: Callable[[], None]) -> Iterator[None]:
    """Have SIGTERM call something, where this thread may decide on signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stop())
    try:
        yield
    finally:
        # None: it was set by something that is not Python, and can't be set again from here.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
