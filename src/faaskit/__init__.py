"""
AWS Lambda's model as a Python library.

Declare a function with its memory, timeout and permissions; every call runs in a brand-new
process that is held to them, and comes back with its result, its log and its bill.

The rooms, from the top; each imports only from those below it:

- ``cli``: the command
- ``testing``: for users' own tests
- ``app``: ties functions, resources and triggers together
- ``events``: event shapes, triggers, asynchronous delivery
- ``resources``: buckets, durable, in a state folder
- ``functions``: ``@function`` and the handle that it makes
- ``gate``: decides each service call by a role, then has it carried out
- ``invoke``: the Invoker and what it returns
- ``runtimes``: how code gets into an environment
- ``sandbox``: the processes
- ``billing``, ``iam``, ``definition``: pure rules
- ``clock``, ``names``, ``exceptions``: the ground floor
"""

from __future__ import annotations

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
