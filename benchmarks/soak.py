"""
Very many invocations of all kinds; ends with 1 if anything grows or goes wrong.

    python benchmarks/soak.py [--isolation LEVEL] [--calls N] [--every N] [--quick]

Sizes, failures, kills and timeouts are mixed, from four callers. Every so many calls, with
nothing running, it prints what the app and its launcher hold; the last quarter of these is
compared with the first.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import psutil

import deeds
from faaskit import Invoker, function
from faaskit.exceptions import FaaskitError
from measuring import below, heading, launcher_below, parser, table

_CALLERS = 4
_SIZES = (128, 256, 512, 1024)
# What it does: how often, of 1,000 calls, and how it must end.
_MIX = {
    "return": (0, "ok"),  # all the rest
    "raise": (50, "error"),
    "SIGKILL": (20, "signal"),
    "SIGSEGV": (20, "signal"),
    "os._exit": (20, "exit"),
    "overstay": (2, "timeout"),
    "fill": (2, "out_of_memory"),
    "daemon": (20, "ok"),
    "file": (20, "ok"),
    "large": (5, "ok"),
    "log": (20, "ok"),
    "sleep": (5, "ok"),
}
# By how much the median of the last quarter may be over that of the first.
_SLACK = {
    "app: descriptors": 16,
    "app: threads": 2,
    "app: RSS MB": 8,
    "processes below it": 12,
    "launcher: descriptors": 16,
    "launcher: RSS MB": 4,
    "any below: descriptors": 16,
    "any below: RSS MB": 8,
}


def soak(isolation: str, calls: int, every: int, seed: int) -> list[str]:
    """Run it; return what is wrong."""
    chance = random.Random(seed)
    deeds_left = list(_MIX)
    weights = [often for often, _ in _MIX.values()]
    weights[0] = 1000 - sum(weights)
    # Slowed down as a small one is, a function that does no more than the others can take
    # seconds: what must time out is another one.
    functions = [
        function(name=f"mixed-{size}", memory_size=size, timeout=60)(deeds.mixed) for size in _SIZES
    ]
    short = function(name="mixed-short", memory_size=256, timeout=1)(deeds.mixed)
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    samples: list[dict[str, float]] = []
    rows: list[list[object]] = []
    with Invoker(isolation) as invoker, ThreadPoolExecutor(_CALLERS) as callers:

        def call(do: str) -> None:
            which = short if do == "overstay" else chance.choice(functions)
            status: str
            try:
                status = invoker.invoke(which, {"do": do}).status
            except FaaskitError as error:
                status = f"{type(error).__name__}: {error}"
            seen[f"{do}: {status}"] += 1
            if status != _MIX[do][1]:
                wrong.append(f"{do} ended as {status}")

        done = 0
        while done < calls:
            batch = min(every, calls - done)
            began = time.monotonic()
            list(callers.map(call, chance.choices(deeds_left, weights, k=batch)))
            rate = batch / (time.monotonic() - began)
            done += batch
            samples.append(_sample())
            rows.append([done, f"{rate:.0f}", *samples[-1].values()])
            print(f"{done} calls, {rate:.0f}/s, {len(wrong)} wrong", file=sys.stderr, flush=True)
    heading(f'{calls:,} invocations, "{isolation}", seed {seed}')
    table(["calls", "calls/s", *samples[0]], rows)
    print()
    table(["did", "calls"], sorted(seen.items()))
    return _counted(wrong) + _grown(samples)


def _sample() -> dict[str, float]:
    time.sleep(1)  # until those that were taken have been replaced
    app, launcher = psutil.Process(), launcher_below(os.getpid())
    descriptors, sizes = [], []
    for pid in below(launcher.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            descriptors.append(process.num_fds())
            sizes.append(process.memory_info().rss / 2**20)
    figures = (
        app.num_fds(),
        app.num_threads(),
        app.memory_info().rss / 2**20,
        len(descriptors),
        launcher.num_fds(),
        launcher.memory_info().rss / 2**20,
        max(descriptors, default=0),
        max(sizes, default=0.0),
    )
    return dict(zip(_SLACK, figures, strict=True))


def _counted(wrong: list[str]) -> list[str]:
    return [f"{count} times {what}" for what, count in Counter(wrong).items()]


def _grown(samples: list[dict[str, float]]) -> list[str]:
    quarter = max(1, len(samples) // 4)
    found = []
    for name, slack in _SLACK.items():
        first, last = (
            median(sample[name] for sample in some)
            for some in (samples[:quarter], samples[-quarter:])
        )
        if last > first + slack:
            found.append(f"{name} grew from {first:.1f} to {last:.1f}")
    return found


def main() -> int:
    """Run it; return the exit code."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--isolation", choices=["namespace", "process"], default="namespace")
    arguments.add_argument("--calls", type=int, default=100_000)
    arguments.add_argument("--every", type=int, default=2500, help="calls between two looks")
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    if given.quick:
        given.calls, given.every = 1600, 200
    wrong = soak(given.isolation, given.calls, given.every, given.seed)
    print("\n" + ("\n".join(wrong) or "Nothing grew, and every call ended as it must."))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
