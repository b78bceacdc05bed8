"""
What a rule's target gets: the event, a constant, a part of it, or a template filled in. Pure.

As EventBridge: paths are of the form ``$.detail.items[0].name``, with ``[*]`` for all elements;
``<name>`` in a template stands for what a path found. In a JSON string a text is put in as it
is and an object without its quotes; elsewhere a value is put in as JSON. What was not found is
an empty text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from attrs import field, frozen

from faaskit.exceptions import DefinitionError

__all__ = ["Input"]

MAX_PATHS = 100
MAX_TEMPLATE_CHARACTERS = 8192
MAX_INPUT_CHARACTERS = 8192

_PATH = re.compile(r"\$(?:\.[\w/-]+|\[(?:\d+|\*)\])*")
_STEP = re.compile(r"\.([\w/-]+)|\[(\d+|\*)\]")
_VARIABLE = re.compile(r"<([\w.-]+)>")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_NOTHING = object()


@frozen
class Input:
    """
    How a target's input is made of an event.

    Attributes:
        constant: JSON that it is, whatever the event; None for none.
        path: Of the part that it is; None for none.
        paths: By the names of variables, where it is a template.
        template: The template; None for none.
    """

    constant: str | None = field(default=None, repr=False)
    path: str | None = None
    paths: Mapping[str, str] = field(factory=dict)
    template: str | None = None

    @classmethod
    def declared(
        cls, what: str, *, constant: Any = None, path: str | None = None, transformer: Any = None
    ) -> Input:
        """
        Return what a user asked for: at most one of these.

        Args:
            what: The rule, for messages.
            constant: JSON values.
            path: Such as ``$.detail``.
            transformer: A dict with ``template`` and, if it has variables, ``paths``.

        Raises:
            DefinitionError: EventBridge does not take it.
        """
        given = [one for one in (constant, path, transformer) if one is not None]
        if len(given) > 1:
            _refuse(what, "pass one of input, input_path and input_transformer")
        if constant is not None:
            try:
                text = json.dumps(constant, allow_nan=False)
            except (TypeError, ValueError) as error:
                _refuse(what, f"its input is not JSON: {error}")
            if len(text) > MAX_INPUT_CHARACTERS:
                _refuse(what, f"its input has over {MAX_INPUT_CHARACTERS} characters")
            return cls(constant=text)
        if path is not None:
            _check_path(what, "input_path", path)
            return cls(path=path)
        if transformer is not None:
            return cls._transformer(what, transformer)
        return cls()

    @classmethod
    def _transformer(cls, what: str, transformer: Any) -> Input:
        if not isinstance(transformer, Mapping) or not transformer.keys() <= {"paths", "template"}:
            _refuse(what, "input_transformer is a dict with template, and paths")
        paths, template = transformer.get("paths", {}), transformer.get("template")
        if not isinstance(template, str) or not 0 < len(template) <= MAX_TEMPLATE_CHARACTERS:
            _refuse(what, f"its template is text of 1 to {MAX_TEMPLATE_CHARACTERS} characters")
        if not isinstance(paths, Mapping) or len(paths) > MAX_PATHS:
            _refuse(what, f"its paths are a dict of up to {MAX_PATHS}")
        for name, path in paths.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                _refuse(what, f"{name!r} is no name of a variable: letters, digits, '_' and '-'")
            if name.startswith("AWS"):
                _refuse(what, f"the variable {name!r} begins with AWS, which is EventBridge's own")
            _check_path(what, f"the path of {name!r}", path)
        made = cls(paths=dict(paths), template=template)
        known = {*paths, *_predefined({}, rule_name="", rule_arn="", now="")}
        unknown = sorted(set(_VARIABLE.findall(template)) - known)
        if unknown:
            _refuse(what, f"its template has <{unknown[0]}>, which paths do not define")
        try:
            json.loads(_filled(template, lambda _: 0))
        except ValueError as error:
            _refuse(what, f"its template is no JSON once it is filled in: {error}")
        return made

    def of(self, event: str, *, rule_name: str, rule_arn: str, now: str) -> str:
        """
        Return the input, as JSON.

        Args:
            event: JSON.
            rule_name: For templates.
            rule_arn: For templates.
            now: When the event came in, ISO 8601.
        """
        if self.constant is not None:
            return self.constant
        if self.path is not None:
            found = _found(json.loads(event), self.path)
            return json.dumps(None if found is _NOTHING else found)
        if self.template is None:
            return event
        parsed = json.loads(event)
        values = _predefined(parsed, rule_name=rule_name, rule_arn=rule_arn, now=now)
        values |= {name: _found(parsed, path) for name, path in self.paths.items()}
        return _filled(self.template, lambda name: values.get(name, _NOTHING))


def _refuse(what: str, problem: str) -> NoReturn:
    msg = f"{what}: {problem}"
    raise DefinitionError(msg)


def _check_path(what: str, name: str, path: Any) -> None:
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        _refuse(what, f"{name} is {path!r}: such as '$.detail.items[0].name'")


def _predefined(event: Any, *, rule_name: str, rule_arn: str, now: str) -> dict[str, Any]:
    return {
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_name,
        "aws.events.event.ingestion-time": now,
        "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
        "aws.events.event.json": event,
    }


def _found(event: Any, path: str) -> Any:
    """Return what is at a path; with ``[*]`` a list of all that is."""
    found, several = [event], False
    for name, index in _STEP.findall(path):
        if name:
            found = [one[name] for one in found if isinstance(one, dict) and name in one]
        elif index == "*":
            several = True
            found = [inner for one in found if isinstance(one, list) for inner in one]
        else:
            place = int(index)
            found = [one[place] for one in found if isinstance(one, list) and place < len(one)]
    if several:
        return found
    return found[0] if found else _NOTHING


def _filled(template: str, value_of: Callable[[str], Any]) -> str:
    """Return a template with its variables filled in."""
    made, at, quoted = [], 0, False
    for variable in _VARIABLE.finditer(template):
        between = template[at : variable.start()]
        quoted = _quoted_after(between, quoted)
        value = value_of(variable[1])
        value = "" if value is _NOTHING else value
        made += [between, _in_text(value) if quoted else json.dumps(value)]
        at = variable.end()
    return "".join([*made, template[at:]])


def _in_text(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value)[1:-1]
    return json.dumps(value, separators=(",", ":")).replace('"', "").replace("\\", "")


def _quoted_after(text: str, quoted: bool) -> bool:
    """Return whether a JSON string is open after a piece of JSON."""
    escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = quoted
        elif character == '"':
            quoted = not quoted
    return quoted
