"""App: what it ties together, what waits durably, and what it is inside a function."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dill
import pytest
from attrs import frozen

from faaskit.app import App
from faaskit.exceptions import (
    DefinitionError,
    FaaskitError,
    NoSuchKeyError,
    PayloadError,
)
from faaskit.iam.statements import allow
from faaskit.resources.bucket import Bucket
from faaskit.runtimes.contract import ServiceCall
from faaskit.testing import FakeClock


@frozen
class _Invocation:
    function_name: str
    request_id: str
    event: Any
    ok: bool = True
    status: str = "ok"
    raw: bytes = b"null"


class _Invoker:
    """Runs handlers here and now, in no sandbox."""

    def __init__(self) -> None:
        self.closed = False

    def check(self, function: Any) -> None:
        """Enforce nothing: no function here declares a limit."""

    def invoke(self, function: Any, event: Any, *, request_id: str) -> _Invocation:
        function(event, None)
        return _Invocation(function.name, request_id, event)

    def close(self) -> None:
        self.closed = True


class _App(App):
    """An App with that Invoker."""

    double = _Invoker()

    @property
    def invoker(self) -> Any:
        return self.double


@pytest.fixture
def app(tmp_path: Path) -> Iterator[_App]:
    """An app on a folder, whose functions run here."""
    with _App("photos", state=tmp_path / "state") as app:
        yield app


def _keys(app: App) -> list[str]:
    return [json.loads(event.event)["Records"][0]["s3"]["object"]["key"] for event in app.pending()]


# --- making one -------------------------------------------------------------------------


def test_making_opens_and_starts_nothing(tmp_path: Path) -> None:
    """An app, its buckets, functions and triggers: no file, no thread."""
    threads = threading.active_count()
    app = _App("photos", state=tmp_path / "state")
    uploads = app.bucket("uploads")

    @uploads.on("s3:ObjectCreated:*")
    @app.function(timeout=5)
    def thumbnail(event: Any, context: Any) -> None: ...

    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == threads
    assert dict(app.functions) == {"thumbnail": thumbnail}
    assert dict(app.buckets) == {"uploads": uploads}
    app.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "parameters",
    [{"name": "a b"}, {"name": "a", "region": "moon"}, {"name": "a", "account": "12"}],
)
def test_making_checks_names(parameters: dict[str, str]) -> None:
    """A name, region or account that AWS does not take is refused at once."""
    with pytest.raises(DefinitionError):
        App(**parameters)  # type: ignore[arg-type]


def test_bucket_is_the_same_each_time(app: _App) -> None:
    """By its name; a name that S3 does not take makes none."""
    assert app.bucket("uploads") is app.bucket("uploads")
    with pytest.raises(DefinitionError):
        app.bucket("Uploads")
    assert list(app.buckets) == ["uploads"]


def test_views_can_not_be_written_to(app: _App) -> None:
    """Functions and buckets are added by declaring them."""
    for view in (app.functions, app.buckets):
        with pytest.raises(TypeError):
            view["x"] = None  # type: ignore[index]


# --- functions and triggers -------------------------------------------------------------


def _define(app: App, *, module: str = "m", place: str = "f") -> Any:
    """Define the function ``f``, as if it stood in that module and place."""

    def handler(event: Any, context: Any) -> None: ...

    handler.__module__, handler.__qualname__ = module, place
    return app.function(name="f")(handler)


def test_name_is_unique(app: _App) -> None:
    """The same name from elsewhere is refused, and says from where; the first one stays."""
    first = _define(app)
    for other in ({"module": "n"}, {"place": "g"}):
        with pytest.raises(DefinitionError, match=r"'f' already, that of m\.f; this one is [mn]\."):
            _define(app, **other)
    assert app.functions["f"] is first


def test_definition_again_replaces(app: _App) -> None:
    """From the same module and place, as a notebook's cell that is run again."""
    ran: list[str] = []
    uploads = app.bucket("uploads")

    def cell(text: str, prefix: str) -> Any:
        @uploads.on("s3:ObjectCreated:*", prefix=prefix)
        @app.function
        def thumbnail(event: Any, context: Any) -> None:
            ran.append(text)

        return thumbnail

    first = cell("first", "a/")
    uploads.put("a/1", b"")
    second = cell("second", "b/")
    assert app.functions["thumbnail"] is second is not first
    uploads.put("a/2", b"")
    uploads.put("b/3", b"")
    assert _keys(app) == ["a/1", "b/3"]
    app.drain()
    assert ran == ["second", "second"]


