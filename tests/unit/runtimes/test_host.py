"""Facts of the host, and what they come to."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import evolve

from faaskit.runtimes.advice import advice
from faaskit.runtimes.cgroups import mounted, usable
from faaskit.runtimes.host import probe
from faaskit.runtimes.promises import findings
from faaskit.runtimes.room import calls_at_once

MOUNTS = """\
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/pids cgroup ro,relatime,pids 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0
tmpfs /tmp tmpfs rw 0 0
"""
MEMBERSHIP = """\
8:pids:/jobs
4:cpu,cpuacct:/jobs/mine
1:name=systemd:/
0::/user.slice/mine
"""


def test_each_hierarchy_has_its_group() -> None:
    """A read-only mount and one without a controller are none that a process can use."""
    assert list(mounted(MOUNTS, MEMBERSHIP)) == [
        ("v1", "cpu", "/sys/fs/cgroup/cpu,cpuacct/jobs/mine"),
        ("v1", "cpuacct", "/sys/fs/cgroup/cpu,cpuacct/jobs/mine"),
        ("v2", "", "/sys/fs/cgroup/unified/user.slice/mine"),
    ]


def test_what_is_not_delegated_is_no_controller() -> None:
    """A version without controllers is there all the same."""
    kinds = {line.split()[2] for line in Path("/proc/self/mounts").read_text().splitlines()}
    found = usable(lambda _: False)
    assert set(found) == {"v1": "cgroup", "v2": "cgroup2"}.keys() & {
        {"cgroup": "v1", "cgroup2": "v2"}[kind] for kind in kinds & {"cgroup", "cgroup2"}
    }
    assert not any(found.values())


def test_the_facts_were_tried() -> None:
    """This suite runs where there are pidfds and subreapers, or nothing else would pass."""
    host = probe()
    assert host.pidfd
    assert host.subreaper
    assert host.root == (os.geteuid() == 0)
    assert host.landlock >= 0


def test_advice_is_for_this_host() -> None:
    """Many files, many CPUs and no refusal leave one fact to know."""
    large = evolve(probe(), open_files=1 << 20, cpus=64)
    (about_memory,) = advice(large, 100_000, "")
    assert "781 calls of 128 MB, 97 of 1 GB" in about_memory
    small = evolve(large, open_files=256, cpus=2, root=False, user_namespaces=False)
    files, _, cpus, namespaces = advice(small, 100_000, "EPERM")
    assert "about 16 calls at once" in files
    assert "3,538 MB" in cpus
    assert "user.max_user_namespaces" in namespaces


def test_what_ulimit_is_advised_is_enough() -> None:
    """It says for how many calls."""
    said = advice(evolve(probe(), open_files=256), 1024, "")[0]
    wanted = int(said.partition("ulimit -n ")[2].partition("`")[0])
    assert calls_at_once(wanted) >= 256


def test_some_calls_can_run_whatever_there_is() -> None:
    """One at the least, and more with more files."""
    assert calls_at_once(0) == 1
    assert [calls_at_once(files) for files in (256, 1024, 65536)] == [16, 88, 7928]
    assert calls_at_once(1024, in_use=100) == 75


def test_every_promise_is_found_at_every_level() -> None:
    """Ten, in their order."""
    for level in ("process", "namespace"):
        assert [one.number for one in findings(probe(), level)] == list(range(1, 11))
