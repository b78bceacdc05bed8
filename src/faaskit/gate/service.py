"""What the gate needs of a service, and the words that both use."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Protocol

from attrs import field, frozen

from faaskit.iam.context import KNOWN, Unknowns
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply

__all__ = ["Caller", "Place", "Refusal", "Requirement", "Service", "excerpt"]

_QUOTED = reprlib.Repr()
_QUOTED.maxstring = _QUOTED.maxother = 100


@frozen
class Requirement:
    """
    What a role must allow before a call is carried out.

    Attributes:
        action: The IAM action, such as ``s3:GetObject``.
        resource: The ARN that it is asked for, or a pattern of it, if ``unknown`` says so.
        context: Condition keys of this call alone; the gate adds those of every call. A key
            with several values has a tuple.
        unknown: The parts that aren't known: the resource, condition keys, the action.
        note: What else a denial says, such as why the resource is ``*``.
    """

    action: str
    resource: str
    context: Mapping[str, str | tuple[str, ...]] = field(factory=dict)
    note: str = ""
    unknown: Unknowns = KNOWN


@frozen
class Caller:
    """
    Who a call is carried out for. What they may do was decided before.

    Attributes:
        user_id: AWS's unique id (``aws:userid``): ``AROA…:SESSION`` for a function, the
            account's number for its owner.
        function_arn: The function that calls; None where the app itself does, or a session that
            a function has of another role.
        arn: The principal's own, a session's or the account's.
        account: That the principal is in.
    """

    user_id: str
    function_arn: str | None = None
    arn: str = ""
    account: str = ""


class Refusal(Exception):  # noqa: N818 - no error: the caller's mistake, on its way to a reply
    """
    A call that can't be carried out as it stands; the gate makes a reply of it.

    Never leaves the gate, so it is not part of the tree of ``FaaskitError``.

    Attributes:
        failure: What the reply says.
    """

    def __init__(
        self, message: str, *, code: str, details: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.failure = ServiceFailure(code, message, dict(details or {}))


class Place(Protocol):
    """Where calls are carried out. Called from several threads."""

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:
        """
        Carry a call out that was allowed.

        Raises:
            Refusal: It can't be.
        """


class Service(Place, Protocol):
    """
    One of AWS's services, as far as faaskit has it. Called from several threads.

    Attributes:
        name: botocore's, such as ``s3``.
    """

    name: str

    def owns(self, call: ServiceCall) -> bool:
        """Return whether a call names a resource of the app, and so can be carried out here."""

    def discloses(self, call: ServiceCall, failure: ServiceFailure) -> Requirement | None:
        """Return what must be allowed, too, before the caller may learn of this failure."""


def excerpt(value: object) -> str:
    """Return a value as a message can quote it: whatever it is, however long or deep."""
    return _QUOTED.repr(value)
