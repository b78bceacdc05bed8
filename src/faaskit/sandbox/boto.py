"""
boto3's calls, carried over the environment's channel to the gate. Runs in the child.

A hook, not a copy: botocore checks and fills in parameters as always, and where it would send
the request (``before-call``) this sends service, operation and parameters to the gate instead,
and hands botocore the answer. There is no HTTP, and there are no credentials: what botocore
finds in their place opens nothing. Whoever takes the hook away has a client that signs with
that.

Installed before the function's code is loaded, it costs nothing until botocore is imported.
"""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

from . import shapes

# What only botocore's users need is imported when botocore is: its memory would be copied into
# every environment.
if TYPE_CHECKING:
    from collections.abc import Callable

    Carry = Callable[..., tuple[dict[str, Any], bytes | None]]

__all__ = ["PLACEHOLDER", "attach", "install"]

# What stands where credentials would: botocore won't begin without any.
PLACEHOLDER = "faaskit"
_PARAMETERS = "faaskit_parameters"
_STATUS = {
    "AccessDenied": 403,
    "AccessDeniedException": 403,
    "AuthorizationError": 403,
    "ExpiredToken": 403,
    "InternalFailure": 500,
    "InvalidClientTokenId": 403,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
}


def install(carry: Carry) -> None:
    """
    Have every session of botocore from now on carry its calls.

    Args:
        carry: As ``inside.service_call``.
    """
    sys.meta_path.insert(0, _Finder(carry))


def attach(session: Any, carry: Carry) -> None:
    """Have a session of botocore carry the calls of its clients."""
    hook = _Hook(carry)
    events = session.get_component("event_emitter")
    # Before other handlers: they change the parameters in place, so what is kept is up to date.
    events.register_first("before-parameter-build", hook.keep)
    events.register_last("before-call", hook.call)


class _Finder:
    """Changes two modules of botocore as they are imported."""

    def __init__(self, carry: Carry) -> None:
        self._changes = {
            "botocore.session": lambda module: _change_sessions(module, carry),
            "botocore.credentials": _change_credentials,
        }

    def find_spec(self, name: str, _path: Any, _target: Any = None) -> Any:
        if name not in self._changes:
            return None
        import importlib.util

        change = self._changes.pop(name)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        loader, execute = spec.loader, spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            change(module)

        loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _change_sessions(module: Any, carry: Carry) -> None:
    made = module.Session.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        made(self, *args, **kwargs)
        attach(self, carry)

    module.Session.__init__ = __init__


def _change_credentials(module: Any) -> None:
    class Provider(module.CredentialProvider):  # type: ignore[misc]
        METHOD = CANONICAL_NAME = PLACEHOLDER

        def load(self) -> Any:
            return module.Credentials(PLACEHOLDER, PLACEHOLDER, PLACEHOLDER, method=PLACEHOLDER)

    def create_credential_resolver(*_: Any, **__: Any) -> Any:
        return module.CredentialResolver([Provider()])

    module.create_credential_resolver = create_credential_resolver


class _Hook:
    def __init__(self, carry: Carry) -> None:
        self._carry = carry

    def keep(self, params: Any, context: Any, **_: Any) -> None:
        """Remember the parameters that botocore is about to serialise."""
        context[_PARAMETERS] = params

    def call(self, model: Any, request_signer: Any, context: Any, **_: Any) -> Any:
        """Carry a call out; return what botocore takes for the response."""
        import uuid

        from botocore.awsrequest import AWSResponse  # type: ignore[import-untyped,unused-ignore]
        from botocore.compat import HTTPHeaders  # type: ignore[import-untyped,unused-ignore]

        parameters = dict(context[_PARAMETERS])
        if context.get("encoding_type_auto_set"):
            parameters.pop("EncodingType", None)  # botocore's own wish, about XML
        sent, body = shapes.split(model.input_shape, parameters)
        header, payload = self._carry(
            model.service_model.service_name,
            model.name,
            sent,
            body,
            region=context.get("client_region") or "",
            session=_session(request_signer),
        )
        failure = header.get("failure")
        if failure is None:
            parsed = _output(model, header.get("output", {}), payload)
            status = 200
        else:
            status, parsed = _failure(model, failure)
        metadata = parsed.setdefault("ResponseMetadata", {})
        metadata.setdefault("RequestId", str(uuid.uuid4()))
        metadata.setdefault("HTTPHeaders", {})
        metadata.setdefault("RetryAttempts", 0)
        metadata.setdefault("HTTPStatusCode", status)
        return AWSResponse("https://gate.invalid/", status, HTTPHeaders(), io.BytesIO()), parsed


def _session(request_signer: Any) -> str:
    """Return the session token of a client; empty where it has none of its own."""
    found = request_signer._credentials  # noqa: SLF001 - there is no other way to it
    if found is None:
        return "anonymous"
    frozen = found.get_frozen_credentials()
    if frozen.access_key == PLACEHOLDER:
        return ""
    # Keys without a token are a user's own, whom the gate does not know.
    return str(frozen.token or frozen.access_key)


def _output(model: Any, output: dict[str, Any], payload: bytes | None) -> dict[str, Any]:
    shape = model.output_shape
    if shape is None:
        return {name: value for name, value in output.items() if name == "ResponseMetadata"}
    known = {name: output[name] for name in output if name in shape.members}
    parsed: dict[str, Any] = shapes.read(shape, known)
    if "ResponseMetadata" in output:
        parsed["ResponseMetadata"] = output["ResponseMetadata"]
    name = shapes.payload_name(shape)
    if name is not None:
        parsed[name] = _payload(shape.members[name], model, payload or b"")
    return parsed


def _payload(member: Any, model: Any, payload: bytes) -> Any:
    if model.has_streaming_output:
        from botocore.response import StreamingBody  # type: ignore[import-untyped,unused-ignore]

        return StreamingBody(io.BytesIO(payload), len(payload))
    return payload.decode("utf-8") if member.type_name == "string" else payload


def _failure(model: Any, failure: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return the HTTP status and the parsed body of an error, as AWS's would be."""
    import http.client

    code, message = failure["code"], failure["message"]
    details = failure.get("details") or {}
    parsed: dict[str, Any] = {}
    error_shape = model.service_model.shape_for_error_code(code) if code else None
    told = error_shape.metadata.get("error", {}) if error_shape is not None else {}
    status = int(details.get("status") or told.get("httpStatusCode") or _STATUS.get(code, 400))
    if "response" in details:
        members = json.loads(details["response"])
        parsed.update(shapes.read(error_shape, members) if error_shape is not None else members)
    if model.http.get("method") == "HEAD":
        # A response to HEAD has no body: what botocore knows is the status.
        code, message = str(status), http.client.responses.get(status, "")
    parsed["Error"] = {"Code": code, "Message": message}
    return status, parsed
