"""Roles that functions assume, the sessions of them, and the policies of resources."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faaskit import App, DefinitionError, Policy, Role, allow, deny
from faaskit.functions import Function
from faaskit.resources.bucket import Bucket
from faaskit.runtimes.contract import ServiceCall, ServiceReply
from faaskit.testing import FakeClock

_OTHER = "210987654321"
_SESSION = "run-1"


def _policy(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _trusts(principal: str, **more: Any) -> dict[str, Any]:
    return _policy(
        {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole", **more}
    )


def _may(action: str, resource: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock("2026-01-01T12:00:00Z")


@pytest.fixture
def app(tmp_path: Path, clock: FakeClock) -> Iterator[App]:
    """An App with its state in a folder of the test."""
    with App("trust", state=tmp_path / "state", clock=clock) as made:
        yield made


@pytest.fixture
def notes(app: App) -> Bucket:
    """A bucket with an object that is public and one that is secret."""
    bucket = app.bucket("notes")
    bucket.put("public/a", b"A")
    bucket.put("secret/b", b"B")
    return bucket


@pytest.fixture
def worker(app: App) -> Function:
    """Return a function that may assume any role, and do nothing else."""

    @app.function
    @allow("sts:AssumeRole", on="*")
    def worker(event: Any, context: Any) -> None:
        return None

    return worker


@pytest.fixture
def reader(app: App, worker: Function, notes: Bucket) -> Role:
    """Return a role that the worker may assume."""
    readers = [_may("s3:GetObject", "arn:aws:s3:::notes/*")]
    return app.add_role(
        Role("reader", policies=[_policy(*readers)], trust=_trusts(worker.role.arn))
    )


def _ask(
    app: App,
    function: Function,
    service: str,
    operation: str,
    parameters: dict[str, Any],
    session: str = "",
) -> ServiceReply:
    call = ServiceCall(service, operation, parameters, session=session)
    return app.serve(function, call, "request")


def _code(reply: ServiceReply) -> str | None:
    return None if reply.failure is None else reply.failure.code


def _message(reply: ServiceReply) -> str:
    return "" if reply.failure is None else reply.failure.message


def _assume(app: App, function: Function, role: Role | str, **more: Any) -> ServiceReply:
    arn = role if isinstance(role, str) else role.arn
    parameters = {"RoleArn": arn, "RoleSessionName": _SESSION, **more}
    return _ask(app, function, "sts", "AssumeRole", parameters)


def _token(app: App, function: Function, role: Role | str, **more: Any) -> str:
    reply = _assume(app, function, role, **more)
    assert reply.failure is None, reply.failure
    return str(reply.output["Credentials"]["SessionToken"])


def _get(
    app: App, function: Function, key: str, session: str = "", bucket: str = "notes"
) -> ServiceReply:
    parameters = {"Bucket": bucket, "Key": key}
    return _ask(app, function, "s3", "GetObject", parameters, session)


def test_a_session_has_the_roles_permissions_and_not_the_functions(
    app: App, worker: Function, reader: Role
) -> None:
    """The session acts as the role that was assumed; its name is in what denials say."""
    assert _code(_get(app, worker, "public/a")) == "AccessDenied"
    token = _token(app, worker, reader)
    reply = _get(app, worker, "public/a", token)
    assert (reply.failure, reply.body) == (None, b"A")

    denied = _assume_in(app, worker, reader, token)
    assert _code(denied) == "AccessDenied"
    assert f"arn:aws:sts::{reader.account}:assumed-role/reader/{_SESSION}" in _message(denied)


def _assume_in(app: App, function: Function, role: Role, token: str) -> ServiceReply:
    parameters = {"RoleArn": role.arn, "RoleSessionName": "another"}
    return _ask(app, function, "sts", "AssumeRole", parameters, token)


def test_what_assume_role_returns(
    app: App, worker: Function, reader: Role, clock: FakeClock
) -> None:
    """Credentials of AWS's form; GetCallerIdentity tells who has them, whatever policies say."""
    output = _assume(app, worker, reader, DurationSeconds=900).output
    credentials = output["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA")
    assert credentials["Expiration"].startswith("2026-01-01T12:15:00")
    assert output["AssumedRoleUser"]["Arn"] == (
        f"arn:aws:sts::{reader.account}:assumed-role/reader/{_SESSION}"
    )
    assert output["AssumedRoleUser"]["AssumedRoleId"].endswith(f":{_SESSION}")

    me = _ask(app, worker, "sts", "GetCallerIdentity", {}, credentials["SessionToken"]).output
    assert me["Arn"] == output["AssumedRoleUser"]["Arn"]
    assert me["UserId"] == output["AssumedRoleUser"]["AssumedRoleId"]
    assert me["Account"] == reader.account


