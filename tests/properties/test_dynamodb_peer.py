"""
Sequences of DynamoDB's calls, side by side on moto and on the app's own tables.

What is left out is what the two are known to differ in: docs/tables.md lists it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from moto_peer import ACCOUNT, REGION, Peers, peers

from faaskit.app import App
from faaskit.resources.dynamodb.service import DynamoDbService

_PLAIN, _SORTED = "plain", "sorted"
_NAMES = {"#n": "name"}
# Without the last one, which traces every line: moto has many.
_PHASES = tuple(phase for phase in Phase if phase is not Phase.explain)
# moto tells of these whether or not they were asked for.
_UNASKED = {"ConsumedCapacity", "ItemCollectionMetrics"}

_scalars = st.one_of(
    st.sampled_from(["", "a", "ab", "b", "é"]).map(lambda text: {"S": text}),
    st.sampled_from(["-1", "0", "1", "2.5", "10"]).map(lambda text: {"N": text}),
    st.sampled_from(["AA==", "AAE=", "/w=="]).map(lambda text: {"B": text}),
    st.booleans().map(lambda truth: {"BOOL": truth}),
    st.just({"NULL": True}),
)
_sets = st.one_of(
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, unique=True).map(lambda x: {"SS": x}),
    st.lists(st.sampled_from(["1", "2"]), min_size=1, unique=True).map(lambda x: {"NS": x}),
)
_values = st.one_of(
    _scalars,
    _sets,
    st.lists(_scalars, max_size=3).map(lambda x: {"L": x}),
    st.dictionaries(st.sampled_from(["x", "y"]), _scalars, max_size=2).map(lambda x: {"M": x}),
)
_attributes = st.dictionaries(st.sampled_from(["a", "b", "c", "name"]), _values, max_size=3)
_plain_keys = st.sampled_from(["1", "2", "3"]).map(lambda text: {"p": {"S": text}})
_sorted_keys = st.tuples(st.sampled_from(["1", "2"]), st.sampled_from(["-2", "0", "1", "10"])).map(
    lambda pair: {"p": {"S": pair[0]}, "s": {"N": pair[1]}}
)
_keys = st.one_of(
    st.tuples(st.just(_PLAIN), _plain_keys), st.tuples(st.just(_SORTED), _sorted_keys)
)
_numbers = st.sampled_from(["-1", "0", "1", "10"]).map(lambda text: {"N": text})
_texts = st.sampled_from(["", "a", "ab", "b"]).map(lambda text: {"S": text})
_comparable = st.one_of(_numbers, _texts)

# An expression, and the values that it needs beside it.
_conditions = st.one_of(
    st.sampled_from(["attribute_exists(p)", "attribute_not_exists(p)", "attribute_exists(b)"]).map(
        lambda text: (text, {})
    ),
    st.sampled_from(["a = :v", "NOT a = :v", "#n = :w OR a = :v"]).flatmap(
        lambda text: _values.map(
            lambda value: (
                f"attribute_exists(a) AND ({text})",
                {":v": value, **({":w": value} if ":w" in text else {})},
            )
        )
    ),
    st.sampled_from(["a <> :v", "attribute_not_exists(b) OR b <> :v"]).flatmap(
        lambda text: _scalars.map(
            lambda value: (f"attribute_exists(a) AND ({text})", {":v": value})
        )
    ),
    st.sampled_from(["a < :v", "a <= :v", "a > :v", "a >= :v"]).flatmap(
        lambda text: _numbers.map(
            lambda value: (f"attribute_type(a, :t) AND {text}", {":v": value, ":t": {"S": "N"}})
        )
    ),
    st.sampled_from(["begins_with(a, :v)", "contains(a, :v)"]).flatmap(
        lambda text: _texts.map(
            lambda value: (f"attribute_type(a, :t) AND {text}", {":v": value, ":t": {"S": "S"}})
        )
    ),
    st.just(("attribute_type(a, :t) AND size(a) > :n", {":t": {"S": "S"}, ":n": {"N": "1"}})),
    st.tuples(_scalars, _scalars).map(
        lambda pair: ("attribute_exists(a) AND a IN (:v, :w)", {":v": pair[0], ":w": pair[1]})
    ),
)
_maybe = st.one_of(st.none(), _conditions)
_updates = st.one_of(
    st.tuples(
        st.sampled_from(["SET a = :u", "SET #n = :u", "SET b = if_not_exists(b, :u)"]), _values
    ),
    st.tuples(st.just("SET a = :u REMOVE b"), _values),
    st.tuples(st.sampled_from(["ADD c :u"]), st.one_of(_numbers, _sets)),
    st.tuples(st.sampled_from(["DELETE c :u"]), _sets),
    st.tuples(st.just("SET c = :u, a = :u"), _values),
    st.tuples(st.sampled_from(["REMOVE a", "REMOVE a, #n"]), st.none()),
    st.tuples(st.just("SET a = c"), st.none()),
    st.tuples(st.just("SET b = b + :u"), _numbers),
    st.tuples(
        st.just("SET b = list_append(b, :u)"),
        st.lists(_scalars, max_size=2).map(lambda x: {"L": x}),
    ),
    st.tuples(st.just("SET b.x = :u"), _values),
)
_ranges: st.SearchStrategy[tuple[str, list[Any]]] = st.one_of(
    st.just(("", [])),
    st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), _numbers).map(
        lambda pair: (f" AND s {pair[0]} :s0", [pair[1]])
    ),
    st.sampled_from([("0", "1"), ("-2", "10"), ("1", "1")]).map(
        lambda pair: (" AND s BETWEEN :s0 AND :s1", [{"N": text} for text in pair])
    ),
)


@pytest.fixture(scope="module")
def both() -> Iterator[Peers]:
    """Lend both."""
    with peers("dynamodb") as made:
        yield made


def _beside(expression: str, values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if values:
        found["ExpressionAttributeValues"] = values
    if "#n" in expression:
        found["ExpressionAttributeNames"] = _NAMES
    return found


def _conditional(condition: tuple[str, dict[str, Any]] | None) -> dict[str, Any]:
    if condition is None:
        return {}
    return {"ConditionExpression": condition[0], **_beside(*condition)}


def _without_order(value: Any) -> Any:
    """Return what compares without the order of sets, which is no promise."""
    if isinstance(value, dict):
        return {
            name: sorted(inner) if name in {"SS", "NS", "BS"} else _without_order(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_without_order(inner) for inner in value]
    return value


class _Tables(RuleBasedStateMachine):
    """The same calls to both; what they say is the same, and so is what is there."""

    both: Peers

    def __init__(self) -> None:
        super().__init__()
        self.both.reset()
        self._folder = tempfile.TemporaryDirectory()
        self._app = App("peer", state=self._folder.name, clock=self.both.clock)
        self._app.table(_PLAIN, partition_key="p")
        self._app.table(_SORTED, partition_key="p", sort_key=("s", "N"))
        self.both.service = DynamoDbService(
            self._app._state,
            tables=self._app.tables,
            clock=self.both.clock,
            region=REGION,
            account=ACCOUNT,
        )

    def teardown(self) -> None:
        self._app.close()
        self._folder.cleanup()

    @initialize()
    def make(self) -> None:
        for table, keys in ((_PLAIN, {"p": "S"}), (_SORTED, {"p": "S", "s": "N"})):
            code, _ = self.both.moto(
                "CreateTable",
                TableName=table,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[
                    {"AttributeName": name, "AttributeType": kind} for name, kind in keys.items()
                ],
                KeySchema=[
                    {"AttributeName": name, "KeyType": role}
                    for name, role in zip(keys, ("HASH", "RANGE"), strict=False)
                ],
            )
            assert not code

    def _same(self, operation: str, **parameters: Any) -> Any:
        code, theirs = self.both.moto(operation, **parameters)
        ours_code, ours = self.both.ours(operation, **parameters)
        assert ours_code == code, (ours_code, ours, code, theirs)
        if not code:
            theirs = {name: value for name, value in theirs.items() if name not in _UNASKED}
            assert _without_order(ours) == _without_order(theirs)
        return theirs if not code else None

    @rule(
        key=_keys,
        attributes=_attributes,
        condition=_maybe,
        returned=st.sampled_from(["NONE", "ALL_OLD"]),
    )
    def put(
        self,
        key: tuple[str, Any],
        attributes: dict[str, Any],
        condition: tuple[str, Any] | None,
        returned: str,
    ) -> None:
        table, attribute = key
        self._same(
            "PutItem",
            TableName=table,
            Item={**attributes, **attribute},
            ReturnValues=returned,
            **_conditional(condition),
        )

    @rule(key=_keys, condition=_maybe, returned=st.sampled_from(["NONE", "ALL_OLD"]))
    def delete(
        self, key: tuple[str, Any], condition: tuple[str, Any] | None, returned: str
    ) -> None:
        self._same(
            "DeleteItem",
            TableName=key[0],
            Key=key[1],
            ReturnValues=returned,
            **_conditional(condition),
        )

    @rule(
        key=_keys,
        update=_updates,
        condition=_maybe,
        returned=st.sampled_from(["NONE", "ALL_OLD", "ALL_NEW"]),
    )
    def update(
        self,
        key: tuple[str, Any],
        update: tuple[str, Any],
        condition: tuple[str, Any] | None,
        returned: str,
    ) -> None:
        expression, value = update
        text, values = condition or ("", {})
        if not expression.startswith(("SET", "ADD")):
            text, values = "attribute_exists(p)", {}  # else moto makes an item of nothing
        values = {**values, **({} if value is None else {":u": value})}
        more = {"ConditionExpression": text} if text else {}
        self._same(
            "UpdateItem",
            TableName=key[0],
            Key=key[1],
            UpdateExpression=expression,
            ReturnValues=returned,
            **more,
            **_beside(expression + text, values),
        )

    @rule(key=_keys, projection=st.sampled_from([None, "a", "a, b", "#n", "p, c"]))
    def get(self, key: tuple[str, Any], projection: str | None) -> None:
        more: dict[str, Any] = {}
        if projection is not None:
            more = {"ProjectionExpression": projection, **_beside(projection, {})}
        self._same("GetItem", TableName=key[0], Key=key[1], **more)

    @rule(
        partition=st.sampled_from(["1", "2"]),
        run=_ranges,
        forward=st.booleans(),
        limit=st.sampled_from([None, 1, 2]),
        wanted=_maybe,
    )
    def query(
        self,
        partition: str,
        run: tuple[str, list[Any]],
        forward: bool,
        limit: int | None,
        wanted: tuple[str, dict[str, Any]] | None,
    ) -> None:
        condition, bounds = run
        text, values = wanted or ("", {})
        if "p" in text.replace("exp", ""):
            text, values = "", {}  # a filter may not look at the key
        values = {**values, ":p": {"S": partition}}
        values.update({f":s{number}": value for number, value in enumerate(bounds)})
        more: dict[str, Any] = {"FilterExpression": text} if text else {}
        if limit is not None:
            more["Limit"] = limit
        more |= {
            "TableName": _SORTED,
            "KeyConditionExpression": f"p = :p{condition}",
            "ScanIndexForward": forward,
            **_beside(text, values),
        }
        # Where a page ends at its limit and at the last item, moto may know that it is the last.
        ours, theirs = (_pages(ask, more) for ask in (self.both.ours, self.both.moto))
        assert ours == theirs

    @rule(
        puts=st.lists(st.tuples(_keys, _attributes), max_size=3, unique_by=lambda one: str(one[0])),
        deletes=st.lists(_keys, max_size=2, unique_by=str),
    )
    def write_batch(
        self, puts: list[tuple[tuple[str, Any], dict[str, Any]]], deletes: list[tuple[str, Any]]
    ) -> None:
        requests: dict[str, list[Any]] = {}
        for (table, key), attributes in puts:
            requests.setdefault(table, []).append({"PutRequest": {"Item": {**attributes, **key}}})
        for table, key in deletes:
            if (table, key) not in [one for one, _ in puts]:
                requests.setdefault(table, []).append({"DeleteRequest": {"Key": key}})
        if requests:
            self._same("BatchWriteItem", RequestItems=requests)

    @rule(keys=st.lists(_keys, min_size=1, max_size=4, unique_by=str))
    def get_batch(self, keys: list[tuple[str, Any]]) -> None:
        requests: dict[str, Any] = {}
        for table, key in keys:
            requests.setdefault(table, {"Keys": []})["Keys"].append(key)
        self._same("BatchGetItem", RequestItems=requests)

    @rule(
        parts=st.lists(
            st.tuples(
                _keys,
                st.sampled_from(["Put", "Delete", "ConditionCheck"]),
                _attributes,
                _conditions,
            ),
            min_size=1,
            max_size=3,
            unique_by=lambda part: str(part[0]),
        )
    )
    def transact(self, parts: list[tuple[tuple[str, Any], str, Any, Any]]) -> None:
        items = []
        for (table, key), kind, attributes, condition in parts:
            part = {"TableName": table, **_conditional(condition)}
            if kind == "Put":
                part["Item"] = {**attributes, **key}
            else:
                part["Key"] = key
            items.append({kind: part})
        self._same("TransactWriteItems", TransactItems=items)

    @rule(keys=st.lists(_keys, min_size=1, max_size=3, unique_by=str))
    def transact_get(self, keys: list[tuple[str, Any]]) -> None:
        gets = [{"Get": {"TableName": table, "Key": key}} for table, key in keys]
        self._same("TransactGetItems", TransactItems=gets)

    @invariant()
    def holds_the_same(self) -> None:
        if self.both.service is None or not self._app.tables:
            return
        for table in (_PLAIN, _SORTED):
            code, theirs = self.both.moto("Scan", TableName=table)
            if code:
                return  # not made yet
            _, ours = self.both.ours("Scan", TableName=table)
            assert _by_key(ours["Items"]) == _by_key(theirs["Items"])


def _pages(ask: Callable[..., tuple[str, Any]], parameters: dict[str, Any]) -> list[Any]:
    """Return the items of all pages."""
    found: list[Any] = []
    start: dict[str, Any] = {}
    while True:
        code, output = ask("Query", **parameters, **start)
        assert not code, output
        assert output["ScannedCount"] <= parameters.get("Limit", 100)
        found += _without_order(output["Items"])
        if "LastEvaluatedKey" not in output:
            return found
        start = {"ExclusiveStartKey": output["LastEvaluatedKey"]}


def _by_key(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {str((item["p"], item.get("s"))): _without_order(item) for item in items}


@pytest.mark.timeout(600)
def test_sequences_of_calls(both: Peers) -> None:
    """Whatever is done, both say the same and hold the same."""
    machine = type("Machine", (_Tables,), {"both": both})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(25, settings().max_examples // 4),
            stateful_step_count=20,
            phases=_PHASES,
        ),
    )
