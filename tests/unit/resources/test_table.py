"""The handle of a table: in the app, and inside a function under its role."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from faaskit.app import App
from faaskit.exceptions import AccessDeniedError, DefinitionError, FunctionError, ServiceError
from faaskit.iam.statements import allow


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Return an app."""
    with App("shop", state=tmp_path) as made:
        yield made


def test_values_come_back_as_they_went_in(app: App) -> None:
    """Numbers as ints, or else Decimals; a float becomes what Python shows for it."""
    orders = app.table("orders", partition_key="id")
    item = {
        "id": "o-1",
        "count": 3,
        "price": Decimal("9.99"),
        "photo": b"\x00\xff",
        "paid": True,
        "note": None,
        "lines": [{"sku": "a", "n": 1}, "é", []],
        "tags": {"x", "y"},
        "sizes": {1, 2},
    }
    orders.put(item)
    assert orders.get(id="o-1") == item
    assert orders.get(id="o-2") is None
    orders.put({"id": "o-1", "price": 0.1})
    assert orders.get(id="o-1") == {"id": "o-1", "price": Decimal("0.1")}
    orders.delete(id="o-1")
    orders.delete(id="o-1")
    assert orders.get(id="o-1") is None


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (object(), TypeError),
        ({1, "a"}, TypeError),
        (set(), ValueError),
        (float("nan"), ValueError),
        ({1: "x"}, TypeError),
    ],
)
def test_values_that_there_are_not(app: App, value: Any, error: type[Exception]) -> None:
    """They are told at once, before anything is asked of the table."""
    with pytest.raises(error):
        app.table("orders", partition_key="id").put({"id": "a", "v": value})


