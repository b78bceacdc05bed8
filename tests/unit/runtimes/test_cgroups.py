"""The limits of a process's cgroups, from the texts of the kernel's files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faaskit.runtimes.capacity import capacity, delegated_controllers
from faaskit.runtimes.cgroups import CgroupLimits, delegated, limits
from faaskit.sandbox.hierarchies import hierarchies

# Version 1 for all but one hierarchy, as on many hosts with systemd.
V1 = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct
33 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
34 31 0:36 / /sys/fs/cgroup/pids ro,relatime - cgroup cgroup rw,pids
35 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
36 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
"""
V1_MEMBERSHIP = """\
9:memory:/jobs/mine
8:pids:/jobs
4:cpu,cpuacct:/jobs/mine
1:name=systemd:/user.slice
0::/user.slice/mine
"""


def folders(mountinfo: str, membership: str) -> list[str]:
    """Return the folder of each group."""
    return [group.folder for group in hierarchies(mountinfo, membership)]


def found(mountinfo: str, membership: str, files: Mapping[str, str]) -> CgroupLimits:
    """Return the limits in a file system of these files."""
    return limits(hierarchies(mountinfo, membership), lambda path: files.get(path, ""))


def v2(root: str = "/") -> str:
    """Return a mount of version 2 whose root is that group."""
    return f"35 24 0:30 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw,nsdelegate\n"


def test_each_hierarchy_has_its_group() -> None:
    """A hierarchy for names alone has no controllers, and so no group here."""
    assert folders(V1, V1_MEMBERSHIP) == [
        "/sys/fs/cgroup/cpu,cpuacct/jobs/mine",
        "/sys/fs/cgroup/memory/jobs/mine",
        "/sys/fs/cgroup/pids/jobs",
        "/sys/fs/cgroup/unified/user.slice/mine",
    ]


@pytest.mark.parametrize(
    ("root", "path", "folder"),
    [
        ("/", "/", ""),
        ("/", "/a/b", "/a/b"),
        ("/docker/1", "/docker/1", ""),
        ("/docker/1", "/docker/1/sub", "/sub"),
        # Not below: its name only begins with the same letters.
        ("/docker/1", "/docker/12", ""),
        # The mount was made outside of the cgroup namespace.
        ("/../..", "/", ""),
        # The process was moved out of its cgroup namespace.
        ("/", "/../other", ""),
        ("/docker/1", "/", ""),
    ],
)
def test_group_is_found_below_the_root_of_its_mount(root: str, path: str, folder: str) -> None:
    """Else the mount stands for it."""
    assert folders(v2(root), f"0::{path}\n") == [f"/sys/fs/cgroup{folder}"]


def test_mount_that_shows_the_group_is_preferred() -> None:
    """A container may have a part of the hierarchy mounted that is not its own."""
    other = "40 24 0:30 /other /mnt/other rw - cgroup2 cgroup rw\n"
    assert folders(other + v2(), "0::/mine\n") == ["/sys/fs/cgroup/mine"]
    assert folders(v2() + other, "0::/mine\n") == ["/sys/fs/cgroup/mine"]


def test_mount_point_with_a_space_is_decoded() -> None:
    """The kernel writes it as an octal number."""
    text = "40 24 0:30 / /mnt/my\\040groups rw - cgroup2 cgroup rw\n"
    assert folders(text, "0::/a\n") == ["/mnt/my groups/a"]


def test_limits_of_version_1() -> None:
    """The smallest of all levels; the number for "no limit" is none."""
    top = "/sys/fs/cgroup"
    files = {
        f"{top}/memory/jobs/mine/memory.limit_in_bytes": "9223372036854771712\n",
        f"{top}/memory/jobs/memory.limit_in_bytes": "314572800\n",
        f"{top}/memory/memory.limit_in_bytes": "9223372036854771712\n",
        f"{top}/cpu,cpuacct/jobs/mine/cpu.cfs_quota_us": "-1\n",
        f"{top}/cpu,cpuacct/jobs/mine/cpu.cfs_period_us": "100000\n",
        f"{top}/cpu,cpuacct/jobs/cpu.cfs_quota_us": "150000\n",
        f"{top}/cpu,cpuacct/jobs/cpu.cfs_period_us": "100000\n",
        f"{top}/pids/jobs/pids.max": "100\n",
        f"{top}/pids/jobs/pids.current": "7\n",
        f"{top}/unified/user.slice/mine/memory.pressure": "some avg10=0.00\n",
    }
    assert found(V1, V1_MEMBERSHIP, files) == CgroupLimits(314_572_800, 1.5, 100, 7)


