"""What a template does about a large image: its forks would copy one entry for each page."""

from __future__ import annotations

import subprocess
import sys

import large_image
import pytest

from faaskit import Invoker, function

_MADV_COLLAPSE = 25


def _kernel_collapses() -> bool:
    """Whether this kernel has the call, tried by a process that does nothing else."""
    probe = (
        "import mmap; m = mmap.mmap(-1, 4 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS); "
        f"m.write(bytes(4 << 20)); m.madvise({_MADV_COLLAPSE})"
    )
    tried = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False)
    return tried.returncode == 0


@pytest.mark.parametrize("isolation", ["process", "namespace"])
def test_most_of_it_is_in_huge_pages(isolation: str) -> None:
    """And it holds what INIT wrote."""
    if not _kernel_collapses():
        pytest.skip("this kernel has no MADV_COLLAPSE: nothing is done, and nothing is lost")
    with Invoker(isolation) as invoker:
        invocation = invoker.invoke(function(large_image.weigh, memory_size=256, timeout=30))
    assert invocation.status == "ok", invocation.logs
    assert invocation.payload["huge_mb"] >= 8
    assert invocation.meter.max_memory_used_mb < 64 * 1.04 + 40
