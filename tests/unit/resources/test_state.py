"""The state folder: nothing before it is needed, nothing lost, nothing left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faaskit.exceptions import DefinitionError, FaaskitError, SandboxError
from faaskit.resources import state as module
from faaskit.resources.host import explained
from faaskit.resources.schema import VERSION
from faaskit.resources.state import State


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """A state of this process, in a folder that is not there yet."""
    state = State(tmp_path / "deep" / "state", app="photos")
    yield state
    state.close()


def _value(state: State) -> int:
    with state.reading() as connection:
        (value,) = connection.execute("SELECT value FROM sequence").fetchone()
    return int(value)


def _set(state: State, value: int) -> None:
    with state.writing() as connection:
        connection.execute("UPDATE sequence SET value = ?", (value,))


# A write that is still in the log alone, when its process dies.
_KILLED_AFTER_A_WRITE = """
import os, signal, sys
from faaskit.resources.state import State
state = State(sys.argv[1], app="photos")
blob = state.blobs.write(b"data")
with state.writing() as connection:
    connection.execute("INSERT INTO objects VALUES ('b', 'k', ?, 4, '', '', '{}', 0)", (blob,))
os.kill(os.getpid(), signal.SIGKILL)
"""


def _run(code: str, *arguments: object, check: bool = True, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=check,
        env={**os.environ, **more},
    )
    return done.stdout


def test_making_one_touches_nothing(tmp_path: Path) -> None:
    """No folder, file or descriptor is made before the first use."""
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir())) if descriptors.exists() else 0
    kept, temporary = State(tmp_path / "state", app="a"), State(None, app="a")
    after = len(list(descriptors.iterdir())) if before else 0
    assert list(tmp_path.iterdir()) == []
    assert after == before
    kept.close()
    temporary.close()


def test_what_is_written_is_there_for_the_next(state: State, tmp_path: Path) -> None:
    """A committed change outlives the State that made it."""
    _set(state, 5)
    state.close()
    later = State(tmp_path / "deep" / "state", app="photos")
    assert _value(later) == 5
    later.close()


def test_relative_folder_is_that_of_the_making(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changing the working directory afterwards does not move the state."""
    monkeypatch.chdir(tmp_path)
    state = State("here", app="photos")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert state.folder == tmp_path / "here"
    state.close()


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_name_of_no_folder(name: str) -> None:
    """A variable that is not set does not spread the state over the working directory."""
    with pytest.raises(DefinitionError, match="pass the name of a folder"):
        State(name, app="photos")


def test_commits_wait_for_the_disk(state: State) -> None:
    """The log is written ahead and synced on every commit, and only checkpointed under lock."""
    with state.reading() as connection:
        pragmas = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "wal_autocheckpoint", "user_version")
        ]
    assert pragmas == ["wal", 2, 0, VERSION]


def test_exception_undoes_the_whole_block(state: State) -> None:
    """A block that raises changes nothing, and the next one works."""
    _set(state, 1)

    def fail() -> None:
        with state.writing() as connection:
            connection.execute("UPDATE sequence SET value = 2")
            msg = "no"
            raise KeyError(msg)

    with pytest.raises(KeyError):
        fail()
    assert _value(state) == 1
    _set(state, 3)
    assert _value(state) == 3


def test_log_does_not_grow_for_ever(state: State) -> None:
    """Once it is large, the log is moved into the file and begun anew."""
    log = state.folder / "state.sqlite-wal"
    for _ in range(12):
        with state.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO about VALUES ('bulk', ?)", ("x" * 1_000_000,)
            )
    assert log.stat().st_size < 8_000_000


def test_waiters_hear_of_each_commit(state: State) -> None:
    """The count of changes grows with commits, not with reads or what was undone."""
    _value(state)
    before = state.changes.count
    _set(state, 1)
    assert state.changes.count == before + 1
    with pytest.raises(SandboxError), state.writing() as connection:
        connection.execute("no SQL")
    assert state.changes.count == before + 1


def test_threads_share_it(state: State) -> None:
    """Several threads add to one number, and none of their additions is lost."""

    def add() -> None:
        for _ in range(25):
            with state.writing() as connection:
                connection.execute("UPDATE sequence SET value = value + 1")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _value(state) == 100


_ADDER = """
import sys
from faaskit.resources.state import State
state = State(sys.argv[1], app="photos")
for _ in range(60):
    with state.writing() as connection:
        connection.execute("UPDATE sequence SET value = value + 1")
state.close()
"""


