"""
Attempts to get out of isolation "namespace", each of which must fail.

After each the next invocation is as the first was: nothing of it is there.
"""

from __future__ import annotations

import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import escapes
import hostile_init
import pytest
from probes import family, wait_gone

from faaskit import App, Invocation, Invoker, exceptions, function
from faaskit.functions import Function
from faaskit.sandbox import landlock
from faaskit.sandbox.hierarchies import homes

ESCAPE: Function = function(escapes.attempt, name="escape", memory_size=256, timeout=20)
SHORT = ESCAPE.with_config(timeout=1)
SHUT = ESCAPE.with_config(network=False)

NEW_USER, NEW_MOUNTS, NEW_PIDS, NEW_NETWORK = 0x10000000, 0x20000, 0x20000000, 0x40000000
APP = os.getpid()
COUNTED = any("memory" in controllers for _, controllers, _ in homes())
BY_THE_KERNEL = any("cpu" in controllers for _, controllers, _ in homes())
NAMED_SOCKETS_TOLD_APART = landlock.abi() >= landlock.RESOLVE_UNIX_ABI


@pytest.fixture(scope="module")
def invoker() -> Iterator[Invoker]:
    """An Invoker of that level, for all of them."""
    with Invoker("namespace") as made:
        yield made
        processes = family(made)
    wait_gone(processes)


@pytest.fixture(scope="module")
def calm(invoker: Invoker) -> Any:
    """What an environment is like before anything was tried."""
    return invoker.invoke(ESCAPE).result()


@pytest.fixture(autouse=True)
def _the_next_is_untouched(invoker: Invoker, calm: Any) -> Iterator[None]:
    yield
    assert invoker.invoke(ESCAPE).result() == calm
    assert calm["tmp"] == calm["shm"] == []
    assert calm["processes"] == [1, 2]


def tried(invoker: Invoker, do: str, *, by: Function = ESCAPE, **event: Any) -> Any:
    """Return what came of an attempt."""
    invocation: Invocation = invoker.invoke(by, {"do": do, **event})
    return invocation.result()


# What is there at all


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "/etc/hostname",
        "/root/.bashrc",
        "/run",
        "/var/log",
        "/var/lib",
        "/sys/fs/cgroup",
        "/sys/kernel",
        "/dev/kmsg",
        "/dev/vda",
        "/dev/mem",
        "/proc/kcore/x",
        "/home/somebody",
        "/proc/APP/environ",
        "/proc/APP/mem",
        "/proc/APP/fd",
        "/proc/APP/root",
        "/proc/APP/cwd",
    ],
)
def test_a_path_of_the_host_is_not_there(invoker: Invoker, path: str) -> None:
    """Home, logs, devices, the app's own process: none of it exists in there."""
    path = path.replace("APP", str(APP))
    assert tried(invoker, "reads", path=path)[1] in {"ENOENT", "ENOTDIR"}


def test_a_file_of_the_apps_is_not_there(invoker: Invoker, tmp_path: Path) -> None:
    """Nor does what the app has written."""
    (tmp_path / "secret").write_text("secret")
    assert tried(invoker, "reads", path=str(tmp_path / "secret")) == ["refused", "ENOENT"]


def test_the_state_folder_is_covered(invoker: Invoker, tmp_path: Path) -> None:
    """A state folder within a folder that is opened is empty in there."""
    (tmp_path / "data").write_text("data")
    state = tmp_path / "state"
    reader = ESCAPE.with_config(readable=(str(tmp_path),))
    assert tried(invoker, "lists", by=reader, path=str(tmp_path)) == ["did", ["data"]]
    with App("covered", state=state) as app:
        app.bucket("bucket").put("key", b"secret")
        assert list(state.iterdir())
        assert tried(invoker, "lists", by=reader, path=str(tmp_path)) == ["did", ["data", "state"]]
        assert tried(invoker, "lists", by=reader, path=str(state)) == ["did", []]


def test_what_is_readable_is_read_only(invoker: Invoker, tmp_path: Path) -> None:
    """``readable`` opens a path, for reading."""
    (tmp_path / "data").write_text("data")
    reader = ESCAPE.with_config(readable=(str(tmp_path),))
    path = str(tmp_path / "data")
    assert tried(invoker, "reads", by=reader, path=path) == ["did", b"data".hex()]
    assert tried(invoker, "writes", by=reader, path=path)[1] in {"EROFS", "EACCES"}


