"""estimate: AWS's published examples to the cent, its edges, and what it refuses."""

from __future__ import annotations

import decimal
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from faaskit.billing import Estimate, estimate
from faaskit.exceptions import DefinitionError


def cents(usd: Decimal) -> str:
    """An amount as AWS's pricing page has it: rounded half up to cents."""
    return str(usd.quantize(Decimal("0.01"), ROUND_HALF_UP))


@pytest.mark.parametrize(
    ("usage", "compute", "requests", "storage", "total"),
    [
        pytest.param(
            {"requests": 3_000_000, "duration_ms": 120, "memory_size": 1536, "free_tier": True},
            *("2.33", "0.40", "0.00", "2.73"),
            id="mobile backend: within sight of the free tier",
        ),
        pytest.param(
            {"requests": 10_000 * 24 * 31, "duration_ms": 2000, "memory_size": 1024},
            *("248.00", "1.49", "0.00", "249.49"),
            id="telemetry: no free tier",
        ),
        pytest.param(
            {
                "requests": 6_000_000,
                "duration_ms": 280,
                "memory_size": 4096,
                "ephemeral_storage": 2048,
                "free_tier": True,
            },
            *("105.33", "1.00", "0.08", "106.41"),
            id="tickets: /tmp over 512 MB, which the free tier does not touch",
        ),
        pytest.param(
            # a million executions of 32 s in two invocations each
            {
                "requests": 2_000_000,
                "duration_ms": 16_000,
                "memory_size": 1024,
                "architecture": "arm64",
                "free_tier": True,
            },
            *("421.34", "0.20", "0.00", "421.54"),
            id="durable: arm64, compute and requests of it",
        ),
        pytest.param(
            {"requests": 75_000_000, "duration_ms": 60_000, "memory_size": 2048},
            *("145000.20", "15.00", "0.00", "145015.20"),
            id="portfolios: 9 billion GB-seconds, 3 of them in the second tier",
        ),
    ],
)
def test_aws_examples(
    usage: dict[str, Any], compute: str, requests: str, storage: str, total: str
) -> None:
    """AWS's published examples: each part to the cent, and the sum of the rounded parts."""
    month = estimate(**usage)
    parts = [cents(part) for part in (month.compute_usd, month.requests_usd, month.storage_usd)]
    assert parts == [compute, requests, storage]
    assert str(sum(map(Decimal, parts))) == total


def test_parts_are_exact() -> None:
    """Not rounded to cents: the digits are those of the multiplication by hand."""
    month = estimate(
        requests=3, duration_ms=1, memory_size=128, ephemeral_storage=1024, free_tier=False
    )
    assert month.requests_usd == Decimal("0.0000006")
    assert month.compute_usd == Decimal("0.0000166667") * 3 / 8000
    assert month.storage_usd == Decimal("0.0000000309") * 3 / 2000
    assert month.total_usd == month.requests_usd + month.compute_usd + month.storage_usd


@pytest.mark.parametrize(
    ("architecture", "gb_seconds", "usd"),
    [
        ("x86_64", 6_000_000_000, "100000.2"),
        ("x86_64", 6_000_000_001, "100000.200015"),
        ("x86_64", 15_000_000_000, "235000.2"),
        ("x86_64", 15_000_000_001, "235000.2000133334"),
        ("arm64", 7_500_000_000, "100000.5"),
        ("arm64", 7_500_000_001, "100000.5000120001"),
        ("arm64", 18_750_000_000, "235001.625"),
        ("arm64", 18_750_000_001, "235001.6250106667"),
    ],
)
def test_tier_boundaries(architecture: str, gb_seconds: int, usd: str) -> None:
    """The GB-second at a boundary has the old price, the next one the new."""
    month = estimate(
        requests=gb_seconds, duration_ms=1000, memory_size=1024, architecture=architecture
    )
    assert month.compute_usd == Decimal(usd)


def test_free_tier_comes_off_before_the_tiers() -> None:
    """400,000 GB-seconds more than the first tier still have the first tier's price."""
    usage: dict[str, Any] = {"duration_ms": 1000, "memory_size": 1024}
    with_free = estimate(requests=6_000_400_000, free_tier=True, **usage)
    assert with_free.compute_usd == estimate(requests=6_000_000_000, **usage).compute_usd


@pytest.mark.parametrize("requests", [0, 1, 1_000_000])
def test_the_free_tier_never_pays_out(requests: int) -> None:
    """Up to a million requests and 400,000 GB-seconds cost nothing, and no less."""
    month = estimate(requests=requests, duration_ms=400, memory_size=1024, free_tier=True)
    assert month == Estimate(Decimal(0), Decimal(0), Decimal(0))


def test_the_free_tiers_are_two() -> None:
    """Requests left over pay for no compute, and the other way round."""
    heavy = estimate(requests=1000, duration_ms=900_000, memory_size=10_240, free_tier=True)
    assert heavy.requests_usd == 0
    assert heavy.compute_usd > 0
    light = estimate(requests=2_000_000, duration_ms=1, memory_size=128, free_tier=True)
    assert light.requests_usd == Decimal("0.2")
    assert light.compute_usd == 0


@pytest.mark.parametrize(
    ("duration_ms", "billed_ms"), [(0, 1), (0.2, 1), (1, 1), (1.01, 2), (119.5, 120), (120.0, 120)]
)
def test_each_duration_is_rounded_up(duration_ms: float, billed_ms: int) -> None:
    """To whole ms and 1 at least, each invocation, before it is multiplied."""
    assert estimate(requests=1000, duration_ms=duration_ms, memory_size=128) == estimate(
        requests=1000, duration_ms=billed_ms, memory_size=128
    )