def test_definition_again_without_its_trigger_keeps_it(app: _App) -> None:
    """A trigger that was put on in another cell is not lost by running the function's again."""
    uploads = app.bucket("uploads")
    uploads.on("s3:ObjectCreated:*")(_define(app))
    _define(app)
    uploads.put("k", b"")
    assert _keys(app) == ["k"]


def test_either_order_of_decorators_works(app: _App) -> None:
    """A statement above or below the function, with the trigger in between or on top."""
    uploads = app.bucket("uploads")

    @allow("s3:GetObject", on=uploads.objects("a/*"))
    @uploads.on("s3:ObjectCreated:*")
    @app.function
    @allow("s3:GetObject", on=uploads.objects("b/*"))
    def thumbnail(event: Any, context: Any) -> None: ...

    for key in ("a/1", "b/1"):
        uploads.put(key, b"data")
        call = ServiceCall("s3", "GetObject", {"Bucket": "uploads", "Key": key})
        assert app.serve(thumbnail, call, "id").body == b"data"
    assert _keys(app) == ["a/1", "b/1"]


def test_trigger_needs_a_function_of_the_app(app: _App) -> None:
    """A plain function, another app's, or a variant: the message says what to do."""
    uploads = app.bucket("uploads")

    def plain(event: Any, context: Any) -> None: ...

    with App("other") as other:
        for wrong in (plain, _define(other), _define(app).with_config(timeout=5), None):
            with pytest.raises(DefinitionError, match=r"put @app\.function beneath @bucket\.on"):
                uploads.on("s3:ObjectCreated:*")(wrong)  # type: ignore[type-var]  # the point
    uploads.put("k", b"")
    assert app.pending() == []


def test_trigger_gets_the_event_of_its_keys(app: _App) -> None:
    """From a put to the function: S3's event, by prefix and suffix."""
    uploads, thumbs = app.bucket("uploads"), app.bucket("thumbs")
    copies: list[str] = []

    @uploads.on("s3:ObjectCreated:*", prefix="raw/", suffix=".txt")
    @app.function
    def shorten(event: Any, context: Any) -> None:
        key = event["Records"][0]["s3"]["object"]["key"]
        thumbs.put(key, (uploads.get(key).body or b"")[:4])
        copies.append(key)

    uploads.put("raw/story.txt", b"once upon a time")
    uploads.put("raw/story.png", b"")
    uploads.put("story.txt", b"")
    (invocation,) = app.drain()
    assert invocation.function_name == "shorten"
    assert thumbs.get("raw/story.txt").body == b"once"
    assert copies == ["raw/story.txt"]


# --- asynchronous invocation ------------------------------------------------------------


def test_sent_event_waits_for_the_next_run(tmp_path: Path) -> None:
    """What was accepted while nobody ran is delivered by whoever runs, with its id."""
    with _App("photos", state=tmp_path) as app:
        request_id = _define(app).send({"a": 1})
    with _App("photos", state=tmp_path) as app:
        assert app.drain() == [], "a process without the function leaves its events alone"
        _define(app)
        (invocation,) = app.drain()
    assert (invocation.request_id, invocation.event) == (request_id, {"a": 1})  # type: ignore[attr-defined]


def test_time_travel(tmp_path: Path) -> None:
    """A clock that is moved by hand brings retries at once."""
    clock = FakeClock("2026-01-01T00:00:00Z")

    class _Failing(_Invoker):
        def invoke(self, function: Any, event: Any, *, request_id: str) -> _Invocation:
            return _Invocation(function.name, request_id, event, ok=False)

    with _App("photos", state=tmp_path, clock=clock) as app:
        app.double = _Failing()
        _define(app).send(1)
        counts = [len(app.drain())]
        for _ in range(3):
            clock.advance(hours=1)
            counts.append(len(app.drain()))
        assert counts == [1, 1, 1, 0]
        assert [dead.reason for dead in app.dead()] == ["RetriesExhausted"]


