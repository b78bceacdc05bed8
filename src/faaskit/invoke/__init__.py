"""
Running functions: the Invoker, what it returns, and who may run at once.

It asks a backend for an environment, hands service calls to the function's gate, has the
meter make the bill, and gives back an ``Invocation``. It knows nothing of processes: that
is below, in ``runtimes`` and ``sandbox``.
"""

from __future__ import annotations

from faaskit.invoke.invocation import Access, Invocation
from faaskit.invoke.invoker import Invoker, default_invoker

__all__ = ["Access", "Invocation", "Invoker", "default_invoker"]
