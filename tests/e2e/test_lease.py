"""Leases: grant, expiry, renewal, attached keys, and what survives a restart."""
import time

import grpc
import pytest

from harness.api import refused
from harness.ctl import Ctl

NOT_FOUND = "etcdserver: requested lease not found"


def wait_gone(api, key, timeout):
    deadline = time.monotonic() + timeout
    while api.Range(key=key).count:
        assert time.monotonic() < deadline, "the key outlived its lease"
        time.sleep(0.05)


def test_grant_picks_a_positive_id(api):
    r = api.LeaseGrant(TTL=100)
    assert r.ID > 0 and r.TTL == 100 and r.error == "" and r.header.revision >= 1


def test_grant_with_an_id_twice_is_refused(api):
    assert api.LeaseGrant(TTL=100, ID=4242).ID == 4242
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "etcdserver: lease already exists"):
        api.LeaseGrant(TTL=100, ID=4242)


@pytest.mark.parametrize("ttl", [1, 0, -5])
def test_ttl_below_the_minimum_is_raised(api, ttl):
    assert api.LeaseGrant(TTL=ttl).TTL == 2


def test_ttl_too_large_is_refused(api):
    assert api.LeaseGrant(TTL=9_000_000_000).TTL == 9_000_000_000
    with refused(grpc.StatusCode.OUT_OF_RANGE, "etcdserver: too large lease TTL"):
        api.LeaseGrant(TTL=9_000_000_001)


def test_expiry_deletes_attached_keys_in_one_revision(api, key):
    lease = api.LeaseGrant(TTL=2).ID
    with api.watch() as w:
        w.create(key, range_end=key + b"\xff")
        for name in (b"b", b"a", b"c"):
            api.Put(key=key + name, value=b"", lease=lease)
        w.events(3)
        started = time.monotonic()
        deleted = w.events(3, timeout=8)
        assert 1 <= time.monotonic() - started < 5
    assert [e.kv.key[-1:] for e in deleted] == [b"a", b"b", b"c"]
    assert len({e.kv.mod_revision for e in deleted}) == 1
    assert api.LeaseTimeToLive(ID=lease).TTL == -1


def test_keep_alive_holds_a_lease(api, key):
    lease = api.LeaseGrant(TTL=2).ID
    api.Put(key=key, value=b"", lease=lease)
    with api.keep_alive() as ka:
        for _ in range(4):
            ka.send(ID=lease)
            r = ka.recv()
            assert (r.ID, r.TTL) == (lease, 2)
            time.sleep(1)
    assert api.Range(key=key).count == 1
    wait_gone(api, key, 5)


def test_keep_alive_of_an_unknown_lease_answers_ttl_zero(api):
    with api.keep_alive() as ka:
        ka.send(ID=987654321)
        r = ka.recv()
        assert (r.ID, r.TTL) == (987654321, 0)


def test_revoke_deletes_keys_in_one_revision(api, key):
    lease = api.LeaseGrant(TTL=100).ID
    api.Put(key=key + b"1", value=b"", lease=lease)
    before = api.Put(key=key + b"2", value=b"", lease=lease).header.revision
    assert api.LeaseRevoke(ID=lease).header.revision == before + 1
    assert api.Range(key=key, range_end=key + b"\xff").count == 0
    with refused(grpc.StatusCode.NOT_FOUND, NOT_FOUND):
        api.LeaseRevoke(ID=lease)


def test_revoke_without_keys_leaves_the_revision(api):
    lease = api.LeaseGrant(TTL=100)
    assert api.LeaseRevoke(ID=lease.ID).header.revision == lease.header.revision


def test_time_to_live(api, key):
    lease = api.LeaseGrant(TTL=100).ID
    api.Put(key=key + b"b", value=b"", lease=lease)
    api.Put(key=key + b"a", value=b"", lease=lease)
    r = api.LeaseTimeToLive(ID=lease)
    assert 97 <= r.TTL <= 100 and r.grantedTTL == 100 and not r.keys
    r = api.LeaseTimeToLive(ID=lease, keys=True)
    assert sorted(r.keys) == [key + b"a", key + b"b"]
    r = api.LeaseTimeToLive(ID=11223344)
    assert (r.ID, r.TTL, r.grantedTTL) == (11223344, -1, 0)


