"""Wildcards: what matches, and that hostile patterns come to an end."""

from __future__ import annotations

import pytest

from faaskit.iam.matching import Wild, compile_text, compile_tokens


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("abc", "abc", True),
        ("abc", "abcd", False),
        ("abc", "ABC", False),
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("*", "a/b:c\nd", True),
        ("a*", "a", True),
        ("a*", "ba", False),
        ("*a", "ba", True),
        ("*a", "ab", False),
        ("ab*bc", "abc", False),
        ("ab*bc", "abbc", True),
        ("*b*c*", "abxcx", True),
        ("*c*b*", "abxcx", False),
        ("a*b*b", "ab", False),
        ("a*b*b", "abb", True),
        ("a**b", "ab", True),
        ("?", "", False),
        ("?", "a", True),
        ("?", "ab", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("?*?", "ab", True),
        ("?*?", "a", False),
        ("*?b*", "abab", True),
        ("*??", "é", False),
        ("a.c", "abc", False),
        ("[a]", "a", False),
        ("a+", "aa", False),
    ],
)
def test_star_is_any_text_and_question_mark_one_character(
    pattern: str, text: str, expected: bool
) -> None:
    """Only * and ? are special, and the whole text has to match."""
    assert compile_text(pattern).matches(text) is expected


def test_literal_wildcards_match_themselves_alone() -> None:
    """A token that is text is text, even where it is a star."""
    pattern = compile_tokens(["b/", "*", "/", Wild.ANY])
    assert pattern.matches("b/*/k")
    assert not pattern.matches("b/ann/k")


@pytest.mark.parametrize(
    "pattern",
    ["*a" * 2_000 + "b", "*a" * 500 + "?" * 500 + "b", "a*" * 1_000 + "?b", "*?a" * 700 + "b"],
)
def test_hostile_patterns_come_to_an_end(pattern: str) -> None:
    """Thousands of stars over thousands of letters: a matcher that backtracks never returns."""
    assert not compile_text(pattern).matches("a" * 20_000)
