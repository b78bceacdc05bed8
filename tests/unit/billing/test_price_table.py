"""The packaged prices: AWS's figures, dated, and what a memory size costs by them."""

from __future__ import annotations

import decimal
import pickle
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from faaskit.billing import MemoryTier
from faaskit.billing.prices import published
from faaskit.exceptions import DefinitionError


def test_the_table_says_where_it_is_from() -> None:
    """Source, date and region stand beside the prices."""
    prices = published()
    assert (prices.as_of, prices.region) == ("2026-11", "us-east-1")
    assert prices.source.startswith("https://aws.amazon.com/lambda/pricing")


def test_prices() -> None:
    """AWS's published prices of us-east-1, digit for digit."""
    prices = published()
    assert {
        architecture: [(str(tier.from_gb_seconds), str(tier.usd)) for tier in tiers]
        for architecture, tiers in prices.duration.items()
    } == {
        "x86_64": [
            ("0", "0.0000166667"),
            ("6000000000", "0.0000150000"),
            ("15000000000", "0.0000133334"),
        ],
        "arm64": [
            ("0", "0.0000133334"),
            ("7500000000", "0.0000120001"),
            ("18750000000", "0.0000106667"),
        ],
    }
    assert prices.usd_per_request * 1_000_000 == Decimal("0.20")
    assert prices.usd_per_storage_gb_second == Decimal("0.0000000309")
    assert prices.included_storage_mb == 512
    assert prices.free_requests == 1_000_000
    assert prices.free_gb_seconds == 400_000


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_tiers_begin_at_0_and_get_cheaper(architecture: str) -> None:
    """No GB-second is without a price, and volume is never dearer."""
    tiers = published().duration[architecture]
    assert tiers[0].from_gb_seconds == 0
    for below, above in pairwise(tiers):
        assert below.from_gb_seconds < above.from_gb_seconds
        assert below.usd > above.usd


@pytest.mark.parametrize(
    ("memory_size", "architecture", "usd"),
    [
        # AWS's own table of prices per ms, which has ten decimals.
        (128, "x86_64", "0.0000000021"),
        (512, "x86_64", "0.0000000083"),
        (1024, "x86_64", "0.0000000167"),
        (1536, "x86_64", "0.0000000250"),
        (3072, "x86_64", "0.0000000500"),
        (10240, "x86_64", "0.0000001667"),
        (128, "arm64", "0.0000000017"),
        (512, "arm64", "0.0000000067"),
        (10240, "arm64", "0.0000001333"),
    ],
)
def test_price_per_ms(memory_size: int, architecture: str, usd: str) -> None:
    """Rounded to AWS's ten decimals, the price per ms is the one on AWS's page."""
    price = MemoryTier(memory_size, architecture).usd_per_ms
    assert price.quantize(Decimal("1E-10"), decimal.ROUND_HALF_UP) == Decimal(usd)


def test_memory_tier() -> None:
    """Its repr has size, share of CPU and price; 1,769 MB are one vCPU."""
    assert repr(MemoryTier(512)) == (
        f"MemoryTier(memory_size=512, vcpus={512 / 1769}, usd_per_ms=Decimal('8.33335E-9'))"
    )
    assert MemoryTier(1769).vcpus == 1
    assert MemoryTier(512) == MemoryTier(512, "x86_64") != MemoryTier(512, "arm64")
    assert pickle.loads(pickle.dumps(MemoryTier(512, "arm64"))) == MemoryTier(512, "arm64")


@pytest.mark.parametrize("arguments", [(127,), (10_241,), (True,), (512.0,), (512, "i386")])
def test_memory_tiers_that_aws_does_not_have(arguments: tuple[Any, ...]) -> None:
    """A size or architecture that can't be bought has no price."""
    with pytest.raises(DefinitionError):
        MemoryTier(*arguments)
