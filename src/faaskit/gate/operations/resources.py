"""The ARNs of what parameters name: each way to read one, by its name in the table. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from attrs import evolve, frozen

from faaskit.gate.operations.table import Resource
from faaskit.gate.service import Refusal, excerpt

__all__ = ["READINGS", "Arn", "arn_of", "refuse"]

_LONGEST = 4096  # characters: no name or ARN of AWS's has more
_ARN_PARTS = 6
_SERVICE = 2  # the number of its field in an ARN
_OF_A_FUNCTION = 6  # colons in its ARN, without a qualifier; a layer's has as many
_SUFFIXED = re.compile(r"arn:.*-[A-Za-z0-9]{6}")
_BUS = re.compile(r"[._A-Za-z0-9-]+|aws\.partner(/[._A-Za-z0-9-]+)+")
_LOG_GROUP = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
_PARTIAL_FUNCTION = re.compile(
    r"(?:(?P<account>\d{12}):function:|function:)?(?P<rest>[^:]+(?::[^:]+)?)"
)


@frozen
class Arn:
    """
    The ARN of a resource.

    Attributes:
        text: The ARN, or a pattern of it.
        pattern: True if the resource isn't known: ``*`` and ``?`` in the text stand for the
            characters that aren't.
    """

    text: str
    pattern: bool = False


def refuse(message: str) -> NoReturn:
    """Refuse a call whose parameters can't be understood."""
    raise Refusal(message, code="ValidationException")


def arn_of(
    resource: Resource, parameters: Mapping[str, object], *, region: str, account: str
) -> Arn:
    """
    Return the ARN of a resource that parameters name, or a pattern of it.

    Raises:
        Refusal: The parameter is missing, or no name.
    """
    if resource.account and parameters.get(resource.account) is not None:
        account = _text(resource.account, parameters[resource.account])
    value = parameters.get(resource.source)
    if not resource.source:
        pattern = resource.reading == "pattern"
        return Arn(_filled(resource, "", region, account), pattern)
    if value is None and resource.optional:
        value = resource.optional
    read = READINGS[resource.reading](resource, _text(resource.source, value), region, account)
    arn = read if isinstance(read, Arn) else Arn(read)
    for name, suffix in resource.then.items():
        further = parameters.get(name)
        if further is None or _is_qualified(resource, arn.text, further):
            continue
        arn = evolve(arn, text=arn.text + suffix.replace("{value}", _number(name, further)))
    return arn


def _number(name: str, value: object) -> str:
    """Return a qualifier: a name, or the number of a version."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(name, value)


def _is_qualified(resource: Resource, arn: str, qualifier: object) -> bool:
    """Return whether a function's ARN has that qualifier already; another one is refused."""
    qualified = resource.reading == "function" and arn.count(":") > _OF_A_FUNCTION
    if qualified and arn.rpartition(":")[2] != qualifier:
        refuse(f"the function's name and Qualifier {excerpt(qualifier)} name different qualifiers")
    return qualified


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        what = "missing" if value is None else excerpt(value)
        refuse(f"parameter {name} is {what}: pass a name or an ARN")
    if len(value) > _LONGEST:
        refuse(f"parameter {name} has {len(value)} characters: no name or ARN of AWS's has as many")
    return value


def _filled(resource: Resource, value: str, region: str, account: str) -> str:
    # The value last: what is in it is never filled in.
    arn = resource.arn.replace("{region}", region).replace("{account}", account)
    return arn.replace("{value}", value)


def _name(resource: Resource, value: str, region: str, account: str) -> str:
    """Return the ARN that a name or an ARN means."""
    if value.startswith("arn:"):
        return _arn(resource, value, region, account)
    return _filled(resource, value, region, account)


def _arn(resource: Resource, value: str, region: str, account: str) -> str:  # noqa: ARG001
    """Return what is an ARN already; of the region that the call goes to, if it names one."""
    parts = value.split(":", 5)
    if len(parts) != _ARN_PARTS or parts[0] != "arn":
        refuse(f"parameter {resource.source} is {excerpt(value)}: pass an ARN")
    service = resource.arn.split(":")[_SERVICE] if resource.arn else parts[_SERVICE]
    if parts[_SERVICE] != service:
        refuse(f"parameter {resource.source} is {excerpt(value)}, which is not an ARN of {service}")
    if parts[3] not in {"", region}:
        refuse(
            f"{excerpt(value)} is not in {region}, where the call goes: use a client of its region"
        )
    return value


