"""
Wildcards: ``*`` for any characters, none included, and ``?`` for exactly one. Pure.

No regular expressions. A policy and the names it is matched against may both be hostile,
and ``*a*a*a*b`` turned into one backtracks for ever; a cache of compiled ones is either
unbounded or thrashed. Two matchers do instead, each of one pass over the text:

- without ``?``, the literal pieces are looked for one after another with ``str.find``.
  Taking the leftmost place for each is enough: whatever matches further right leaves
  less room for the rest.
- with other wildcards, every prefix of the pattern that could end here is one bit of an integer
  (an NFA run bit-parallel): a step is three operations on integers, whatever the stars.

A resource may itself be known by a pattern only. Two questions are asked of such a one: does
the policy's pattern cover all that it may be (for an Allow), and do the two have anything in
common (for a Deny). Both run the same automaton over the tokens of the resource's pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum

from attrs import frozen

__all__ = [
    "Pattern",
    "Token",
    "Wild",
    "compile_text",
    "compile_tokens",
    "covers",
    "meets",
    "split_tokens",
    "within_fields",
]

_ARN_COLONS = 5
_SERVICE = 2  # the number of its field in an ARN


class Wild(Enum):
    """What stands for characters that are not written."""

    ANY = "*"
    ONE = "?"
    # The same, but never a colon.
    ANY_IN_FIELD = "*:"
    ONE_IN_FIELD = "?:"


Token = str | Wild

_WILD = re.compile(r"([*?])")


@frozen
class _Exactly:
    text: str

    def matches(self, text: str) -> bool:
        return text == self.text


@frozen
class _Pieces:
    """``prefix*middle*middle*suffix``: at least one star, no question mark."""

    prefix: str
    middles: tuple[str, ...]
    suffix: str

    def matches(self, text: str) -> bool:
        if not text.startswith(self.prefix):
            return False
        start, end = len(self.prefix), len(text) - len(self.suffix)
        # The suffix may not overlap the prefix: "ab*bc" does not match "abc".
        if start > end or not text.endswith(self.suffix):
            return False
        for middle in self.middles:
            found = text.find(middle, start, end)
            if found < 0:
                return False
            start = found + len(middle)
        return True


@frozen
class _Bits:
    """
    Any pattern, as bits: bit ``i`` is set while the first ``i`` characters are matched.

    Attributes:
        accepts: Per character, the states that it leads on from.
        others: The same for characters that the pattern does not name: its ``?``.
        loops: The states in front of a ``*``, which any character leads back to.
        colon_loops: Those of them that a colon leads back to.
        goal: The last state.
    """

    accepts: dict[str, int]
    others: int
    loops: int
    colon_loops: int
    goal: int

    def matches(self, text: str) -> bool:
        state = 1
        for character in text:
            loops = self.colon_loops if character == ":" else self.loops
            state = ((state & self.accepts.get(character, self.others)) << 1) | (state & loops)
            if not state:
                return False
        return bool(state & self.goal)

    def covers(self, described: Iterable[Token]) -> bool:
        """Return True if every text of a pattern matches; False where that isn't certain."""
        state = 1
        for token in described:
            if token is Wild.ANY:
                # Any text, colons included: only a star that reaches over colons takes it.
                state &= self.colon_loops
            elif isinstance(token, Wild):
                # One character of a name, never a colon.
                state = ((state & self.others) << 1) | (state & self.loops)
            else:
                state = self._after(state, token)
            if not state:
                return False
        return bool(state & self.goal)

    def meets(self, described: Iterable[Token]) -> bool:
        """Return True if some text of a pattern may match."""
        every = (self.goal << 1) - 1
        state = 1
        for token in described:
            if token is Wild.ANY:
                state = every & ~((state & -state) - 1)  # all states from the first one on
            elif isinstance(token, Wild):
                state = ((state << 1) & every) | (state & self.loops)
            else:
                state = self._after(state, token)
            if not state:
                return False
        return bool(state & self.goal)

    def _after(self, state: int, text: str) -> int:
        for character in text:
            loops = self.colon_loops if character == ":" else self.loops
            state = ((state & self.accepts.get(character, self.others)) << 1) | (state & loops)
        return state


