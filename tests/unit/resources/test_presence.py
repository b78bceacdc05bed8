"""Who is there is told by a lock that the kernel takes away from the dead."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faaskit.resources.presence import Presence, is_alive, tokens

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
