"""What an app's own tables are, what is kept of their changes, and what they don't take."""

from __future__ import annotations

import json
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from dynamodb_bench import ARN, kept_in, text
from service_bench import ME, Bench

from faaskit.app import App
from faaskit.exceptions import DefinitionError
from faaskit.gate.operations.requirements import requirements
from faaskit.gate.service import Refusal
from faaskit.resources.dynamodb import grammar
from faaskit.runtimes.contract import ServiceCall


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return an app with tables of each kind of key."""
    return kept_in(tmp_path)


# --- tables ----------------------------------------------------------------------------


def test_describe_table(bench: Bench) -> None:
    """What boto3's Table and waiters look at."""
    bench.call("PutItem", TableName="told", Item=text(id="a"))
    bench.clock.advance(hours=1)
    table = bench.call("DescribeTable", TableName="told")["Table"]
    assert table["TableArn"] == f"{ARN}told"
    assert table["TableStatus"] == "ACTIVE"
    assert table["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert (table["ItemCount"], table["TableSizeBytes"]) == (1, 3)
    assert table["CreationDateTime"] == "2026-01-01T00:00:00.000Z"
    assert table["LatestStreamArn"] == f"{ARN}told/stream/2026-01-01T00:00:00.000"
    table = bench.call("DescribeTable", TableName="visits")["Table"]
    assert table["AttributeDefinitions"] == [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "seen", "AttributeType": "N"},
    ]
    assert "StreamSpecification" not in table


@pytest.mark.parametrize("name", ["nothing", f"{ARN}nothing", f"{ARN}people/index/x", "people/", 7])
def test_tables_that_there_are_not(bench: Bench, name: Any) -> None:
    """DynamoDB says no more than that."""
    failure = bench.failure("GetItem", TableName=name, Key=text(id="a"))
    if isinstance(name, str):
        assert failure.message == "Requested resource not found"
        assert failure.code == "ResourceNotFoundException"
    else:
        assert failure.code == "ValidationException"
    elsewhere = bench.failure("GetItem", "eu-west-1", TableName="people", Key=text(id="a"))
    assert elsewhere.code == "ResourceNotFoundException"


def test_items_of_another_key_are_not_lost(tmp_path: Path) -> None:
    """A table that is declared otherwise is refused, as long as it holds items."""
    with App("one", state=tmp_path) as app:
        app.table("people", partition_key="id").put({"id": "a"})
    with App("one", state=tmp_path) as app:
        table = app.table("people", partition_key="name")
        with pytest.raises(DefinitionError, match=r"items of it with the key id \(S\)"):
            table.put({"name": "a"})
        with pytest.raises(DefinitionError, match=r"items of it with the key id \(S\)"):
            table.get(name="a")
    with App("one", state=tmp_path) as app:
        app.table("people", partition_key="id").delete(id="a")
    with App("one", state=tmp_path) as app:
        app.table("people", partition_key="name").put({"name": "a"})


# --- what changes are kept -------------------------------------------------------------


def _changes(bench: Bench) -> list[tuple[Any, ...]]:
    query = "SELECT event, keys, old, new FROM dynamodb_changes ORDER BY id"
    with bench.app._state.reading() as connection:
        rows = connection.execute(query).fetchall()
    return [
        (event, *(None if text is None else json.loads(text) for text in texts))
        for event, *texts in rows
    ]


def test_changes_of_a_table_with_a_stream_are_kept(bench: Bench) -> None:
    """Both images of each, in order; what changes nothing is no change."""
    one, two = text(id="a", v="1"), text(id="a", v="2")
    for item in (one, two, two):
        bench.call("PutItem", TableName="told", Item=item)
    bench.call("PutItem", TableName="people", Item=one)
    condition = {"ConditionExpression": "attribute_not_exists(id)"}
    assert bench.code("PutItem", TableName="told", Item=one, **condition)
    bench.call("DeleteItem", TableName="told", Key=text(id="a"))
    bench.call("DeleteItem", TableName="told", Key=text(id="a"))
    key = text(id="a")
    assert _changes(bench) == [
        ("INSERT", key, None, one),
        ("MODIFY", key, one, two),
        ("REMOVE", key, two, None),
    ]