def test_list_of_leases(fresh):
    ids = {fresh.api.LeaseGrant(TTL=100).ID for _ in range(5)}
    assert {x.ID for x in fresh.api.LeaseLeases().leases} == ids


def test_put_detaches_or_moves_a_key(api, key):
    one, two = api.LeaseGrant(TTL=100).ID, api.LeaseGrant(TTL=100).ID
    api.Put(key=key, value=b"", lease=one)
    api.Put(key=key, value=b"", lease=two)
    assert not api.LeaseTimeToLive(ID=one, keys=True).keys
    api.LeaseRevoke(ID=one)
    assert api.Range(key=key).kvs[0].lease == two
    api.Put(key=key, value=b"")
    assert api.Range(key=key).kvs[0].lease == 0
    api.LeaseRevoke(ID=two)
    assert api.Range(key=key).count == 1


def test_deleted_key_leaves_its_lease(api, key):
    lease = api.LeaseGrant(TTL=100).ID
    api.Put(key=key, value=b"", lease=lease)
    api.DeleteRange(key=key)
    assert not api.LeaseTimeToLive(ID=lease, keys=True).keys


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_lease_and_its_keys_survive_a_restart_and_still_expire(fresh, how):
    long, short = fresh.api.LeaseGrant(TTL=100).ID, fresh.api.LeaseGrant(TTL=3).ID
    fresh.api.Put(key=b"long", value=b"", lease=long)
    fresh.api.Put(key=b"short", value=b"", lease=short)
    getattr(fresh, how)()
    fresh.start()
    r = fresh.api.LeaseTimeToLive(ID=long, keys=True)
    assert 90 <= r.TTL <= 101 and r.grantedTTL == 100 and list(r.keys) == [b"long"]
    wait_gone(fresh.api, b"short", 9)
    assert fresh.api.Range(key=b"long").count == 1


def test_etcdctl_lease(ctl):
    out = ctl("lease", "grant", "100")
    assert out.startswith("lease ") and out.endswith(" granted with TTL(100s)\n")
    lease = out.split()[1]
    ctl("put", f"--lease={lease}", "ctl-lease", "x")
    out = ctl("lease", "timetolive", "--keys", lease)
    assert out.startswith(f"lease {lease} granted with TTL(100s), remaining(")
    assert "attached keys([ctl-lease])" in out
    assert lease in ctl("lease", "list")
    assert ctl("lease", "keep-alive", "--once", lease) == f"lease {lease} keepalived with TTL(100)\n"
    assert ctl("lease", "revoke", lease) == f"lease {lease} revoked\n"
    assert ctl("get", "ctl-lease") == ""
    assert ctl("lease", "timetolive", lease) == f"lease {lease} already expired\n"


def test_python_etcd3_lease(shared):
    import etcd3
    with etcd3.client(host="127.0.0.1", port=shared.port) as client:
        lease = client.lease(100)
        client.put("pl", "x", lease=lease)
        assert lease.granted_ttl == 100 and lease.keys == [b"pl"]
        lease.refresh()
        lease.revoke()
        assert client.get("pl") == (None, None)


def test_many_leases_expire_on_time(fresh):
    ids = [fresh.api.LeaseGrant(TTL=2).ID for _ in range(200)]
    for i, lease in enumerate(ids):
        fresh.api.Put(key=b"k%d" % i, value=b"", lease=lease)
    deadline = time.monotonic() + 8
    while fresh.api.Range(key=b"\0", range_end=b"\0", count_only=True).count:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not fresh.api.LeaseLeases().leases
    assert Ctl(fresh)("lease", "list") == "found 0 leases\n"
