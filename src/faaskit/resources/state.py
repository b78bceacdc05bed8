"""
The state folder: one SQLite file for all that is small, ``blobs/`` for contents.

::

    FOLDER/
    ├─ state.sqlite (-wal, -shm)   rows; see schema.py
    ├─ write.lock                  held for every commit and checkpoint
    ├─ blobs/TOKEN-N               contents; see blobs.py
    ├─ processes/TOKEN             who is there; see presence.py
    └─ ballast                     room that is kept for deletes; see ballast.py

Theory of operation
- *Durable*: write-ahead log with synchronous=FULL, so a commit that returned is on the disk.
- *Several threads*: one connection, and a lock around its use. A connection for each thread
  was rejected: SQLite has one writer at a time anyway, reads take microseconds, and a fork
  (below) could not close connections that other threads are using.
- *Several processes*: each has a connection; ``write.lock`` (flock) is held around each
  write, checkpoint, open and close. SQLite has locks of its own, but its versions up to
  3.51.2 can lose commits when one process checkpoints while another one commits and begins
  the log anew. Waiting for a flock is also prompt, where SQLite's busy handler sleeps.
- *Forks*: SQLite counts its locks in memory. In a forked child that memory says that locks
  are held which belong to the parent, and the child's writes can be lost, or corrupt the
  file. So before a fork every connection is closed, with no transaction under way; parent
  and child each open anew when they need it. A program that is started (exec) is no matter:
  it inherits nothing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from faaskit.exceptions import DefinitionError, FaaskitError, SandboxError
from faaskit.resources.ballast import Ballast
from faaskit.resources.blobs import Blobs, fsync_folder
from faaskit.resources.host import explained
from faaskit.resources.ownership import make_folder, refuse_others, tighten
from faaskit.resources.presence import Presence, forget_inherited, is_alive, tokens
from faaskit.resources.schema import migrate
from faaskit.runtimes.opened import keep_private

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Changes", "State"]

_TEMPORARY = "faaskit-state-"
_CHECKPOINT_BYTES = 4 << 20
_CHECKPOINT_PAGES = _CHECKPOINT_BYTES >> 12
# Only readers of other processes are waited for by SQLite itself, in recovery.
_BUSY_SECONDS = 60.0


class Changes:
    """
    Tells whoever waits that something was committed.

    Attributes:
        condition: Notified after each commit of this process.
    """

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self._count = 0

    @property
    def count(self) -> int:
        """How often it was told; read it before looking, compare it before waiting."""
        return self._count

    def tell(self) -> None:
        """Wake everyone who waits."""
        with self.condition:
            self._count += 1
            self.condition.notify_all()


class _Session:
    """What is open of a folder: all that has to be let go of at the end."""

    def __init__(self, folder: Path, lock: threading.RLock, *, remove: bool) -> None:
        self.pid = os.getpid()
        self.folder = folder
        self.lock = lock
        self.remove = remove
        self.connection: sqlite3.Connection | None = None
        self.file: tuple[int, int] | None = None
        self.presence: Presence | None = None
        self.ballast: Ballast | None = None
        # Since the log was last moved, when it is next, and how large it was then.
        self.commits = 0
        self.checkpoint_after = 100
        self.log_bytes = 0

    def end(self) -> None:
        """Close everything. Also run at exit, and when the State is garbage."""
        if self.pid != os.getpid():
            return  # A forked child: nothing of it is the child's.
        with self.lock:  # at exit, a thread that never ends may be in the middle of something
            self.disconnect()
            if self.presence is not None:
                self.presence.end()
            if self.remove:
                shutil.rmtree(self.folder, ignore_errors=True)

    def check(self) -> None:
        """
        See that the state file is still the one that was opened.

        A file that was removed takes writes all the same, and forgets them when it is closed.

        Raises:
            SandboxError: It was removed, or there is another one in its place.
        """
        if _identity(self.folder) != self.file:
            msg = (
                f"state folder {self.folder}: state.sqlite was removed or replaced while it was "
                "open, so what is written would be lost; make a new App to go on with what is "
                "there now"
            )
            raise SandboxError(msg, step="state", errno=errno.ENOENT)

    def disconnect(self) -> None:
        """
        Close the connection; the last one of all processes moves the log into the file.

        Without ``write.lock``: SQLite checkpoints here only if it can lock out everyone
        else, and garbage may be collected while this very thread holds ``write.lock`` for
        another State of the folder.
        """
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()


class State:
    """
    What is stored, shared by the threads of this process and with other processes.

    Nothing is opened or made before the first use.

    Args:
        folder: Made if it is not there. None: a temporary one, removed at close or exit.
        app: The app's name; a folder is one app's.

    Raises:
        DefinitionError: The folder's name is empty, or none that a file system takes.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, *, app: str) -> None:
        if folder is not None:
            _check_name(folder)
        self.temporary = folder is None
        self.changes = Changes()
        self._app = app
        # The working directory may change before the first use.
        self._folder = None if folder is None else Path(folder).expanduser().absolute()
        self._lock = threading.RLock()
        self._session: _Session | None = None
        self._blobs: Blobs | None = None
        self._finalizer: weakref.finalize[..., State] | None = None
        self._closed = False
        self._on_open: list[Callable[[], None]] = []

    def on_open(self, call: Callable[[], None]) -> None:
        """Have something called when the folder was opened, before anything is read or written."""
        self._on_open.append(call)

    @property
    def opened(self) -> bool:
        """Whether it is open: something was read or written by this process."""
        return self._session is not None

    @property
    def folder(self) -> Path:
        """The folder's path; opens it. Does not wait for writes, once it is open."""
        return self._opened_session().folder

    @property
    def token(self) -> str:
        """This process's, in this folder; another one after a fork. Waits as ``folder`` does."""
        presence = self._opened_session().presence
        assert presence is not None
        return presence.token

    def _opened_session(self) -> _Session:
        session = self._session
        if session is not None:
            return session
        with self._lock:
            self._connected()
            assert self._session is not None
            return self._session

    @property
    def blobs(self) -> Blobs:
        """The contents."""
        with self._lock:
            self._connected()
            assert self._blobs is not None
            return self._blobs

    def is_alive(self, token: str) -> bool:
        """Return whether the process that holds a token is still there."""
        return is_alive(self.folder / "processes", token)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """
        Lend the connection for queries, each of which sees what is committed by then.

        Raises:
            SandboxError: The host failed.
        """
        with self._lock, explained(self._folder):
            yield self._connected()

    @contextlib.contextmanager
    def writing(self, *, frees: bool = False) -> Iterator[sqlite3.Connection]:
        """
        Lend the connection inside a transaction; it is durable when the block has ended.

        An exception in the block undoes it all.

        Args:
            frees: Whether it deletes something: then it may use the room that is kept for that.

        Raises:
            SandboxError: The host failed, such as a disk that is full.
        """
        with self._lock, explained(self._folder):
            connection = self._connected()
            assert self._session is not None
            with _exclusive(self._session.folder):
                self._session.check()  # again: the wait may have been long
                ballast = self._session.ballast
                if frees and ballast is not None:
                    ballast.give_up_if_full()
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    yield connection
                    connection.execute("COMMIT")
                except BaseException as error:
                    connection.rollback()
                    if ballast is not None:
                        ballast.note(error)
                    raise
                self._checkpoint(connection)
                if ballast is not None and not frees:
                    ballast.restore()
        self.changes.tell()

    def close(self) -> None:
        """Let go of everything; a temporary folder is removed. Twice is no error."""
        with self._lock:
            self._closed = True
            self._blobs = None
            self._session = None
            if self._finalizer is not None:
                self._finalizer()

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        """
        Move a log that has grown into the file. SQLite's own way would hold no lock.

        The log's file keeps its size when it begins anew, so that writing to it costs no change
        of its size; so that does not tell how much is in it. How much commits write is learnt
        from each checkpoint, and says after how many the next one is due.
        """
        session = self._session
        assert session is not None
        with contextlib.suppress(Exception):  # the commit is done, whatever becomes of this
            session.commits += 1
            size = _size(f"{session.folder}/state.sqlite-wal")
            grown = size > max(_CHECKPOINT_BYTES, session.log_bytes)
            if session.commits < session.checkpoint_after and not grown:
                return
            _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            after = session.commits * _CHECKPOINT_PAGES // max(1, pages)
            session.checkpoint_after = min(max(1, after), _CHECKPOINT_PAGES)
            session.commits = 0
            session.log_bytes = size

    def _connected(self) -> sqlite3.Connection:
        """Return the connection, opening what is not open. Call with the lock held."""
        if self._closed:
            msg = f"App({self._app!r}) is closed: make a new App to go on"
            raise FaaskitError(msg)
        if self._session is None:
            self._open()
            for call in self._on_open:
                call()
        assert self._session is not None
        self._session.check()
        if self._session.connection is None:  # closed for a fork
            with _exclusive(self._session.folder):
                self._session.connection = _connect(self._session.folder)
        return self._session.connection

    def _open(self) -> None:
        _register_fork_hooks()
        with explained(self._folder):
            if self._folder is None:
                _sweep_temporary()
                folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY))
                keep_private(folder)
                session = _Session(folder, self._lock, remove=True)
            else:
                folder = self._folder
                made = make_folder(folder)
                if os.access(folder, os.W_OK | os.X_OK):  # else what the host says tells more
                    refuse_others(folder)
                keep_private(folder)
                if made:
                    fsync_folder(folder.parent)
                session = _Session(folder, self._lock, remove=False)
            if not self.temporary:
                session.ballast = Ballast(folder)
                session.ballast.give_up_if_full()  # to open it is to write, too
            try:
                _fill(session, self._app)
                if session.ballast is not None:
                    refuse_others(folder)  # it may have been put there since
                    session.ballast.make()
            except BaseException:
                session.end()
                raise
        assert session.presence is not None
        self._folder = folder  # a forked child works in its parent's temporary folder, too
        self._blobs = Blobs(folder / "blobs", session.presence.token)
        self._session = session
        self._finalizer = weakref.finalize(self, session.end)
        _opened.add(self)

    def _before_fork(self) -> None:
        self._lock.acquire()
        if self._session is not None:
            self._session.disconnect()

    def _after_fork_in_parent(self) -> None:
        self._lock.release()

    def _after_fork_in_child(self) -> None:
        self._lock = threading.RLock()
        self.changes = Changes()
        self._session = None
        self._blobs = None
        self._finalizer = None  # it stays registered, and does nothing in this process


