"""An app with tables, and what tests of it write often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from service_bench import Bench

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/"


def kept_in(folder: Path) -> Bench:
    """Return an app with tables of each kind of key."""
    made = Bench(folder, "dynamodb")
    made.app.table("people", partition_key="id")
    made.app.table("visits", partition_key="id", sort_key=("seen", "N"))
    made.app.table("blobs", partition_key=("id", "B"), sort_key="name")
    made.app.table("told", partition_key="id", stream="NEW_AND_OLD_IMAGES")
    return made


def text(**texts: str) -> dict[str, Any]:
    """Return attributes that are texts."""
    return {name: {"S": value} for name, value in texts.items()}


def visit(person: str, seen: object, **more: Any) -> dict[str, Any]:
    """Return an item of the table with a sort key."""
    return {"id": {"S": person}, "seen": {"N": str(seen)}, **more}
