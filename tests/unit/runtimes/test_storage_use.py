"""The memory that the /tmp of running environments hold."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

import pytest

from faaskit.runtimes.storage_use import Mounted, StorageUse

MB = 1024 * 1024
PAGE = 4096


def file_system(held: int, size: int = 512 * MB) -> os.statvfs_result:
    """Return the figures of a file system that holds so much."""
    blocks, free = size // PAGE, (size - held) // PAGE
    return os.statvfs_result((PAGE, PAGE, blocks, free, free, 0, 0, 0, 0, 255))


class Kernel:
    """Answers by pid, and counts."""

    def __init__(self, answers: Mapping[int, os.statvfs_result | int]) -> None:
        self.answers = answers
        self.asked = 0

    def stat(self, path: str) -> os.statvfs_result:
        """Return the figures of one, or fail with its error number."""
        self.asked += 1
        _, proc, pid, *rest = path.split("/")
        assert (proc, rest) == ("proc", ["root", "tmp"])
        answer = self.answers[int(pid)]
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        return answer


def test_all_that_run_add_up() -> None:
    """One whose pid is not known yet has written nothing."""
    kernel = Kernel({7: file_system(100 * MB), 8: file_system(3 * MB)})
    running = [Mounted(7, 512 * MB), Mounted(8, 512 * MB), Mounted(0, 512 * MB)]
    assert StorageUse(lambda: running, kernel.stat)() == 103 * MB


def test_hosts_own_tmp_counts_as_no_more_than_a_full_one() -> None:
    """The pid may have become another process's, which sees the host's disk."""
    kernel = Kernel({7: file_system(90_000 * MB, 100_000 * MB)})
    assert StorageUse(lambda: [Mounted(7, 512 * MB)], kernel.stat)() == 512 * MB


@pytest.mark.parametrize(
    ("number", "held_mb"),
    [(errno.ENOENT, 0), (errno.ESRCH, 0), (errno.EACCES, 512), (errno.EPERM, 512)],
)
def test_one_that_has_ended_holds_nothing_and_an_unreadable_one_is_full(
    number: int, held_mb: int
) -> None:
    """What can't be known is not taken for nothing."""
    kernel = Kernel({7: number})
    assert StorageUse(lambda: [Mounted(7, 512 * MB)], kernel.stat)() == held_mb * MB


def test_it_is_read_at_most_every_50_ms() -> None:
    """Calls that wait ask often."""
    kernel = Kernel({7: file_system(MB)})
    clock = [0.0]
    use = StorageUse(lambda: [Mounted(7, 512 * MB)], kernel.stat, lambda: clock[0])
    for _ in range(50):
        use()
    assert kernel.asked == 1
    clock[0] = 0.05
    kernel.answers = {7: file_system(9 * MB)}
    assert use() == 9 * MB
