"""The front door: what `faaskit` offers is what it lists, in order, and nothing else."""

from __future__ import annotations

import inspect

import pytest

import faaskit


def test_list_of_exports_is_sorted() -> None:
    """`__all__` is in plain string order and names nothing twice."""
    assert sorted(set(faaskit.__all__)) == list(faaskit.__all__)


def test_list_of_exports_is_true() -> None:
    """Each of its names is there, `dir` shows them, and each place names only what is listed."""
    for name in faaskit.__all__:
        assert getattr(faaskit, name) is getattr(faaskit, name)
    assert dir(faaskit) == list(faaskit.__all__)
    homes = [name for names in faaskit._HOMES.values() for name in names]
    assert {*homes, *faaskit._ROOMS} <= set(faaskit.__all__)


def test_a_name_that_is_not_there() -> None:
    """It is refused as any module refuses it."""
    with pytest.raises(AttributeError, match="module 'faaskit' has no attribute 'lambda_'"):
        faaskit.lambda_  # noqa: B018


def test_exports_explain_themselves() -> None:
    """`help()` has something to say about every class and function that is exported."""
    exported = [getattr(faaskit, name) for name in faaskit.__all__]
    mute = [
        thing.__name__
        for thing in exported
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and not thing.__doc__
    ]
    assert mute == []
