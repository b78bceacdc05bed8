"""Carries calls out at an endpoint of AWS's APIs, as they were decided."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Collection
from http.client import HTTPException
from typing import Any

from faaskit.gate.service import Caller, Refusal, excerpt
from faaskit.runtimes.boto import ShapeError, payload_name, read, split
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply

__all__ = ["Endpoint"]

# What a reply may hold: it is in memory here, and in the function's.
_PAYLOAD_LIMIT = 1 << 30
# The parameter, and member of the reply, that names the key of a ciphertext.
_DECRYPTED_WITH = {"Decrypt": "KeyId", "ReEncrypt": "SourceKeyId"}

# Makes a client of a service in a region.
ClientMaker = Callable[[str, str], Any]


class Endpoint:
    """
    AWS's services at one place. Safe to use from several threads.

    Args:
        what: In messages, such as ``http://127.0.0.1:5000``.
        make_client: Makes botocore clients; called once for each service and region.
        region: Of calls that name none.
        account: The one that it acts in; None where it holds accounts apart, as AWS does.
    """

    def __init__(
        self, what: str, make_client: ClientMaker, *, region: str, account: str | None = None
    ) -> None:
        self._what = what
        self._make_client = make_client
        self._region = region
        self._account = account
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Any] = {}

    def start(self, services: Collection[str]) -> list[Any]:
        """
        Make the clients of services, which takes long the first time; return them.

        Args:
            services: botocore's names; one that is unknown is left out.
        """
        made = []
        for service in services:
            with contextlib.suppress(Refusal):
                made.append(self._client(service, self._region))
        return made

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:  # noqa: ARG002
        """
        Carry a call out that was allowed.

        Raises:
            Refusal: It is not one of AWS's, or the endpoint can't be reached.
        """
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        client = self._client(call.service, call.region or self._region)
        method = {api: name for name, api in client.meta.method_to_api_mapping.items()}.get(
            call.operation
        )
        if method is None:
            msg = f"operation {excerpt(call.operation)} is not one of {call.service}'s"
            raise Refusal(msg, code="UnknownOperationException")
        model = client.meta.service_model.operation_model(call.operation)
        parameters = _parameters(model, call)
        self._refuse_others_queue(parameters.get("QueueUrl"))
        try:
            output = getattr(client, method)(**parameters)
            _refuse_another_key(call, output)
            return _reply(model, output)
        except ClientError as error:
            return ServiceReply(failure=_failure(model, {**error.response}))
        except (BotoCoreError, OSError) as error:
            # Parameters that botocore refuses are the caller's; all else is the endpoint's.
            name = type(error).__name__
            ours = name in {"ParamValidationError", "UnknownKeyError", "MissingParametersError"}
            code = "ValidationException" if ours else "ServiceUnavailable"
            msg = str(error) if ours else f"{self._what} can't be reached: {name}: {error}"
            raise Refusal(msg, code=code) from error
        except (ResponseParserError, HTTPException) as error:
            msg = f"{self._what} does not answer {call.operation} as AWS does: {excerpt(error)}"
            raise Refusal(msg, code="ServiceUnavailable") from error
        except ValueError as error:  # a line break in what is sent as a header; no URL
            msg = f"{call.operation} can't be sent: {excerpt(str(error))}"
            raise Refusal(msg, code="ValidationException") from error

    def _refuse_others_queue(self, url: object) -> None:
        # Such an endpoint looks at a queue's name alone: what was decided about another
        # account's queue would be done to its own.
        owner = str(url).rstrip("/").split("/")[-2:-1]
        if self._account and owner and owner[0].isdigit() and owner[0] != self._account:
            msg = f"{self._what} acts in account {self._account}: it has no queue of {owner[0]}'s"
            raise Refusal(msg, code="AWS.SimpleQueueService.NonExistentQueue")

    def _client(self, service: str, region: str) -> Any:
        key = service, region
        with self._lock:
            client = self._clients.get(key)
            if client is None:
                from botocore.exceptions import BotoCoreError

                try:
                    client = self._clients[key] = self._make_client(service, region)
                except (BotoCoreError, ValueError) as error:
                    msg = (
                        f"{self._what} has no client of {excerpt(service)} in {excerpt(region)}: "
                        f"{error}"
                    )
                    raise Refusal(msg, code="ValidationException") from error
            return client


def _refuse_another_key(call: ServiceCall, output: dict[str, Any]) -> None:
    """
    Refuse what was decrypted with another key than the one that was decided on.

    AWS does, but some endpoints use whichever key the ciphertext is of. An alias needs no check:
    it is allowed for those alone who may use every key.
    """
    name = _DECRYPTED_WITH.get(call.operation) if call.service == "kms" else None
    asked, used = (call.parameters.get(name), output.get(name)) if name else (None, None)
    if not isinstance(asked, str) or not isinstance(used, str) or "alias/" in asked:
        return
    if asked.rpartition("/")[2] != used.rpartition("/")[2]:
        msg = "The key ID in the request does not identify the key that the ciphertext is of."
        raise Refusal(msg, code="IncorrectKeyException")


def _parameters(model: Any, call: ServiceCall) -> dict[str, Any]:
    shape = model.input_shape
    if shape is None:
        if call.parameters:
            msg = f"{call.operation} takes no parameters"
            raise Refusal(msg, code="ValidationException")
        return {}
    try:
        parameters: dict[str, Any] = read(shape, dict(call.parameters))
    except ShapeError as error:
        msg = f"{call.operation}: {error}"
        raise Refusal(msg, code="ValidationException") from error
    name = payload_name(shape)
    if name in parameters or (call.body is not None and name is None):
        msg = f"{call.operation}: a payload travels as the body of a call, and nothing else does"
        raise Refusal(msg, code="ValidationException")
    if name is not None and call.body is not None:
        is_text = shape.members[name].type_name == "string"
        parameters[name] = call.body.decode("utf-8", "replace") if is_text else call.body
    return parameters


def _reply(model: Any, output: dict[str, Any]) -> ServiceReply:
    shape = model.output_shape
    metadata = output.pop("ResponseMetadata", {})
    if shape is None:
        return ServiceReply({"ResponseMetadata": _metadata(metadata)})
    if model.has_event_stream_output:
        msg = f"{model.name} answers with an event stream, which the gate does not carry"
        raise Refusal(msg, code="UnknownOperationException")
    name = payload_name(shape)
    if name is not None and hasattr(output.get(name), "read"):
        body = output[name].read(_PAYLOAD_LIMIT + 1)
        if len(body) > _PAYLOAD_LIMIT:
            msg = f"{model.name} answers with over {_PAYLOAD_LIMIT} bytes: ask for a range"
            raise Refusal(msg, code="EntityTooLarge")
        output[name] = body
    parameters, payload = split(shape, output)
    return ServiceReply({**parameters, "ResponseMetadata": _metadata(metadata)}, payload)


def _metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return of a response's metadata what is JSON, and no secret of the endpoint's."""
    return {
        "RequestId": str(metadata.get("RequestId", "")),
        "HTTPHeaders": {
            str(name): str(value) for name, value in metadata.get("HTTPHeaders", {}).items()
        },
    }


def _failure(model: Any, response: dict[str, Any]) -> ServiceFailure:
    error = response.get("Error", {})
    code = str(error.get("Code", "Unknown"))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    members = {
        name: value for name, value in response.items() if name not in {"Error", "ResponseMetadata"}
    }
    details = {"status": str(status)}
    shape = model.service_model.shape_for_error_code(code)
    if members and shape is not None:
        details["response"] = json.dumps(split(shape, members)[0])
    return ServiceFailure(code, str(error.get("Message", "")), details)
