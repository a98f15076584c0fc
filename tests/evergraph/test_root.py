"""Root starts everything, and nothing that anybody can talk to stays root."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.text import FillTextTemplate
from runtime.embedded import folder, privileges, roles
from runtime.embedded.postgres import RULES
from tests.support.cluster import Cluster
from tests.support.graphs import graph, items, node
from tests.support.installation import Installation, real_installation
from tests.support.processes import until

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or sys.platform != "linux", reason="only root has anything to leave"
)

SERVERS = {"postgres", "nats"}
PR_CAPBSET_DROP = 24
CAP_SYS_ADMIN = 21
NOBODYS_PORTS = range(700, 1024)
"""Which only root may bind."""
APART = "{% for one in [n] %}{{ one }}{% endfor %}"
"""A template that is rendered by a process of its own."""


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A data folder with no closed folder on the way to it."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    (root / "data").mkdir(mode=0o700)
    yield root / "data"
    shutil.rmtree(root)


def ids_of(pid: int) -> set[int]:
    """All users and groups that a process is or can become."""
    facts = status(pid)
    return {int(one) for name in ("Uid", "Gid", "Groups") for one in facts[name].split()}


def capabilities(pid: int) -> set[int]:
    """What else it may do, or could."""
    facts = status(pid)
    return {int(facts[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return {name: value for name, _, value in (line.partition(":") for line in lines)}


def has_left_root(pid: int, kept: int = 0) -> bool:
    return 0 not in ids_of(pid) and capabilities(pid) == {kept}


async def renders(installation: Installation) -> None:
    """A run goes well that needs a process more."""
    template = node("t", FillTextTemplate, format=APART)
    user = await installation.user()
    ended = await user.run(graph(items("a", 1), template, links="a.item > t.values_#_n"))
    assert ended.only("t")["output_data"] == {"output": ["1"]}


@pytest.mark.holds("S40")
async def test_no_process_but_the_supervisor_stays_root(tmp_path: Path) -> None:
    """Also behind a closed folder, such as that of the tests."""
    async with real_installation(tmp_path, tmp_path / "plugins") as installation:
        whole = installation.cluster
        pids = whole.pids()
        del pids["up"]
        await until(lambda: all(map(has_left_root, pids.values())))
        assert all(status(pid)["NoNewPrivs"].strip() == "1" for pid in pids.values())
        for kind in ("Uid", "Gid"):
            servers = {status(pids[name])[kind] for name in SERVERS}
            assert not servers & {status(pids[name])[kind] for name in pids.keys() - SERVERS}
        await renders(installation)
        executor = await whole.kill("executor-1")
        await whole.replaced("executor-1", executor)
        await until(lambda: has_left_root(whole.pids()["executor-1"]))
        async with whole.beside("sweeper", "alone") as alone:
            await until(lambda: has_left_root(alone.pid))


async def test_where_no_way_can_be_cleared_one_capability_is_kept(tmp_path: Path) -> None:
    """As in a container, in which root may mount nothing."""

    def may_not_mount() -> None:
        assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0) == 0

    kept = 1 << privileges.CAP_DAC_READ_SEARCH
    plugins = tmp_path / "plugins"
    async with real_installation(tmp_path, plugins, before=may_not_mount) as installation:
        pids = installation.cluster.pids()
        del pids["up"]
        await until(lambda: all(has_left_root(pid, kept) for pid in pids.values()))
        await renders(installation)


@pytest.mark.holds("S40")
async def test_our_processes_get_at_nothing_of_the_servers(open_dir: Path) -> None:
    whole = Cluster(open_dir, {})
    async with whole.running():
        closed = [
            *(open_dir / f"{role}.key" for role in roles.ATTRIBUTES),
            *(open_dir / "postgres" / name for name in ("PG_VERSION", RULES)),
            open_dir / "jwt.key",
            open_dir / "logs" / "api.log",
            open_dir / "nats" / "jetstream",
        ]
        assert all(path.exists() for path in closed)
        assert [path for path in closed if as_our_user("test", "-r", str(path)) == 0] == []
        assert as_our_user("test", "-r", str(open_dir / "nats" / "nats.json")) == 0
        sockets = folder.socket_folder(open_dir)
        assert as_our_user("test", "-w", str(sockets / ".s.PGSQL.5432")) == 0
        assert as_our_user("test", "-w", str(sockets)) != 0
        for name in SERVERS:
            assert as_our_user("kill", "-0", str(whole.pids()[name])) != 0


def as_our_user(*command: str) -> int:
    """The exit code of a command that one of our processes could have started."""
    account = privileges.own_account()
    return subprocess.run(
        command,
        user=account.uid,
        group=account.gid,
        extra_groups=[account.gid],
        check=False,
        capture_output=True,
    ).returncode


async def test_the_api_has_a_port_of_roots_also_when_it_is_started_again(tmp_path: Path) -> None:
    whole = Cluster(tmp_path, {}, port=next(filter(is_free, NOBODYS_PORTS)))
    async with whole.running():
        api = await whole.kill("api")
        await whole.replaced("api", api)
        await whole.recovered()
        await until(lambda: has_left_root(whole.pids()["api"]))


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


async def test_a_data_folder_of_an_earlier_version_is_arranged(open_dir: Path) -> None:
    whole = Cluster(open_dir, {})
    async with whole.running():
        pass
    make_old(open_dir)
    async with whole.running():
        pids = whole.pids()
        del pids["up"]
        await until(lambda: all(map(has_left_root, pids.values())))


def make_old(data_dir: Path) -> None:
    """What it was like when servers alone had left root."""
    nats, server = data_dir / "nats", privileges.account(data_dir / "nats")
    for path, mode in ((nats, 0o700), (nats / "nats.json", 0o600)):
        os.chown(path, server.uid, server.gid)
        path.chmod(mode)
    for role in roles.ATTRIBUTES:
        (data_dir / f"{role}.key").unlink()
    data_dir.chmod(0o700)
