"""
Compare faaskit's IAM engine with @cloud-copilot/iam-simulate, an independent one for Node.

    cd benchmarks/iam_simulate && npm install
    python benchmarks/iam_peer.py --requests 100000 --seed 1

Random requests (``iam_requests``) are put to both. Each that they answer differently is reduced
while they still do, so that what is left shows why, and counted under its class
(``iam_classes``). The process exits with 1 if a disagreement has no class.

``--record FILE`` writes requests of every class, and some that both decide alike, for the tests
that run without Node.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

from faaskit.exceptions import DefinitionError
from faaskit.iam import simulate
from faaskit.iam.decision import owner_of, question_of
from faaskit.iam.principals import parse_caller
from iam_classes import classify
from iam_requests import Asked, draw

_EVALUATE = Path(__file__).parent / "iam_simulate" / "evaluate.mjs"
_EFFECTS = {
    "Allowed": "Allow",
    "ExplicitlyDenied": "ExplicitDeny",
    "ImplicitlyDenied": "ImplicitDeny",
}


_ALIKE = 40  # recorded of each effect
_OF_A_CLASS = 6


class Peer:
    """The other engine, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def effect(self, asked: Asked) -> str:
        """Return its effect, or ``error: …``."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(_for_peer(asked)) + "\n")
        stdin.flush()
        said = json.loads(stdout.readline())
        return _EFFECTS[said["result"]] if "result" in said else f"error: {said['error']}"


@contextmanager
def peer() -> Iterator[Peer]:
    """Start the other engine, and stop it."""
    process = subprocess.Popen(
        ["node", str(_EVALUATE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Peer(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=30)


def _for_peer(asked: Asked) -> dict[str, Any]:
    """Return a request with the context that faaskit derives: the peer derives none."""
    caller = parse_caller(asked["principal"])
    owner = owner_of(asked["resource"]) or asked["resource_account"] or caller.account
    values = question_of(asked["action"], asked["resource"], asked["context"], caller, owner).values
    context = {key: list(one) if isinstance(one, tuple) else one for key, one in values.items()}
    policies = ("identity", "boundary", "session", "resource_policy")
    return {
        "principal": asked["principal"],
        "action": asked["action"],
        "resource": asked["resource"],
        "account": owner or "",
        "context": context,
        **{name: asked[name] for name in policies},
    }


def ours(asked: Asked) -> str:
    """Return faaskit's effect, or ``refused: …``."""
    try:
        return simulate(**asked).effect
    except DefinitionError as error:
        return f"refused: {error}"


def reduce(asked: Asked, other: Peer) -> Asked:
    """Return the smallest request, by leaving parts out, that has the same pair of effects."""
    pair = (ours(asked), other.effect(asked))
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(asked):
            if (ours(candidate), other.effect(candidate)) == pair:
                asked, smaller = candidate, True
                break
    return asked


def _smaller(asked: Asked) -> Iterator[Asked]:
    for name in ("boundary", "session", "resource_policy"):
        if asked[name] is not None:
            yield asked | {name: None}
    for at in range(len(asked["identity"])):
        yield asked | {"identity": [*asked["identity"][:at], *asked["identity"][at + 1 :]]}
    for key in asked["context"]:
        yield asked | {"context": {k: v for k, v in asked["context"].items() if k != key}}
    for name in ("boundary", "session", "resource_policy"):
        for document in _smaller_documents(asked[name]):
            yield asked | {name: document}
    for at, whole in enumerate(asked["identity"]):
        for document in _smaller_documents(whole):
            yield asked | {
                "identity": [*asked["identity"][:at], document, *asked["identity"][at + 1 :]]
            }


def _smaller_documents(document: Any) -> Iterator[dict[str, Any]]:
    if document is None:
        return
    statements = document["Statement"]
    every = statements if isinstance(statements, list) else [statements]
    if document.get("Version") != "2012-10-17":
        yield document | {"Version": "2012-10-17"}
    for at in range(len(every)):
        if len(every) > 1:
            yield document | {"Statement": [*every[:at], *every[at + 1 :]]}
    for at, one in enumerate(every):
        for statement in _smaller_statements(one):
            yield document | {"Statement": [*every[:at], statement, *every[at + 1 :]]}


