"""The role that ``faaskit invoke --role FILE`` names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from faaskit.exceptions import DefinitionError
from faaskit.iam.roles import Role

__all__ = ["read_role"]

_PARTS = frozenset({"policies", "boundary", "trust"})


def read_role(file: str, name: str) -> Role:
    """
    Read a role from JSON: a policy document, a list of these, or an object of both and more.

    Args:
        file: Its path. An object has ``policies`` and, if there are any, ``boundary`` and
            ``trust``.
        name: Of the role.

    Raises:
        DefinitionError: The file can't be read, or IAM does not take what it says.
    """
    try:
        found: Any = json.loads(Path(file).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"the role can't be read from {file}: {error}"
        raise DefinitionError(msg) from error
    if isinstance(found, dict) and "Statement" not in found:
        unknown = sorted(set(found) - _PARTS)
        if unknown or not found:
            what = f"has {unknown[0]!r}, which no role has" if unknown else "is empty"
            msg = (
                f"the role in {file} {what}: write a policy document, a list of them, or an "
                "object of policies, boundary and trust"
            )
            raise DefinitionError(msg)
    else:
        found = {"policies": found}
    policies = found.pop("policies", [])
    every = policies if isinstance(policies, list) else [policies]
    try:
        return Role(name, policies=every, **found)
    except DefinitionError as error:
        msg = f"the role in {file}: {error}"
        raise DefinitionError(msg) from error
