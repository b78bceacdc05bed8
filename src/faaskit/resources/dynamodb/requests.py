"""What the operations on items take, checked and understood. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from faaskit.gate.service import Refusal, excerpt
from faaskit.names import table_arn
from faaskit.resources.dynamodb.binding import Bindings, rejecting
from faaskit.resources.dynamodb.conditions import check_condition
from faaskit.resources.dynamodb.definition import DeclaredTable, TableSettings
from faaskit.resources.dynamodb.keys import Place, place_of, true_key
from faaskit.resources.dynamodb.paths import Branch, branches
from faaskit.resources.dynamodb.refusals import bad_value, invalid, no_such_table, unsupported
from faaskit.resources.dynamodb.syntax import Condition, Update
from faaskit.resources.dynamodb.updates import actions_of, check_update
from faaskit.resources.dynamodb.values import MAX_ITEM_BYTES, Item, checked_item, item_size
from faaskit.resources.members import Members

__all__ = [
    "Catalogue",
    "Kind",
    "Read",
    "Write",
    "capacity_asked",
    "choice",
    "condition_of",
    "flag",
    "members_of",
    "projection",
    "read_request",
    "refuse_legacy",
    "write_request",
]

Kind = Literal["Put", "Update", "Delete", "ConditionCheck"]

_CAPACITY = ("INDEXES", "TOTAL", "NONE")
_METRICS = ("SIZE", "NONE")
_RETURNED = ("NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW")
_ON_FAILURE = ("ALL_OLD", "NONE")
# Of before 2014. Each does what an expression does, in another way.
_LEGACY = {
    "AttributesToGet": "ProjectionExpression",
    "AttributeUpdates": "UpdateExpression",
    "ConditionalOperator": "an expression",
    "Expected": "ConditionExpression",
    "KeyConditions": "KeyConditionExpression",
    "QueryFilter": "FilterExpression",
    "ScanFilter": "FilterExpression",
}
_BESIDE = ("ExpressionAttributeNames", "ExpressionAttributeValues")
_OWN: Mapping[Kind, tuple[str, ...]] = {
    "Put": ("Item",),
    "Update": ("Key", "UpdateExpression"),
    "Delete": ("Key",),
    "ConditionCheck": ("Key",),
}
_ALONE = ("ReturnValues", "ReturnConsumedCapacity", "ReturnItemCollectionMetrics")
_ARN = re.compile(r"arn:[^:]*:dynamodb:[^:]*:[^:]*:table/[^/]+")


@frozen
class Catalogue:
    """
    The tables that an app declares.

    Attributes:
        tables: By name.
        region: The app's, in ARNs.
        account: The app's, too.
    """

    tables: Mapping[str, DeclaredTable]
    region: str
    account: str

    def named(self, given: object) -> str | None:
        """Return the name of the table that a name or ARN means; None where there is none."""
        if not isinstance(given, str):
            return None
        name = given.rpartition("/")[2] if _ARN.fullmatch(given) else given
        if name not in self.tables or given not in {name, self.arn(name)}:
            return None
        return name

    def settings(self, given: object) -> tuple[str, TableSettings]:
        """
        Return the name and settings of the table that a request names.

        Raises:
            Refusal: There is none.
        """
        name = self.named(given)
        if name is None:
            if not isinstance(given, str):
                msg = f"TableName is {excerpt(given)}: DynamoDB takes a table's name or ARN"
                raise invalid(msg)
            raise no_such_table()
        return name, self.tables[name].settings

    def arn(self, name: str) -> str:
        """Return a table's ARN."""
        return table_arn(name, region=self.region, account=self.account)


@frozen
class Write:
    """
    One change of one item, or only a look at it.

    Attributes:
        key: As DynamoDB has it: attribute values by name.
        item: What is put.
        update: None for an update that changes nothing but makes the item.
        returned: Of ``ReturnValues``.
        shown: Whether a failure of the condition tells what is there.
    """

    kind: Kind
    table: str
    settings: TableSettings
    place: Place
    key: Item
    item: Item | None = None
    update: Update | None = None
    condition: Condition | None = None
    returned: str = "NONE"
    shown: bool = False


@frozen
class Read:
    """
    A look at one item.

    Attributes:
        paths: What of it is wanted; None is all.
        consistent: For what it would cost; every read is.
    """

    table: str
    settings: TableSettings
    place: Place
    key: Item
    paths: Branch | None = None
    consistent: bool = False


def members_of(of: str, parameters: object) -> Members:
    """
    Return a request's parameters, or those of a part of one.

    Raises:
        Refusal: They are none.
    """
    if not isinstance(parameters, Mapping):
        msg = f"{of} is {excerpt(parameters)}: DynamoDB takes a structure"
        raise invalid(msg)
    return Members(of, parameters, _missing)


