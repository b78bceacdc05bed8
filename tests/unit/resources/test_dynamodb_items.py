"""DynamoDB's operations on one item of an app's own tables, with its codes and words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from dynamodb_bench import ARN, kept_in, text, visit
from service_bench import Bench

from faaskit.runtimes.contract import ServiceFailure


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return an app with tables of each kind of key."""
    return kept_in(tmp_path)


def test_an_item_is_kept_as_it_was_put(bench: Bench) -> None:
    """Every type; numbers in one way of writing them."""
    item = {
        "id": {"S": "a"},
        "n": {"N": "1.50E2"},
        "b": {"B": "AAE="},
        "t": {"BOOL": False},
        "z": {"NULL": True},
        "l": {"L": [{"S": ""}, {"M": {"": {"B": ""}}}]},
        "ss": {"SS": ["y", "x"]},
        "ns": {"NS": ["1.0", "-0.5"]},
        "bs": {"BS": ["AA=="]},
    }
    assert bench.call("PutItem", TableName="people", Item=item) == {}
    found = bench.call("GetItem", TableName="people", Key=text(id="a"))["Item"]
    assert found == {**item, "n": {"N": "150"}, "ns": {"NS": ["1", "-0.5"]}}
    assert bench.call("GetItem", TableName="people", Key=text(id="b")) == {}
    by_arn = bench.call("GetItem", TableName=f"{ARN}people", Key=text(id="a"))
    assert by_arn["Item"] == found


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            {"x": {"S": "1"}},
            "One or more parameter values were invalid: Missing the key id in the item",
        ),
        (
            {"id": {"N": "1"}},
            (
                "One or more parameter values were invalid: Type mismatch "
                "for key id expected: S actual: N"
            ),
        ),
        (
            text(id=""),
            (
                "One or more parameter values are not valid. The "
                "AttributeValue for a key attribute "
                "cannot contain an empty string value. Key: id"
            ),
        ),
        (
            text(id="x" * 2049),
            (
                "One or more parameter values were invalid: Size of "
                "hashkey has exceeded the maximum "
                "size limit of2048 bytes"
            ),
        ),
        (
            {"id": {"S": "a"}, "v": {"S": "x", "N": "1"}},
            (
                "Supplied AttributeValue has more than one datatypes "
                "set, must contain exactly one of "
                "the supported datatypes"
            ),
        ),
        (
            {"id": {"S": "a"}, "v": {}},
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        ),
        (
            {"id": {"S": "a"}, "v": {"SS": []}},
            "One or more parameter values were invalid: An string set  may not be empty",
        ),
        (
            {"id": {"S": "a"}, "v": {"NS": ["1", "1.0"]}},
            (
                "One or more parameter values were invalid: Input collection "
                "['1', '1'] contains duplicates."
            ),
        ),
        (
            {"id": {"S": "a"}, "v": {"N": "1" * 39}},
            "Attempting to store more than 38 significant digits in a Number",
        ),
        (
            {"id": {"S": "a"}, "v": {"N": "1e126"}},
            (
                "Number overflow. Attempting to store a number with "
                "magnitude larger than supported range"
            ),
        ),
        (
            {"id": {"S": "a"}, "v": {"N": "1e-999999999999999999999"}},
            (
                "Number underflow. Attempting to store a number with "
                "magnitude smaller than supported range"
            ),
        ),
        (
            {"id": {"S": "a"}, "v": {"N": "one"}},
            "The parameter cannot be converted to a numeric value: one",
        ),
        (
            {"id": {"S": "a"}, "v": {"NULL": False}},
            (
                "One or more parameter values were invalid: Null "
                "attribute value types must have the "
                "value of true"
            ),
        ),
        (
            {"id": {"S": "a"}, "v": {"S": "x" * 400 * 1024}},
            "Item size has exceeded the maximum allowed size",
        ),
    ],
)
def test_items_that_dynamodb_does_not_take(
    bench: Bench, item: dict[str, Any], message: str
) -> None:
    """Each is refused in its words, and nothing is stored."""
    failure = bench.failure("PutItem", TableName="people", Item=item)
    assert (failure.code, failure.message) == ("ValidationException", message)
    assert bench.call("Scan", TableName="people")["Count"] == 0


