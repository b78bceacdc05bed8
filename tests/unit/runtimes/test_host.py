"""Facts of the host, and what they come to."""

from __future__ import annotations

import os

from attrs import evolve

from faaskit.runtimes.advice import advice
from faaskit.runtimes.host import probe
from faaskit.runtimes.room import calls_at_once


def test_the_facts_were_tried() -> None:
    """This suite runs where there are pidfds and subreapers, or nothing else would pass."""
    host = probe()
    assert host.pidfd
    assert host.subreaper
    assert host.root == (os.geteuid() == 0)
    assert host.landlock >= 0


def test_advice_is_for_this_host() -> None:
    """Many files, many CPUs and no refusal leave one fact to know."""
    large = evolve(
        probe(),
        open_files=1 << 20,
        cpus=64,
        host_cpus=64,
        memory_mb=125_000,
        host_memory_mb=125_000,
        processes=None,
    )
    (about_memory,) = advice(large, 100_000, "")
    assert "781 calls of 128 MB, 97 of 1 GB" in about_memory
    assert "four fifths of this host's" in about_memory
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


def test_advice_names_limits_of_a_container() -> None:
    """The limit, what the host has, and how to raise it."""
    host = evolve(
        probe(),
        open_files=1 << 20,
        cpus=1.5,
        host_cpus=8,
        memory_mb=300,
        host_memory_mb=24_105,
        processes=100,
    )
    processes, memory, cpus = advice(host, 240, "")
    assert "allows 100 processes and threads" in processes
    assert "--pids-limit" in processes
    assert "240 MB, four fifths of the 300 MB that this process's cgroup allows" in memory
    assert "this host has 24,105 MB" in memory
    assert "1.5 of this host's 8 CPUs" in cpus
    assert "2,653 MB" in cpus
