"""DynamoDB's operations on many items of an app's own tables, with its codes and words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from dynamodb_bench import ARN, kept_in, text, visit
from service_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return an app with tables of each kind of key."""
    return kept_in(tmp_path)


# --- many items ------------------------------------------------------------------------


def _ats(output: Any) -> list[str]:
    return [item["seen"]["N"] for item in output["Items"]]


def test_queries_go_by_the_sort_key(bench: Bench) -> None:
    """In the order of numbers, either way, by each kind of condition."""
    for at in (10, 9, -1, 0, "0.5", -20, 100):
        bench.call("PutItem", TableName="visits", Item=visit("a", at))
    bench.call("PutItem", TableName="visits", Item=visit("b", 7))

    def query(condition: str, **values: object) -> Any:
        return bench.call(
            "Query",
            TableName="visits",
            KeyConditionExpression=f"id = :id{condition}",
            ExpressionAttributeValues={
                ":id": {"S": "a"},
                **{f":{name}": {"N": str(value)} for name, value in values.items()},
            },
        )

    everything = ["-20", "-1", "0", "0.5", "9", "10", "100"]
    assert _ats(query("")) == everything
    assert _ats(query(" AND seen < :x", x=0)) == ["-20", "-1"]
    assert _ats(query(" AND seen <= :x", x=0)) == ["-20", "-1", "0"]
    assert _ats(query(" AND :x < seen", x=9)) == ["10", "100"]
    assert _ats(query(" AND seen >= :x", x=9)) == ["9", "10", "100"]
    assert _ats(query(" AND seen = :x", x="9.0")) == ["9"]
    assert _ats(query(" AND (seen BETWEEN :x AND :y)", x=-1, y=9)) == ["-1", "0", "0.5", "9"]
    backwards = bench.call(
        "Query",
        TableName="visits",
        KeyConditionExpression="id = :id",
        ExpressionAttributeValues={":id": {"S": "a"}},
        ScanIndexForward=False,
        Limit=2,
    )
    assert _ats(backwards) == ["100", "10"]
    assert backwards["LastEvaluatedKey"] == visit("a", 10)


def test_begins_with_on_keys(bench: Bench) -> None:
    """Of bytes, too, up to the last one that there is."""
    for name in ("a", "ab", "b", "\U0010ffff", "\U0010ffffx"):
        item = {"id": {"B": "AA=="}, "name": {"S": name}}
        bench.call("PutItem", TableName="blobs", Item=item)

    def query(prefix: str) -> list[str]:
        output = bench.call(
            "Query",
            TableName="blobs",
            KeyConditionExpression="id = :id AND begins_with(#n, :p)",
            ExpressionAttributeNames={"#n": "name"},
            ExpressionAttributeValues={":id": {"B": "AA=="}, ":p": {"S": prefix}},
        )
        return [item["name"]["S"] for item in output["Items"]]

    assert query("a") == ["a", "ab"]
    with_bytes = bench.app.table("bytes", partition_key="id", sort_key=("at", "B"))
    for at in (b"a", b"a\xff", b"a\xff\x00", b"a\xff\xff", b"b", b"\xff", b"\xff\xff"):
        with_bytes.put({"id": "x", "at": at})

    def beginning(prefix: bytes) -> list[bytes]:
        return [item["at"] for item in with_bytes.query("x", begins_with=prefix)]

    assert beginning(b"a\xff") == [b"a\xff", b"a\xff\x00", b"a\xff\xff"]
    assert beginning(b"\xff") == [b"\xff", b"\xff\xff"]
    assert query("\U0010ffff") == ["\U0010ffff", "\U0010ffffx"]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("seen = :n", "Query condition missed key schema element: id"),
        ("id < :s", "Query key condition not supported"),
        ("id = :s OR seen = :n", "Invalid operator used in KeyConditionExpression: OR"),
        ("id = :s AND NOT seen = :n", "Invalid operator used in KeyConditionExpression: NOT"),
        ("id = :s AND seen <> :n", "Invalid operator used in KeyConditionExpression: <>"),
        ("id = :s AND seen IN (:n)", "Invalid operator used in KeyConditionExpression: IN"),
        ("id = :s AND v = :n", "Query condition missed key schema element: seen"),
        ("id = :s AND id = :s", "KeyConditionExpressions must only contain one condition per key"),
        (
            "id = :s AND seen.x = :n",
            "KeyConditionExpressions cannot have conditions on nested attributes",
        ),
        (
            "id = :s AND seen = :s",
            (
                "One or more parameter values were invalid: Condition "
                "parameter type does not match "
                "schema type"
            ),
        ),
    ],
)
def test_key_conditions_that_are_none(bench: Bench, condition: str, message: str) -> None:
    """Each is refused in DynamoDB's words."""
    values = {":s": {"S": "x"}, ":n": {"N": "1"}}
    used = {key: value for key, value in values.items() if key in condition}
    failure = bench.failure(
        "Query",
        TableName="visits",
        KeyConditionExpression=condition,
        ExpressionAttributeValues=used,
    )
    assert failure.message == message


