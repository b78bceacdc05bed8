"""The log of an invocation while it is written: bounded, whatever the pieces are."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faaskit.invoke.logs import LogBuffer


@pytest.mark.parametrize("size", [1, 2, 100, 5000, 65536])
def test_a_log_in_small_pieces_takes_no_more_memory_than_in_large_ones(size: int) -> None:
    """A function that writes two bytes at a time costs its app what its log holds, not 25 times."""
    limit = 1024 * 1024
    tracemalloc.start()
    try:
        buffer = LogBuffer(limit)
        for number in range((4 if size > 2 else 2) * limit // size):
            # A new object for each piece, as a read from a pipe returns it.
            buffer.add(number.to_bytes(3, "big").ljust(size, b".")[:size])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * limit  # a buffer is copied while it grows


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=40), st.integers(2, 60))
def test_a_log_keeps_its_two_ends_however_it_was_cut(pieces: list[bytes], limit: int) -> None:
    """The head and the tail are the same as if all had come at once, and the rest is counted."""
    buffer, whole = LogBuffer(limit), b"".join(pieces)
    for piece in pieces:
        buffer.add(piece)
    half = limit // 2
    head, rest = whole[:half], whole[half:]
    dropped, tail = max(0, len(rest) - half), rest[-half:]
    if dropped:
        mark = f"\n[faaskit: {dropped} bytes of log were dropped here]\n"
        wanted = head.decode("utf-8", "replace") + mark + tail.decode("utf-8", "replace")
    else:
        wanted = whole.decode("utf-8", "replace")
    assert buffer.text() == wanted
