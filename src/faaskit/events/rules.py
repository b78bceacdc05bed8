"""A bus's rules: which events go to which targets, and as what."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from faaskit.clock import Clock, iso8601
from faaskit.events.asynchronous import AsynchronousQueue
from faaskit.events.inputs import Input
from faaskit.events.patterns import Pattern
from faaskit.events.targets import MAX_AGE_SECONDS, MAX_RETRIES, Target
from faaskit.exceptions import DefinitionError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Rule", "Rules", "retry_policy"]

_NAME = re.compile(r"[.\-_A-Za-z0-9]{1,64}")
_LONGEST_NUMBER = 1000  # digits
_AGE_SECONDS = (60, MAX_AGE_SECONDS)


@frozen
class Rule:
    """
    A rule with its one target.

    Attributes:
        name: 1 to 64 of ``[.-_A-Za-z0-9]``; unique on its bus.
        bus: The bus's name.
        pattern: Which events.
        input: What the target gets of one.
        function: The name of the function that is invoked; empty where it goes elsewhere.
        definition: Which of that function's definitions asked for it.
        target: Where it goes, if to no function.

    Raises:
        DefinitionError: EventBridge does not take the name.
    """

    name: str
    bus: str
    pattern: Pattern
    input: Input = field(factory=Input)
    function: str = ""
    definition: int = 0
    target: Target | None = None

    def __attrs_post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            msg = (
                f"rule {self.name!r} of bus {self.bus!r}: a name has 1 to 64 characters of 0-9, "
                "A-Z, a-z, '-', '_' and '.'"
            )
            raise DefinitionError(msg)


def retry_policy(what: str, retry_attempts: int, max_event_age: int) -> tuple[int, int]:
    """
    Return a retry policy that EventBridge takes.

    Raises:
        DefinitionError: Out of range.
    """
    for name, value, (low, high) in (
        ("retry_attempts", retry_attempts, (0, MAX_RETRIES)),
        ("max_event_age", max_event_age, _AGE_SECONDS),
    ):
        if type(value) is not int or not low <= value <= high:
            msg = f"{what}: {name} is {value!r}: EventBridge takes {low} to {high}"
            raise DefinitionError(msg)
    return retry_attempts, max_event_age


class Rules:
    """
    The rules of an app's buses; puts what matches them where it goes.

    They are part of the program, not of the state folder: what is put is matched by the rules
    of the program that puts it.

    Args:
        queue: Where invocations, and what goes elsewhere, wait.
        clock: For the time at which an event came in.
        region: The app's.
        account: The app's.
    """

    def __init__(
        self, queue: AsynchronousQueue, *, clock: Clock, region: str, account: str
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._region = region
        self._account = account
        self._rules: tuple[Rule, ...] = ()  # replaced, never changed: threads read it

    def free_name(self, bus: str, wanted: str, function: str, definition: int) -> str:
        """Return a name for a rule that has none: the wanted one, or with a number."""
        taken = {
            rule.name
            for rule in self._rules
            if rule.bus == bus and not _is_outdated(rule, function, definition)
        }
        name, number = wanted, 1
        while name in taken:
            number += 1
            name = f"{wanted}-{number}"
        return name

    def add(self, rule: Rule) -> None:
        """
        Have a rule.

        The first of a function's new definition takes the place of all those of its earlier
        ones, as when a notebook's cell is run twice.

        Raises:
            DefinitionError: The bus has another rule of that name.
        """
        kept = tuple(
            one for one in self._rules if not _is_outdated(one, rule.function, rule.definition)
        )
        for one in kept:
            if (one.bus, one.name) == (rule.bus, rule.name):
                if one == rule:
                    return
                msg = f"bus {rule.bus!r} has another rule {rule.name!r} already: pass name='…'"
                raise DefinitionError(msg)
        self._rules = (*kept, rule)

    def event_put(self, connection: sqlite3.Connection, bus: str, event: str) -> None:
        """Put an event where its rules send it, in the transaction in which it came in."""
        rules = [rule for rule in self._rules if rule.bus == bus]
        if not rules:
            return
        parsed = _parsed(event)
        now = iso8601(self._clock.now())
        for rule in rules:
            if not rule.pattern.matches(parsed):
                continue
            arn = self._arn(rule)
            content = rule.input.of(event, rule_name=rule.name, rule_arn=arn, now=now).encode()
            if rule.target is None:
                self._queue.enqueue(connection, rule.function, content)
                continue
            key = rule.target.partition_key or parsed["id"]
            target = evolve(rule.target, rule=arn, partition_key=key)
            self._queue.enqueue(connection, "", content, target=target.text)

    def _arn(self, rule: Rule) -> str:
        bus = "" if rule.bus == "default" else f"{rule.bus}/"
        return f"arn:aws:events:{self._region}:{self._account}:rule/{bus}{rule.name}"


def _is_outdated(rule: Rule, function: str, definition: int) -> bool:
    return bool(function) and rule.function == function and rule.definition != definition


def _parsed(event: str) -> Any:
    # A whole number of 4,301 digits and more, which Python refuses to read, is left as text: no
    # pattern can name it.
    return json.loads(event, parse_int=_whole)


def _whole(text: str) -> int | str:
    return int(text) if len(text) < _LONGEST_NUMBER else text