def _smaller_statements(statement: dict[str, Any]) -> Iterator[dict[str, Any]]:
    block = statement.get("Condition")
    if block is not None:
        yield {name: value for name, value in statement.items() if name != "Condition"}
        for smaller in _smaller_blocks(block):
            yield statement | {"Condition": smaller}
    for name, value in statement.items():
        yield from (statement | {name: shorter} for shorter in _shorter(value))
        if name in {"Principal", "NotPrincipal"} and isinstance(value, dict):
            for kind, principals in value.items():
                for shorter in _shorter(principals):
                    yield statement | {name: value | {kind: shorter}}
    for name in ("Action", "Resource"):
        if name in statement and statement[name] != "*":
            yield statement | {name: "*"}
        elif f"Not{name}" in statement:
            rest = {key: value for key, value in statement.items() if key != f"Not{name}"}
            yield rest | {name: "*"}


def _smaller_blocks(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operator, keys in block.items():
        if len(block) > 1:
            yield {name: value for name, value in block.items() if name != operator}
        for key, wanted in keys.items():
            if len(keys) > 1:
                yield block | {operator: {k: v for k, v in keys.items() if k != key}}
            for shorter in _shorter(wanted):
                yield block | {operator: keys | {key: shorter}}


def _shorter(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        if len(value) == 1:
            yield value[0]
        else:
            yield from ([*value[:at], *value[at + 1 :]] for at in range(len(value)))


class Comparison:
    """The findings of a run."""

    def __init__(self) -> None:
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.classes: Counter[tuple[str, str]] = Counter()
        self.examples: dict[tuple[str, str], list[Asked]] = defaultdict(list)
        self.alike: dict[str, list[Asked]] = defaultdict(list)

    def add(self, asked: Asked, other: Peer, *, keep: int) -> None:
        """Put a request to both engines."""
        mine, theirs = ours(asked), other.effect(asked)
        short = (mine.partition(":")[0], theirs.partition(":")[0])
        self.pairs[short] += 1
        if short[0] == short[1] and len(self.alike[mine]) < keep:
            self.alike[mine].append(asked)
        # Both deny, and a Deny of theirs does not apply here: elsewhere that could be an Allow.
        missed = short == ("ImplicitDeny", "ExplicitDeny")
        if short[0] == short[1] or not ("Allow" in short or missed):
            return
        least = reduce(asked, other)
        way = f"{short[0]} here, {short[1]} there"
        found = (way, classify(least, short[0], short[1]))
        self.classes[found] += 1
        if len(self.examples[found]) < keep:
            self.examples[found].append(least)


def main() -> int:
    """Compare, print, and say whether every disagreement has a class."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=1, help="printed of each class")
    parser.add_argument("--record", type=Path, help="write requests for the tests to this file")
    options = parser.parse_args()
    rng = Random(options.seed)
    comparison, begun = Comparison(), perf_counter()
    with peer() as other:
        for _ in range(options.requests):
            comparison.add(draw(rng), other, keep=200)
        if options.record:
            options.record.write_text(_recorded(comparison, other))
    seconds = perf_counter() - begun
    print(f"{options.requests} requests, seed {options.seed}, {seconds:.0f} s")
    for (mine, theirs), count in comparison.pairs.most_common():
        print(f"{count:8} {mine} here, {theirs} there")
    print("Disagreements, by class; where both deny alike they agree:")
    for found, count in sorted(comparison.classes.items(), key=lambda one: (one[0][0], -one[1])):
        print(f"{count:8} {found[0]}: {found[1]}")
        for example in comparison.examples[found][: options.examples]:
            print(" " * 9 + json.dumps(_told(example)))
    unexplained = sum(n for (_, name), n in comparison.classes.items() if name == "unexplained")
    print(f"{unexplained} unexplained")
    return 1 if unexplained else 0


def _told(asked: Asked) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value not in (None, [], {})}


def _recorded(comparison: Comparison, other: Peer) -> str:
    """Return requests for the tests: JSON, one request a line."""
    chosen = [("alike", one) for every in comparison.alike.values() for one in every[:_ALIKE]]
    for (_, name), examples in sorted(comparison.examples.items()):
        chosen += [(name, asked) for asked in examples[:_OF_A_CLASS]]
    lines = [
        json.dumps(
            {
                "class": name,
                "asked": asked,
                "effect": ours(asked).partition(":")[0],
                "peer": other.effect(asked),
            },
            sort_keys=True,
        )
        for name, asked in chosen
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n"


if __name__ == "__main__":
    sys.exit(main())
