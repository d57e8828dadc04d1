"""Watch: creation, order, replay, filters, cancelling, progress, compaction, slow readers."""
import threading

import grpc
import pytest

from harness.api import Api, op_del, op_put, prefix_end, refused
from harness.ctl import Ctl
from harness.marks import needs_36

PUT, DELETE = 0, 1

# Closing python3-etcd3's client races with its own watch thread, which then complains.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def shape(events):
    return [(e.type, e.kv.key, e.kv.value) for e in events]


def test_create_answer_comes_first_and_tells_the_revision(api, key):
    rev = api.Put(key=key, value=b"before").header.revision
    with api.watch() as w:
        r = w.create(key)
        assert (r.created, r.canceled, r.watch_id, len(r.events)) == (True, False, 0, 0)
        assert r.header.revision == rev
        api.Put(key=key, value=b"after")
        m = w.recv()
        assert shape(m.events) == [(PUT, key, b"after")]
        assert m.header.revision == rev + 1 and m.watch_id == 0 and not m.created
        assert w.silent()


def test_events_carry_revisions_and_deletes_only_key_and_mod_revision(api, key):
    with api.watch() as w:
        w.create(key)
        first = api.Put(key=key, value=b"1").header.revision
        api.Put(key=key, value=b"2")
        api.DeleteRange(key=key)
        a, b, c = (e.kv for e in w.events(3))
    assert (a.create_revision, a.mod_revision, a.version) == (first, first, 1)
    assert (b.create_revision, b.mod_revision, b.version) == (first, first + 1, 2)
    assert (c.key, c.mod_revision, c.create_revision, c.version, c.value) == (key, first + 2, 0, 0, b"")


def test_watch_ids_count_from_zero_or_are_the_clients_own(api, key):
    with api.watch() as w:
        assert [w.create(key).watch_id for _ in range(3)] == [0, 1, 2]
        assert w.create(key, watch_id=77).watch_id == 77
        r = w.create(key, watch_id=77)
        assert (r.created, r.canceled, r.watch_id) == (True, True, -1)
        assert r.cancel_reason == "mvcc: duplicate watch ID provided on the WatchStream"
        assert w.create(key).watch_id == 3


def test_each_watch_of_a_stream_gets_its_own_events(api, key):
    with api.watch() as w:
        w.create(key + b"a")
        w.create(key + b"b")
        w.create(key, range_end=prefix_end(key))
        api.txn(then=[op_put(key + b"a", b""), op_put(key + b"b", b"")])
        got = {}
        while sum(map(len, got.values())) < 4:
            m = w.recv()
            got.setdefault(m.watch_id, []).extend(e.kv.key[len(key):] for e in m.events)
    assert got == {0: [b"a"], 1: [b"b"], 2: [b"a", b"b"]}


def test_range_watch_forms(api, key):
    with api.watch() as w:
        w.create(key + b"b", range_end=b"\0")
        w.create(key + b"b", range_end=key + b"d")
        for name in (b"a", b"b", b"c", b"d"):
            api.Put(key=key + name, value=b"")
        got = {0: [], 1: []}
        while len(got[0]) + len(got[1]) < 5:
            m = w.recv()
            got[m.watch_id] += [e.kv.key[-1:] for e in m.events]
    assert got == {0: [b"b", b"c", b"d"], 1: [b"b", b"c"]}


def test_empty_key_watches_everything(fresh):
    with fresh.api.watch() as w:
        w.create(b"", range_end=b"\0")
        fresh.api.Put(key=b"any", value=b"")
        assert w.events(1)[0].kv.key == b"any"


def test_empty_interval_is_refused_but_the_stream_lives(api, key):
    with api.watch() as w:
        r = w.create(key + b"b", range_end=key + b"a")
        assert (r.created, r.canceled, r.watch_id) == (True, True, -1)
        assert w.create(key).watch_id == 0


@needs_36
def test_empty_interval_says_why(api, key):
    with api.watch() as w:
        r = w.create(key + b"b", range_end=key + b"a")
        assert r.cancel_reason == "mvcc: watcher range is empty"


def test_history_is_replayed_from_a_revision_then_goes_live(api, key):
    revs = [api.Put(key=key, value=b"%d" % i).header.revision for i in range(10)]
    with api.watch() as w:
        w.create(key, start_revision=revs[4])
        assert [e.kv.value for e in w.events(6)] == [b"%d" % i for i in range(4, 10)]
        api.Put(key=key, value=b"live")
        assert [e.kv.value for e in w.events(1)] == [b"live"]


def test_future_start_revision_waits_for_it(api, key):
    now = api.Range(key=key).header.revision
    with api.watch() as w:
        w.create(key, start_revision=now + 3)
        for i in range(4):
            api.Put(key=key, value=b"%d" % i)
        assert [e.kv.value for e in w.events(2)] == [b"2", b"3"]