def test_variant_with_a_name_of_its_own_is_sent_to(tmp_path: Path) -> None:
    """It is a function of the app's, and events for it run under its own settings."""
    with App("tuning", state=tmp_path) as app:

        @app.function
        def resize(event: Any, context: Any) -> Any:
            return [context.function_name, context.memory_limit_in_mb, event]

        large = resize.with_config(name="resize-large", memory_size=512)
        assert dict(app.functions) == {"resize": resize, "resize-large": large}
        large.send(1)
        resize.send(2)
        results = [invocation.result() for invocation in app.drain()]
    assert results == [["resize-large", "512", 1], ["resize", "128", 2]]


def test_variant_with_the_name_of_another_function(app: _App) -> None:
    """Is refused, as a second definition from elsewhere is; again from here, it replaces."""
    first = _define(app)

    @app.function
    def other(event: Any, context: Any) -> None: ...

    with pytest.raises(DefinitionError, match="'other' already"):
        first.with_config(name="other")
    assert app.functions["other"] is other
    earlier = first.with_config(name="more", timeout=4)
    later = first.with_config(name="more", timeout=5)
    assert app.functions["more"] is later is not earlier


def test_variant_without_one_can_not_be_sent_to(app: _App) -> None:
    """An event goes by the function's name: it would reach the one that has other settings."""
    variant = _define(app).with_config(timeout=5)
    assert app.functions["f"].config.timeout == 3
    with pytest.raises(DefinitionError, match=r"with other settings; .* with_config\(name='…'\)"):
        variant.send(1)
    with pytest.raises(DefinitionError, match="not a function of App"):
        app.bucket("uploads").on("s3:ObjectCreated:*")(variant)
    assert app.pending() == []


def test_function_that_was_replaced_can_not_be_sent_to(app: _App) -> None:
    """Nor can the handle of an earlier definition."""
    earlier, later = _define(app), _define(app)
    with pytest.raises(DefinitionError, match="another one"):
        earlier.send(1)
    later.send(1)
    assert len(app.pending()) == 1


def test_event_that_is_too_large_is_not_accepted(app: _App) -> None:
    """It raises, and nothing is kept."""
    function = _define(app)
    with pytest.raises(PayloadError):
        app.send(function, b"1" * (1 << 20) + b"1")
    assert app.pending() == []


# --- running ----------------------------------------------------------------------------


def test_running_delivers_until_the_end_of_the_block(app: _App) -> None:
    """In the background, and not before or after."""
    uploads = app.bucket("uploads")
    uploads.on("s3:ObjectCreated:*")(_define(app))
    uploads.put("before", b"")
    told = threading.Semaphore(0)
    with app.running(on_delivery=lambda _: told.release()) as same:
        assert same is app
        uploads.put("during", b"")
        for _ in range(2):
            assert told.acquire(timeout=20)
        with pytest.raises(FaaskitError, match="already"), app.running():
            pass
    uploads.put("after", b"")
    assert _keys(app) == ["after"]


def test_close_finishes_what_is_under_way(tmp_path: Path) -> None:
    """Closing while a delivery runs waits for it, then closes the Invoker and the state."""
    begun, go = threading.Event(), threading.Event()
    app = _App("photos", state=tmp_path)
    app._invoker = app.double = _Invoker()  # type: ignore[assignment]

    @app.function
    def slow(event: Any, context: Any) -> None:
        begun.set()
        assert go.wait(20)
        assert not app.double.closed

    slow.send(1)
    app._deliverer.start(1, None)
    assert begun.wait(20)
    closer = threading.Thread(target=app.close)
    closer.start()
    go.set()
    closer.join(20)
    assert app.double.closed
    with _App("photos", state=tmp_path) as later:
        assert (later.pending(), later.dead()) == ([], [])