def test_changes_are_kept_for_a_day(bench: Bench) -> None:
    """Then they go, a few with each that comes, and never one that is younger."""
    for number in range(5):
        bench.call("PutItem", TableName="told", Item=text(id=str(number)))
    bench.clock.advance(hours=24, seconds=1)
    left = []
    for number in range(5, 9):
        bench.call("PutItem", TableName="told", Item=text(id=str(number)))
        left.append([change[1]["id"]["S"] for change in _changes(bench)])
    assert left[0] == ["2", "3", "4", "5"]
    assert left[1] == ["4", "5", "6"]
    assert left[3] == ["5", "6", "7", "8"]


# --- what is not trusted, and what is for another place --------------------------------


@pytest.mark.parametrize(
    "operation",
    [
        "PutItem",
        "GetItem",
        "UpdateItem",
        "DeleteItem",
        "Query",
        "Scan",
        "BatchGetItem",
        "BatchWriteItem",
        "TransactGetItems",
        "TransactWriteItems",
        "DescribeTable",
    ],
)
def test_whatever_a_call_holds_is_answered(bench: Bench, operation: str) -> None:
    """With a Refusal, whatever stands where."""
    deep: Any = {"S": "x"}
    for _ in range(900):
        deep = {"M": {"a": deep}}
    wide: Any = {"L": [{"N": "1"}] * 1000}
    names = (
        "TableName",
        "Item",
        "Key",
        "RequestItems",
        "TransactItems",
        "UpdateExpression",
        "ConditionExpression",
        "KeyConditionExpression",
        "FilterExpression",
        "ProjectionExpression",
        "ExpressionAttributeNames",
        ("ExpressionAttributeValues"),
        "ExclusiveStartKey",
        "Limit",
        "Segment",
        "TotalSegments",
        "Select",
        "ReturnValues",
        "ReturnConsumedCapacity",
        "ClientRequestToken",
        "ConsistentRead",
        "ScanIndexForward",
        "IndexName",
        "Nonsense",
        "ReturnItemCollectionMetrics",
    )
    wrong: list[Any] = [
        None,
        True,
        7,
        -1,
        1.5,
        10**30,
        "",
        "x",
        "\ud800",
        [],
        {},
        [[]],
        [{}],
        {"": ""},
        {"people": []},
        {"people": {}},
        {"people": [{}]},
        {"people": {"Keys": [{}]}},
        {"id": deep},
        {"id": wide},
        {"\ud800": {"S": "x"}},
        {"id": {"S": "\ud800"}},
        {"id": {"B": "é"}},
        {"id": {"N": "9" * 10_000}},
        {1: {"S": "x"}},
        {"id": {2: "x"}},
        {"id": {"S": 1}},
        {"#a": 1},
        {":a": {"S": []}},
        [{"Put": 1}],
        [{"Put": {}}],
        [{"Get": {"TableName": "people", "Key": deep}}],
        "(" * 4000,
        "NOT " * 1000,
    ]
    one = {"TableName": "people", "Key": text(id="a"), "Item": text(id="a")}
    base = {} if operation.startswith(("Batch", "Transact")) else one
    for name in names:
        for value in wrong:
            call = ServiceCall("dynamodb", operation, {**base, name: value})
            bench.service.owns(call)
            try:
                assert requirements(call, region="us-east-1", account="123456789012")
                bench.service.perform(call, ME)
            except Refusal as refusal:
                refusal.failure.message.encode()


