"""What ``App(aws=…)`` may name: moto, an endpoint, or an account of the user's."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol
from urllib.parse import urlsplit

from faaskit.aws.endpoint import Endpoint
from faaskit.aws.extra import require
from faaskit.exceptions import DefinitionError
from faaskit.gate.service import Caller
from faaskit.iam.roles import Role
from faaskit.runtimes.contract import ServiceCall, ServiceReply

__all__ = ["Elsewhere", "elsewhere", "port_of", "services_of"]

_CONNECT_SECONDS = 5


class Elsewhere(Protocol):
    """Where the calls go that are about none of the app's own resources."""

    def start(self, services: Collection[str]) -> None:
        """Do what the first call to each of these services would wait for."""

    def cancel_start(self) -> None:
        """End a start that is under way: whoever waits for it is told."""

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:
        """Carry a call out that was allowed."""

    def close(self) -> None:
        """End what was begun for it."""


def elsewhere(aws: object, *, region: str, account: str) -> Elsewhere:
    """
    Return the place that a text names; nothing is started or imported yet.

    Args:
        aws: ``moto``, ``profile:NAME``, or an URL such as ``http://127.0.0.1:5000``.
        region: Of calls that name none.
        account: That the endpoint is to act in, where it may be chosen.

    Raises:
        DefinitionError: It is none of these.
    """
    if aws == "moto":
        from faaskit.aws.moto import Moto

        return Moto(region=region, account=account)
    if isinstance(aws, str) and aws.startswith("profile:") and aws != "profile:":
        return _Profile(aws.removeprefix("profile:"), region=region)
    if isinstance(aws, str) and port_of(aws) is not None:
        return _Url(aws, region=region, account=account)
    msg = (
        f"aws={aws!r} names no place: pass 'moto', 'profile:NAME' or an endpoint such as "
        "'http://127.0.0.1:5000'"
    )
    raise DefinitionError(msg)


def port_of(aws: str) -> int | None:
    """Return the port of an endpoint's URL; None where it is no URL."""
    try:
        parts = urlsplit(aws)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    return port or (443 if parts.scheme == "https" else 80)


def services_of(role: Role) -> frozenset[str]:
    """
    Return the services that a role's statements allow something of, by the prefix of actions.

    Most of botocore's names are such a prefix; ``*`` names none.
    """
    named = (
        action.partition(":")[0].lower()
        for policy in role.policies
        for statement in policy.statements
        if statement.effect == "Allow"
        for action in _texts(statement.action)
    )
    return frozenset(name for name in named if name.replace("-", "").isalnum())


def _texts(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value or ()


class _Url:
    """An endpoint that takes any credentials: moto's server, LocalStack, MiniStack."""

    def __init__(self, url: str, *, region: str, account: str) -> None:
        self._url = url
        self._account = account
        self._endpoint = Endpoint(url, self._client, region=region, account=account)

    def _client(self, service: str, region: str) -> Any:
        from botocore.config import Config

        # LocalStack takes an access key of twelve digits for the account to act in.
        return (
            require()
            .session.Session()
            .client(
                service,
                region_name=region,
                endpoint_url=self._url,
                aws_access_key_id=self._account,
                aws_secret_access_key="any",  # noqa: S106 - such endpoints look at none
                config=Config(connect_timeout=_CONNECT_SECONDS, s3={"addressing_style": "path"}),
            )
        )

    def start(self, services: Collection[str]) -> None:
        """Make the clients; nothing is sent."""
        require()
        self._endpoint.start(services)

    def cancel_start(self) -> None:
        """Nobody waits for long."""

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:
        require()
        return self._endpoint.perform(call, caller)

    def close(self) -> None:
        """Nothing was begun."""


class _Profile:
    """Real AWS, with the credentials of a profile of the user's."""

    def __init__(self, name: str, *, region: str) -> None:
        self._name = name
        self._endpoint = Endpoint(f"AWS with profile {name!r}", self._client, region=region)

    def _client(self, service: str, region: str) -> Any:
        session = require().session.Session(profile_name=self._name)
        return session.client(service, region_name=region)

    def start(self, services: Collection[str]) -> None:
        """Make the clients; nothing is sent."""
        require()
        self._endpoint.start(services)

    def cancel_start(self) -> None:
        """Nobody waits for long."""

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:
        require()
        return self._endpoint.perform(call, caller)

    def close(self) -> None:
        """Nothing was begun."""