def test_an_item_of_400_kb_is_taken(bench: Bench) -> None:
    """To the byte: names and values count."""
    fits = {"id": {"S": "a"}, "v": {"S": "x" * (400 * 1024 - 4)}}
    bench.call("PutItem", TableName="people", Item=fits)
    message = bench.failure(
        "UpdateItem",
        TableName="people",
        Key=text(id="a"),
        UpdateExpression="SET w = :one",
        ExpressionAttributeValues={":one": {"S": ""}},
    ).message
    assert message == "Item size to update has exceeded the maximum allowed size"


@pytest.mark.parametrize(
    ("key"),
    [{}, text(id="a"), text(id="a", seen="1"), {**visit("a", 1), "x": {"S": ""}}, text(other="x")],
)
def test_keys_are_the_tables_key_and_nothing_else(bench: Bench, key: dict[str, Any]) -> None:
    """A part, another type, or more of it is not one."""
    for operation in ("GetItem", "DeleteItem", "UpdateItem"):
        failure = bench.failure(operation, TableName="visits", Key=key)
        assert failure.message == "The provided key element does not match the schema"


def test_conditions_of_writes(bench: Bench) -> None:
    """A condition that does not hold changes nothing, and shows what is there on demand."""
    absent = {"ConditionExpression": "attribute_not_exists(id)"}
    bench.call("PutItem", TableName="people", Item=text(id="a", v="1"), **absent)
    failure = bench.failure("PutItem", TableName="people", Item=text(id="a", v="2"), **absent)
    assert failure == ServiceFailure(
        "ConditionalCheckFailedException", "The conditional request failed"
    )
    failure = bench.failure(
        "DeleteItem",
        TableName="people",
        Key=text(id="a"),
        ConditionExpression="v = :two",
        ExpressionAttributeValues={":two": {"S": "2"}},
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )
    assert json.loads(failure.details["response"]) == {"Item": text(id="a", v="1")}
    assert bench.call(("GetItem"), TableName="people", Key=text(id="a"))["Item"] == text(
        id="a", v="1"
    )


def test_return_values(bench: Bench) -> None:
    """Of each kind, where each may be."""
    put: dict[str, Any] = {"TableName": "people", "ReturnValues": "ALL_OLD"}
    assert bench.call("PutItem", Item=text(id="a", v="1"), **put) == {}
    assert bench.call("PutItem", Item=text(id="a", v="2"), **put) == {
        ("Attributes"): text(id="a", v="1")
    }

    def update(returned: str, value: str) -> Any:
        return bench.call(
            "UpdateItem",
            TableName="people",
            Key=text(id="a"),
            UpdateExpression="SET v = :v REMOVE w",
            ExpressionAttributeValues={":v": {"S": value}},
            ReturnValues=returned,
        ).get("Attributes")

    assert update("NONE", "3") is None
    assert update("ALL_OLD", "4") == text(id="a", v="3")
    assert update("ALL_NEW", "5") == text(id="a", v="5")
    assert update("UPDATED_OLD", "6") == text(v="5")
    assert update("UPDATED_NEW", "7") == text(v="7")
    delete: dict[str, Any] = {"TableName": "people", "Key": text(id="a"), "ReturnValues": "ALL_OLD"}
    assert bench.call("DeleteItem", **delete) == {"Attributes": text(id="a", v="7")}
    assert bench.call("DeleteItem", **delete) == {}
    message = bench.failure(
        "PutItem", TableName="people", Item=text(id="a"), ReturnValues="UPDATED_NEW"
    ).message
    assert message == "Return values set to invalid value"
    message = bench.failure(
        "PutItem", TableName="people", Item=text(id="a"), ReturnValues="x"
    ).message
    assert message.startswith("1 validation error detected: Value 'x' at 'returnValues' failed")


