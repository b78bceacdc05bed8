"""The bill: what all invocations of an Invoker have cost so far."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection
from decimal import Decimal
from typing import Final, Literal

from attrs import Factory, define, frozen

from faaskit.billing.cost import cost_usd
from faaskit.billing.exact import tidy, to_gb_seconds, total
from faaskit.billing.memory_tier import MemoryTier
from faaskit.billing.meter import Meter, Status

__all__ = ["Bill", "BillRecord", "FunctionBill"]

# The sums are of everything ever recorded; only the single records are dropped, so that
# a server's bill does not grow with its uptime.
_RECORDS_KEPT: Final = 10_000


@frozen
class BillRecord:
    """
    One entry of a bill.

    Attributes:
        function_name: Whose it is.
        request_id: Of the invocation; empty for an INIT that ran ahead of any call.
        status: How the invocation ended; ``init`` for an INIT that ran ahead of any call.
        meter: What it used and costs.
    """

    function_name: str
    request_id: str
    status: Status | Literal["init"]
    meter: Meter


@frozen
class FunctionBill:
    """
    What one function has cost so far.

    Attributes:
        invocations: How many; each is one request.
        errors: How many of them did not end in ``ok``.
        inits: How many INITs ran ahead of any call.
        billed_duration_ms: Of all, those INITs included.
        gb_seconds: Of all, exact.
        cost_usd: Of all, exact.
    """

    invocations: int = 0
    errors: int = 0
    inits: int = 0
    billed_duration_ms: int = 0
    gb_seconds: Decimal = Decimal(0)
    cost_usd: Decimal = Decimal(0)


@define
class _Counted:
    """
    What one function's bill is made of. Whole numbers: to price each call would slow it.

    Attributes:
        billed_ms: By what the price of a millisecond depends on: memory size, ephemeral
            storage, architecture.
    """

    invocations: int = 0
    errors: int = 0
    inits: int = 0
    requests: int = 0
    billed_ms: dict[tuple[int, int, str], int] = Factory(dict)

    def add(self, record: BillRecord) -> None:
        meter = record.meter
        if record.status == "init":
            self.inits += 1
        else:
            self.invocations += 1
            self.errors += record.status != "ok"
        self.requests += meter.requests
        key = meter.memory_size, meter.ephemeral_storage, meter.architecture
        self.billed_ms[key] = self.billed_ms.get(key, 0) + meter.billed_duration_ms

    def priced(self) -> FunctionBill:
        gb_seconds, cost = [], []
        requests = self.requests
        for (memory_size, ephemeral_storage, architecture), billed_ms in self.billed_ms.items():
            gb_seconds.append(to_gb_seconds(Decimal(memory_size), Decimal(billed_ms)))
            tier = MemoryTier(memory_size, architecture)
            cost.append(cost_usd(requests, billed_ms, tier, ephemeral_storage=ephemeral_storage))
            requests = 0  # they are not of a size, and are paid for once
        return FunctionBill(
            invocations=self.invocations,
            errors=self.errors,
            inits=self.inits,
            billed_duration_ms=sum(self.billed_ms.values()),
            gb_seconds=tidy(total(*gb_seconds)),
            cost_usd=tidy(total(*cost)),
        )


def _sum(bills: Collection[FunctionBill]) -> FunctionBill:
    return FunctionBill(
        invocations=sum(bill.invocations for bill in bills),
        errors=sum(bill.errors for bill in bills),
        inits=sum(bill.inits for bill in bills),
        billed_duration_ms=sum(bill.billed_duration_ms for bill in bills),
        gb_seconds=tidy(total(*(bill.gb_seconds for bill in bills))),
        cost_usd=tidy(total(*(bill.cost_usd for bill in bills))),
    )


def _row(name: str, bill: FunctionBill) -> tuple[str, ...]:
    # Ten decimals: the shortest call of the smallest function costs 0.0000002021.
    return (
        name,
        f"{bill.invocations:,}",
        f"{bill.errors:,}",
        f"{bill.billed_duration_ms:,}",
        f"{bill.gb_seconds:,.3f}",
        f"{bill.cost_usd:,.10f}",
    )


class Bill:
    """
    What invocations have cost so far, exact. Threads may record and read at once.

    ``print(bill)`` shows a table. The prices are those of ``Meter.cost_usd``: first tier,
    no free tier.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_function: dict[str, _Counted] = {}
        self._records: deque[BillRecord] = deque(maxlen=_RECORDS_KEPT)

    def record(self, function_name: str, status: Status, meter: Meter) -> None:
        """Add an invocation. What the sandbox itself failed at is never recorded."""
        self._add(BillRecord(function_name, meter.request_id, status, meter))

    def record_init(
        self,
        function_name: str,
        *,
        init_duration_ms: float,
        memory_size: int,
        ephemeral_storage: int = 512,
        architecture: str = "x86_64",
        max_memory_used_mb: float = 0,
        cpu_time_ms: float = 0.0,
    ) -> None:
        """
        Add an INIT that ran ahead of any call: its time is billed, and no request.

        One that an invocation waited for is on that invocation's meter instead.

        Args:
            function_name: Whose it is.
            init_duration_ms: How long it took, whether it failed or not.
            memory_size: The function's, in MB.
            ephemeral_storage: The function's, in MB.
            architecture: The function's.
            max_memory_used_mb: The peak, where it was measured.
            cpu_time_ms: User and system time, where it was measured.

        Raises:
            DefinitionError: A figure that can't be: negative, NaN, out of AWS's range.
        """
        meter = Meter(
            request_id="",
            memory_size=memory_size,
            ephemeral_storage=ephemeral_storage,
            architecture=architecture,
            duration_ms=0.0,
            init_duration_ms=init_duration_ms,
            max_memory_used_mb=max_memory_used_mb,
            cpu_time_ms=cpu_time_ms,
            requests=0,
        )
        self._add(BillRecord(function_name, "", "init", meter))

    def _add(self, record: BillRecord) -> None:
        with self._lock:
            if record.function_name not in self._by_function:
                self._by_function[record.function_name] = _Counted()
            self._by_function[record.function_name].add(record)
            self._records.append(record)

    @property
    def total_usd(self) -> Decimal:
        """The exact sum of everything ever recorded."""
        return _sum(self.by_function().values()).cost_usd

    def by_function(self) -> dict[str, FunctionBill]:
        """Return each function's bill by its name, as of now; the dict is the caller's."""
        with self._lock:
            return {name: counted.priced() for name, counted in self._by_function.items()}

    def records(self) -> tuple[BillRecord, ...]:
        """Return the last 10,000 records, the oldest first."""
        with self._lock:
            return tuple(self._records)

    def __str__(self) -> str:
        by_function = self.by_function()
        rows = [_row(name, of_one) for name, of_one in sorted(by_function.items())]
        rows.append(_row("total", _sum(by_function.values())))
        rows.insert(0, ("function", "invocations", "errors", "billed ms", "GB-seconds", "USD"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if index == 0 else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        )

    def __repr__(self) -> str:
        everything = _sum(self.by_function().values())
        return f"Bill(invocations={everything.invocations}, total_usd={everything.cost_usd!r})"
