"""Put, Range, DeleteRange and Compact: every option, exact answers and exact refusals."""
import grpc
import pytest

from harness.api import message, prefix_end, refused
from harness.marks import needs_36

INVALID = grpc.StatusCode.INVALID_ARGUMENT
OUT_OF_RANGE = grpc.StatusCode.OUT_OF_RANGE
EMPTY_KEY = "etcdserver: key is not provided"


def fill(api, prefix, names, value=b"v"):
    for n in names:
        api.Put(key=prefix + n, value=value)


def keys(response):
    return [kv.key for kv in response.kvs]


def tails(response, prefix):
    return b"".join(kv.key[len(prefix):] for kv in response.kvs)


# ---- revisions ------------------------------------------------------------------------------------


def test_fresh_store_is_at_revision_1_and_the_first_write_makes_2(fresh):
    assert fresh.api.Range(key=b"a").header.revision == 1
    assert fresh.api.Put(key=b"a", value=b"1").header.revision == 2
    kv = fresh.api.Range(key=b"a").kvs[0]
    assert (kv.create_revision, kv.mod_revision, kv.version) == (2, 2, 1)


def test_header_names_cluster_and_member(fresh):
    h = fresh.api.Range(key=b"a").header
    member = fresh.api.MemberList().members[0]
    assert h.member_id == member.ID != 0
    assert h.cluster_id != 0 and h.raft_term >= 1


def test_put_counts_versions_and_keeps_create_revision(api, key):
    first = api.Put(key=key, value=b"1").header.revision
    api.Put(key=key, value=b"1")
    last = api.Put(key=key, value=b"2").header.revision
    kv = api.Range(key=key).kvs[0]
    assert (kv.create_revision, kv.mod_revision, kv.version, kv.value) == (first, last, 3, b"2")
    assert last == first + 2


def test_create_after_delete_starts_a_new_life(api, key):
    api.Put(key=key, value=b"1")
    api.Put(key=key, value=b"1")
    api.DeleteRange(key=key)
    rev = api.Put(key=key, value=b"2").header.revision
    kv = api.Range(key=key).kvs[0]
    assert (kv.create_revision, kv.mod_revision, kv.version) == (rev, rev, 1)


def test_old_revisions_stay_readable_and_the_header_tells_the_current_one(api, key):
    revs = [api.Put(key=key, value=b"%d" % i).header.revision for i in range(5)]
    for i, rev in enumerate(revs):
        r = api.Range(key=key, revision=rev)
        assert r.kvs[0].value == b"%d" % i
        assert r.header.revision == revs[-1]
    assert api.Range(key=key, revision=revs[0] - 1).count == 0


def test_values_and_keys_are_any_bytes(api, key):
    odd = key + bytes(range(256))
    api.Put(key=odd, value=bytes(range(255, -1, -1)))
    assert api.Range(key=odd).kvs[0].value == bytes(range(255, -1, -1))
    api.Put(key=odd, value=b"")
    assert api.Range(key=odd).kvs[0].value == b""


# ---- Range -------------------------------------------------------------------------------------------


def test_range_forms(fresh):
    api = fresh.api
    fill(api, b"", [b"a", b"b", b"b\0", b"c", b"d"])
    cases = [
        (b"b", b"", [b"b"]),
        (b"b", b"c", [b"b", b"b\0"]),
        (b"b", b"\0", [b"b", b"b\0", b"c", b"d"]),
        (b"\0", b"\0", [b"a", b"b", b"b\0", b"c", b"d"]),
        (b"b", b"b\0", [b"b"]),
        (b"c", b"b", []),
        (b"b", b"b", []),
        (b"x", b"", []),
    ]
    for start, end, expected in cases:
        r = api.Range(key=start, range_end=end)
        assert keys(r) == expected, (start, end)
        assert r.count == len(expected) and not r.more


@pytest.mark.parametrize("method", ["Range", "Put", "DeleteRange"])
def test_empty_key_is_refused(api, method):
    with refused(INVALID, EMPTY_KEY):
        getattr(api, method)()


def test_limit_cuts_and_says_more(api, key):
    fill(api, key, [b"1", b"2", b"3"])
    end = prefix_end(key)
    for limit, count, more in [(1, 1, True), (2, 2, True), (3, 3, False), (0, 3, False),
                               (-1, 3, False), (9, 3, False)]:
        r = api.Range(key=key, range_end=end, limit=limit)
        assert (len(r.kvs), r.more, r.count) == (count, more, 3), limit


