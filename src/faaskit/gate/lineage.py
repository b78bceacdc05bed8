"""
How many invocations stand behind what is being done: AWS's recursive loop detection.

AWS counts the invocations of one chain of requests in the ``Lineage`` of the tracing header,
which its services pass on, and stops the one that would be the 17th. Here the count travels
with what a function causes: an event's and a message's row have it, and in between it is in
this thread's context. Chains by way of tables and streams are not counted, as on AWS.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

__all__ = ["MAX_DEPTH", "behind", "current"]

MAX_DEPTH = 16

_depth: ContextVar[int] = ContextVar("faaskit-lineage", default=0)


def current() -> int:
    """Return how many invocations stand behind what this thread causes; 0 outside of any."""
    return _depth.get()


@contextlib.contextmanager
def behind(depth: int) -> Iterator[None]:
    """Have so many stand behind what is done inside the ``with`` block."""
    token = _depth.set(depth)
    try:
        yield
    finally:
        _depth.reset(token)