def write_request(kind: Kind, members: Members, tables: Catalogue, *, alone: bool) -> Write:
    """
    Return the change that a request asks for.

    Args:
        kind: What it does.
        members: Of PutItem, UpdateItem or DeleteItem; or of a transaction's part.
        tables: Those that there are.
        alone: False for a transaction's part, which takes less.

    Raises:
        Refusal: DynamoDB does not take it.
    """
    refuse_legacy(members)
    members.only(
        "TableName",
        "ConditionExpression",
        "ReturnValuesOnConditionCheckFailure",
        *_BESIDE,
        *_OWN[kind],
        *(_ALONE if alone else ()),
    )
    table, settings = tables.settings(
        members.required("TableName", members.values.get("TableName"))
    )
    bindings = Bindings(members.values)
    item = None
    if kind == "Put":
        item = _item(members)
        place = place_of(settings, item)
        key = {one.name: item[one.name] for one in settings.keys}
    else:
        key = _key(members)
        place = true_key(settings, key)
    update = _update(bindings, members, settings) if kind == "Update" else None
    condition = condition_of(bindings, "ConditionExpression", members)
    if kind == "ConditionCheck":
        members.required("ConditionExpression", condition)
    bindings.finish()
    choice(members, "ReturnItemCollectionMetrics", _METRICS)  # tables here have no local indexes
    return Write(
        kind=kind,
        table=table,
        settings=settings,
        place=place,
        key=key,
        item=item,
        update=update,
        condition=condition,
        returned=_returned(kind, members),
        shown=choice(members, "ReturnValuesOnConditionCheckFailure", _ON_FAILURE) == "ALL_OLD",
    )


def read_request(members: Members, tables: Catalogue, *, alone: bool) -> Read:
    """
    Return the look that GetItem, or a part of TransactGetItems, asks for.

    Raises:
        Refusal: DynamoDB does not take it.
    """
    refuse_legacy(members)
    rest = ("ConsistentRead", "ReturnConsumedCapacity") if alone else ()
    members.only("TableName", "Key", "ProjectionExpression", "ExpressionAttributeNames", *rest)
    table, settings = tables.settings(
        members.required("TableName", members.values.get("TableName"))
    )
    bindings = Bindings(members.values)
    paths = projection(bindings, members)
    bindings.finish()
    key = _key(members)
    place = true_key(settings, key)
    return Read(table, settings, place, key, paths, flag(members, "ConsistentRead"))


def refuse_legacy(members: Members) -> None:
    """Refuse the parameters of before 2014, which expressions took the place of."""
    for name, instead in _LEGACY.items():
        if members.has(name):
            what = f"{members.of}'s parameter {name}"
            raise unsupported(what, instead=f"it does what {instead} does")


def capacity_asked(members: Members) -> str:
    """Return what is to be told of consumed capacity: ``NONE``, ``TOTAL`` or ``INDEXES``."""
    return choice(members, "ReturnConsumedCapacity", _CAPACITY)


def projection(bindings: Bindings, members: Members) -> Branch | None:
    """Return what a projection asks for; None is all."""
    paths = bindings.paths(members.values.get("ProjectionExpression"))
    return None if paths is None else branches("ProjectionExpression", paths)


def flag(members: Members, name: str, *, default: bool = False) -> bool:
    """Return a member that is true or false."""
    value = members.values.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        msg = f"{members.of}'s {name} is {excerpt(value)}: pass true or false"
        raise invalid(msg)
    return value


def choice(members: Members, name: str, known: tuple[str, ...]) -> str:
    """Return a member that is one of a few words; NONE where it is not there."""
    value = members.values.get(name)
    if value is None:
        return "NONE"
    if not isinstance(value, str) or value not in known:
        label = name[:1].lower() + name[1:]
        shown = value if isinstance(value, str) else excerpt(value)
        msg = (
            f"1 validation error detected: Value '{excerpt(shown)[1:-1]}' at '{label}' failed to "
            f"satisfy constraint: Member must satisfy enum value set: [{', '.join(known)}]"
        )
        raise invalid(msg)
    return value


def condition_of(bindings: Bindings, name: str, members: Members) -> Condition | None:
    """Return a condition that can be decided; None where there is none."""
    condition = bindings.condition(name, members.values.get(name))
    if condition is not None:
        rejecting(name, check_condition, condition)
    return condition


def _item(members: Members) -> Item:
    item = checked_item(members.required("Item", members.values.get("Item")))
    if item_size(item, MAX_ITEM_BYTES) > MAX_ITEM_BYTES:
        msg = "Item size has exceeded the maximum allowed size"
        raise invalid(msg)
    return item


def _key(members: Members) -> Item:
    return checked_item(members.required("Key", members.values.get("Key")), "Key")


def _update(bindings: Bindings, members: Members, settings: TableSettings) -> Update | None:
    update = bindings.update(members.values.get("UpdateExpression"))
    if update is None:
        return None
    rejecting("UpdateExpression", check_update, update)
    keys = {key.name for key in settings.keys}
    for action in actions_of(update):
        if action.path.parts[0] in keys:
            msg = (
                f"Cannot update attribute {action.path.parts[0]}. This attribute is part of the key"
            )
            raise bad_value(msg)
    return update


def _returned(kind: Kind, members: Members) -> str:
    returned = choice(members, "ReturnValues", _RETURNED)
    if kind != "Update" and returned not in {"NONE", "ALL_OLD"}:
        msg = "Return values set to invalid value"
        raise invalid(msg)
    return returned


def _missing(name: str) -> Refusal:
    label = name[:1].lower() + name[1:]
    msg = (
        f"1 validation error detected: Value null at '{label}' failed to satisfy constraint: "
        "Member must not be null"
    )
    return invalid(msg)
