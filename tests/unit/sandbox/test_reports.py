"""Reports: what is packed comes back, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faaskit.sandbox import reports

KINDS = st.integers(reports.HELLO, reports.SETUP_FAILED)
LARGEST = 2**62 - 1


@given(
    st.builds(
        reports.Report,
        KINDS,
        st.integers(0, 2**32 - 1),
        st.integers(0, 0xFFFF),
        st.integers(0, LARGEST),
        st.integers(0, LARGEST),
    )
)
def test_report_survives_the_way(report: reports.Report) -> None:
    """Every number within its bits."""
    assert reports.unpack(reports.pack(report)) == report


def test_figures_over_62_bits_are_cut_down() -> None:
    """A sum of some must not leave 64 bits."""
    packed = reports.pack(reports.Report(reports.ENDED, 1, 0, 1 << 70, 1 << 63))
    assert reports.unpack(packed)[3:] == (LARGEST, LARGEST)


@given(st.binary(max_size=100))
def test_unpack_takes_reports_alone(message: bytes) -> None:
    """Any bytes: a report within its bounds, or ValueError."""
    try:
        found = reports.unpack(message)
    except ValueError:
        return
    assert len(message) == reports.SIZE
    assert reports.HELLO <= found.kind <= reports.SETUP_FAILED
    assert max(found.cpu_ns, found.peak) <= LARGEST


@pytest.mark.parametrize("kind", [0, 8, 255])
def test_unknown_kind_is_refused(kind: int) -> None:
    """Whatever else is in it."""
    packed = bytes([kind]) + reports.pack(reports.Report(reports.HELLO))[1:]
    with pytest.raises(ValueError, match="no report"):
        reports.unpack(packed)