def test_removing_alone_makes_no_item(bench: Bench) -> None:
    """And no path is too deep for an item that is not there."""
    for expression in ("REMOVE v", "REMOVE v.w"):
        bench.call("UpdateItem", TableName="people", Key=text(id="a"), UpdateExpression=expression)
    assert bench.call("Scan", TableName="people")["Count"] == 0
    bench.call("UpdateItem", TableName="people", Key=text(id="a"))
    assert bench.call("Scan", TableName="people")["Items"] == [text(id="a")]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("SET", 'Syntax error; token: "<EOF>", near: "SET"'),
        ("", "The expression can not be empty;"),
        (
            "SET v = :v SET w = :v",
            'The "SET" section can only be used once in an update expression;',
        ),
        (
            "SET v = :v, v.w = :v",
            (
                "Two document paths overlap with each other; must remove or rewrite one of these "
                "paths; path one: [v], path two: [v, w]"
            ),
        ),
        (
            "SET v[1] = :v, v.w = :v",
            (
                "Two document paths conflict with each other; must remove or rewrite one of these "
                "paths; path one: [v, [1]], path two: [v, w]"
            ),
        ),
        ("SET v = f(:v)", "Invalid function name; function: f"),
        (
            "SET v = list_append(:v)",
            (
                "Incorrect number of operands for operator or function; operator or function: "
                "list_append, number of operands: 1"
            ),
        ),
        (
            "SET v = list_append(:v, w)",
            (
                "Incorrect operand type for operator or function; "
                "operator or function: list_append, "
                "operand type: S"
            ),
        ),
        (
            "SET v = list_append(list_append(v, w), x)",
            (
                "The function is not allowed to be used this way in an "
                "expression; function: list_append"
            ),
        ),
        (
            "SET v = if_not_exists(:v, :v)",
            "Operator or function requires a document path; operator or function: if_not_exists",
        ),
        (
            "ADD v :v",
            (
                "Incorrect operand type for operator or function; "
                "operator: ADD, operand type: STRING, "
                "typeSet: ALLOWED_FOR_ADD_OPERAND"
            ),
        ),
        ("SET name = :v", "Attribute name is a reserved keyword; reserved keyword: name"),
        (
            "SET #v = :v",
            (
                "An expression attribute name used in the document path is not defined; attribute "
                "name: #v"
            ),
        ),
        (
            "SET v = :w",
            "An expression attribute value used in expression is not defined; attribute value: :w",
        ),
        (
            "SET v = :v" + " " * 4087,
            "Expression size has exceeded the maximum allowed size; expression size: 4097",
        ),
    ],
)
def test_update_expressions_that_are_none(bench: Bench, expression: str, message: str) -> None:
    """Each is refused in DynamoDB's words."""
    failure = bench.failure(
        "UpdateItem",
        TableName="people",
        Key=text(id="a"),
        UpdateExpression=expression,
        ExpressionAttributeValues={":v": {"S": "x"}},
    )
    assert failure.code == "ValidationException"
    assert failure.message == f"Invalid UpdateExpression: {message}"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("v", 'Syntax error; token: "<EOF>", near: "v"'),
        ("((v = :n))", "The expression has redundant parentheses;"),
        (
            "v < :t",
            "Incorrect operand type for operator or function; operator: <, operand type: BOOL",
        ),
        (
            "begins_with(v, :n)",
            (
                "Incorrect operand type for operator or function; "
                "operator or function: begins_with, "
                "operand type: N"
            ),
        ),
        (
            "v BETWEEN :n AND :s",
            (
                "The BETWEEN operator requires same data type for lower "
                "and upper bounds; lower bound "
                "operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:x}"
            ),
        ),
        (
            "v BETWEEN :n AND :zero",
            (
                "The BETWEEN operator requires upper bound to be greater "
                "than or equal to lower bound; "
                "lower bound operand: AttributeValue: {N:1}, upper bound "
                "operand: AttributeValue: {N:0}"
            ),
        ),
        (
            "v = v",
            (
                "The first operand must be distinct from the remaining "
                "operands for this operator or "
                "function; operator: =, first operand: [v]"
            ),
        ),
        (
            "size(v)",
            "The function is not allowed to be used this way in an expression; function: size",
        ),
        (
            "contains(v, attribute_exists(w))",
            (
                "The function is not allowed to be used this way in an expression; function: "
                "attribute_exists"
            ),
        ),
        ("f(v)", "Invalid function name; function: f"),
        (
            "attribute_type(v, :s)",
            (
                "Invalid attribute type name found; type: x, valid types: "
                "{B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
            ),
        ),
        (
            "v IN (" + ", ".join([":n"] * 101) + ")",
            "The IN operator is provided with too many operands; number of operands: 101",
        ),
        (
            " OR ".join(["v = :n"] * 200),
            "The expression contains too many operators; operator count: 301",
        ),
    ],
)
def test_conditions_that_are_none(bench: Bench, expression: str, message: str) -> None:
    """Each is refused in DynamoDB's words."""
    values = {":n": {"N": "1"}, ":zero": {"N": "0"}, ":s": {"S": "x"}, ":t": {"BOOL": True}}
    used = {key: value for key, value in values.items() if key in expression}
    parameters: dict[str, Any] = {"ExpressionAttributeValues": used} if used else {}
    failure = bench.failure("Scan", TableName="people", FilterExpression=expression, **parameters)
    assert failure.message == f"Invalid FilterExpression: {message}"


