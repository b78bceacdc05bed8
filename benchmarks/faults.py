"""
`kill -9` of the app, launcher, template or environment, at random moments under load.

    python benchmarks/faults.py [--isolation LEVEL] [--rounds N] [--seed N] [--quick]

The app is a process of its own, with callers that never stop. After each kill every caller
must go on (with a new app, if it was that), and who was below the killed one must be gone, with
its temporary files. Ends with 1 if a caller hangs, gets anything but a result or an error of
faaskit's, or if something is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

import deeds
from faaskit import Invoker, function
from faaskit.exceptions import FaaskitError
from faaskit.sandbox import sweep
from measuring import below, heading, launcher_below, parser, table

_VICTIMS = ("app", "launcher", "template", "environment")
_CALLERS = 3
_DEADLINE_S = 30  # for what takes moments; a host may be busy
_MARKER = b"FAASKIT_LAUNCHER="
# What a caller may see of its own doing, whoever is killed.
_USUAL = {"sleep": "ok", "return": "ok", "daemon": "ok", "raise": "error"}


def be_app(isolation: str) -> None:
    """Call and call; print what each caller sees."""
    lock = threading.Lock()
    invoker = Invoker(isolation)
    mixed = function(name="mixed", timeout=20, memory_size=256)(deeds.mixed)

    def say(caller: int, what: str, began: int) -> None:
        with lock:
            print(json.dumps([caller, what, began]), flush=True)

    def work(caller: int) -> None:
        chance = random.Random()
        while not stop.is_set():
            do = chance.choice(list(_USUAL))
            began = time.monotonic_ns()
            try:
                status = invoker.invoke(mixed, {"do": do, "seconds": chance.random() / 10}).status
            except FaaskitError as error:
                say(caller, type(error).__name__, began)
            except BaseException as error:
                say(caller, f"unnamed: {error!r}", began)
                raise
            else:
                say(caller, "as usual" if status == _USUAL[do] else status, began)

    stop = threading.Event()
    threads = [threading.Thread(target=work, args=(caller,)) for caller in range(_CALLERS)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    invoker.close()


class App:
    """The app's process, and what its callers have said."""

    def __init__(self, isolation: str, temporary: str) -> None:
        # In a jail, two that guard the template stand above it.
        self._depth = 3 if isolation == "namespace" else 1
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, "--isolation", isolation, "--app"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": temporary},
        )
        self.said: queue.SimpleQueue[tuple[int, str, int]] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            caller, what, began = json.loads(line)
            self.said.put((caller, what, began))

    def go_on(self, seen: Counter[str]) -> None:
        """
        Wait until each caller has had two ordinary answers in a row; count what they saw.

        Raises:
            TimeoutError: One does not get there.
        """
        since = time.monotonic_ns()  # what began before may have had its answer then
        until = time.monotonic() + _DEADLINE_S
        in_a_row = dict.fromkeys(range(_CALLERS), 0)
        while min(in_a_row.values()) < 2:
            try:
                caller, what, began = self.said.get(timeout=max(0, until - time.monotonic()))
            except queue.Empty:
                msg = f"callers that hang, or get no result any more: {in_a_row}"
                raise TimeoutError(msg) from None
            if what != "as usual":
                seen[what] += 1
                in_a_row[caller] = 0
            elif began > since:
                in_a_row[caller] += 1

    def drain(self) -> Iterator[str]:
        """Give what has been said and not yet taken."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self.said.get_nowait()[1]

    def victim(self, kind: str, chance: random.Random) -> psutil.Process:
        """
        Return a process of that kind.

        Raises:
            TimeoutError: There is none.
        """
        until = time.monotonic() + _DEADLINE_S
        while time.monotonic() < until:
            with contextlib.suppress(psutil.Error, LookupError):
                if kind == "app":
                    return psutil.Process(self.process.pid)
                launcher = launcher_below(self.process.pid)
                if kind == "launcher":
                    return launcher
                found = below(launcher.pid)
                parents = {parent for parent, _ in found.values()}
                wanted = [
                    pid
                    for pid, (_, depth) in found.items()
                    # Not a helper of the launcher's, which has no children.
                    if (depth > self._depth) == (kind == "environment")
                    and (depth > 1 or pid in parents)
                ]
                if wanted:
                    return psutil.Process(chance.choice(wanted))
            time.sleep(0.005)
        msg = f"there is no {kind}"
        raise TimeoutError(msg)

    def close(self) -> int:
        """Have it end by itself; return its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(_DEADLINE_S)


