"""Billing against a brute-force oracle, and the laws that any tariff of AWS's kind keeps."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from faaskit.billing import Bill, Estimate, MemoryTier, Meter, estimate

# The oracle's own copy of the prices: where each tier begins, in GB-seconds, and its price.
_TIERS = {
    "x86_64": [
        (0, Fraction("0.0000166667")),
        (6_000_000_000, Fraction("0.000015")),
        (15_000_000_000, Fraction("0.0000133334")),
    ],
    "arm64": [
        (0, Fraction("0.0000133334")),
        (7_500_000_000, Fraction("0.0000120001")),
        (18_750_000_000, Fraction("0.0000106667")),
    ],
}
_SLICE = 250_000_000  # GB-seconds; every tier begins at a multiple of it

architectures = st.sampled_from(["x86_64", "arm64"])
memory_sizes = st.integers(128, 10_240)
storage_sizes = st.integers(512, 10_240)
# Up to where 128 MB and 1 ms reach no second tier, and 10 GB and 900 s are far in the third.
request_counts = st.one_of(
    st.integers(0, 10_000_000_000),
    st.decimals(0, 10_000_000_000, allow_nan=False, places=3),
    st.floats(0, 1e10, allow_nan=False),
)
durations_ms = st.one_of(
    st.integers(0, 900_000),
    st.decimals(0, 900_000, allow_nan=False, places=6),
    st.floats(0, 900_000, allow_nan=False),
)
usages = st.fixed_dictionaries(
    {
        "requests": request_counts,
        "duration_ms": durations_ms,
        "memory_size": memory_sizes,
        "ephemeral_storage": storage_sizes,
        "architecture": architectures,
        "free_tier": st.booleans(),
    }
)
statuses = st.sampled_from(["ok", "error", "timeout", "out_of_memory", "exit", "signal"])
meters = st.builds(
    Meter,
    request_id=st.uuids().map(str),
    memory_size=memory_sizes,
    ephemeral_storage=storage_sizes,
    architecture=architectures,
    duration_ms=st.floats(0, 900_000),
    init_duration_ms=st.none() | st.floats(0, 900_000),
    max_memory_used_mb=st.integers(0, 20_000),
    cpu_time_ms=st.floats(0, 1e7),
    status=statuses,
)


def fraction(figure: Any) -> Fraction:
    """A figure as its text has it, exact."""
    return Fraction(str(figure))


def sliced_usd(gb_seconds: Fraction, architecture: str) -> Fraction:
    """Price GB-seconds slice by slice, each at the price where it begins."""
    usd, at = Fraction(0), Fraction(0)
    while at < gb_seconds:
        step = min(Fraction(_SLICE), gb_seconds - at)
        price = [usd for begin, usd in _TIERS[architecture] if begin <= at][-1]
        usd, at = usd + step * price, at + step
    return usd


def oracle(usage: dict[str, Any]) -> list[Fraction]:
    """Requests, compute and storage of a month, from AWS's rules and nothing of ours."""
    requests = fraction(usage["requests"])
    seconds = requests * max(1, math.ceil(fraction(usage["duration_ms"]))) / 1000
    compute = seconds * usage["memory_size"] / 1024
    storage = seconds * (usage["ephemeral_storage"] - 512) / 1024
    if usage["free_tier"]:
        requests = max(Fraction(0), requests - 1_000_000)
        compute = max(Fraction(0), compute - 400_000)
    return [
        requests * Fraction("0.2") / 1_000_000,
        sliced_usd(compute, usage["architecture"]),
        storage * Fraction("0.0000000309"),
    ]


def parts(month: Estimate) -> list[Decimal]:
    """Requests, compute and storage of an estimate."""
    return [month.requests_usd, month.compute_usd, month.storage_usd]


@given(usages)
def test_estimate_is_the_oracles(usage: dict[str, Any]) -> None:
    """Every part and their sum are exactly what pricing slice by slice gives."""
    month = estimate(**usage)
    expected = oracle(usage)
    assert [Fraction(part) for part in parts(month)] == expected
    assert Fraction(month.total_usd) == sum(expected)


@given(
    st.integers(0, 80).map(lambda slices: slices * _SLICE),
    st.integers(-2, 2),
    architectures,
    st.booleans(),
)
@example(6_000_000_000, 0, "x86_64", False)
@example(18_750_000_000, 1, "arm64", True)
def test_boundaries_are_the_oracles(
    gb_seconds: int, off_by: int, architecture: str, free_tier: bool
) -> None:
    """Also at each boundary itself, a GB-second before and after, free tier or not."""
    usage: dict[str, Any] = {
        "requests": max(0, gb_seconds + off_by + (400_000 if free_tier else 0)),
        "duration_ms": 1000,
        "memory_size": 1024,
        "ephemeral_storage": 512,
        "architecture": architecture,
        "free_tier": free_tier,
    }
    assert [Fraction(part) for part in parts(estimate(**usage))] == oracle(usage)


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ("requests", request_counts),
        ("duration_ms", durations_ms),
        ("memory_size", memory_sizes),
        ("ephemeral_storage", storage_sizes),
    ],
)
def test_more_never_costs_less(parameter: str, values: st.SearchStrategy[Any]) -> None:
    """Each part is monotone in requests, duration, memory and storage, across tiers, too."""

    @given(usages, values, values)
    def check(usage: dict[str, Any], one: Any, other: Any) -> None:
        less, more = sorted([one, other], key=fraction)
        cheaper = parts(estimate(**{**usage, parameter: less}))
        dearer = parts(estimate(**{**usage, parameter: more}))
        assert all(low <= high for low, high in zip(cheaper, dearer, strict=True))

    check()


