"""
AWS Lambda's model as a Python library.

Declare a function with its memory, timeout and permissions; every call runs in a brand-new
process that is held to them, and comes back with its result, its log and its bill.

The rooms, from the top; each imports only from those below it:

- ``cli``: the command
- ``testing``: for users' own tests
- ``app``: ties functions, resources and triggers together
- ``aws``: where calls go that are about none of the app's resources; the owner's boto3 clients
- ``events``: event shapes, triggers, schedules, asynchronous delivery
- ``resources``: buckets, tables, queues, streams, buses, durable, in a state folder
- ``functions``: ``@function`` and the handle that it makes
- ``gate``: decides each service call by a role, then has it carried out
- ``invoke``: the Invoker and what it returns
- ``runtimes``: how code gets into an environment
- ``sandbox``: the processes
- ``billing``, ``iam``, ``definition``: pure rules
- ``clock``, ``names``, ``exceptions``: the ground floor
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faaskit import billing, events, iam
    from faaskit.app import App
    from faaskit.billing import Bill, MemoryTier, Meter
    from faaskit.exceptions import (
        AccessDeniedError,
        DefinitionError,
        FaaskitError,
        FunctionError,
        FunctionExitError,
        FunctionMemoryError,
        FunctionSignalError,
        FunctionTimeoutError,
        InvocationError,
        MissingExtraError,
        NoSuchBucketError,
        NoSuchKeyError,
        PayloadError,
        SandboxError,
        ServiceError,
        ThrottledError,
    )
    from faaskit.functions import Function, function
    from faaskit.iam import Decision, Policy, Role, Statement, allow, deny
    from faaskit.invoke import Invocation, Invoker

__all__ = [
    "AccessDeniedError",
    "App",
    "Bill",
    "Decision",
    "DefinitionError",
    "FaaskitError",
    "Function",
    "FunctionError",
    "FunctionExitError",
    "FunctionMemoryError",
    "FunctionSignalError",
    "FunctionTimeoutError",
    "Invocation",
    "InvocationError",
    "Invoker",
    "MemoryTier",
    "Meter",
    "MissingExtraError",
    "NoSuchBucketError",
    "NoSuchKeyError",
    "PayloadError",
    "Policy",
    "Role",
    "SandboxError",
    "ServiceError",
    "Statement",
    "ThrottledError",
    "allow",
    "billing",
    "deny",
    "events",
    "function",
    "iam",
]

# Where each name that is no room lives. Loaded when it is asked for (PEP 562): who needs
# policies alone does not pay for buckets.
_HOMES = {
    "faaskit.app": ["App"],
    "faaskit.billing": ["Bill", "MemoryTier", "Meter"],
    "faaskit.functions": ["Function", "function"],
    "faaskit.iam": ["Decision", "Policy", "Role", "Statement", "allow", "deny"],
    "faaskit.invoke": ["Invocation", "Invoker"],
}
_ROOMS = {"billing", "events", "iam"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module 'faaskit' has no attribute {name!r}"
        raise AttributeError(msg)
    if name in _ROOMS:
        return import_module(f"faaskit.{name}")  # which makes it an attribute, too
    home = next((home for home, names in _HOMES.items() if name in names), "faaskit.exceptions")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return list(__all__)
