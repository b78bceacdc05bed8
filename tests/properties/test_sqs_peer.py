"""
Sequences of SQS's calls, side by side on moto and on the app's own queues.

What is left out is what the two are known to differ in: docs/differences.md lists it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from moto.sqs.models import Message as MotoMessage
from moto_peer import ACCOUNT, REGION, Peers, peers

from faaskit.app import App
from faaskit.resources.sqs.digests import Attribute, attributes_md5
from faaskit.resources.sqs.service import SqsService

_URL = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/"
_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:"
_STANDARD, _DEAD, _FIFO, _HASHED = "jobs", "dead", "line.fifo", "hashed.fifo"
_MAX_RECEIVES = 2
# A queue that holds no more than a receive can take is compared whole: order is no promise.
_MOST = 10

_names = st.from_regex(r"[a-zA-Z0-9_-]{1,8}", fullmatch=True)
_texts = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x2FFF, exclude_categories=["Cs"]),
    min_size=1,
    max_size=20,
)
_values = st.one_of(
    _texts.map(lambda text: {"DataType": "String", "StringValue": text}),
    _texts.map(lambda text: {"DataType": "String.label", "StringValue": text}),
    st.integers(-(10**9), 10**9).map(
        lambda number: {"DataType": "Number", "StringValue": str(number)}
    ),
    st.sampled_from(["AA==", "c29tZSBieXRlcw=="]).map(
        lambda data: {"DataType": "Binary.png", "BinaryValue": data}
    ),
)
_attributes = st.dictionaries(_names, _values, max_size=3)


@pytest.fixture(scope="module")
def both() -> Iterator[Peers]:
    """Lend both."""
    with peers("sqs") as made:
        yield made


@given(_attributes)
def test_digests_of_attributes(attributes: dict[str, Any]) -> None:
    """As moto computes them, which botocore checks on a real client."""
    ours = {
        name: Attribute(value["DataType"], value.get("StringValue", value.get("BinaryValue")))
        for name, value in attributes.items()
    }
    theirs = MotoMessage("id", "body")
    theirs.message_attributes = {
        name: {
            "DataType": one.data_type,
            "BinaryValue" if one.binary else "StringValue": one.data if one.binary else one.value,
        }
        for name, one in ours.items()
    }
    assert attributes_md5(ours) == theirs.attribute_md5


class _Machine(RuleBasedStateMachine):
    """Both, with what tells their ids and handles apart."""

    both: Peers

    @initialize()
    def begin(self) -> None:
        both = self.both
        both.reset()
        self.folder = tempfile.TemporaryDirectory(prefix="peer-")
        self.app = App("peer", state=self.folder.name, clock=both.clock)
        dead = self.app.queue(_DEAD)
        self.app.queue(_STANDARD, dead_letter=dead, max_receive_count=_MAX_RECEIVES)
        self.app.queue(_FIFO)
        self.app.queue(_HASHED, content_based_deduplication=True)
        both.service = SqsService(
            self.app._state,
            queues=self.app.queues,
            clock=both.clock,
            region=REGION,
            account=ACCOUNT,
        )
        policy = {"deadLetterTargetArn": _ARN + _DEAD, "maxReceiveCount": _MAX_RECEIVES}
        for name, attributes in (
            (_DEAD, {}),
            (_STANDARD, {"RedrivePolicy": json.dumps(policy)}),
            (_FIFO, {"FifoQueue": "true"}),
            (_HASHED, {"FifoQueue": "true", "ContentBasedDeduplication": "true"}),
        ):
            code, _ = both.moto("CreateQueue", QueueName=name, Attributes=attributes)
            assert not code
        self.ids: dict[str, str] = {}  # ours to moto's
        # By ours: the queue it was received from, both handles, until when it is hidden.
        self.held: dict[str, tuple[str, str, str, int]] = {}
        self.alive: dict[str, set[str]] = {_STANDARD: set(), _DEAD: set()}
        # Deduplication ids whose message is still in the queue: moto only knows these.
        self.unique: dict[str, dict[str, str]] = {_FIFO: {}, _HASHED: {}}
        self.gone: set[tuple[str, str]] = set()

    def teardown(self) -> None:
        if hasattr(self, "app"):
            self.app.close()
            self.folder.cleanup()

    def _call(self, operation: str, **parameters: Any) -> tuple[str, Any, Any]:
        """Call both; return the code that they share, and both outputs."""
        ours, output = self.both.ours(operation, **parameters)
        theirs, expected = self.both.moto(operation, **parameters)
        assert ours == theirs, (operation, parameters, output, expected)
        self.both.tick()
        return ours, output, expected

    # --- sending ------------------------------------------------------------------------

    @precondition(lambda self: len(self.alive[_STANDARD]) < _MOST)
    @rule(body=_texts, attributes=_attributes, delay=st.none() | st.integers(0, 5))
    def send(self, body: str, attributes: dict[str, Any], delay: int | None) -> None:
        parameters: dict[str, Any] = {"MessageBody": body, "MessageAttributes": attributes}
        if delay is not None:
            parameters["DelaySeconds"] = delay
        _, output, expected = self._call("SendMessage", QueueUrl=_URL + _STANDARD, **parameters)
        self._sent(_STANDARD, output, expected)

    @precondition(lambda self: len(self.alive[_STANDARD]) < _MOST - 3)
    @rule(
        bodies=st.lists(_texts, min_size=1, max_size=3),
        delays=st.lists(st.sampled_from([0, 2, 901]), min_size=3, max_size=3),
    )
    def send_batch(self, bodies: list[str], delays: list[int]) -> None:
        entries = [
            {"Id": str(index), "MessageBody": body, "DelaySeconds": delays[index]}
            for index, body in enumerate(bodies)
        ]
        _, output, expected = self._call(
            "SendMessageBatch", QueueUrl=_URL + _STANDARD, Entries=entries
        )
        assert output["Failed"] == expected["Failed"]
        for one, other in zip(output["Successful"], expected["Successful"], strict=True):
            self._sent(_STANDARD, one, other)

    @rule(
        queue=st.sampled_from([_FIFO, _HASHED]),
        body=st.sampled_from(["one", "two", "three", "four"]),
        group=st.sampled_from(["g", "h"]),
        unique=st.sampled_from([None, "1", "2", "3", "4"]),
    )
    def send_in_order(self, queue: str, body: str, group: str, unique: str | None) -> None:
        key = unique if unique is not None else body
        if (queue, key) in self.gone:
            return  # moto forgets a deduplication id with its message
        parameters = {"MessageBody": body, "MessageGroupId": group}
        if unique is not None:
            parameters["MessageDeduplicationId"] = unique
        code, output, expected = self._call("SendMessage", QueueUrl=_URL + queue, **parameters)
        if code:
            assert output == expected
            return
        output.pop("SequenceNumber")  # moto has them only with an explicit deduplication id
        expected.pop("SequenceNumber", None)
        if output["MessageId"] in self.ids:
            output.pop("MessageId")  # a duplicate has the id of the first; moto invents one
            expected.pop("MessageId")
            assert output == expected
            return
        self._sent(queue, output, expected)
        self.unique[queue][output["MessageId"]] = key

    def _sent(self, queue: str, output: dict[str, Any], expected: dict[str, Any]) -> None:
        mine = output["MessageId"]
        self.ids[mine] = expected["MessageId"]
        self.alive.setdefault(queue, set()).add(mine)
        assert {**output, "MessageId": ""} == {**expected, "MessageId": ""}

    @rule(case=st.integers(0, 15))
    def what_is_refused(self, case: int) -> None:
        url = _URL + _STANDARD
        entry = {"Id": "a", "MessageBody": "b"}
        cases: list[tuple[str, dict[str, Any]]] = [
            ("SendMessage", {"QueueUrl": _URL + "nowhere", "MessageBody": "b"}),
            ("SendMessage", {"QueueUrl": url, "MessageBody": "b" * ((1 << 20) + 1)}),
            ("SendMessage", {"QueueUrl": url, "MessageBody": "b", "DelaySeconds": 901}),
            ("SendMessage", {"QueueUrl": _URL + _FIFO, "MessageBody": "b"}),
            (
                "SendMessage",
                {"QueueUrl": _URL + _FIFO, "MessageBody": "b", "MessageGroupId": "g"},
            ),
            (
                "SendMessage",
                {
                    "QueueUrl": url,
                    "MessageBody": "b",
                    "MessageAttributes": {"a": {"DataType": "Text", "StringValue": "x"}},
                },
            ),
            ("SendMessageBatch", {"QueueUrl": url, "Entries": []}),
            ("SendMessageBatch", {"QueueUrl": url, "Entries": [entry, entry]}),
            ("SendMessageBatch", {"QueueUrl": url, "Entries": [{**entry, "Id": "a b"}]}),
            (
                "SendMessageBatch",
                {"QueueUrl": url, "Entries": [{**entry, "Id": str(i)} for i in range(11)]},
            ),
            ("ReceiveMessage", {"QueueUrl": url, "MaxNumberOfMessages": 11}),
            ("ReceiveMessage", {"QueueUrl": url, "MaxNumberOfMessages": 0}),
            ("ReceiveMessage", {"QueueUrl": url, "WaitTimeSeconds": 21}),
            ("ReceiveMessage", {"QueueUrl": url, "VisibilityTimeout": 43_201}),
            ("DeleteMessage", {"QueueUrl": url, "ReceiptHandle": "nothing"}),
            ("GetQueueAttributes", {"QueueUrl": url, "AttributeNames": ["Colour"]}),
        ]
        operation, parameters = cases[case]
        code, _, _ = self._call(operation, **parameters)
        # moto has the name of the model where SQS has that of the query protocol.
        assert code

    # --- receiving ----------------------------------------------------------------------

    @rule(
        queue=st.sampled_from([_STANDARD, _DEAD, _FIFO, _HASHED]),
        timeout=st.none() | st.integers(0, 60),
        names=st.sampled_from([[], ["All"], ["a.*"], ["b"]]),
    )
    def receive(self, queue: str, timeout: int | None, names: list[str]) -> None:
        fifo = queue.endswith(".fifo")
        parameters: dict[str, Any] = {
            # moto forgets, while it gathers several, which groups are taken.
            "MaxNumberOfMessages": 1 if fifo else 10,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": names,
        }
        if timeout is not None:
            parameters["VisibilityTimeout"] = timeout
        now = self._now()
        _, output, expected = self._call("ReceiveMessage", QueueUrl=_URL + queue, **parameters)
        mine = {one["MessageId"]: dict(one) for one in output.get("Messages", [])}
        theirs = {one["MessageId"]: dict(one) for one in expected.get("Messages", [])}
        assert {self.ids[one] for one in mine} == set(theirs)
        hidden = self._timeout(queue) if timeout is None else timeout
        for name, one in mine.items():
            other = theirs[self.ids[name]]
            handle, their_handle = one.pop("ReceiptHandle"), other.pop("ReceiptHandle")
            self.held[name] = (queue, handle, their_handle, now + hidden * 1000)
            one.pop("MessageId")
            other.pop("MessageId")
            other["Attributes"].pop("SequenceNumber", None)
            one["Attributes"] = dict(one["Attributes"])
            one["Attributes"].pop("SequenceNumber", None)
            # Other accounts; and moto does not tell of the dead-letter queue's source.
            assert one["Attributes"].pop("SenderId") == ACCOUNT
            other["Attributes"].pop("SenderId")
            source = one["Attributes"].pop("DeadLetterQueueSourceArn", None)
            assert source == (_ARN + _STANDARD if queue == _DEAD else None)
            if not other["Attributes"].keys() - one["Attributes"].keys():
                assert one == other
            # moto hashes all attributes or those that were asked for, as SQS does
            assert one == other
        if queue == _DEAD:
            self.alive[_STANDARD] -= mine.keys()
            self.alive[_DEAD] |= mine.keys()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.held)))
        queue, handle, other, until = self.held[name]
        if queue.endswith(".fifo") and self._now() >= until:
            return  # a FIFO queue takes no handle of what is visible again; moto does
        if self._is_moved(name, queue):
            return
        ours = self.both.ours("DeleteMessage", QueueUrl=_URL + queue, ReceiptHandle=handle)
        theirs = self.both.moto("DeleteMessage", QueueUrl=_URL + queue, ReceiptHandle=other)
        assert ours == ("", {}) == (theirs[0], theirs[1] or {})
        self.both.tick()
        del self.held[name]
        self.alive[queue].discard(name)
        if queue in self.unique:
            self.gone.add((queue, self.unique[queue].pop(name)))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), timeout=st.integers(0, 60))
    def change_visibility(self, data: st.DataObject, timeout: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.held)))
        queue, handle, other, _ = self.held[name]
        if self._is_moved(name, queue):
            return
        now = self._now()
        parameters = {"QueueUrl": _URL + queue, "VisibilityTimeout": timeout}
        ours = self.both.ours("ChangeMessageVisibility", ReceiptHandle=handle, **parameters)
        theirs = self.both.moto("ChangeMessageVisibility", ReceiptHandle=other, **parameters)
        assert ours == ("", {}) == (theirs[0], theirs[1] or {})
        self.both.tick()
        self.held[name] = (queue, handle, other, now + timeout * 1000)

    def _is_moved(self, name: str, queue: str) -> bool:
        """Return whether a message may be in the dead-letter queue: then its handle is void."""
        return queue == _STANDARD and name not in self._in_standard()

    def _in_standard(self) -> set[str]:
        with self.app._state.reading() as connection:
            rows = connection.execute(
                "SELECT message_id FROM messages WHERE queue = ?", (_STANDARD,)
            )
            return {row[0] for row in rows}

    # --- queues -------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 5, 29, 30, 61, 299, 301]))
    def let_time_pass(self, seconds: int) -> None:
        self.both.clock.advance(seconds=seconds)

    @rule(
        queue=st.sampled_from([_STANDARD, _FIFO]),
        name=st.sampled_from(["VisibilityTimeout", "ReceiveMessageWaitTimeSeconds"]),
        value=st.integers(0, 60),
    )
    def set_attributes(self, queue: str, name: str, value: int) -> None:
        value = 0 if name == "ReceiveMessageWaitTimeSeconds" else value
        self._call("SetQueueAttributes", QueueUrl=_URL + queue, Attributes={name: str(value)})

    @rule(queue=st.sampled_from([_DEAD, _HASHED]))
    def purge(self, queue: str) -> None:
        code, output, expected = self._call("PurgeQueue", QueueUrl=_URL + queue)
        assert (output or {}) == (expected or {})
        if code:
            return
        gone = {name for name, (where, *_) in self.held.items() if where == queue}
        for name in gone | self.alive.get(queue, set()):
            self.held.pop(name, None)
        self.alive[queue] = set()
        for key in self.unique.get(queue, {}).values():
            self.gone.add((queue, key))
        if queue in self.unique:
            self.unique[queue] = {}

    @rule(prefix=st.sampled_from(["", "j", "line", "nothing"]), known=st.booleans())
    def look_up(self, prefix: str, known: bool) -> None:
        _, output, expected = self._call("ListQueues", QueueNamePrefix=prefix)
        assert sorted(output.get("QueueUrls", [])) == sorted(expected.get("QueueUrls", []))
        name = _STANDARD if known else "nowhere"
        _, output, expected = self._call("GetQueueUrl", QueueName=name)
        assert output == expected

    @invariant()
    def attributes_agree(self) -> None:
        if not hasattr(self, "app"):
            return
        for queue in (_STANDARD, _DEAD, _FIFO, _HASHED):
            _, output, expected = self._call(
                "GetQueueAttributes", QueueUrl=_URL + queue, AttributeNames=["All"]
            )
            mine, theirs = dict(output["Attributes"]), dict(expected["Attributes"])
            for name in ("CreatedTimestamp", "LastModifiedTimestamp"):
                assert mine.pop(name).isdecimal()
                theirs.pop(name)
            assert mine.pop("SqsManagedSseEnabled") == "false"  # which is the truth
            theirs.pop("SqsManagedSseEnabled")
            for one in (mine, theirs):
                if "RedrivePolicy" in one:
                    one["RedrivePolicy"] = json.loads(one["RedrivePolicy"])
            assert mine == theirs

    def _now(self) -> int:
        return int(self.both.clock.now().timestamp() * 1000)

    def _timeout(self, queue: str) -> int:
        _, output = self.both.ours(
            "GetQueueAttributes", QueueUrl=_URL + queue, AttributeNames=["VisibilityTimeout"]
        )
        return int(output["Attributes"]["VisibilityTimeout"])


@pytest.mark.timeout(600)
def test_same_as_moto(both: Peers) -> None:
    """Whatever the sequence of calls: outputs, codes, and what the queues hold."""
    machine = type("Machine", (_Machine,), {"both": both})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(25, settings().max_examples // 4), stateful_step_count=25
        ),
    )