def test_closed_app_says_so(app: _App) -> None:
    """Every later use raises; closing twice does not."""
    uploads = app.bucket("uploads")
    uploads.put("k", b"")
    app.close()
    app.close()
    for use in (lambda: uploads.get("k"), app.drain, app.pending):
        with pytest.raises(FaaskitError, match=r"App\('photos'\) is closed"):
            use()


@pytest.mark.parametrize("used", [False, True])
def test_closed_app_starts_nothing(used: bool) -> None:
    """An invoker made after the closing would keep its processes: no one would close it."""
    app = App("photos")
    if used:
        assert not app.invoker.closed
    app.close()
    with pytest.raises(FaaskitError, match=r"App\('photos'\) is closed"):
        _ = app.invoker
    with pytest.raises(FaaskitError, match=r"App\('photos'\) is closed"), app.running():
        pass
    app.close()


_RUN = """
import os, signal, sys
from faaskit.app import App

# An ignored signal is inherited, and tests may be run by a shell in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)

def say(*words):
    os.write(1, (" ".join(words) + chr(10)).encode())  # in one piece, as print() does not

class Invoker:
    def check(self, function): ...
    def invoke(self, function, event, *, request_id):
        say("begun", event)
        if event == "slow":
            sys.stdin.readline()
        class Invocation:
            ok, raw, status, function_name = True, b"null", "ok", function.name
        Invocation.request_id = request_id
        return Invocation
    def close(self):
        say("closed")

class TestedApp(App):
    invoker = property(lambda self: self._invoker)

with TestedApp("photos", state=sys.argv[1] or None) as app:
    app._invoker = Invoker()

    @app.function
    def f(event, context): ...

    for event in sys.argv[2:]:
        f.send(event)
    app.run(on_delivery=lambda invocation: say("told"))
say("end")
"""


@contextlib.contextmanager
def _running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the program above; it does not outlive the test, whatever that finds."""
    with subprocess.Popen(
        [sys.executable, "-c", _RUN, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            yield program
        finally:
            program.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_serves_until_it_is_told(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM let the delivery under way finish, then run() returns."""
    with _running(str(tmp_path), "quick", "slow") as program:
        assert program.stdout is not None
        seen = sorted(program.stdout.readline().strip() for _ in range(3))
        assert seen == ["begun quick", "begun slow", "told"]
        program.send_signal(number)
        out, error = program.communicate("go on\n", timeout=30)
    assert (out.split(), program.returncode) == (["told", "closed", "end"], 0), error
    assert "temporary" not in error
    with _App("photos", state=tmp_path) as app:
        assert app.pending() == []


def test_second_ctrl_c_hands_back(tmp_path: Path) -> None:
    """What would not end is due again, for whoever runs next."""
    with _running(str(tmp_path), "slow") as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "begun slow\n"
        while program.poll() is None:
            program.send_signal(signal.SIGINT)
            try:
                program.wait(0.3)
            except subprocess.TimeoutExpired:
                continue
        assert program.stderr is not None
        assert "KeyboardInterrupt" in program.stderr.read()
    with _App("photos", state=tmp_path) as app:
        assert [(event.event, event.attempts) for event in app.pending()] == [(b'"slow"', 0)]
        _define(app)
        assert len(app.drain()) == 1


def test_run_says_that_the_state_is_temporary() -> None:
    """Whoever serves from a temporary folder is told that it goes."""
    with _running("", "quick") as program:
        assert program.stdout is not None
        for _ in range(2):
            program.stdout.readline()
        program.send_signal(signal.SIGTERM)
        _, error = program.communicate(timeout=30)
    assert "temporary folder" in error
    assert "state='" in error


def test_killed_program_loses_no_event(tmp_path: Path) -> None:
    """An event whose delivery died with its program is delivered by the next one, at once."""
    with _running(str(tmp_path), "slow", "slow") as program:
        assert program.stdout is not None
        for _ in range(2):
            assert program.stdout.readline() == "begun slow\n"
        with _App("photos", state=tmp_path) as app:
            _define(app)
            assert app.drain() == [], "they are under way elsewhere"
            program.kill()
            program.wait()
            assert len(app.drain()) == 2