@given(usages, st.integers(0, 10**6), st.integers(0, 10**6))
def test_within_a_tier_costs_add_up(usage: dict[str, Any], one: int, other: int) -> None:
    """Two halves of a month cost what the month does, as long as no tier is left."""
    # 600 GB-seconds at the most each: 2 million requests of them are in the first tier.
    usage = {
        **usage,
        "free_tier": False,
        "duration_ms": min(math.ceil(fraction(usage["duration_ms"])), 60_000),
    }

    def usd(requests: int) -> list[Fraction]:
        return [Fraction(part) for part in parts(estimate(**{**usage, "requests": requests}))]

    assert [a + b for a, b in zip(usd(one), usd(other), strict=True)] == usd(one + other)


@given(usages, st.integers(0, 10**10))
def test_together_is_never_dearer_than_apart(usage: dict[str, Any], more: int) -> None:
    """Across tiers, volume only saves (without the free tier, which comes but once)."""
    usage = {**usage, "requests": int(usage["requests"]), "free_tier": False}
    apart = estimate(**usage).total_usd, estimate(**{**usage, "requests": more}).total_usd
    together = estimate(**{**usage, "requests": usage["requests"] + more}).total_usd
    assert Fraction(together) <= sum(map(Fraction, apart))


@given(usages)
def test_the_free_tier_saves_what_it_is_worth_at_most(usage: dict[str, Any]) -> None:
    """Never more than a million requests and 400,000 GB-seconds at the first price."""
    full = estimate(**{**usage, "free_tier": False})
    free = estimate(**{**usage, "free_tier": True})
    assert 0 <= full.requests_usd - free.requests_usd <= Decimal("0.2")
    worth = 400_000 * _TIERS[usage["architecture"]][0][1]
    assert 0 <= Fraction(full.compute_usd) - Fraction(free.compute_usd) <= worth
    assert full.storage_usd == free.storage_usd


@given(usages)
def test_a_float_costs_what_its_text_costs(usage: dict[str, Any]) -> None:
    """The same figure as int, float or Decimal of the same text gives the same price."""
    text = {name: Decimal(str(usage[name])) for name in ("requests", "duration_ms")}
    assert estimate(**usage) == estimate(**{**usage, **text})


@given(meters)
def test_billed_duration_is_the_next_whole_ms(meter: Meter) -> None:
    """The least int that covers INIT and handler together, 1 at least."""
    used = fraction(meter.duration_ms) + fraction(meter.init_duration_ms or 0)
    billed = meter.billed_duration_ms
    assert billed >= used
    assert billed == 1 or billed - 1 < used


@given(meters)
def test_a_meter_costs_one_request_of_an_estimate(meter: Meter) -> None:
    """One invocation costs what a month of one request does."""
    month = estimate(
        requests=1,
        duration_ms=meter.billed_duration_ms,
        memory_size=meter.memory_size,
        ephemeral_storage=meter.ephemeral_storage,
        architecture=meter.architecture,
    )
    assert meter.cost_usd == month.total_usd


@given(memory_sizes, architectures, st.integers(1, 900_000))
def test_compute_is_the_tiers_price_per_ms(
    memory_size: int, architecture: str, duration_ms: int
) -> None:
    """usd_per_ms times billed ms is the compute of an invocation, to the last digit."""
    month = estimate(
        requests=1, duration_ms=duration_ms, memory_size=memory_size, architecture=architecture
    )
    per_ms = MemoryTier(memory_size, architecture).usd_per_ms
    assert Fraction(month.compute_usd) == Fraction(per_ms) * duration_ms


@given(meters)
def test_the_report_line_agrees_with_the_meter(meter: Meter) -> None:
    """One line of tabs; the billed duration is the meter's, and memory never passes its size."""
    line = meter.report_line()
    fields = dict(part.split(": ") for part in line.removeprefix("REPORT ").split("\t") if part)
    assert "\n" not in line
    assert fields["RequestId"] == meter.request_id
    assert fields["Billed Duration"] == f"{meter.billed_duration_ms} ms"
    assert int(fields["Max Memory Used"].removesuffix(" MB")) <= meter.memory_size
    assert ("Init Duration" in fields) == (meter.init_duration_ms is not None)
    assert ("Status" in fields) == (meter.status not in {"ok", "error"})


@given(st.lists(st.tuples(st.sampled_from("fgh"), statuses, meters)))
def test_a_bill_is_the_sum_of_its_records(entries: list[tuple[str, Any, Meter]]) -> None:
    """Total, functions and records are three views of the same sum, exact."""
    bill = Bill()
    for name, status, meter in entries:
        bill.record(name, status, meter)
        bill.record_init(
            name,
            init_duration_ms=meter.duration_ms,
            memory_size=meter.memory_size,
            ephemeral_storage=meter.ephemeral_storage,
            architecture=meter.architecture,
        )
    by_function, records = bill.by_function(), bill.records()

    assert Fraction(bill.total_usd) == sum(Fraction(r.meter.cost_usd) for r in records)
    assert Fraction(bill.total_usd) == sum(Fraction(f.cost_usd) for f in by_function.values())
    assert sum(f.invocations for f in by_function.values()) == len(entries)
    assert sum(f.inits for f in by_function.values()) == len(entries)
    assert sum(f.errors for f in by_function.values()) == sum(e[1] != "ok" for e in entries)
    assert sum(f.billed_duration_ms for f in by_function.values()) == sum(
        r.meter.billed_duration_ms for r in records
    )
    assert sum(Fraction(f.gb_seconds) for f in by_function.values()) == sum(
        Fraction(r.meter.gb_seconds) for r in records
    )