def test_number_of_version_1_for_no_limit_is_none() -> None:
    """The largest number of pages, in bytes."""
    files = {"/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}
    assert found(V1, V1_MEMBERSHIP, files) == CgroupLimits()


def test_limits_of_version_2() -> None:
    """``memory.high`` counts too: over it the kernel stalls who allocates."""
    top = "/sys/fs/cgroup"
    files = {
        f"{top}/a/b/memory.max": "max\n",
        f"{top}/a/b/memory.high": "200000000\n",
        f"{top}/a/memory.max": "300000000\n",
        f"{top}/a/b/cpu.max": "max 100000\n",
        f"{top}/a/cpu.max": "50000 100000\n",
        f"{top}/a/b/pids.max": "max\n",
        f"{top}/a/pids.max": "1000\n",
        f"{top}/a/pids.current": "995\n",
        f"{top}/pids.max": "500\n",
        f"{top}/pids.current": "1\n",
    }
    # Of the two limits on processes the one that has the least left.
    assert found(v2(), "0::/a/b\n", files) == CgroupLimits(200_000_000, 0.5, 1000, 995)


def test_host_without_cgroups_has_no_limits() -> None:
    """Nor has one whose files can't be read."""
    assert found("", "", {}) == CgroupLimits()
    assert found(V1, V1_MEMBERSHIP, {}) == CgroupLimits()
    assert found(v2(), "", {}) == CgroupLimits()


NAMES = st.text("abc", min_size=1, max_size=2)
LIMIT = st.one_of(st.just("max"), st.integers(0, 1 << 40).map(str), st.just(""))


@given(st.lists(NAMES, max_size=4), st.integers(0, 4), st.lists(LIMIT, min_size=5, max_size=5))
def test_memory_limit_is_the_smallest_on_the_way_up(
    parts: list[str], cut: int, values: list[str]
) -> None:
    """Wherever the mount begins: what lies above it can't be seen, and the rest counts."""
    visible = parts[cut:]
    root = "/" + "/".join(parts[:cut])
    folder = PurePosixPath("/sys/fs/cgroup")
    files = {}
    for level, value in zip(range(len(visible) + 1), values, strict=False):
        files[str(folder.joinpath(*visible[:level], "memory.max"))] = f"{value}\n"
    numbers = [int(text) for text in files.values() if text.strip().isdigit()]
    path = "/" + "/".join(parts)
    assert found(v2(root), f"0::{path}\n", files).memory_bytes == min(numbers, default=None)


@given(st.text("/.ab 0:-cgroup2\n\\", max_size=200), st.text("/.ab0:=,\n", max_size=100))
def test_limits_of_any_readable_text_are_limits(mountinfo: str, files: str) -> None:
    """The content of a file of limits may be anything; none is negative."""
    membership = "0::/a\n4:memory,cpu,pids:/b\n"
    found = limits(hierarchies(mountinfo + "\n" + V1, membership), lambda _: files)
    assert found.memory_bytes is None or found.memory_bytes >= 0
    assert found.cpus is None or found.cpus > 0
    assert found.processes is None or found.processes >= 0


def test_delegated_controllers_are_of_writable_groups() -> None:
    """A read-only mount gives none; a version without controllers is there all the same."""
    own = hierarchies(V1, V1_MEMBERSHIP)
    files = {"/sys/fs/cgroup/unified/user.slice/mine/cgroup.controllers": "io memory\n"}
    assert delegated(own, lambda path: files.get(path, ""), lambda _: True) == {
        "v1": ("cpu", "cpuacct", "memory"),
        "v2": ("io", "memory"),
    }
    assert delegated(own, lambda _: "", lambda _: False) == {"v1": (), "v2": ()}


def test_capacity_is_at_most_what_the_host_has() -> None:
    """On this host, whatever it is."""
    here = capacity()
    assert 0 < here.memory_bytes <= here.host_memory_bytes
    assert 0 < here.cpus <= here.host_cpus
    assert set(delegated_controllers()) <= {"v1", "v2"}
