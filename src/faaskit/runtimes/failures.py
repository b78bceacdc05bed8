"""What a service call's failure is raised as, on both sides of the gate. Pure."""

from __future__ import annotations

from faaskit.exceptions import (
    AccessDeniedError,
    FaaskitError,
    NoSuchBucketError,
    NoSuchKeyError,
    ServiceError,
    ThrottledError,
)
from faaskit.runtimes.contract import ServiceFailure

__all__ = ["error_of"]

_KINDS = {"NoSuchBucket": NoSuchBucketError, "NoSuchKey": NoSuchKeyError}


def error_of(failure: ServiceFailure) -> FaaskitError:
    """Return the exception that tells of a failure."""
    details = failure.details
    if failure.code in {"AccessDenied", "AccessDeniedException"}:
        return AccessDeniedError(
            failure.message,
            action=details.get("action", ""),
            resource=details.get("resource", ""),
            reason=details.get("reason", ""),
        )
    if failure.code == "TooManyRequestsException":
        return ThrottledError(failure.message, reason=details.get("Reason", ""))
    kind = _KINDS.get(failure.code, ServiceError)
    # AWS's words leave it to the reader which one; an exception may come from far away.
    subject = details.get("Key") or details.get("BucketName")
    message = failure.message if subject is None else f"{failure.message.rstrip('.')}: {subject!r}"
    return kind(message, code=failure.code)
