"""
Requests that were put to faaskit and to an independent engine, decided again.

``benchmarks/iam_peer.py --record`` wrote them: some that both decided alike, and the reduced ones
of every class in which they differ, which ``benchmarks/iam_classes.py`` explains with AWS's pages.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import iam_oracle
import pytest

from faaskit.exceptions import DefinitionError
from faaskit.iam import simulate

Recorded = dict[str, Any]
RECORDED: list[Recorded] = json.loads(Path(__file__).with_name("iam_recorded.json").read_text())
TAKEN = [one for one in RECORDED if one["effect"] != "refused"]
# All in which faaskit allows what the other engine denies; each is explained in its class.
ALLOWED_HERE_ALONE = {
    "a * at the end of a field reaches over colons",
    "a date in seconds since 1970 beside one in ISO 8601",
    "a policy older than 2012-10-17 has no variables",
    "a range of addresses of prefix length 0",
    "a session policy does not limit what the resource grants to the session or everyone",
    "a set operator on nothing but empty text",
    "a user needs no permission for GetSessionToken",
    "NotIpAddress of an address of the other version",
    "the root user needs no identity-based policy",
    "${*} in an operator without wildcards is an asterisk",
}


def named(recorded: list[Recorded]) -> list[Any]:
    """Return parameters with the class of each as its id."""
    seen: Counter[str] = Counter()
    found = []
    for one in recorded:
        seen[one["class"]] += 1
        found.append(pytest.param(one, id=f"{one['class']} {seen[one['class']]}"))
    return found


@pytest.mark.parametrize("recorded", named(TAKEN))
def test_recorded_request_is_decided_as_before(recorded: Recorded) -> None:
    """The library, and the oracle that is written another way, decide as they did."""
    asked = recorded["asked"]
    assert simulate(**asked).effect == recorded["effect"]
    allowed, effect = iam_oracle.decide(**asked)
    assert (allowed, effect) == (recorded["effect"] == "Allow", recorded["effect"])


@pytest.mark.parametrize("recorded", named([one for one in RECORDED if one["effect"] == "refused"]))
def test_recorded_request_is_refused_as_before(recorded: Recorded) -> None:
    """A policy that faaskit does not take and the other engine does."""
    with pytest.raises(DefinitionError, match="malformed at"):
        simulate(**recorded["asked"])


def test_recorded_requests_are_alike_where_they_say_so() -> None:
    """Both engines agree on some of each effect; elsewhere they don't."""
    alike = [one for one in RECORDED if one["class"] == "alike"]
    assert {one["effect"] for one in alike} == {"Allow", "ExplicitDeny", "ImplicitDeny"}
    assert all((one["effect"] == one["peer"]) is (one["class"] == "alike") for one in RECORDED)


def test_only_explained_classes_are_allowed_here_alone() -> None:
    """A permission that the other engine denies has a reason in AWS's documentation."""
    found = {
        one["class"] for one in RECORDED if one["effect"] == "Allow" and one["peer"] != "Allow"
    }
    assert found <= ALLOWED_HERE_ALONE
    assert len(found) >= len(ALLOWED_HERE_ALONE) - 1
