"""
Whether this process is an environment (or a template), and its way to the gate.

Handles of resources and functions work on both sides: in the app they act, inside they
ask. This is the one place that tells the two apart.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol

from faaskit.runtimes.contract import ServiceFailure, ServiceReply

__all__ = ["Link", "current_link"]

# The child side runs under a package name of its own, without importing faaskit: its
# presence is the sign. An environment variable could be inherited or set by anyone.
_CHILD_MODULE = "_faaskit_child.inside"


class Link(Protocol):
    """The environment's end of the channel to the gate."""

    def call(
        self,
        service: str,
        operation: str,
        parameters: Mapping[str, Any],
        body: bytes | None = None,
    ) -> ServiceReply:
        """Send a service call and wait for its reply; a denial is a reply, too."""


class _ChannelLink:
    def __init__(self, child: Any) -> None:
        self._child = child

    def call(
        self,
        service: str,
        operation: str,
        parameters: Mapping[str, Any],
        body: bytes | None = None,
    ) -> ServiceReply:
        header, reply_body = self._child.service_call(service, operation, dict(parameters), body)
        failure = header.get("failure")
        if failure is not None:
            failure = ServiceFailure(failure["code"], failure["message"], failure["details"])
        return ServiceReply(header.get("output", {}), reply_body, failure)


def current_link() -> Link | None:
    """Return the way to the gate inside a template or environment; None in the app."""
    child = sys.modules.get(_CHILD_MODULE)
    return None if child is None else _ChannelLink(child)
