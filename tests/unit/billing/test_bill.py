"""The bill: exact sums, records that are bounded, threads, and a table to read."""

from __future__ import annotations

import decimal
import threading
from decimal import Decimal
from typing import Any

import attrs
import pytest

from faaskit import billing
from faaskit.billing import Bill, BillRecord, FunctionBill, Meter
from faaskit.exceptions import DefinitionError


def meter(request_id: str = "r", **figures: Any) -> Meter:
    """A meter of 1 s at 1 GB, but for what is given: 0.0000168667 USD."""
    plain = {
        "memory_size": 1024,
        "duration_ms": 1000.0,
        "max_memory_used_mb": 10,
        "cpu_time_ms": 1.0,
    }
    return Meter(request_id=request_id, **{**plain, **figures})


ONE_USD = Decimal("0.0000168667")


def test_a_new_bill_is_empty() -> None:
    """Nothing recorded, nothing owed."""
    bill = Bill()
    assert bill.total_usd == 0
    assert bill.by_function() == {}
    assert bill.records() == ()
    assert repr(bill) == "Bill(invocations=0, total_usd=Decimal('0'))"


def test_it_adds_up_by_function() -> None:
    """Counts, times, GB-seconds and cost of each function, and the sum of all."""
    bill = Bill()
    bill.record("resize", "ok", meter())
    bill.record("resize", "timeout", meter(status="timeout", duration_ms=999.1))
    bill.record("notify", "ok", meter(memory_size=512, duration_ms=500.0))
    assert bill.by_function() == {
        "resize": FunctionBill(
            invocations=2,
            errors=1,
            billed_duration_ms=2000,
            gb_seconds=Decimal(2),
            cost_usd=2 * ONE_USD,
        ),
        "notify": FunctionBill(
            invocations=1,
            billed_duration_ms=500,
            gb_seconds=Decimal("0.25"),
            cost_usd=Decimal("0.000004366675"),
        ),
    }
    assert bill.total_usd == 2 * ONE_USD + Decimal("0.000004366675")


@pytest.mark.parametrize(
    ("status", "errors"),
    [("ok", 0), ("error", 1), ("timeout", 1), ("out_of_memory", 1), ("exit", 1), ("signal", 1)],
)
def test_everything_but_ok_is_an_error(status: Any, errors: int) -> None:
    """A failure of the function counts, and is billed like a success."""
    bill = Bill()
    bill.record("f", status, meter(status=status))
    assert bill.by_function()["f"].errors == errors
    assert bill.total_usd == ONE_USD


def test_init_ahead_of_any_call_is_billed_without_a_request() -> None:
    """Its time is the function's, but it is neither an invocation nor an error."""
    bill = Bill()
    bill.record_init("f", init_duration_ms=999.5, memory_size=1024, ephemeral_storage=1536)
    bill.record_init("f", init_duration_ms=1000, memory_size=1024, architecture="arm64")
    assert bill.by_function()["f"] == FunctionBill(
        inits=2,
        billed_duration_ms=2000,
        gb_seconds=Decimal(2),
        cost_usd=Decimal("0.0000166667") + Decimal("0.0000000309") + Decimal("0.0000133334"),
    )
    first = bill.records()[0]
    assert (first.function_name, first.request_id, first.status) == ("f", "", "init")
    assert first.meter.init_duration_ms == 999.5


def test_an_init_that_can_not_be_is_refused() -> None:
    """A NaN would make every later sum a NaN; nothing of it is kept."""
    bill = Bill()
    with pytest.raises(DefinitionError):
        bill.record_init("f", init_duration_ms=float("nan"), memory_size=128)
    assert bill.by_function() == {}


def test_records_are_in_order() -> None:
    """The oldest first, each with its function, request, status and meter."""
    bill = Bill()
    one, two = meter("r1"), meter("r2", status="exit")
    bill.record("f", "ok", one)
    bill.record("g", "exit", two)
    assert bill.records() == (BillRecord("f", "r1", "ok", one), BillRecord("g", "r2", "exit", two))


