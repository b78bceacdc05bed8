"""Who is there is told by a lock that the kernel takes away from the dead."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from probes import until

from faaskit.clock import SystemClock
from faaskit.events.asynchronous import AsynchronousQueue, Delivery
from faaskit.resources.presence import Presence, is_alive, tokens
from faaskit.resources.state import State

_HOLDER = """
import sys
from pathlib import Path
from faaskit.resources.presence import Presence
presence = Presence(Path(sys.argv[1]))
print(presence.token, flush=True)
sys.stdin.read()
"""


def test_who_is_here_is_alive_until_the_end(tmp_path: Path) -> None:
    """A process is there from the making of its mark to its end, and asking changes nothing."""
    presence = Presence(tmp_path)
    assert is_alive(tmp_path, presence.token)
    assert is_alive(tmp_path, presence.token)
    assert tokens(tmp_path) == [presence.token]
    presence.end()
    assert not is_alive(tmp_path, presence.token)
    assert tokens(tmp_path) == []
    presence.end()


def test_unknown_is_not_alive(tmp_path: Path) -> None:
    """A token that left no mark is no one's."""
    assert not is_alive(tmp_path, "0" * 32)


def test_who_was_killed_is_not_alive(tmp_path: Path) -> None:
    """Another process is there while it lives, and is not from the moment it was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        token = holder.stdout.readline().strip()
        try:
            assert is_alive(tmp_path, token)
            assert is_alive(tmp_path, token)
        finally:
            holder.kill()
        holder.wait()
        assert not is_alive(tmp_path, token)


# As the processes of another container: with pids of their own, and a /proc of their own.
_CONTAINER = ("unshare", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc")

_ASKER = """
import sys
from pathlib import Path
from faaskit.resources.presence import is_alive
print(is_alive(Path(sys.argv[1]), sys.argv[2]))
"""

_CLAIMER = """
import os, sys
from faaskit.clock import SystemClock
from faaskit.events.asynchronous import AsynchronousQueue
from faaskit.resources.state import State
assert os.getpid() == 1
queue = AsynchronousQueue(State(sys.argv[1], app="shared"), SystemClock())
print(queue.claim(["f"]).event.decode(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def container() -> tuple[str, ...]:
    """Return the command that runs another one in a pid namespace of its own."""
    tried = subprocess.run([*_CONTAINER, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"this environment has no namespaces: {tried.stderr.strip()}")
    return _CONTAINER


def test_process_of_another_container_is_alive_until_its_end(
    tmp_path: Path, container: tuple[str, ...]
) -> None:
    """Seen from either side, though neither sees the other's pid."""
    with subprocess.Popen(
        [*container, sys.executable, "-c", _HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        token = holder.stdout.readline().strip()
        assert is_alive(tmp_path, token)
        here = Presence(tmp_path)
        ask = [*container, sys.executable, "-c", _ASKER, str(tmp_path)]
        asked = [
            subprocess.run([*ask, one], capture_output=True, text=True, check=True).stdout.strip()
            for one in (token, here.token, "0" * 32)
        ]
        assert asked == ["True", "True", "False"]
        here.end()
        holder.kill()
        holder.wait()
        until(lambda: not is_alive(tmp_path, token), "the end of the holder")


def test_event_in_progress_in_another_container_is_not_delivered_twice(
    tmp_path: Path, container: tuple[str, ...]
) -> None:
    """It is taken over when that one is gone, and not before; nothing is lost."""
    queue = AsynchronousQueue(State(tmp_path, app="shared"), SystemClock())
    queue.send("f", b'"first"')
    with subprocess.Popen(
        [*container, sys.executable, "-c", _CLAIMER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as claimer:
        assert claimer.stdout is not None
        assert claimer.stdout.readline().strip() == '"first"'
        queue.take_over()
        assert queue.claim(["f"]) is None
        assert [event.under_way for event in queue.pending()] == [True]
        claimer.kill()
        claimer.wait()

        def taken_over() -> Delivery | None:
            queue.take_over()
            return queue.claim(["f"])

        delivery = until(taken_over, "the event to be free")
        assert (delivery.event, delivery.attempts) == (b'"first"', 0)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_child_that_outlives_its_parent_is_not_taken_for_it(tmp_path: Path) -> None:
    """A parent's mark dies with the parent, though a child of it still has the file open."""
    code = _HOLDER.replace(
        "print(presence.token, flush=True)",
        "import os\nr, w = os.pipe()\nif os.fork() == 0:\n    os.close(w)\n"
        "    sys.stdin.close(); os.close(1)\n    os.read(3, 1)\n    os._exit(0)\n"
        "print(presence.token, flush=True)",
    )
    read, write = os.pipe()
    os.set_inheritable(read, True)
    with subprocess.Popen(
        [sys.executable, "-c", code.replace("os.read(3, 1)", f"os.read({read}, 1)"), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[read],
    ) as holder:
        assert holder.stdout is not None
        token = holder.stdout.readline().strip()
        assert is_alive(tmp_path, token)
        holder.kill()
        holder.wait()
        assert not is_alive(tmp_path, token)
    os.close(write)  # the child's read ends, and it with it
    os.close(read)
