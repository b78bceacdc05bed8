"""``@function``: what it makes of a handler, what it refuses, and how its code travels."""

from __future__ import annotations

import copy
import pickle
import sqlite3
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from faaskit import App, Function, Role, allow, deny, exceptions, function
from faaskit.functions import define

BUCKET = "arn:aws:s3:::photos"


def echo(event: Any, context: Any = None) -> Any:
    """Return the event: a handler with a docstring."""
    return [event, context]


def actions(made: Function) -> list[object]:
    """Return the actions that the role's statements name, in their order."""
    return [statement.action for policy in made.role.policies for statement in policy.statements]


# The decorator


def test_with_and_without_parentheses() -> None:
    """Both forms make a Function; without parameters it has AWS's defaults."""
    bare: Function = function(echo)
    called: Function = function()(echo)
    for made in (bare, called):
        assert isinstance(made, Function)
        assert (made.name, made.config.memory_size, made.config.timeout) == ("echo", 128, 3)
    large: Function = function(memory_size=512, timeout=10, name="large")(echo)
    assert (large.name, large.config.memory_size, large.config.timeout) == ("large", 512, 10)
    assert repr(large) == "Function('large', memory_size=512, timeout=10)"
    assert large.arn.endswith(":function:large")


def test_a_plain_call_is_a_plain_call() -> None:
    """Calling it runs the handler here: same objects, keywords, and its own exceptions."""
    made: Function = function(echo)
    event = object()
    assert made(event)[0] is event
    assert made(1, context="c") == [1, "c"]
    with pytest.raises(TypeError, match="missing 1 required"):
        made()

    class OwnError(Exception):
        pass

    @function
    def raising(event: Any, context: Any) -> Any:
        raise OwnError

    with pytest.raises(OwnError):
        raising({}, None)


def test_it_looks_like_its_handler() -> None:
    """Name, docstring and module are the handler's, for those who read them."""
    made: Function = function(echo, name="other")
    assert (made.__name__, made.__doc__) == ("echo", echo.__doc__)
    assert made.__wrapped__ is echo


def test_a_lambda_has_a_name_that_aws_takes() -> None:
    """``<lambda>`` is no function's name on AWS."""
    made = function(lambda event, _: event)
    assert made.name == "lambda"


# Statements


def test_statements_above_and_below_are_the_same() -> None:
    """The role has what stands above ``@function`` and what stands below, in that order."""

    @allow("s3:GetObject", on=BUCKET)
    @deny("s3:PutObject", on=BUCKET)
    @function
    @allow("s3:ListBucket", on=BUCKET)
    @deny("s3:DeleteObject", on=BUCKET)
    def both(event: Any, context: Any) -> Any:
        return event

    assert isinstance(both, Function)
    assert actions(both) == [
        "s3:GetObject",
        "s3:PutObject",
        "s3:ListBucket",
        "s3:DeleteObject",
    ]
    assert both.role.decide("s3:GetObject", BUCKET)
    assert both.role.decide("s3:ListBucket", BUCKET)
    assert not both.role.decide("s3:PutObject", BUCKET)
    assert both("plain", None) == "plain"


def test_a_given_role_is_added_to_but_not_changed() -> None:
    """The function's role has the given policies and its own; the given one stays as it was."""
    given = Role("shared", policies=[allow("s3:GetObject", on=BUCKET)])

    first: Function = allow("s3:ListBucket", on=BUCKET)(function(echo, role=given))

    second = function(role=given, name="second")(lambda event, _: event)
    assert actions(first) == ["s3:GetObject", "s3:ListBucket"]
    assert actions(second) == ["s3:GetObject"]
    assert (first.role.name, len(given.policies)) == ("shared", 1)


def test_a_role_of_its_own_has_a_name_that_iam_takes() -> None:
    """The longest function name still makes a role, and without statements it may nothing."""
    made: Function = function(echo, name="n" * 64)
    assert len(made.role.name) <= 64
    assert not made.role.decide("s3:GetObject", BUCKET)