def test_count_only_and_keys_only(api, key):
    fill(api, key, [b"1", b"2", b"3"])
    end = prefix_end(key)
    r = api.Range(key=key, range_end=end, count_only=True, limit=1)
    assert (r.count, len(r.kvs), r.more) == (3, 0, False)
    r = api.Range(key=key, range_end=end, keys_only=True)
    assert [kv.value for kv in r.kvs] == [b""] * 3
    assert all(kv.mod_revision and kv.version == 1 for kv in r.kvs)


def test_sorting_by_every_target(api, key):
    # value order c<b<a's reverse, version order by number of puts
    api.Put(key=key + b"a", value=b"3")
    api.Put(key=key + b"c", value=b"1")
    api.Put(key=key + b"b", value=b"2")
    api.Put(key=key + b"a", value=b"3")
    api.Put(key=key + b"a", value=b"3")
    api.Put(key=key + b"c", value=b"1")
    by = {"KEY": b"abc", "VERSION": b"bca", "CREATE": b"acb", "MOD": b"bac", "VALUE": b"cba"}
    for target, ascending in by.items():
        for order, expected in (("ASCEND", ascending), ("DESCEND", ascending[::-1])):
            r = api.Range(key=key, range_end=prefix_end(key), sort_target=target, sort_order=order)
            assert tails(r, key) == expected, (target, order)
            r = api.Range(key=key, range_end=prefix_end(key), sort_target=target,
                          sort_order=order, limit=2)
            assert tails(r, key) == expected[:2] and r.more and r.count == 3


def test_sort_target_without_order_sorts_ascending_what_the_limit_left(api, key):
    for name, value in ((b"a", b"4"), (b"b", b"3"), (b"c", b"2"), (b"d", b"1")):
        api.Put(key=key + name, value=value)
    r = api.Range(key=key, range_end=prefix_end(key), sort_target="VALUE")
    assert tails(r, key) == b"dcba"
    # Without an order the store reads limit + 1 keys, which are sorted and cut: d never takes part.
    r = api.Range(key=key, range_end=prefix_end(key), sort_target="VALUE", limit=2)
    assert tails(r, key) == b"cb" and r.more and r.count == 4


@needs_36
def test_unknown_sort_option_is_refused(api):
    bad = message("etcdserverpb.RangeRequest")(key=b"k", range_end=b"\0")
    for field, number in ((5, 9), (6, 9)):
        raw = bad.SerializeToString() + bytes([field << 3, number])
        with refused(INVALID, "etcdserver: invalid sort option"):
            api.raw("/etcdserverpb.KV/Range", raw)


def test_revision_filters(api, key):
    revs = [api.Put(key=key + b"%d" % i, value=b"").header.revision for i in range(4)]
    api.Put(key=key + b"0", value=b"")  # created first, modified last
    end = prefix_end(key)
    cases = [
        (dict(min_mod_revision=revs[2]), b"023"),
        (dict(max_mod_revision=revs[2]), b"12"),
        (dict(min_create_revision=revs[2]), b"23"),
        (dict(max_create_revision=revs[1]), b"01"),
        (dict(min_mod_revision=revs[1], max_mod_revision=revs[2]), b"12"),
    ]
    for fields, expected in cases:
        r = api.Range(key=key, range_end=end, **fields)
        assert tails(r, key) == expected, fields
        assert r.count == 4, "count ignores the filters"
    r = api.Range(key=key, range_end=end, min_create_revision=revs[2], limit=1)
    assert tails(r, key) == b"2" and r.more


def test_serializable_and_linearizable_agree(api, key):
    api.Put(key=key, value=b"x")
    assert api.Range(key=key, serializable=True).kvs == api.Range(key=key).kvs


