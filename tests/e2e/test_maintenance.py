"""Maintenance, cluster, health, quota and alarms, automatic compaction."""
import hashlib
import pathlib
import subprocess
import time

import grpc
import pytest

from harness.api import refused
from harness.ctl import Ctl
from harness.marks import VERSION, needs_36, needs_ours
from harness.server import etcd_binary

NO_SPACE = "etcdserver: mvcc: database space exceeded"


def test_status(api):
    api.Put(key=b"s", value=b"x")
    r = api.Status()
    assert r.version == ".".join(map(str, VERSION))
    assert r.leader == r.header.member_id and r.raftTerm >= 1 and r.header.raft_term == r.raftTerm
    assert r.raftIndex >= r.raftAppliedIndex > 0 and r.dbSize >= r.dbSizeInUse > 0
    assert not r.errors and not r.isLearner


@needs_36
def test_status_36_fields(api):
    r = api.Status()
    assert r.storageVersion.startswith("3.6") and r.dbSizeQuota == 2 * 1024**3
    assert not r.downgradeInfo.enabled


def test_applied_index_grows_with_writes(api):
    before = api.Status().raftAppliedIndex
    api.Put(key=b"s", value=b"x")
    assert api.Status().raftAppliedIndex > before


def test_member_list(shared, api):
    r = api.MemberList()
    member, = r.members
    assert member.name == "default" and list(member.clientURLs) == [shared.url]
    assert list(member.peerURLs) == [f"http://127.0.0.1:{shared.peer_port}"]
    assert r.header.member_id == member.ID and r.header.revision == 0 and not member.isLearner


def test_ids_come_from_peer_urls_and_token(new_server):
    s = new_server(args=["--initial-cluster-token", "tok"]).start()
    peer = f"http://127.0.0.1:{s.peer_port}"
    member = hashlib.sha1((peer + "tok").encode()).digest()[:8]
    cluster = hashlib.sha1(member).digest()[:8]
    h = s.api.Status().header
    assert h.member_id == int.from_bytes(member, "big")
    assert h.cluster_id == int.from_bytes(cluster, "big")


def test_hash_agrees_between_equal_stores(new_server):
    hashes = []
    for _ in range(2):
        s = new_server().start()
        for i in range(20):
            s.api.Put(key=b"k%d" % (i % 7), value=b"%d" % i)
        s.api.DeleteRange(key=b"k3")
        hashes.append((s.api.HashKV().hash, s.api.HashKV(revision=10).hash))
        assert s.api.Hash().hash
    assert hashes[0] == hashes[1] and hashes[0][0] != hashes[0][1]


def test_hashkv_tells_its_revisions(fresh):
    for i in range(6):
        fresh.api.Put(key=b"k", value=b"")
    fresh.api.Compact(revision=4)
    r = fresh.api.HashKV(revision=5)
    assert r.compact_revision == 4 and r.header.revision == 7
    if VERSION >= (3, 6):
        assert r.hash_revision == 5
    with refused(grpc.StatusCode.OUT_OF_RANGE,
                 "etcdserver: mvcc: required revision is a future revision"):
        fresh.api.HashKV(revision=99)
    if VERSION >= (3, 6):
        with refused(grpc.StatusCode.OUT_OF_RANGE,
                     "etcdserver: mvcc: required revision has been compacted"):
            fresh.api.HashKV(revision=3)


def test_defragment_shrinks_and_loses_nothing(fresh):
    for i in range(100):
        fresh.api.Put(key=b"k%d" % i, value=b"x" * 20000)
    rev = fresh.api.DeleteRange(key=b"k", range_end=b"l").header.revision
    fresh.api.Put(key=b"stays", value=b"here")
    fresh.api.Compact(revision=rev, physical=True)
    before = fresh.api.Status().dbSize
    assert not fresh.api.Defragment().HasField("header")
    assert fresh.api.Status().dbSize < before
    assert fresh.api.Range(key=b"stays").kvs[0].value == b"here"
    fresh.kill()
    fresh.start()
    assert fresh.api.Range(key=b"stays").kvs[0].value == b"here"


def test_snapshot_stream_counts_down_and_ends_with_its_hash(fresh):
    for i in range(200):
        fresh.api.Put(key=b"k%d" % i, value=b"x" * 1000)
    body, remaining = b"", None
    for r in fresh.api.snapshot():
        assert remaining is None or r.remaining_bytes <= remaining
        assert len(r.blob) <= 64 * 1024
        remaining = r.remaining_bytes
        body += r.blob
    assert remaining == 0
    assert hashlib.sha256(body[:-32]).digest() == body[-32:]
    assert len(body) % 512 == 32


def test_move_leader_refuses_an_unknown_member(api):
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "etcdserver: bad leader transferee"):
        api.MoveLeader(targetID=12345)


def test_alarms_can_be_listed_raised_and_cleared(fresh):
    api, member = fresh.api, fresh.api.Status().header.member_id
    assert not api.Alarm(action="GET").alarms
    api.Alarm(action="ACTIVATE", memberID=member, alarm="NOSPACE")
    a, = api.Alarm(action="GET").alarms
    assert (a.memberID, a.alarm) == (member, 1)
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, NO_SPACE):
        api.Put(key=b"k", value=b"")
    assert any("NOSPACE" in e for e in api.Status().errors)
    fresh.restart()
    assert len(fresh.api.Alarm(action="GET").alarms) == 1, "an alarm survives a restart"
    fresh.api.Alarm(action="DEACTIVATE", memberID=member, alarm="NOSPACE")
    fresh.api.Put(key=b"k", value=b"")


