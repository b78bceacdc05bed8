"""The folder in which a process may make groups, under cgroup version 2: files stand for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from faaskit.sandbox.hierarchies import Hierarchy, delegated


def make(folder: Path, *, there: str, on: str = "") -> Path:
    """Make a group's files: the controllers that are there, and those that are on below it."""
    folder.mkdir()
    (folder / "cgroup.procs").write_text("")
    (folder / "cgroup.controllers").write_text(there)
    (folder / "cgroup.subtree_control").write_text(on)
    return folder


def occupy(folder: Path) -> None:
    """Put a process into a group that is not the root, which has no type."""
    (folder / "cgroup.procs").write_text("4711\n")
    (folder / "cgroup.type").write_text("domain\n")


def found(top: Path, own: Path) -> tuple[str, set[str]]:
    """Return the folder's name, and the controllers."""
    hierarchy = Hierarchy(2, frozenset(), str(own), str(top), writable=True)
    folder, controllers = delegated(hierarchy)
    return Path(folder).name if folder else "", set(controllers)


def test_controllers_of_the_group_above_are_used(tmp_path: Path) -> None:
    """A shell in a leaf of a delegated group, whose controllers are on for its leaves."""
    top = make(tmp_path / "top", there="cpu memory pids", on="cpu memory pids")
    above = make(top / "slice", there="cpu memory pids", on="cpu memory pids")
    own = make(above / "leaf", there="cpu memory pids")
    occupy(own)
    assert found(top, own) == ("slice", {"cpu", "memory", "pids"})
    assert not (own / "cgroup.subtree_control").read_text()


def test_group_with_processes_is_not_divided(tmp_path: Path) -> None:
    """It would make its own groups threaded; the root alone may have both."""
    top = make(tmp_path / "top", there="cpu memory pids")
    occupy(top)
    assert found(top, top) == ("", set())
    (top / "cgroup.type").unlink()
    assert found(top, top) == ("top", {"cpu", "memory", "pids"})


def test_controller_that_is_there_is_turned_on(tmp_path: Path) -> None:
    """In a group of its own that nobody else is in."""
    top = make(tmp_path / "top", there="io memory pids")
    assert found(top, top) == ("top", {"memory", "pids"})
    assert (top / "cgroup.subtree_control").read_text() in {"+memory", "+pids"}


def test_controller_that_is_not_there_is_not_used(tmp_path: Path) -> None:
    """Such as those that version 1 has."""
    top = make(tmp_path / "top", there="hugetlb")
    assert found(top, top) == ("", set())


def test_group_without_its_files_is_not_used(tmp_path: Path) -> None:
    """Something else may be mounted over it."""
    top = tmp_path / "top"
    top.mkdir()
    assert found(top, top) == ("", set())


@pytest.mark.parametrize("missing", ["cgroup.controllers", "cgroup.subtree_control"])
def test_group_with_half_of_its_files_is_not_used(tmp_path: Path, missing: str) -> None:
    """No file is taken for granted."""
    top = make(tmp_path / "top", there="memory pids", on="memory pids")
    (top / missing).unlink()
    assert found(top, top) == ("", set())
