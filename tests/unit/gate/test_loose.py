"""Functions that belong to no App: they invoke each other, by their roles, and no more."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from faaskit import AccessDeniedError, App, Function, Invoker, allow, function
from faaskit.invoke.concurrency import Concurrency
from faaskit.runtimes.contract import ServiceCall, ServiceFailure
from faaskit.runtimes.room import Room

pytestmark = pytest.mark.timeout(50)


@pytest.fixture(scope="module")
def invoker() -> Iterator[Invoker]:
    """One Invoker for all: no call may matter to the next."""
    with Invoker() as made:
        yield made


def make(name: str, handler: Any = None, *statements: Any, **settings: Any) -> Any:
    """Declare a function without an App, with statements."""

    def echo(event: Any, context: Any) -> Any:
        return [context.function_name, context.memory_limit_in_mb, event]

    made = function(handler or echo, name=name, **settings)
    for statement in statements:
        made = statement(made)
    return made


def calling(name: str, callee: Any, *statements: Any, **settings: Any) -> Any:
    """Declare a function that invokes another one and gives what it returned."""

    def call(event: Any, context: Any) -> Any:
        return callee.invoke(event).result()

    return make(name, call, *statements, **settings)


# --- end to end -------------------------------------------------------------------------


def test_one_invokes_the_other_on_the_same_invoker(invoker: Invoker) -> None:
    """With the allow it works, on the Invoker of the first; both are billed there."""
    second = make("loose-second")
    first = calling("loose-first", second, allow("lambda:InvokeFunction", on=second))
    before = len(invoker.bill.records())
    assert invoker.invoke(first, {"n": 1}).result() == ["loose-second", "128", {"n": 1}]
    assert [record.function_name for record in invoker.bill.records()[before:]] == [
        "loose-second",
        "loose-first",
    ]


def test_without_an_allow_it_is_denied(invoker: Invoker) -> None:
    """By the first one's role, in AWS's words; the second one does not run."""
    second = make("loose-second")

    def attempt(event: Any, context: Any) -> Any:
        try:
            second.invoke(event)
        except AccessDeniedError as error:
            return [str(error), error.action, error.resource]

    other = "arn:aws:lambda:us-east-1:123456789012:function:other"
    first = make("loose-first", attempt, allow("lambda:InvokeFunction", on=other))
    before = len(invoker.bill.records())
    assert invoker.invoke(first, 1).result() == [
        (
            "User: arn:aws:sts::123456789012:assumed-role/loose-first-role/loose-first is not "
            f"authorized to perform: lambda:InvokeFunction on resource: {second.arn} because no "
            "identity-based policy allows the lambda:InvokeFunction action"
        ),
        "lambda:InvokeFunction",
        second.arn,
    ]
    assert len(invoker.bill.records()) == before + 1


def test_asynchronous_needs_an_app(invoker: Invoker) -> None:
    """By its handle and by a bare call alike, it says what to do."""
    second = make("loose-second")

    def send(event: Any, context: Any) -> Any:
        return second.send(event)

    first = make("loose-first", send, allow("lambda:InvokeFunction", on=second))
    failed = invoker.invoke(first, 1)
    assert failed.payload["errorType"] == "DefinitionError"
    assert "no queue" in failed.payload["errorMessage"]
    assert "@app.function" in failed.payload["errorMessage"]
    parameters = {"FunctionName": "loose-second", "InvocationType": "Event"}
    reply = first.serve(ServiceCall("lambda", "Invoke", parameters, b"1"), "id", invoker)
    assert reply.failure.code == "InvalidParameterValueException"
    assert "no queue" in reply.failure.message


def test_nested_calls_never_wait_for_the_room_that_they_hold() -> None:
    """With room for one, two that each invoke another one both come to their end."""
    second = make("loose-second")
    first = calling("loose-first", second, allow("lambda:InvokeFunction", on=second), timeout=30)
    with Invoker() as narrow:
        narrow._concurrency = Concurrency(1000, lambda: Room(memory_mb=128, calls=1))
        futures = [narrow.submit(first, number) for number in range(2)]
        results = [future.result(timeout=20) for future in futures]
    assert [result.result()[2] for result in results] == [0, 1]


def test_endless_recursion_is_ended(invoker: Invoker, caplog: pytest.LogCaptureFixture) -> None:
    """As on AWS, after sixteen; and not by what the thread's stack holds."""
    running: list[Any] = []

    def again(event: Any, context: Any) -> Any:
        return running[0].invoke(event).result()

    recursive = make("loose-again", again, allow("lambda:InvokeFunction", on="*"), timeout=30)
    running.append(recursive)
    before = len(invoker.bill.records())
    failed = invoker.invoke(recursive, 1)
    assert "being invoked in a recursive loop" in failed.payload["errorMessage"]
    assert len(invoker.bill.records()) - before == 16
    assert "the gate failed" not in caplog.text


# --- who is found -----------------------------------------------------------------------


def invoked(name: str, invoker: Invoker) -> Any:
    """Have a function that may invoke all invoke one by its name; return the reply."""
    caller = make("loose-caller", None, allow("lambda:InvokeFunction", on="*"))
    call = ServiceCall("lambda", "Invoke", {"FunctionName": name}, b'"x"')
    reply = caller.serve(call, "id", invoker)
    return reply.body if reply.failure is None else reply.failure