def test_a_query_without_a_key_or_with_one_in_its_filter(bench: Bench) -> None:
    """Is refused."""
    assert "KeyConditionExpression parameter must be specified" in (
        bench.failure("Query", TableName="visits").message
    )
    message = bench.failure(
        "Query",
        TableName="visits",
        KeyConditionExpression="id = :s",
        FilterExpression="seen > :n",
        ExpressionAttributeValues={":s": {"S": "x"}, ":n": {"N": "1"}},
    ).message
    assert message == (
        "Filter Expression can only contain non-primary key attributes: Primary key attribute: seen"
    )


def test_pages_end_at_1_mb_or_at_the_limit(bench: Bench) -> None:
    """And all of them together are the table, each item once."""
    for at in range(8):
        item = visit("a", at, v={"S": "x" * 300_000})
        bench.call("PutItem", TableName="visits", Item=item)
    seen: list[str] = []
    sizes = []
    start: dict[str, Any] = {}
    while True:
        output = bench.call("Scan", TableName="visits", ReturnConsumedCapacity="TOTAL", **start)
        seen += _ats(output)
        sizes.append(output["Count"])
        if "LastEvaluatedKey" not in output:
            break
        start = {"ExclusiveStartKey": output["LastEvaluatedKey"]}
    assert sizes == [3, 3, 2]
    assert seen == [str(at) for at in range(8)]
    # The filter comes after the page: what it leaves out was looked at all the same.
    output = bench.call(
        "Scan",
        TableName="visits",
        Limit=2,
        FilterExpression="seen = :n",
        ExpressionAttributeValues={":n": {"N": "1"}},
        Select="COUNT",
    )
    assert output == {"Count": 1, "ScannedCount": 2, "LastEvaluatedKey": visit("a", 1)}


def test_segments_are_the_whole_table(bench: Bench) -> None:
    """Each item is in one."""
    for number in range(100):
        bench.call("PutItem", TableName="people", Item=text(id=str(number)))
    found = [
        item["id"]["S"]
        for segment in range(7)
        for item in bench.call("Scan", TableName="people", Segment=segment, TotalSegments=7)[
            "Items"
        ]
    ]
    assert sorted(found, key=int) == [str(number) for number in range(100)]
    assert found != sorted(found, key=int)
    message = bench.failure("Scan", TableName="people", Segment=7, TotalSegments=7).message
    assert message.endswith("Segment: 7 is not less than TotalSegments: 7")


def test_starting_keys_are_checked(bench: Bench) -> None:
    """They are keys of the table, and of what is asked for."""
    query: dict[str, Any] = {
        "TableName": "visits",
        "KeyConditionExpression": "id = :s AND seen > :n",
        "ExpressionAttributeValues": {":s": {"S": "a"}, ":n": {"N": "1"}},
    }
    for start, message in (
        (
            text(id="a"),
            (
                "The provided starting key is invalid: The provided key "
                "element does not match the schema"
            ),
        ),
        (
            visit("b", 1),
            "The provided starting key is outside query boundaries based on provided conditions",
        ),
        (
            visit("a", 1),
            "The provided starting key is outside query boundaries based on provided conditions",
        ),
    ):
        assert bench.failure("Query", ExclusiveStartKey=start, **query).message == message
    assert bench.call("Query", ExclusiveStartKey=visit("a", 2), **query)["Count"] == 0


