"""
Expressions of any form, read by the parser of AWS's own DAX client.

That client (``amazon-dax-client``, Apache 2.0) has to read expressions as DynamoDB does
before it can send them, and brings DynamoDB's grammar for it. Only its parser is used: text
in, tree out. What the expressions mean is said in ``binding.py``, ``conditions.py`` and
``updates.py``.

moto's parser was looked at first, and rejected: it has no interface of its own, comes with
boto3, requests and werkzeug (0.6 s and 40 MB), and decides on mixed types, missing
attributes, binary values and list indices past 9 in other ways than DynamoDB.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from faaskit.gate.service import excerpt
from faaskit.resources.dynamodb.forms import condition_form, projection_form, update_form
from faaskit.resources.dynamodb.refusals import invalid
from faaskit.resources.dynamodb.syntax import (
    Action,
    All,
    Among,
    AnyOf,
    Argument,
    Arithmetic,
    Between,
    Call,
    Comparison,
    Condition,
    Not,
    Operand,
    Path,
    Section,
    Update,
)

__all__ = [
    "MAX_BYTES",
    "MAX_OPERATORS",
    "SyntaxProblem",
    "read_condition",
    "read_paths",
    "read_update",
]

MAX_BYTES = 4096
MAX_OPERATORS = 300
# Not a limit of AWS's, which names none. The parser's time grows with it.
_MAX_PARENTHESES = 100
_REMEMBERED = 512  # expressions of up to 4 KB
# The parser learns from what it reads, in tables that all of its users share. Nothing keeps
# them from growing with each new shape of an expression, so they are emptied, at some 100 MB.
_MAX_LEARNED = 20_000
_lock = threading.Lock()


class SyntaxProblem(Exception):  # noqa: N818 - becomes a Refusal that names the expression
    """What is wrong with an expression's text, in DynamoDB's words."""


@lru_cache(_REMEMBERED)
def read_condition(text: str) -> Condition:
    """
    Return what a condition, filter or key condition says.

    Raises:
        SyntaxProblem: It is not one.
        Refusal: It needs the grammar, which is not installed.
    """
    found = condition_form(text)
    if found is None:
        tree = _parsed("parse_condition", text)
        found = _Reader(text).condition(tree.condition())
    return found


@lru_cache(_REMEMBERED)
def read_update(text: str) -> Update:
    """
    Return what an update expression says.

    Raises:
        SyntaxProblem: It is not one.
        Refusal: It needs the grammar, which is not installed.
    """
    found = update_form(text)
    if found is None:
        tree = _parsed("parse_update", text)
        found = _Reader(text).update(tree.update())
    return found


@lru_cache(_REMEMBERED)
def read_paths(text: str) -> tuple[Path, ...]:
    """
    Return the paths of a projection expression.

    Raises:
        SyntaxProblem: It is not one.
        Refusal: It needs the grammar, which is not installed.
    """
    found = projection_form(text)
    if found is None:
        tree = _parsed("parse_projection", text)
        reader = _Reader(text)
        found = tuple(reader.path(path) for path in tree.projection().path())
    return found


def _parsed(rule: str, text: str) -> Any:
    """Return the parser's tree of an expression."""
    parse = _parser(text)
    if _depth(text) > _MAX_PARENTHESES:
        msg = f"the app's own tables read up to {_MAX_PARENTHESES} parentheses inside each other"
        raise SyntaxProblem(msg)
    try:
        with _lock:
            _forget()
            return parse(rule, text)
    except SyntaxProblem:
        raise
    except RecursionError:
        msg = "The expression is nested too deeply for the app's own tables"
        raise SyntaxProblem(msg) from None
    except Exception as error:
        if "RedundantParentheses" in f"{type(error).__name__}{error}":
            msg = "The expression has redundant parentheses;"
            raise SyntaxProblem(msg) from None
        raise


def _forget() -> None:
    """Empty the parser's tables, where they have grown large."""
    from amazondax.grammar.DynamoDbGrammarParser import DynamoDbGrammarParser as Parser
    from antlr4.dfa.DFA import DFA

    if len(Parser.sharedContextCache.cache) > _MAX_LEARNED:
        Parser.sharedContextCache.cache.clear()
        Parser.decisionsToDFA[:] = [
            DFA(table.atnStartState, table.decision) for table in Parser.decisionsToDFA
        ]


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character == "(":
            depth += 1
            deepest = max(deepest, depth)
        elif character == ")":
            depth -= 1
    return deepest


def _parser(text: str) -> Callable[[str, str], Any]:
    """Return a function that takes a rule and a text; importing it takes a third of a second."""
    try:
        from amazondax import DynamoDbExpressionParser
        from antlr4.error.ErrorListener import ErrorListener
    except ImportError:
        msg = (
            f"the expression {excerpt(text)} needs DynamoDB's grammar, which is not installed: "
            "pip install 'faaskit[tables]'; or use a table that the app does not declare, with "
            'App(aws="moto")'
        )
        raise invalid(msg) from None

    class Listener(ErrorListener):  # type: ignore[misc]
        def syntaxError(self, *found: Any) -> None:  # noqa: N802 - the parser's name for it
            _, symbol, _, column, _, _ = found
            raise SyntaxProblem(_syntax_error(text, symbol, column))

    def parse(rule: str, expression: str) -> Any:
        return getattr(DynamoDbExpressionParser, rule)(expression, Listener())

    return parse


