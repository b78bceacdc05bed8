"""What was acknowledged survives kill -9 of the writer, with its event, and nothing else does."""

from __future__ import annotations

import hashlib
import json
import random
import select
import subprocess
import sys
from pathlib import Path
from typing import IO
from urllib.parse import unquote_plus

import pytest

from faaskit.app import App

_ROUNDS = 50

# Two threads put, copy and delete objects as fast as they can, and say what is done.
_WRITER = r"""
import os, sys, threading
from faaskit.app import App
from faaskit.definition import FunctionConfig

app = App("photos", state=sys.argv[1])
bucket = app.bucket("uploads")

class Function:
    name, __module__, __qualname__ = "f", "m", "f"
    arn, config = "arn:aws:lambda:us-east-1:123456789012:function:f", FunctionConfig(name="f")

function = Function()
app.adopt(function)
bucket.on("s3:ObjectCreated:*", "s3:ObjectRemoved:*")(function)

def say(what, key):
    os.write(1, f"{what}\t{key}\n".encode())  # in one piece, as print() does not

def write(thread):
    for number in range(100_000):
        key = f"r{sys.argv[2]}/t{thread} {number}"
        bucket.put(key, (key * (1 + number * 7 % 50)).encode() * (1 + number % 3 * 300))
        say("put", key)
        if number % 3 == 1:
            bucket.put("shared", key.encode())
        if number % 4 == 2:
            bucket.copy(key, key + "'")
            say("put", key + "'")
        if number % 5 == 3:
            say("deleting", key)
            bucket.delete(key)
            say("deleted", key)

for thread in range(2):
    threading.Thread(target=write, args=(thread,)).start()
"""


def _content(key: str) -> bytes:
    name = key.rstrip("'")
    number = int(name.rpartition(" ")[2])
    return (name * (1 + number * 7 % 50)).encode() * (1 + number % 3 * 300)


def _kill_at_random(writer: subprocess.Popen[bytes], chance: random.Random) -> list[str]:
    """Let a writer write for a while, kill it, and return the lines that it got out."""
    assert writer.stdout is not None
    out: IO[bytes] = writer.stdout
    lines = [out.readline()]
    # A real wait, of a random length: the moment of death is what is tried out.
    select.select([], [], [], chance.uniform(0, 0.08))
    writer.kill()
    lines += out.readlines()
    writer.wait()
    # A line that the kill cut off was not read by anyone as an acknowledgement.
    return [line.decode().rstrip("\n") for line in lines if line.endswith(b"\n")]


@pytest.mark.timeout(300)  # fifty interpreters are started, on a machine that may be slow
def test_kill_9_loses_nothing(tmp_path: Path) -> None:
    """Over many deaths: acknowledged objects are there, whole; events are exactly the changes."""
    chance = random.Random(4)
    present: set[str] = set()
    gone: set[str] = set()
    unsure: set[str] = set()
    for turn in range(_ROUNDS):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path), str(turn)], stdout=subprocess.PIPE
        )
        with writer:
            for line in _kill_at_random(writer, chance):
                what, _, key = line.partition("\t")
                if what == "put":
                    present.add(key)
                elif what == "deleting":
                    present.discard(key)
                    unsure.add(key)
                else:
                    unsure.discard(key)
                    gone.add(key)
    assert len(present) > _ROUNDS

    with App("photos", state=tmp_path) as app:
        bucket = app.bucket("uploads")
        stored = {entry.key: entry for entry in bucket.list()}
        assert present <= stored.keys()
        assert not gone & stored.keys()
        for key in stored.keys() - {"shared"}:
            assert bucket.get(key).body == _content(key)

        # The events of a key, by sequencer, end with what the bucket holds: each change has
        # its event and each event its change, acknowledged or not.
        last: dict[str, tuple[str, str]] = {}
        made: dict[str, int] = {}
        sequencers = set()
        for event in app.pending():
            (record,) = json.loads(event.event)["Records"]
            thing = record["s3"]["object"]
            key = unquote_plus(thing["key"])
            sequencers.add(thing["sequencer"])
            state = (thing["sequencer"], thing.get("eTag", "removed"))
            last[key] = max(last.get(key, state), state)
            made[key] = made.get(key, 0) + 1
        assert len(sequencers) == len(app.pending())
        assert {key for key, (_, etag) in last.items() if etag != "removed"} == stored.keys()
        for key, entry in stored.items():
            assert last[key][1] == entry.etag
            assert entry.etag == hashlib.md5(bucket.get(key).body or b"").hexdigest()
        assert all(count <= 2 for key, count in made.items() if key != "shared")
        folder = tmp_path / "blobs"
        assert len(list(folder.iterdir())) == len(stored), "what the dead left was swept"