def _check_name(folder: str | os.PathLike[str]) -> None:
    """Raise for the name of no folder. An empty one, of a variable not set, would be ``.``."""
    name = os.fspath(folder)
    if not name or "\0" in name:
        msg = f"state is {name!r}: pass the name of a folder, or None for a temporary one"
        raise DefinitionError(msg)


def _fill(session: _Session, app: str) -> None:
    """Make what a folder lacks, take a place in it, and tidy up after who is gone."""
    folder = session.folder
    with _exclusive(folder):
        tighten(folder)
        for name in ("blobs", "processes"):
            (folder / name).mkdir(mode=0o700, exist_ok=True)
        session.presence = Presence(folder / "processes")
        _refuse_loss(folder)
        _make_file(folder / "state.sqlite")
        session.connection = _connect(folder)
        session.file = _identity(folder)
        (version,) = session.connection.execute("PRAGMA user_version").fetchone()
        if version == 0 and _holds_blobs(folder):  # its first commits were in a log that is gone
            raise _lost(folder, "has lost its log")
        migrate(session.connection, app=app, folder=str(folder))
        _sweep(folder, session.connection)
    fsync_folder(folder)


def _make_file(path: Path) -> None:
    """
    Make a file that is for its owner alone; SQLite gives its own the mode that this one has.

    One that is there is not opened: to close it would drop the locks that SQLite has on it for
    another State of this process.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _refuse_loss(folder: Path) -> None:
    """
    Raise if there are contents or a log, but no state file that they belong to.

    Begun anew, the file would be right, and empty: SQLite would throw the log away, and the
    sweep every content. The header of a file in use is never only in the log.
    """
    file, log = folder / "state.sqlite", folder / "state.sqlite-wal"
    held = [path for path in (file, log) if path.exists() and path.stat().st_size]
    if file not in held and (held or _holds_blobs(folder)):
        raise _lost(folder, "is missing or empty")


def _holds_blobs(folder: Path) -> bool:
    return any((folder / "blobs").iterdir())


def _lost(folder: Path, how: str) -> SandboxError:
    msg = (
        f"state folder {folder}: state.sqlite {how}, and there is what it would not know of, in "
        "blobs or in a log; put a whole copy of the folder back, or choose another folder"
    )
    return SandboxError(msg, step="state")


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return what tells the state file from any other that is there; None if it is not."""
    try:
        # No path is made of parts here and below: each commit does this several times.
        found = os.stat(f"{folder}/state.sqlite")  # noqa: PTH116
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _size(path: str) -> int:
    """
    Return the size of a file that is written to all the time.

    Not by stat: who has seen a file's time of change makes the next write note one that differs,
    and the next fdatasync write that down, which costs a commit a third more (Linux 6.13).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.lseek(descriptor, 0, os.SEEK_END)
    finally:
        os.close(descriptor)


def _connect(folder: Path) -> sqlite3.Connection:
    import sqlite3  # not before something is stored: the package is to load quickly

    connection = sqlite3.connect(
        folder / "state.sqlite",
        timeout=_BUSY_SECONDS,
        isolation_level=None,  # transactions begin and end where this file says
        check_same_thread=False,  # the State's lock sees to it
    )
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            msg = (
                f"state folder {folder}: SQLite can't keep a write-ahead log on that file "
                "system (a network share?); choose a local folder"
            )
            raise SandboxError(msg, step="state")  # noqa: TRY301
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    except BaseException:
        connection.close()
        raise
    return connection


def _sweep(folder: Path, connection: sqlite3.Connection) -> None:
    """
    Remove what processes left that are gone: marks, and blobs that no row names.

    Safe beside writers in other processes: blobs of whoever is alive are left alone, and
    who is dead when asked can't commit afterwards, so rows are read after asking.
    """
    processes, blobs = folder / "processes", Blobs(folder / "blobs", "")
    marks = tokens(processes)
    gone = {token for token in {*marks, *blobs.owners()} if not is_alive(processes, token)}
    if not gone:
        return
    leftovers = set(blobs.leftovers(gone))
    if leftovers:
        leftovers.difference_update(
            name
            for (name,) in connection.execute(
                "SELECT blob FROM objects UNION ALL SELECT blob FROM parts"
            )
        )
        blobs.remove(leftovers)
    for token in gone.intersection(marks):
        (processes / token).unlink(missing_ok=True)


def _sweep_temporary() -> None:
    """Remove temporary folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        # Being removed already, or just being made: then it is busy, or no process has left
        # its mark in it yet.
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.geteuid():
                _sweep_one(folder)