def test_what_is_given_beside_an_expression_is_used(bench: Bench) -> None:
    """Or refused: a placeholder in vain is a mistake."""
    scan = {"TableName": "people", "FilterExpression": "v = :v"}
    value = {":v": {"N": "1"}}
    assert bench.call("Scan", ExpressionAttributeValues=value, **scan)["Count"] == 0
    for more, message in (
        (
            {"ExpressionAttributeValues": {**value, ":w": {"N": "1"}}},
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}",
        ),
        (
            {"ExpressionAttributeValues": value, "ExpressionAttributeNames": {"#a": "a"}},
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a}",
        ),
        ({"ExpressionAttributeValues": {}}, "ExpressionAttributeValues must not be empty"),
        (
            {"ExpressionAttributeValues": {"v": {"N": "1"}}},
            'ExpressionAttributeValues contains invalid key: Syntax error; key: "v"',
        ),
        (
            {"ExpressionAttributeValues": {":v": {"SS": []}}},
            (
                "ExpressionAttributeValues contains invalid value: One "
                "or more parameter values were "
                "invalid: An string set  may not be empty for key :v"
            ),
        ),
    ):
        assert bench.failure("Scan", **scan, **more).message == message
    message = bench.failure(
        "GetItem", TableName="people", Key=text(id="a"), ExpressionAttributeNames={"#a": "a"}
    ).message
    assert message == "ExpressionAttributeNames can only be specified when using expressions"


def test_keys_can_not_be_updated(bench: Bench) -> None:
    """Nor removed, whatever they are called in the expression."""
    message = bench.failure(
        "UpdateItem",
        TableName="people",
        Key=text(id="a"),
        UpdateExpression="REMOVE #key",
        ExpressionAttributeNames={"#key": "id"},
    ).message
    assert message == (
        "One or more parameter values were invalid: Cannot update attribute id. This attribute is "
        "part of the key"
    )


def test_updates_that_an_item_does_not_allow(bench: Bench) -> None:
    """Paths that lead nowhere, wrong types, values that are not there."""
    bench.call("PutItem", TableName="people", Item=text(id="a", v="x"))
    for expression, message in (
        (
            "SET v.w = :n",
            "The document path provided in the update expression is invalid for update",
        ),
        ("REMOVE x.w", "The document path provided in the update expression is invalid for update"),
        (
            "SET w = x + :n",
            "The provided expression refers to an attribute that does not exist in the item",
        ),
        ("SET w = v + :n", "An operand in the update expression has an incorrect data type"),
        ("ADD v :n", "An operand in the update expression has an incorrect data type"),
    ):
        values: dict[str, Any] = (
            {"ExpressionAttributeValues": {":n": {"N": "1"}}} if ":n" in expression else {}
        )
        failure = bench.failure(
            ("UpdateItem"),
            TableName="people",
            Key=text(id="a"),
            UpdateExpression=expression,
            **values,
        )
        assert (failure.code, failure.message) == ("ValidationException", message)
    assert bench.call(("GetItem"), TableName="people", Key=text(id="a"))["Item"] == text(
        id="a", v="x"
    )
