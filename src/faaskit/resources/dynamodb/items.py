"""PutItem, UpdateItem, DeleteItem, GetItem: one item at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faaskit.resources.dynamodb.capacity import consumed, read_units, write_units
from faaskit.resources.dynamodb.conditions import holds
from faaskit.resources.dynamodb.paths import branches, picked
from faaskit.resources.dynamodb.refusals import condition_failed
from faaskit.resources.dynamodb.requests import Read, Write
from faaskit.resources.dynamodb.store import Change, load, save
from faaskit.resources.dynamodb.updates import actions_of, creates, updated
from faaskit.resources.dynamodb.values import Item, item_size

if TYPE_CHECKING:
    import sqlite3

__all__ = ["change", "change_output", "read_output", "units_of"]


def change(connection: sqlite3.Connection, write: Write, now_ms: int) -> Change:
    """
    Carry a write out, in the transaction that the connection is in.

    Raises:
        Refusal: Its condition does not hold, or it can't be done to what is there.
    """
    old = load(connection, write.table, write.place)
    if not holds(write.condition, old or {}):
        raise condition_failed(old if write.shown else None)
    done = Change(write.table, write.settings, write.place, old, _new(write, old))
    if write.kind != "ConditionCheck":
        save(connection, done, now_ms)
    return done


def change_output(write: Write, done: Change, asked: str) -> dict[str, Any]:
    """
    Return the output of a write.

    Args:
        write: As it was asked for.
        done: What it did.
        asked: What is to be told of consumed capacity.
    """
    output: dict[str, Any] = {}
    attributes = _attributes(write, done)
    if attributes:
        output["Attributes"] = attributes
    if asked != "NONE":
        output["ConsumedCapacity"] = consumed(asked, write.table, units_of(done))
    return output


def read_output(read: Read, item: Item | None, asked: str) -> dict[str, Any]:
    """Return the output of GetItem; ``asked`` is what is to be told of consumed capacity."""
    output: dict[str, Any] = {}
    if item is not None:
        output["Item"] = item if read.paths is None else picked(item, read.paths)
    if asked != "NONE":
        units = read_units(item_size(item or {}), consistent=read.consistent)
        output["ConsumedCapacity"] = consumed(asked, read.table, units)
    return output


def units_of(done: Change, *, transactional: bool = False) -> float:
    """Return the write units of a change."""
    sizes = [item_size(item or {}) for item in (done.old, done.new)]
    return write_units(*sizes, transactional=transactional)


def _new(write: Write, old: Item | None) -> Item | None:
    if write.kind == "Put":
        return write.item
    if write.kind == "Delete":
        return None
    if write.kind == "ConditionCheck":
        return old
    before = write.key if old is None else old
    if write.update is None:
        return before
    new = updated(write.update, before, exists=old is not None)
    return new if old is not None or creates(write.update) else None


def _attributes(write: Write, done: Change) -> Item | None:
    if write.returned == "NONE":
        return None
    item = done.old if write.returned.endswith("OLD") else done.new
    if item is None or write.returned.startswith("ALL"):
        return item
    if write.update is None:
        return None
    paths = [
        action.path
        for action in actions_of(write.update)
        if action.kind != "REMOVE" or write.returned == "UPDATED_OLD"
    ]
    return picked(item, branches("UpdateExpression", paths))
