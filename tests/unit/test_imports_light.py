"""All names of `faaskit` together load nothing that they may not need, and start nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

# Loaded by what needs it, when it needs it: extras, and whatever of the rest is slow to
# load or has hooks that every later fork pays for.
DEFERRED = [
    "IPython",
    "PIL",
    "asyncio",
    "boto3",
    "botocore",
    "dill",
    "matplotlib",
    "multiprocess",
    "multiprocessing",
    "numpy",
    "psutil",
    "ray",
    "starlette",
    "tqdm",
    "uvicorn",
]

# In a process of its own: this one has loaded half of the list for the tests themselves.
# Nothing is imported after it that could load or start what is then counted.
_PROBE = """
import json, os, sys, threading
before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
from faaskit import *
after = set(os.listdir("/proc/self/fd")) if before else set()
modules = {name.partition(".")[0] for name in sys.modules}
threads = [thread.name for thread in threading.enumerate()]
import psutil
children = [child.pid for child in psutil.Process().children()]
print(json.dumps({
    "modules": sorted(modules),
    "threads": threads,
    "children": children,
    "descriptors": sorted(after - before),
}))
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, Any]:
    """What a fresh interpreter has and runs, once all names of `faaskit` are there."""
    probe = subprocess.run(
        [sys.executable, "-c", _PROBE], capture_output=True, text=True, check=True
    )
    seen: dict[str, Any] = json.loads(probe.stdout)
    return seen


@pytest.mark.parametrize("module", DEFERRED)
def test_import_defers(imported: dict[str, Any], module: str) -> None:
    """Not even all of `faaskit` together loads this module."""
    assert module not in imported["modules"]


def test_import_starts_nothing(imported: dict[str, Any]) -> None:
    """It starts no thread and no process, and opens no file that it keeps."""
    started = {key: imported[key] for key in ("threads", "children", "descriptors")}
    assert started == {"threads": ["MainThread"], "children": [], "descriptors": []}


def test_a_name_loads_its_own_room_alone() -> None:
    """Who decides by policies does not load buckets, nor the Invoker."""
    probe = "import sys; from faaskit import Policy; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    loaded = set(said.stdout.split())
    assert "faaskit.iam" in loaded
    assert loaded.isdisjoint({"faaskit.app", "faaskit.invoke", "faaskit.resources", "sqlite3"})
