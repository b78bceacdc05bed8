"""The owner's own boto3 objects, on the app's resources and its endpoint."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from faaskit.aws.extra import require
from faaskit.runtimes.boto import PLACEHOLDER, attach
from faaskit.runtimes.contract import ServiceCall, ServiceReply

__all__ = ["Clients"]


class Clients:
    """
    Makes boto3's clients and resources whose calls are the app's own: nothing is asked of IAM.

    Args:
        perform: Carries a call of the app out.
        region: Theirs, unless they name another.
    """

    def __init__(self, perform: Callable[[ServiceCall], ServiceReply], *, region: str) -> None:
        self._perform = perform
        self._region = region
        self._lock = threading.Lock()
        self._session: Any = None

    def client(self, service: str, **settings: Any) -> Any:
        """Return a client; the settings are boto3's."""
        return self._ready().client(service, **settings)

    def resource(self, service: str, **settings: Any) -> Any:
        """Return a resource; the settings are boto3's."""
        return self._ready().resource(service, **settings)

    def _ready(self) -> Any:
        with self._lock:
            if self._session is None:
                import botocore.session

                boto3 = require()
                core = botocore.session.Session()
                attach(core, self._carry)
                self._session = boto3.session.Session(
                    aws_access_key_id=PLACEHOLDER,
                    aws_secret_access_key=PLACEHOLDER,
                    region_name=self._region,
                    botocore_session=core,
                )
            return self._session

    def _carry(
        self,
        service: str,
        operation: str,
        parameters: dict[str, Any],
        body: bytes | None,
        *,
        region: str,
        session: str,  # noqa: ARG002 - the app's calls are its own, whatever keys were given
    ) -> tuple[dict[str, Any], bytes | None]:
        reply = self._perform(ServiceCall(service, operation, parameters, body, region=region))
        header: dict[str, Any] = {"output": dict(reply.output)}
        if reply.failure is not None:
            header["failure"] = {
                "code": reply.failure.code,
                "message": reply.failure.message,
                "details": dict(reply.failure.details),
            }
        return header, reply.body
