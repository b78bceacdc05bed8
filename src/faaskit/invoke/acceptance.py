"""Limits that this host can't enforce: refused, unless they were accepted by name. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from faaskit.definition import FunctionConfig, shown
from faaskit.exceptions import DefinitionError, SandboxError
from faaskit.runtimes.promises import LIMITS

__all__ = ["ACCEPT_VARIABLE", "accepted", "accepted_in", "declared", "refusal"]

ACCEPT_VARIABLE = "FAASKIT_ACCEPT"
_DEFAULT_STORAGE_MB = 512


def accepted(names: Any) -> frozenset[str]:
    """
    Return the limits that may go unenforced.

    Args:
        names: What a user passed: the names of limits.

    Raises:
        DefinitionError: A name that is unknown, or no collection of names.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        msg = f"accept={shown(names)} is of type {type(names).__name__}; pass accept=('network',)"
        raise DefinitionError(msg)
    return _known(list(names), "accept")


def accepted_in(text: str, source: str = ACCEPT_VARIABLE) -> frozenset[str]:
    """
    Return the limits that a text names, with commas between them.

    Args:
        text: Such as ``network,readable``; may be empty.
        source: Where it comes from, for the message.

    Raises:
        DefinitionError: A name that is unknown.
    """
    words = (word.strip() for word in text.split(","))
    return _known([word for word in words if word], source)


def _known(names: list[Any], source: str) -> frozenset[str]:
    for name in names:
        if name not in LIMITS:
            msg = f"{source}: unknown limit {shown(name)}; the limits are {', '.join(LIMITS)}"
            raise DefinitionError(msg)
    return frozenset(names)


def declared(
    config: FunctionConfig, unenforced: Container[str], *, cpu_scaling: bool
) -> tuple[str, ...]:
    """
    Return the limits that a function declares and that can't be enforced.

    Args:
        config: The function's.
        unenforced: The names of limits that can't be enforced.
        cpu_scaling: False if CPU is not to be limited.
    """
    given = {
        "network": not config.network,
        "readable": bool(config.readable),
        # The default can't be told from the same number given.
        "disk": config.ephemeral_storage != _DEFAULT_STORAGE_MB,
        "memory": True,
        "cpu": cpu_scaling,
    }
    return tuple(name for name in LIMITS if name in unenforced and given[name])


def refusal(
    config: FunctionConfig, names: Sequence[str], reasons: Mapping[str, str], advice: str = ""
) -> SandboxError:
    """
    Return the error that names each limit, the reason and the ways out.

    Args:
        config: The function's.
        names: The limits that it declares, that can't be enforced and were not accepted.
        reasons: Why they can't be enforced.
        advice: What would make the host enforce them.
    """
    spelt = {
        "network": "network=False",
        "readable": "readable=",
        "disk": f"ephemeral_storage={config.ephemeral_storage}",
        "memory": f"memory_size={config.memory_size}",
        "cpu": f"the CPU share of memory_size={config.memory_size}",
    }
    facts = "; ".join(f"{spelt[name]} is not enforced: {reasons[name]}" for name in names)
    listed = ",".join(names)
    msg = (
        f"function {config.name!r} can't be run with all its limits on this host: {facts}. "
        f"{advice}{' ' if advice else ''}To run it without: Invoker(accept={tuple(names)!r}), the "
        f"environment variable {ACCEPT_VARIABLE}={listed}, or --accept {listed} of the command"
    )
    return SandboxError(msg, step="enforce the limits")
