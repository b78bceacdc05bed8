"""The gate: nothing happens before it is allowed, and nothing that comes in makes it raise."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faaskit.app import App
from faaskit.definition import FunctionConfig
from faaskit.exceptions import SandboxError
from faaskit.gate.gate import Gate, Principal
from faaskit.gate.service import Caller, Refusal, Requirement
from faaskit.iam.decision import Decision
from faaskit.iam.roles import Role
from faaskit.iam.statements import allow, deny
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply
from faaskit.testing import FakeClock

_ARN = "arn:aws:sts::123456789012:assumed-role/worker/thumbnail"


class _Box:
    """A service that needs what it is told to need, and keeps what it carries out."""

    name = "box"

    def __init__(self, *requirements: Requirement) -> None:
        self.needed: Sequence[Requirement] = requirements
        self.also: Requirement | None = None
        self.outcome: ServiceReply | Exception = ServiceReply({"done": True})
        self.performed: list[tuple[ServiceCall, Caller]] = []

    def owns(self, _: ServiceCall) -> bool:
        return True

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:
        self.performed.append((call, caller))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def discloses(self, *_: ServiceCall | ServiceFailure) -> Requirement | None:
        return self.also


def _principal(*statements: Any) -> Principal:
    arn = "arn:aws:lambda:us-east-1:123456789012:function:thumbnail"
    return Principal(Role("worker", statements), "thumbnail", arn)


def _gate(*services: Any) -> Gate:
    return Gate(
        *services,
        clock=FakeClock("2026-01-01T00:00:00Z"),
        region="us-east-1",
        needs=lambda *_, **__: services[0].needed,
    )


_OPEN = Requirement("box:Open", "arn:aws:box:::lid")
_TAKE = Requirement("box:Take", "arn:aws:box:::lid/thing")
_CALL = ServiceCall("box", "Open", {"a": 1}, b"body")


def test_allowed_call_is_carried_out() -> None:
    """The service gets the call as it came, and who makes it."""
    box = _Box(_OPEN, _TAKE)
    principal = _principal(allow("box:*", on="*"))
    assert _gate(box).serve(principal, _CALL) == ServiceReply({"done": True})
    caller = Caller(
        principal.user_id, principal.function_arn, principal.arn, principal.role.account
    )
    assert box.performed == [(_CALL, caller)]
    assert principal.user_id.startswith("AROA")
    assert principal.user_id.endswith(":thumbnail")


@pytest.mark.parametrize(
    ("statements", "said", "denied"),
    [
        ([], "because no identity-based policy allows the box:Open action", _OPEN),
        (
            [allow("box:Open", on="*")],
            "because no identity-based policy allows the box:Take action",
            _TAKE,
        ),
        (
            [allow("box:*", on="*"), deny("box:Take", on="*")],
            "with an explicit deny in an identity-based policy",
            _TAKE,
        ),
    ],
)
def test_each_requirement_must_be_allowed(
    statements: list[Any], said: str, denied: Requirement
) -> None:
    """One that is not denies the call: in AWS's words, and nothing is carried out."""
    box = _Box(_OPEN, _TAKE)
    reply = _gate(box).serve(_principal(*statements), _CALL)
    assert box.performed == []
    assert reply.failure is not None
    assert reply.failure.code == "AccessDeniedException"
    assert reply.failure.message == (
        f"User: {_ARN} is not authorized to perform: {denied.action} on resource: "
        f"{denied.resource} {said}"
    )
    details = dict(reply.failure.details)
    assert details.pop("reason")
    assert details == {"action": denied.action, "resource": denied.resource}


def test_conditions_of_every_call_and_of_this_one() -> None:
    """A condition may look at what the gate knows, and at what the service tells."""
    box = _Box(Requirement("box:Open", "*", {"box:lid": "red"}))

    def served(operator: str, key: str, value: str) -> bool:
        statement = allow("box:Open", on="*", when={operator: {key: value}})
        return _gate(box).serve(_principal(statement), _CALL).failure is None

    assert served("StringEquals", "box:lid", "red")
    assert not served("StringEquals", "box:lid", "green")
    assert served("DateLessThan", "aws:CurrentTime", "2026-01-01T00:00:01Z")
    assert not served("DateGreaterThan", "aws:CurrentTime", "2026-01-01T00:00:00Z")
    assert served("Bool", "aws:SecureTransport", "true")
    assert served("StringLike", "aws:userid", "*:thumbnail")
    assert served("ArnEquals", "aws:PrincipalArn", "arn:aws:iam::123456789012:role/worker")
    assert served("ArnLike", "lambda:SourceFunctionArn", "arn:aws:lambda:*:*:function:thumb*")
    assert not served("StringEquals", "aws:RequestedRegion", "eu-west-1")
    assert not served("IpAddress", "aws:SourceIp", "0.0.0.0/0")