def test_quota_raises_the_alarm_and_what_frees_space_still_works(new_server):
    s = new_server(args=["--quota-backend-bytes", str(4 << 20)]).start()
    api = s.api
    lease = api.LeaseGrant(TTL=100).ID
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, NO_SPACE):
        for i in range(100):
            api.Put(key=b"k%d" % i, value=b"x" * 100_000)
    assert [a.alarm for a in api.Alarm(action="GET").alarms] == [1]
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, NO_SPACE):
        api.Put(key=b"small", value=b"")
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, NO_SPACE):
        api.txn(then=[dict(request_put=dict(key=b"k", value=b""))])
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, NO_SPACE):
        api.LeaseGrant(TTL=100)
    assert api.Range(key=b"k0").count == 1
    api.LeaseRevoke(ID=lease)
    rev = api.DeleteRange(key=b"\0", range_end=b"\0").header.revision
    api.Compact(revision=rev, physical=True)
    api.Defragment()
    api.Alarm(action="DEACTIVATE", memberID=s.api.Status().header.member_id, alarm="NOSPACE")
    api.Put(key=b"again", value=b"")


def test_corrupt_alarm_stops_writes(fresh):
    api = fresh.api
    api.Put(key=b"k", value=b"v")
    api.Alarm(action="ACTIVATE", memberID=api.Status().header.member_id, alarm="CORRUPT")
    for call in (lambda: api.Put(key=b"k", value=b""), lambda: api.LeaseGrant(TTL=10),
                 lambda: api.Compact(revision=2), lambda: api.DeleteRange(key=b"k")):
        with refused(grpc.StatusCode.DATA_LOSS, "etcdserver: corrupt cluster"):
            call()


def test_auto_compaction_by_revision(new_server):
    """Its period is five minutes: only that the server takes the flags can be seen quickly."""
    s = new_server(args=["--auto-compaction-mode=revision", "--auto-compaction-retention=10"]).start()
    s.api.Put(key=b"k", value=b"")


def test_auto_compaction_by_time(new_server):
    s = new_server(args=["--auto-compaction-mode=periodic", "--auto-compaction-retention=1s"]).start()
    for _ in range(10):
        s.api.Put(key=b"k", value=b"")
    deadline = time.monotonic() + 10
    while True:
        try:
            s.api.Range(key=b"k", revision=2)
        except grpc.RpcError as e:
            assert e.details() == "etcdserver: mvcc: required revision has been compacted"
            break
        assert time.monotonic() < deadline, "nothing was compacted"
        time.sleep(0.3)
    assert s.api.Range(key=b"k").count == 1


def test_grpc_health(api):
    assert api.Check().status == 1


@needs_ours
def test_unknown_service_and_method_are_refused(api):
    for path in ("/etcdserverpb.KV/Nope", "/no.such.Service/Method"):
        with refused(grpc.StatusCode.UNIMPLEMENTED):
            api.raw(path, b"")


# ---- etcdctl -------------------------------------------------------------------------------------------


def test_etcdctl_endpoint_and_members(shared, ctl):
    p = ctl.run("endpoint", "health")
    out = p.stdout + p.stderr  # 3.4 says it on stderr
    assert p.returncode == 0 and "is healthy: successfully committed proposal" in out
    row = ctl("endpoint", "status").split(", ")
    assert row[0] == shared.target and row[2].startswith("3.")
    status, = ctl.json("endpoint", "status")
    assert status["Status"]["leader"] == status["Status"]["header"]["member_id"]
    assert "started, default" in ctl("member", "list")
    assert "default" in ctl("-w", "table", "member", "list")
    assert ctl("endpoint", "hashkv").startswith(shared.target)


def test_etcdctl_snapshot_save(fresh):
    fresh.api.Put(key=b"k", value=b"v")
    path = fresh.dir / "snap"
    out = Ctl(fresh)("snapshot", "save", str(path))
    assert f"Snapshot saved at {path}" in out and path.stat().st_size % 512 == 32


@needs_ours
def test_a_refused_restore_leaves_nothing_behind(fresh):
    """A spoilt copy is refused, and the same command with a good one works."""
    fresh.api.Put(key=b"k", value=b"v")
    good = b"".join(r.blob for r in fresh.api.snapshot())
    path, target = fresh.dir / "snap", fresh.dir / "restored"
    etcdutl = pathlib.Path(etcd_binary()).with_name("etcdutl")

    def restore(content):
        path.write_bytes(content)
        return subprocess.run([etcdutl, "snapshot", "restore", path, "--data-dir", target],
                              capture_output=True, text=True)
    refused_one = restore(good[:5000] + bytes([good[5000] ^ 1]) + good[5001:])
    assert refused_one.returncode != 0 and "take another copy" in refused_one.stderr
    assert restore(good).returncode == 0
    again = restore(good)
    assert again.returncode != 0 and "give another --data-dir" in again.stderr


def test_etcdctl_alarm_and_defrag(fresh):
    ctl = Ctl(fresh)
    assert ctl("alarm", "list") == ""
    fresh.api.Alarm(action="ACTIVATE", memberID=fresh.api.Status().header.member_id, alarm="NOSPACE")
    assert "alarm:NOSPACE" in ctl("alarm", "list")
    assert "alarm:NOSPACE" in ctl("alarm", "disarm")
    assert "Finished defragmenting etcd member" in ctl("defrag")


@pytest.mark.parametrize("load", ["s"])
def test_etcdctl_check_perf_flag_parses(ctl, load):
    """The whole check takes a minute: here only its arguments meet the server."""
    p = ctl.spawn("check", "perf", f"--load={load}")
    time.sleep(1)
    assert p.poll() is None
    p.kill()
    p.communicate()
