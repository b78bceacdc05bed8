"""
Ways to run a handler for each call, each in a process of its own that imports no other's.

    python peers.py WAY OPTIONS

The script that measures asks over stdin (see ``bare.serve``). OPTIONS is a JSON object, for
faaskit's own way.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import bare
import deeds

EVENT = {"key": "value", "numbers": [1, 2, 3]}
Way = Callable[[], Any]


@contextmanager
def faaskit(
    *,
    isolation: str = "namespace",
    functions: int = 1,
    memory_size: int = 128,
    environment: dict[str, str] | None = None,
    ready: int = 1,
) -> Iterator[Way]:
    """Call functions in turn, a fresh environment each, with limits, meter and bill."""
    from itertools import cycle

    from faaskit import Invoker, function

    declare = [
        function(name=f"trivial-{number}", memory_size=memory_size, environment=environment or {})
        for number in range(functions)
    ]
    made = [decorate(deeds.trivial) for decorate in declare]
    turns = cycle(made)
    with Invoker(isolation) as invoker:
        for each in made:
            invoker.warm(each, ready)
        yield lambda: invoker.invoke(next(turns), EVENT).result()


@contextmanager
def warm_worker() -> Iterator[Way]:
    """One process, used again and again: no freshness, no limit, no meter."""
    import socket

    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        while data := theirs.recv(65536):
            theirs.send(json.dumps(deeds.trivial(json.loads(data), None)).encode())
        os._exit(0)
    theirs.close()

    def call() -> Any:
        ours.send(json.dumps(EVENT).encode())
        return json.loads(ours.recv(65536))

    yield call
    ours.close()
    os.waitpid(pid, 0)


@contextmanager
def pool() -> Iterator[Way]:
    """Workers that are forked ahead and serve one call each."""
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(4, maxtasksperchild=1) as made:
        yield lambda: made.apply(deeds.trivial, (EVENT, None))


def _answer(connection: Any) -> None:
    connection.send(deeds.trivial(EVENT, None))


@contextmanager
def process() -> Iterator[Way]:
    """The standard library's process for each call."""
    import multiprocessing

    context = multiprocessing.get_context("fork")

    def call() -> Any:
        ours, theirs = context.Pipe()
        child = context.Process(target=_answer, args=(theirs,))
        child.start()
        theirs.close()
        result = ours.recv()
        child.join()
        return result

    yield call


@contextmanager
def pebble() -> Iterator[Way]:
    """A process for each call, with a time limit."""
    import multiprocessing

    from pebble import concurrent

    context = multiprocessing.get_context("fork")
    decorated = concurrent.process(mp_context=context, timeout=3)(_plain)
    yield lambda: decorated().result()


def _plain() -> Any:
    return deeds.trivial(EVENT, None)


@contextmanager
def lambda_local() -> Iterator[Way]:
    """python-lambda-local as a library: the handler is loaded once."""
    from lambda_local.context import Context
    from lambda_local.main import call

    yield lambda: call(deeds.trivial, EVENT, Context(3))[0]


@contextmanager
def lambda_local_command() -> Iterator[Way]:
    """python-lambda-local as its users run it: a command."""
    import subprocess
    import tempfile

    import lambda_local

    with tempfile.NamedTemporaryFile("w", suffix=".json") as event:
        json.dump(EVENT, event)
        event.flush()
        command = [sys.executable, "-m", lambda_local.__name__, "-f", "trivial", "-t", "3"]
        command += [deeds.__file__, event.name]

        def call() -> Any:
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            assert "value" in done.stdout
            return deeds.trivial(EVENT, None)  # it prints no JSON that could be read

        yield call


@contextmanager
def bubblewrap() -> Iterator[Way]:
    """Namespaces by bwrap, and a Python started in them."""
    import subprocess

    code = "import sys, json, deeds; print(json.dumps(deeds.trivial(json.load(sys.stdin), None)))"
    command = ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "--proc", "/proc"]
    command += ["--dev", "/dev", "--chdir", sys.path[0]]
    command += ["--", sys.executable, "-c", code]

    def call() -> Any:
        done = subprocess.run(
            command, input=json.dumps(EVENT), check=True, capture_output=True, text=True
        )
        return json.loads(done.stdout)

    yield call


def main() -> None:
    """Serve one way, or say why it can't be had."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # some write their logs there
    way = globals()[sys.argv[1]]
    try:
        with way(**json.loads(sys.argv[2])) as call:
            got = call()
            assert got == deeds.trivial(EVENT, None), got
            bare.serve(call, answers)
    except (ImportError, OSError) as error:
        answers.write(f"missing: {error}\n")


if __name__ == "__main__":
    main()