def test_other_programs_writes_are_delivered(app: _App) -> None:
    """A program that only writes, beside one that runs: each of its events is delivered once."""
    code = (
        "import sys\nfrom faaskit.app import App\n"
        "with App('photos', state=sys.argv[1]) as app:\n"
        "    bucket = app.bucket('uploads')\n"
        "    def f(event, context): ...\n"
        "    f.__module__ = f.__qualname__ = 'm'\n"
        "    bucket.on('s3:ObjectCreated:*')(app.function(f))\n"
        "    for n in range(20): bucket.put(f'k{n}', b'x')\n"
    )
    _define(app)
    keys: list[str] = []
    told = threading.Semaphore(0)

    def tell(invocation: Any) -> None:
        keys.append(invocation.event["Records"][0]["s3"]["object"]["key"])
        told.release()

    with app.running(on_delivery=tell):
        assert app._state.folder.exists()
        subprocess.run([sys.executable, "-c", code, str(app._state.folder)], check=True)
        for _ in range(20):
            assert told.acquire(timeout=20)
    assert sorted(keys) == sorted(f"k{number}" for number in range(20))
    assert app.bucket("uploads").get("k7").body == b"x"


# --- inside a function ------------------------------------------------------------------


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Make this process look like an environment; what is asked of the gate is kept."""
    sent: list[Any] = []

    def service_call(service: str, operation: str, parameters: Any, body: Any) -> Any:
        sent.append((service, operation, parameters, body))
        output = {
            "ETag": '"0"',
            "CopyObjectResult": {"ETag": '"0"'},
            "ResponseMetadata": {"RequestId": "the-id"},
        }
        return {"output": output}, None

    child = SimpleNamespace(service_call=service_call)
    monkeypatch.setitem(sys.modules, "_faaskit_child.inside", child)
    return sent


def test_inside_resources_ask_the_gate(inside: list[Any], tmp_path: Path) -> None:
    """The same objects, made by the same module: they open nothing and send calls."""
    app = App("photos", state=tmp_path / "state")
    uploads = app.bucket("uploads")
    function = _define(app)
    uploads.on("s3:ObjectCreated:*")(function)
    uploads.put("k", b"data")
    assert function.send(1) == "the-id"
    assert inside == [
        ("s3", "PutObject", {"Bucket": "uploads", "Key": "k"}, b"data"),
        ("lambda", "Invoke", {"FunctionName": "f", "InvocationType": "Event"}, b"1"),
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(
    ("what", "use"),
    [
        ("run()", lambda app: app.run()),
        ("running()", lambda app: app.running().__enter__()),
        ("drain()", lambda app: app.drain()),
        ("pending()", lambda app: app.pending()),
        ("dead()", lambda app: app.dead()),
        ("close()", lambda app: app.close()),
        ("invoker", lambda app: app.invoker),
    ],
)
def test_inside_an_app_can_not_be_run(what: str, use: Callable[[App], Any]) -> None:
    """What belongs to the program that owns the app says so."""
    with pytest.raises(FaaskitError, match="reference") as caught:
        use(App("photos"))
    assert what in caught.value.message


# --- travelling -------------------------------------------------------------------------


@pytest.mark.parametrize("codec", [pickle, dill])
def test_travels_by_name_within_the_program(app: _App, codec: Any) -> None:
    """What comes back in the same program is the same app and the same bucket."""
    uploads = app.bucket("uploads")
    uploads.put("k", b"data")
    data = codec.dumps((app, uploads))
    assert b"data" not in data
    assert len(data) < 500
    same_app, same_bucket = codec.loads(data)
    assert same_app is app
    assert same_bucket is uploads


_ARRIVE = """
import sys, base64, pickle
from faaskit.exceptions import FaaskitError
app, bucket = pickle.loads(base64.b64decode(sys.argv[1]))
print(app.name, app.region, app.account, bucket.arn, app.bucket("uploads") is bucket)
for use in (lambda: bucket.get("k"), app.drain, lambda: app.invoker, app.close):
    try:
        use()
    except FaaskitError as error:
        assert "by pickle, as a name" in str(error), error
        print("refused")