@pytest.mark.parametrize(
    "path",
    [
        "CODE",
        "/usr/bin/env",
        "/etc/passwd",
        "/new",
        "/usr/new",
        "/var/tmp/new",
        "/var/task/new",
        "/opt/new",
        "/dev/new",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sysrq-trigger",
        "/proc/1/mem",
        "/proc/1/oom_score_adj",
    ],
)
def test_a_path_can_not_be_written(invoker: Invoker, path: str) -> None:
    """Everything but /tmp and /dev/shm is read-only, the kernel's settings too."""
    refused, why = tried(invoker, "writes", path=path.replace("CODE", escapes.__file__))
    assert refused == "refused"
    assert why in {"EROFS", "EACCES", "EPERM", "ENOENT"}


@pytest.mark.parametrize("path", ["/proc/1/environ", "/proc/1/mem", "/proc/1/root", "/proc/1/fd"])
def test_the_first_process_is_closed(invoker: Invoker, path: str) -> None:
    """Pid 1 shares the template's memory; nothing of it can be read."""
    refused, why = tried(invoker, "lists" if path.endswith(("root", "fd")) else "reads", path=path)
    assert (refused, why) in {("refused", "EACCES"), ("refused", "EPERM")}


def test_there_is_nothing_above_the_root(invoker: Invoker) -> None:
    """Climbing ends where it began."""
    there = tried(invoker, "climbs")[1]
    assert there == tried(invoker, "lists", path="/")[1]
    assert not {"run", "boot", "srv"} & set(there)


def test_no_folder_is_left_open(invoker: Invoker) -> None:
    """A descriptor of a folder outside would be a way out."""
    assert tried(invoker, "keeps_a_folder_open") == ["did", []]


def test_its_code_stays(invoker: Invoker) -> None:
    """A function can't change what the next one runs."""
    assert tried(invoker, "renames_its_code")[1] in {"EROFS", "EACCES", "EXDEV"}


# Other processes


@pytest.mark.parametrize("do", ["kills", "traces", "reads_memory", "opens_pidfd", "limits_another"])
def test_the_app_can_not_be_touched(invoker: Invoker, do: str) -> None:
    """Its pid means nothing in there."""
    assert tried(invoker, do, pid=APP) == ["refused", "ESRCH"]


@pytest.mark.parametrize("do", ["traces", "reads_memory"])
def test_the_first_process_can_not_be_traced(invoker: Invoker, do: str) -> None:
    """Or its memory, the template's, could be changed for all that come."""
    assert tried(invoker, do, pid=1)[1] == "EPERM"


def test_kill_everybody_is_its_own_affair(invoker: Invoker) -> None:
    """``kill(-1)`` reaches those in its namespace."""
    assert tried(invoker, "kills_everybody") == ["did", [1, 2]]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
def test_the_first_process_does_not_mind(invoker: Invoker, number: int) -> None:
    """Landlock keeps signals in, and without it pid 1 ignores what comes from inside."""
    assert tried(invoker, "kills", pid=1, signal=number) in (["refused", "EPERM"], ["did", None])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT])
def test_its_own_signals_act(invoker: Invoker, number: int) -> None:
    """The handler is not pid 1: what it sends itself is what ends it, as on AWS."""
    invocation = invoker.invoke(ESCAPE, {"do": "kills", "pid": 2, "signal": number})
    assert invocation.status == "signal"
    assert getattr(invocation.error, "signal", None) == number


# Rights


def test_it_has_no_rights(invoker: Invoker) -> None:
    """No capability in any set, and none to be gained."""
    found = tried(invoker, "holds_capabilities")[1]
    sets = {found.pop(name) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}
    assert {int(value, 16) for value in sets} == {0}
    assert found == {"NoNewPrivs": "1", "Seccomp": "2"}


