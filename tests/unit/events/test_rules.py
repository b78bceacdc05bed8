"""Rules of event buses: what matches goes where they say, as what they say."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inline_app import InlineApp, fail, nothing

from faaskit.events.inputs import Input
from faaskit.exceptions import DefinitionError


@pytest.fixture
def app(tmp_path: Path) -> Iterator[InlineApp]:
    """An app whose time is moved by hand."""
    with InlineApp(tmp_path / "state") as app:
        yield app


def _sell(app: InlineApp, bus: str = "default", **detail: Any) -> str:
    return app.bus(bus).put(source="shop", detail_type="sold", detail=detail)


def _bodies(app: InlineApp, name: str) -> list[Any]:
    return [json.loads(message.body) for message in app.queue(name).receive(10)]


def test_the_event(app: InlineApp) -> None:
    """It is EventBridge's, and only what matches comes."""
    app.bus().on({"source": ["shop"], "detail": {"total": [{"numeric": [">", 100]}]}})(
        app.calls(nothing)
    )
    _sell(app, total=100)
    event_id = _sell(app, total=101)
    app.drain()
    assert app.received == [
        {
            "version": "0",
            "id": event_id,
            "detail-type": "sold",
            "source": "shop",
            "account": "123456789012",
            "time": "2026-01-01T00:00:00Z",
            "region": "us-east-1",
            "resources": [],
            "detail": {"total": 101},
        }
    ]


def test_each_bus_has_its_rules(app: InlineApp) -> None:
    """And each rule its own invocation."""
    app.bus().on({"source": ["shop"]})(app.calls(nothing, "one"))
    app.bus("other").on({"source": ["shop"]})(app.calls(nothing, "two"))
    app.bus("other").on({"detail-type": ["sold"]})(app.calls(nothing, "three"))
    _sell(app, "other")
    assert sorted(one.function_name for one in app.drain()) == ["three", "two"]


def test_it_is_retried_as_asynchronous_invocations_are(app: InlineApp) -> None:
    """By the function's own settings."""
    app.bus().on({"source": ["shop"]})(app.calls(fail, retry_attempts=1))
    _sell(app)
    app.drain()
    app.pass_time(minutes=1)
    assert len(app.received) == 2
    assert [one.reason for one in app.dead()] == ["RetriesExhausted"]


def test_event_and_invocation_are_one_transaction(app: InlineApp) -> None:
    """Before anything is delivered, what is put is in the queue."""
    app.bus().on({"source": ["shop"]})(app.calls(nothing))
    _sell(app)
    assert [one.function for one in app.pending()] == ["reader"]


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"input": {"a": 1}}, {"a": 1}),
        ({"input": "text"}, "text"),
        ({"input_path": "$.detail"}, {"id": "7", "items": [{"n": 1}, {"n": 2}]}),
        ({"input_path": "$.detail.items[1].n"}, 2),
        ({"input_path": "$.detail.items[*].n"}, [1, 2]),
        ({"input_path": "$.detail.nothing"}, None),
        (
            {
                "input_transformer": {
                    "paths": {"id": "$.detail.id", "items": "$.detail.items", "no": "$.x"},
                    "template": '{"order": <id>, "all": <items>, "say": "order <id>: <no>!"}',
                }
            },
            {"order": "7", "all": [{"n": 1}, {"n": 2}], "say": "order 7: !"},
        ),
        (
            {
                "input_transformer": {
                    "paths": {"items": "$.detail.items"},
                    "template": '"there were <items>"',
                }
            },
            "there were [{n:1},{n:2}]",
        ),
        (
            {
                "input_transformer": {
                    "template": '{"rule": <aws.events.rule-name>, "arn": "<aws.events.rule-arn>", '
                    '"at": <aws.events.event.ingestion-time>}'
                }
            },
            {
                "rule": "reader",
                "arn": "arn:aws:events:us-east-1:123456789012:rule/reader",
                "at": "2026-01-01T00:00:00.000Z",
            },
        ),
    ],
)
def test_inputs(app: InlineApp, settings: dict[str, Any], wanted: Any) -> None:
    """A constant, a part, or a template that is filled in."""
    app.bus().on({"source": ["shop"]}, **settings)(app.calls(nothing))
    _sell(app, id="7", items=[{"n": 1}, {"n": 2}])
    app.drain()
    assert app.received == [wanted]


def test_the_whole_event_in_a_template(app: InlineApp) -> None:
    """With its detail, and without."""
    template = '{"whole": <aws.events.event.json>, "around": <aws.events.event>}'
    app.bus().on({"source": ["shop"]}, input_transformer={"template": template})(app.calls(nothing))
    _sell(app, n=1)
    app.drain()
    (event,) = app.received
    assert event["whole"]["detail"] == {"n": 1}
    assert event["around"] == {k: v for k, v in event["whole"].items() if k != "detail"}