@pytest.mark.parametrize("key", ["aws:SourceIp", "aws:UserAgent", "aws:MultiFactorAuthPresent"])
def test_key_that_every_request_may_have_is_unknown(key: str) -> None:
    """A Deny that tests it applies, whatever it asks; an Allow does not."""
    box = _Box(_OPEN)
    for null in ("true", "false"):
        when = {"Null": {key: null}}
        denied = [allow("box:*", on="*"), deny("box:*", on="*", when=when)]
        for statements in (denied, [allow("box:*", on="*", when=when)]):
            assert _gate(box).serve(_principal(*statements), _CALL).failure is not None
    assert box.performed == []


def test_service_can_not_overrule_what_the_gate_knows() -> None:
    """A requirement's context does not replace a condition key of the gate's."""
    box = _Box(Requirement("box:Open", "*", {"aws:PrincipalAccount": "999999999999"}))
    when = {"StringEquals": {"aws:PrincipalAccount": "999999999999"}}
    reply = _gate(box).serve(_principal(allow("box:Open", on="*", when=when)), _CALL)
    assert reply.failure is not None
    assert box.performed == []


def test_failure_is_told_to_who_may_know() -> None:
    """A failure that gives something away is a denial to whom that is not allowed."""
    box = _Box(_OPEN)
    box.outcome = Refusal("gone", code="NoSuchThing")
    box.also = Requirement("box:Look", "arn:aws:box:::lid")
    knows = _principal(allow("box:*", on="*"))
    assert _gate(box).serve(knows, _CALL).failure == ServiceFailure("NoSuchThing", "gone")
    must_not_know = _principal(allow("box:Open", on="*"))
    failure = _gate(box).serve(must_not_know, _CALL).failure
    assert failure is not None
    assert (failure.code, failure.details["action"]) == ("AccessDeniedException", "box:Look")
    assert "gone" not in str(failure)


def test_fault_of_ours_is_an_internal_failure(caplog: pytest.LogCaptureFixture) -> None:
    """The function gets an answer that gives nothing away; the log has the traceback."""
    box = _Box(_OPEN)
    principal = _principal(allow("box:*", on="*"))
    for fault in (ZeroDivisionError("/secret/path"), SandboxError("/secret/path", step="state")):
        box.outcome = fault
        caplog.clear()
        with caplog.at_level(logging.ERROR, "faaskit.gate.gate"):
            failure = _gate(box).serve(principal, _CALL).failure
        assert failure is not None
        assert failure.code == "InternalFailure"
        assert "secret" not in failure.message
        assert [record.exc_info is not None for record in caplog.records] == [True]


def test_service_that_needs_nothing_is_not_open(caplog: pytest.LogCaptureFixture) -> None:
    """A service that forgets to ask is a fault of ours, not a permission for all."""
    box = _Box()
    failure = _gate(box).serve(_principal(allow("box:*", on="*")), _CALL).failure
    assert failure is not None
    assert failure.code == "InternalFailure"
    assert box.performed == []
    assert "no permission" in caplog.text


def test_unknown_service() -> None:
    """Has a code of its own, and names those that there are."""
    failure = _gate(_Box(_OPEN)).serve(_principal(), ServiceCall("sqs", "Send", {})).failure
    assert failure is not None
    assert failure.code == "UnknownOperationException"
    assert "box" in failure.message


@pytest.mark.parametrize(
    "call",
    [
        ServiceCall(["s3"], "Open", {}),  # type: ignore[arg-type]
        ServiceCall("box", {"a": 1}, {}),  # type: ignore[arg-type]
        ServiceCall("box", "Open", ["a"]),  # type: ignore[arg-type]
        ServiceCall("box", "Open", {1: "a"}),  # type: ignore[dict-item]
        ServiceCall("box", "Open", None),  # type: ignore[arg-type]
        ServiceCall("box", "Open", {}, "text"),  # type: ignore[arg-type]
    ],
)
def test_call_that_is_none(call: ServiceCall) -> None:
    """A call whose parts are of other types is refused before anyone looks into them."""
    box = _Box(_OPEN)
    failure = _gate(box).serve(_principal(allow("box:*", on="*")), call).failure
    assert failure is not None
    assert failure.code == "ValidationException"
    assert box.performed == []


