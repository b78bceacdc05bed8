"""
The frames that an environment and the app exchange. Runs on both sides; stdlib only.

::

    0       1       2       4       8      12
    | kind  | last  |  0 0  |  id   | length | payload … |

A frame's payload is at most ``FRAME_LIMIT`` bytes. A message is one or more frames of the
same kind and id, the last marked so. Frames of different ids may interleave. The limit
bounds a frame, never an object: a body of any size goes in as many frames as it needs.

A message's content is a JSON header and a body of bytes: ``u32 length | header | body``.

What arrives from an environment may have been written by hostile code. The decoder checks
each header before it waits for a payload, so it never holds more than one frame, and it
raises ``WireError`` for what is not a frame. The assembler is told how large a message of
each kind may get.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Frame = tuple[int, bool, int, bytes]

__all__ = [
    "CALL",
    "ERROR",
    "FRAME_LIMIT",
    "INIT_DONE",
    "READY",
    "REASON_LIMIT",
    "REPLY",
    "REQUEST",
    "RESULT",
    "SETUP_FAILED",
    "Assembler",
    "Decoder",
    "HeaderTooLargeError",
    "WireError",
    "encode",
    "encode_message",
    "split_message",
    "split_payload",
]

FRAME_LIMIT = 256 * 1024
REASON_LIMIT = 2000  # of the text in INIT_DONE, in bytes

REQUEST = 1  # app to environment: the event
REPLY = 2  # app to environment: the answer to a call
READY = 3  # environment to app: parked
# Environment to app: INIT ran, in an environment the handler comes next. What a template sends
# with it is a text: what INIT left that can't be copied.
INIT_DONE = 4
RESULT = 5  # environment to app: the handler returned
ERROR = 6  # environment to app: the handler, or INIT, raised
CALL = 7  # environment to app: a service call
SETUP_FAILED = 8  # environment to app: ours, not the function's: step and errno

_KINDS = frozenset(range(REQUEST, SETUP_FAILED + 1))
_HEADER = struct.Struct(">BBHII")
_LENGTH = struct.Struct(">I")
HEADER_SIZE = _HEADER.size


class WireError(Exception):
    """Bytes that are no frame, or a message over its limit."""


class HeaderTooLargeError(WireError):
    """A message whose header is over its limit."""


def encode(kind: int, number: int, payload: bytes) -> Iterator[bytes]:
    """Yield the frames of one message, each ready to be written."""
    size = len(payload)
    if size <= FRAME_LIMIT:
        yield _HEADER.pack(kind, 1, 0, number, size) + payload
        return
    view = memoryview(payload)
    for start in range(0, size, FRAME_LIMIT):
        piece = view[start : start + FRAME_LIMIT]
        last = start + FRAME_LIMIT >= size
        yield _HEADER.pack(kind, last, 0, number, len(piece)) + piece


def encode_message(
    kind: int, number: int, header: Mapping[str, Any], body: bytes = b""
) -> Iterator[bytes]:
    """Yield the frames of a message with a JSON header and a body."""
    head = json.dumps(header).encode()
    return encode(kind, number, _LENGTH.pack(len(head)) + head + body)


def split_payload(payload: bytes, header_limit: int | None = None) -> tuple[bytes, bytes]:
    """
    Return a message's header, as the JSON text that it is, and its body.

    Args:
        payload: The message's content.
        header_limit: The largest header that is accepted, in bytes; None for any.

    Raises:
        HeaderTooLargeError: The header is over the limit.
        WireError: There is no such header.
    """
    if len(payload) < _LENGTH.size:
        msg = "a message without a header"
        raise WireError(msg)
    (size,) = _LENGTH.unpack_from(payload)
    end = _LENGTH.size + size
    if end > len(payload):
        msg = "a message that is shorter than its header says"
        raise WireError(msg)
    if header_limit is not None and size > header_limit:
        msg = f"a message whose header has {size} bytes, over {header_limit}"
        raise HeaderTooLargeError(msg)
    return payload[_LENGTH.size : end], payload[end:]


def split_message(payload: bytes) -> tuple[dict[str, Any], bytes]:
    """
    Return the header and body of a message that comes from the app, or is small.

    Raises:
        WireError: It has no such header.
    """
    text, body = split_payload(payload)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = "a message whose header is not JSON"
        raise WireError(msg) from error
    if not isinstance(header, dict):
        msg = "a message whose header is not an object"
        raise WireError(msg)
    return header, body


class Decoder:
    """
    Turns bytes, in pieces of any size, into frames.

    It holds at most one frame that is not complete yet.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """How many bytes wait for the rest of their frame."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """
        Return the frames that are complete now.

        Raises:
            WireError: These bytes are no frame. The decoder is of no use afterwards.
        """
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        start = 0
        while len(buffer) - start >= HEADER_SIZE:
            kind, last, zero, number, length = _HEADER.unpack_from(buffer, start)
            if kind not in _KINDS or last > 1 or zero or length > FRAME_LIMIT:
                msg = f"no frame: kind {kind}, flag {last}, length {length}"
                raise WireError(msg)
            end = start + HEADER_SIZE + length
            if end > len(buffer):
                break
            frames.append((kind, bool(last), number, bytes(buffer[start + HEADER_SIZE : end])))
            start = end
        if start:
            del buffer[:start]
        return frames


class Assembler:
    """
    Puts the frames of messages together again.

    Args:
        limits: The largest message of each kind that is taken, in bytes. Kinds that are
            not named are refused: each side takes only what the other may send.
        open_limit: How many messages may be under way at once.
    """

    def __init__(self, limits: Mapping[int, int], open_limit: int = 64) -> None:
        self._limits = limits
        self._open_limit = open_limit
        # One growing buffer a message: a list of the pieces would cost 40 bytes for each
        # frame of one byte.
        self._parts: dict[tuple[int, int], bytearray] = {}

    def add(self, frame: Frame) -> tuple[int, int, bytes] | None:
        """
        Return ``(kind, id, payload)`` if this frame completes a message.

        Raises:
            WireError: A kind that is not taken, or a message over its limit.
        """
        kind, last, number, payload = frame
        limit = self._limits.get(kind)
        if limit is None:
            msg = f"a frame of kind {kind}, which this side does not take"
            raise WireError(msg)
        key = (kind, number)
        part = self._parts.get(key)
        if len(payload) + (0 if part is None else len(part)) > limit:
            msg = f"a message of kind {kind} over {limit} bytes"
            raise WireError(msg)
        if last:
            if part is not None:
                del self._parts[key]
                part += payload
                payload = bytes(part)
            return kind, number, payload
        if not payload:
            # It would never end, and count for nothing.
            msg = "an empty frame in the middle of a message"
            raise WireError(msg)
        if part is None:
            if len(self._parts) >= self._open_limit:
                msg = f"more than {self._open_limit} messages under way"
                raise WireError(msg)
            part = self._parts[key] = bytearray()
        part += payload
        return None