def test_both_sides_must_allow(app: App, worker: Function, notes: Bucket) -> None:
    """A trust policy that names the role is enough; one that names the account leaves it to IAM."""
    untrusting = app.add_role(
        Role("untrusting", trust=_trusts(f"arn:aws:iam::{app.account}:role/x"))
    )
    assert _code(_assume(app, worker, untrusting)) == "AccessDenied"
    none = app.add_role(Role("none"))
    assert _code(_assume(app, worker, none)) == "AccessDenied"

    @app.function
    def modest(event: Any, context: Any) -> None:
        return None

    # The account is trusted: then a policy of the caller must allow it, which modest has not.
    trusting = app.add_role(Role("trusting", trust=_trusts(f"arn:aws:iam::{app.account}:root")))
    assert _assume(app, worker, trusting).failure is None
    reply = _assume(app, modest, trusting)
    assert _code(reply) == "AccessDenied"
    assert "sts:AssumeRole" in _message(reply)
    assert trusting.arn in _message(reply)


def test_a_deny_on_either_side_wins(app: App, reader: Role, notes: Bucket) -> None:
    """A Deny of the caller's own role is not overruled by trust."""

    @app.function
    @allow("sts:AssumeRole", on="*")
    @deny("sts:AssumeRole", on=reader)
    def denied(event: Any, context: Any) -> None:
        return None

    app.add_role(Role("reader", trust=_trusts(denied.role.arn)))
    assert "explicit deny" in _message(_assume(app, denied, reader))


def test_an_external_id_is_asked_for(app: App, worker: Function) -> None:
    """A condition of a trust policy sees the parameters of the request."""
    condition = {"StringEquals": {"sts:ExternalId": "abc"}}
    role = app.add_role(Role("outside", trust=_trusts(worker.role.arn, Condition=condition)))
    assert _code(_assume(app, worker, role)) == "AccessDenied"
    assert _code(_assume(app, worker, role, ExternalId="abd")) == "AccessDenied"
    assert _assume(app, worker, role, ExternalId="abc").failure is None


def test_a_session_policy_narrows_and_never_widens(
    app: App, worker: Function, reader: Role
) -> None:
    """Both the role and the session's policy must allow."""
    narrow = json.dumps(_policy(_may("s3:*", "arn:aws:s3:::notes/public/*")))
    token = _token(app, worker, reader, Policy=narrow)
    assert _get(app, worker, "public/a", token).failure is None
    reply = _get(app, worker, "secret/b", token)
    assert _code(reply) == "AccessDenied"
    assert "session policy" in _message(reply)
    put = ServiceCall(
        "s3", "PutObject", {"Bucket": "notes", "Key": "public/a"}, b"x", session=token
    )
    assert _code(app.serve(worker, put, "request")) == "AccessDenied"


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"Statement": {"Effect": "Maybe"}}'])
def test_a_malformed_session_policy_gives_no_session(
    app: App, worker: Function, reader: Role, text: str
) -> None:
    """It is refused with STS's code."""
    assert _code(_assume(app, worker, reader, Policy=text)) == "MalformedPolicyDocument"


def test_a_session_ends(app: App, worker: Function, reader: Role, clock: FakeClock) -> None:
    """At its time, by the App's clock."""
    token = _token(app, worker, reader, DurationSeconds=900)
    clock.advance(seconds=899)
    assert _get(app, worker, "public/a", token).failure is None
    clock.advance(seconds=1)
    assert _code(_get(app, worker, "public/a", token)) == "ExpiredToken"


def test_a_token_of_nobody(app: App, worker: Function, reader: Role) -> None:
    """Near misses of a token are none."""
    token = _token(app, worker, reader)
    for forged in ("x", token[:-1], token + "A", token.swapcase()):
        assert _code(_get(app, worker, "public/a", forged)) == "InvalidClientTokenId"


def test_sessions_of_one_app_are_not_anothers(
    app: App, worker: Function, reader: Role, tmp_path: Path, clock: FakeClock
) -> None:
    """A token counts in its App alone."""
    token = _token(app, worker, reader)
    with App("other", state=tmp_path / "other", clock=clock) as other:

        @other.function
        def stranger(event: Any, context: Any) -> None:
            return None

        reply = _get(other, stranger, "public/a", token)
    assert _code(reply) == "InvalidClientTokenId"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"RoleSessionName": "x" * 65}, "ValidationError"),
        ({"RoleSessionName": "x"}, "ValidationError"),
        ({"RoleSessionName": "a b"}, "ValidationError"),
        ({"RoleSessionName": 7}, "ValidationError"),
        ({"DurationSeconds": 899}, "ValidationError"),
        ({"DurationSeconds": 3601}, "ValidationError"),
        ({"DurationSeconds": True}, "ValidationError"),
        ({"Policy": "x" * 2049}, "ValidationError"),
        ({"RoleArn": None}, "ValidationException"),
    ],
)
def test_requests_that_sts_does_not_take(
    app: App, worker: Function, reader: Role, parameters: dict[str, Any], code: str
) -> None:
    """Each with STS's code."""
    assert _code(_assume(app, worker, reader, **parameters)) == code


def test_a_role_that_the_app_has_not(app: App, worker: Function) -> None:
    """It is denied as one that does not trust: nobody learns which roles there are."""
    reply = _assume(app, worker, f"arn:aws:iam::{app.account}:role/nobody")
    assert _code(reply) == "AccessDenied"


