"""
IAM: the policy language, and what policies decide.

What lives here, from the ground up:

- ``refusal`` says why a policy is not taken; ``elements`` freezes JSON; ``arns`` are the texts
  that a Resource may hold.
- ``matching`` matches wildcards, ``values`` reads numbers, dates and addresses,
  ``variables`` fills in ``${aws:username}``, ``context`` reads a request's values.
- ``comparisons`` and ``conditions`` are the Condition element, ``principals`` the
  Principal element and who calls; ``rules`` puts them together to one statement at work.
- ``statements`` are what people write (``allow``, ``deny``), ``documents`` what AWS writes,
  ``policies`` both, and what they may be attached as.
- ``reserved`` are the resources that are AWS's own in an account.
- ``decision`` is AWS's order of evaluation; ``simulation``, ``roles`` and ``messages`` are
  its ways in and out.

Who may import it: every room above (the gate decides by it, functions carry statements,
the command simulates). It imports names and errors.

What must never happen here: a clock, a process, a socket, a file. And a false allow. What
is not understood in a policy is refused when the policy is made; what is not understood in
a request never allows, and lets a Deny apply.
"""

from __future__ import annotations

from faaskit.iam.decision import Decision
from faaskit.iam.messages import denial_message
from faaskit.iam.policies import Policy
from faaskit.iam.roles import Role
from faaskit.iam.simulation import simulate
from faaskit.iam.statements import Statement, allow, deny

__all__ = [
    "Decision",
    "Policy",
    "Role",
    "Statement",
    "allow",
    "denial_message",
    "deny",
    "simulate",
]
