"""What a memory size brings: its share of CPU, and its price."""

from __future__ import annotations

from decimal import Decimal

from attrs import field, frozen

from faaskit.billing.exact import product, tidy, to_gb_seconds
from faaskit.billing.prices import published
from faaskit.definition import MB_PER_VCPU, validate_architecture, validate_memory_size

__all__ = ["MemoryTier"]


@frozen
class MemoryTier:
    """
    A memory size, as AWS sells it.

    Attributes:
        memory_size: In MB.
        architecture: ``x86_64`` or ``arm64``.
        vcpus: The share of CPU that comes with it: memory_size / 1769.
        usd_per_ms: The price of a billed millisecond, first tier, us-east-1.

    Raises:
        DefinitionError: No size or architecture that AWS has.
    """

    memory_size: int = field(converter=validate_memory_size)
    architecture: str = field(default="x86_64", converter=validate_architecture, repr=False)
    vcpus: float = field(init=False, eq=False)
    usd_per_ms: Decimal = field(init=False, eq=False)

    @vcpus.default
    def _vcpus(self) -> float:
        return self.memory_size / MB_PER_VCPU

    @usd_per_ms.default
    def _usd_per_ms(self) -> Decimal:
        price = published().first_tier_usd(self.architecture)
        return tidy(product(to_gb_seconds(Decimal(self.memory_size), Decimal(1)), price))