def test_prev_kv(api, key):
    api.Put(key=key, value=b"0")
    with api.watch() as w:
        w.create(key, prev_kv=True)
        api.Put(key=key, value=b"1")
        api.DeleteRange(key=key)
        api.Put(key=key, value=b"2")
        events = w.events(3)
    assert [e.prev_kv.value for e in events] == [b"0", b"1", b""]
    assert [e.HasField("prev_kv") for e in events] == [True, True, False]


@pytest.mark.parametrize("filters,expected", [
    (["NOPUT"], [DELETE]), (["NODELETE"], [PUT, PUT]), (["NOPUT", "NODELETE"], [])])
def test_filters(api, key, filters, expected):
    with api.watch() as w:
        w.create(key, filters=filters)
        api.Put(key=key, value=b"1")
        api.DeleteRange(key=key)
        api.Put(key=key, value=b"2")
        assert [e.type for e in w.events(len(expected))] == expected
        assert w.silent()


def test_one_revision_is_one_message(api, key):
    with api.watch() as w:
        w.create(key, range_end=prefix_end(key))
        api.txn(then=[op_put(key + b"%03d" % i, b"x" * 100) for i in range(100)])
        m = w.recv()
        assert len(m.events) == 100
        assert len({e.kv.mod_revision for e in m.events}) == 1
        api.txn(then=[op_del(key, range_end=prefix_end(key))])
        assert len(w.recv().events) == 100


