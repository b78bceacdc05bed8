"""
Calls in a container: its limits count, not the host's, and calls wait instead of being killed.

A cgroup of the test's own stands for the container: version 1, whose groups root may make.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import room_deeds
from probes import Lifeline, until

from faaskit import Function, Invoker, function
from faaskit.invoke.concurrency import Concurrency
from faaskit.runtimes.capacity import delegated_controllers
from faaskit.runtimes.room import Room

pytestmark = pytest.mark.timeout(150)

MB = 1024 * 1024
LEVELS = pytest.mark.parametrize("level", ["process", "namespace"])


def own_group(controller: str) -> Path:
    """Return the folder of this process's group."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return Path(f"/sys/fs/cgroup/{controller}{path}")
    raise AssertionError(controller)


@contextlib.contextmanager
def group(controller: str, **limits: int) -> Iterator[Path]:
    """Make a group below this process's own, with limits; skip where that is not allowed."""
    if controller not in delegated_controllers().get("v1", ()):
        pytest.skip(f"this process may make no {controller} cgroup of version 1")
    folder = own_group(controller) / f"faaskit-test-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    try:
        for name, value in limits.items():
            (folder / f"{controller}.{name}").write_text(str(value))
        yield folder
    finally:
        until(lambda: _removed(folder), "the end of all processes in the group")


def _removed(folder: Path) -> bool:
    for below in folder.iterdir():
        if below.is_dir():  # a launcher's, which is ending
            with contextlib.suppress(OSError):
                _removed(below)
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not folder.exists()


