"""
What a gated call costs, as a ratio to the same boto3 call straight to moto's server.

    python benchmarks/gated.py [--rounds N] [--calls N] [--quick]

The peer is boto3 in this process, over HTTP to a moto server of its own on loopback: no
sandbox, no role. Beside it, in a function at each isolation: the same call through the gate to
moto, and to the app's own bucket. Time of one `get_object` of 100 bytes, and of one `put_object`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3

from faaskit import App, Invoker, Role, allow

_BODY = b"x" * 100


def timed(client: Any, bucket: str, calls: int) -> dict[str, list[float]]:
    """
    Make calls one after another.

    Returns:
        The seconds of each, by operation.
    """
    took: dict[str, list[float]] = {"get_object": [], "put_object": []}
    for _ in range(calls):
        for name, more in (("put_object", {"Body": _BODY}), ("get_object", {})):
            began = time.perf_counter()
            answer = getattr(client, name)(Bucket=bucket, Key="k", **more)
            if name == "get_object":
                answer["Body"].read()
            took[name].append(time.perf_counter() - began)
    return took


def work(event: dict[str, Any], context: Any) -> dict[str, list[float]]:  # noqa: ARG001
    """Make the calls inside a function."""
    return timed(boto3.client("s3", "us-east-1"), event["bucket"], event["calls"])


def server(service: str) -> tuple[subprocess.Popen[str], Any]:
    """Start a moto server on loopback; return it, and a client of one of its services."""
    program = (
        "from moto.server import ThreadedMotoServer as S; s = S('127.0.0.1', 0, verbose=False); "
        "s.start(); print(s.get_host_and_port()[1], flush=True); import sys; sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a line for each request
        text=True,
    )
    assert process.stdout is not None
    client: Any = boto3.client(  # type: ignore[call-overload]
        service,
        region_name="us-east-1",
        endpoint_url=f"http://localhost:{process.stdout.readline().strip()}",
        aws_access_key_id="any",
        aws_secret_access_key="any",  # noqa: S106 - moto looks at none
    )
    return process, client


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    rounds, calls = (1, 20) if arguments.quick else (arguments.rounds, arguments.calls)
    process, straight = server("s3")
    straight.create_bucket(Bucket="bench")
    found: dict[str, dict[str, list[float]]] = {}

    def note(way: str, took: dict[str, list[float]]) -> None:
        for name, seconds in took.items():
            found.setdefault(way, {}).setdefault(name, []).extend(seconds[len(seconds) // 10 :])

    role = Role("bench", policies=[allow("s3:*", on="*")])
    with App("bench", aws="moto") as app:
        app.client("s3").create_bucket(Bucket="bench")
        app.bucket("own")
        function = app.add_function(
            "work", code=Path(__file__).parent, handler="gated.work", role=role, memory_size=1769
        ).with_config(timeout=120)
        invokers = {level: Invoker(isolation=level) for level in ("process", "namespace")}
        for _ in range(rounds):
            note("straight to moto", timed(straight, "bench", calls))
            for level, invoker in invokers.items():
                for place, bucket in (("moto", "bench"), ("own bucket", "own")):
                    event = {"bucket": bucket, "calls": calls}
                    invocation = invoker.invoke(function, event)
                    note(f'gate, "{level}", {place}', invocation.result())
        for invoker in invokers.values():
            invoker.close()
    process.communicate("")
    print("| Way | operation | p50 | p99 | p50 ratio | p99 ratio |")
    print("|---|---|---|---|---|---|")
    for way, by_name in found.items():
        for name, seconds in sorted(by_name.items()):
            p50, p99 = _percentiles(seconds)
            base50, base99 = _percentiles(found["straight to moto"][name])
            print(
                f"| {way} | {name} | {p50 * 1e6:,.0f} µs | {p99 * 1e6:,.0f} µs "
                f"| {p50 / base50:.2f} | {p99 / base99:.2f} |"
            )


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    every = sorted(seconds)
    return every[len(every) // 2], every[int(len(every) * 0.99)]


if __name__ == "__main__":
    main()