def _bucket(resource: Resource, value: str, region: str, account: str) -> str:
    """Return the ARN of a bucket; access points are not known."""
    if value.startswith("arn:"):
        refuse(f"Bucket {excerpt(value)} is an ARN: pass a bucket's name")
    return _filled(resource, value, region, account)


def _bus_rule(resource: Resource, value: str, region: str, account: str) -> str | Arn:
    """
    Return the beginning of the ARN of a bus's rule: the default bus is left out.

    The buses of partners have slashes in their names, and places differ in how they read them.
    """
    bus = value
    if value.startswith("arn:"):
        parts = _arn(resource, value, region, account).split(":", 5)
        account, bus = parts[4], parts[5].removeprefix("event-bus/")
    if not _BUS.fullmatch(bus):
        refuse(f"parameter {resource.source} is {excerpt(value)}: pass an event bus's name or ARN")
    if "/" in bus:
        return Arn(_filled(resource, "*", region, account), pattern=True)
    return _filled(resource, "" if bus == "default" else f"{bus}/", region, account)


def _log_group(resource: Resource, value: str, region: str, account: str) -> str:
    """Return the ARN of a log group by name or ARN, as policies on its streams match it."""
    if value.startswith("arn:"):
        group = _arn(resource, value, region, account)
        if ":log-group:" not in group:
            return group
        group = group.removesuffix(":*")
        return f"{group}:log-stream:"
    if not _LOG_GROUP.fullmatch(value):
        refuse(f"parameter {resource.source} is {excerpt(value)}: pass a log group's name or ARN")
    return _filled(resource, value, region, account)


def _queue(resource: Resource, value: str, region: str, account: str) -> str:
    """Return the ARN of a queue by its URL, whose path ends in account and name."""
    try:
        url = urlsplit(value)
    except ValueError:
        refuse(f"QueueUrl {excerpt(value)} is not a URL: pass the one that the queue has")
    if url.query or url.fragment or value.endswith("/") or "?" in value or "#" in value:
        # Another place may look for the queue's name at the end of the whole text.
        refuse(f"QueueUrl {excerpt(value)} does not end with a queue's name")
    parts = url.path.split("/")
    if len(parts) < 2 or not parts[-1]:  # noqa: PLR2004 - account and name
        return _filled(resource, value, region, account)
    owner = parts[-2] if re.fullmatch(r"\d{12}", parts[-2]) else account
    return _filled(resource, parts[-1], region, owner)


def _function(resource: Resource, value: str, region: str, account: str) -> str:
    """Return the ARN of a function by its name, partial ARN or ARN, with or without qualifier."""
    if value.startswith("arn:"):
        return _arn(resource, value, region, account)
    found = _PARTIAL_FUNCTION.fullmatch(value)
    if found is None:
        refuse(f"FunctionName {excerpt(value)} is no name of a function, partial ARN or ARN")
    return _filled(resource, found["rest"], region, found["account"] or account)


def _parameter(resource: Resource, value: str, region: str, account: str) -> str:
    """Return the ARN of a parameter: no slash is doubled, and a version or label is no part."""
    if value.startswith("arn:"):
        start, parameter, name = _arn(resource, value, region, account).partition(":parameter/")
        return start + parameter + name.partition(":")[0]
    return _filled(resource, value.removeprefix("/").partition(":")[0], region, account)


def _copy_source(resource: Resource, value: str, region: str, account: str) -> str:
    """Return the ARN of ``bucket/key``, URL-encoded, maybe with a version."""
    try:
        place = unquote(value.removeprefix("/").partition("?versionId=")[0], errors="strict")
    except UnicodeDecodeError:
        refuse(f"CopySource {excerpt(value)} is not UTF-8")
    if place.startswith("arn:"):
        return place
    if "/" not in place:
        refuse(f"CopySource {excerpt(value)} is not of the form bucket/key")
    return _filled(resource, place, region, account)


