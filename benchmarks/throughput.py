"""
Calls back to back from two callers, beside forks of processes of the same size, as ratios.

    python benchmarks/throughput.py [--rounds N] [--calls N] [--quick]

The peer is `os.fork` + pipe + `waitpid`, without any protection: of an interpreter that has
imported nothing, of one that has loaded what faaskit's template has, and of ones that have
loaded numpy and boto3, as the function has. Two callers are two threads; for the bare forks
also two programs, which don't wait for each other's fork as threads do.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from measuring import (
    Runner,
    bare,
    bare_template,
    heading,
    parser,
    peer,
    side_by_side,
    table,
    verdict,
)

_PLAIN = ("json", "socket")  # 13 MB; no fork hooks, as random and threading have
_PROGRAMS = ", two programs"
_LEVELS = {"process": 0.6, "namespace": 0.4}


def compare(title: str, commands: dict[str, list[str]], rounds: int, calls: int) -> None:
    """
    Print one table of bare forks and both levels.

    Args:
        title: What has been loaded.
        commands: The processes to fork, by name; the first is the one to be measured by.
        rounds: Turns.
        calls: In each turn.
    """
    preload = title.split(", ") if title != "nothing" else []
    runners = {}
    for name, command in commands.items():
        runners[name + _PROGRAMS] = Runner(command, command)
        runners[f"{name}, two threads"] = Runner(command)
    first = next(iter(runners))
    memory_size = 512 if preload else 128
    for level in _LEVELS:
        options = {"environment": {"PRELOAD": ",".join(preload)}, "memory_size": memory_size}
        runners[_own(level)] = Runner(peer("faaskit", isolation=level, **options))
    sizes = {name: runner.resident_mb() for name, runner in runners.items()}
    figures = side_by_side(runners, rounds=rounds, load=calls, callers=2)
    for runner in runners.values():
        runner.close()
    rows: list[Sequence[object]] = []
    rate = {name: of_way.rate for name, of_way in figures.items()}
    for name, of_way in figures.items():
        level = next((level for level in _LEVELS if name == _own(level)), "")
        reached = ""
        if level:
            least = 1 if preload else _LEVELS[level]
            reached = f"{least}: {verdict(reached=of_way.rate / rate[first] >= least)}"
        size = "" if level else f"{sizes[name]:.0f}"
        ratios = [of_way.rate / rate[other] for other in rate if other.endswith(_PROGRAMS)]
        rows.append([name, size, of_way.rate, *ratios, reached])
    heading(f"Two callers, back to back; loaded: {title}")
    to = [f"to that of {name.removeprefix('fork of ')}" for name in commands]
    table(["Way", "resident MB", "calls/s", *to, "to reach (first ratio)"], rows)


def _own(level: str) -> str:
    return f'faaskit, "{level}"'


def main() -> None:
    """Run it."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--calls", type=int, default=400, help="of each way, in each round")
    given = arguments.parse_args()
    if given.quick:
        given.rounds, given.calls = 2, 40
    compare(
        "nothing",
        {
            "fork of a plain interpreter": bare(modules=_PLAIN, site=True),
            "fork of one with nothing": bare(),
            "fork of the template's image": bare_template(),
        },
        given.rounds,
        given.calls,
    )
    here = [name for name in ("numpy", "boto3") if importlib.util.find_spec(name)]
    for modules in dict.fromkeys([tuple(here[:1]), tuple(here)]):
        if modules:
            image = {"fork of the same modules": bare(modules=modules, site=True)}
            compare(", ".join(modules), image, given.rounds, given.calls // 2)
    for name in {"numpy", "boto3"}.difference(here):
        print(f"\n{name} is not here: not measured.")


if __name__ == "__main__":
    main()