def test_latest_definition_of_a_name_wins(invoker: Invoker) -> None:
    """As a notebook's cell that is run again, even while the first one is still held."""
    first = make("loose-twice", memory_size=128)
    again = make("loose-twice", memory_size=256)
    assert invoked("loose-twice", invoker) == b'["loose-twice", "256", "x"]'
    assert first is not again


def test_one_name_in_two_modules_is_refused(invoker: Invoker) -> None:
    """The ARN does not tell which is meant: neither is run for the other."""

    def handler(event: Any, context: Any) -> Any:
        return "other"

    handler.__module__ = "another_module"
    ours, theirs = make("loose-shared"), make("loose-shared", handler)
    failure = invoked("loose-shared", invoker)
    assert failure.code == "ResourceConflictException"
    assert f"another_module, {__name__}" in failure.message
    assert "name='…'" in failure.message
    del theirs, handler
    gc.collect()
    assert invoked(ours.name, invoker) == b'["loose-shared", "128", "x"]'


def test_nothing_is_kept_alive(invoker: Invoker) -> None:
    """Who deletes a function lets go of all of it, and it can't be invoked any more."""

    class Large:
        """Something that a handler holds on to."""

    def holding(held: Large) -> Any:
        return make("loose-gone", lambda event, _: [event, held])

    held = Large()
    gone = weakref.ref(held)
    made = holding(held)
    assert made.name == "loose-gone"
    del made, held
    gc.collect()
    assert gone() is None
    assert invoked("loose-gone", invoker) == ServiceFailure(
        "ResourceNotFoundException",
        "Function not found: arn:aws:lambda:us-east-1:123456789012:function:loose-gone:$LATEST",
    )


def test_functions_of_an_app_are_not_among_them(invoker: Invoker) -> None:
    """An App's functions are reached by the App's own."""
    with App("apart") as app:
        app.function(name="loose-apart")(lambda event, _: event)
        assert invoked("loose-apart", invoker).code == "ResourceNotFoundException"


def test_other_services_need_an_app(invoker: Invoker) -> None:
    """Even where the role allows it: there is nothing to reach."""
    caller = make("loose-caller", None, allow("s3:*", on="*"))
    call = ServiceCall("s3", "GetObject", {"Bucket": "b" * 3, "Key": "k"})
    failure = caller.serve(call, "id", invoker).failure
    assert failure.code == "AccessDeniedException"
    assert "'loose-caller' belongs to no App, so there is no 's3'" in failure.message
    assert "@app.function" in failure.message


@pytest.mark.parametrize(
    "call",
    [
        ServiceCall(["lambda"], "Invoke", {}),  # type: ignore[arg-type]
        ServiceCall("lambda", "Delete", {}),
        ServiceCall("lambda", "Invoke", {"FunctionName": "x" * 10_000}),
        ServiceCall("lambda", "Invoke", None),  # type: ignore[arg-type]
    ],
    ids=["service", "operation", "name", "parameters"],
)
def test_hostile_calls_are_answered(call: ServiceCall, invoker: Invoker) -> None:
    """Whatever a call holds, nothing is raised."""
    assert make("loose-caller").serve(call, "id", invoker).failure is not None


# --- what with_config makes -------------------------------------------------------------


def test_variant_with_a_name_of_its_own_is_invoked(invoker: Invoker) -> None:
    """Under its own settings, and the first one under its own."""
    small = make("loose-small")
    large = small.with_config(name="loose-large", memory_size=512)
    for made, size in ((small, "128"), (large, "512")):
        first = calling("loose-first", made, allow("lambda:InvokeFunction", on=made))
        assert invoker.invoke(first, 1).result() == [made.name, size, 1]


def test_variant_without_one_is_refused_inside(invoker: Invoker) -> None:
    """By its name the one that it was made of would run, with other settings."""
    base = make("loose-base")
    variant = base.with_config(memory_size=512)
    for callee, size in ((base, "128"), (variant, None)):
        first = calling("loose-first", callee, allow("lambda:InvokeFunction", on=callee))
        ended = invoker.invoke(first, 1)
        if size:
            assert ended.result() == ["loose-base", size, 1]
        else:
            assert ended.payload["errorType"] == "DefinitionError"
            assert "with_config(name='…')" in ended.payload["errorMessage"]
    assert invoker.invoke(variant, 1).result()[1] == "512"


def test_variant_as_the_caller(invoker: Invoker) -> None:
    """It has the role of what it was made of."""
    second = make("loose-second")
    first = calling("loose-first", second, allow("lambda:InvokeFunction", on=second))
    assert invoker.invoke(first.with_config(timeout=9), 1).result() == ["loose-second", "128", 1]


def test_of_importable_modules(
    invoker: Invoker, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Functions that a template imports find each other like those that travel by value."""
    module_file = tmp_path / "loose_module.py"
    module_file.write_text(
        "from faaskit import allow, function\n"
        "@function(name='loose-imported')\n"
        "def second(event, context): return ['imported', event]\n"
        "@function\n"
        "@allow('lambda:InvokeFunction', on=second)\n"
        "def first(event, context): return second.invoke(event).result()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import loose_module  # type: ignore[import-not-found]

    assert isinstance(loose_module, ModuleType)
    first: Function = loose_module.first
    assert first.code().pickled is None
    assert invoker.invoke(first, 1).result() == ["imported", 1]