def test_future_revision_is_refused(api):
    now = api.Range(key=b"x").header.revision
    with refused(OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision"):
        api.Range(key=b"x", revision=now + 1)
    assert api.Range(key=b"x", revision=-5).header.revision == now


# ---- Put -----------------------------------------------------------------------------------------------


def test_prev_kv(api, key):
    assert not api.Put(key=key, value=b"1", prev_kv=True).HasField("prev_kv")
    prev = api.Put(key=key, value=b"2", prev_kv=True).prev_kv
    assert (prev.value, prev.version) == (b"1", 1)
    assert not api.Put(key=key, value=b"3").HasField("prev_kv")


def test_ignore_value_and_ignore_lease(api, key):
    lease = api.LeaseGrant(TTL=100).ID
    api.Put(key=key, value=b"v", lease=lease)
    api.Put(key=key, value=b"w", ignore_lease=True)
    kv = api.Range(key=key).kvs[0]
    assert (kv.value, kv.lease) == (b"w", lease)
    api.Put(key=key, ignore_value=True)
    kv = api.Range(key=key).kvs[0]
    assert (kv.value, kv.lease, kv.version) == (b"w", 0, 3)


def test_put_refusals(api, key):
    with refused(INVALID, "etcdserver: value is provided"):
        api.Put(key=key, value=b"v", ignore_value=True)
    with refused(INVALID, "etcdserver: lease is provided"):
        api.Put(key=key, lease=7, ignore_lease=True)
    for flag in ("ignore_value", "ignore_lease"):
        with refused(INVALID, "etcdserver: key not found"):
            api.Put(key=key, **{flag: True})
    with refused(grpc.StatusCode.NOT_FOUND, "etcdserver: requested lease not found"):
        api.Put(key=key, value=b"v", lease=123456789)
    assert api.Range(key=key).count == 0, "nothing refused was written"


def test_request_too_large_is_refused(api, key):
    with refused(INVALID, "etcdserver: request is too large"):
        api.Put(key=key, value=b"x" * 1572864)
    api.Put(key=key, value=b"x" * 1500000)
    assert len(api.Range(key=key).kvs[0].value) == 1500000


def test_message_over_the_receive_limit_is_refused_by_grpc(api, key):
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
        api.Put(key=key, value=b"x" * (3 << 20))
    api.Put(key=key, value=b"after")


# ---- DeleteRange ----------------------------------------------------------------------------------------


def test_delete_counts_and_makes_one_revision(api, key):
    fill(api, key, [b"1", b"2", b"3"])
    before = api.Range(key=key).header.revision
    r = api.DeleteRange(key=key, range_end=prefix_end(key))
    assert (r.deleted, r.header.revision, len(r.prev_kvs)) == (3, before + 1, 0)
    assert api.Range(key=key, range_end=prefix_end(key)).count == 0


def test_delete_of_nothing_leaves_the_revision(api, key):
    before = api.Range(key=key).header.revision
    r = api.DeleteRange(key=key)
    assert (r.deleted, r.header.revision) == (0, before)


def test_delete_returns_previous_pairs_when_asked(api, key):
    fill(api, key, [b"1", b"2"], b"old")
    r = api.DeleteRange(key=key, range_end=prefix_end(key), prev_kv=True)
    assert [(kv.key, kv.value) for kv in r.prev_kvs] == [(key + b"1", b"old"), (key + b"2", b"old")]


# ---- Compact ---------------------------------------------------------------------------------------------

COMPACTED = "etcdserver: mvcc: required revision has been compacted"
FUTURE = "etcdserver: mvcc: required revision is a future revision"


@pytest.mark.parametrize("physical", [False, True])
def test_compaction_forgets_older_revisions_only(fresh, physical):
    api = fresh.api
    revs = [api.Put(key=b"k", value=b"%d" % i).header.revision for i in range(6)]
    api.Put(key=b"other", value=b"stays")
    assert api.Compact(revision=revs[3], physical=physical).header.revision == revs[-1] + 1
    for rev in revs[:3]:
        with refused(OUT_OF_RANGE, COMPACTED):
            api.Range(key=b"k", revision=rev)
    assert api.Range(key=b"k", revision=revs[3]).kvs[0].value == b"3"
    assert api.Range(key=b"k", revision=revs[5]).kvs[0].value == b"5"
    assert api.Range(key=b"other").count == 1


def test_compaction_bounds(fresh):
    api = fresh.api
    for i in range(3):
        api.Put(key=b"k", value=b"")
    api.Compact(revision=3)
    for rev in (3, 2, 0, -1):
        with refused(OUT_OF_RANGE, COMPACTED):
            api.Compact(revision=rev)
    with refused(OUT_OF_RANGE, FUTURE):
        api.Compact(revision=5)
    api.Compact(revision=4)


def test_compaction_drops_deleted_keys_and_keeps_the_latest_value(fresh):
    api = fresh.api
    api.Put(key=b"dead", value=b"")
    api.Put(key=b"live", value=b"x")
    rev = api.DeleteRange(key=b"dead").header.revision
    api.Compact(revision=rev, physical=True)
    assert api.Range(key=b"dead", revision=rev).count == 0
    kv = api.Range(key=b"live", revision=rev).kvs[0]
    assert (kv.value, kv.mod_revision, kv.version) == (b"x", 3, 1)


# ---- durability -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_everything_survives_a_restart(fresh, how):
    api = fresh.api
    for i in range(50):
        api.Put(key=b"k%02d" % (i % 10), value=b"%d" % i)
    api.DeleteRange(key=b"k03")
    before = [api.Range(key=b"\0", range_end=b"\0", revision=rev).kvs for rev in range(2, 53)]
    header = api.Range(key=b"a").header
    status = getattr(fresh, how)()
    assert status == (0 if how == "stop" else -9) or (how == "stop" and status == -15)
    fresh.start()
    api = fresh.api
    after = [api.Range(key=b"\0", range_end=b"\0", revision=rev).kvs for rev in range(2, 53)]
    assert [list(a) for a in after] == [list(b) for b in before]
    now = api.Range(key=b"a").header
    assert (now.revision, now.member_id, now.cluster_id) == (
        header.revision, header.member_id, header.cluster_id)


def test_compaction_survives_a_restart(fresh):
    for i in range(5):
        fresh.api.Put(key=b"k", value=b"")
    fresh.api.Compact(revision=4)
    fresh.kill()
    fresh.start()
    with refused(OUT_OF_RANGE, COMPACTED):
        fresh.api.Range(key=b"k", revision=3)
    assert fresh.api.Range(key=b"k", revision=4).count == 1


# ---- etcdctl and python3-etcd3 -----------------------------------------------------------------------------


def test_etcdctl_put_get_del(ctl):
    assert ctl("put", "ctl/a", "1") == "OK\n"
    assert ctl("put", "ctl/b", "2") == "OK\n"
    assert ctl("put", "--prev-kv", "ctl/b", "3") == "OK\nctl/b\n2\n"
    assert ctl("get", "ctl/a") == "ctl/a\n1\n"
    assert ctl("get", "--prefix", "ctl/") == "ctl/a\n1\nctl/b\n3\n"
    assert ctl("get", "--print-value-only", "ctl/a", "ctl/z") == "1\n3\n"
    assert ctl("get", "--prefix", "--keys-only", "ctl/").split() == ["ctl/a", "ctl/b"]
    assert ctl("get", "--prefix", "--order=DESCEND", "--limit=1", "ctl/") == "ctl/b\n3\n"
    assert ctl("get", "--consistency=s", "ctl/a") == "ctl/a\n1\n"
    assert ctl("del", "--prefix", "ctl/") == "2\n"
    assert ctl("get", "ctl/a") == ""


def test_etcdctl_prints_json_and_fields(ctl):
    ctl("put", "json/a", "1")
    out = ctl.json("get", "json/a")
    assert out["count"] == 1 and out["kvs"][0]["key"] == "anNvbi9h"
    assert '"Key" : "json/a"' in ctl("-w", "fields", "get", "json/a")


def test_etcdctl_compaction(fresh):
    from harness.ctl import Ctl
    ctl = Ctl(fresh)
    for i in range(4):
        ctl("put", "k", str(i))
    assert ctl("compaction", "3") == "compacted revision 3\n"
    p = ctl.run("compaction", "3")
    assert p.returncode != 0 and "required revision has been compacted" in p.stderr
    p = ctl.run("get", "k", "--rev=2")
    assert p.returncode != 0 and "required revision has been compacted" in p.stderr


def test_python_etcd3_client(shared):
    import etcd3
    with etcd3.client(host="127.0.0.1", port=shared.port) as client:
        client.put("py/a", "1")
        value, meta = client.get("py/a")
        assert (value, meta.key, meta.version) == (b"1", b"py/a", 1)
        client.put("py/b", "2")
        assert [v for v, _ in client.get_prefix("py/")] == [b"1", b"2"]
        assert client.replace("py/a", "1", "3") and not client.replace("py/a", "1", "4")
        assert client.delete("py/a") and client.get("py/a") == (None, None)
        assert client.delete_prefix("py/").deleted == 1