Pattern = _Exactly | _Pieces | _Bits


def split_tokens(text: str) -> tuple[Token, ...]:
    """Return the literal pieces and wildcards of a text, in order."""
    return tuple(
        Wild(piece) if piece in {"*", "?"} else piece for piece in _WILD.split(text) if piece
    )


def compile_text(text: str) -> Pattern:
    """Return the matcher of a text in which ``*`` and ``?`` are wildcards."""
    return compile_tokens(split_tokens(text))


def compile_tokens(tokens: Iterable[Token]) -> Pattern:
    """Return the matcher of literal pieces and wildcards, in order."""
    joined = _joined(tokens)
    if {Wild.ONE, Wild.ONE_IN_FIELD, Wild.ANY_IN_FIELD}.intersection(joined):
        return _bits(joined)
    if Wild.ANY not in joined:
        return _Exactly("".join(piece for piece in joined if isinstance(piece, str)))
    literals = [""]
    for token in joined:
        if isinstance(token, str):
            literals[-1] = token
        else:
            literals.append("")
    return _Pieces(literals[0], tuple(literals[1:-1]), literals[-1])


def covers(pattern: Iterable[Token], described: Iterable[Token]) -> bool:
    """Return True if a pattern certainly matches every text of another one."""
    return _bits(_joined(pattern)).covers(described)


def meets(pattern: Iterable[Token], described: Iterable[Token]) -> bool:
    """Return True if a pattern may match a text of another one."""
    return _bits(_joined(pattern)).meets(described)


def within_fields(tokens: Iterable[Token]) -> list[Token]:
    """
    Return the tokens of an ARN with its wildcards kept within the fields between colons.

    A ``*`` at the end of a field may reach beyond it (IAM User Guide, "Resource"). A key of
    S3 may hold colons that end no field.
    """
    every = list(tokens)
    written = "".join(token if isinstance(token, str) else token.value for token in every)
    keys_last = written.split(":")[_SERVICE : _SERVICE + 1] == ["s3"]
    kept: list[Token] = []
    colons = 0
    for token, after in zip(every, [*every[1:], ":"], strict=True):
        if isinstance(token, str):
            colons += token.count(":")
            kept.append(token)
        elif keys_last and colons >= _ARN_COLONS:
            kept.append(token)
        elif token is Wild.ONE:
            kept.append(Wild.ONE_IN_FIELD)
        else:
            ends_field = isinstance(after, str) and after.startswith(":")
            kept.append(token if ends_field else Wild.ANY_IN_FIELD)
    return kept


def _joined(tokens: Iterable[Token]) -> list[Token]:
    """Return the tokens with neighbouring literals joined and repeated stars dropped."""
    joined: list[Token] = []
    for token in tokens:
        last = joined[-1] if joined else None
        if isinstance(token, str) and isinstance(last, str):
            joined[-1] = last + token
        elif token != "" and not (token is Wild.ANY and last is Wild.ANY):
            joined.append(token)
    return joined


def _bits(tokens: list[Token]) -> _Bits:
    named: dict[str, int] = {":": 0}
    others = colon_others = loops = colon_loops = 0
    state = 1
    for token in tokens:
        if token in {Wild.ANY, Wild.ANY_IN_FIELD}:
            loops |= state
            colon_loops |= state if token is Wild.ANY else 0
        elif isinstance(token, Wild):
            others |= state
            colon_others |= state if token is Wild.ONE else 0
            state <<= 1
        else:
            for character in token:
                named[character] = named.get(character, 0) | state
                state <<= 1
    accepts = {character: bits | others for character, bits in named.items()}
    accepts[":"] = named[":"] | colon_others
    return _Bits(accepts, others, loops, colon_loops, state)
