"""stead: the front door. up supervises, tools are found, mistakes are met kindly."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

from harness.api import ROOT, Api
from harness.server import etcd_binary, free_ports, inherited_environment, scratch_dir

STEAD = os.environ.get("STEAD_BIN", str(pathlib.Path(etcd_binary()).parent / "stead"))
if not os.access(STEAD, os.X_OK):
    STEAD = str(ROOT / "build/bin/stead")
pytestmark = pytest.mark.skipif(not os.access(STEAD, os.X_OK), reason="stead is not built")


class Up:
    """A running `stead up`, from a folder that holds stead and the etcd under test."""

    def __init__(self):
        self.dir = scratch_dir("up")
        bin_dir = self.dir / "bin"
        bin_dir.mkdir()
        shutil.copy(STEAD, bin_dir / "stead")
        (bin_dir / "etcd").symlink_to(etcd_binary())
        self.port, self.peer_port = free_ports(2)
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [self.dir / "bin/stead", "up", "--dir", self.dir / "data", "--client-url",
             f"http://127.0.0.1:{self.port}", f"--peer-url=http://127.0.0.1:{self.peer_port}"],
            stdout=subprocess.PIPE, stderr=open(self.dir / "log", "ab"), text=True,
            env=inherited_environment())
        return self

    def children(self):
        path = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(p) for p in path.read_text().split()]

    def wait_serving(self):
        """Its words up to the hint what to try."""
        said = ""
        for line in self.process.stdout:
            said += line
            if "try" in line:
                return said
        raise AssertionError(f"stead up ended: {said}{(self.dir / 'log').read_text()}")

    def remove(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture
def up():
    u = Up()
    yield u
    u.remove()


def gone(pid):
    try:
        os.kill(pid, 0)
        return False
    except ProcessLookupError:
        return True


def test_up_says_where_it_listens_and_serves_there(up):
    said = up.start().wait_serving()
    assert f"http://127.0.0.1:{up.port}" in said and str(up.dir / "data/etcd") in said
    with Api(f"127.0.0.1:{up.port}") as api:
        api.Put(key=b"k", value=b"v")
    assert (up.dir / "data/etcd/member").is_dir()


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_up_stops_cleanly(up, sig):
    up.start().wait_serving()
    etcd, = up.children()
    up.process.send_signal(sig)
    assert up.process.wait(20) == 0
    assert gone(etcd)


def test_up_restarts_what_dies_with_its_data(up):
    up.start().wait_serving()
    with Api(f"127.0.0.1:{up.port}") as api:
        api.Put(key=b"k", value=b"v")
    first, = up.children()
    os.kill(first, signal.SIGKILL)
    up.wait_serving()
    second, = up.children()
    assert second != first
    with Api(f"127.0.0.1:{up.port}") as api:
        assert api.Range(key=b"k").kvs[0].value == b"v"
    assert "was ended by signal 9" in (up.dir / "log").read_text()


def test_services_do_not_outlive_a_killed_up(up):
    up.start().wait_serving()
    etcd, = up.children()
    up.process.kill()
    up.process.wait()
    deadline = time.monotonic() + 10
    while not gone(etcd):
        assert time.monotonic() < deadline, "etcd goes on without its supervisor"
        time.sleep(0.05)


def test_up_gives_up_on_what_cannot_start(up):
    # The data directory is a file.
    (up.dir / "data").mkdir()
    (up.dir / "data/etcd").write_text("")
    up.start()
    assert up.process.wait(30) != 0
    assert (up.dir / "log").read_text()


def test_up_gives_up_when_the_service_always_ends(up):
    (up.dir / "bin/etcd").unlink()
    (up.dir / "bin/etcd").write_text("#!/bin/sh\necho broken >&2\nexit 7\n")
    (up.dir / "bin/etcd").chmod(0o755)
    up.start()
    assert up.process.wait(30) == 1
    log = (up.dir / "log").read_text()
    assert "exit status 7" in log and "never came up" in log


def stead(*args):
    return subprocess.run([STEAD, *args], text=True, capture_output=True, timeout=20)


def test_help_and_version():
    assert stead("--help").returncode == 0 and "stead up" in stead("--help").stdout
    assert stead("--version").stdout.startswith("stead ")
    assert stead("up", "--help").returncode == 0
    assert stead().returncode == 3


@pytest.mark.parametrize("args,expected", [
    (["etcdclt"], "did you mean 'etcdctl'"),
    (["upp"], "did you mean 'up'"),
    (["up", "--dri", "x"], "did you mean '--dir'"),
    (["up", "there"], "takes no argument"),
    (["../evil"], "unknown command"),
])
def test_mistakes_are_named(args, expected):
    p = stead(*args)
    assert p.returncode == 3 and expected in p.stderr


def test_a_tool_is_run_with_its_arguments(up):
    p = subprocess.run([up.dir / "bin/stead", "etcd", "--version"], text=True, capture_output=True)
    assert p.returncode == 0 and p.stdout.startswith("etcd Version: ")


def test_port_probe_does_not_disturb_another_service(up):
    """A foreign process on our port is not taken for our etcd's readiness forever: etcd cannot bind,
    ends, and that is said."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", up.port))
        s.listen()
        up.start()
        deadline = time.monotonic() + 20
        while "etcd" not in (up.dir / "log").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        up.process.send_signal(signal.SIGTERM)
        up.process.wait(20)
