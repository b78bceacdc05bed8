"""
moto, in this process, beside a service of faaskit's: the same calls, compared as JSON values.

Calls and answers are JSON values as the gate has them; botocore's shapes tell which strings
are blobs or timestamps, as they do for boto3 in a function.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import boto3
import moto.core.utils
import moto.kinesis.models
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.backends import get_backend

from faaskit.clock import iso8601
from faaskit.gate.service import Caller, Refusal, Service
from faaskit.runtimes.contract import ServiceCall
from faaskit.testing import FakeClock

REGION = "us-east-1"
ACCOUNT = "123456789012"  # moto's, too
OWNER = Caller(ACCOUNT)

_BEGIN = "2026-01-01T00:00:00Z"


class Peers:
    """A service and moto, on one clock, which stands still until it is moved."""

    def __init__(self, name: str) -> None:
        self.clock = FakeClock(_BEGIN)
        self.service: Service | None = None
        self._client: Any = boto3.client(
            name,  # type: ignore[call-overload]
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            # What botocore itself refuses is not what is compared.
            config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
        )
        self._name = name
        self._shapes = self._client.meta.service_model

    def reset(self) -> None:
        """Begin anew: moto forgets all, and the clock goes back."""
        get_backend(self._name)[ACCOUNT][REGION].reset()  # type: ignore[call-overload]
        self.clock = FakeClock(_BEGIN)

    def moto(self, operation: str, **parameters: Any) -> tuple[str, Any]:
        """Return ``("", output)`` of moto, or its error's code and words."""
        model = self._shapes.operation_model(operation)
        arguments = _from_json(model.input_shape, parameters)
        method = "".join(f"_{c.lower()}" if c.isupper() else c for c in operation).lstrip("_")
        try:
            output = getattr(self._client, method)(**arguments)
        except ClientError as error:
            return error.response["Error"]["Code"], error.response["Error"]["Message"]
        output.pop("ResponseMetadata")
        return "", _to_json(model.output_shape, output)

    def ours(self, operation: str, **parameters: Any) -> tuple[str, Any]:
        """Return ``("", output)`` of the service, or its error's code and words."""
        assert self.service is not None
        call = ServiceCall(self._name, operation, parameters)
        try:
            reply = self.service.perform(call, OWNER)
        except Refusal as refusal:
            return refusal.failure.code, refusal.failure.message
        model = self._shapes.operation_model(operation)
        if model.output_shape is not None:
            _check(model.output_shape, reply.output)
        return "", reply.output

    def tick(self) -> None:
        """
        Let a millisecond pass.

        Timeouts are whole seconds, so nothing ever happens at the very moment at which one
        ends: there moto says «not yet», and faaskit «now».
        """
        self.clock.advance(milliseconds=1)


@contextmanager
def peers(name: str) -> Iterator[Peers]:
    """Lend both, with moto in place of AWS, on the peers' clock."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        made = Peers(name)

        def now() -> datetime:
            return made.clock.now().replace(tzinfo=None)

        patch.setattr(moto.core.utils, "utcnow", now)
        patch.setattr(moto.kinesis.models, "utcnow", now)
        yield made


def _from_json(shape: Any, value: Any) -> Any:
    """Return what boto3 takes for JSON values."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, Mapping):
        return {name: _from_json(shape.members[name], one) for name, one in value.items()}
    if kind == "list" and isinstance(value, list):
        return [_from_json(shape.member, one) for one in value]
    if kind == "map" and isinstance(value, Mapping):
        return {name: _from_json(shape.value, one) for name, one in value.items()}
    if kind == "blob":
        return base64.b64decode(value)
    if kind == "timestamp":
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    return value


def _to_json(shape: Any, value: Any) -> Any:
    """Return what boto3 gives as JSON values."""
    kind = "" if shape is None else shape.type_name
    if kind == "structure":
        return {name: _to_json(shape.members[name], one) for name, one in value.items()}
    if kind == "list":
        return [_to_json(shape.member, one) for one in value]
    if kind == "map":
        return {name: _to_json(shape.value, one) for name, one in value.items()}
    if kind == "blob":
        return base64.b64encode(value).decode()
    if kind == "timestamp":
        return iso8601(value.astimezone(timezone.utc))
    return value


def _check(shape: Any, value: Any) -> None:
    """See that an output of ours has botocore's members, each of its type, and no other."""
    kind = shape.type_name
    if kind == "structure":
        assert isinstance(value, Mapping)
        assert value.keys() <= shape.members.keys()
        assert set(shape.required_members) <= value.keys(), f"{shape.name} lacks members"
        for name, one in value.items():
            _check(shape.members[name], one)
    elif kind == "list":
        assert isinstance(value, list)
        for one in value:
            _check(shape.member, one)
    elif kind == "map":
        assert isinstance(value, Mapping)
        for one in value.values():
            _check(shape.value, one)
    elif kind == "blob":
        base64.b64decode(value, validate=True)
    elif kind == "timestamp":
        assert value.endswith("Z")
        datetime.fromisoformat(value.replace("Z", "+00:00"))
    elif kind in {"integer", "long"}:
        assert type(value) is int
    elif kind == "boolean":
        assert type(value) is bool
    else:
        assert isinstance(value, str)
