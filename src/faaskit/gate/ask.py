"""How a handle of a resource makes a service call, wherever the handle is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from faaskit.runtimes.contract import ServiceCall, ServiceReply
from faaskit.runtimes.failures import error_of
from faaskit.runtimes.link import current_link

__all__ = ["Performer", "ask"]


class Performer(Protocol):
    """What carries out the app's own calls."""

    def perform(self, call: ServiceCall) -> ServiceReply:
        """Carry a call out as the owner of all resources, or say why it can't be."""


def ask(
    owner: Performer,
    service: str,
    operation: str,
    parameters: Mapping[str, Any],
    body: bytes | None = None,
) -> ServiceReply:
    """
    Make a service call: inside a function through the gate, in the app directly.

    Args:
        owner: The app; unused inside, where it is a reference that can do nothing.
        service: botocore's name of the service.
        operation: AWS's name of the operation.
        parameters: AWS's parameters, as JSON values.
        body: The streaming body, where the operation has one.

    Returns:
        A reply without a failure.

    Raises:
        AccessDeniedError: The function's role does not allow it.
        NoSuchBucketError: There is no such bucket in the app.
        NoSuchKeyError: There is no such object.
        ThrottledError: An invocation over a concurrency limit.
        ServiceError: Anything else that the service refuses; ``code`` tells what.
    """
    link = current_link()
    if link is None:
        reply = owner.perform(ServiceCall(service, operation, parameters, body))
    else:
        reply = link.call(service, operation, parameters, body)
    if reply.failure is not None:
        raise error_of(reply.failure)
    return reply