def test_order_is_by_revision_and_complete_under_concurrent_writers(shared, key):
    def writer(n):
        with Api(shared.target) as a:
            for i in range(200):
                a.Put(key=key + b"%d" % n, value=b"%d" % i)
    with Api(shared.target) as a, a.watch() as w:
        w.create(key, range_end=prefix_end(key))
        threads = [threading.Thread(target=writer, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        events = w.events(800, timeout=20)
        for t in threads:
            t.join()
    revisions = [e.kv.mod_revision for e in events]
    assert revisions == sorted(set(revisions))
    for n in range(4):
        mine = [e.kv.value for e in events if e.kv.key == key + b"%d" % n]
        assert mine == [b"%d" % i for i in range(200)]


# ---- cancel ------------------------------------------------------------------------------------------


def test_cancel_is_answered_and_ends_events(api, key):
    with api.watch() as w:
        w.create(key)
        w.create(key)
        w.send(cancel_request=dict(watch_id=0))
        r = w.recv()
        assert (r.watch_id, r.canceled, r.created, r.compact_revision) == (0, True, False, 0)
        api.Put(key=key, value=b"x")
        assert w.recv().watch_id == 1
        assert w.silent()


def test_cancel_of_an_unknown_id_has_no_answer(api, key):
    with api.watch() as w:
        w.create(key)
        w.send(cancel_request=dict(watch_id=99))
        assert w.silent()
        api.Put(key=key, value=b"x")
        assert w.events(1)


def test_half_closed_stream_goes_on_delivering(api, key):
    with api.watch() as w:
        w.create(key)
        w.half_close()
        assert w.silent(0.1)
        api.Put(key=key, value=b"x")
        assert w.events(1)[0].kv.value == b"x"


# ---- compaction -----------------------------------------------------------------------------------------


def test_watch_behind_compaction_is_canceled_with_the_revision(fresh):
    api = fresh.api
    for i in range(6):
        api.Put(key=b"k", value=b"%d" % i)
    api.Compact(revision=5)
    with api.watch() as w:
        r = w.create(b"k", start_revision=3)
        assert r.created and not r.canceled
        r = w.recv()
        assert (r.canceled, r.compact_revision, r.cancel_reason) == (True, 5, "")
        assert w.create(b"k", start_revision=5).created
        assert [e.kv.value for e in w.events(3)] == [b"3", b"4", b"5"]


@needs_36
def test_negative_start_revision_is_refused_as_compacted(api, key):
    with api.watch() as w:
        r = w.create(key, start_revision=-1)
        assert (r.created, r.canceled, r.watch_id) == (True, True, -1)
        assert "required revision has been compacted" in r.cancel_reason


# ---- progress ---------------------------------------------------------------------------------------------


def test_progress_request_is_answered_when_all_watches_are_synced(api, key):
    with api.watch() as w:
        w.create(key)
        rev = api.Put(key=key, value=b"x").header.revision
        w.events(1)
        w.send(progress_request={})
        r = w.recv()
        assert (r.watch_id, r.header.revision, len(r.events), r.created) == (-1, rev, 0, False)


@needs_36
def test_progress_notify_comes_when_idle(new_server):
    s = new_server(args=["--watch-progress-notify-interval", "200ms"]).start()
    with s.api.watch() as w:
        w.create(b"k", progress_notify=True)
        rev = s.api.Put(key=b"other", value=b"").header.revision
        for _ in range(20):
            r = w.recv()
            assert not r.events and r.watch_id == 0
            if r.header.revision == rev:
                return
    raise AssertionError("no progress message reached the current revision")


# ---- big and slow -------------------------------------------------------------------------------------------


def test_fragments(api, key):
    big = b"x" * 200_000
    with api.watch() as w:
        w.create(key, range_end=prefix_end(key), fragment=True)
        with Api(api.target) as other:
            for i in range(20):
                other.Put(key=key + b"%02d" % i, value=big)
        assert [e.kv.key[-2:] for e in w.events(20)] == [b"%02d" % i for i in range(20)]
    # Read from history the same pairs would make one message of 4 MB: here they come in pieces.
    with api.watch() as w:
        first = api.Range(key=key + b"00").kvs[0].mod_revision
        w.create(key, range_end=prefix_end(key), start_revision=first, fragment=True)
        sizes, seen = [], 0
        while seen < 20:
            m = w.recv()
            seen += len(m.events)
            sizes.append(m.ByteSize())
    assert max(sizes) < 1572864 + 524288, sizes


def test_slow_watcher_loses_nothing_and_holds_up_nobody(shared, key):
    """A reader that takes no byte for a while: others get their events at once, and it gets every
    one of its own in the end."""
    value = b"x" * 50_000
    options = [("grpc.http2.lookahead_bytes", 65536), ("grpc.http2.bdp_probe", 0)]
    with Api(shared.target) as fast, Api(shared.target, options=options) as slow:
        path = "/etcdserverpb.Watch/Watch"
        from harness.api import message
        req = message("etcdserverpb.WatchRequest")(
            create_request=dict(key=key, range_end=prefix_end(key)))
        hold = threading.Event()

        def requests():
            yield req
            hold.wait()
        call = slow._channel.stream_stream(path, message("etcdserverpb.WatchRequest").SerializeToString,
                                           message("etcdserverpb.WatchResponse").FromString)(requests())
        assert next(call).created
        with fast.watch() as w:
            w.create(key, range_end=prefix_end(key))
            for i in range(200):  # 10 MB, far more than the slow one's window
                fast.Put(key=key + b"%d" % (i % 7), value=value + b"%d" % i)
            assert len(w.events(200, timeout=20)) == 200
        revisions = []
        while len(revisions) < 200:
            revisions += [e.kv.mod_revision for e in next(call).events]
        hold.set()
        call.cancel()
    assert revisions == sorted(set(revisions)) and len(revisions) == 200


def test_a_thousand_watchers_on_one_key(api, key):
    with api.watch() as w:
        for _ in range(1000):
            w.send(create_request=dict(key=key))
        created = {w.recv(20).watch_id for _ in range(1000)}
        assert created == set(range(1000))
        api.Put(key=key, value=b"x")
        assert {w.recv(20).watch_id for _ in range(1000)} == created


# ---- real clients -----------------------------------------------------------------------------------------------


def test_etcdctl_watch(shared, ctl):
    ctl("put", "w/a", "0")
    rev = ctl.json("get", "w/a")["header"]["revision"]
    p = ctl.spawn("watch", "--prefix", "--prev-kv", f"--rev={rev + 1}", "w/")
    ctl("put", "w/a", "1")
    ctl("del", "w/a")
    lines = [p.stdout.readline().rstrip("\n") for _ in range(10)]
    p.kill()
    p.communicate()
    assert lines == ["PUT", "w/a", "0", "w/a", "1", "DELETE", "w/a", "1", "w/a", ""]


def test_etcdctl_watch_of_compacted_revision_says_so(fresh):
    ctl = Ctl(fresh)
    for i in range(4):
        ctl("put", "k", str(i))
    ctl("compaction", "4")
    p = ctl.run("watch", "--rev=2", "k")
    assert "required revision has been compacted" in p.stderr


def test_python_etcd3_watch(shared):
    import etcd3
    with etcd3.client(host="127.0.0.1", port=shared.port) as client:
        events, cancel = client.watch_prefix("pw/")
        client.put("pw/a", "1")
        client.delete("pw/a")
        assert type(next(events)).__name__ == "PutEvent"
        assert type(next(events)).__name__ == "DeleteEvent"
        cancel()


def test_watch_breaks_with_the_server_and_resumes_after_a_restart(fresh):
    rev = fresh.api.Put(key=b"k", value=b"1").header.revision
    with fresh.api.watch() as w:
        w.create(b"k")
        fresh.kill()
        with pytest.raises(grpc.RpcError) as e:
            w.recv()
        assert e.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    fresh.start()
    with fresh.api.watch() as w:
        w.create(b"k", start_revision=rev)
        assert w.events(1)[0].kv.value == b"1"


def test_watch_needs_a_known_method(api):
    with refused(grpc.StatusCode.UNIMPLEMENTED):
        api.raw("/etcdserverpb.Watch/Nothing", b"")
