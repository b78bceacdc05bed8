"""The meter: what is billed, what it costs, and AWS's REPORT line."""

from __future__ import annotations

import decimal
import pickle
from decimal import Decimal
from typing import Any

import attrs
import numpy as np
import pytest

from faaskit.billing import Meter
from faaskit.exceptions import DefinitionError

_ID = "5c0cd0ad-9d2f-4c1a-8f0e-7a3f5b1d2e66"


def meter(**figures: Any) -> Meter:
    """A meter with figures that don't matter, but for those given."""
    plain = {
        "request_id": _ID,
        "memory_size": 128,
        "duration_ms": 15.74,
        "max_memory_used_mb": 56,
        "cpu_time_ms": 9.5,
    }
    return Meter(**{**plain, **figures})


@pytest.mark.parametrize(
    ("duration_ms", "init_duration_ms", "billed_ms"),
    [
        (0.0, None, 1),
        (0.001, None, 1),
        (1.0, None, 1),
        (1.0001, None, 2),
        (15.74, None, 16),
        (3000.0, None, 3000),
        # AWS's own examples since INIT is billed: the sum is rounded, not the parts.
        (15.74, 130.49, 147),
        (3000.0, 67.49, 3068),
        (0.4, 0.4, 1),
        (0.0, 0.0, 1),
        (0.9, 0.1, 1),  # the binary fractions are a little more than 1
        (1.1, 2.2, 4),
        (1.0, 1e-17, 2),  # a sum of floats would be 1
        (900_000.0, 129_999.5, 1_030_000),
    ],
)
def test_billed_duration(
    duration_ms: float, init_duration_ms: float | None, billed_ms: int
) -> None:
    """INIT that was waited for and handler, together, rounded up to whole ms; 1 at least."""
    billed = meter(duration_ms=duration_ms, init_duration_ms=init_duration_ms).billed_duration_ms
    assert (billed, type(billed)) == (billed_ms, int)


@pytest.mark.parametrize(
    ("figures", "usd"),
    [
        # 0.0000002 a request, 1 ms of 1/8 GB at 0.0000166667 a GB-second
        ({"duration_ms": 1.0}, "0.0000002020833375"),
        ({"duration_ms": 1.0, "architecture": "arm64"}, "0.000000201666675"),
        ({"duration_ms": 1000.0, "memory_size": 1024}, "0.0000168667"),
        # INIT is billed like the handler
        (
            {"duration_ms": 400.0, "init_duration_ms": 600.0, "memory_size": 1024},
            "0.0000168667",
        ),
        # and 1 GB of /tmp over the 512 MB at 0.0000000309 a GB-second
        (
            {"duration_ms": 1000.0, "memory_size": 1024, "ephemeral_storage": 1536},
            "0.0000168976",
        ),
        # An INIT ahead of any call is no request
        ({"duration_ms": 0.0, "init_duration_ms": 1.0, "requests": 0}, "0.0000000020833375"),
    ],
)
def test_cost(figures: dict[str, Any], usd: str) -> None:
    """Request, compute and storage, to the last digit."""
    assert meter(**figures).cost_usd == Decimal(usd)


def test_cost_is_independent_of_the_callers_context() -> None:
    """A program that works with three digits gets the whole cost all the same."""
    figures = {"duration_ms": 123_456.7, "memory_size": 1769, "ephemeral_storage": 777}
    expected = meter(**figures).cost_usd
    with decimal.localcontext() as context:
        context.prec = 3
        context.traps[decimal.Inexact] = True
        context.Emin = -2
        assert meter(**figures).cost_usd == expected
    assert len(expected.as_tuple().digits) > 10


def test_the_parts_of_the_cost() -> None:
    """The tier and the GB-seconds that a meter shows are those that it is billed by."""
    one = meter(memory_size=512, architecture="arm64", duration_ms=2000.0)
    assert one.gb_seconds == 1
    assert one.memory_tier.memory_size == 512
    assert one.cost_usd == Decimal("0.0000002") + 2000 * one.memory_tier.usd_per_ms
    assert one.memory_tier.usd_per_ms * 2000 == Decimal("0.0000133334")


@pytest.mark.parametrize(
    ("measured", "shown"),
    [(55.000001, 56), (56, 56), (0, 0), (127.99, 128), (Decimal("1.5"), 2), (np.float64(1.5), 2)],
)
def test_memory_is_rounded_up(measured: Any, shown: int) -> None:
    """Part of a MB counts as one, as a plain int: bytes / 2**20 can be given as it is."""
    kept = meter(max_memory_used_mb=measured).max_memory_used_mb
    assert (kept, type(kept)) == (shown, int)


# -- the REPORT line ---------------------------------------------------------------------

_HEAD = f"REPORT RequestId: {_ID}\tDuration: 15.74 ms\tBilled Duration: "