def test_no_requests_cost_nothing() -> None:
    """Not even the 1 ms that an invocation costs at least."""
    nothing = Estimate(Decimal(0), Decimal(0), Decimal(0))
    assert estimate(requests=0, duration_ms=100, memory_size=128) == nothing
    assert estimate(requests=-0.0, duration_ms=-0.0, memory_size=128) == nothing
    assert str(estimate(requests=-0.0, duration_ms=1, memory_size=128).requests_usd) == "0"


@pytest.mark.parametrize(
    "three_million",
    [3_000_000, 3e6, Decimal("3E+6"), np.int64(3_000_000), np.float64(3e6)],
    ids=["int", "float", "Decimal", "int64", "float64"],
)
def test_numbers_of_any_kind(three_million: Any) -> None:
    """The same number costs the same, whatever its type."""
    same = estimate(requests=3_000_000, duration_ms=120, memory_size=1536)
    assert estimate(requests=three_million, duration_ms=120, memory_size=1536) == same


def test_a_float_counts_as_what_it_prints() -> None:
    """0.1 requests are a tenth of a request, to the last digit."""
    month = estimate(requests=0.1, duration_ms=1, memory_size=128)
    assert month.requests_usd == Decimal("0.00000002")


@pytest.mark.parametrize("parameter", ["requests", "duration_ms"])
@pytest.mark.parametrize(
    "value",
    [
        -1,
        -0.5,
        Decimal(-1),
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        -(10**5000),
    ],
    ids=["-1", "-0.5", "D-1", "nan", "inf", "DNaN", "DsNaN", "DInfinity", "-1e5000"],
)
def test_what_is_no_amount_is_refused(parameter: str, value: Any) -> None:
    """Negative, NaN and infinite: the message has the parameter and what it takes."""
    usage: dict[str, Any] = {"requests": 1, "duration_ms": 1, parameter: value}
    with pytest.raises(DefinitionError, match=rf"^estimate: {parameter}=.*finite number from 0"):
        estimate(memory_size=128, **usage)


@pytest.mark.parametrize("parameter", ["requests", "duration_ms"])
@pytest.mark.parametrize("value", [True, False, None, "1", b"1", [1], 1j, Fraction(1, 3)], ids=repr)
def test_what_is_no_number_is_refused(parameter: str, value: Any) -> None:
    """A bool least of all; the message has the type and those that are taken."""
    usage: dict[str, Any] = {"requests": 1, "duration_ms": 1, parameter: value}
    with pytest.raises(DefinitionError, match=rf"{parameter}=.* of type {type(value).__name__}; "):
        estimate(memory_size=128, **usage)


@pytest.mark.parametrize(
    "usage",
    [
        {"memory_size": 127},
        {"memory_size": True},
        {"memory_size": 128.0},
        {"memory_size": 128, "ephemeral_storage": 10_241},
        {"memory_size": 128, "architecture": "arm"},
    ],
)
def test_sizes_that_aws_does_not_have(usage: dict[str, Any]) -> None:
    """What can't be bought has no price."""
    with pytest.raises(DefinitionError, match=r"^estimate: "):
        estimate(requests=1, duration_ms=1, **usage)


@pytest.mark.parametrize(
    "usage",
    [
        {"requests": Decimal("1E+999999")},
        {"requests": 10**5000},
        {"duration_ms": Decimal("1E+999999")},
        {"requests": Decimal("0." + "1" * 1200)},
        {"requests": Decimal("1E-9999999")},
    ],
    ids=["1E+999999", "10**5000", "1E+999999 ms", "1200 decimals", "1E-9999999"],
)
def test_what_can_not_be_exact_is_refused(usage: dict[str, Any]) -> None:
    """A figure beyond 1,000 digits is refused at once, never rounded and never worked on."""
    with pytest.raises(DefinitionError, match="round them"):
        estimate(**{"requests": 1, "duration_ms": 1, "memory_size": 129, **usage})


def test_the_callers_decimal_context_changes_nothing() -> None:
    """Neither its precision, its rounding nor its traps."""
    usage: dict[str, Any] = {
        "requests": 123_456_789_012_345,
        "duration_ms": 1234.5,
        "memory_size": 1769,
        "ephemeral_storage": 777,
        "free_tier": True,
    }
    expected = estimate(**usage)
    with decimal.localcontext() as context:
        context.prec = 4
        context.rounding = decimal.ROUND_FLOOR
        context.traps[decimal.Inexact] = True
        assert estimate(**usage) == expected


def test_it_leaves_the_callers_flags_alone() -> None:
    """A program that watches Inexact is not told of arithmetic that is not its own."""
    with decimal.localcontext() as context:
        context.clear_flags()
        estimate(requests=3e6, duration_ms=1.5, memory_size=1769, free_tier=True)
        assert not any(context.flags.values())


def test_figures_read_well() -> None:
    """No trailing zeros, and no exponent in a round sum."""
    month = estimate(requests=5_000_000, duration_ms=1000, memory_size=1024)
    assert str(month.requests_usd) == "1"
    assert str(estimate(requests=10**12, duration_ms=1, memory_size=128).requests_usd) == "200000"
    assert str(month.total_usd) == "84.3335"
