"""AWS's published prices, read from the dated file beside this one."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from decimal import Decimal

from attrs import frozen

from faaskit.billing.exact import difference, product, total

__all__ = ["DurationTier", "PriceTable", "published"]

_FILE = "prices-2026-11.json"


@frozen
class DurationTier:
    """
    One step of the price of compute.

    Attributes:
        from_gb_seconds: Where in a month's GB-seconds it begins.
        usd: For each GB-second beyond that, up to the next step.
    """

    from_gb_seconds: Decimal
    usd: Decimal


@frozen
class PriceTable:
    """
    The prices of one region at one date, all in USD.

    Attributes:
        as_of: Year and month in which they were read.
        source: Where they were read.
        region: AWS's name of the region.
        usd_per_request: For one request.
        duration: The tiers of each architecture, the dearest first.
        usd_per_storage_gb_second: For one GB-second of /tmp over what is included.
        included_storage_mb: The size of /tmp that costs nothing.
        free_requests: Of a month, with the free tier.
        free_gb_seconds: Of a month's compute, with the free tier; /tmp has no free tier.
    """

    as_of: str
    source: str
    region: str
    usd_per_request: Decimal
    duration: Mapping[str, tuple[DurationTier, ...]]
    usd_per_storage_gb_second: Decimal
    included_storage_mb: int
    free_requests: Decimal
    free_gb_seconds: Decimal

    def first_tier_usd(self, architecture: str) -> Decimal:
        """Return the price of a GB-second before any discount for volume."""
        return self.duration[architecture][0].usd

    def compute_usd(self, gb_seconds: Decimal, architecture: str) -> Decimal:
        """Return the price of a month's GB-seconds: each at the price of its own tier."""
        usd, left = Decimal(0), gb_seconds
        for tier in reversed(self.duration[architecture]):
            if left > tier.from_gb_seconds:
                usd = total(usd, product(difference(left, tier.from_gb_seconds), tier.usd))
                left = tier.from_gb_seconds
        return usd


@functools.cache
def published() -> PriceTable:
    """Return the prices that this release of faaskit bills with."""
    # Not at the top: it takes longer to import than all of billing, and a program that
    # imports faaskit may never ask for a price.
    from importlib.resources import files

    raw = json.loads(files("faaskit.billing").joinpath(_FILE).read_text(encoding="utf-8"))
    return PriceTable(
        as_of=raw["as_of"],
        source=raw["source"],
        region=raw["region"],
        usd_per_request=Decimal(raw["request"]),
        duration={
            architecture: tuple(
                DurationTier(Decimal(step["from_gb_seconds"]), Decimal(step["usd"]))
                for step in steps
            )
            for architecture, steps in raw["duration_gb_second"].items()
        },
        usd_per_storage_gb_second=Decimal(raw["ephemeral_storage"]["gb_second"]),
        included_storage_mb=raw["ephemeral_storage"]["included_mb"],
        free_requests=Decimal(raw["free_tier"]["requests"]),
        free_gb_seconds=Decimal(raw["free_tier"]["gb_seconds"]),
    )
