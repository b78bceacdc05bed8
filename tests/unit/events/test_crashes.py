"""Nothing that was acknowledged is lost, whoever is killed with whatever at hand."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psutil
import pytest
from moto.server import ThreadedMotoServer
from probes import until

from faaskit.app import App
from faaskit.sandbox.sweep import sweep
from faaskit.testing import FakeClock

_SCRIPT = Path(__file__).parents[2] / "handlers" / "crash_app.py"
_EACH_ROUND = 15  # events, at the least
_ORDERED = {"clicks", "orders", "steps", "far"}


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lend a place elsewhere, which nobody kills, with a stream ``far``."""
    server = ThreadedMotoServer(ip_address="localhost", port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        monkeypatch.setenv("CRASH_AWS", f"http://localhost:{port}")
        with App("far", aws=f"http://localhost:{port}") as app:
            app.client("kinesis").create_stream(StreamName="far", ShardCount=2)
        yield
    finally:
        server.stop()


def _start(folder: Path, number: int, *arguments: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"CRASH_FOLDER": str(folder), "CRASH_FIRST": str(number * 1_000_000)}
    # As a module: code that is __main__'s travels by value, and its App would be another one.
    code = f"import sys; sys.argv = ['', *{arguments!r}]; import crash_app as c; "
    code += "c.produce(sys.argv[2]) if sys.argv[1] == 'produce' else c.app.run(concurrency=8)"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=_SCRIPT.parent,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _kill_below(process: subprocess.Popen[bytes], chance: random.Random) -> None:
    """Kill one of what a process has started, if there is any: a launcher, a function."""
    with contextlib.suppress(psutil.NoSuchProcess):
        below = psutil.Process(process.pid).children(recursive=True)
        if below:
            chance.choice(below).kill()


def _count(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def _has_lines(file: Path, count: int) -> bool:
    return _count(file) >= count


def _rounds(folder: Path, rounds: int, chance: random.Random) -> dict[str, list[tuple[str, str]]]:
    """Run and kill; return what was acknowledged, by kind, with its key."""
    file = folder / "acknowledged"
    state = folder / "state"
    app: subprocess.Popen[bytes] | None = None
    try:
        for number in range(rounds):
            producer = _start(state, number, "produce", str(file))
            if app is None or app.poll() is not None:
                app = _start(state, number, "deliver")
            enough = functools.partial(_has_lines, file, _count(file) + _EACH_ROUND)
            until(enough, "events of this round", 60)
            # Not a guess at when something is done: the moment of the kill, whatever it hits.
            for _ in range(3):
                time.sleep(chance.uniform(0.1, 0.5))
                _kill_below(app, chance)
            if chance.random() < 0.6:
                app.kill()
                app.wait()
            producer.kill()
            producer.wait()
    finally:
        if app is not None:
            app.kill()
            app.wait()
    acknowledged = defaultdict(list)
    for line in file.read_text().splitlines():
        kind, text, key = line.split()
        acknowledged[kind].append((text, key))
    return acknowledged


def _finish(state: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[Any]]:
    """Deliver what is left, hours later; return the log and what was given up."""
    monkeypatch.setenv("CRASH_FOLDER", str(state))
    sys.modules.pop("crash_app", None)
    import crash_app

    app = crash_app.app
    clock = FakeClock(datetime.now(timezone.utc) + timedelta(hours=1))
    owners: tuple[Any, ...] = (
        app,
        app._deliverer,
        app._queue,
        app._mappings,
        *app._deliverer._works,
    )
    for owner in owners:
        owner._clock = clock
    for service in app._gate._services.values():
        if hasattr(service, "_clock"):
            service._clock = clock
    try:
        for _ in range(12):
            app.drain()
            clock.advance(minutes=5)
        records = [(one.data.decode(), one.partition_key) for one in crash_app.log.read()]
        left = [*app.pending(), *crash_app.jobs.receive(), *crash_app.steps.receive()]
        assert left == []
        return records, app.dead()
    finally:
        app.close()
        sys.modules.pop("crash_app", None)


def _dead_texts(dead: list[Any]) -> dict[str, set[str]]:
    """Return what was given up, by kind."""
    texts: dict[str, set[str]] = defaultdict(set)
    for one in dead:
        assert one.reason
        event = json.loads(one.event)
        if one.function == "on_call":
            texts["call"].add(str(event))
        elif one.function == "on_inbox":
            texts["inbox"].add(event["Records"][0]["s3"]["object"]["key"])
        else:
            for record in event["Records"]:
                texts["far" if one.function == "on_far" else "clicks"].add(
                    base64.b64decode(record["kinesis"]["data"]).decode()
                )
    return texts


def _check_checkpoints(records: list[tuple[str, str]]) -> None:
    """
    See that nothing comes again once it was done.

    A batch that begins behind a record was read when that record was done. So of one key, each
    batch begins where the one before began, a retry, or later.
    """
    batches: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for text, key in records:
        kind, number, *batch = text.split()
        if batch:
            known = batches[kind, key]
            known[batch[0]] = min(int(number), known.get(batch[0], int(number)))
    assert {kind for kind, _ in batches} == _ORDERED
    for where, begun in batches.items():
        firsts = list(begun.values())
        assert firsts == sorted(firsts), f"{where} came again behind its checkpoint"


def _check(folder: Path, rounds: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> int:
    acknowledged = _rounds(folder, rounds, random.Random(seed))
    records, dead = _finish(folder / "state", monkeypatch)
    sweep(tempfile.gettempdir())  # after a launcher and its sweeper, as the next one would
    delivered: dict[str, dict[str, int]] = defaultdict(dict)
    for place, (text, _) in enumerate(records):
        kind, number, *_ = text.split()
        delivered[kind].setdefault(number, place)
    _check_checkpoints(records)
    given_up = _dead_texts(dead)
    assert acknowledged.keys() == {"call", "clicks", "far", "inbox", "jobs", "orders", "steps"}
    for kind, sent in acknowledged.items():
        lost = [text for text, _ in sent if text not in delivered[kind]]
        assert set(lost) <= given_up[kind], f"{kind}: {lost[:5]} of {len(sent)}"
        if kind in _ORDERED:
            by_key: dict[str, list[int]] = defaultdict(list)
            for text, key in sent:
                if text in delivered[kind]:
                    by_key[key].append(delivered[kind][text])
            for key, places in by_key.items():
                assert places == sorted(places), f"{kind} of {key} out of order"
    return sum(map(len, acknowledged.values()))


def test_killed_at_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A producer, the app, its launcher and its functions, some rounds of it."""
    assert _check(tmp_path, 4, 1, monkeypatch) >= 4 * _EACH_ROUND


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_killed_at_random_two_hundred_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, for long."""
    count = _check(tmp_path, 200, 2, monkeypatch)
    print(f"{count} events acknowledged, none lost")
    assert count > 5000