def test_a_value_that_holds_itself(app: App) -> None:
    """It ends."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="holds itself"):
        app.table("orders", partition_key="id").put({"id": "a", "v": endless})


def test_update(app: App) -> None:
    """Every section at once; the item as it is now comes back."""
    orders = app.table("orders", partition_key="id")
    key = {"id": "o-1"}
    assert orders.update(key, remove=["v"]) == {}
    assert orders.update(key, set={"state": "new", "size of it": 1}, add={"n": 2}) == {
        "id": "o-1",
        "state": "new",
        "size of it": 1,
        "n": 2,
    }
    orders.update(key, add={"tags": {"a", "b"}})
    assert orders.update(
        key, set={"state": "paid"}, remove=["size of it"], add={"n": -1}, delete={"tags": {"a"}}
    ) == {"id": "o-1", "state": "paid", "n": 1, "tags": {"b"}}


def test_conditions(app: App) -> None:
    """What is there is not changed, and the code says why."""
    orders = app.table("orders", partition_key="id")
    orders.put({"id": "a", "v": 1}, condition="attribute_not_exists(id)")
    with pytest.raises(ServiceError) as caught:
        orders.put({"id": "a", "v": 2}, condition="attribute_not_exists(id)")
    assert caught.value.code == "ConditionalCheckFailedException"
    beside: dict[str, Any] = {
        "condition": "#v = :expected",
        "names": {"#v": "v"},
        "values": {":expected": 1},
    }
    assert orders.update({"id": "a"}, add={"v": 1}, **beside) == {"id": "a", "v": 2}
    with pytest.raises(ServiceError, match="conditional request failed"):
        orders.update({"id": "a"}, add={"v": 1}, **beside)


def test_query_and_scan_go_over_pages(app: App) -> None:
    """Each item once, in order, as many as asked for."""
    visits = app.table("visits", partition_key="id", sort_key=("seen", "N"))
    for seen in range(8):
        visits.put({"id": "a", "seen": seen, "v": "x" * 300_000})
    visits.put({"id": "b", "seen": 1})

    def seen_of(items: Iterator[dict[str, Any]]) -> list[int]:
        return [item["seen"] for item in items]

    assert seen_of(visits.query("a")) == list(range(8))
    assert seen_of(visits.query("a", reverse=True)) == list(reversed(range(8)))
    assert seen_of(visits.query("a", limit=5)) == list(range(5))
    assert seen_of(visits.query("a", between=(2, 6))) == list(range(2, 7))
    assert seen_of(visits.query("a", gte=6)) == [6, 7]
    assert seen_of(visits.query("a", lt=1)) == [0]
    odd: dict[str, Any] = {"filter": "#w = :one", "names": {"#w": "w"}, "values": {":one": 1}}
    for seen in (1, 5, 7):
        visits.update({"id": "a", "seen": seen}, set={"w": 1})
    assert seen_of(visits.query("a", limit=2, **odd)) == [1, 5]
    assert len(list(visits.scan())) == 9
    assert len(list(visits.scan(limit=4))) == 4
    assert len(list(visits.scan(limit=0))) == 0
    assert sorted(seen_of(visits.scan(**odd))) == [1, 5, 7]


def test_what_query_takes(app: App) -> None:
    """One condition, of those that there are, on a sort key that there is."""
    visits = app.table("visits", partition_key="id", sort_key="seen")
    for conditions in ({"like": 1}, {"gt": "a", "lt": "b"}, {"between": ("a",)}):
        with pytest.raises(TypeError):
            visits.query("a", **conditions)
    with pytest.raises(TypeError, match="no sort key"):
        app.table("orders", partition_key="id").query("a", gt=1)


def test_a_table_is_declared_once(app: App) -> None:
    """The same one each time; with other settings it is refused."""
    orders = app.table("orders", partition_key="id", sort_key=("seen", "N"), stream="NEW_IMAGE")
    assert app.table("orders") is orders
    assert app.tables == {"orders": orders}
    assert orders.arn == "arn:aws:dynamodb:us-east-1:123456789012:table/orders"
    assert repr(orders) == "Table('orders')"
    again = app.table("orders", partition_key="id", sort_key=("seen", "N"), stream="NEW_IMAGE")
    assert again is orders
    for settings in (
        {"partition_key": "id"},
        {"partition_key": ("id", "N"), "sort_key": ("seen", "N"), "stream": "NEW_IMAGE"},
        {"sort_key": "seen"},
    ):
        with pytest.raises(DefinitionError):
            app.table("orders", **settings)
    with pytest.raises(DefinitionError, match="partition_key='id'"):
        app.table("unknown")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("or", {"partition_key": "id"}, "3 to 255 characters"),
        ("or/ders", {"partition_key": "id"}, "3 to 255 characters"),
        ("orders", {"partition_key": ""}, "1 to 255 bytes"),
        ("orders", {"partition_key": "é" * 128}, "1 to 255 bytes"),
        ("orders", {"partition_key": ("id", "BOOL")}, "one of 'S'"),
        ("orders", {"partition_key": "id", "sort_key": "id"}, "are both 'id'"),
        ("orders", {"partition_key": "id", "stream": "ALL"}, "one of KEYS_ONLY"),
    ],
)
def test_what_dynamodb_does_not_take_is_told_at_once(
    app: App, name: str, settings: dict[str, Any], message: str
) -> None:
    """Names, keys and streams."""
    with pytest.raises(DefinitionError, match=message):
        app.table(name, **settings)


def test_a_table_travels_by_name(app: App) -> None:
    """To the very same one, where it is."""
    orders = app.table("orders", partition_key="id")
    assert pickle.loads(pickle.dumps(orders)) is orders


# --- inside a function ------------------------------------------------------------------


def test_inside_a_function_the_role_decides(app: App) -> None:
    """What is allowed is done; what is not is denied with its action and ARN."""
    orders = app.table("orders", partition_key="id", sort_key=("seen", "N"))

    @app.function(timeout=30)
    @allow("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Query", on=orders)
    def work(event: Any, context: Any) -> Any:
        orders.put({"id": "a", "seen": 1, "blob": b"\x00", "tags": {1}})
        orders.put({"id": "a", "seen": 2})
        new = orders.update({"id": "a", "seen": 1}, add={"n": 1})
        found = [item["seen"] for item in orders.query("a", gt=0)]
        try:
            orders.delete(id="a", seen=1)
        except AccessDeniedError as error:
            denied = [error.action, error.resource]
        return {"new": sorted(new), "found": found, "denied": denied}

    assert work.invoke({}).result() == {
        "new": ["blob", "id", "n", "seen", "tags"],
        "found": [1, 2],
        "denied": ["dynamodb:DeleteItem", orders.arn],
    }
    assert orders.get(id="a", seen=1) == {"id": "a", "seen": 1, "blob": b"\0", "tags": {1}, "n": 1}


def test_a_function_may_not_do_in_a_batch_what_it_may_not_do_alone(app: App) -> None:
    """Each table and each action of a batch or transaction is asked for."""
    mine, other = (app.table(name, partition_key="id") for name in ("mine", "other"))
    other.put({"id": "a"})

    @app.function(timeout=30)
    @allow("dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:PutItem", on=mine)
    def work(event: Any, context: Any) -> Any:
        from faaskit.runtimes.link import current_link

        link = current_link()
        assert link is not None
        reply = link.call("dynamodb", event["operation"], event["parameters"], None)
        return None if reply.failure is None else [reply.failure.code, reply.failure.message]

    put = {"Put": {"TableName": "mine", "Item": {"id": {"S": "b"}}}}
    delete = {"Delete": {"TableName": "mine", "Key": {"id": {"S": "b"}}}}
    steal = {"Put": {"TableName": "other", "Item": {"id": {"S": "b"}}}}
    keys = {"Keys": [{"id": {"S": "a"}}]}
    write = [{"PutRequest": {"Item": {"id": {"S": "b"}}}}]
    for operation, parameters, allowed in (
        ("BatchGetItem", {"RequestItems": {"mine": keys}}, True),
        ("BatchGetItem", {"RequestItems": {"mine": keys, "other": keys}}, False),
        ("BatchGetItem", {"RequestItems": {"mine": keys, other.arn: keys}}, False),
        ("BatchWriteItem", {"RequestItems": {"mine": write}}, True),
        ("BatchWriteItem", {"RequestItems": {"other": write}}, False),
        ("TransactWriteItems", {"TransactItems": [put]}, True),
        ("TransactWriteItems", {"TransactItems": [put, steal]}, False),
        ("TransactWriteItems", {"TransactItems": [delete]}, False),
    ):
        failure = work.invoke({"operation": operation, "parameters": parameters}).result()
        assert (failure is None) == allowed, (operation, failure)
        if failure is not None:
            assert failure[0] == "AccessDeniedException"
    assert list(other.scan()) == [{"id": "a"}]


def test_a_condition_that_fails_inside_is_the_functions_own_error(app: App) -> None:
    """With its code and words."""
    orders = app.table("orders", partition_key="id")
    orders.put({"id": "a"})

    @app.function(timeout=30)
    @allow("dynamodb:PutItem", on=orders)
    def work(event: Any, context: Any) -> None:
        orders.put({"id": "a"}, condition="attribute_not_exists(id)")

    with pytest.raises(FunctionError, match="The conditional request failed"):
        work.invoke({}).result()