def test_a_chain_of_roles(app: App, worker: Function, reader: Role, notes: Bucket) -> None:
    """A session assumes the next role by its own permissions, not by the function's."""
    last = app.add_role(
        Role(
            "last",
            policies=[_policy(_may("s3:GetObject", "arn:aws:s3:::notes/secret/*"))],
            trust=_trusts(f"arn:aws:iam::{app.account}:role/middle"),
        )
    )
    middle = app.add_role(
        Role(
            "middle",
            policies=[_policy(_may("sts:AssumeRole", last.arn))],
            trust=_trusts(worker.role.arn),
        )
    )
    assert _code(_assume(app, worker, last)) == "AccessDenied"
    token = _token(app, worker, middle)
    reply = _assume_in(app, worker, last, token)
    assert reply.failure is None
    assert _get(app, worker, "secret/b", reply.output["Credentials"]["SessionToken"]).body == b"B"


def test_a_buckets_policy_opens_it_to_a_role_of_its_account(
    app: App, worker: Function, notes: Bucket
) -> None:
    """In one account either side's Allow is enough."""
    assert _code(_get(app, worker, "public/a")) == "AccessDenied"
    public = _may("s3:GetObject", notes.objects("public/*"))
    app.set_resource_policy(notes, _policy({**public, "Principal": {"AWS": worker.role.arn}}))
    assert _get(app, worker, "public/a").body == b"A"
    assert _code(_get(app, worker, "secret/b")) == "AccessDenied"

    app.set_resource_policy(notes, None)
    assert _code(_get(app, worker, "public/a")) == "AccessDenied"


def test_a_buckets_deny_wins(app: App, notes: Bucket) -> None:
    """A Deny of the resource stands against any Allow of the role."""

    @app.function
    @allow("s3:*", on="*")
    def admin(event: Any, context: Any) -> None:
        return None

    assert _get(app, admin, "secret/b").body == b"B"
    secret = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::notes/secret/*",
    }
    app.set_resource_policy(notes, Policy.from_document(_policy(secret)))
    reply = _get(app, admin, "secret/b")
    assert _code(reply) == "AccessDenied"
    assert "explicit deny in a resource-based policy" in _message(reply)
    assert _get(app, admin, "public/a").body == b"A"


@pytest.mark.parametrize(
    ("identity", "resource", "allowed"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_another_account_needs_both(
    app: App, notes: Bucket, identity: bool, resource: Any, allowed: bool
) -> None:
    """The owner's policy lets the other account in; that account's must let its role out."""
    may = [_policy(_may("s3:GetObject", "arn:aws:s3:::notes/*"))] if identity else []
    guest_role = Role("guest", policies=may, account=_OTHER)

    @app.function(role=guest_role)
    def guest(event: Any, context: Any) -> None:
        return None

    if resource:
        statement = _may("s3:GetObject", "arn:aws:s3:::notes/*")
        app.set_resource_policy(notes, _policy({**statement, "Principal": {"AWS": guest_role.arn}}))
    reply = _get(app, guest, "public/a")
    assert (reply.failure is None) is allowed
    assert reply.body == (b"A" if allowed else None)


def test_a_functions_policy_counts(app: App) -> None:
    """As for buckets: lambda:InvokeFunction by the function's policy alone."""

    @app.function
    def target(event: Any, context: Any) -> None:
        return None

    @app.function
    def caller(event: Any, context: Any) -> None:
        return None

    def requirement_met() -> bool:
        call = ServiceCall("lambda", "Invoke", {"FunctionName": "target"}, b"not JSON")
        return _code(app.serve(caller, call, "request")) != "AccessDeniedException"

    assert not requirement_met()
    statement = _may("lambda:InvokeFunction", target.arn)
    app.set_resource_policy(target, _policy({**statement, "Principal": {"AWS": caller.role.arn}}))
    assert requirement_met()


def test_a_policy_without_principals_is_refused(app: App, notes: Bucket) -> None:
    """It says nothing on a resource."""
    with pytest.raises(DefinitionError, match="names no principal"):
        app.set_resource_policy(notes, _policy(_may("s3:GetObject", "*")))


def test_a_role_that_was_changed_decides_from_then_on(
    app: App, worker: Function, reader: Role
) -> None:
    """As on AWS: what a session may do follows its role's policies, not those of its start."""
    token = _token(app, worker, reader)
    assert _get(app, worker, "public/a", token).failure is None
    app.add_role(Role("reader", trust=reader.trust))
    assert _code(_get(app, worker, "public/a", token)) == "AccessDenied"


def test_what_is_assumed_inside_is_recorded(app: App, worker: Function, reader: Role) -> None:
    """What a session asked for is part of what its function did."""
    token = _token(app, worker, reader)
    reply = _get(app, worker, "public/a", token)
    assert [(one.action, one.effect) for one in reply.permissions] == [("s3:GetObject", "Allow")]
