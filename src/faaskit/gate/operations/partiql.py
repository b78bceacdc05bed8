"""
The tables that PartiQL statements are about: their heads, and no more, are read. Pure.

DynamoDB authorizes a statement by its kind and its table or index, not by the operation that
carries it. A statement whose table can't be told with certainty is refused: another parser, that
of the place that carries it out, must not find another table in it. So what parsers may disagree
on is refused, too: comments, other quotes, an alias, and the words that begin clauses inside of
quotes (pass such a value as a parameter, ``?``).
"""

from __future__ import annotations

import re

from attrs import frozen

from faaskit.gate.operations.resources import refuse
from faaskit.gate.service import excerpt

__all__ = ["Target", "read_statement"]

_LONGEST = 8192  # characters, DynamoDB's limit
_TOKEN = re.compile(
    r"""[ \n]*(?:
        (?P<name>"[^"]*")
      | (?P<text>'(?:[^']|'')*')
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>[0-9][0-9A-Za-z_.+-]*)
      | (?P<sign><<|>>|<=|>=|<>|!=|\|\||[][(){}<>=,.:?*+/-])
    )""",
    re.VERBOSE,
)
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
# The words that begin a statement or come in front of a table: none may come again.
_CLAUSES = {
    *("SELECT", "INSERT", "UPDATE", "DELETE"),
    *("FROM", "INTO", "JOIN", "UNION", "EXISTS", "WHERE"),
}
_CLAUSE = re.compile(rf"\b(?:{'|'.join(sorted(_CLAUSES))})\b", re.IGNORECASE)
_AFTER_FROM = {"WHERE", "ORDER"}
_AFTER_UPDATE = {"SET", "REMOVE"}
_AFTER_DELETE = {"WHERE", "RETURNING"}


@frozen
class Target:
    """
    What a statement is about.

    Attributes:
        action: ``PartiQLSelect``, ``PartiQLInsert``, ``PartiQLUpdate`` or ``PartiQLDelete``.
        index: None for the table itself.
    """

    action: str
    table: str
    index: str | None = None


@frozen
class _Token:
    kind: str
    text: str

    @property
    def word(self) -> str:
        """The keyword that it may be; empty for anything in quotes and for signs."""
        return self.text.upper() if self.kind == "word" else ""


def read_statement(statement: object) -> Target:
    """
    Return the table of a statement, and what it does there.

    Raises:
        Refusal: It isn't one that can be read with certainty.
    """
    if not isinstance(statement, str) or not 0 < len(statement) <= _LONGEST:
        refuse(f"Statement {excerpt(statement)} is not a text of 1 to {_LONGEST} characters")
    tokens = _tokens(statement)
    if tokens[0].word == "EXISTS":
        if [tokens[1].text, tokens[-1].text] != ["(", ")"]:
            _unreadable(statement)
        tokens = tokens[2:-1]
        if not tokens or tokens[0].word != "SELECT":
            _unreadable(statement)
    reader = _Reader(statement, tokens)
    verb = tokens[0].word
    if verb == "SELECT":
        return reader.select()
    if verb == "INSERT":
        return reader.insert()
    if verb == "UPDATE":
        return reader.simple("PartiQLUpdate", 1, _AFTER_UPDATE)
    if verb == "DELETE":
        reader.expect(1, "FROM")
        return reader.simple("PartiQLDelete", 2, _AFTER_DELETE)
    return _unreadable(statement)


def _unreadable(statement: str, reason: str = "") -> Target:
    msg = (
        f"Statement wasn't well formed, can't be processed: {excerpt(statement)}"
        f"{f' ({reason})' if reason else ''}. Write one statement about one table or index, "
        "whose name is in double quotes or in none"
    )
    return refuse(msg)


def _tokens(statement: str) -> list[_Token]:
    tokens: list[_Token] = []
    text = statement.rstrip(" \n")
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            _unreadable(statement, f"at character {at}")
            break
        token = _Token(found.lastgroup, found[found.lastgroup])
        at = found.end()
        if token.kind in {"name", "text"} and _holds_a_clause(token.text):
            _unreadable(statement, f"{token.text} holds a keyword: pass it as a parameter, ?")
        if token.text == "-" and text.startswith("-", at):
            _unreadable(statement, "it has a comment")
        if token.text == "/" and text.startswith("*", at):
            _unreadable(statement, "it has a comment")
        tokens.append(token)
    if len(tokens) < 3:  # noqa: PLR2004 - a verb, a keyword or table, and more
        _unreadable(statement)
    return tokens


def _holds_a_clause(quoted: str) -> bool:
    """Return True if a parser that splits the text at keywords would find one in quotes."""
    return " " in quoted and bool(_CLAUSE.search(quoted))


class _Reader:
    """The head of one statement."""

    def __init__(self, statement: str, tokens: list[_Token]) -> None:
        self._statement = statement
        self._tokens = tokens

    def expect(self, at: int, word: str) -> None:
        if self._word(at) != word:
            _unreadable(self._statement, f"{word} is missing")

    def _word(self, at: int) -> str:
        return self._tokens[at].word if at < len(self._tokens) else ""

    def select(self) -> Target:
        found = [at for at in range(len(self._tokens)) if self._word(at) == "FROM"]
        if len(found) != 1:
            _unreadable(self._statement, "one FROM is needed")
        if any(self._word(at) in _CLAUSES for at in range(1, found[0])):
            _unreadable(self._statement)
        return self.simple("PartiQLSelect", found[0] + 1, _AFTER_FROM)

    def insert(self) -> Target:
        self.expect(1, "INTO")
        target, after = self._target("PartiQLInsert", 2)
        self.expect(after, "VALUE")
        self._check_rest(after + 1)
        return target

    def simple(self, action: str, start: int, following: set[str]) -> Target:
        """Read a table, after which nothing or one of these words comes."""
        target, after = self._target(action, start)
        if after < len(self._tokens):
            if self._word(after) not in following:
                _unreadable(self._statement, "what follows the table is not understood")
            self._check_rest(after)
        elif action == "PartiQLUpdate":
            _unreadable(self._statement)
        return target

    def _check_rest(self, start: int) -> None:
        """Refuse a further statement or table."""
        for at in range(start, len(self._tokens)):
            if self._word(at) in _CLAUSES - {"WHERE"}:
                _unreadable(self._statement, f"{self._tokens[at].text} comes once too often")

    def _target(self, action: str, start: int) -> tuple[Target, int]:
        table, after = self._name(start), start + 1
        index: str | None = None
        if after < len(self._tokens) and self._tokens[after].text == ".":
            index, after = self._name(after + 1), after + 2
        return Target(action, table, index), after

    def _name(self, at: int) -> str:
        token = self._tokens[at] if at < len(self._tokens) else _Token("", "")
        plain = token.kind == "word" and token.word not in _CLAUSES
        name = token.text.strip('"') if token.kind == "name" or plain else ""
        if not _TABLE.fullmatch(name):
            _unreadable(self._statement, "the table's name is not one")
        if token.kind == "name" and "." in name:
            # "table.index" in one pair of quotes: a table to DynamoDB, an index to others.
            _unreadable(self._statement, "a dot in a quoted name may separate table and index")
        return name