def _sweep_one(folder: Path) -> None:
    with _exclusive(folder, make=False):
        processes = folder / "processes"
        marks = tokens(processes)
        if marks and not any(is_alive(processes, token) for token in marks):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _exclusive(folder: Path, *, make: bool = True) -> Iterator[None]:
    """
    Wait until no other process, and no other State of this one, writes; keep them out.

    Opened anew each time: a descriptor that stays open would be shared with forked
    children, and the lock with it.

    Args:
        folder: The state folder.
        make: False where the folder may be no one's any more: neither makes nor waits.

    Raises:
        OSError: The folder is gone; without ``make`` also: it is in use.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0)
    descriptor = os.open(f"{folder}/write.lock", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if make else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


# --- forks ------------------------------------------------------------------------------

_opened: weakref.WeakSet[State] = weakref.WeakSet()
_forking = threading.local()  # two threads may fork at once
_hooked = False


def _register_fork_hooks() -> None:
    # At first use, not at import: every later fork of the program pays for a hook.
    global _hooked  # noqa: PLW0603
    if not _hooked:
        _hooked = True
        os.register_at_fork(
            before=_before_fork,
            after_in_parent=_after_fork_in_parent,
            after_in_child=_after_fork_in_child,
        )


def _before_fork() -> None:
    _forking.states = states = []
    # Always in one order, so that two threads that fork can't wait for each other.
    for state in sorted(_opened, key=id):
        state._before_fork()  # noqa: SLF001
        states.append(state)


def _after_fork_in_parent() -> None:
    for state in _forking.states:
        state._after_fork_in_parent()  # noqa: SLF001
    _forking.states = []


def _after_fork_in_child() -> None:
    forget_inherited()
    for state in _forking.states:
        state._after_fork_in_child()  # noqa: SLF001
    _forking.states = []