def test_lists_that_double_are_refused_before_they_are_put_together(bench: Bench) -> None:
    """An update names a list in a few bytes; what can't fit takes no memory."""
    many = {"L": [{"NULL": True}] * 150_000}
    bench.call("PutItem", TableName="people", Item={"id": {"S": "a"}, "b": many})
    expression = "SET " + ", ".join(f"a{number} = list_append(b, b)" for number in range(100))
    tracemalloc.start()
    try:
        message = bench.failure(
            "UpdateItem", TableName="people", Key=text(id="a"), UpdateExpression=expression
        ).message
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert message == "Item size to update has exceeded the maximum allowed size"
    assert most < 120_000_000  # 100 lists of twice as many would be 240 MB more


def test_updates_do_not_nest_without_end(bench: Bench) -> None:
    """An attribute that is put into itself, over and over, ends at 32 levels."""
    bench.call("PutItem", TableName="people", Item={"id": {"S": "a"}, "a": {"M": {}}})
    update: dict[str, Any] = {
        "TableName": "people",
        "Key": text(id="a"),
        "UpdateExpression": "SET a.a = a",
    }
    for _ in range(31):
        bench.call("UpdateItem", **update)
    assert bench.failure("UpdateItem", **update).message.startswith("Nesting Levels have exceeded")


def test_the_parser_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it learns of hostile expressions does not grow without end."""
    from amazondax.grammar.DynamoDbGrammarParser import DynamoDbGrammarParser

    monkeypatch.setattr(grammar, "_MAX_LEARNED", 100)
    learned = []
    for number in range(60):
        text = f"{'NOT (' * (number % 20)}size(a{'.b' * number}) = :v{')' * (number % 20)}"
        for nested in range(20):
            grammar.read_condition(f"{text} AND {'f(' * nested}a{')' * nested} = :v")
        learned.append(len(DynamoDbGrammarParser.sharedContextCache.cache))
    assert max(learned) < 1000
    assert any(after < before for before, after in pairwise(learned))


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("UpdateTable", {}),
        ("PutItem", {"Item": text(id="a"), "Expected": {"id": {"Exists": False}}}),
        ("Query", {"KeyConditions": {}, "IndexName": "x"}),
        ("Query", {"KeyConditionExpression": "id = :id", "IndexName": "x"}),
        ("Scan", {"ScanFilter": {}}),
        ("Scan", {"Nonsense": 1}),
    ],
)
def test_what_tables_here_do_not_know_is_said(
    bench: Bench, operation: str, parameters: dict[str, Any]
) -> None:
    """With the way to where it is known."""
    message = bench.failure(operation, TableName="people", **parameters).message
    assert 'App(aws="moto")' in message


def test_owned_is_what_names_a_table_of_the_app(bench: Bench) -> None:
    """By name or ARN, alone or among others; what makes or lists tables is not."""
    assert bench.owns("GetItem", TableName="people")
    assert bench.owns("UpdateTimeToLive", TableName=f"{ARN}people")
    assert bench.owns("BatchGetItem", RequestItems={"other": {}, "people": {}})
    assert bench.owns("TransactWriteItems", TransactItems=[{"Put": {"TableName": "people"}}])
    assert not bench.owns("GetItem", TableName="other")
    assert not bench.owns("GetItem", "eu-west-1", TableName="people")
    assert not bench.owns("GetItem", TableName=ARN.replace("1234", "9999") + "people")
    assert not bench.owns("CreateTable", TableName="people")
    assert not bench.owns("ListTables")
    assert not bench.owns("ExecuteStatement", Statement="SELECT * FROM people")


def test_expressions_without_the_grammar(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handle's forms are read; others say what is to be installed."""
    monkeypatch.setitem(__import__("sys").modules, "amazondax", None)
    grammar.read_condition.cache_clear()
    table = bench.app.tables["visits"]
    table.put({"id": "a", "seen": 1})
    assert list(table.query("a", between=(0, 2))) == [{"id": "a", "seen": 1}]
    table.update(
        {"id": "a", "seen": 1}, set={"v": 1}, remove=["w"], add={"n": 1}, delete={"x": {1}}
    )
    message = bench.failure(
        "Scan", TableName="visits", FilterExpression="attribute_exists(v) OR size(w) > v"
    ).message
    assert "pip install 'faaskit[tables]'" in message
