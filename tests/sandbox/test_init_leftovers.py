"""Files that INIT leaves open: opened anew for each call, or else INIT runs in each of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import init_leftovers
import pytest
from probes import family, wait_gone

from faaskit import Invoker, function
from faaskit.functions import Function

pytestmark = pytest.mark.timeout(100)

COPIED = ["data_file", "system_file", "deleted_file", "inheritable_file", "folder"]
STATELESS = [
    "nothing",
    "ended_process",
    "devices",
    "read_only_mapping",
    "private_mapping",
    "place",
    "garbage",
    "memory_database",
    "closed_in_a_hook",
    "numerical_library",
]


@pytest.fixture(scope="module", params=["process", "namespace"])
def invoker(request: pytest.FixtureRequest) -> Iterator[Invoker]:
    """One Invoker for all of a level."""
    with Invoker(request.param) as made:
        yield made
        processes = family(made)
    wait_gone(processes)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a file of two lines; what is read of it at once is less than there is."""
    path = tmp_path / "data"
    path.write_text("header\n" + "x" * 100_000)
    for folder in (path, *path.parents):  # an ordinary user's folders are closed to others
        if folder.owner() == path.owner() and folder.is_relative_to(tmp_path.parent):
            folder.chmod(0o755)
    return path


def leaving(invoker: Invoker, what: str, data: Path) -> Function:
    """Return a function whose INIT leaves that."""
    made: Function = function(
        init_leftovers.handler,
        name=what,
        environment={"LEFT": what, "DATA": str(data)},
        readable=(str(data.parent),) if invoker.isolation == "namespace" else (),
        memory_size=256,
        timeout=20,
    )
    return made


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("temporary_file", r"a file without a name that is open for writing \(descriptor \d+\)"),
        ("written_file", "a file without a name that is open for writing"),
        ("log_file", "a file without a name that is open for writing"),
        ("database", "a file without a name that is open for writing"),
        ("shared_mapping", "a shared memory mapping of 12,288 bytes"),
        ("shared_value", "a shared memory mapping of"),
        ("semaphore", "a shared memory mapping of"),
        ("pipe", r"a pipe \(descriptor \d+\) and a pipe \(descriptor \d+\)"),
        ("sockets", r"a socket \(descriptor \d+\)"),
        ("listener", r"a socket \(descriptor \d+\)"),
        ("memory_file", r"a file in memory that is open for writing \(descriptor \d+\)"),
        ("epoll", r"an epoll instance, as an event loop has one \(descriptor \d+\)"),
        ("event_loop", "an epoll instance, as an event loop has one"),
        ("process_file", r"a file '/proc/\d+/stat' about the process of INIT"),
        ("process", r"a process running \(pid \d+\)"),
        ("locked_file", r"a locked file '.*init_leftovers.py' \(descriptor \d+\)"),
    ],
)
def test_state_that_init_leaves_is_no_part_of_a_snapshot(
    invoker: Invoker, data: Path, what: str, told: str
) -> None:
    """INIT runs in each call, which sees nothing of the ones before it; a warning says why."""
    made = leaving(invoker, what, data)
    pattern = f"function '{what}' leaves .*{told}.* after INIT.*snapshot=False"
    with pytest.warns(RuntimeWarning, match=pattern):
        first = invoker.invoke(made)
    others = [invoker.invoke(made), *invoker.map(made, [None] * 4, concurrency=3)]
    assert first.ok, first.logs
    for other in others:
        assert other.payload == first.payload
        assert other.meter.init_duration_ms is not None


@pytest.mark.parametrize("what", [*COPIED, *STATELESS])
def test_a_snapshot_has_what_can_be_opened_again(invoker: Invoker, data: Path, what: str) -> None:
    """Files that are only read have a position of their own in each call; nothing is warned of."""
    made = leaving(invoker, what, data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = invoker.invoke(made)
    others = [invoker.invoke(made), *invoker.map(made, [None] * 6, concurrency=3)]
    assert first.ok, first.logs
    for other in others:
        assert other.payload == first.payload
        assert other.meter.init_duration_ms is None
    wanted = {
        "data_file": ["header\n", 100_000],
        "deleted_file": [50, False],
        "inheritable_file": [1000, True],
        "folder": 0,
    }
    assert first.payload == [wanted.get(what, first.payload[0]), 1]


def test_nothing_is_warned_of_without_a_snapshot(invoker: Invoker, data: Path) -> None:
    """Whoever declares snapshot=False knows that INIT runs in each call."""
    made = leaving(invoker, "temporary_file", data).with_config(snapshot=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [invoker.invoke(made).payload for _ in range(2)] == [[0, 1]] * 2


def test_a_file_that_is_gone_on_the_disk_is_opened_again(invoker: Invoker, data: Path) -> None:
    """By what INIT has open, not by its name."""
    made = leaving(invoker, "data_file", data)
    first = invoker.invoke(made)
    data.unlink()
    data.write_text("another\n")
    assert invoker.invoke(made).payload == first.payload == [["header\n", 100_000], 1]
