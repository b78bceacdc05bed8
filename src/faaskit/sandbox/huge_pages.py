"""
Putting a template's memory into huge pages, once, before anything is forked from it.

Runs in the child; stdlib only. A fork copies one entry of the page tables for each page that
the template has touched: that is most of what a fork of a large image costs, and of its end.
A huge page has one entry in place of 512.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from . import kernel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["collapse"]

_SIZE = 2 * 1024 * 1024
_PAGES = _SIZE // 4096
# Pages that were never touched become real ones. A template may grow by a thirtieth at most.
_LEAST_TOUCHED = _PAGES * 31 // 32
# An environment that changes a page of a huge one has it split up first. A small image is all
# changed, and would lose.
_FEWEST = 8


def collapse(seconds: float) -> None:
    """
    Have the kernel move this process's own memory into huge pages, for so long at most.

    It takes some milliseconds for each, so it has a bound. Nothing may share the memory
    yet: whoever does keeps the former pages, and a large template would be there twice. A
    kernel before 6.1, or without huge pages at hand, refuses; nothing is lost then.
    """
    end = time.monotonic() + seconds
    try:
        found = list(_full(_own_memory()))
        if len(found) < _FEWEST:
            return
        for start in found:
            if time.monotonic() >= end:
                return
            kernel.collapse(start, _SIZE)
    except OSError:
        return


def _own_memory() -> Iterator[tuple[int, int]]:
    """Yield where this process has private memory that it may write and that is no file's."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            place, rights, _, _, inode, *_ = line.split(maxsplit=5)
            if rights == "rw-p" and inode == "0":
                start, end = place.split("-")
                yield int(start, 16), int(end, 16)


def _full(ranges: Iterable[tuple[int, int]]) -> Iterator[int]:
    """Yield where a huge page would lie of which nearly all has been touched."""
    for begin, end in ranges:
        first = -(-begin // _SIZE) * _SIZE
        for start in range(first, end - _SIZE + 1, _SIZE):
            if kernel.pages_present(start, _SIZE) >= _LEAST_TOUCHED:
                yield start
