"""
What a type checker makes of the decorators: what they keep, and what they refuse.

For two readers. mypy checks each ``assert_type``, and that each ``type: ignore`` is needed:
one that hides no error is an error itself. pytest runs the same lines, so that what they
say is true of the objects, too.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from typing_extensions import assert_type

from faaskit import App, DefinitionError, Function, allow, deny, function
from faaskit.definition import ARCHITECTURES
from faaskit.functions import FolderSettings, Settings

BUCKET = "arn:aws:s3:::photos"

Event = dict[str, int]


def total(event: Event, context: object = None) -> int:
    """Return a sum: a handler whose types differ, so that a mix-up shows."""
    return sum(event.values())


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Return an App with a state of its own."""
    with App("typed", state=tmp_path) as made:
        yield made


# What is kept


def test_function_keeps_the_handlers_types() -> None:
    """Bare or with settings: a plain call takes and returns what the handler does."""

    @function
    def bare(event: Event, context: object) -> int:
        return len(event)

    @function(memory_size=256, architecture="arm64", readable=["data"])
    def called(event: Event, context: object) -> str:
        return str(event)

    assert_type(bare({"a": 1}, None), int)
    assert_type(called(event={}, context=None), str)
    assert_type(function(total, timeout=1)({}), int)
    with pytest.raises(TypeError):
        bare()  # type: ignore[call-arg]
    bare("event", None)  # type: ignore[arg-type]


def test_function_of_an_app_keeps_them_too(app: App) -> None:
    """``@app.function`` is ``@function``."""

    @app.function
    def bare(event: Event, context: object) -> int:
        return len(event)

    @app.function(timeout=10)
    def called(event: Event, context: object) -> str:
        return str(event)

    assert_type(bare({"a": 1}, None), int)
    assert_type(called(event={}, context=None), str)
    assert_type(app.function(total, name="third")({}), int)


def test_the_decorators_around_it_hand_it_through(app: App) -> None:
    """``@allow``, ``@deny`` and ``@bucket.on`` leave the type as it is, above and below."""

    @app.bucket("photos").on("s3:ObjectCreated:*")
    @deny("s3:PutObject", on=BUCKET)
    @app.function(memory_size=256)
    @allow("s3:GetObject", on=BUCKET)
    def made(event: Event, context: object) -> int:
        return len(event)

    @allow("s3:GetObject", on=BUCKET)
    def plain(event: Event, context: object) -> int:
        return len(event)

    assert_type(made({}, None), int)
    assert_type(made.arn, str)
    assert_type(plain({}, None), int)


def test_one_decorator_goes_on_several_handlers() -> None:
    """A decorator that is kept in a variable does not hold on to the first one's types."""
    small = function(memory_size=128)

    @small
    def first(event: Event, context: object) -> int:
        return len(event)

    @small
    def second(event: str, context: object) -> str:
        return event

    assert_type(first({}, None), int)
    assert_type(second("", None), str)


def test_with_config_keeps_them() -> None:
    """It is the same code."""
    made = function(total)
    assert_type(made.with_config(timeout=9)({}), int)


def test_function_alone_is_any_function() -> None:
    """In an annotation it needs no parameters, but may have them."""

    @function
    def first(event: Event, context: object) -> int:
        return len(event)

    @function
    def second(event: Event, context: object) -> str:
        return str(event)

    @function
    def third(key: str, _: object) -> None: ...

    def answer(of: Function[[Event, object], object]) -> object:
        return of({}, None)

    assert answer(second) == "{}"
    each: list[Function] = [first, second, third]
    assert_type(each[0]({}, None), Any)
    # Results differ: what they have in common must still be a Function, and no object.
    assert [one.name for one in [first, second]] == ["first", "second"]

    def name(of: object) -> str:
        return of.name if isinstance(of, Function) else ""

    assert name(third) == "third"


# What is refused


def test_what_is_no_setting() -> None:
    """A misspelt name is found before the program runs; when it runs, too."""
    with pytest.raises(TypeError, match="memry_size"):
        function(total, memry_size=256)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="memry_size"):
        function(memry_size=256)  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="memry_size"):
        function(total).with_config(memry_size=256)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        function(total, 256)  # type: ignore[call-overload]


def test_what_is_no_setting_of_an_app_s_function(app: App) -> None:
    """The same names; no others."""
    with pytest.raises(DefinitionError, match="memry_size"):
        app.function(total, memry_size=256)  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="'code'"):
        app.function(code="folder")(total)  # type: ignore[call-overload]


def test_a_setting_of_another_type(app: App) -> None:
    """The types are those that AWS takes."""
    with pytest.raises(DefinitionError, match="memory_size"):
        function(total, memory_size="256")  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="timeout"):
        function(timeout=1.5)(total)  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="architecture"):
        function(total, architecture="arm")  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="environment"):
        function(total, environment={"N": 1})  # type: ignore[dict-item]
    with pytest.raises(DefinitionError, match="readable"):
        function(total, readable="data")  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="role"):
        function(total, role="admin")  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="memory_size"):
        app.function(total, memory_size=None)  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="snapshot"):
        function(total).with_config(snapshot=None)  # type: ignore[arg-type]


def test_decorators_on_the_wrong_thing(app: App) -> None:
    """``@function`` goes on a handler, ``@bucket.on`` on a Function, and ``@allow`` is called."""
    with pytest.raises(DefinitionError, match="goes on a handler"):
        function("handler")  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="beneath @bucket"):
        app.bucket("photos").on("s3:ObjectCreated:*")(total)  # type: ignore[type-var]
    with pytest.raises(DefinitionError, match="takes actions"):
        allow(total)  # type: ignore[arg-type]


# Settings


def test_settings_are_the_parameters_of_function() -> None:
    """Both are written out: for type checkers, and for notebooks. They are the same list."""
    of_a_folder = [*FolderSettings.__annotations__]
    assert [*inspect.signature(function).parameters] == ["handler", "name", *of_a_folder]
    assert {*get_type_hints(Settings)} == {"name", *of_a_folder}
    architectures = get_type_hints(Settings)["architecture"]
    assert get_args(architectures) == ARCHITECTURES
