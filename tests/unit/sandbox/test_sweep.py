"""The sweep: it removes what a launcher left that is gone, of this boot and pid namespace alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faaskit.sandbox import sweep


def gone() -> str:
    """Return the name of a launcher that has ended: another one's start time at a living pid."""
    head, _, start = sweep.name_of(os.getpid()).rpartition("-")
    return f"{head}-{int(start) + 1}"


def test_living_launcher_is_not_gone() -> None:
    """Itself, for one."""
    assert not sweep.owner_is_gone(sweep.name_of(os.getpid()))


def test_launcher_is_gone_when_its_pid_is_anothers() -> None:
    """A pid alone does not identify a launcher."""
    assert sweep.owner_is_gone(gone())


@pytest.mark.parametrize("field", [1, 2])
def test_launcher_of_another_boot_or_namespace_is_left_alone(field: int) -> None:
    """Its pid means nothing here."""
    parts = gone().split("-")
    parts[field] = "0"
    assert not sweep.owner_is_gone("-".join(parts))


@pytest.mark.parametrize(
    "name", ["faaskit-1-2", "faaskit-", "faaskit-state-x", "x", "", "faaskit-a-b-c-d", "-----"]
)
def test_what_has_another_name_is_left_alone(name: str) -> None:
    """Such as a former version's, or a user's own file."""
    assert not sweep.owner_is_gone(name)


SWEEPS = """
import sys
from faaskit.sandbox import sweep
sweep.sweep(sys.argv[1])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a pid namespace alone takes root")
def test_sweep_in_another_pid_namespace_removes_nothing(tmp_path: Path) -> None:
    """Two containers that share a folder for temporary files, seen from the second."""
    mine = tmp_path / sweep.name_of(os.getpid())
    mine.mkdir()
    swept = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", SWEEPS]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([*swept, str(tmp_path)], check=True, env=environment, timeout=100)
    assert mine.is_dir()
    (tmp_path / gone()).mkdir()
    here = [sys.executable, "-c", SWEEPS, str(tmp_path)]
    subprocess.run(here, check=True, env=environment, timeout=100)
    assert [path.name for path in tmp_path.iterdir()] == [mine.name]
