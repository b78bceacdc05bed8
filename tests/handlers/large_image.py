"""A module whose INIT fills much memory, with something that can be told again."""

from __future__ import annotations

from typing import Any

MB = 1 << 20
BALLAST = bytearray(64 * MB)
for _place in range(0, len(BALLAST), 4096):
    BALLAST[_place] = _place // 4096 % 251


def weigh(_event: Any, _context: Any) -> dict[str, Any]:
    """Return how much of this process is in huge pages, and whether all of it is as it was."""
    for place in range(0, len(BALLAST), 4096 * 64):
        if BALLAST[place] != place // 4096 % 251:
            return {"wrong": place}
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        sizes = {line.split()[0]: line.split()[1] for line in file}
    return {"huge_mb": int(sizes["AnonHugePages:"]) // 1024}
