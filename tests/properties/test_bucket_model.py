"""A bucket is a dict of bytes by key, in the order of UTF-8, whatever is done to it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from faaskit.app import App
from faaskit.definition import FunctionConfig
from faaskit.exceptions import NoSuchKeyError

# Few letters, so that keys meet: parts of paths, wildcards of SQL and of IAM, what URLs
# encode, what sorts differently in UTF-16 than in UTF-8, what ends a text in C.
_NASTY = [
    "a",
    "/",
    "..",
    ".",
    "%",
    "_",
    "*",
    "+",
    " ",
    "\0",
    "\n",
    "'",
    "é",
    "\uffee",
    "\U0001f600",
]
_KEYS = st.lists(st.sampled_from(_NASTY), min_size=1, max_size=4).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200
)
_PREFIXES = st.lists(st.sampled_from(_NASTY), max_size=2).map("".join)
_BODIES = st.binary(max_size=100) | st.just(b"x" * 70_000)
_METADATA = st.dictionaries(st.sampled_from(["a", "B", "b", "c-D"]), st.just("v"), max_size=2)


class _Function:
    """What a trigger needs of a function; it is never run."""

    name = "f"
    __qualname__ = "f"
    arn = "arn:aws:lambda:us-east-1:123456789012:function:f"
    config = FunctionConfig(name="f")


class _BucketMachine(RuleBasedStateMachine):
    """The bucket beside a dict: by key, content and metadata."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="model-"))
        self.model: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.events: list[tuple[str, str, str | None]] = []

    @initialize()
    def open(self) -> None:
        self.app = App("model", state=self.folder)
        self.bucket = self.app.bucket("uploads")
        function: Any = _Function()
        self.app.adopt(function)
        self.bucket.on("s3:ObjectCreated:*", "s3:ObjectRemoved:*")(function)

    @rule(key=_KEYS, body=_BODIES, metadata=_METADATA)
    def put(self, key: str, body: bytes, metadata: dict[str, str]) -> None:
        etag = self.bucket.put(key, body, metadata=metadata)
        assert etag == hashlib.md5(body).hexdigest()
        kept = {name.lower(): value for name, value in metadata.items()}
        self.model[key] = (body, kept)
        self.events.append(("ObjectCreated:Put", key, etag))

    @rule(data=st.data(), key=_KEYS)
    def overwrite(self, data: st.DataObject, key: str) -> None:
        known = data.draw(st.sampled_from(sorted(self.model) or [key]))
        self.put(known, data.draw(_BODIES), {})

    @rule(data=st.data(), key=_KEYS)
    def delete(self, data: st.DataObject, key: str) -> None:
        key = data.draw(st.sampled_from([*sorted(self.model), key]))
        self.bucket.delete(key)
        if self.model.pop(key, None) is not None:
            self.events.append(("ObjectRemoved:Delete", key, None))

    @rule(data=st.data(), key=_KEYS, to=_KEYS)
    def copy(self, data: st.DataObject, key: str, to: str) -> None:
        key = data.draw(st.sampled_from([*sorted(self.model), key]))
        if key == to:
            return
        if key not in self.model:
            with pytest.raises(NoSuchKeyError):
                self.bucket.copy(key, to)
            return
        etag = self.bucket.copy(key, to)
        self.model[to] = self.model[key]
        self.events.append(("ObjectCreated:Copy", to, etag))

    @rule(data=st.data(), key=_KEYS)
    def get(self, data: st.DataObject, key: str) -> None:
        key = data.draw(st.sampled_from([*sorted(self.model), key]))
        if key not in self.model:
            for read in (self.bucket.get, self.bucket.head):
                with pytest.raises(NoSuchKeyError):
                    read(key)
            return
        body, metadata = self.model[key]
        got, head = self.bucket.get(key), self.bucket.head(key)
        assert (got.key, got.body, got.metadata) == (key, body, metadata)
        assert (head.body, head.size, head.etag) == (None, len(body), got.etag)

    @rule(prefix=_PREFIXES)
    def list(self, prefix: str) -> None:
        expected = [key for key in sorted(self.model, key=str.encode) if key.startswith(prefix)]
        assert [entry.key for entry in self.bucket.list(prefix)] == expected

    @rule()
    def reopen(self) -> None:
        self.app.close()
        self.open()

    @invariant()
    def events_are_the_changes(self) -> None:
        if not hasattr(self, "app"):
            return
        events = []
        for event in self.app.pending():
            (record,) = json.loads(event.event)["Records"]
            thing = record["s3"]["object"]
            events.append((record["eventName"], unquote_plus(thing["key"]), thing.get("eTag")))
        assert sorted(events, key=str) == sorted(self.events, key=str)

    def teardown(self) -> None:
        with contextlib.suppress(AttributeError):
            names = {path.name for path in (self.folder / "blobs").iterdir()} if self.model else ()
            assert len(names) == len(self.model), "a content for each object, and no other"
            self.app.close()
        shutil.rmtree(self.folder, ignore_errors=True)


TestBucket = _BucketMachine.TestCase
# Each step is on the disk when it is done: half as many examples as where nothing is.
TestBucket.settings = settings(max_examples=settings().max_examples // 2, stateful_step_count=30)
TestBucket.pytestmark = [pytest.mark.timeout(600)]  # type: ignore[attr-defined]
