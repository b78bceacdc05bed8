"""Limits on JSON text: what they refuse, and that they change nothing else."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faaskit.runtimes.json_limits import JsonLimits, JsonTooLargeError, loads

WIDE = JsonLimits(values=1_000_000, depth=100)
# Strings of what would mean something outside of them.
texts = st.one_of(st.text(max_size=10), st.text('[]{},:"\\u12', max_size=10))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=30,
)


def depth_of(value: Any) -> int:
    """Return how many levels of lists and objects a value has."""
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def counted(value: Any) -> int:
    """Return how many lists, objects and commas a value is written with."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return 0
    return 1 + max(0, len(value) - 1) + sum(map(counted, value))


@given(values, st.booleans(), st.integers(0, 12), st.integers(0, 60))
def test_text_is_refused_exactly_over_its_limits(
    value: Any, ascii_only: bool, depth: int, most: int
) -> None:
    """JSON within both limits is parsed; one level or one value over is refused."""
    text = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    limits = JsonLimits(values=most, depth=depth)
    if depth_of(value) > depth or counted(value) > most:
        with pytest.raises(JsonTooLargeError):
            loads(text, limits)
    else:
        assert loads(text, limits) == value


@given(st.one_of(st.binary(max_size=60), st.text('[]{},:"\\ 1', max_size=60).map(str.encode)))
def test_any_bytes_are_parsed_as_json_does_or_refused(text: bytes) -> None:
    """The limits change no result, and no other exception comes out."""
    try:
        found = loads(text, JsonLimits(values=4, depth=2))
    except (ValueError, RecursionError):
        return
    assert found == json.loads(text) or found != found  # noqa: PLR0124  # NaN


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be", "utf-8-sig"])
def test_other_encodings_are_refused(encoding: str) -> None:
    """Half of another character must not pass for a quote that hides what follows."""
    text = json.dumps(["\u2222", *[[]] * 200], ensure_ascii=False)
    with pytest.raises(ValueError, match=r"."):
        loads(text.encode(encoding), WIDE)


def test_long_strings_of_commas_and_brackets_are_not_counted() -> None:
    """Text in a string may have any characters, however many, across any window."""
    value = {"csv": "1,2," * 100_000, "json": '{"a": ["\\", 1]}\\' * 50_000, "end": "\\"}
    assert loads(json.dumps(value).encode(), JsonLimits(values=10, depth=1)) == value


@pytest.mark.parametrize("odd", ['"', '\\"', 'a"b"c"', "\\", '\\\\"'])
def test_quotes_within_strings_end_none(odd: str) -> None:
    """What follows one is still text; and it hides nothing of what stands outside."""
    limits = JsonLimits(values=10, depth=3)
    text = {"text": odd + "[" * 500}
    assert loads(json.dumps(text).encode(), limits) == text
    deep = f"[{json.dumps(odd)}, {'[' * 200}{']' * 200}, {json.dumps(odd)}]"
    with pytest.raises(JsonTooLargeError):
        loads(deep.encode(), limits)


def test_depth_is_counted_across_long_strings() -> None:
    """However far apart two brackets are written, one is in the other."""
    value: list[Any] = []
    for _ in range(149):
        value = ["x" * 5000, value]
    text = json.dumps(value).encode()
    assert loads(text, JsonLimits(values=1000, depth=150)) == value
    with pytest.raises(JsonTooLargeError, match="149 levels"):
        loads(text, JsonLimits(values=1000, depth=149))


@pytest.mark.parametrize("text", [b"[" * 2_000_000, b'{"a":' * 100_000, b"[]" * 3_000_000])
def test_deep_or_long_text_is_refused_before_it_is_parsed(text: bytes) -> None:
    """However long it is, the answer is no RecursionError and takes no time to speak of."""
    with pytest.raises(JsonTooLargeError):
        loads(text, WIDE)


def test_the_garbage_collector_is_left_as_it_was() -> None:
    """It is paused while many objects are made, and on again whatever comes of it."""
    many = b'{"a": [' + b"[]," * 200_000 + b"1]}"
    assert gc.isenabled()
    assert len(loads(many, WIDE)["a"]) == 200_001
    assert gc.isenabled()
    with pytest.raises(ValueError, match="delimiter"):
        loads(many[:-2], WIDE)
    assert gc.isenabled()
    gc.disable()
    try:
        loads(many, WIDE)
        assert not gc.isenabled()
    finally:
        gc.enable()