def _marked(launchers: set[bytes]) -> list[int]:
    """Return the processes that say to be of these launchers."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                variables = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
                if any(variable in launchers for variable in variables):
                    found.append(int(entry))
    return found


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _until_nothing(left: Callable[[], list[object]]) -> list[object]:
    until = time.monotonic() + _DEADLINE_S
    while (found := left()) and time.monotonic() < until:
        time.sleep(0.02)
    return found


class Faults:
    """The rounds, and what came of them."""

    def __init__(self, isolation: str, temporary: str, seed: int) -> None:
        self._isolation = isolation
        self._temporary = temporary
        self._chance = random.Random(seed)
        self._app = App(isolation, temporary)
        self._app.go_on(Counter())
        self._last = "nobody"
        self.rounds: Counter[str] = Counter()
        self.seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.slowest: defaultdict[str, float] = defaultdict(float)
        self.wrong: list[str] = []

    def one(self, kind: str) -> None:
        """Kill one of a kind, and see what comes of it."""
        for what in self._app.drain():  # still of the last one
            self._judge(self._last, what)
        self._last = kind
        time.sleep(self._chance.random() / 10)
        victim = self._app.victim(kind, self._chance)
        before, labels = self._family() if kind in {"app", "launcher"} else ([], set())
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
        began = time.monotonic()
        if kind == "app":
            self._app.process.wait()
            for what in self._app.drain():
                self._judge(kind, what)
            # Its launcher lives, and must clear up without the help of another.
            self._nothing_left(kind, before, labels)
            self._app = App(self._isolation, self._temporary)
        told: Counter[str] = Counter()
        self._app.go_on(told)
        self.slowest[kind] = max(self.slowest[kind], time.monotonic() - began)
        for what, count in told.items():
            self._judge(kind, what, count)
        if kind == "launcher":
            self._nothing_left(kind, before, labels)
        self.rounds[kind] += 1

    def _family(self) -> tuple[list[psutil.Process], set[bytes]]:
        """Return all below the app, and by what name its launchers' things go."""
        processes, labels = [], set()
        for pid, (_, depth) in below(self._app.process.pid).items():
            with contextlib.suppress(psutil.NoSuchProcess, OSError):
                processes.append(psutil.Process(pid))
                if depth == 1:
                    labels.add(_MARKER + sweep.name_of(pid).encode())
        return processes, labels

    def _judge(self, kind: str, what: str, count: int = 1) -> None:
        if what != "as usual":
            self.seen[kind][what] += count
            # A killed environment was killed by a signal; all else is the sandbox's failure.
            if what not in {"SandboxError", "LauncherLostError", "signal"}:
                self.wrong.append(f"a caller saw {what!r} after a kill of {kind}")

    def _nothing_left(self, kind: str, before: list[psutil.Process], labels: set[bytes]) -> None:
        def left() -> list[object]:
            names = {label.partition(b"=")[2].decode() for label in labels}
            folders = [name for name in os.listdir(self._temporary) if name in names]
            return [*filter(_alive, before), *_marked(labels), *folders]

        for each in _until_nothing(left):
            self.wrong.append(f"left after a kill of {kind}: {each}")

    def end(self) -> None:
        """Let the app end by itself: nothing is left then."""
        below = psutil.Process(self._app.process.pid).children(recursive=True)
        code = self._app.close()
        if code:
            self.wrong.append(f"the app ended with {code}")
        for process in below:
            if _alive(process):
                self.wrong.append(f"left at the end: {process}")
        self.wrong += [
            f"left at the end: {name}"
            for name in os.listdir(self._temporary)
            if name.startswith("faaskit-")
        ]

    def give_up(self) -> None:
        """End the app whatever it does; its launcher clears up."""
        if self._app.process.poll() is None:
            self._app.process.kill()
            self._app.process.wait()


def main() -> int:
    """Run it; return the exit code."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--isolation", choices=["namespace", "process"], default="namespace")
    arguments.add_argument("--rounds", type=int, default=500)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--app", action="store_true", help="be the app: the script's own use")
    given = arguments.parse_args()
    if given.app:
        be_app(given.isolation)
        return 0
    rounds = 24 if given.quick else given.rounds
    with tempfile.TemporaryDirectory(prefix="f-") as temporary:
        faults = Faults(given.isolation, temporary, given.seed)
        try:
            for turn in range(rounds):
                faults.one(_VICTIMS[turn % len(_VICTIMS)])
            faults.end()
        except TimeoutError as error:
            faults.wrong.append(str(error))
        finally:
            faults.give_up()
    heading(f'{rounds} kills, "{given.isolation}", seed {given.seed}')
    rows: list[list[object]] = []
    for kind in _VICTIMS:
        saw = ", ".join(f"{count} {what}" for what, count in sorted(faults.seen[kind].items()))
        rows.append([kind, faults.rounds[kind], saw or "nothing unusual", faults.slowest[kind]])
    table(["Killed", "rounds", "callers saw", "slowest until all went on, s"], rows)
    print("\n" + ("\n".join(faults.wrong) or "Nobody hung, and nothing was left."))
    return 1 if faults.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
