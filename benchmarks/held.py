"""
What is held, and how exactly: ends, memory, time, CPU; and what holding them costs.

    python benchmarks/held.py [--isolation LEVEL] [--rounds N] [--quick] [PART...]

Where it can be, a figure is also taken by the function itself: the time at which it dies and
the memory that it has got travel back in its log, CPU time and time are those of its own
clocks.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from statistics import mean

import deeds
from faaskit import Invoker, function
from faaskit.definition import MB_PER_VCPU
from faaskit.invoke import Invocation
from measuring import heading, launcher_below, parser, percentile, table, verdict

_REPORTED_MS = 50
_MEMORY_SIZE = 256
_OVERSHOOT_MB = 32
_SHARE_POINTS = 1


def _told_at(invocation: Invocation) -> int:
    found = re.search(r"^at (\d+)$", invocation.logs, re.MULTILINE)
    assert found, invocation.logs
    return int(found[1])


def reports(invoker: Invoker, rounds: int) -> None:
    """Print how long after its death a function's end is in its caller's hand."""
    dying = function(name="dies")(deeds.dies)
    rows: list[list[object]] = []
    for how in ("SIGKILL", "SIGSEGV", "SIGABRT", "os._exit", "sys.exit"):
        taken = []
        for _ in range(rounds):
            invocation = invoker.invoke(dying, {"how": how})
            taken.append((time.monotonic_ns() - _told_at(invocation)) / 1e6)
            assert invocation.status == ("signal" if how.startswith("SIG") else "exit"), invocation
        worst = max(taken)
        rows.append([how, percentile(taken, 50), percentile(taken, 99), worst])
        rows[-1].append(f"{_REPORTED_MS}: {verdict(reached=worst <= _REPORTED_MS)}")
    heading(f'From a death to the Invocation in hand, "{invoker.isolation}"')
    table(["It ends by", "p50 ms", "p99 ms", "the most ms", "at most"], rows)


def memory(invoker: Invoker, rounds: int) -> None:
    """Print by how much a function can be over its size before it is dead."""
    filling = function(name="fills", memory_size=_MEMORY_SIZE, timeout=30)(deeds.fills)
    ways = ["bytearrays", "mmap", "huge_pages", "shared_mmap", "memfd", "children"]
    if importlib.util.find_spec("numpy"):
        ways.append("numpy")
    rows: list[list[object]] = []
    for how in ways:
        metered, counted, statuses = [], [], set()
        for _ in range(rounds):
            invocation = invoker.invoke(filling, {"how": how})
            statuses.add(invocation.status)
            head, _, marks = invocation.logs.partition("resident ")[2].partition("\n")
            metered.append(invocation.meter.max_memory_used_mb - _MEMORY_SIZE)
            counted.append(int(head) + marks.partition("END")[0].count(".") - _MEMORY_SIZE)
        worst = max(*metered, *counted)
        rows.append([how, ", ".join(sorted(statuses)), max(metered), mean(counted), max(counted)])
        rows[-1].append(f"{_OVERSHOOT_MB}: {verdict(reached=worst <= _OVERSHOOT_MB)}")
    heading(f'Over a memory size of {_MEMORY_SIZE} MB, "{invoker.isolation}"')
    columns = ["It fills", "status", "metered, the most MB", "its own count, mean MB"]
    table([*columns, "its own count, the most MB", "at most"], rows)


def timeouts(invoker: Invoker, rounds: int) -> None:
    """Print how long after its timeout a function's end is in its caller's hand."""
    staying = function(name="overstays", timeout=1, memory_size=1024)(deeds.overstays)
    rows: list[list[object]] = []
    for how in ("it sleeps", "a loop", "a loop in C", "it stops itself"):
        metered, seen = [], []
        for _ in range(rounds):
            invocation = invoker.invoke(staying, {"how": how})
            seen.append((time.monotonic_ns() - _told_at(invocation)) / 1e6 - 1000)
            assert invocation.status == "timeout", invocation
            metered.append(invocation.meter.duration_ms - 1000)
        rows.append([how, max(metered), percentile(seen, 50), max(seen)])
    heading(f'Over a timeout of 1 s, "{invoker.isolation}"')
    table(["It overstays", "metered, the most ms", "its own clock, p50 ms", "the most ms"], rows)


@contextlib.contextmanager
def _hogs(count: int) -> Iterator[None]:
    started = [
        subprocess.Popen([sys.executable, "-I", "-S", "-c", "while True: pass"])
        for _ in range(count)
    ]
    try:
        time.sleep(0.2 if count else 0)
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def cpu(invoker: Invoker, rounds: int) -> None:
    """Print what share of a processor a busy function gets, alone and beside others."""
    rows: list[list[object]] = []
    for seconds, processes in ((1, 1), (2, 1), (1, 3)):
        for size in (128, 512, 885):
            burning = function(name=f"burns-{size}", memory_size=size, timeout=30)(deeds.burns)
            invoker.warm(burning)
            for hogs in (0, 2):
                shares = []
                with _hogs(hogs):
                    for _ in range(rounds):
                        event = {"seconds": seconds, "processes": processes}
                        spent, took = invoker.invoke(burning, event).result()
                        shares.append(spent / took * 100)
                wanted = size / MB_PER_VCPU * 100
                worst = max(abs(share - wanted) for share in shares)
                rows.append([size, seconds, processes, hogs, wanted, mean(shares), worst])
                reached = worst <= _SHARE_POINTS
                rows[-1].append(f"{_SHARE_POINTS}: {verdict(reached=reached)}")
    heading(f'Share of a processor, by the function\'s own clocks, "{invoker.isolation}"')
    columns = ["memory_size", "over s", "processes", "hogs", "wanted %", "mean %"]
    table([*columns, "furthest off, points", "at most"], rows)


def controller(invoker: Invoker, rounds: int) -> None:
    """Print what the launcher itself uses while many functions run."""
    seconds = 1 if rounds < 3 else 5
    burning = function(name="burns", timeout=60)(deeds.burns)
    sleeping = function(name="sleeps", timeout=60)(deeds.mixed)
    invoker.warm(burning)
    launcher = launcher_below(os.getpid())
    rows: list[list[object]] = []
    for count in (1, 16, 64):
        for what, deed, event in (
            ("busy", burning, {"seconds": seconds + 2}),
            ("asleep", sleeping, {"do": "sleep", "seconds": seconds + 2}),
        ):
            futures = [invoker.submit(deed, event) for _ in range(count)]
            time.sleep(1)  # until all have begun
            before, began = _cpu_s(launcher.pid), time.monotonic()
            own = time.process_time()
            time.sleep(seconds)
            took = time.monotonic() - began
            used, own = _cpu_s(launcher.pid) - before, time.process_time() - own
            ended = [future.result() for future in futures]
            throttled = mean(each.meter.cpu_throttled_ms / each.meter.duration_ms for each in ended)
            share = mean(each.meter.cpu_time_ms / each.meter.duration_ms for each in ended)
            rows.append([count, what, share * 100, throttled * 100])
            rows[-1] += [used / took * 100, own / took * 100]
    heading(f'The controller\'s own cost, functions of 128 MB, "{invoker.isolation}"')
    columns = ["functions", "which are", "each got, % of a processor", "each throttled, % of time"]
    table([*columns, "launcher, % of a processor", "app, % of a processor"], rows)


def _cpu_s(pid: int) -> float:
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e9


_PARTS: dict[str, Callable[[Invoker, int], None]] = {
    "reports": reports,
    "memory": memory,
    "timeouts": timeouts,
    "cpu": cpu,
    "controller": controller,
}


def main() -> None:
    """Run it."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--isolation", choices=["namespace", "process"], default="namespace")
    arguments.add_argument("--rounds", type=int, default=10, help="of each; ends: ten times it")
    arguments.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(_PARTS)}")
    given = arguments.parse_args()
    if set(given.parts) - set(_PARTS):
        arguments.error(f"the parts are {', '.join(_PARTS)}")
    rounds = 1 if given.quick else given.rounds
    with Invoker(given.isolation) as invoker:
        for name in given.parts or _PARTS:
            _PARTS[name](invoker, rounds * 10 if name == "reports" else rounds)


if __name__ == "__main__":
    main()
