"""The tables of PartiQL statements: read with certainty, or refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faaskit.gate.operations.partiql import Target, read_statement
from faaskit.gate.service import Refusal


@pytest.mark.parametrize(
    ("statement", "target"),
    [
        ("SELECT * FROM Music", Target("PartiQLSelect", "Music")),
        ('select a, b.c from "Music" where a = ?', Target("PartiQLSelect", "Music")),
        ('SELECT * FROM "Music"."by-artist"', Target("PartiQLSelect", "Music", "by-artist")),
        ("SELECT a[0], b.c FROM Music ORDER BY a DESC", Target("PartiQLSelect", "Music")),
        ("SELECT *\nFROM Music\nWHERE a IN [1, 2.5]\n", Target("PartiQLSelect", "Music")),
        ("SELECT * FROM Music WHERE a = 'it''s -- fine'", Target("PartiQLSelect", "Music")),
        ("SELECT * FROM Music WHERE \"from\" = 'value'", Target("PartiQLSelect", "Music")),
        ("INSERT INTO Music VALUE {'value': 1, 'set': [1]}", Target("PartiQLInsert", "Music")),
        ("INSERT INTO \"Music\" value {'a': ?}", Target("PartiQLInsert", "Music")),
        ("UPDATE Music SET a = ? WHERE b = 'c'", Target("PartiQLUpdate", "Music")),
        ("UPDATE Music REMOVE a WHERE b = 1", Target("PartiQLUpdate", "Music")),
        ("UPDATE Music SET a = set_add(a, <<'x'>>) WHERE b = 1", Target("PartiQLUpdate", "Music")),
        ("DELETE FROM Music WHERE a = 1 RETURNING ALL OLD *", Target("PartiQLDelete", "Music")),
        ("EXISTS(SELECT * FROM Music WHERE a = 1)", Target("PartiQLSelect", "Music")),
    ],
)
def test_statement_is_about_its_table(statement: str, target: Target) -> None:
    """Its kind, its table, and its index."""
    assert read_statement(statement) == target


@pytest.mark.parametrize(
    "statement",
    [
        "",
        None,
        7,
        "x" * 9000,
        "SELECT",
        "SELECT * FROM",
        "DROP TABLE Music",
        "SELECT * FROM Music, Other",
        "SELECT * FROM Music m",
        "SELECT * FROM Music AS m, Other AS o",
        "SELECT * FROM Music UNION SELECT * FROM Other",
        "SELECT * FROM Music JOIN Other ON a = b",
        "SELECT (SELECT * FROM Other) FROM Music",
        "SELECT * FROM Music WHERE a IN (SELECT b FROM Other)",
        "SELECT * FROM Music WHERE EXISTS(SELECT b FROM Other)",
        "SELECT * FROM Music; DELETE FROM Other",
        "SELECT * -- FROM Other\nFROM Music",
        "SELECT * /* FROM Other */ FROM Music",
        "SELECT * FROM Music WHERE a = 1 -- b",
        "SELECT * FROM Music WHERE a = /* b */ 1",
        "SELECT * FROM `Music`",
        "SELECT * FROM 'Music'",
        "SELECT * FROM\tMusic",
        "SELECT * FROM\u00a0Music",
        "SELECT ' FROM Other ' FROM Music",
        'SELECT "a FROM Other " FROM Music',
        "SELECT 'a WHERE b' FROM Music",
        "SELECT * FROM Music WHERE a = 'b from Other '",
        'SELECT * FROM "Music.by-artist"',
        "SELECT * FROM Music.a.b",
        'SELECT * FROM "Mu""sic"',
        "SELECT * FROM ab",
        "SELECT * FROM arn:aws:dynamodb:us-east-1:123456789012:table/Music",
        "INSERT INTO Music SELECT * FROM Other",
        "INSERT INTO Music VALUE {'a': 1} INTO Other",
        "UPDATE Music",
        "UPDATE Music WHERE a = 1",
        "UPDATE Music SET a = 1 FROM Other",
        "UPDATE FROM SET a = 1",
        "DELETE Music WHERE a = 1",
        "DELETE FROM Music FROM Other",
        "EXISTS(DELETE FROM Music WHERE a = 1)",
        "EXISTS(SELECT * FROM Music) FROM Other",
        "EXISTS SELECT * FROM Music",
        "SELECT * FROM Music WHERE a = 'open",
    ],
)
def test_statement_that_may_be_read_in_two_ways_is_refused(statement: object) -> None:
    """With DynamoDB's error for a statement that it can't read."""
    with pytest.raises(Refusal) as caught:
        read_statement(statement)
    assert caught.value.failure.code == "ValidationException"


_piece = st.sampled_from(
    [
        *(
            "SELECT",
            "FROM",
            "WHERE",
            "INSERT",
            "INTO",
            "VALUE",
            "UPDATE",
            "SET",
            "DELETE",
            "EXISTS",
        ),
        *("*", ",", "(", ")", "{'a': 1}", "=", "?", "'x'", "' FROM hidden '", '"a FROM hidden "'),
        *("public", '"public"', "hidden", '"hidden"', ".", "--", ";", "\n", "m", "1"),
    ]
)


_head = st.sampled_from(
    ["SELECT", "SELECT * FROM public", "UPDATE public SET a = 1", "INSERT INTO public VALUE", ""]
)


@given(_head, st.lists(_piece, max_size=6))
def test_no_statement_hides_a_table_from_the_gate(head: str, pieces: list[str]) -> None:
    """One that is read as being about a table has no other one after a FROM or INTO."""
    statement = " ".join([head, *pieces]).strip()
    try:
        target = read_statement(statement)
    except Refusal:
        return
    # As moto's parser finds it, which looks at no quotes.
    named = re.split(r"FROM |INTO |UPDATE ", statement.replace("\n", " "), flags=re.IGNORECASE)[1:]
    assert {one.strip().strip('"').split()[0].split('"')[0] for one in named} <= {target.table}
