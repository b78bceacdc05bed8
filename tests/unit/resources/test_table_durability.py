"""What was acknowledged survives kill -9 of the writer; updates of several lose nothing."""

from __future__ import annotations

import json
import random
import select
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from faaskit.app import App
from faaskit.exceptions import ServiceError

_ROUNDS = 25

# Two threads write as fast as they can, and say what is done. Each item of a pair is written
# with the other in one transaction; `number` is the same in both, or the transaction was torn.
_WRITER = r"""
import os, sys, threading
from faaskit.app import App
from faaskit.runtimes.contract import ServiceCall

app = App("shop", state=sys.argv[1])
table = app.table("orders", partition_key="id", stream="NEW_AND_OLD_IMAGES")

def pair(key, number):
    item = {"number": {"N": str(number)}, "more": {"S": "x" * (number % 7 * 1000)}}
    parts = [
        {"Put": {"TableName": "orders", "Item": {**item, "id": {"S": key + side}}}}
        for side in ("-left", "-right")
    ]
    call = ServiceCall("dynamodb", "TransactWriteItems", {"TransactItems": parts})
    assert app.perform(call).failure is None

def write(thread):
    key = f"r{sys.argv[2]}t{thread}"
    for number in range(100_000):
        pair(key, number)
        table.update({"id": f"{key}-count"}, add={"n": 1}, set={"more": "x" * (number % 5 * 999)})
        os.write(1, f"{key} {number}\n".encode())  # in one piece, as print() does not

for thread in range(2):
    threading.Thread(target=write, args=(thread,)).start()
"""

_ADDER = r"""
import sys, threading
from faaskit.app import App
from faaskit.exceptions import ServiceError

app = App("shop", state=sys.argv[1])
table = app.table("orders", partition_key="id")

def add():
    done = 0
    while done < 25:
        n = table.get(id="a")["n"]
        try:
            table.update({"id": "a"}, set={"n": n + 1}, condition="n = :n", values={":n": n})
        except ServiceError as error:
            assert error.code == "ConditionalCheckFailedException"
        else:
            done += 1
        table.update({"id": "a"}, add={"sum": 1})

threads = [threading.Thread(target=add) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def _killed_at_random(writer: subprocess.Popen[bytes], chance: random.Random) -> list[str]:
    assert writer.stdout is not None
    lines = [writer.stdout.readline()]
    # A real wait, of a random length: the moment of death is what is tried out.
    select.select([], [], [], chance.uniform(0, 0.08))
    writer.kill()
    lines += writer.stdout.readlines()
    writer.wait()
    return [line.decode().strip() for line in lines if line.endswith(b"\n")]


@pytest.mark.timeout(300)  # interpreters are started, on a machine that may be slow
def test_kill_9_loses_nothing(tmp_path: Path) -> None:
    """Acknowledged writes are there, transactions are whole, and changes are the history."""
    chance = random.Random(5)
    acknowledged: dict[str, int] = {}
    for turn in range(_ROUNDS):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path), str(turn)], stdout=subprocess.PIPE
        )
        with writer:
            for line in _killed_at_random(writer, chance):
                key, _, last = line.partition(" ")
                acknowledged[key] = int(last)
    assert len(acknowledged) > _ROUNDS

    with App("shop", state=tmp_path) as app:
        table = app.table("orders", partition_key="id", stream="NEW_AND_OLD_IMAGES")
        stored = {item.pop("id"): item for item in table.scan()}
        for key, number in acknowledged.items():
            assert stored[f"{key}-left"] == stored[f"{key}-right"]
            # What was under way at the end may be there, too.
            assert 0 <= stored[f"{key}-left"]["number"] - number <= 1
            assert 0 <= stored[f"{key}-count"]["n"] - (number + 1) <= 1
        # Played back in order, the changes are the table: none is missing, none too many.
        replayed: dict[str, object] = {}
        with app._state.reading() as connection:
            query = "SELECT keys, old, new FROM dynamodb_changes ORDER BY id"
            for keys, old, new in connection.execute(query):
                assert replayed.get(keys) == (None if old is None else json.loads(old))
                replayed[keys] = json.loads(new)
            rows = connection.execute("SELECT item FROM dynamodb_items").fetchall()
        items = [json.loads(text) for (text,) in rows]
        assert {json.dumps({"id": item["id"]}, separators=(",", ":")): item for item in items} == (
            replayed
        )


@pytest.mark.timeout(120)
def test_conditional_updates_of_threads_and_processes_lose_nothing(tmp_path: Path) -> None:
    """Each increment counts once, whoever made it, though all of them try at once."""
    with App("shop", state=tmp_path) as app:
        table = app.table("orders", partition_key="id")
        table.put({"id": "a", "n": 0})
        adders = [subprocess.Popen([sys.executable, "-c", _ADDER, str(tmp_path)]) for _ in range(2)]
        failed: list[int] = []

        def add() -> None:
            for _ in range(25):
                try:
                    n = (table.get(id="a") or {})["n"]
                    table.update(
                        {"id": "a"}, set={"n": n + 1}, condition="n = :n", values={":n": n}
                    )
                except ServiceError:
                    failed.append(1)

        threads = [threading.Thread(target=add) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [adder.wait() for adder in adders] == [0, 0]
        found = table.get(id="a")
        assert found is not None
        assert found["n"] == 2 * 3 * 25 + 3 * 25 - len(failed)
        assert found["sum"] >= 2 * 3 * 25
