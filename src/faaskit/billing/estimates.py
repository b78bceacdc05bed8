"""What a month of invocations would cost."""

from __future__ import annotations

from decimal import Decimal, DecimalException

from attrs import field, frozen

from faaskit.billing.exact import (
    difference,
    exact_figure,
    product,
    tidy,
    to_gb_seconds,
    total,
    whole_ms,
)
from faaskit.billing.prices import published
from faaskit.definition import (
    validate_architecture,
    validate_ephemeral_storage,
    validate_memory_size,
)
from faaskit.exceptions import DefinitionError

__all__ = ["Estimate", "estimate"]

_OWNER = "estimate"


@frozen
class Estimate:
    """
    The price of a month, exact, in USD.

    AWS's own examples round each part to cents, half up, and add the rounded parts.

    Attributes:
        requests_usd: For the requests.
        compute_usd: For the GB-seconds.
        storage_usd: For /tmp over 512 MB.
        total_usd: Their sum.
    """

    requests_usd: Decimal
    compute_usd: Decimal
    storage_usd: Decimal
    total_usd: Decimal = field(init=False)

    @total_usd.default
    def _total_usd(self) -> Decimal:
        return tidy(total(self.requests_usd, self.compute_usd, self.storage_usd))


def estimate(
    *,
    requests: float | Decimal,
    duration_ms: float | Decimal,
    memory_size: int,
    ephemeral_storage: int = 512,
    architecture: str = "x86_64",
    free_tier: bool = False,
) -> Estimate:
    """
    Price a month of invocations at AWS's published prices of us-east-1.

    The discounts for volume are applied, and with ``free_tier`` the first million requests
    and 400,000 GB-seconds cost nothing; as AWS does, these are taken off before the tiers
    are counted. /tmp has neither. Float arguments count as what they print: 0.1 is a tenth.

    Args:
        requests: A month; a fraction is an average.
        duration_ms: Of one invocation, INIT included where it waits for one; rounded up to
            whole ms, at least 1, each.
        memory_size: In MB, 128 to 10,240.
        ephemeral_storage: In MB, 512 to 10,240.
        architecture: ``x86_64`` or ``arm64``.
        free_tier: Whether all of the account's free tier is there for this.

    Returns:
        The parts and their sum, exact: round them as you like.

    Raises:
        DefinitionError: A figure that is negative, NaN, infinite, a bool or no number; a
            size that AWS doesn't have; or figures too large or too fine to price exactly.
    """
    count = exact_figure(requests, _OWNER, "requests")
    each_ms = exact_figure(duration_ms, _OWNER, "duration_ms")
    memory_mb = Decimal(validate_memory_size(memory_size, _OWNER))
    storage_mb = validate_ephemeral_storage(ephemeral_storage, _OWNER)
    validate_architecture(architecture, _OWNER)
    prices = published()
    over_mb = Decimal(storage_mb - prices.included_storage_mb)
    try:
        all_ms = product(count, whole_ms(each_ms))
        compute = to_gb_seconds(memory_mb, all_ms)
        if free_tier:
            count = _beyond(prices.free_requests, count)
            compute = _beyond(prices.free_gb_seconds, compute)
        return Estimate(
            requests_usd=tidy(product(count, prices.usd_per_request)),
            compute_usd=tidy(prices.compute_usd(compute, architecture)),
            storage_usd=tidy(
                product(to_gb_seconds(over_mb, all_ms), prices.usd_per_storage_gb_second)
            ),
        )
    except DecimalException as reason:
        msg = (
            f"{_OWNER}: requests and duration_ms are too large or too fine to be priced "
            "exactly, in 1,000 digits; round them"
        )
        raise DefinitionError(msg) from reason


def _beyond(free: Decimal, used: Decimal) -> Decimal:
    return difference(used, free) if used > free else Decimal(0)
