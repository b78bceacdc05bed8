"""
The CPU time of a call, of this tree and of another one, side by side in one run.

    python benchmarks/cpu_per_call.py --other ../faaskit-before/src --rounds 9 --calls 200

Counted by the kernel in a cgroup around each program, with all that it starts: app, launcher,
templates, environments, and whatever they join below it. Rounds of the two take turns, so that
a busy machine is as busy for both; the ratio is taken round by round.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from faaskit.sandbox.hierarchies import hierarchies

HERE = Path(__file__).parent

PROGRAM = """
import sys
from concurrent.futures import ThreadPoolExecutor
import faaskit
import plain_handler

function = faaskit.function(plain_handler.handler, memory_size=256, timeout=30)
with faaskit.Invoker(sys.argv[1]) as invoker:
    invoker.warm(function, 4)
    for _ in range(60):
        assert invoker.invoke(function, {"key": "value"}).ok
    print("ready", flush=True)
    for line in sys.stdin:
        calls, callers = map(int, line.split())
        with ThreadPoolExecutor(callers) as pool:
            events = [{"key": "value", "list": [1, 2, 3]}] * calls
            ended = list(pool.map(lambda event: invoker.invoke(function, event).ok, events))
        assert all(ended)
        print("done", flush=True)
"""


class Program:
    """One program that calls, in a cgroup of its own."""

    def __init__(self, source: Path, level: str, group: Path) -> None:
        self._group = group
        group.mkdir()
        self._process = subprocess.Popen(
            # It joins before it is Python: what it starts is below it from the beginning.
            [
                "sh",
                "-c",
                'echo $$ > "$0/cgroup.procs"; exec "$@"',
                str(group),
                sys.executable,
                "-c",
                PROGRAM,
                level,
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(source), str(HERE)])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._wait("ready")

    def _wait(self, word: str) -> None:
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        if said != word:
            msg = f"the program in {self._group} said {said!r} and not {word!r}"
            raise RuntimeError(msg)

    def _used_us(self) -> int:
        version_1 = self._group / "cpuacct.usage"
        if version_1.exists():
            return int(version_1.read_text()) // 1000
        return int((self._group / "cpu.stat").read_text().split()[1])

    def measure(self, calls: int, callers: int) -> float:
        """Return the CPU time of a call, in us."""
        before = self._used_us()
        assert self._process.stdin is not None
        print(calls, callers, file=self._process.stdin, flush=True)
        self._wait("done")
        return (self._used_us() - before) / calls

    def close(self) -> None:
        """End it, and remove its group."""
        self._process.communicate()
        with contextlib.suppress(OSError):
            self._group.rmdir()


def own_folder() -> Path:
    """Return this process's group in the hierarchy that counts CPU time."""
    mounted, own = (Path(f"/proc/self/{name}").read_text() for name in ("mountinfo", "cgroup"))
    for hierarchy in hierarchies(mounted, own):
        if "cpuacct" in hierarchy.controllers or hierarchy.version == 2:
            return Path(hierarchy.folder)
    sys.exit("there is no cgroup here that counts CPU time")


@contextlib.contextmanager
def programs(sources: dict[str, Path], level: str) -> Iterator[dict[str, Program]]:
    """Start one program for each source, and end them."""
    started: dict[str, Program] = {}
    try:
        for name, source in sources.items():
            group = own_folder() / f"cpu-per-call-{os.getpid()}-{name}"
            started[name] = Program(source, level, group)
        yield started
    finally:
        for program in started.values():
            program.close()


def main() -> None:
    """Measure, and print a table for each level."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--other", type=Path, help="src folder of another checkout")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--callers", type=int, default=2)
    parser.add_argument("--levels", nargs="+", default=["process", "namespace"])
    asked = parser.parse_args()
    sources = {"this": HERE.parent / "src"}
    if asked.other is not None:
        sources["other"] = asked.other.resolve()
    for level in asked.levels:
        used: dict[str, list[float]] = {name: [] for name in sources}
        with programs(sources, level) as started:
            for number in range(asked.rounds):
                turn = list(started.items())
                for name, program in turn if number % 2 else reversed(turn):
                    used[name].append(program.measure(asked.calls, asked.callers))
        for name, figures in used.items():
            print(f"{level:10} {name:6} {median(figures):8.0f} us of CPU a call (median)")
        if asked.other is not None:
            ratios = sorted(a / b for a, b in zip(used["this"], used["other"], strict=True))
            print(
                f"{level:10} ratio this/other: median {median(ratios):.2f}, "
                f"from {ratios[0]:.2f} to {ratios[-1]:.2f}"
            )


if __name__ == "__main__":
    main()
