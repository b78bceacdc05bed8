"""Paths in items: what lies there, and which of several are in each other's way. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from faaskit.resources.dynamodb.refusals import invalid
from faaskit.resources.dynamodb.syntax import Path, path_text
from faaskit.resources.dynamodb.values import AttributeValue, Item, kind_of

__all__ = ["Branch", "branches", "found", "picked"]

Branch = dict[str | int, Any]  # by part; an empty one is the end of a path


def found(item: Mapping[str, AttributeValue], parts: Iterable[str | int]) -> AttributeValue | None:
    """Return what lies at a path; None where nothing does."""
    steps = iter(parts)
    value = item.get(next(steps))  # type: ignore[arg-type] # the first part is a name
    for step in steps:
        value = None if value is None else _inside(value, step)
    return value


def branches(expression: str, paths: Iterable[Path]) -> Branch:
    """
    Return paths as one tree.

    Args:
        expression: The name of the parameter that they are from, for messages.
        paths: With no placeholder left in them.

    Raises:
        Refusal: One is within another, or takes for a list what another takes for a map.
    """
    tree: Branch = {}
    for path in paths:
        node = tree
        for depth, part in enumerate(path.parts, 1):
            last = depth == len(path.parts)
            below = node.get(part)
            if below is None:
                other = next(iter(node), part)
                if depth > 1 and isinstance(other, int) != isinstance(part, int):
                    taken = (*path.parts[: depth - 1], other)
                    raise _clash(expression, "conflict", taken, path.parts)
                below = node[part] = {}
            elif last or not below:
                raise _clash(expression, "overlap", _through(path.parts[:depth], below), path.parts)
            node = below
    return tree


def picked(item: Mapping[str, AttributeValue], tree: Branch) -> Item:
    """Return the parts of an item that lie at the paths of a tree."""
    chosen = {}
    for name, below in tree.items():
        value = item.get(name)  # type: ignore[arg-type] # the first part is a name
        part = None if value is None else _part(value, below)
        if part is not None:
            chosen[str(name)] = part
    return chosen


def _part(value: AttributeValue, tree: Branch) -> AttributeValue | None:
    if not tree:
        return value
    kind = kind_of(value)
    steps = sorted(tree, key=str) if kind != "L" else sorted(p for p in tree if isinstance(p, int))
    parts = []
    for step in steps:
        inner = _inside(value, step)
        part = None if inner is None else _part(inner, tree[step])
        if part is not None:
            parts.append((step, part))
    if not parts:
        return None
    return {"L": [part for _, part in parts]} if kind == "L" else {"M": dict(parts)}


def _inside(value: AttributeValue, step: str | int) -> AttributeValue | None:
    if isinstance(step, int):
        elements = value.get("L")
        return elements[step] if elements is not None and step < len(elements) else None
    members = value.get("M")
    return None if members is None else members.get(step)


def _through(parts: tuple[str | int, ...], below: Branch) -> tuple[str | int, ...]:
    """Return a path of the tree that goes through a node."""
    while below:
        part, below = next(iter(below.items()))
        parts = (*parts, part)
    return parts


def _clash(
    expression: str, how: str, one: tuple[str | int, ...], two: tuple[str | int, ...]
) -> Exception:
    msg = (
        f"Invalid {expression}: Two document paths {how} with each other; must remove or rewrite "
        f"one of these paths; path one: {path_text(one)}, path two: {path_text(two)}"
    )
    return invalid(msg)
