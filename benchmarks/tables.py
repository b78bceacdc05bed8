"""
What an operation on an app's own table costs, as a ratio to bare SQLite that is as durable.

    python benchmarks/tables.py [--rounds N] [--calls N]

Both keep a row of a key and 100 bytes, in a write-ahead log with synchronous=FULL, on the same
disk, and take turns. The table's side is the handle, in the app: values checked, a lock that
other processes respect, a condition that could be there.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from faaskit import App

_ITEMS_OF_A_QUERY = 100
_TEXT = "x" * 100


def per_second(deed: Callable[[int], object], calls: int) -> float:
    """Return how often a deed can be done in a second."""
    began = time.perf_counter()
    for number in range(calls):
        deed(number)
    return calls / (time.perf_counter() - began)


def of_sqlite(folder: Path) -> dict[str, Callable[[int], object]]:
    """Return the deeds on bare SQLite."""
    connection = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE items (p TEXT, s INTEGER, item TEXT, PRIMARY KEY (p, s))")

    def put(number: int) -> None:
        item = json.dumps({"p": "a", "s": number, "v": _TEXT})
        connection.execute("INSERT OR REPLACE INTO items VALUES ('a', ?, ?)", (number, item))

    def get(number: int) -> object:
        query = "SELECT item FROM items WHERE p = 'a' AND s = ?"
        return json.loads(connection.execute(query, (number,)).fetchone()[0])

    def query(_: int) -> object:
        found = connection.execute(
            "SELECT item FROM items WHERE p = 'a' ORDER BY s LIMIT ?", (_ITEMS_OF_A_QUERY,)
        )
        return [json.loads(text) for (text,) in found]

    return {"put": put, "get": get, f"query of {_ITEMS_OF_A_QUERY}": query}


def of_table(app: App) -> dict[str, Callable[[int], object]]:
    """Return the deeds on a table."""
    table = app.table("items", partition_key="p", sort_key=("s", "N"))

    def put(number: int) -> None:
        table.put({"p": "a", "s": number, "v": _TEXT})

    def get(number: int) -> object:
        return table.get(p="a", s=number)

    def query(_: int) -> object:
        return list(table.query("a", limit=_ITEMS_OF_A_QUERY))

    return {"put": put, "get": get, f"query of {_ITEMS_OF_A_QUERY}": query}


def main() -> None:
    """Measure, and print a table."""
    arguments = argparse.ArgumentParser(description="Tables, against bare SQLite.")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--calls", type=int, default=300)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, App("bench", state=f"{folder}/state") as app:
        sides = {"SQLite": of_sqlite(Path(folder)), "table": of_table(app)}
        print("| per second | bare SQLite | table | ratio |\n|---|---|---|---|")
        for name in sides["table"]:
            figures: dict[str, list[float]] = {side: [] for side in sides}
            for _ in range(asked.rounds):
                for side, deeds in sides.items():
                    figures[side].append(per_second(deeds[name], asked.calls))
            bare, ours = (median(figures[side]) for side in ("SQLite", "table"))
            print(f"| {name} | {bare:,.0f} | {ours:,.0f} | {bare / ours:.1f} |")


if __name__ == "__main__":
    main()
