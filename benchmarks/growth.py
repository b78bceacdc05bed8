"""
What calls cost as things grow: templates, functions, callers; and what a ready one holds.

    python benchmarks/growth.py [--isolation LEVEL] [--rounds N] [--calls N] [--quick]

Latency with calls 5 ms apart, rates back to back; the sizes take turns. What a ready
environment holds beyond its template are the pages that it has changed: the private dirty
memory of the processes that wait, by the kernel's account (to read that takes the same user,
or root).
"""

from __future__ import annotations

import importlib.util
import time
from statistics import mean, median

from measuring import (
    Runner,
    below,
    heading,
    launcher_below,
    parser,
    peer,
    percentile,
    side_by_side,
    table,
    verdict,
)

_MOST_PRIVATE_MB = 1.5


def by_one_thing(title: str, runners: dict[str, Runner], rounds: int, calls: int) -> None:
    """Print p50, p99 and rate of each."""
    figures = side_by_side(runners, rounds=rounds, gaps=calls, load=calls)
    for runner in runners.values():
        runner.close()
    base = next(iter(figures.values()))
    rows: list[list[object]] = []
    for name, of in figures.items():
        ratios = of.p50_us / base.p50_us, of.p99_us / base.p99_us, of.rate / base.rate
        rows.append([name, of.p50_us, of.p99_us, of.rate, *ratios])
    heading(title)
    columns = ["p50 µs", "p99 µs", "calls/s", "p50 ratio", "p99 ratio", "rate ratio"]
    table([title.split(",", maxsplit=1)[0], *columns], rows)


def by_callers(level: str, rounds: int, calls: int, most: int) -> None:
    """Print p50, p99 and rate against the number of callers, of one Invoker."""
    counts = [2**power for power in range(most.bit_length())]
    runner = Runner(peer("faaskit", isolation=level))
    callers = {str(count): count for count in counts}
    figures = side_by_side(
        dict.fromkeys(callers, runner), rounds=rounds, load=max(calls, most), callers=callers
    )
    runner.close()
    heading(f'Callers at once, back to back, "{level}"')
    rows: list[list[object]] = []
    for name, of in figures.items():
        p50, p99 = (percentile(of.loaded_ns, percent) / 1e6 for percent in (50, 99))
        rows.append([name, p50, p99, of.rate, of.rate / figures["1"].rate])
    table(["callers", "p50 ms", "p99 ms", "calls/s", "rate ratio"], rows)


def private_memory(level: str, ready: int) -> None:
    """Print what the environments that wait hold of their own."""
    rows: list[list[object]] = []
    images = {"a bare handler": {}, "100 MB of ballast": {"BALLAST_MB": "100"}}
    here = [name for name in ("numpy", "boto3") if importlib.util.find_spec(name)]
    if here:
        images[", ".join(here)] = {"PRELOAD": ",".join(here)}
    for name, environment in images.items():
        options = {"memory_size": 1024, "environment": environment, "ready": ready}
        runner = Runner(peer("faaskit", isolation=level, **options))
        runner.load(20, 1)
        time.sleep(1)  # until those that were taken have been replaced
        found = [_rollup(pid) for pid in _waiting(runner.processes[0].pid)]
        runner.close()
        dirty, proportional = ([each[key] for each in found] for key in ("Private_Dirty", "Pss"))
        reached = f"{_MOST_PRIVATE_MB}: {verdict(reached=max(dirty) <= _MOST_PRIVATE_MB)}"
        rows.append([name, len(found), median(dirty), max(dirty), mean(proportional), reached])
    heading(f'A ready environment beyond its template, "{level}"')
    table(
        ["image", "ready", "private dirty MB", "the most", "proportional MB", "at most"],
        rows,
    )


def _waiting(app: int) -> list[int]:
    """Return the environments below an app: who has no child and is nobody's first process."""
    depths = below(launcher_below(app).pid)
    parents = {parent for parent, _ in depths.values()}
    return [pid for pid in depths if pid not in parents and not _is_first(pid)]


def _is_first(pid: int) -> bool:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        (pids,) = (line.split()[1:] for line in file if line.startswith("NSpid:"))
    return len(pids) > 1 and pids[-1] == "1"


def _rollup(pid: int) -> dict[str, float]:
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        lines = [line.split() for line in file][1:]
    return {line[0].rstrip(":"): int(line[1]) / 1024 for line in lines}


def main() -> None:
    """Run it."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--isolation", choices=["namespace", "process"], default="namespace")
    arguments.add_argument("--rounds", type=int, default=10)
    arguments.add_argument("--calls", type=int, default=100, help="of each, in each round")
    given = arguments.parse_args()
    sizes, counts, most = [0, 20, 100, 500], [1, 10, 100], 64
    if given.quick:
        given.rounds, given.calls, sizes, counts, most = 1, 10, [0, 20, 100], [1, 10], 8
    level = given.isolation
    templates = {
        f"{size} MB": Runner(
            peer(
                "faaskit",
                isolation=level,
                memory_size=1024,
                environment={"BALLAST_MB": str(size)},
            )
        )
        for size in sizes
    }
    by_one_thing(f'Ballast in the template, "{level}"', templates, given.rounds, given.calls)
    functions = {
        str(count): Runner(peer("faaskit", isolation=level, functions=count)) for count in counts
    }
    by_one_thing(f'Functions called in turn, "{level}"', functions, given.rounds, given.calls)
    by_callers(level, given.rounds, given.calls * 4, most)
    private_memory(level, ready=8)


if __name__ == "__main__":
    main()
