"""Findings about promises and limits: from facts of a host, as data."""

from __future__ import annotations

from pathlib import Path

import pytest

from faaskit.runtimes.facts import read_facts
from faaskit.runtimes.promises import LIMITS, Facts, Level, gaps, limits, promises, unenforced

LEVELS: tuple[Level, ...] = ("process", "namespace")
DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("level", LEVELS)
def test_every_promise_and_limit_is_found_at_every_level(level: Level) -> None:
    """Ten promises in their order, and the five limits that can be accepted."""
    facts = read_facts(level)
    assert [one.number for one in promises(facts)] == list(range(1, 11))
    assert tuple(one.limit for one in limits(facts)) == LIMITS


@pytest.mark.parametrize("level", LEVELS)
def test_held_means_without_a_gap(level: Level) -> None:
    """And what has gaps lists them."""
    facts = Facts(level, root=True, controllers=frozenset(), finds_children=False)
    for one in (*promises(facts), *limits(facts)):
        assert (one.state in ("held with gaps", "not enforced")) == bool(one.gaps), one


def test_namespace_enforces_every_limit() -> None:
    """The level is there for this."""
    assert unenforced(Facts("namespace")) == {}
    assert unenforced(read_facts("namespace")) == {}


def test_process_enforces_neither_network_nor_readable() -> None:
    """Disk, memory and CPU have gaps there, and run."""
    assert set(unenforced(Facts("process"))) == {"network", "readable"}
    assert set(unenforced(read_facts("process"))) == {"network", "readable"}


@pytest.mark.parametrize("level", LEVELS)
def test_limit_that_can_not_be_measured_is_not_enforced(level: Level) -> None:
    """The watchdog has nothing to go by."""
    found = unenforced(Facts(level, reads_memory=False, reads_cpu=False))
    assert "/proc" in found["memory"]
    assert "CPU time" in found["cpu"]
    states = {one.number: one.state for one in promises(Facts(level, reads_memory=False))}
    assert states[3] == "not enforced"
    assert states[4] != "not enforced"


def test_kernel_without_lists_of_children_is_a_gap() -> None:
    """Not a refusal: the function itself is measured."""
    found = {one.number: one for one in promises(Facts("process", finds_children=False))}
    assert unenforced(Facts("process", finds_children=False)).keys() == {"network", "readable"}
    for number in (2, 3, 4):
        assert any("CONFIG_PROC_CHILDREN" in gap for gap in found[number].gaps)


def words(text: str) -> str:
    """Return a text with its lines joined."""
    return " ".join(text.replace("`", "").split())


@pytest.mark.parametrize(
    ("heading", "levels"),
    [
        ("### At both levels", set(LEVELS)),
        ("### At `process`", {"process"}),
        ("### At `namespace`", {"namespace"}),
    ],
)
def test_specification_lists_every_gap(heading: str, levels: set[Level]) -> None:
    """The page and `faaskit doctor` say the same, in the same words, under the same level."""
    page = (DOCS / "specification.md").read_text("utf-8")
    section = words(page.partition(f"{heading}\n")[2].partition("#")[0])
    every = list(gaps())
    wanted = {gap for _, gap in every if {level for level, text in every if text == gap} == levels}
    for gap in wanted:
        assert words(gap) in section, f"docs/specification.md lacks this gap {heading}: {gap}"
    assert section.count("- ") == len(wanted), "a gap is listed there that no longer exists"
