"""etcdutl on the files of a stopped member: check, defrag, snapshot status and restore."""
import hashlib
import os
import pathlib
import subprocess

import pytest

from harness.api import Api
from harness.marks import needs_ours
from harness.server import etcd_binary

pytestmark = needs_ours

ETCDUTL = pathlib.Path(etcd_binary()).with_name("etcdutl")


def run(*args):
    return subprocess.run([ETCDUTL, *map(str, args)], text=True, capture_output=True, timeout=60)


def fill(server, count=300):
    for i in range(count):
        server.api.Put(key=b"k/%04d" % i, value=b"v" * 200)
    return server.api.DeleteRange(key=b"k/0000").header.revision


def save_snapshot(server, path):
    body = b"".join(r.blob for r in server.api.snapshot())
    assert hashlib.sha256(body[:-32]).digest() == body[-32:]
    path.write_bytes(body)


def test_check_of_a_good_member(fresh):
    fill(fresh)
    fresh.kill()
    done = run("check", "--data-dir", fresh.data_dir)
    assert done.returncode == 0, done.stderr
    assert "log: good" in done.stdout and "store: good" in done.stdout


def test_check_of_a_running_member_is_refused(fresh):
    done = run("check", "--data-dir", fresh.data_dir)
    assert done.returncode != 0
    assert "in use" in done.stderr or "another process" in done.stderr, done.stderr


def test_check_finds_a_flipped_bit_in_the_store(fresh):
    fill(fresh)
    fresh.stop()
    db = fresh.data_dir / "member/snap/db"
    body = bytearray(db.read_bytes())
    at = body.rindex(b"v" * 200)
    body[at] ^= 1
    db.write_bytes(bytes(body))
    done = run("check", "--data-dir", fresh.data_dir)
    assert done.returncode == 6, done
    assert "table history" in done.stderr and "restore" in done.stderr


def test_restored_snapshot_serves_what_was_saved(fresh, new_server, tmp_path):
    rev = fill(fresh)
    snapshot = tmp_path / "s.db"
    save_snapshot(fresh, snapshot)
    fresh.api.Put(key=b"later", value=b"")

    done = run("snapshot", "status", snapshot)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(", ")[1:3] == [str(rev), "299"]

    other = new_server()
    other.data_dir.rmdir() if other.data_dir.exists() else None
    done = run("snapshot", "restore", snapshot, "--data-dir", other.data_dir)
    assert done.returncode == 0, done.stderr
    other.start()
    r = other.api.Range(key=b"\0", range_end=b"\0", count_only=True)
    assert r.count == 299 and r.header.revision == rev
    assert other.api.Put(key=b"on", value=b"").header.revision == rev + 1
    other.kill()
    other.start()
    assert other.api.Range(key=b"on").count == 1


@pytest.mark.parametrize("place", ["middle", "sum", "cut"])
def test_damaged_snapshot_is_refused(fresh, tmp_path, place):
    fill(fresh)
    snapshot = tmp_path / "s.db"
    save_snapshot(fresh, snapshot)
    body = bytearray(snapshot.read_bytes())
    if place == "cut":
        del body[-4096:]
    else:
        body[len(body) // 2 if place == "middle" else -1] ^= 1
    snapshot.write_bytes(bytes(body))
    target = tmp_path / "data"
    done = run("snapshot", "restore", snapshot, "--data-dir", target)
    assert done.returncode == 6
    assert "s.db" in done.stderr and "SHA-256" in done.stderr
    assert not target.exists()


def test_restore_does_not_touch_an_existing_directory(fresh, tmp_path):
    fill(fresh)
    snapshot = tmp_path / "s.db"
    save_snapshot(fresh, snapshot)
    done = run("snapshot", "restore", snapshot, "--data-dir", fresh.data_dir)
    assert done.returncode != 0 and "File exists" in done.stderr
    assert fresh.api.Range(key=b"k/0001").count == 1


def test_defrag_gives_space_back(fresh):
    for i in range(100):
        fresh.api.Put(key=b"big/%d" % i, value=os.urandom(20000))
    rev = fresh.api.DeleteRange(key=b"big/", range_end=b"big0").header.revision
    fresh.api.Compact(revision=rev, physical=True)
    fresh.stop()
    db = fresh.data_dir / "member/snap/db"
    before = db.stat().st_size
    done = run("defrag", "--data-dir", fresh.data_dir)
    assert done.returncode == 0, done.stderr
    assert db.stat().st_size < before / 4
    fresh.start()
    with Api(fresh.target) as api:
        assert api.Put(key=b"on", value=b"").header.revision == rev + 1


def test_errors_say_what_to_do():
    assert "usage: etcdutl snapshot status FILE" in run("snapshot", "status").stderr
    assert "--data-dir" in run("check").stderr
    assert "did you mean 'check'" in run("chek").stderr
    assert run("chek").returncode == 3