def test_processes_share_it(state: State) -> None:
    """Several processes open one new folder at once and add; none of it is lost."""
    folder = state._folder
    adders = [subprocess.Popen([sys.executable, "-c", _ADDER, str(folder)]) for _ in range(3)]
    assert [adder.wait() for adder in adders] == [0, 0, 0]
    assert _value(state) == 180
    with state.reading() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_folder_is_of_one_app(state: State, tmp_path: Path) -> None:
    """An app of another name is turned away, and told what to do; nothing stays open."""
    _set(state, 1)
    other = State(tmp_path / "deep" / "state", app="shop")
    with pytest.raises(DefinitionError, match=r"App\('photos'\), not of App\('shop'\)"):
        _value(other)
    assert len(list((tmp_path / "deep/state/processes").iterdir())) == 1
    other.close()


def test_folder_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    """What a later faaskit wrote is not touched."""
    first = State(tmp_path, app="photos")
    _set(first, 7)
    with first.reading() as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    first.close()
    with pytest.raises(DefinitionError, match="upgrade faaskit"):
        _value(State(tmp_path, app="photos"))
    with sqlite3.connect(tmp_path / "state.sqlite") as connection:
        assert connection.execute("SELECT value FROM sequence").fetchone() == (7,)
    connection.close()


def test_closed_is_closed(state: State) -> None:
    """After close every use raises, says so, and closing again is no error."""
    _set(state, 1)
    state.close()
    state.close()
    with pytest.raises(FaaskitError, match=r"App\('photos'\) is closed"):
        _value(state)


def test_host_failure_is_a_sandbox_error(tmp_path: Path) -> None:
    """A folder that can't be made is the host's fault, with its number."""
    (tmp_path / "file").write_bytes(b"")
    state = State(tmp_path / "file" / "state", app="photos")
    with pytest.raises(SandboxError, match="state folder") as caught:
        _value(state)
    assert caught.value.errno is not None
    assert caught.value.step == "state"


@pytest.mark.parametrize("version", [0, 1])
def test_database_of_another_program_is_left_alone(tmp_path: Path, version: int) -> None:
    """Its file may be called state.sqlite, too; no tables are added to it."""
    with contextlib.closing(sqlite3.connect(tmp_path / "state.sqlite")) as connection:
        connection.execute("CREATE TABLE theirs (value)")
        connection.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(DefinitionError, match=r"another program.*choose another folder"):
        _value(State(tmp_path, app="photos"))
    with contextlib.closing(sqlite3.connect(tmp_path / "state.sqlite")) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (OSError(errno.EIO, "Input/output error"), "choose another folder"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), "choose another folder"),
        (sqlite3.OperationalError("disk I/O error"), "choose another folder"),
    ],
)
def test_every_failure_says_what_to_do(error: Exception, advice: str) -> None:
    """Also those that are not foreseen one by one."""
    said = f"state folder /s: .*; nothing was changed: .*{re.escape(advice)}"
    with pytest.raises(SandboxError, match=said), explained(Path("/s")):
        raise error


