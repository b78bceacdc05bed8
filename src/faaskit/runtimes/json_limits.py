"""
Limits on the structure of JSON text, checked before it is parsed. Pure.

A list costs an app thirty times the three bytes that it is written with, and ``json.loads``
holds the interpreter's lock until the last one is made. So text from an environment is counted
before it is parsed.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
from collections.abc import Iterator
from typing import Any

from attrs import frozen

__all__ = ["JsonLimits", "JsonTooLargeError", "loads"]

_OPENING = (b"[", b"{")
_SEPARATOR = b","
_MANY = 100_000
_WINDOW = 1 << 16
_STEPS = bytes.maketrans(b"[{]}", b"\1\1\xff\xff")  # a level down, a level up, as signed bytes
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class JsonTooLargeError(ValueError):
    """JSON text that has more in it than its limits allow."""


@frozen
class JsonLimits:
    """
    The most that JSON text may hold.

    Attributes:
        values: Lists, objects and commas, which bound the number of values. What stands in
            strings does not count.
        depth: Levels of lists and objects in each other.
    """

    values: int
    depth: int


def loads(text: bytes, limits: JsonLimits) -> Any:
    """
    Return what JSON text says.

    Args:
        text: UTF-8. ``json.loads`` guesses UTF-16 and UTF-32 as well, in which a byte that
            looks like a quote may be half of another character.
        limits: What it may hold.

    Raises:
        JsonTooLargeError: It holds more.
        ValueError: It is not JSON, or not UTF-8.
        RecursionError: It is nested too deeply for this interpreter.
    """
    # A few characters, or few of these, can't be over any limit: nearly all that is ever sent.
    opened = sum(map(text.count, _OPENING))
    if opened > limits.depth or opened + text.count(_SEPARATOR) > limits.values:
        _check(text, limits)
    if opened < _MANY:
        return json.loads(text.decode())
    with _collection_paused():
        return json.loads(text.decode())


@contextlib.contextmanager
def _collection_paused() -> Iterator[None]:
    """
    Keep the garbage collector from running meanwhile.

    While a parser makes a million lists it would walk all of them over and over, in the one
    call that no other thread can interrupt: 1,300 ms for what takes 300 ms without. Whoever of
    two threads came first turns it on again; the other one then only takes longer.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _check(text: bytes, limits: JsonLimits) -> None:
    values = depth = 0
    for piece in _outside_strings(text):
        values += sum(map(piece.count, (*_OPENING, _SEPARATOR)))
        if values > limits.values:
            msg = f"it has more than {limits.values:,} lists, objects and commas"
            raise JsonTooLargeError(msg)
        steps = memoryview(piece.translate(_STEPS, _NO_BRACKETS)).cast("b")
        depths = list(itertools.accumulate(steps, initial=depth))
        if max(depths) > limits.depth:
            msg = f"it is nested over {limits.depth} levels deep"
            raise JsonTooLargeError(msg)
        depth = depths[-1]


def _outside_strings(text: bytes) -> Iterator[bytes]:
    """Yield what stands outside of strings, in pieces; other threads may run between two."""
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    in_string = False
    for start in range(0, len(plain), _WINDOW):
        parts = plain[start : start + _WINDOW].split(b'"')
        yield b"".join(parts[in_string::2])
        in_string ^= len(parts) % 2 == 0
