"""A disk that is full: what is kept can be deleted all the same, and that makes room."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import NoReturn

import pytest

from faaskit import App, SandboxError
from faaskit.resources.sqs.queue import Queue

_DISK_MB = 12


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of its own, of a few MB."""
    folder = tmp_path / "disk"
    folder.mkdir(mode=0o700)
    if request.param == "tmpfs":
        _run("mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m,mode=700", "faaskit-test", folder)
    else:
        image = tmp_path / "image"
        with image.open("wb") as file:
            file.truncate(_DISK_MB << 20)
        _run("mkfs.ext4", "-q", "-m", "0", "-b", "4096", image)
        _run("mount", "-o", "loop", image, folder)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _run(*command: object) -> None:
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"this environment has no {command[0]}")
    if done.returncode:
        pytest.skip(f"this environment may mount nothing: {done.stderr.strip()}")


def _fill(disk: Path) -> None:
    """Leave no room for another byte."""
    with (disk / "filler").open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                _write_for_ever(file, bytes(size))
    assert os.statvfs(disk).f_bavail == 0


def _write_for_ever(file: FileIO, data: bytes) -> NoReturn:
    while True:
        file.write(data)


def _send_for_ever(queue: Queue) -> NoReturn:
    while True:
        queue.send("x" * 10_000)


def _full_app(disk: Path) -> App:
    app = App("full", state=disk / "state")
    app.bucket("files").put("large", bytes(3 << 20))
    people = app.table("people", partition_key="id")
    for number in range(20):
        people.put({"id": str(number), "text": "x" * 1000})
    app.queue("jobs").send("work")
    _fill(disk)
    return app


def _refuses_writes(app: App) -> None:
    for size in (1 << 20, 1):
        with pytest.raises(SandboxError, match="make room on the disk") as caught:
            app.bucket("files").put("more", bytes(size))
        assert caught.value.errno == errno.ENOSPC


def test_deleting_an_object_makes_room_on_a_full_disk(disk: Path) -> None:
    """Nothing can be written before; then it can, and what deletes need is kept back again."""
    with _full_app(disk) as app:
        files = app.bucket("files")
        _refuses_writes(app)
        files.delete("large")
        files.put("small", b"x")
        assert [one.key for one in files.list()] == ["small"]
        assert (disk / "state" / "ballast").stat().st_blocks * 512 == 1 << 20


def _delete_items(app: App) -> None:
    people = app.table("people", partition_key="id")
    for number in range(20):
        people.delete(id=str(number))
    assert list(people.scan()) == []


def _delete_batch(app: App) -> None:
    deletes = [{"DeleteRequest": {"Key": {"id": {"S": str(number)}}}} for number in range(20)]
    app.client("dynamodb").batch_write_item(RequestItems={"people": deletes})
    assert list(app.table("people", partition_key="id").scan()) == []


def _purge(app: App) -> None:
    app.queue("jobs").purge()
    assert app.queue("jobs").receive() == []


@pytest.mark.parametrize("delete", [_delete_items, _delete_batch, _purge])
def test_items_and_messages_can_be_deleted_on_a_full_disk(
    disk: Path, delete: Callable[[App], None]
) -> None:
    """Many, though that makes no room on the disk by itself."""
    with _full_app(disk) as app:
        _refuses_writes(app)
        delete(app)


@pytest.mark.parametrize("closed", ["full", "before"])
def test_app_that_starts_on_a_full_disk_can_delete(disk: Path, closed: str) -> None:
    """It has to write to open its folder, too: what SQLite removed when it was closed."""
    _full_app(disk).close()
    if closed == "before":
        (disk / "filler").unlink()
        with App("full", state=disk / "state") as app:
            app.bucket("files").put("other", b"x")
    _fill(disk)
    with App("full", state=disk / "state") as app:
        with pytest.raises(SandboxError, match="make room on the disk"):
            _send_for_ever(app.queue("jobs"))
        app.bucket("files").delete("large")
        app.bucket("files").put("small", b"x")


def test_writes_do_not_use_what_is_kept_for_deletes(disk: Path) -> None:
    """However often they are tried, a delete is possible afterwards."""
    with _full_app(disk) as app:
        jobs = app.queue("jobs")
        for _ in range(3):
            _refuses_writes(app)
            with pytest.raises(SandboxError, match="make room on the disk"):
                _send_for_ever(jobs)
        assert (disk / "state" / "ballast").exists()
        app.bucket("files").delete("large")


def test_ballast_is_made_once_there_is_room(disk: Path) -> None:
    """Not where it would fill the disk itself."""
    with App("full", state=disk / "state") as app:
        app.bucket("files").put("a", b"x")
        ballast = disk / "state" / "ballast"
        assert ballast.exists()
        _fill(disk)
        app.bucket("files").delete("a")
        assert not ballast.exists()
        (disk / "filler").unlink()
        app.bucket("files").put("b", b"x")
        assert ballast.exists()


def test_temporary_state_has_no_ballast() -> None:
    """It makes room by closing."""
    with App("temporary") as app:
        app.bucket("files").put("a", b"x")
        assert not (app._state.folder / "ballast").exists()
