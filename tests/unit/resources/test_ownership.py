"""The state folder is this user's alone: another's, or one that others may write, is refused."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from faaskit.exceptions import SandboxError
from faaskit.resources.state import State

_OTHER = 65_533

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


def _open(folder: Path) -> State:
    state = State(folder, app="photos")
    state.blobs.write(b"data")
    with state.writing() as connection:
        connection.execute("UPDATE sequence SET value = 7")
    return state


def _refusal(folder: Path) -> str:
    before = sorted(folder.rglob("*")) if folder.is_dir() else []
    with pytest.raises(SandboxError) as caught:
        _open(folder)
    assert (caught.value.step, caught.value.errno) == ("state", errno.EPERM)
    assert sorted(folder.rglob("*")) == before, "nothing is put into a folder that is refused"
    return caught.value.message


def _modes(folder: Path) -> dict[str, int]:
    every = [folder, *folder.rglob("*")]
    return {str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode) for path in every}


@pytest.fixture
def _no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_no_umask")
def test_state_folder_is_private_whatever_the_umask(tmp_path: Path) -> None:
    """Files are 0600 and folders 0700; folders above it that are made can't be written either."""
    folder = tmp_path / "above" / "state"
    state = _open(folder)
    state.blobs.duplicate(state.blobs.write(b"copied"))
    for name, mode in _modes(folder).items():
        wanted = 0o700 if (folder / name).is_dir() else 0o600
        assert mode == wanted, f"{name} is {mode:o}"
    assert {"state.sqlite", "state.sqlite-wal", "write.lock"} <= _modes(folder).keys()
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o755
    state.close()


@pytest.mark.usefixtures("_no_umask")
def test_state_folder_that_others_may_read_is_tightened_inside(tmp_path: Path) -> None:
    """One that was made by hand is taken as it is; what is in it is not for others."""
    folder = tmp_path / "state"
    _open(folder).close()
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    _open(folder).close()
    modes = _modes(folder)
    assert modes.pop(".") == 0o755
    assert {modes["blobs"], modes["processes"]} == {0o700}
    assert {modes["state.sqlite"], modes["write.lock"]} == {0o600}


@pytest.mark.parametrize(("mode", "who"), [(0o770, "its group"), (0o707, "every user")])
def test_state_folder_that_others_may_write_is_refused(tmp_path: Path, mode: int, who: str) -> None:
    """The message has the path, the mode and what to do; done, it is taken."""
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)
    message = _refusal(folder)
    assert str(folder) in message
    assert f"of mode {mode:04o}: {who} may write it" in message
    assert "chmod go-w" in message
    folder.chmod(0o755)
    _open(folder).close()


@as_root
def test_state_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    """Even by root, who may write everywhere: its owner reads what is put there."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    os.chown(folder, _OTHER, _OTHER)
    message = _refusal(folder)
    assert f"of user {_OTHER}, and this program runs as user 0" in message
    assert "chown" in message


@as_root
@pytest.mark.parametrize("name", ["state.sqlite", "write.lock", "blobs", "processes", "logs"])
def test_state_folder_with_another_users_file_is_refused(tmp_path: Path, name: str) -> None:
    """Left from when others could write there: a file of faaskit's own, or a folder."""
    folder = tmp_path / "state"
    _open(folder).close()
    (folder / "logs").mkdir()
    os.chown(folder / name, _OTHER, _OTHER)
    assert f"{folder / name} is the file of user {_OTHER}" in _refusal(folder)


@pytest.mark.parametrize("name", ["state.sqlite", "write.lock", "blobs"])
def test_state_folder_with_a_link_in_place_of_a_file_is_refused(tmp_path: Path, name: str) -> None:
    """Whatever it leads to would be changed."""
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / "elsewhere")
    assert f"{folder / name} is a symbolic link" in _refusal(folder)
    assert not (tmp_path / "elsewhere").exists()


@as_root
@pytest.mark.parametrize("below", ["", "deep"])
def test_state_folder_behind_another_users_link_is_refused(tmp_path: Path, below: str) -> None:
    """It leads where its maker likes: to a folder of this user's that is for something else."""
    link = tmp_path / "link"
    (tmp_path / "mine").mkdir(mode=0o700)
    link.symlink_to("mine")
    os.chown(link, _OTHER, _OTHER, follow_symlinks=False)
    message = _refusal(link / below)
    assert f"a symbolic link that user {_OTHER} has made" in message
    assert list((tmp_path / "mine").iterdir()) == []


def test_state_folder_behind_ones_own_links_is_taken(tmp_path: Path) -> None:
    """Absolute, relative, one after another."""
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "relative").symlink_to("real/../real")
    (tmp_path / "absolute").symlink_to(tmp_path / "relative")
    _open(tmp_path / "absolute" / "inner" / "state").close()
    assert (tmp_path / "real" / "inner" / "state" / "state.sqlite").exists()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SandboxError, match="symbolic links") as caught:
        _open(tmp_path / "loop" / "state")
    assert caught.value.errno == errno.ELOOP


@as_root
def test_another_users_temporary_folder_is_not_swept(tmp_path: Path) -> None:
    """It is left to its owner."""
    folder = Path(tempfile.gettempdir()) / "faaskit-state-other"
    (folder / "processes").mkdir(parents=True)
    (folder / "processes" / ("0" * 32)).touch()
    (folder / "write.lock").touch()
    os.chown(folder, _OTHER, _OTHER)
    try:
        State(None, app="photos").close()
        made = State(None, app="photos")
        made.folder  # noqa: B018 - opens it, and sweeps
        made.close()
        assert folder.exists()
    finally:
        shutil.rmtree(folder)
