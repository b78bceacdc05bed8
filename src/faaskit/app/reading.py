"""What a function's role must allow for its mappings to read their sources."""

from __future__ import annotations

import logging

from faaskit.events.mappings.registry import Declared
from faaskit.functions import Function
from faaskit.iam.context import KNOWN, Unknowns
from faaskit.iam.statements import allow

__all__ = ["Permitted"]

_log = logging.getLogger(__name__)

_QUEUE = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
# By the kind of source: what Lambda asks for.
_ACTIONS = {
    "stream": ("kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"),
    "table": ("dynamodb:GetRecords", "dynamodb:GetShardIterator"),
    "queue": _QUEUE,
    "remote queue": _QUEUE,
}


class Permitted:
    """Decides once for each mapping of a function: roles never change."""

    def __init__(self) -> None:
        self._known: dict[Declared, tuple[Function, bool]] = {}

    def may_read(self, function: Function, mapping: Declared) -> bool:
        """
        Return whether a function's role lets its mapping read.

        To declare a mapping allows it, as AWS CDK and SAM do; a Deny or a boundary still holds,
        and is told of in the log.
        """
        known = self._known.get(mapping)
        if known is None or known[0] is not function:
            known = self._known[mapping] = (function, _decide(function, mapping))
            if not known[1]:
                _log.warning(
                    "nothing is read of %s for function %r: its role denies it, or its boundary "
                    "does not allow it",
                    mapping.source.key,
                    function.name,
                )
        return known[1]


def _decide(function: Function, mapping: Declared) -> bool:
    actions = _ACTIONS[mapping.kind]
    arn = mapping.source.key
    unknown = KNOWN
    if mapping.kind == "table" and "/stream/" not in arn:  # else the stream was named itself
        arn += "/stream/*"
        unknown = Unknowns(resource=True)  # the stream's label: a Deny may name it
    role = function.role.with_statements(allow(*actions, on=arn))
    # Of another account's resource, that account decides where it is asked: not here.
    theirs = {
        "Effect": "Allow",
        "Principal": {"AWS": role.account},
        "Action": [*actions],
        "Resource": arn,
    }
    policy = {"Version": "2012-10-17", "Statement": [theirs]}
    return all(
        role.decide(action, arn, resource_policy=policy, unknown=unknown).allowed
        for action in actions
    )