def _syntax_error(text: str, symbol: Any, column: int) -> str:
    token = symbol.text if symbol is not None else text[column : column + 1]
    start = symbol.start if symbol is not None else column
    before = text[:start].rstrip().rpartition(" ")[2]
    after = text[start + len(token) :].lstrip().partition(" ")[0]
    shown = token
    near = " ".join(part for part in (before, "" if token == "<EOF>" else token, after) if part)  # noqa: S105
    return f'Syntax error; token: "{shown}", near: "{near}"'


class _Reader:
    """Makes data of a tree; counts operators on the way."""

    def __init__(self, text: str) -> None:
        from amazondax.grammar.DynamoDbGrammarParser import DynamoDbGrammarParser

        self._rules = DynamoDbGrammarParser
        self._text = text
        self._operators = 0

    def condition(self, tree: Any) -> Condition:
        rules = self._rules
        while isinstance(tree, rules.ConditionGroupingContext):
            tree = tree.condition()
        if isinstance(tree, (rules.OrContext, rules.AndContext)):
            return self._joined(tree)
        if isinstance(tree, rules.NegationContext):
            self._count()
            return Not(self.condition(tree.condition()))
        if isinstance(tree, rules.FunctionConditionContext):
            return self._call(tree.func())
        self._count()
        operands = [self._operand(each) for each in tree.operand()]
        if isinstance(tree, rules.BetweenContext):
            return Between(*operands)
        if isinstance(tree, rules.InContext):
            return Among(operands[0], tuple(operands[1:]))
        assert isinstance(tree, rules.ComparatorContext), type(tree)
        return Comparison(tree.comparator_symbol().getText(), *operands)

    def update(self, tree: Any) -> Update:
        sections = []
        for section in tree.getChildren():
            kind = section.getChild(0).getText().upper()
            actions = getattr(section, f"{kind.lower()}_action")()
            sections.append(Section(kind, tuple(self._action(kind, each) for each in actions)))
        return tuple(sections)

    def path(self, tree: Any) -> Path:
        parts: list[str | int] = [tree.id_().getText()]
        for step in tree.dereference():
            if isinstance(step, self._rules.MapAccessContext):
                parts.append(step.id_().getText())
            else:
                parts.append(_index(step.getText()))
        return Path(tuple(parts))

    def _joined(self, tree: Any) -> Condition:
        """Return a chain of ANDs or ORs flat: the tree of a long one is as deep as it is long."""
        kind = type(tree)
        found = []
        while type(tree) is kind:
            self._count()
            tree, last = tree.condition()
            found.append(self.condition(last))
        found.append(self.condition(tree))
        found.reverse()
        return (All if kind is self._rules.AndContext else AnyOf)(tuple(found))

    def _action(self, kind: str, tree: Any) -> Action:
        path = self.path(tree.path())
        if kind == "SET":
            return Action(kind, path, self._assigned(tree.set_value()))
        if kind == "REMOVE":
            return Action(kind, path)
        return Action(kind, path, Argument(tree.literal().getText()))

    def _assigned(self, tree: Any) -> Operand | Arithmetic:
        if isinstance(tree, self._rules.OperandValueContext):
            return self._operand(tree.operand())
        sum_ = tree.arithmetic()
        while isinstance(sum_, self._rules.ArithmeticParensContext):
            sum_ = sum_.arithmetic()
        self._count()
        left, right = sum_.operand()
        return Arithmetic(sum_.getChild(1).getText(), self._operand(left), self._operand(right))

    def _operand(self, tree: Any) -> Operand:
        rules = self._rules
        while isinstance(tree, rules.ParenOperandContext):
            tree = tree.operand()
        if isinstance(tree, rules.PathOperandContext):
            return self.path(tree.path())
        if isinstance(tree, rules.FunctionOperandContext):
            return self._call(tree.func())
        return Argument(tree.getText())

    def _call(self, tree: Any) -> Call:
        self._count()
        operands = tuple(self._operand(each) for each in tree.operand())
        return Call(tree.ID().getText(), operands)

    def _count(self) -> None:
        self._operators += 1
        if self._operators > MAX_OPERATORS:
            msg = f"The expression contains too many operators; operator count: {self._operators}"
            raise SyntaxProblem(msg)


def _index(text: str) -> int:
    digits = text.strip("[] \t\r\n")
    # Past the length of any list, however many digits: int() takes 4,300 at the most.
    return int(digits) if len(digits) <= 9 else 10**9  # noqa: PLR2004
