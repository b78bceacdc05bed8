"""
What one call costs, faaskit beside its peers, in one run and as ratios.

    python benchmarks/invoke.py [--rounds N] [--calls N] [--quick]

Each way runs a trivial handler (a dict in, a dict out) in a process of its own, and they take
turns. Latency is taken with calls 5 ms apart, as a person or a web server makes them; the rate
back to back, from one caller. Only faaskit's are fresh, limited and metered processes.
A peer that is not installed is named.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from measuring import (
    Missing,
    Runner,
    bare,
    heading,
    parser,
    peer,
    percentile,
    side_by_side,
    table,
    verdict,
)

_OWN = 'faaskit, "namespace"'
# What a peer's p50 is to be of faaskit's at least, where something was promised.
_WAYS = {
    _OWN: (peer("faaskit"), None),
    'faaskit, "process"': (peer("faaskit", isolation="process"), None),
    "warm socketpair worker, reused": (peer("warm_worker"), 1 / 3),
    "`multiprocessing.Pool(maxtasksperchild=1)`": (peer("pool"), 3),
    "`multiprocessing.Process`": (peer("process"), 8),
    "pebble": (peer("pebble"), 10),
    "`os.fork` + pipe + `waitpid`": (bare(), None),
    "python-lambda-local, library": (peer("lambda_local"), 15),
    "python-lambda-local, command": (peer("lambda_local_command"), 15),
    "bubblewrap + python": (peer("bubblewrap"), 80),
}
_IMPORT_MS = 120


def compare(rounds: int, calls: int) -> None:
    """Print the table of ways."""
    runners: dict[str, Runner] = {}
    missing = {}
    for name, (command, _) in _WAYS.items():
        try:
            runners[name] = Runner(command)
        except Missing as reason:
            missing[name] = str(reason)
    figures = side_by_side(runners, rounds=rounds, gaps=calls, load=calls)
    for runner in runners.values():
        runner.close()
    own = figures[_OWN]
    heading("Calls 5 ms apart; back to back from one caller")
    rows: list[list[object]] = []
    for name, (_, least) in _WAYS.items():
        if name in missing:
            rows.append([name, f"not here: {missing[name]}", *[""] * 6])
            continue
        way = figures[name]
        ratio = way.p50_us / own.p50_us
        reached = "" if least is None else f"{least:.2f}: {verdict(reached=ratio >= least)}"
        others = way.p99_us / own.p99_us, way.rate / own.rate
        rows.append([name, way.p50_us, way.p99_us, way.rate, ratio, *others, reached])
    columns = ["Way", "p50 µs", "p99 µs", "calls/s", "p50 ratio", "p99 ratio", "rate ratio"]
    table([*columns, "p50 ratio to reach"], rows)


def imports(runs: int) -> None:
    """Print what importing faaskit costs, and its main names, compiled as if installed."""
    codes = ["pass", "import faaskit", "from faaskit import App, Invoker, function"]
    taken: dict[str, list[float]] = {code: [] for code in codes}
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for turn in range(runs + 1):
            for code, of_code in taken.items():
                began = time.perf_counter()
                subprocess.run([sys.executable, "-c", code], check=True, env=environment)
                if turn:  # the first compiles
                    of_code.append((time.perf_counter() - began) * 1000)
    heading("Importing")
    typical = {code: percentile(each, 50) for code, each in taken.items()}
    rows: list[list[object]] = []
    for code, whole_ms in typical.items():
        cost = whole_ms - typical["pass"]
        reached = f"{_IMPORT_MS}: {verdict(reached=cost <= _IMPORT_MS)}"
        rows.append([f"`{code}`", whole_ms, cost, "" if code == "pass" else reached])
    table(["python -c", "ms", "beyond `pass`, ms", "at most"], rows)


def main() -> None:
    """Run it."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rounds", type=int, default=20)
    arguments.add_argument("--calls", type=int, default=50, help="of each way, in each round")
    given = arguments.parse_args()
    if given.quick:
        given.rounds, given.calls = 2, 5
    compare(given.rounds, given.calls)
    imports(5 if given.quick else 20)


if __name__ == "__main__":
    main()