def _spoil(file: Path, data: bytes) -> None:
    """Leave that of a state file, and take its log away, which would mend it."""
    file.with_name("state.sqlite-wal").unlink()
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda file: file.unlink(), "is missing or empty"),
        (lambda file: file.write_bytes(b""), "is missing or empty"),
        (lambda file: _spoil(file, b"garbage" * 1000), "not a database"),
        (lambda file: _spoil(file, file.read_bytes()), "lost its log"),
    ],
)
def test_contents_outlive_the_loss_of_the_state_file(
    tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    """Contents whose names are lost, or only out of reach, are not swept; the message helps."""
    _run(_KILLED_AFTER_A_WRITE, tmp_path, check=False)
    damage(tmp_path / "state.sqlite")
    log = tmp_path / "state.sqlite-wal"
    before = log.stat().st_size if log.exists() else 0
    with pytest.raises(SandboxError, match=f"{re.escape(str(tmp_path))}.*{said}.*folder"):
        _value(State(tmp_path, app="photos"))
    assert len(list((tmp_path / "blobs").iterdir())) == 1
    assert (log.stat().st_size if log.exists() else 0) == before


def test_events_outlive_the_loss_of_the_state_file(tmp_path: Path) -> None:
    """Where there are no contents, the log alone may hold what was acknowledged."""
    _run(_KILLED_AFTER_A_WRITE, tmp_path, check=False)
    shutil.rmtree(tmp_path / "blobs")
    (tmp_path / "state.sqlite").unlink()
    with pytest.raises(SandboxError, match="is missing or empty"):
        _value(State(tmp_path, app="photos"))
    assert (tmp_path / "state.sqlite-wal").stat().st_size > 0


def test_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """A folder that has files in blobs/ of its own is refused, and keeps them."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "holiday.jpg").touch()
    with pytest.raises(SandboxError, match="choose another folder"):
        _value(State(tmp_path, app="photos"))
    assert (tmp_path / "blobs" / "holiday.jpg").exists()


def test_sweep_knows_its_own_files(state: State) -> None:
    """What bears no name that faaskit gives is no leftover, and no process either."""
    strange = [state.folder / "blobs" / "notes.txt", state.folder / "processes" / ".DS_Store"]
    for path in strange:
        path.touch()
    (state.folder / "processes" / "folder").mkdir()
    state.close()
    again = State(strange[0].parent.parent, app="photos")
    assert _value(again) == 0
    assert all(path.exists() for path in strange)
    again.close()


@pytest.mark.parametrize("anew", [False, True])
def test_folder_that_was_removed_takes_no_writes(state: State, tmp_path: Path, anew: bool) -> None:
    """A write to a file that no one can open any more would be acknowledged and lost."""
    _set(state, 5)
    shutil.rmtree(tmp_path / "deep")
    other = State(tmp_path / "deep" / "state", app="photos")
    if anew:
        _set(other, 7)
    for use in (lambda: _value(state), lambda: _set(state, 6)):
        with pytest.raises(SandboxError, match=r"removed or replaced.*make a new App"):
            use()
    state.close()
    assert _value(other) == (7 if anew else 0)
    other.close()


def test_files_that_were_removed_take_no_writes(state: State) -> None:
    """It need not be the folder that went: write.lock alone would be made again."""
    _set(state, 5)
    for path in state.folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(SandboxError, match="removed or replaced"):
        _set(state, 6)


def test_folder_that_goes_while_a_write_waits(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may be long at its write, and the folder be replaced meanwhile."""
    _set(state, 5)
    exclusive = module._exclusive

    def removed_meanwhile(folder: Path) -> contextlib.AbstractContextManager[None]:
        (folder / "state.sqlite").unlink()
        return exclusive(folder)

    monkeypatch.setattr(module, "_exclusive", removed_meanwhile)
    with pytest.raises(SandboxError, match="removed or replaced"):
        _set(state, 6)


_UNPRIVILEGED = """
import os, sqlite3, sys, uuid  # all that is imported late: the interpreter may be root's alone
from faaskit.exceptions import SandboxError
from faaskit.resources.state import State
if os.geteuid() == 0:
    os.setuid(65534)
try:
    State(sys.argv[1], app="photos").folder
except SandboxError as error:
    print(error.errno, error)
"""


def test_folder_that_is_not_ours_says_what_to_do(tmp_path: Path) -> None:
    """No permission: the message names the folder, the fact and the next step."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o500)
    tmp_path.parent.parent.chmod(0o755)
    tmp_path.parent.chmod(0o755)
    tmp_path.chmod(0o755)
    said = _run(_UNPRIVILEGED, folder)
    assert said.startswith(f"{errno.EACCES} state folder {folder}: ")
    assert "give this user the right to write there, or choose another folder" in said


def _temporary() -> list[Path]:
    return sorted(Path(tempfile.gettempdir()).glob("faaskit-state-*"))


def test_temporary_folder_goes_at_close() -> None:
    """Without a folder, there is one while the State is open, and not afterwards."""
    before = _temporary()
    state = State(None, app="photos")
    folder = state.folder
    assert _temporary() == sorted([*before, folder])
    assert state.temporary
    state.close()
    assert _temporary() == before


def test_temporary_folder_goes_with_the_state() -> None:
    """A State that nobody has any more takes its folder along."""
    before = _temporary()
    state = State(None, app="photos")
    _set(state, 1)
    del state
    assert _temporary() == before


def test_temporary_folder_goes_at_exit(tmp_path: Path) -> None:
    """A program that ends without closing leaves nothing."""
    code = "from faaskit.resources.state import State\ns = State(None, app='a')\nprint(s.folder)"
    folder = Path(_run(code, TMPDIR=str(tmp_path)).strip())
    assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_temporary_folder_of_the_killed_is_swept(tmp_path: Path) -> None:
    """What a killed program left goes when another one makes its own; the living keep theirs."""
    make = "from faaskit.resources.state import State\ns = State(None, app='a')\ns.folder\n"
    killed = make + "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    lasting = make + "print(s.folder, flush=True)\nimport sys\nsys.stdin.read()"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", lasting],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as living:
        assert living.stdout is not None
        kept = Path(living.stdout.readline().strip())
        subprocess.run([sys.executable, "-c", killed], check=False, env=environment)
        assert len(list(tmp_path.iterdir())) == 2
        _run(make, TMPDIR=str(tmp_path))
        assert list(tmp_path.iterdir()) == [kept]
        assert (kept / "state.sqlite").exists()
        living.communicate("")
    assert list(tmp_path.iterdir()) == []


def test_sweep_leaves_what_is_in_use_or_being_made() -> None:
    """Not all who were in a temporary folder need be alive; and no one may be in it yet."""
    state = State(None, app="photos")
    (state.folder / "processes" / ("0" * 32)).touch()
    young = Path(tempfile.mkdtemp(prefix="faaskit-state-"))
    (young / "processes").mkdir()
    (young / "write.lock").touch()
    other = State(None, app="photos")
    assert other.folder.exists()
    assert state.folder.exists()
    assert young.exists()
    state.close()
    other.close()
    shutil.rmtree(young)


# --- blobs ------------------------------------------------------------------------------


def _name_blob(state: State, key: bytes, blob: str) -> None:
    with state.writing() as connection:
        connection.execute(
            "INSERT INTO objects VALUES ('b', ?, ?, 0, '', '', '{}', 0)", (key, blob)
        )


def test_blob_is_what_was_written(state: State) -> None:
    """A content comes back as it was, a duplicate too, and goes when it is removed."""
    data = bytes(range(256)) * 1000
    name = state.blobs.write(data)
    twin = state.blobs.duplicate(name)
    assert (state.blobs.read(name), state.blobs.read(twin)) == (data, data)
    state.blobs.remove([name, name])
    with pytest.raises(FileNotFoundError):
        state.blobs.read(name)
    assert state.blobs.read(twin) == data


@pytest.mark.parametrize("linked", [True, False])
def test_content_is_on_the_disk_before_its_name(
    state: State, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    """File, name, folder: in another order a power cut could leave a name with half a content."""
    order: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def synced(descriptor: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        order.append("name")
        return rename(path, target)

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    blobs = state.blobs
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    name = blobs.write(b"data")
    assert order == ["file", "name", "folder"]
    order.clear()
    if not linked:
        monkeypatch.setattr(os, "link", refuse)
    blobs.duplicate(name)
    assert order == (["folder"] if linked else ["file", "name", "folder"])


def test_duplicate_where_there_are_no_links(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without hard links gets a copy; its other failures are the host's."""
    name = state.blobs.write(b"data")

    def refuse(number: int) -> Callable[..., None]:
        def link(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        return link

    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    assert state.blobs.read(state.blobs.duplicate(name)) == b"data"
    with pytest.raises(FileNotFoundError):
        state.blobs.duplicate("gone")
    monkeypatch.setattr(os, "link", refuse(errno.ENOSPC))
    with pytest.raises(SandboxError) as caught:
        state.blobs.duplicate(name)
    assert caught.value.errno == errno.ENOSPC


def test_content_that_finds_no_room_takes_none(tmp_path: Path) -> None:
    """What was written of it goes at once: a full disk would stay full until the next opening."""
    code = (
        "import os, resource, signal, sys\n"
        "from faaskit.exceptions import SandboxError\n"
        "from faaskit.resources.state import State\n"
        "state = State(sys.argv[1], app='a')\n"
        "state.folder\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    state.blobs.write(bytes(2 << 20))\n"
        "except SandboxError as error:\n"
        "    print(error.errno, os.listdir(state.folder / 'blobs'))\n"
    )
    assert _run(code, tmp_path) == f"{errno.EFBIG} []\n"


def test_full_disk_is_told_apart(state: State) -> None:
    """SQLite's word for it becomes the system's number, and the message says what to do."""
    with state.reading() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(SandboxError, match="make room") as caught, state.writing() as connection:
        connection.execute("INSERT INTO about VALUES ('bulk', ?)", ("x" * 100_000,))
    assert caught.value.errno == errno.ENOSPC


def test_leftovers_of_the_gone_are_swept(tmp_path: Path) -> None:
    """What no row names goes at the next opening, unless its writer may yet name it."""
    first, second = State(tmp_path, app="a"), State(tmp_path, app="a")
    named, unnamed = first.blobs.write(b"named"), first.blobs.write(b"unnamed")
    _name_blob(first, b"k", named)
    (tmp_path / "blobs" / f"{first.token}-99.part").write_bytes(b"half")
    in_progress = second.blobs.write(b"in progress")
    first.close()
    third = State(tmp_path, app="a")
    folder = third.folder / "blobs"
    assert {path.name for path in folder.iterdir()} == {named, in_progress}
    assert unnamed not in {path.name for path in folder.iterdir()}
    _name_blob(second, b"l", in_progress)
    second.close()
    third.close()
    fourth = State(tmp_path, app="a")
    assert fourth.blobs.read(in_progress) == b"in progress"
    assert fourth.blobs.read(named) == b"named"
    fourth.close()


# --- forks ------------------------------------------------------------------------------

_FORK = """
import os, sys
from faaskit.resources.state import State

def value(state):
    with state.reading() as connection:
        return connection.execute("SELECT value FROM sequence").fetchone()[0]

def add(state):
    with state.writing() as connection:
        connection.execute("UPDATE sequence SET value = value + 1")

state = State(sys.argv[1] or None, app="photos")
add(state)
token = state.token
connection = state._session.connection
"""


def test_fork_carries_no_connection_over(tmp_path: Path) -> None:
    """A child has a connection and a token of its own; both sides' writes are kept."""
    code = _FORK + (
        "ready, done = os.pipe(), os.pipe()\n"
        "if os.fork() == 0:\n"
        "    assert state._session is None\n"
        "    for _ in range(50): add(state)\n"
        "    assert state.token != token\n"
        "    assert state.is_alive(token), 'the parent is there'\n"
        "    state.close()\n"
        "    os._exit(0)\n"
        "for _ in range(50): add(state)\n"
        "assert state._session.connection is not connection\n"
        "assert state.token == token\n"
        "assert os.wait()[1] == 0\n"
        "print(value(state))\n"
    )
    assert _run(code, tmp_path) == "101\n"


def test_writes_of_a_child_outlive_the_parents_closing(tmp_path: Path) -> None:
    """The parent's closing does not take the log from under a child that goes on writing."""
    code = _FORK + (
        "r, w = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    add(state)\n"
        "    os.close(w)\n"
        "    os.read(r, 1)\n"
        "    add(state)\n"
        "    os._exit(0)\n"
        "state.close()\n"
        "os.close(w)\n"
        "assert os.wait()[1] == 0\n"
        "print(value(State(sys.argv[1], app='photos')))\n"
    )
    assert _run(code, tmp_path) == "3\n"


def test_child_leaves_its_parents_temporary_folder(tmp_path: Path) -> None:
    """A child that ends as programs do, finalizers and all, removes nothing of its parent's."""
    code = _FORK + (
        "if os.fork() == 0:\n"
        "    add(state)\n"
        "    sys.exit(0)\n"
        "assert os.wait()[1] == 0\n"
        "print(value(state))\n"
    )
    assert _run(code, "", TMPDIR=str(tmp_path)) == "2\n"
    assert list(tmp_path.iterdir()) == []


def test_child_knows_that_its_parent_is_gone(tmp_path: Path) -> None:
    """A child that outlives its parent sees that the parent's mark is no one's any more."""
    code = _FORK + (
        "r, w = os.pipe()\n"
        "if os.fork():\n"
        "    os._exit(0)\n"
        "os.close(w)\n"
        "os.read(r, 1)  # until the parent has ended\n"
        "os.write(1, f'{state.is_alive(token)} {state.is_alive(state.token)}'.encode())\n"
        "state.close()\n"
    )
    assert _run(code, tmp_path) == "False True"


def test_fork_waits_for_a_transaction_of_another_thread(tmp_path: Path) -> None:
    """A fork in the middle of a write of another thread harms neither side."""
    code = _FORK + (
        "import threading\n"
        "inside, go = threading.Event(), threading.Event()\n"
        "def slow():\n"
        "    with state.writing() as connection:\n"
        "        connection.execute('UPDATE sequence SET value = value + 10')\n"
        "        inside.set(); go.wait()\n"
        "thread = threading.Thread(target=slow); thread.start(); inside.wait()\n"
        "os.register_at_fork(before=go.set)  # runs before the hook that waits\n"
        "if os.fork() == 0:\n"
        "    add(state)\n"
        "    os._exit(0)\n"
        "thread.join()\n"
        "assert os.wait()[1] == 0\n"
        "print(value(state))\n"
    )
    assert _run(code, tmp_path) == "12\n"


def test_the_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    """Many small commits, then large ones: what is in the log goes on into the file."""
    state = State(tmp_path, app="log")
    log = tmp_path / "state.sqlite-wal"
    with state.writing() as connection:
        connection.execute("CREATE TABLE filler (data BLOB)")
    for size, count in ((100, 3000), (1 << 20, 40), (100, 1500)):
        for _ in range(count):
            with state.writing() as connection:
                connection.execute("INSERT INTO filler VALUES (?)", (bytes(size),))
        assert log.stat().st_size < 24 << 20
    assert (tmp_path / "state.sqlite").stat().st_size > 30 << 20
    state.close()