"""


def test_travels_to_another_program_as_a_reference(tmp_path: Path) -> None:
    """Where the app is not, its name arrives, and says what to do instead of acting."""
    with App("photos", state=tmp_path, region="eu-west-1", account="210987654321") as app:
        data = base64.b64encode(pickle.dumps((app, app.bucket("uploads")))).decode()
        done = subprocess.run(
            [sys.executable, "-c", _ARRIVE, data],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
    assert done.stdout.split("\n") == [
        "photos eu-west-1 210987654321 arn:aws:s3:::uploads True",
        *["refused"] * 4,
        "",
    ]


def test_variant_is_refused_inside(app: _App, inside: list[Any]) -> None:
    """There, too, however it came: by its name the other one would run."""
    variant = _define(app).with_config(timeout=5)
    arrived = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(variant))))
    for function in (variant, arrived):
        for call in (function.invoke, function.send):
            with pytest.raises(DefinitionError, match="with other settings"):
                call(1)
    assert inside == []


def test_reference_asks_the_gate_inside(app: _App, inside: list[Any]) -> None:
    """In an environment, an app that arrived by name reaches its resources."""
    make, (_, *facts) = app.__reduce__()
    reference = make("unknown", *facts)
    assert reference is not app
    reference.bucket("uploads").put("k", b"data")
    bucket = pickle.loads(pickle.dumps(Bucket("thumbs", reference)))
    bucket.put("l", b"")
    assert [call[2]["Bucket"] for call in inside] == ["uploads", "thumbs"]
    with pytest.raises(FaaskitError, match="inside a function"):
        reference.drain()


def test_several_references_to_one_app_inside(app: _App, inside: list[Any]) -> None:
    """Handles that arrived one by one are of one app there: a copy between them is asked for."""
    make, (_, *facts) = app.__reduce__()
    source, target = (make("unknown", *facts).bucket(name) for name in ("uploads", "thumbs"))
    assert source.copy("k", "c", to=target) == "0"
    ((_, operation, parameters, _),) = inside
    assert (operation, parameters["Bucket"]) == ("CopyObject", "thumbs")


def test_owner_of_the_app_may_do_anything(app: _App) -> None:
    """The app's own calls ask no role; what is not there is an exception all the same."""
    uploads = app.bucket("uploads")
    uploads.put("k", b"data", metadata={"a": "b"})
    assert [entry.key for entry in uploads.list()] == ["k"]
    uploads.copy("k", "c")
    uploads.delete("k")
    with pytest.raises(NoSuchKeyError, match="'k'"):
        uploads.get("k")
    assert uploads.head("c").metadata == {"a": "b"}


def test_copy_is_within_an_app(app: _App, tmp_path: Path) -> None:
    """Another app's bucket of the same name holds other objects: no copy is made of those."""
    with App("other", state=tmp_path / "other") as other:
        source = other.bucket("uploads")
        source.put("k", b"theirs")
        app.bucket("uploads").put("k", b"ours")
        with pytest.raises(DefinitionError, match="another App"):
            source.copy("k", "c", to=app.bucket("uploads"))
        assert [entry.key for entry in app.bucket("uploads").list()] == ["k"]


def test_access_and_what_follows_from_it() -> None:
    """An invocation tells its calls; the app, what its function's role should allow."""
    with App("shop") as app:
        uploads = app.bucket("uploads")

        @app.function(timeout=30)
        @allow("s3:PutObject", on=uploads.objects("*"))
        def keep(event: Any, _context: Any) -> None:
            uploads.put("a", b"1")
            with contextlib.suppress(PermissionError):
                uploads.get("a")

        invocation = keep.invoke()
        assert [(one.operation, one.allowed, one.code) for one in invocation.access] == [
            ("PutObject", True, ""),
            ("GetObject", False, "AccessDenied"),
        ]
        (denied,) = invocation.access[1].permissions
        assert (denied.action, denied.resource) == ("s3:GetObject", "arn:aws:s3:::uploads/a")
        found = app.suggest_policy(keep)
    assert found.policy.to_document()["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": "arn:aws:s3:::uploads/a",
        }
    ]
    assert [one.action for one in found.missing] == ["s3:GetObject"]
    assert found.unused == ()
