"""What the benchmarks share: ways to call that take turns, and Markdown tables of figures."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import IO, Any

import psutil
from attrs import define, field

import faaskit

__all__ = [
    "Figures",
    "Missing",
    "Runner",
    "bare",
    "bare_template",
    "below",
    "heading",
    "launcher_below",
    "parser",
    "peer",
    "percentile",
    "side_by_side",
    "table",
    "verdict",
]

_HERE = Path(__file__).parent
_CHILD_SIDE = Path(faaskit.__file__).parent / "sandbox"


class Missing(Exception):  # noqa: N818  # it is not an error
    """A peer that is not installed here."""


class Runner:
    """
    One way to call, in one or several processes of its own.

    Args:
        commands: Of each process; it speaks as ``bare.serve`` does. Several stand for as many
            programs that call at once.
    """

    def __init__(self, *commands: Sequence[str]) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.processes = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
                env=environment,
            )
            for command in commands
        ]
        for process in self.processes:
            said = _pipe(process.stdout).readline().strip()
            if said != "ready":
                self.close()
                raise Missing(said.removeprefix("missing: ") or "it did not start")

    def gaps(self, calls: int) -> list[int]:
        """Return how long calls took, in ns, each after a gap."""
        (taken,) = self._ask([f"gaps {calls}"] * len(self.processes))
        return taken

    def load(self, calls: int, callers: int) -> tuple[float, list[int]]:
        """Return calls/s back to back, and how long each took, in ns."""
        count = len(self.processes)
        answers = self._ask([f"load {calls // count} {callers // count}"] * count)
        taken = [each for answer in answers for each in answer[1:]]
        return len(taken) / max(answer[0] for answer in answers) * 1e9, taken

    def _ask(self, requests: list[str]) -> list[list[int]]:
        for process, request in zip(self.processes, requests, strict=True):
            _pipe(process.stdin).write(request + "\n")
        answers = [_pipe(process.stdout).readline().split() for process in self.processes]
        if not all(answers):
            msg = f"{self.processes[0].args!r} ended instead of an answer"
            raise RuntimeError(msg)
        return [list(map(int, answer)) for answer in answers]

    def resident_mb(self) -> float:
        """Return the resident size of (the first of) its processes."""
        return float(psutil.Process(self.processes[0].pid).memory_info().rss) / 2**20

    def close(self) -> None:
        """Let them end."""
        for process in self.processes:
            _pipe(process.stdin).close()
            process.wait()
            _pipe(process.stdout).close()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def peer(way: str, **options: Any) -> list[str]:
    """Return the command of a way in ``peers``."""
    # 3.12 warns of forks beside threads, which is what some of them do.
    return [
        sys.executable, "-W", "ignore", str(_HERE / "peers.py"), way, json.dumps(options)
    ]  # fmt: skip


def bare(*, modules: Iterable[str] = (), site: bool = False) -> list[str]:
    """Return the command of a process that forks itself, having loaded these modules."""
    return _bare("", modules, site=site)


def bare_template(modules: Iterable[str] = ()) -> list[str]:
    """Return that of one that has loaded what faaskit's template has."""
    return _bare(str(_CHILD_SIDE), modules, site=False)


def _bare(folder: str, modules: Iterable[str], *, site: bool) -> list[str]:
    switches = ["-W", "ignore", *([] if site else ["-I", "-S", "-E"])]
    path = [entry for entry in sys.path if entry.endswith("site-packages")]
    script = str(_HERE / "bare.py")
    return [sys.executable, *switches, script, folder, ",".join(modules), *path]


@define
class Figures:
    """
    What was measured of one way.

    Attributes:
        gaps_ns: Of each call that had a gap before it.
        rates: Calls/s of each round.
        loaded_ns: Of each call back to back.
    """

    gaps_ns: list[int] = field(factory=list)
    rates: list[float] = field(factory=list)
    loaded_ns: list[int] = field(factory=list)

    @property
    def p50_us(self) -> float:
        """The median with gaps."""
        return percentile(self.gaps_ns, 50) / 1000

    @property
    def p99_us(self) -> float:
        """All but one in a hundred, with gaps."""
        return percentile(self.gaps_ns, 99) / 1000

    @property
    def rate(self) -> float:
        """The median of the rounds' rates."""
        return median(self.rates)


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the value that so many percent are not over."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def side_by_side(
    runners: Mapping[str, Runner],
    *,
    rounds: int,
    gaps: int = 0,
    load: int = 0,
    callers: int | Mapping[str, int] = 1,
) -> dict[str, Figures]:
    """
    Measure ways in turns, so that a slow minute of the machine hits all of them.

    Args:
        runners: By name.
        rounds: How many turns each has.
        gaps: Calls with gaps, in each turn.
        load: Calls back to back, in each turn.
        callers: That call back to back, for all or by name.
    """
    figures = {name: Figures() for name in runners}
    for turn in range(rounds + 1):
        for name, runner in runners.items():
            of_way = Figures() if turn == 0 else figures[name]  # the first is to warm up
            if gaps:
                of_way.gaps_ns += runner.gaps(gaps)
            if load:
                several = callers if isinstance(callers, int) else callers[name]
                rate, taken = runner.load(load, several)
                of_way.rates.append(rate)
                of_way.loaded_ns += taken
    return figures


def parser(text: str) -> argparse.ArgumentParser:
    """Return a parser with what all the scripts have."""
    made = argparse.ArgumentParser(description=text.strip().splitlines()[0])
    made.add_argument("--quick", action="store_true", help="few of everything, to try the script")
    return made


def heading(text: str) -> None:
    """Print a table's title, with the machine that the figures are of."""
    print(f"\n**{text}** ({os.cpu_count()} cores, Linux {platform.release().split('-')[0]}, "
          f"CPython {platform.python_version()}, load {os.getloadavg()[0]:.1f})\n")  # fmt: skip


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a Markdown table."""
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(map(_cell, row)) + " |", flush=True)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def verdict(*, reached: bool) -> str:
    """Return the word for a figure that was, or was not, reached."""
    return "yes" if reached else "**no**"


def below(root: int) -> dict[int, tuple[int, int]]:
    """Return all processes below one, each with its parent and its depth, from 1."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with (
                contextlib.suppress(OSError),
                open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file,
            ):
                parents[int(entry)] = int(file.read().rpartition(")")[2].split()[1])
    found: dict[int, tuple[int, int]] = {}
    level, depth = {root}, 0
    while level:
        depth += 1
        next_level = {pid: (parent, depth) for pid, parent in parents.items() if parent in level}
        found.update(next_level)
        level = set(next_level)
    return found


def launcher_below(pid: int) -> psutil.Process:
    """Return the launcher that this process has started."""
    for child in psutil.Process(pid).children():
        if any("_faaskit_child.launcher" in word for word in child.cmdline()):
            return child
    msg = f"process {pid} has no launcher"
    raise LookupError(msg)
