"""The error tree: what its docstring draws, and that every error can travel."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any

import pytest

from faaskit import exceptions
from faaskit.exceptions import FaaskitError

_SAMPLES: dict[str, Any] = {
    "action": "s3:PutObject",
    "code": "NoSuchKey",
    "errno": 13,
    "error_type": "ValueError",
    "exit_code": 3,
    "extra": "demo",
    "limit": 6,
    "memory_size": 128,
    "reason": "no statement allows it",
    "request_id": "8f5d",
    "resource": "arn:aws:s3:::b/k",
    "signal": 11,
    "size": 7,
    "stack_trace": ("  File 'h.py'",),
    "step": "fork",
    "timeout": 3.0,
}

_KIN = {
    "AccessDeniedError": PermissionError,
    "DefinitionError": ValueError,
    "FunctionMemoryError": MemoryError,
    "FunctionTimeoutError": TimeoutError,
    "MissingExtraError": ImportError,
    "NoSuchBucketError": LookupError,
    "NoSuchKeyError": KeyError,
    "PayloadError": ValueError,
}


def _family(root: type[FaaskitError]) -> list[type[FaaskitError]]:
    own = [kind for kind in root.__subclasses__() if kind.__module__ == exceptions.__name__]
    return [root, *(member for kind in own for member in _family(kind))]


FAMILY = _family(FaaskitError)


def _attributes_of(kind: type[FaaskitError]) -> dict[str, Any]:
    """Every keyword of the constructor, with a value that is not its default."""
    keywords = [
        parameter.name
        for parameter in inspect.signature(kind).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    return {name: _SAMPLES[name] for name in keywords}


def _drawn() -> dict[str, tuple[str | None, str | None]]:
    """The docstring's tree: name to (parent's name, stdlib kin's name)."""
    line = re.compile(r"^ {4}(?P<bars>[│├└─ ]*)(?P<name>\w+Error)(?: \((?P<kin>\w+)\))?(?:  |$)")
    tree: dict[str, tuple[str | None, str | None]] = {}
    above: list[str] = []
    for match in map(line.match, (exceptions.__doc__ or "").splitlines()):
        if match:
            depth = len(match["bars"]) // 3
            above[depth:] = [match["name"]]
            tree[match["name"]] = (above[depth - 1] if depth else None, match["kin"])
    return tree


def test_the_drawn_tree_is_the_real_one() -> None:
    """The module docstring draws every class, under its parent, with its stdlib kin."""
    real = {}
    for kind in FAMILY:
        parents = [base.__name__ for base in kind.__bases__ if issubclass(base, FaaskitError)]
        kin = [base.__name__ for base in kind.__bases__ if not issubclass(base, FaaskitError)]
        if kind is FaaskitError:
            kin = []
        real[kind.__name__] = (
            parents[0] if parents else None,
            kin[0] if kin else None,
        )
    assert _drawn() == real


def test_every_class_is_public() -> None:
    """``__all__`` is sorted and has every class of the tree, and nothing else."""
    assert exceptions.__all__ == sorted(kind.__name__ for kind in FAMILY)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_survives_pickle(kind: type[FaaskitError], protocol: int) -> None:
    """Type, message, args and every attribute come back from a pickle."""
    attributes = _attributes_of(kind)
    error = kind("it failed", **attributes)

    back = pickle.loads(pickle.dumps(error, protocol))

    assert type(back) is kind
    assert (back.message, str(back), back.args) == ("it failed", "it failed", ("it failed",))
    assert {name: getattr(back, name) for name in attributes} == attributes


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_survives_copy(kind: type[FaaskitError]) -> None:
    """A copy has every attribute, too: futures and re-raising code copy errors."""
    attributes = _attributes_of(kind)
    back = copy.copy(kind("it failed", **attributes))
    assert {name: getattr(back, name) for name in attributes} == attributes


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_needs_nothing(kind: type[FaaskitError]) -> None:
    """Every class can be made without arguments, and is then pickled as well."""
    assert pickle.loads(pickle.dumps(kind())).message == ""


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_keeps_what_is_added(kind: type[FaaskitError]) -> None:
    """An attribute that someone hangs on an error later travels with it."""
    error = kind("it failed")
    error.seen_by = "a worker"  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(error)).seen_by == "a worker"


@pytest.mark.parametrize(("name", "kin"), sorted(_KIN.items()))
def test_is_caught_as_its_stdlib_kin(name: str, kin: type[Exception]) -> None:
    """Code that knows only the stdlib's error catches ours, and reads a plain message."""
    error = getattr(exceptions, name)("it's gone")
    with pytest.raises(kin) as caught:
        raise error
    assert str(caught.value) == "it's gone"  # KeyError alone would show the repr


def test_the_rest_have_no_kin() -> None:
    """Only the errors listed above are kin of a stdlib error: none is caught by accident."""
    stdlib = {
        kind.__name__
        for kind in FAMILY
        if any(base.__module__ == "builtins" for base in kind.__mro__[:-3])
    }
    assert stdlib == set(_KIN)


def test_the_function_and_the_sandbox_are_kept_apart() -> None:
    """``except InvocationError`` never hides that faaskit or the host failed."""
    assert not issubclass(exceptions.SandboxError, exceptions.InvocationError)
    assert not issubclass(exceptions.ThrottledError, exceptions.InvocationError)