# Refusals


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"memory_size": 127}, "memory_size=127 is out of range"),
        ({"memory_size": 10241}, "memory_size=10241 is out of range"),
        ({"memory_size": "128"}, "memory_size='128' is of type str"),
        ({"timeout": 0}, "timeout=0 is out of range"),
        ({"timeout": 901}, "timeout=901 is out of range"),
        ({"timeout": 1.5}, "timeout=1.5 is of type float"),
        ({"ephemeral_storage": 511}, "ephemeral_storage=511 is out of range"),
        ({"environment": {"AWS_REGION": "x"}}, "reserved keys .* AWS_REGION"),
        ({"environment": {"_HANDLER": "x"}}, "reserved keys .* _HANDLER"),
        ({"environment": {"BIG": "x" * 4096}}, "4KB limit"),
        ({"role": "admin"}, "role='admin' is not a Role"),
        ({"architecture": "arm"}, "architecture='arm' is not one"),
        ({"reserved_concurrency": -1}, "reserved_concurrency=-1 is out of range"),
        ({"retry_attempts": 3}, "retry_attempts=3 is out of range"),
        ({"max_event_age": 59}, "max_event_age=59 is out of range"),
        ({"snapshot": 1}, "snapshot=1 is no bool"),
        ({"name": "a b"}, "'a b'"),
        ({"name": "n" * 65}, "n{65}"),
    ],
    ids=str,
)
def test_what_aws_would_refuse(parameters: dict[str, Any], message: str) -> None:
    """A value that AWS refuses is a DefinitionError that says which, when it is declared."""
    with pytest.raises(exceptions.DefinitionError, match=message):
        function(echo, **parameters)
    with pytest.raises(exceptions.DefinitionError, match=message):
        function(**parameters)(echo)


@pytest.mark.parametrize(
    "parameters",
    [
        {"memory_size": 128, "timeout": 1, "ephemeral_storage": 512, "max_event_age": 60},
        {"memory_size": 10240, "timeout": 900, "ephemeral_storage": 10240, "retry_attempts": 0},
    ],
)
def test_both_ends_of_a_range_are_in_it(parameters: dict[str, Any]) -> None:
    """The smallest and the largest value are taken."""
    made: Function = function(echo, **parameters)
    assert {name: getattr(made.config, name) for name in parameters} == parameters


@pytest.mark.parametrize("parameter", ["memry", "runtime", "code", "layers", "version"])
def test_an_unknown_parameter(parameter: str, tmp_path: Any) -> None:
    """A misspelt parameter, or one that is the code's own, is refused by name."""
    message = f"has no parameter '{parameter}'; it has .*memory_size"
    with pytest.raises(exceptions.DefinitionError, match=message):
        define(echo, owner=None, **{parameter: 1})
    with (
        App("typo", state=tmp_path) as app,
        pytest.raises(exceptions.DefinitionError, match=message),
    ):
        app.function(**{parameter: 1})(echo)  # type: ignore[call-overload]  # the point
    with pytest.raises(TypeError, match=parameter):
        function(echo, **{parameter: 1})  # type: ignore[call-overload]  # the point


def test_double_decoration() -> None:
    """A Function is no handler: two memory sizes for one function make no sense."""
    made: Function = function(echo)
    with pytest.raises(exceptions.DefinitionError, match="'echo' is one already"):
        function(made)
    with pytest.raises(exceptions.DefinitionError, match="'echo' is one already"):
        function(memory_size=256)(made)


@pytest.mark.parametrize("target", [5, "name", [echo]], ids=["int", "str", "list"])
def test_what_is_no_handler(target: Any) -> None:
    """Only what can be called can be a handler."""
    with pytest.raises(exceptions.DefinitionError, match="goes on a handler"):
        function(target)


def test_a_parameter_without_effect_at_its_default_is_silent() -> None:
    """Who writes the default out is not warned."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(echo, network=True, readable=(), on_success=None)


# with_config


def test_with_config_leaves_the_first_as_it_was() -> None:
    """Another function of the same code and statements, with other settings."""

    @allow("s3:GetObject", on=BUCKET)
    def handler(event: Any, context: Any) -> Any:
        return event

    first: Function = function(handler, memory_size=256, environment={"MODE": "a"})
    second = first.with_config(memory_size=512, timeout=9)
    assert (first.config.memory_size, first.config.timeout) == (256, 3)
    assert (second.config.memory_size, second.config.timeout) == (512, 9)
    assert second.config.environment == {"MODE": "a"}
    assert attrs.evolve(second.config, memory_size=256, timeout=3) == first.config
    assert second("x", None) == "x"
    assert actions(second) == actions(first) == ["s3:GetObject"]


def test_with_config_takes_another_role_and_name() -> None:
    """A new role has the function's own statements, too; a new name changes the ARN."""
    first = allow("s3:GetObject", on=BUCKET)(function(echo, name="first"))
    given = Role("other", policies=[allow("s3:ListBucket", on=BUCKET)])
    second = first.with_config(role=given, name="second")
    assert (second.role.name, actions(second)) == ("other", ["s3:ListBucket", "s3:GetObject"])
    assert second.arn.endswith(":function:second")
    assert first.arn.endswith(":function:first")


def test_a_statement_for_one_is_not_for_the_other() -> None:
    """``@allow`` on a function made by with_config does not reach back to the first."""
    first: Function = function(echo)
    second = first.with_config(timeout=9)
    allow("s3:GetObject", on=BUCKET)(second)
    assert (actions(first), actions(second)) == ([], ["s3:GetObject"])