# --- batches and transactions ----------------------------------------------------------


def test_batches(bench: Bench) -> None:
    """Puts and deletes over several tables, then read back."""
    bench.call("PutItem", TableName="people", Item=text(id="gone"))
    output = bench.call(
        "BatchWriteItem",
        RequestItems={
            "people": [
                {"PutRequest": {"Item": text(id="a", v="1", w="2")}},
                {"DeleteRequest": {"Key": text(id="gone")}},
            ],
            f"{ARN}visits": [{"PutRequest": {"Item": visit("a", 1)}}],
        },
        ReturnConsumedCapacity="TOTAL",
    )
    assert output == {
        "UnprocessedItems": {},
        "ConsumedCapacity": [
            {"TableName": "people", "CapacityUnits": 2.0},
            {"TableName": f"{ARN}visits", "CapacityUnits": 1.0},
        ],
    }
    output = bench.call(
        "BatchGetItem",
        RequestItems={
            "people": {"Keys": [text(id="a"), text(id="gone")], "ProjectionExpression": "v"},
            "visits": {"Keys": [visit("a", 1)]},
        },
    )
    assert output == {
        "Responses": {"people": [text(v="1")], "visits": [visit("a", 1)]},
        "UnprocessedKeys": {},
    }


def test_limits_of_batches(bench: Bench) -> None:
    """25 writes, 100 reads, no item twice, 16 MB."""
    writes = [{"PutRequest": {"Item": text(id=str(number))}} for number in range(26)]
    for requests, message in (
        ({"people": writes}, "Too many items requested for the BatchWriteItem call"),
        ({"people": writes[:1] * 2}, "Provided list of item keys contains duplicates"),
    ):
        assert bench.failure("BatchWriteItem", RequestItems=requests).message == message
    assert bench.call("Scan", TableName="people")["Count"] == 0
    keys = [text(id=str(number)) for number in range(101)]
    for requested, message in (
        ({"Keys": keys}, "Too many items requested for the BatchGetItem call"),
        ({"Keys": keys[:1] * 2}, "Provided list of item keys contains duplicates"),
    ):
        failure = bench.failure("BatchGetItem", RequestItems={"people": requested})
        assert failure.message == message
    for number in range(45):
        item = text(id=str(number), v="x" * 390_000)
        bench.call("PutItem", TableName="people", Item=item)
    output = bench.call("BatchGetItem", RequestItems={"people": {"Keys": keys[:45]}})
    left = output["UnprocessedKeys"]["people"]["Keys"]
    assert len(output["Responses"]["people"]) + len(left) == 45
    assert left == keys[43:45]