def test_a_text_with_quotes_in_a_template() -> None:
    """Is still JSON: in a string, and as a value of its own."""
    made = Input.declared(
        "rule", transformer={"paths": {"x": "$.x"}, "template": '{"a": "-<x>-", "b": <x>}'}
    )
    for text in ('"', "\\", "a\nb", "<x>", "é\u2028"):
        filled = made.of(json.dumps({"x": text}), rule_name="", rule_arn="", now="")
        assert json.loads(filled) == {"a": f"-{text}-", "b": text}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"input": 1, "input_path": "$.a"}, "pass one of"),
        ({"input": object()}, "not JSON"),
        ({"input": "x" * 9000}, "over 8192"),
        ({"input_path": "detail"}, "such as"),
        ({"input_path": "$.a[-1]"}, "such as"),
        ({"input_transformer": "x"}, "is a dict"),
        ({"input_transformer": {"paths": {}}}, "its template is text"),
        ({"input_transformer": {"template": "{<a>}", "paths": {"a": "$.a"}}}, "no JSON"),
        ({"input_transformer": {"template": "<a>"}}, "paths do not define"),
        ({"input_transformer": {"template": "1", "paths": {"AWSa": "$.a"}}}, "EventBridge's own"),
        ({"input_transformer": {"template": "1", "paths": {"a b": "$.a"}}}, "no name"),
        ({"name": "a b"}, "a name has 1 to 64"),
    ],
)
def test_what_is_refused(app: InlineApp, settings: dict[str, Any], problem: str) -> None:
    """At the declaration."""
    with pytest.raises(DefinitionError, match=problem):
        app.bus().on({"source": ["shop"]}, **settings)(app.calls(nothing))
    with pytest.raises(DefinitionError, match="Event pattern is not valid"):
        app.bus().on({"source": "shop"})


def test_names(app: InlineApp) -> None:
    """Rules without one get the function's, numbered; a name is one rule's of a bus."""
    reader = app.calls(nothing)
    for pattern in ({"source": ["a"]}, {"source": ["b"]}):
        app.bus().on(pattern)(reader)
    app.bus().on({"source": ["c"]}, name="mine")(reader)
    with pytest.raises(DefinitionError, match="another rule 'mine'"):
        app.bus().on({"source": ["d"]}, name="mine")(reader)
    app.bus("other").on({"source": ["d"]}, name="mine")(reader)
    assert [rule.name for rule in app._rules._rules] == ["reader", "reader-2", "mine", "mine"]
    app.bus().on({"source": ["d"]}, name="mine")(app.calls(nothing))  # defined anew
    assert [rule.name for rule in app._rules._rules] == ["mine"]


# --- other targets ----------------------------------------------------------------------


def test_to_queues(app: InlineApp) -> None:
    """Standard and FIFO ones; as what the rule says."""
    app.bus().rule({"source": ["shop"]}, target=app.queue("sold"), input_path="$.detail")
    ordered = app.queue("sold.fifo", content_based_deduplication=True)
    app.bus().rule({"source": ["shop"]}, target=ordered, message_group_id="shop")
    _sell(app, n=1)
    app.drain()
    assert _bodies(app, "sold") == [{"n": 1}]
    (message,) = ordered.receive(1)
    assert message.group_id == "shop"
    assert json.loads(message.body)["detail"] == {"n": 1}


def test_to_a_stream(app: InlineApp) -> None:
    """Under the event's id."""
    app.bus().rule({"source": ["shop"]}, target=app.stream("sold"))
    event_id = _sell(app, n=1)
    app.drain()
    (record,) = app.stream("sold").read()
    assert (record.partition_key, json.loads(record.data)["id"]) == (event_id, event_id)


def test_to_another_bus(app: InlineApp) -> None:
    """What was put there goes on to its rules."""
    app.bus().rule({"source": ["shop"]}, target=app.bus("archive"))
    app.bus("archive").on({"detail-type": ["sold"]})(app.calls(nothing))
    _sell(app, n=1)
    app.drain()
    (event,) = app.received
    assert (event["source"], event["detail"]) == ("shop", {"n": 1})


def test_what_cannot_be_sent(app: InlineApp) -> None:
    """Goes to the rule's dead-letter queue, with the reason."""
    gone = "arn:aws:sqs:us-east-1:123456789012:gone"
    app.bus().rule({"source": ["shop"]}, target=gone, dead_letter=app.queue("letters"), name="r")
    _sell(app, n=1)
    app.drain()
    (letter,) = app.queue("letters").receive(10)
    assert json.loads(letter.body)["detail"] == {"n": 1}
    assert letter.attributes["RULE_ARN"] == "arn:aws:events:us-east-1:123456789012:rule/r"
    assert letter.attributes["TARGET_ARN"] == gone
    assert letter.attributes["ERROR_CODE"]
    assert [one.reason for one in app.dead()] == ["Undeliverable"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"target": "arn:aws:s3:::bucket"}, "AWS takes a queue"),
        ({"target": 3}, "pass"),
        ({"target": "arn:aws:sqs:us-east-1:123456789012:q.fifo"}, "message_group_id"),
        ({"message_group_id": "g"}, "message_group_id"),
        ({"retry_attempts": 186}, "0 to 185"),
        ({"max_event_age": 59}, "60 to 86400"),
        ({"dead_letter": "arn:aws:sns:us-east-1:123456789012:t"}, "dead_letter"),
        ({"target": "arn:aws:events:us-east-1:123456789012:event-bus/b", "input": 1}, "as it is"),
    ],
)
def test_targets_that_are_refused(app: InlineApp, settings: dict[str, Any], problem: str) -> None:
    """At the declaration."""
    chosen = {"target": app.queue("q"), **settings}
    with pytest.raises(DefinitionError, match=problem):
        app.bus().rule({"source": ["shop"]}, **chosen)


def test_large_numbers(app: InlineApp) -> None:
    """What Python would not read back is delivered as it was given."""
    app.bus().rule({"source": ["shop"]}, target=app.stream("sold"))
    detail = '{"n": ' + "9" * 5000 + "}"
    entry = {"Source": "shop", "DetailType": "sold", "Detail": detail}
    app.client("events").put_events(Entries=[entry])
    app.drain()
    (record,) = app.stream("sold").read()
    assert base64.b64encode(record.data)
    assert ("9" * 5000).encode() in record.data
