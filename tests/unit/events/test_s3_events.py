"""S3's events: their names, the rules that may stand side by side, and the record."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faaskit.events.s3 import EVENT_NAMES, Rule, event_types, overlapping, record, rule
from faaskit.exceptions import DefinitionError

_EVENTS = Path(__file__).parents[2] / "events"
_CREATED = "s3:ObjectCreated:*"


@pytest.mark.parametrize(
    ("names", "types"),
    [
        (["s3:ObjectCreated:Put"], {"ObjectCreated:Put"}),
        (
            [_CREATED],
            {
                "ObjectCreated:CompleteMultipartUpload",
                "ObjectCreated:Copy",
                "ObjectCreated:Post",
                "ObjectCreated:Put",
            },
        ),
        (
            ["s3:ObjectRemoved:*", "s3:ObjectRemoved:Delete"],
            {"ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated"},
        ),
        (["s3:LifecycleTransition"], {"LifecycleTransition"}),
    ],
)
def test_names_and_families(names: list[str], types: set[str]) -> None:
    """A family stands for its members, never for itself."""
    assert event_types(names) == types


@pytest.mark.parametrize(
    "name",
    ["ObjectCreated:Put", "s3:*", "s3:ObjectCreated", "s3:objectcreated:*", "s3:ObjectDeleted:*"],
)
def test_name_that_s3_has_not(name: str) -> None:
    """A wrong name is refused, with the names that there are."""
    with pytest.raises(DefinitionError) as caught:
        rule([name])
    assert name in caught.value.message
    assert all(known in caught.value.message for known in EVENT_NAMES)


def test_rule_needs_an_event() -> None:
    """A trigger for nothing is a mistake."""
    with pytest.raises(DefinitionError, match="no event"):
        rule([])


@pytest.mark.parametrize("value", [None, b"raw/", "\ud800", "x" * 1025])
def test_filter_that_no_key_could_match(value: Any) -> None:
    """Prefix and suffix are texts that a key could have."""
    for name in ("prefix", "suffix"):
        with pytest.raises(DefinitionError, match=name):
            rule([_CREATED], **{name: value})


@pytest.mark.parametrize(
    ("prefix", "suffix", "key", "matches"),
    [
        ("", "", "any", True),
        ("raw/", "", "raw/a", True),
        ("raw/", "", "Raw/a", False),
        ("raw/", "", "x/raw/a", False),
        ("", ".png", "a.png", True),
        ("", ".png", "a.PNG", False),
        ("*", "", "a", False),
        ("*", "", "*a", True),
        ("a.p", ".png", "a.png", True),
        ("a b", "", "a b", True),
        ("a+b", "", "a b", False),
    ],
)
def test_filter_is_literal(prefix: str, suffix: str, key: str, matches: bool) -> None:
    """Case counts, nothing is a wildcard, and the key is looked at as it is."""
    assert (
        rule([_CREATED], prefix=prefix, suffix=suffix).matches("ObjectCreated:Put", key) == matches
    )


def test_rule_is_for_its_events_alone() -> None:
    """An event that it does not name does not match."""
    assert not rule([_CREATED]).matches("ObjectRemoved:Delete", "k")


def _rule(prefix: str = "", suffix: str = "", *, name: str = _CREATED) -> Rule:
    return rule([name], prefix=prefix, suffix=suffix)


@pytest.mark.parametrize(
    ("one", "other", "overlaps"),
    [
        (_rule(), _rule(), True),
        (_rule(), _rule("raw/"), True),
        (_rule("raw/"), _rule("raw/big/"), True),
        (_rule("raw/"), _rule("thumbs/"), False),
        (_rule("images/", ".jpg"), _rule("images/", ".png"), False),
        (_rule("images/", ".jpg"), _rule("images/big/", "g"), True),
        (_rule("images/"), _rule(suffix=".jpg"), True),
        (_rule("images/", ".jpg"), _rule("sounds/", ".jpg"), False),
        (_rule(), _rule(name="s3:ObjectCreated:Put"), True),
        (_rule(), _rule(name="s3:ObjectRemoved:*"), False),
        (_rule(name="s3:ObjectCreated:Copy"), _rule(name="s3:ObjectCreated:Put"), False),
    ],
)
def test_which_rules_overlap(one: Rule, other: Rule, overlaps: bool) -> None:
    """A shared event, overlapping prefixes and overlapping suffixes: all three."""
    assert overlapping(one, other) == overlapping(other, one) == overlaps


_SHORT = st.text("ab", max_size=3)


@given(rules=st.tuples(*[st.builds(_rule, _SHORT, _SHORT)] * 2), key=st.text("ab", max_size=6))
def test_rules_that_share_a_key_overlap(rules: tuple[Rule, Rule], key: str) -> None:
    """Where no two rules overlap, no change has two functions."""
    if all(one.matches("ObjectCreated:Put", key) for one in rules):
        assert overlapping(*rules)


_GOLDEN: dict[str, Any] = {
    "bucket": "amzn-s3-demo-bucket",
    "key": "raw/red flower+é.jpg",
    "region": "us-east-2",
    "account": "123456789012",
    "user_id": "AIDAINPONIXQXHT3IKHL2",
    "configuration_id": "828aa6fc-f7b5-4305-8584-487c791949c1",
    "request_id": "D82B88E5F771F645",
    "source_ip": "205.255.255.255",
}


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        (
            "s3-object-created-put",
            {
                "event": "ObjectCreated:Put",
                "time": datetime(2019, 9, 3, 19, 37, 27, 192_999, tzinfo=timezone.utc),
                "sequencer": "0C0F6F405D6ED209E1",
                "size": 1305107,
                "etag": "b21b84d653bb07b05b1e6b33684dc11b",
            },
        ),
        (
            "s3-object-removed-delete",
            {
                "event": "ObjectRemoved:Delete",
                "time": datetime(2019, 9, 3, 21, 37, 28, tzinfo=timezone(timedelta(hours=2))),
                "sequencer": "0C0F6F405D6ED209E2",
                "size": None,
                "etag": None,
            },
        ),
    ],
)
def test_record_is_that_of_s3(name: str, facts: dict[str, Any]) -> None:
    """Member by member, in AWS's order, as in the golden file."""
    golden = (_EVENTS / f"{name}.json").read_text()
    made = {"Records": [record(**_GOLDEN, **facts)]}
    # What S3 calls the extended request id is a secret of its own; ours is of its length.
    host_id = made["Records"][0]["responseElements"].pop("x-amz-id-2")
    expected = json.loads(golden)
    assert len(host_id) == len(expected["Records"][0]["responseElements"].pop("x-amz-id-2"))
    assert json.dumps(made) == json.dumps(expected)


@given(key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_key_can_be_decoded(key: str) -> None:
    """What S3's documentation says to do with a key gives the key; slashes stay readable."""
    facts = {**_GOLDEN, "key": key, "time": datetime(2026, 1, 1, tzinfo=timezone.utc)}
    made = record(**facts, event="ObjectCreated:Put", sequencer="1", size=0, etag="")
    encoded = made["s3"]["object"]["key"]
    assert unquote_plus(encoded) == key
    assert encoded.isascii()
    assert encoded.count("/") == key.count("/")