@pytest.mark.parametrize(
    ("do", "event"),
    [
        ("becomes_root", {}),
        ("changes_groups", {}),
        ("raises_its_limit", {}),
        ("raises_its_memory", {}),
        ("changes_priority", {}),
        ("becomes_realtime", {}),
        ("names_the_host", {}),
        ("sets_the_clock", {}),
        ("reboots", {}),
        ("opens_a_raw_socket", {}),
        ("changes_root", {}),
        ("makes_a_device", {}),
        ("mounts", {}),
        ("mounts", {"on": "/usr"}),
        ("binds", {}),
        ("unmounts", {"on": "/tmp"}),
        ("unmounts", {"on": "/proc"}),
        ("unmounts", {"on": "/dev/shm"}),
        ("unmounts", {"on": "/usr"}),
        ("remounts_writable", {"on": "/"}),
        ("remounts_writable", {"on": "/usr"}),
        ("unshares", {"flags": NEW_USER}),
        ("unshares", {"flags": NEW_MOUNTS}),
        ("unshares", {"flags": NEW_PIDS}),
        ("unshares", {"flags": NEW_NETWORK}),
        ("enters_a_namespace", {"kind": "mnt"}),
        ("enters_a_namespace", {"kind": "user"}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else value,
)
def test_what_takes_a_right_is_refused(invoker: Invoker, do: str, event: Any) -> None:
    """It has no right that its namespaces would give it."""
    refused, why = tried(invoker, do, **event)
    assert refused == "refused"
    assert why in {"EPERM", "EACCES", "EINVAL", "ENOSPC", "EUSERS"}


@pytest.mark.parametrize(
    "number", [248, 249, 250, 298, 304, 321, 323, 425], ids=lambda n: f"syscall {n}"
)
def test_a_call_that_would_get_around_is_not_answered(invoker: Invoker, number: int) -> None:
    """Keys outlive a process; bpf, io_uring and their like are ways into the kernel."""
    assert tried(invoker, "calls", number=number) == ["refused", "ENOSYS"]


def test_filter_holds_by_the_32_bit_door(invoker: Invoker) -> None:
    """``int 0x80`` takes the numbers of i386: add_key, keyctl, getpid, io_uring_setup."""
    if not _has_a_32_bit_door():
        pytest.skip("this kernel or processor takes no call by int 0x80")
    for number in (286, 288, 20, 425):
        assert tried(invoker, "calls_by_the_32_bit_door", number=number) == ["refused", "ENOSYS"]


def _has_a_32_bit_door() -> bool:
    # In a process of its own, which is killed where there is none.
    ran = subprocess.run(
        [sys.executable, "-c", "import escapes; print(escapes.call_32_bit(20) > 0)"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        timeout=60,
    )
    return platform.machine() == "x86_64" and ran.stdout.strip() == "True"


@pytest.mark.parametrize("family", [17, 38, 40, 44], ids=["packet", "alg", "vsock", "xdp"])
@pytest.mark.parametrize("by", [ESCAPE, SHUT], ids=["network", "none"])
def test_sockets_of_rare_families_are_refused(invoker: Invoker, by: Function, family: int) -> None:
    """A vsock reaches the hypervisor, whatever the network namespace."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        refused = tried(invoker, "makes_a_socket", by=by, family=family, kind=kind)
        assert refused == ["refused", "EAFNOSUPPORT"]


def test_init_gives_handlers_no_user_namespaces(invoker: Invoker) -> None:
    """INIT has capabilities in its own user namespace, and may set that one's limit."""
    for attack in ("", "give users back"):
        made = function(
            hostile_init.make_user_namespace, name="users", environment={"ATTACK": attack}
        )
        assert invoker.invoke(made).result() == "EPERM"


def test_session_keyring_is_not_the_apps() -> None:
    """The second wall, shown at the level that has no filter."""
    own = escapes.session_keyring()
    with Invoker("process") as plain:
        did, other = plain.invoke(ESCAPE, {"do": "finds_its_session_keyring"}).result()
    assert did == "did"
    assert other not in {0, own}


def test_no_key_is_kept(invoker: Invoker) -> None:
    """A key ring of the user's would pass a secret on to the next invocation."""
    assert tried(invoker, "keeps_a_key") == ["refused", "ENOSYS"]


# Leaving something for the next: the fixture looks


@pytest.mark.parametrize(
    "do", ["leaves_files", "leaves_a_segment", "leaves_a_queue", "leaves_settings"]
)
def test_what_it_leaves_is_gone(invoker: Invoker, do: str) -> None:
    """Files, System V objects, settings of the process."""
    if do in {"leaves_a_segment", "leaves_a_queue"} and not COUNTED:
        assert tried(invoker, do) == ["refused", "ENOSYS"]  # nobody would count them
    else:
        assert tried(invoker, do)[0] == "did"


def test_random_numbers_do_not_repeat(invoker: Invoker) -> None:
    """Forked from one template, no two environments draw the same."""
    drawn = [tried(invoker, "draws_lots")[1] for _ in range(6)]
    for column in zip(*drawn, strict=True):
        assert len(set(column)) == len(column)


@pytest.mark.parametrize("wait", [False, True])
def test_a_daemon_ends_with_it(invoker: Invoker, wait: bool) -> None:
    """Forked twice, in a session of its own, without PDEATHSIG: it ends all the same."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        event = {"do": "daemonises", "wait": wait, "port": server.getsockname()[1]}
        invocation = invoker.invoke(SHORT, event)
        assert invocation.status == ("timeout" if wait else "ok")
        line, _ = server.accept()
        line.settimeout(20)
        with line:
            assert line.recv(16) == b"here"
            # The kernel closes it when the last process that holds it ends.
            assert line.recv(16) == b""


# More than its share


def test_a_full_disk(invoker: Invoker) -> None:
    """/tmp is full at ephemeral_storage, to the page, and says ENOSPC."""
    written, why = tried(invoker, "fills_the_disk_exactly")[1]
    assert why == "ENOSPC"
    assert written == 512 * 1024 * 1024
    assert tried(invoker, "fills_the_disk") == ["refused", "ENOSPC"]


@pytest.mark.parametrize(
    ("do", "why"),
    [
        ("takes_every_inode", "ENOSPC"),
        ("takes_every_descriptor", "EMFILE"),
    ],
)
def test_a_resource_runs_out(invoker: Invoker, do: str, why: str) -> None:
    """For itself alone."""
    assert tried(invoker, do) == ["refused", why]


def test_threads_run_out(invoker: Invoker) -> None:
    """1,024 as on AWS: refused by a pids cgroup, or ended where there is none."""
    invocation = invoker.invoke(ESCAPE, {"do": "takes_every_thread"})
    if invocation.status == "exit":
        assert "more than 1,024" in str(invocation.error)
    else:
        assert invocation.result() == ["refused", "EAGAIN"]


@pytest.mark.parametrize(
    ("do", "event"),
    [
        ("maps_memory", {"shared": False}),
        ("maps_memory", {"shared": True}),
        ("maps_many_small_ones", {}),
        ("fills_a_memory_file", {}),
        ("fills_shared_memory", {}),
        ("shares_the_hoard_among_children", {}),
    ],
    ids=lambda value: "shared" if isinstance(value, dict) and value.get("shared") else None,
)
def test_memory_is_held(invoker: Invoker, do: str, event: Any) -> None:
    """However it is taken: mapped, shared, in files without a name, among children."""
    invocation = invoker.invoke(ESCAPE, {"do": do, **event})
    # One huge private mapping is refused by the backstop, before its first page.
    ahead = do == "maps_memory" and invocation.ok and invocation.payload == ["refused", "ENOMEM"]
    assert ahead or invocation.status == "out_of_memory"
    assert invocation.meter.max_memory_used_mb < 256 + 100


@pytest.mark.parametrize(
    "do", ["ignores_signals", "loops_in_c", "stops_itself", "catches_everything"]
)
def test_time_is_held(invoker: Invoker, do: str) -> None:
    """Whatever it ignores, catches, or does to itself."""
    invocation = invoker.invoke(SHORT, {"do": do})
    assert invocation.status == "timeout"
    assert 1000 <= invocation.meter.duration_ms < 1500


@pytest.mark.parametrize(
    "event",
    [
        {"do": "burns"},
        {"do": "burns", "processes": 3},
        {"do": "burns", "threads": 2},
        {"do": "burns_by_short_lives"},
    ],
    ids=["alone", "processes", "threads", "short lives"],
)
def test_cpu_is_held(invoker: Invoker, event: Any) -> None:
    """256 MB are 14.5 % of a vCPU, for all of its processes and threads together."""
    invocation = invoker.invoke(ESCAPE, {**event, "seconds": 2})
    meter = invocation.meter
    share = meter.cpu_time_ms / meter.duration_ms
    assert invocation.result() == ["did", "burnt"]
    assert meter.memory_tier.vcpus * 0.5 < share < meter.memory_tier.vcpus * 1.25
    # The kernel counts what the share kept it from, and not what a busy host did.
    assert meter.cpu_throttled_ms > (100 if BY_THE_KERNEL else 1000)


def test_a_throttled_function_keeps_what_it_stopped_itself(invoker: Invoker) -> None:
    """What it stopped itself is not woken by the one who lets it go on."""
    assert tried(invoker, "stops_its_child", seconds=1) == ["did", "T"]


def test_cpu_scaling_can_be_turned_off() -> None:
    """Then a function has all the CPU that there is."""
    with Invoker("namespace", cpu_scaling=False) as free:
        meter = free.invoke(ESCAPE, {"do": "burns", "seconds": 1}).meter
    assert meter.cpu_throttled_ms == 0
    assert meter.cpu_time_ms > 400


# The network


@pytest.fixture
def port() -> Iterator[int]:
    """A server of the host's, which greets."""
    text = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "while True: server.accept()[0].sendall(b'hello')"
    )
    server = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield int(server.stdout.readline())
    server.kill()
    server.wait()
    server.stdout.close()


def test_network_is_the_hosts_unless_it_is_shut(invoker: Invoker, port: int) -> None:
    """With ``network=False`` nothing of the host's can be reached."""
    assert tried(invoker, "connects", port=port) == ["did", "hello"]
    assert tried(invoker, "connects", by=SHUT, port=port) == ["refused", "ECONNREFUSED"]
    assert tried(invoker, "talks_to_itself", by=SHUT) == ["did", "hello"]


def test_an_abstract_socket_is_out_of_reach(invoker: Invoker) -> None:
    """It is in no folder, so it takes Landlock to keep it from a function with a network."""
    name = f"faaskit-test-{APP}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        assert tried(invoker, "connects_to_abstract", name=name) == ["refused", "EPERM"]


@pytest.fixture
def service() -> Iterator[Path]:
    """A server on a socket in a folder, which everybody may write to."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        Path(folder).chmod(0o755)
        server.bind(f"{folder}/service")
        server.listen()
        Path(folder, "service").chmod(0o777)
        yield Path(folder, "service")


def test_a_socket_that_is_readable_is_refused_without_network(
    invoker: Invoker, service: Path
) -> None:
    """A read-only mount keeps nobody from writing to it."""
    made = SHUT.with_config(readable=(str(service),))
    with pytest.raises(exceptions.DefinitionError, match="which is a socket"):
        invoker.invoke(made, {"do": "connects_to_path", "path": str(service)})


@pytest.mark.parametrize("kind", ["stream", "datagram", "pair of datagrams"])
def test_socket_in_a_folder_is_out_of_reach_without_network(invoker: Invoker, kind: str) -> None:
    """With the network a function may talk to whom it likes; without, to itself alone."""
    mode = socket.SOCK_STREAM if kind == "stream" else socket.SOCK_DGRAM
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, mode) as server:
        Path(folder).chmod(0o755)
        path = f"{folder}/service"
        server.bind(path)
        if kind == "stream":
            server.listen()
        Path(path).chmod(0o777)
        attempt: dict[str, Any] = {"do": "connects_to_path", "path": path, "kind": kind}
        opened = ESCAPE.with_config(readable=(folder,))
        assert invoker.invoke(opened, attempt).result() == ["did", None]
        shut = opened.with_config(network=False)
        refused = "EACCES" if NAMED_SOCKETS_TOLD_APART else "EAFNOSUPPORT"
        assert invoker.invoke(shut, attempt).result() == ["refused", refused]


def test_function_without_network_talks_to_itself(invoker: Invoker) -> None:
    """By connected pairs everywhere; by sockets with a name where the kernel tells them apart."""
    assert tried(invoker, "talks_to_itself_by_a_pair", by=SHUT) == ["did", "hello"]
    by_path = tried(invoker, "talks_to_itself_by_path", by=SHUT)
    assert by_path == (
        ["did", "hello"] if NAMED_SOCKETS_TOLD_APART else ["refused", "EAFNOSUPPORT"]
    )
    assert tried(invoker, "talks_to_itself_by_path") == ["did", "hello"]


def test_function_does_not_keep_the_host_from_writing(invoker: Invoker) -> None:
    """A lease on a file that may be read holds up whoever opens it for writing, for 45 s."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).chmod(0o644)
        made = ESCAPE.with_config(readable=(file.name,))
        assert tried(invoker, "takes_a_lease", by=made, path=file.name) == ["refused", "EINVAL"]