@pytest.mark.parametrize(
    "changes", [{"memory_size": 127}, {"timeout": 901}, {"name": "a b"}, {"role": "admin"}], ids=str
)
def test_with_config_refuses_what_function_refuses(changes: dict[str, Any]) -> None:
    """Changed settings are checked like new ones."""
    made: Function = function(echo)
    with pytest.raises(exceptions.DefinitionError):
        made.with_config(**changes)


def test_send_needs_an_app() -> None:
    """Without an App there is no queue; the message says what to do."""
    made: Function = function(echo)
    with pytest.raises(exceptions.DefinitionError, match=r"no App.*@app\.function"):
        made.send({})
    arrived = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(made))))
    with pytest.raises(exceptions.DefinitionError, match=r"no App.*@app\.function"):
        arrived.send({})


# Travelling


def test_pickled_it_is_a_reference() -> None:
    """Its settings and ARN travel; its code, its role and what that holds on to stay."""
    held = (number for number in range(3))  # no pickle takes a generator

    def handler(event: Any, context: Any) -> Any:
        return next(held)

    made: Function = function(
        handler, name="counts", memory_size=256, role=Role("secret"), environment={"MODE": "a"}
    )
    data = pickle.dumps(made)
    assert b"secret" not in data
    found = pickle.loads(data)
    assert isinstance(found, Function)
    assert (found.name, found.arn) == (made.name, made.arn)
    assert found.config == attrs.evolve(made.config, role=None)
    for call in (lambda: found({}, None), lambda: found.invoke({}), lambda: found.submit({})):
        with pytest.raises(exceptions.FaaskitError, match="reference"):
            call()
    assert pickle.loads(pickle.dumps(found)).arn == made.arn


def test_a_reference_keeps_region_and_account(tmp_path: Any) -> None:
    """A reference names the function where its App is, not where the defaults are."""
    with App("far", state=tmp_path, region="eu-west-3", account="111122223333") as app:
        made = app.function(echo)
        found = pickle.loads(pickle.dumps(made))
        assert found.arn == made.arn == "arn:aws:lambda:eu-west-3:111122223333:function:echo"
        assert copy.copy(found).arn == made.arn


def test_an_importable_handler_travels_by_name() -> None:
    """What its template can import is named, as on AWS, and not copied."""
    code = function(echo).code()
    assert (code.handler, code.pickled) == (f"{__name__}:echo", None)
    assert code.environment["_HANDLER"] == f"{__name__}.echo"


def test_functions_of_one_source_share_their_code() -> None:
    """with_config packs nothing anew; the environment variables are each function's own."""
    held = [1]

    def handler(event: Any, context: Any) -> Any:
        return held

    first: Function = function(handler, environment={"MODE": "a"})
    second = first.with_config(environment={"MODE": "b"}, name="second")
    assert first.code().pickled is second.code().pickled is not None
    assert first.code().environment["MODE"] == "a"
    assert second.code().environment["MODE"] == "b"
    assert second.code().environment["AWS_LAMBDA_FUNCTION_NAME"] == "second"


def generate() -> Iterator[int]:
    """Yield: a generator can't be pickled."""
    yield 1


A_GENERATOR = generate()
A_DATABASE = sqlite3.connect(":memory:")
A_DATABASE.close()


def test_a_closure_that_can_not_travel_names_its_variable() -> None:
    """The message names the function and the variable, not just a type."""
    fine, connection = [1], threading.local()

    def handler(event: Any, context: Any) -> Any:
        return fine, connection

    made: Function = function(handler, name="closes")
    with pytest.raises(
        exceptions.DefinitionError, match=r"'closes' can't travel .* its variable 'connection'"
    ):
        made.code()
    assert made({}, None) == (fine, connection)  # a plain call needs nothing to travel


def test_a_global_that_can_not_travel_is_named() -> None:
    """A global that the handler names is found, in an inner function as well."""

    def direct(event: Any, context: Any) -> Any:
        return A_DATABASE

    def deep(event: Any, context: Any) -> Any:
        def inner() -> Any:
            return next(A_GENERATOR)

        return inner()

    for handler, name in ((direct, "A_DATABASE"), (deep, "A_GENERATOR")):
        with pytest.raises(exceptions.DefinitionError, match=f"its variable '{name}'"):
            function(handler).code()


def test_declaring_packs_nothing() -> None:
    """What can't travel may be declared, and called plainly: a unit test needs no more."""
    held = generate()

    def handler(event: Any, context: Any) -> Any:
        return next(held)

    made: Function = function(handler)
    assert made({}, None) == 1
