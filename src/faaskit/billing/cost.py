"""What requests and billed time cost, exact: one place for a call's meter and for a bill."""

from __future__ import annotations

from decimal import Decimal

from faaskit.billing.exact import product, tidy, to_gb_seconds, total
from faaskit.billing.memory_tier import MemoryTier
from faaskit.billing.prices import published

__all__ = ["cost_usd"]


def cost_usd(requests: int, billed_ms: int, tier: MemoryTier, *, ephemeral_storage: int) -> Decimal:
    """
    Return the price of requests, compute and storage, exact.

    At the first tier's prices of us-east-1, without the free tier.

    Args:
        requests: How many.
        billed_ms: In whole ms, of all of them together.
        tier: The memory size that was had for that time.
        ephemeral_storage: The size of /tmp, in MB; what is over 512 is paid for.
    """
    prices = published()
    over = Decimal(ephemeral_storage - prices.included_storage_mb)
    return tidy(
        total(
            product(Decimal(requests), prices.usd_per_request),
            product(tier.usd_per_ms, Decimal(billed_ms)),
            product(to_gb_seconds(over, Decimal(billed_ms)), prices.usd_per_storage_gb_second),
        )
    )
