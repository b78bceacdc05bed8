"""Limits that this host can't enforce: refused, unless they were accepted by name. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from faaskit.definition import FunctionConfig, shown
from faaskit.exceptions import DefinitionError, SandboxError
from faaskit.runtimes.promises import LIMITS

__all__ = ["ACCEPT_VARIABLE", "accepted", "accepted_in", "refuse"]

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


def refuse(
    config: FunctionConfig,
    unenforced: Mapping[str, str],
    taken: frozenset[str],
    *,
    cpu_scaling: bool,
    advice: str = "",
) -> None:
    """
    Raise if a function declares a limit that is neither enforced nor accepted.

    Args:
        config: The function's.
        unenforced: The limits that can't be enforced, each with the reason.
        taken: The limits that may go unenforced.
        cpu_scaling: False if the Invoker is not to limit CPU.
        advice: What would make the host enforce them.

    Raises:
        SandboxError: It names each such limit, the reason and the ways out.
    """
    declared = _declared(config, cpu_scaling=cpu_scaling)
    names = [name for name in LIMITS if name in unenforced and name in declared]
    names = [name for name in names if name not in taken]
    if not names:
        return
    reasons = "; ".join(f"{declared[name]} is not enforced: {unenforced[name]}" for name in names)
    spelt = ", ".join(map(repr, names)) + ("," if len(names) == 1 else "")
    listed = ",".join(names)
    msg = (
        f"function {config.name!r} can't be run with all its limits on this host: {reasons}. "
        f"{advice}{' ' if advice else ''}To run it without: Invoker(accept=({spelt})), the "
        f"environment variable {ACCEPT_VARIABLE}={listed}, or --accept {listed} of the command"
    )
    raise SandboxError(msg, step="enforce the limits")


def _declared(config: FunctionConfig, *, cpu_scaling: bool) -> dict[str, str]:
    """Return the limits that a function declares, each as its user wrote it."""
    declared = {"memory": f"memory_size={config.memory_size}"}
    if not config.network:
        declared["network"] = "network=False"
    if config.readable:
        declared["readable"] = "readable="
    # The default can't be told from the same number given.
    if config.ephemeral_storage != _DEFAULT_STORAGE_MB:
        declared["disk"] = f"ephemeral_storage={config.ephemeral_storage}"
    if cpu_scaling:
        declared["cpu"] = f"the CPU share of memory_size={config.memory_size}"
    return declared
