"""A full disk: writes fail with the protocol's error, reads go on, and all recovers when space
returns. On a small tmpfs."""
import os
import subprocess
import time

import grpc
import pytest

from harness.marks import needs_ours, needs_root
from harness.server import scratch_dir

pytestmark = [needs_ours, needs_root]

SIZE_MB = 96
RECOVERY_S = 15


@pytest.fixture
def small_disk():
    path = scratch_dir("small-disk")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", path],
                          capture_output=True, text=True)
    if made.returncode != 0:
        path.rmdir()
        pytest.skip(f"cannot mount a tmpfs here: {made.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", path], check=True)
    path.rmdir()


def fill_up(path):
    """Takes all the space there is."""
    ballast = path / "ballast"
    with open(ballast, "ab", buffering=0) as f:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    f.write(b"x" * size)
            except OSError:
                pass
    return ballast


def write_until_refused(api, limit=4000):
    """{key: value} of what was acknowledged, and the refusal."""
    written = {}
    for i in range(limit):
        key, value = b"k%05d" % i, b"%d" % i + b"v" * 20000
        try:
            api.Put(key=key, value=value)
        except grpc.RpcError as e:
            return written, e
        written[key] = value
    return written, None


def wait_writable(api):
    deadline = time.monotonic() + RECOVERY_S
    while True:
        try:
            return api.Put(key=b"after", value=b"space is back")
        except grpc.RpcError as e:
            assert e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, e
            assert time.monotonic() < deadline, "still refused with space again"
            time.sleep(0.2)


def read_all(api):
    return {kv.key: kv.value for kv in api.Range(key=b"k", range_end=b"l").kvs}


def test_full_disk_and_back(small_disk, new_server):
    server = new_server()
    server.data_dir = small_disk / "data"
    server.start()
    server.api.Put(key=b"k-before", value=b"x")
    ballast = fill_up(small_disk)
    written, error = write_until_refused(server.api)
    assert error, "the disk was never full"
    assert (error.code(), error.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED,
                                               "etcdserver: mvcc: database space exceeded")
    written[b"k-before"] = b"x"
    assert server.alive()
    assert read_all(server.api) == written, "reads go on, with everything acknowledged"
    with server.api.watch() as w:
        w.create(b"k-before", start_revision=2)
        assert w.events(1)
    os.unlink(ballast)
    wait_writable(server.api)
    server.kill()
    server.start()
    assert read_all(server.api) == written
    assert server.api.Range(key=b"after").count == 1


def test_kill_and_restart_on_a_full_disk(small_disk, new_server):
    """It starts (or says that it cannot for want of space), and loses nothing either way."""
    server = new_server()
    server.data_dir = small_disk / "data"
    server.start()
    ballast = fill_up(small_disk)
    written, error = write_until_refused(server.api)
    assert error
    server.kill()
    server.spawn()
    try:
        server.wait_ready()
        assert read_all(server.api) == written
        server.kill()
    except AssertionError:
        assert server.process.poll() not in (None, 0)
        assert "space" in server.fresh_log().lower(), server.fresh_log()[-2000:]
    os.unlink(ballast)
    server.start()
    assert read_all(server.api) == written
    wait_writable(server.api)
