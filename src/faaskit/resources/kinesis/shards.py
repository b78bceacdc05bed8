"""
Shards: which hash keys are whose, and sequence numbers. Pure.

A sequence is a whole number that grows within a stream. It begins with the time, so that
those of a state folder that was thrown away and made anew still grow. A sequence number, as
Kinesis shows it, has 56 digits, and tells the shard, too::

    bit 185   1, which makes it 56 digits
    bits 100  the sequence
    bits 4    the shard
    bits 0    2, as AWS's have
"""

from __future__ import annotations

import hashlib
import re

__all__ = [
    "HASH_KEYS",
    "first_sequence_at",
    "hash_key",
    "hash_range",
    "next_sequence",
    "sequence_in_any_shard",
    "sequence_number",
    "sequence_of",
    "shard_id",
    "shard_number",
    "shard_of",
]

HASH_KEYS = 1 << 128

_BASE = 1 << 185
_SEQUENCE_SHIFT = 100
_SHARD_SHIFT = 4
_SHARD_MASK = (1 << 20) - 1
_VERSION = 2
_DIGITS = 56

# The low bits count within a millisecond, and past it if need be.
_TIME_SHIFT = 20
# SQLite's integers end in the year 2248; a clock that is moved past it only counts from here.
_LAST_TIME = (1 << 63) - (1 << 40)

_SHARD_ID = re.compile(r"shardId-([0-9]{12})")


def hash_range(shard: int, shards: int) -> tuple[int, int]:
    """Return the first and the last hash key of a shard; the last shard has what is over."""
    width = HASH_KEYS // shards
    last = HASH_KEYS - 1 if shard == shards - 1 else (shard + 1) * width - 1
    return shard * width, last


def shard_of(key: int, shards: int) -> int:
    """Return the shard that a hash key belongs to."""
    return min(key // (HASH_KEYS // shards), shards - 1)


def hash_key(partition_key: str) -> int:
    """Return the hash key of a partition key: the MD5 of its UTF-8."""
    digest = hashlib.md5(partition_key.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest, "big")


def shard_id(shard: int) -> str:
    """Return a shard's id: ``shardId-000000000000``."""
    return f"shardId-{shard:012d}"


def shard_number(name: str) -> int | None:
    """Return the shard of an id; None if it is none."""
    match = _SHARD_ID.fullmatch(name)
    return int(match[1]) if match is not None and name.isascii() else None


def next_sequence(last: int, now_ms: int) -> int:
    """Return a sequence that is greater than the last one, and no earlier than the time."""
    return max(last + 1, first_sequence_at(now_ms))


def first_sequence_at(moment_ms: int) -> int:
    """Return the least sequence of what arrives at a moment, or later."""
    return max(0, min(moment_ms << _TIME_SHIFT, _LAST_TIME))


def sequence_number(sequence: int, shard: int) -> str:
    """Return a sequence number as Kinesis shows it."""
    return str(_BASE | sequence << _SEQUENCE_SHIFT | shard << _SHARD_SHIFT | _VERSION)


def sequence_of(number: str, shard: int) -> int | None:
    """Return the sequence that a number of this shard is of; None for any other number."""
    if len(number) != _DIGITS or not number.isascii() or not number.isdecimal():
        return None
    value = int(number) - _BASE
    low = shard << _SHARD_SHIFT | _VERSION
    if value < 0 or value & ((1 << _SEQUENCE_SHIFT) - 1) != low:
        return None
    sequence = value >> _SEQUENCE_SHIFT
    return sequence if sequence < 1 << 63 else None


def sequence_in_any_shard(number: str) -> int | None:
    """Return the sequence that a number of any shard is of; None for what is no number."""
    if len(number) != _DIGITS or not number.isascii() or not number.isdecimal():
        return None
    value = int(number) - _BASE
    if value < 0:
        return None
    return sequence_of(number, value >> _SHARD_SHIFT & _SHARD_MASK)