@pytest.mark.parametrize(
    ("figures", "rest"),
    [
        ({}, "16 ms\tMemory Size: 128 MB\tMax Memory Used: 56 MB\t"),
        (
            {"init_duration_ms": 130.49},
            "147 ms\tMemory Size: 128 MB\tMax Memory Used: 56 MB\tInit Duration: 130.49 ms\t",
        ),
        (
            # waited for, if only for an instant
            {"init_duration_ms": 0.0},
            "16 ms\tMemory Size: 128 MB\tMax Memory Used: 56 MB\tInit Duration: 0.00 ms\t",
        ),
        (
            {"status": "error", "error_type": "KeyError"},
            "16 ms\tMemory Size: 128 MB\tMax Memory Used: 56 MB\t",
        ),
        (
            {"status": "error", "error_type": "Runtime.MarshalError"},
            "16 ms\tMemory Size: 128 MB\tMax Memory Used: 56 MB\t",
        ),
        (
            {"status": "error", "error_type": "Runtime.ImportModuleError"},
            (
                "16 ms\tMemory Size: 128 MB\tMax Memory Used: 56 MB\t"
                "Status: error\tError Type: Runtime.ImportModuleError"
            ),
        ),
        (
            {"status": "timeout"},
            "16 ms\tMemory Size: 128 MB\tMax Memory Used: 56 MB\tStatus: timeout",
        ),
        (
            {"status": "timeout", "init_duration_ms": 67.494, "error_type": "Sandbox.Timedout"},
            (
                "84 ms\tMemory Size: 128 MB\tMax Memory Used: 56 MB\t"
                "Init Duration: 67.49 ms\tStatus: timeout"
            ),
        ),
        (
            {"status": "exit"},
            (
                "16 ms\tMemory Size: 128 MB\tMax Memory Used: 56 MB\t"
                "Status: error\tError Type: Runtime.ExitError"
            ),
        ),
        (
            {"status": "signal", "memory_size": 512},
            (
                "16 ms\tMemory Size: 512 MB\tMax Memory Used: 56 MB\t"
                "Status: error\tError Type: Runtime.ExitError"
            ),
        ),
        (
            # the payload of a kill for memory says ExitError; the REPORT line does not
            {"status": "out_of_memory", "error_type": "Runtime.ExitError"},
            (
                "16 ms\tMemory Size: 128 MB\tMax Memory Used: 128 MB\t"
                "Status: error\tError Type: Runtime.OutOfMemory"
            ),
        ),
    ],
)
def test_report_line(figures: dict[str, Any], rest: str) -> None:
    """Field for field and tab for tab as AWS logs it, for each way to end."""
    assert meter(**figures).report_line() == _HEAD + rest


@pytest.mark.parametrize("status", ["ok", "out_of_memory"])
def test_memory_over_the_size_is_capped_in_the_report_alone(status: str) -> None:
    """AWS never reports more than the memory size; the meter keeps what was measured."""
    over = meter(status=status, max_memory_used_mb=131)
    assert "\tMax Memory Used: 128 MB\t" in over.report_line()
    assert over.max_memory_used_mb == 131


@pytest.mark.parametrize(
    ("duration_ms", "shown"),
    [(0, "0.00"), (2, "2.00"), (3000.004, "3000.00"), (12.345678, "12.35"), (1e6, "1000000.00")],
)
def test_durations_have_two_decimals(duration_ms: float, shown: str) -> None:
    """Never an exponent, always two decimals."""
    assert f"\tDuration: {shown} ms\t" in meter(duration_ms=duration_ms).report_line()


# -- the value as a whole ----------------------------------------------------------------


@pytest.mark.parametrize("figure", ["duration_ms", "init_duration_ms", "cpu_time_ms"])
@pytest.mark.parametrize("value", [-0.001, float("nan"), float("inf"), True, "1", b"1", [1]])
def test_durations_refused(figure: str, value: object) -> None:
    """A NaN or a negative duration would spoil a bill for good."""
    with pytest.raises(DefinitionError, match="meter: a duration="):
        meter(**{figure: value})


@pytest.mark.parametrize(
    "figures",
    [
        {"duration_ms": None},
        {"memory_size": 127},
        {"memory_size": 128.0},
        {"ephemeral_storage": 511},
        {"architecture": "i386"},
        {"status": "init"},
        {"status": ""},
        {"max_memory_used_mb": -1},
        {"max_memory_used_mb": float("nan")},
        {"max_memory_used_mb": None},
    ],
)
def test_figures_refused(figures: dict[str, Any]) -> None:
    """What AWS doesn't have, or nobody can have measured, gets into no bill."""
    with pytest.raises(DefinitionError, match="meter: "):
        meter(**figures)


def test_figures_become_plain() -> None:
    """Whole or NumPy's durations are kept as floats."""
    one = meter(duration_ms=3, cpu_time_ms=np.float64(0.5), init_duration_ms=np.int64(2))
    kept = (one.duration_ms, one.cpu_time_ms, one.init_duration_ms)
    assert kept == (3.0, 0.5, 2.0)
    assert {type(value) for value in kept} == {float}


def test_a_meter_is_frozen_and_travels() -> None:
    """Nobody changes a meter; a pickled one is the same."""
    one = meter(init_duration_ms=1.5, status="timeout")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.duration_ms = 0.0  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(one)) == one
    assert one != meter(init_duration_ms=1.5)


def test_repr_is_one_line() -> None:
    """What is asked for most, in one line; INIT only where it was waited for."""
    assert repr(meter(duration_ms=1.0)) == (
        "Meter(status='ok', duration_ms=1.00, billed_duration_ms=1, memory_size=128, "
        "max_memory_used_mb=56, cost_usd=Decimal('2.020833375E-7'))"
    )
    assert ", init_duration_ms=2.50, billed_duration_ms=19," in repr(meter(init_duration_ms=2.5))