def test_records_are_bounded_and_the_sum_is_not() -> None:
    """The last 10,000 records are kept; the figures are of all that ever ran."""
    bill = Bill()
    for number in range(10_003):
        bill.record("f", "ok", meter(str(number)))
    kept = bill.records()
    assert (len(kept), kept[0].request_id, kept[-1].request_id) == (10_000, "3", "10002")
    assert bill.by_function()["f"].invocations == 10_003
    assert bill.total_usd == 10_003 * ONE_USD


def test_small_sums_are_not_lost_in_large_ones() -> None:
    """After the dearest invocations that there are, 1 ms still counts to its last digit."""
    bill = Bill()
    dear = meter(memory_size=10_240, duration_ms=900_000.0, ephemeral_storage=10_240)
    cheap = meter(memory_size=129, duration_ms=1.0, architecture="arm64")
    for _ in range(1000):
        bill.record("dear", "ok", dear)
    bill.record("cheap", "ok", cheap)
    assert bill.total_usd - 1000 * dear.cost_usd == cheap.cost_usd


def test_the_callers_decimal_context_changes_nothing() -> None:
    """A program that works with three digits has a bill to the last digit, and its table."""
    bill, plain = Bill(), Bill()
    odd: dict[str, Any] = {"memory_size": 1769, "duration_ms": 1234.0}
    with decimal.localcontext() as context:
        context.prec = 3
        for _ in range(3):
            bill.record("f", "ok", meter(**odd))
        sums = (bill.total_usd, bill.by_function(), str(bill))
    for _ in range(3):
        plain.record("f", "ok", meter(**odd))
    assert sums == (plain.total_usd, plain.by_function(), str(plain))
    assert plain.total_usd == 3 * meter(**odd).cost_usd


def test_what_is_handed_out_does_not_change() -> None:
    """by_function and records are of their moment, and changing the dict changes no bill."""
    bill = Bill()
    bill.record("f", "ok", meter())
    by_function, records = bill.by_function(), bill.records()
    bill.record("f", "ok", meter())
    assert (by_function["f"].invocations, len(records)) == (1, 1)

    by_function.clear()
    assert bill.by_function()["f"].invocations == 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        bill.by_function()["f"].invocations = 0  # type: ignore[misc]


def test_threads_lose_nothing() -> None:
    """Eight threads record at once, one reads meanwhile; every invocation is there."""
    bill = Bill()
    together = threading.Barrier(9)

    def work(name: str) -> None:
        together.wait()
        for _ in range(300):
            bill.record(name, "ok", meter())

    # Two threads a function: what they race for is the same entry.
    threads = [threading.Thread(target=work, args=(f"f{number % 4}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    together.wait()
    while any(thread.is_alive() for thread in threads):
        of_all = bill.by_function().values()
        assert all(one.cost_usd == one.invocations * ONE_USD for one in of_all)
        bill.records()
    for thread in threads:
        thread.join()

    assert {name: one.invocations for name, one in bill.by_function().items()} == {
        f"f{number}": 600 for number in range(4)
    }
    assert bill.total_usd == 2400 * ONE_USD
    assert len(bill.records()) == 2400


def test_the_table() -> None:
    """One line a function, by name, a total, numbers to the right: print(bill) is readable."""
    bill = Bill()
    for _ in range(1234):
        bill.record("resize", "ok", meter())
    bill.record("a-longer-name", "error", meter(status="error", memory_size=128, duration_ms=1.0))
    assert str(bill).splitlines() == [
        "function       invocations  errors  billed ms  GB-seconds           USD",
        "a-longer-name            1       1          1       0.000  0.0000002021",
        "resize               1,234       0  1,234,000   1,234.000  0.0208135078",
        "total                1,235       1  1,234,001   1,234.000  0.0208137099",
    ]


def test_the_table_of_an_empty_bill() -> None:
    """Heads and zeros, no error."""
    assert [line.split()[0] for line in str(Bill()).splitlines()] == ["function", "total"]


def test_exports() -> None:
    """The room's ``__all__`` is sorted, and each name is there."""
    assert billing.__all__ == sorted(billing.__all__, key=lambda name: (name.islower(), name))
    assert all(hasattr(billing, name) for name in billing.__all__)