def start_in(group: Path, *command: str) -> subprocess.Popen[str]:
    """Start a command in a group."""
    enter = f'echo $$ > {group}/cgroup.procs && exec "$@"'
    return subprocess.Popen(
        ["sh", "-c", enter, "sh", *command],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_in(group: Path, *command: str) -> str:
    """Run a command in a group to its end; return what it printed."""
    with start_in(group, *command) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (process.returncode, out, err)
    return out


ALLOCATING = """
    import sys
    import room_deeds
    from faaskit import Invoker, function

    allocates = function(room_deeds.allocates, memory_size=128, timeout=60)
    with Invoker(sys.argv[1], cpu_scaling=False) as invoker:
        events = [{"mb": 85, "seconds": 0.5}] * 6
        ended = list(invoker.map(allocates, events, concurrency=6))
    assert [one.status for one in ended] == ["ok"] * 6, ended
    times = sorted(one.payload[:2] for one in ended)
    print(all(end <= begin for (_, end), (begin, _) in zip(times, times[1:])))
"""


@LEVELS
def test_calls_wait_for_memory_that_the_container_allows(tmp_path: Path, level: str) -> None:
    """In 300 MB there is room for one call of 128 MB beside the app; all six succeed in turn."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(ALLOCATING))
    with group("memory", limit_in_bytes=300 * MB) as container:
        assert run_in(container, sys.executable, str(script), level) == "True\n"
        events = (container / "memory.oom_control").read_text().split()
        assert "oom_kill" not in events or events[events.index("oom_kill") + 1] == "0"


def test_doctor_shows_the_limits_of_a_container() -> None:
    """The limit, what the host has, and what that means for calls."""
    with group("memory", limit_in_bytes=300 * MB) as container:
        said = run_in(container, sys.executable, "-m", "faaskit", "doctor")
    assert "memory mb        300\n" in said
    assert "at most 240 MB, four fifths of the 300 MB that this process's cgroup allows" in said


CHANGING = """
    import sys
    from faaskit.runtimes.room import RoomReader

    room = RoomReader()
    for line in sys.stdin:
        print(room().memory_mb, flush=True)
"""


def test_limit_that_is_changed_is_noticed(tmp_path: Path) -> None:
    """While the program runs, within a second or so."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(CHANGING))
    with (
        group("memory", limit_in_bytes=300 * MB) as container,
        start_in(container, sys.executable, str(script)) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def room_mb() -> str:
            stdin.write("\n")
            stdin.flush()
            return stdout.readline().strip()

        assert room_mb() == "240"
        (container / "memory.limit_in_bytes").write_text(str(500 * MB))
        until(lambda: room_mb() == "400", "the new limit")
        process.communicate()


MANY = """
    import sys
    import room_deeds
    from faaskit import Invoker, function

    allocates = function(room_deeds.allocates, memory_size=128, timeout=60)
    with Invoker(sys.argv[1], cpu_scaling=False) as invoker:
        calls = int(sys.argv[2])
        events = [{"mb": 1, "seconds": 0.2}] * calls
        ended = list(invoker.map(allocates, events, concurrency=calls))
    assert [one.status for one in ended] == ["ok"] * calls, ended
    print("all")
"""


@LEVELS
@pytest.mark.parametrize("calls", [30, 100])
def test_calls_wait_for_processes_that_the_container_allows(
    tmp_path: Path, level: str, calls: int
) -> None:
    """Those at once are too many for it, a hundred also by their threads: none fails."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(MANY))
    with group("pids", max=70) as container:
        assert run_in(container, sys.executable, str(script), level, str(calls)) == "all\n"


def test_cpus_are_those_of_the_affinity() -> None:
    """`taskset`, or a container's cpuset, leaves a process fewer than the host has."""
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from faaskit.runtimes.capacity import capacity; print(capacity().cpus)"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ended.stdout == "1.0\n"


def test_cpus_are_those_of_the_quota() -> None:
    """Half a CPU is half a CPU."""
    code = "from faaskit.runtimes.capacity import capacity; print(capacity().cpus)"
    with group("cpu", cfs_period_us=100_000, cfs_quota_us=50_000) as container:
        assert run_in(container, sys.executable, "-c", code) == "0.5\n"


# What /tmp holds


@pytest.fixture
def filling() -> Function:
    """Return a function that fills its /tmp."""
    return function(room_deeds.fills, memory_size=128, timeout=100, ephemeral_storage=512)


def test_memory_that_a_running_tmp_holds_is_known(filling: Function, lifeline: Lifeline) -> None:
    """To the app, whoever it runs as, while the function runs; and no longer."""
    with Invoker("namespace") as invoker:
        running = invoker.submit(filling, {"mb": 100, "port": lifeline.port})
        held = lifeline.next()
        backend = invoker._backend
        until(lambda: 100 * MB <= backend.held_bytes() < 110 * MB, "100 MB")
        held.let_go("empty it")
        until(lambda: backend.held_bytes() < 10 * MB, "an empty /tmp")
        assert held.wait_word() == "empty"
        held.let_go("end")
        assert running.result(timeout=60).result() == "done"
        until(lambda: backend.held_bytes() == 0, "nothing")
        assert not backend.running  # type: ignore[attr-defined]  # a backend of this host


def test_call_waits_for_memory_that_a_running_tmp_holds(
    filling: Function, lifeline: Lifeline
) -> None:
    """And begins as soon as the files are deleted, though the first call still runs."""
    echoes = function(room_deeds.echoes, memory_size=128, timeout=60)
    with Invoker("namespace") as invoker:
        invoker._concurrency = Concurrency(
            1000, lambda: Room(memory_mb=300, calls=100), invoker._held_bytes
        )
        running = invoker.submit(filling, {"mb": 100, "port": lifeline.port})
        held = lifeline.next()
        until(lambda: invoker._held_bytes() >= 100 * MB, "100 MB")
        waiting = invoker.submit(echoes, "in time")
        until(lambda: invoker._concurrency._queue, "a call that waits")
        held.let_go("empty it")
        assert waiting.result(timeout=60).result() == "in time"
        assert not running.done()
        held.let_go("end")
        assert running.result(timeout=60).result() == "done"


AS_ORDINARY_USER = """
    import os, socket
    import room_deeds
    from faaskit import Invoker, function

    assert os.geteuid() == 1000
    server = socket.create_server(("127.0.0.1", 0))
    fills = function(room_deeds.fills, memory_size=128, timeout=60)
    with Invoker("namespace") as invoker:
        event = {"mb": 50, "port": server.getsockname()[1]}
        running = invoker.submit(fills, event)
        line = server.accept()[0]
        line.recv(64)
        print(invoker._backend.held_bytes() // 2**20)
        line.sendall(b"empty it")
        line.recv(64)
        line.sendall(b"end")
        assert running.result(timeout=60).ok
"""
# A user of its own namespace without any capability, whose files are this user's.
ORDINARY = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*ORDINARY, "true"], check=False, capture_output=True).returncode != 0,
    reason="this host lets nobody make such a user namespace",
)
def test_memory_that_a_running_tmp_holds_is_known_to_an_ordinary_user(tmp_path: Path) -> None:
    """The owner of a user namespace may look into it."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(AS_ORDINARY_USER))
    ended = subprocess.run(
        [*ORDINARY, sys.executable, str(script)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert 50 <= int(ended.stdout.split()[-1]) < 60


def test_waiting_calls_do_not_keep_each_other_from_the_lock() -> None:
    """A hundred that wait look again twice a second, and all come to their turn."""
    from faaskit.invoke.concurrency import Need

    concurrency = Concurrency(1000, lambda: Room(memory_mb=100, calls=100), lambda: 0)
    need = Need(100, 512)
    turns: list[int] = []

    def call(number: int) -> None:
        concurrency.take_room(need, nested=False)
        turns.append(number)
        concurrency.give_room(need)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(turns) == list(range(100))
