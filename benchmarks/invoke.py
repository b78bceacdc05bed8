"""
What one call costs: faaskit beside its peers, in one run, as ratios.

    python benchmarks/invoke.py [--calls N] [--json]

Each way runs a trivial handler (a dict in, a dict out). Latency is taken with calls 5 ms
apart, as a person or a web server makes them; throughput back to back, from one caller.
Ways take turns in small rounds, so that a slow minute of the machine hits all of them.
Only the first is a fresh, limited, metered process for each call.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import socket
import sys
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

from pebble import concurrent

from faaskit import Invoker, function

EVENT = {"key": "value", "numbers": [1, 2, 3]}
ROUNDS = 10
Way = Callable[[], Any]


def handler(event: Any, _context: Any) -> Any:
    return {"seen": event["key"], "total": sum(event["numbers"])}


trivial = function(name="trivial")(handler)


def _child(connection: Any) -> None:
    connection.send(handler(EVENT, None))


def process_per_call() -> Any:
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(target=_child, args=(theirs,))
    process.start()
    result = ours.recv()
    process.join()
    return result


@concurrent.process(mp_context=multiprocessing.get_context("fork"))
def _pebble() -> Any:
    return handler(EVENT, None)


def pebble_per_call() -> Any:
    return _pebble().result()


def bare_fork() -> Any:
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pid = os.fork()
    if pid == 0:
        os.write(write, json.dumps(handler(EVENT, None)).encode())
        os._exit(0)
    os.close(write)
    result = json.loads(os.read(read, 65536))
    os.close(read)
    os.waitpid(pid, 0)
    return result


class WarmWorker:
    """One process, reused, behind a socketpair: no freshness, no limit, no meter."""

    def __init__(self) -> None:
        self.ours, theirs = socket.socketpair()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 3.12: there are threads; none holds a lock here
            self.pid = os.fork()
        if self.pid == 0:
            self.ours.close()
            while data := theirs.recv(65536):
                theirs.send(json.dumps(handler(json.loads(data), None)).encode())
            os._exit(0)
        theirs.close()

    def call(self) -> Any:
        """Send the event, wait for the result."""
        self.ours.send(json.dumps(EVENT).encode())
        return json.loads(self.ours.recv(65536))

    def close(self) -> None:
        """End the worker."""
        self.ours.close()
        os.waitpid(self.pid, 0)


def latencies(way: Way, calls: int) -> list[float]:
    taken = []
    for _ in range(calls):
        began = time.perf_counter()
        way()
        taken.append(time.perf_counter() - began)
        time.sleep(0.005)
    return taken


def rate(way: Way, calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        way()
    return calls / (time.perf_counter() - began)


def measure(ways: dict[str, Way], calls: int) -> dict[str, dict[str, float]]:
    each = max(5, calls // ROUNDS)
    gaps: dict[str, list[float]] = {name: [] for name in ways}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()  # whatever is started at the first call is not what is measured
    for _ in range(ROUNDS):
        for name, way in ways.items():
            gaps[name].extend(latencies(way, each))
            rates[name].append(rate(way, each))
    figures = {}
    for name, taken in gaps.items():
        ordered = sorted(taken)
        figures[name] = {
            "p50_us": median(ordered) * 1e6,
            "p99_us": ordered[int(len(ordered) * 0.99)] * 1e6,
            "calls_per_s": median(rates[name]),
        }
    return figures


def table(figures: dict[str, dict[str, float]]) -> None:
    own = figures["faaskit"]
    print(f"{'way':34} {'p50 µs':>9} {'p99 µs':>9} {'calls/s':>9}   p50, p99, rate to faaskit's")
    for name, row in figures.items():
        p50, p99, calls = row["p50_us"], row["p99_us"], row["calls_per_s"]
        ratios = (
            f"{p50 / own['p50_us']:6.2f} {p99 / own['p99_us']:6.2f} "
            f"{calls / own['calls_per_s']:6.2f}"
        )
        print(f"{name:34} {p50:9.0f} {p99:9.0f} {calls:9.0f}   {ratios}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What one call costs, beside its peers.")
    parser.add_argument("--calls", type=int, default=500, help="of each way, each measure")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    worker = WarmWorker()
    with Invoker() as invoker:
        ways: dict[str, Way] = {
            "faaskit": lambda: invoker.invoke(trivial, EVENT).result(),
            "multiprocessing.Process per call": process_per_call,
            "pebble, process per call": pebble_per_call,
            "os.fork + pipe + waitpid": bare_fork,
            "warm socketpair worker, reused": worker.call,
        }
        expected = handler(EVENT, None)
        for name, way in ways.items():
            assert way() == expected, name
        figures = measure(ways, arguments.calls)
    worker.close()
    if arguments.json:
        json.dump(figures, sys.stdout, indent=2)
    else:
        table(figures)


if __name__ == "__main__":
    main()
