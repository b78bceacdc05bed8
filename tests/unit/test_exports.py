"""The front door: what `faaskit` offers is what it lists, in order, and nothing else."""

from __future__ import annotations
import __future__

import inspect

import faaskit

# Rooms are attributes of the package, too, once something imports them; the list says which
# of them are meant to be reached that way.
_ROOMS = {name for name in faaskit.__all__ if inspect.ismodule(getattr(faaskit, name))}
_EXPORTS = _ROOMS | {
    name
    for name, value in inspect.getmembers(faaskit)
    if not name.startswith("_")
    and not inspect.ismodule(value)
    and not isinstance(value, __future__._Feature)
}


def test_list_of_exports_is_sorted() -> None:
    """`__all__` is in plain string order and names nothing twice."""
    assert sorted(set(faaskit.__all__)) == list(faaskit.__all__)


def test_list_of_exports_is_complete_and_true() -> None:
    """`__all__` has every public member of the package, and each of its names is there."""
    assert set(faaskit.__all__) == _EXPORTS


def test_exports_explain_themselves() -> None:
    """`help()` has something to say about every class and function that is exported."""
    exported = [getattr(faaskit, name) for name in faaskit.__all__]
    mute = [
        thing.__name__
        for thing in exported
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and not thing.__doc__
    ]
    assert mute == []