def test_transactions_are_whole_or_nothing(bench: Bench) -> None:
    """A condition that fails undoes all, and the reasons say which one it was."""
    bench.call("PutItem", TableName="people", Item=text(id="a", v="1"))
    items = [
        {"Put": {"TableName": "visits", "Item": visit("a", 1)}},
        {
            "ConditionCheck": {
                "TableName": "people",
                "Key": text(id="a"),
                "ConditionExpression": "v = :v",
                "ExpressionAttributeValues": {":v": {"S": "2"}},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        },
        {
            "Update": {
                "TableName": "people",
                "Key": text(id="b"),
                "UpdateExpression": "SET v = w",
            }
        },
    ]
    failure = bench.failure("TransactWriteItems", TransactItems=items)
    assert failure.code == "TransactionCanceledException"
    assert failure.message == (
        "Transaction cancelled, please refer cancellation reasons for specific reasons [None, "
        "ConditionalCheckFailed, ValidationError]"
    )
    assert json.loads(failure.details["response"])["CancellationReasons"] == [
        {"Code": "None"},
        {
            "Code": "ConditionalCheckFailed",
            "Message": "The conditional request failed",
            "Item": text(id="a", v="1"),
        },
        {
            "Code": "ValidationError",
            "Message": "The provided expression refers to an attribute that does not exist in the "
            "item",
        },
    ]
    assert bench.call("Scan", TableName="visits")["Count"] == 0
    assert bench.call("TransactWriteItems", TransactItems=items[:1]) == {}
    output = bench.call(
        "TransactGetItems",
        TransactItems=[
            {"Get": {"TableName": "visits", "Key": visit("a", 1)}},
            {"Get": {"TableName": "people", "Key": text(id="none")}},
            {"Get": {"TableName": "people", "Key": text(id="a"), "ProjectionExpression": "v"}},
        ],
    )
    assert output == {"Responses": [{"Item": visit("a", 1)}, {}, {"Item": text(v="1")}]}


def test_a_token_is_carried_out_once(bench: Bench) -> None:
    """For ten minutes; with other writes it is refused."""

    def add(amount: int) -> dict[str, Any]:
        update = {
            "TableName": "people",
            "Key": text(id="a"),
            "UpdateExpression": "ADD n :n",
            "ExpressionAttributeValues": {":n": {"N": str(amount)}},
        }
        return {"TransactItems": [{"Update": update}], "ClientRequestToken": "t"}

    def count() -> Any:
        return bench.call("GetItem", TableName="people", Key=text(id="a"))["Item"]["n"]["N"]

    bench.call("TransactWriteItems", **add(1))
    bench.call("TransactWriteItems", **add(1))
    assert count() == "1"
    assert bench.code("TransactWriteItems", **add(2)) == "IdempotentParameterMismatchException"
    bench.clock.advance(minutes=11)
    bench.call("TransactWriteItems", **add(2))
    assert count() == "3"


def test_a_failed_transaction_is_tried_again_with_its_token(bench: Bench) -> None:
    """Nothing was done, so nothing is remembered."""
    put: dict[str, Any] = {
        "TableName": "people",
        "Item": text(id="a"),
        "ConditionExpression": ("attribute_exists(id)"),
    }
    parameters: dict[str, Any] = {"TransactItems": [{"Put": put}], "ClientRequestToken": "t"}
    assert bench.code("TransactWriteItems", **parameters) == "TransactionCanceledException"
    bench.call("PutItem", TableName="people", Item=text(id="a"))
    assert bench.call("TransactWriteItems", **parameters) == {}


def test_a_transaction_has_each_item_once(bench: Bench) -> None:
    """And up to a hundred."""
    put: dict[str, Any] = {"Put": {"TableName": "people", "Item": text(id="a")}}
    check = {
        "ConditionCheck": {
            "TableName": "people",
            "Key": text(id="a"),
            "ConditionExpression": "attribute_exists(id)",
        }
    }
    message = bench.failure("TransactWriteItems", TransactItems=[put, check]).message
    assert message == "Transaction request cannot include multiple operations on one item"
    message = bench.failure("TransactWriteItems", TransactItems=[put] * 101).message
    assert "Member must have length less than or equal to 100" in message


# --- capacity --------------------------------------------------------------------------


def test_consumed_capacity(bench: Bench) -> None:
    """By the sizes before and after, rounded up."""
    item = text(id="a", v="x" * 5000)
    put: dict[str, Any] = {"TableName": "people", "ReturnConsumedCapacity": "INDEXES"}
    assert bench.call("PutItem", Item=item, **put)["ConsumedCapacity"] == {
        "TableName": "people",
        "CapacityUnits": 5.0,
        "Table": {"CapacityUnits": 5.0},
    }
    get: dict[str, Any] = {
        "TableName": "people",
        "Key": text(id="a"),
        "ReturnConsumedCapacity": "TOTAL",
    }
    for consistent, units in ((True, 2.0), (False, 1.0)):
        told = bench.call("GetItem", ConsistentRead=consistent, **get)["ConsumedCapacity"]
        assert told["CapacityUnits"] == units
    nothing: dict[str, Any] = {**get, "Key": text(id="none")}
    assert bench.call("GetItem", **nothing)["ConsumedCapacity"]["CapacityUnits"] == 0.5
    assert bench.call("DeleteItem", **get)["ConsumedCapacity"]["CapacityUnits"] == 5.0
