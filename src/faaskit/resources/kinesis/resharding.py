"""
The shards of a stream that were split and merged: which there are, and which are open. Pure.

A stream that never was has as many as it was declared with, all alike; nothing is stored of
them. From the first split on, all of them are kept, as JSON.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence

from attrs import asdict, evolve, frozen

from faaskit.resources.kinesis.shards import HASH_KEYS, hash_range

__all__ = ["StoredShard", "alike", "merged", "parsed", "split", "written"]


@frozen
class StoredShard:
    """
    A shard.

    Attributes:
        number: Unique in its stream, ever.
        first_hash: Its first hash key.
        last_hash: Its last one.
        begun: The least sequence that a record of it may have.
        parents: The shards that it came from.
        ended: The greatest sequence; None while it is open.
    """

    number: int
    first_hash: int
    last_hash: int
    begun: int
    parents: tuple[int, ...] = ()
    ended: int | None = None

    @property
    def open(self) -> bool:
        """Whether records can be put into it."""
        return self.ended is None


def alike(count: int, begun: int) -> list[StoredShard]:
    """Return the shards of a stream that was never split or merged."""
    return [StoredShard(number, *hash_range(number, count), begun) for number in range(count)]


@functools.lru_cache(maxsize=64)
def parsed(text: str) -> tuple[StoredShard, ...]:
    """Return the shards that a text is of, in their order."""
    # Hash keys have more digits than other readers of JSON keep.
    return tuple(
        StoredShard(
            one["number"],
            int(one["first_hash"]),
            int(one["last_hash"]),
            one["begun"],
            tuple(one["parents"]),
            one["ended"],
        )
        for one in json.loads(text)
    )


def written(shards: Sequence[StoredShard]) -> str:
    """Return shards as text."""
    return json.dumps(
        [
            {**asdict(one), "first_hash": str(one.first_hash), "last_hash": str(one.last_hash)}
            for one in shards
        ]
    )


def split(
    shards: Sequence[StoredShard], number: int, at: int, *, last: int, begun: int
) -> list[StoredShard]:
    """
    Return the shards after one was split.

    Args:
        shards: Before.
        number: Of an open one.
        at: The first hash key of its second child.
        last: The last sequence that was given out.
        begun: The first one of the children.
    """
    old = next(one for one in shards if one.number == number)
    following = shards[-1].number + 1
    return [
        *(evolve(one, ended=last) if one is old else one for one in shards),
        StoredShard(following, old.first_hash, at - 1, begun, (number,)),
        StoredShard(following + 1, at, old.last_hash, begun, (number,)),
    ]


def merged(
    shards: Sequence[StoredShard], numbers: tuple[int, int], *, last: int, begun: int
) -> list[StoredShard]:
    """
    Return the shards after two were merged.

    Args:
        shards: Before.
        numbers: Of two open ones that are neighbours: the one that is merged first.
        last: The last sequence that was given out.
        begun: The first one of the child.
    """
    old = [one for one in shards if one.number in numbers]
    first = min(one.first_hash for one in old)
    final = max(one.last_hash for one in old)
    assert final < HASH_KEYS
    return [
        *(evolve(one, ended=last) if one in old else one for one in shards),
        StoredShard(shards[-1].number + 1, first, final, begun, numbers),
    ]
