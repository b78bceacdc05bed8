"""
What invocations cost: meters, memory tiers, price tables, the bill. Pure.

A ``Meter`` holds what one invocation used and knows its price; a ``Bill`` adds meters up;
``estimate`` prices a month that has not happened yet. Prices are AWS's published ones for
us-east-1, in a dated file beside this one, and every sum is exact: money is ``Decimal``
and no step rounds, whatever the caller's decimal context says.

Any room above may import this one. Nothing here may measure anything: no clock, no
process, no socket. What was measured comes in; what it costs goes out.
"""

from __future__ import annotations

from faaskit.billing.bill import Bill, BillRecord, FunctionBill
from faaskit.billing.estimates import Estimate, estimate
from faaskit.billing.memory_tier import MemoryTier
from faaskit.billing.meter import Meter, Status

__all__ = [
    "Bill",
    "BillRecord",
    "Estimate",
    "FunctionBill",
    "MemoryTier",
    "Meter",
    "Status",
    "estimate",
]
