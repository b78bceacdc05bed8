"""What starts at AWS's smallest size there starts here: limits count memory, not addresses."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from faaskit import Invoker, function

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(params=["process", "namespace"])
def invoker(request: pytest.FixtureRequest) -> Iterator[Invoker]:
    """With all the CPU there is: this is about memory."""
    with Invoker(request.param, cpu_scaling=False) as made:
        yield made


@function(memory_size=128, timeout=60)
def run(event: Any, _context: Any) -> Any:
    """Run a program and return its exit code."""
    return subprocess.run(event, check=False, capture_output=True).returncode


@function(memory_size=128, timeout=60)
def multiply(event: Any, _context: Any) -> Any:
    """Have numpy, and the threads of its library, multiply."""
    import numpy as np

    return float((np.ones((event, event)) @ np.ones((event, event))).sum())


@function(memory_size=128, timeout=60)
def start_threads(event: Any, _context: Any) -> Any:
    """Have so many threads at once."""
    import threading

    gate = threading.Event()
    threads = [threading.Thread(target=gate.wait) for _ in range(event)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    return len(threads)


@pytest.mark.parametrize(
    "command",
    [["node", "-e", "1"], ["java", "-version"], ["python3", "-c", "1"]],
    ids=lambda c: c[0],
)
def test_other_runtimes(invoker: Invoker, command: list[str]) -> None:
    """They reserve far more addresses than the function has memory."""
    if shutil.which(command[0], path="/usr/bin:/bin") is None:
        pytest.skip(f"this host has no {command[0]}")
    assert invoker.invoke(run, command).result() == 0


def test_numpy(invoker: Invoker) -> None:
    """Its library reserves buffers for each processor of the host."""
    assert invoker.invoke(multiply, 300).result() == 300.0**3


def test_threads(invoker: Invoker) -> None:
    """Each reserves 8 MB for its stack and touches a few pages of it."""
    assert invoker.invoke(start_threads, 900).result() == 900