def _topic_of(resource: Resource, value: str, region: str, account: str) -> str:  # noqa: ARG001
    """Return the ARN of the topic that a subscription is of."""
    return value.rpartition(":")[0] if value.count(":") > 5 else value  # noqa: PLR2004


def _key(resource: Resource, value: str, region: str, account: str) -> str | Arn:
    """Return the ARN of a KMS key; that of any key of the account where an alias names it."""
    if value.startswith("arn:") and ":alias/" not in value:
        return _arn(resource, value, region, account)
    if "alias/" not in value:
        return _filled(resource, value, region, account)
    if value.startswith("arn:"):
        account = _arn(resource, value, region, account).split(":")[4]
    return Arn(_filled(resource, "*", region, account), pattern=True)


def _secret(resource: Resource, value: str, region: str, account: str) -> str | Arn:
    """
    Return the ARN of a secret; a pattern where the six characters at its end aren't known.

    They are missing from a name, and may be missing from an ARN.
    """
    if not value.startswith("arn:"):
        return Arn(_filled(resource, value, region, account), pattern=True)
    arn = _arn(resource, value, region, account)
    return arn if _SUFFIXED.fullmatch(arn) else Arn(f"{arn}-??????", pattern=True)


def _referred_secret(resource: Resource, value: str, region: str, account: str) -> str | Arn:
    """Return the ARN of the secret that a parameter's name refers to."""
    name = value.partition("aws/reference/secretsmanager/")[2]
    return _secret(resource, name.partition(":")[0], region, account)


def _pattern(resource: Resource, value: str, region: str, account: str) -> Arn:
    """Return a pattern with a name in it: that of a bucket in front of objects."""
    if value.startswith("arn:"):
        refuse(f"parameter {resource.source} is {excerpt(value)}: pass a name")
    return Arn(_filled(resource, value, region, account), pattern=True)


def _arn_pattern(resource: Resource, value: str, region: str, account: str) -> Arn:
    """Return the beginning of a pattern that is an ARN: that of a stream's consumer."""
    return Arn(_arn(resource, value, region, account), pattern=True)


def _log_resource(resource: Resource, value: str, region: str, account: str) -> str:
    """Return the ARN of what is tagged; of a log group, without the end that streams have."""
    return _arn(resource, value, region, account).removesuffix(":*")


def _role(resource: Resource, value: str, region: str, account: str) -> str:
    """Return the ARN of a role by its ARN or its name."""
    if value.startswith("arn:"):
        return value
    return _filled(resource, value, region, account)


def _layer(resource: Resource, value: str, region: str, account: str) -> str:
    """Return the ARN of a layer by its name or ARN; a version of it is named elsewhere."""
    arn = _name(resource, value, region, account)
    if arn.count(":") > _OF_A_FUNCTION:
        refuse(f"parameter {resource.source} is {excerpt(value)}: pass a layer's name or ARN")
    return arn


def _machine(resource: Resource, value: str, region: str, account: str) -> str:
    """Return the ARN of a state machine, without its version or alias."""
    return ":".join(_arn(resource, value, region, account).split(":")[:7])


def _consumer_stream(resource: Resource, value: str, region: str, account: str) -> str:
    """Return the ARN of the stream that a consumer's ARN begins with."""
    return _arn(resource, value, region, account).partition("/consumer/")[0]


READINGS: Mapping[str, Callable[[Resource, str, str, str], str | Arn]] = {
    "arn": _arn,
    "arn pattern": _arn_pattern,
    "bucket": _bucket,
    "bus rule": _bus_rule,
    "consumer's stream": _consumer_stream,
    "copy source": _copy_source,
    "function": _function,
    "key": _key,
    "layer": _layer,
    "log group": _log_group,
    "log resource": _log_resource,
    "machine": _machine,
    "name": _name,
    "parameter": _parameter,
    "pattern": _pattern,
    "queue": _queue,
    "referred secret": _referred_secret,
    "role": _role,
    "secret": _secret,
    "topic of": _topic_of,
}