def test_owner_is_not_asked_for_permission() -> None:
    """The app's own calls are carried out as they are, and its faults are raised."""
    box = _Box(_OPEN)
    caller = Caller("123456789012")
    assert _gate(box).perform(_CALL, caller) == ServiceReply({"done": True})
    assert box.performed == [(_CALL, caller)]
    box.outcome = Refusal("no", code="Nope")
    assert _gate(box).perform(_CALL, caller).failure == ServiceFailure("Nope", "no")
    box.outcome = SandboxError("disk", step="state")
    with pytest.raises(SandboxError):
        _gate(box).perform(_CALL, caller)


# --- hostile calls, on the real services ------------------------------------------------

_TEXTS = st.sampled_from(
    [
        "uploads",
        "secrets",
        "raw/a",
        "raw/../k",
        "k",
        "raw/",
        "*",
        "",
        "\0",
        "\ud800",
        "uploads/raw",
        "secrets/k",
        "uploads/raw/a",
        "/secrets/k",
        "secrets%2Fk",
        "a" * 2000,
        "f",
        "f:$LATEST",
        "g",
        "Event",
        "DryRun",
        "arn:aws:lambda:us-east-1:123456789012:function:g",
        "arn:aws:s3:::uploads",
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(_TEXTS, children, max_size=3),
    max_leaves=5,
)
_NAMES = st.sampled_from(
    [
        "Bucket",
        "Key",
        "CopySource",
        "Prefix",
        "MaxKeys",
        "ContinuationToken",
        "StartAfter",
        "Metadata",
        "ContentType",
        "FunctionName",
        "InvocationType",
        "Qualifier",
        "LogType",
    ]
)
_SOURCES = st.fixed_dictionaries({"Bucket": _TEXTS, "Key": _TEXTS}) | _TEXTS
_PARAMETERS = (
    st.fixed_dictionaries({"Bucket": _TEXTS, "Key": _TEXTS})
    | st.fixed_dictionaries({"Bucket": _TEXTS})
    | st.fixed_dictionaries({"Bucket": _TEXTS, "Key": _TEXTS, "CopySource": _SOURCES})
    | st.fixed_dictionaries({"FunctionName": _TEXTS}, optional={"InvocationType": _TEXTS})
    | st.dictionaries(_NAMES | _TEXTS, _VALUES, max_size=4)
)
_CALLS = st.builds(
    ServiceCall,
    service=st.sampled_from(["s3", "lambda"]) | _VALUES,
    operation=st.sampled_from(
        [
            "GetObject",
            "HeadObject",
            "PutObject",
            "DeleteObject",
            "CopyObject",
            "ListObjectsV2",
            "Invoke",
        ]
    )
    | _VALUES,
    parameters=_PARAMETERS | _VALUES,
    body=st.none() | st.binary(max_size=10) | _VALUES,
)


class _Function:
    """A function that counts how often it is run. Its role may do little."""

    __qualname__ = "function"

    def __init__(self, name: str, *statements: Any) -> None:
        self.name = name
        self.arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
        self.role = Role(name, statements)
        self.config = FunctionConfig(name=name)
        self.ran = 0

    def invoke(self, _: Any) -> Any:
        self.ran += 1
        msg = "nothing is run here"
        raise SandboxError(msg, step="test")

    def send(self, _: Any) -> str:
        self.ran += 1
        return "id"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An app with something to steal, and a function that may touch ``raw/`` alone."""
    with App("hostile", state=tmp_path_factory.mktemp("hostile")) as app:
        for name in ("uploads", "secrets"):
            app.bucket(name).put("k", b"treasure")
        mallory: Any = _Function(
            "f",
            allow("s3:*", on=["arn:aws:s3:::uploads/raw/*"]),
            allow("lambda:*", on="arn:aws:lambda:*:*:function:f"),
        )
        victim: Any = _Function("g")
        app.adopt(mallory)
        app.adopt(victim)
        yield app, mallory, victim


def _outside(app: App) -> dict[tuple[str, str], bytes | None]:
    return {
        (bucket.name, entry.key): bucket.get(entry.key).body
        for bucket in app.buckets.values()
        for entry in bucket.list()
        if bucket.name != "uploads" or not entry.key.startswith("raw/")
    }


@given(call=_CALLS)
@pytest.mark.filterwarnings("error")
def test_hostile_calls(hostile: Any, call: ServiceCall) -> None:
    """Any call gets a reply; nothing but ``raw/`` is ever read, listed, changed, or run."""
    app, mallory, victim = hostile
    before = _outside(app)
    reply = app.serve(mallory, call, "request")
    assert isinstance(reply, ServiceReply)
    assert reply.failure is None or reply.failure.code != "InternalFailure", reply
    assert reply.body != b"treasure"
    assert "Contents" not in reply.output
    assert "treasure" not in str(reply)
    assert _outside(app) == before
    assert victim.ran == 0


def test_hostile_calls_are_not_all_in_vain(hostile: Any) -> None:
    """The function of the test above may do what it may: its calls are of the right form."""
    app, mallory, _ = hostile
    parameters: Mapping[str, Any] = {"Bucket": "uploads", "Key": "raw/a"}
    put = app.serve(mallory, ServiceCall("s3", "PutObject", parameters, b"mine"), "request")
    assert put.failure is None
    get = app.serve(mallory, ServiceCall("s3", "GetObject", parameters), "request")
    assert get.body == b"mine"
    send = {"FunctionName": "f", "InvocationType": "Event"}
    assert app.serve(mallory, ServiceCall("lambda", "Invoke", send), "request").failure is None
    assert mallory.ran > 0


def test_missing_key_without_the_right_to_list(tmp_path: Path) -> None:
    """As on S3: who may not list a bucket is not told what it lacks; who may, is."""
    with App("photos", state=tmp_path) as app:
        app.bucket("uploads")
        call = ServiceCall("s3", "GetObject", {"Bucket": "uploads", "Key": "k"})
        get = allow("s3:GetObject", on="arn:aws:s3:::uploads/*")
        blind: Any = _Function("blind", get)
        failure = app.serve(blind, call, "request").failure
        assert failure is not None
        assert failure.code == "AccessDenied"
        assert failure.details["action"] == "s3:ListBucket"
        seeing: Any = _Function("seeing", get, allow("s3:ListBucket", on="arn:aws:s3:::uploads"))
        failure = app.serve(seeing, call, "request").failure
        assert failure is not None
        assert failure.code == "NoSuchKey"


def test_decision_is_what_counts() -> None:
    """A role that answers with a denial denies, whatever else it is."""
    box = _Box(_OPEN)

    class _No(Role):
        def decide(self, *_: Any, **__: Any) -> Decision:
            return Decision(allowed=False, effect="ImplicitDeny", statements=(), reason="no")

    principal = Principal(_No("worker", [allow("*", on="*")]), "thumbnail")
    failure = _gate(box).serve(principal, _CALL).failure
    assert failure is not None
    assert failure.details["reason"] == "no"
    assert box.performed == []


def test_the_record_has_every_permission() -> None:
    """Those behind the first that is missing, too: nobody has to find out one after another."""
    gate = _gate(_Box(_OPEN, _TAKE))
    reply = gate.serve(_principal(allow("box:Take", on="*")), _CALL)
    assert [(one.action, one.resource, one.effect) for one in reply.permissions] == [
        ("box:Open", "arn:aws:box:::lid", "ImplicitDeny"),
        ("box:Take", "arn:aws:box:::lid/thing", "Allow"),
    ]
    assert reply.failure is not None
    assert "box:Open" in reply.failure.message


def test_the_record_has_what_was_asked_afterwards() -> None:
    """Whether a failure may be told is a permission, too."""
    box = _Box(_OPEN)
    box.outcome, box.also = Refusal("gone", code="Gone"), _TAKE
    reply = _gate(box).serve(_principal(allow("box:Open", on="*")), _CALL)
    assert [(one.action, one.allowed) for one in reply.permissions] == [
        ("box:Open", True),
        ("box:Take", False),
    ]


def test_the_record_is_bounded() -> None:
    """A function may call a resource what it likes, a thousand times over."""
    long = Requirement("box:Open", f"arn:aws:box:::{'x' * 100_000}")
    reply = _gate(_Box(long)).serve(_principal(), _CALL)
    (permission,) = reply.permissions
    assert len(permission.resource) == 2048
    assert len(permission.reason) <= 2048


def test_a_note_is_told_with_a_denial() -> None:
    """As why the resource is ``*``."""
    noted = Requirement("box:Open", "*", note="faaskit does not know the resource.")
    failure = _gate(_Box(noted)).serve(_principal(), _CALL).failure
    assert failure is not None
    assert failure.message.endswith("the box:Open action. faaskit does not know the resource.")
