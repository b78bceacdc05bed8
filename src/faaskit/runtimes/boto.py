"""boto3 on both sides of the channel: the hook, values by shape, and clients that travel."""

from __future__ import annotations

import operator
import sys
from typing import Any

from faaskit.sandbox.boto import PLACEHOLDER, attach
from faaskit.sandbox.shapes import ShapeError, payload_name, read, split

__all__ = ["PLACEHOLDER", "ShapeError", "attach", "boto_recipe", "payload_name", "read", "split"]


def boto_recipe(item: Any) -> Any:
    """
    Return how a client or resource of boto3's is made anew where it arrives, as ``__reduce__``.

    Its service and region travel, and none of its credentials: inside a function its calls go
    to the gate. Anything else is NotImplemented.
    """
    # Before either is imported, nothing can be one of theirs.
    client = sys.modules.get("botocore.client")
    if client is not None and isinstance(item, client.BaseClient):
        return sys.modules["boto3"].client, (item.meta.service_model.service_name, *_region(item))
    resource = sys.modules.get("boto3.resources.base")
    if resource is not None and isinstance(item, resource.ServiceResource):
        boto3 = sys.modules["boto3"]
        service = item.meta.service_name
        place = _region(item.meta.client)
        if not item.meta.identifiers:
            return boto3.resource, (service, *place)
        names = [getattr(item, name) for name in item.meta.identifiers]
        parent = boto3.resource(service, *place)
        return operator.methodcaller(type(item).__name__.rpartition(".")[2], *names), (parent,)
    return NotImplemented


def _region(client: Any) -> tuple[str, ...]:
    region = client.meta.region_name
    return () if region in {None, "aws-global"} else (region,)
