"""Txn: compares, order of effects, nesting, limits and refusals."""
import grpc
import pytest

from harness.api import cmp, message, op_del, op_get, op_put, op_txn, prefix_end, refused
from harness.marks import needs_ours

INVALID = grpc.StatusCode.INVALID_ARGUMENT
TOO_MANY = "etcdserver: too many operations in txn request"
DUPLICATE = "etcdserver: duplicate key given in txn request"


def kinds(response):
    return [r.WhichOneof("response") for r in response.responses]


def test_empty_txn_succeeds_and_changes_nothing(api):
    before = api.Range(key=b"x").header.revision
    r = api.txn()
    assert (r.succeeded, len(r.responses), r.header.revision) == (True, 0, before)


def test_writes_of_one_txn_share_one_revision(api, key):
    r = api.txn(then=[op_put(key + b"a", b"1"), op_put(key + b"b", b"2")])
    rev = r.header.revision
    kvs = api.Range(key=key, range_end=prefix_end(key)).kvs
    assert [(kv.mod_revision, kv.version) for kv in kvs] == [(rev, 1), (rev, 1)]
    assert kinds(r) == ["response_put", "response_put"]
    assert [x.response_put.header.revision for x in r.responses] == [rev, rev]
    assert [x.response_put.header.member_id for x in r.responses] == [0, 0]


def test_failure_branch_runs_when_a_compare_fails(api, key):
    r = api.txn([cmp(key, "VERSION", "GREATER", 0)], [op_put(key, b"then")], [op_put(key, b"else")])
    assert not r.succeeded
    assert api.Range(key=key).kvs[0].value == b"else"


def test_txn_without_effect_leaves_the_revision(api, key):
    before = api.Range(key=key).header.revision
    r = api.txn(then=[op_del(key), op_get(key)])
    assert r.header.revision == before
    assert r.responses[0].response_delete_range.deleted == 0


def test_every_compare_target_and_result(api, key):
    lease = api.LeaseGrant(TTL=100).ID
    api.Put(key=key, value=b"m")
    api.Put(key=key, value=b"m", lease=lease)
    kv = api.Range(key=key).kvs[0]
    actual = {"VERSION": 2, "CREATE": kv.create_revision, "MOD": kv.mod_revision, "LEASE": lease}
    for target, n in actual.items():
        for operand in (n - 1, n, n + 1):
            truth = {"EQUAL": n == operand, "NOT_EQUAL": n != operand, "LESS": n < operand,
                     "GREATER": n > operand}
            for result, expected in truth.items():
                assert api.txn([cmp(key, target, result, operand)]).succeeded == expected
    for operand in (b"a", b"m", b"z", b"mm", b""):
        truth = {"EQUAL": b"m" == operand, "NOT_EQUAL": b"m" != operand, "LESS": b"m" < operand,
                 "GREATER": b"m" > operand}
        for result, expected in truth.items():
            assert api.txn([cmp(key, "VALUE", result, operand)]).succeeded == expected


def test_missing_key_compares_as_zero_but_its_value_never(api, key):
    for target in ("VERSION", "CREATE", "MOD", "LEASE"):
        assert api.txn([cmp(key, target, "EQUAL", 0)]).succeeded
        assert not api.txn([cmp(key, target, "GREATER", 0)]).succeeded
    for result in ("EQUAL", "NOT_EQUAL", "LESS", "GREATER"):
        assert not api.txn([cmp(key, "VALUE", result, b"")]).succeeded


def test_compare_over_a_range_holds_for_every_key(api, key):
    end = prefix_end(key)
    assert api.txn([cmp(key, "VERSION", "EQUAL", 0, range_end=end)]).succeeded
    assert not api.txn([cmp(key, "VALUE", "EQUAL", b"", range_end=end)]).succeeded
    api.Put(key=key + b"a", value=b"1")
    api.Put(key=key + b"b", value=b"1")
    assert api.txn([cmp(key, "VALUE", "EQUAL", b"1", range_end=end)]).succeeded
    api.Put(key=key + b"b", value=b"2")
    assert not api.txn([cmp(key, "VALUE", "EQUAL", b"1", range_end=end)]).succeeded
    assert api.txn([cmp(key, "VALUE", "LESS", b"3", range_end=end)]).succeeded


def test_union_that_does_not_fit_its_target_compares_with_zero(api, key):
    api.Put(key=key, value=b"x")
    wrong = dict(key=key, target="VERSION", result="GREATER", value=b"9")
    assert api.Txn(compare=[wrong]).succeeded
    assert api.Txn(compare=[dict(key=key, target="VALUE", result="EQUAL", version=5)]).succeeded is False


def test_ranges_see_earlier_writes_of_the_same_txn(api, key):
    api.Put(key=key + b"old", value=b"")
    end = prefix_end(key)
    r = api.txn(then=[op_get(key, range_end=end), op_put(key, b"1"), op_get(key, range_end=end),
                      op_del(key + b"old"), op_get(key, range_end=end)])
    assert [r.responses[i].response_range.count for i in (0, 2, 4)] == [1, 2, 1]
    seen = r.responses[2].response_range
    assert (seen.kvs[0].value, seen.kvs[0].mod_revision) == (b"1", r.header.revision)
    assert seen.header.revision == r.header.revision


def test_compares_see_the_state_before_the_txn_also_when_nested(api, key):
    r = api.txn(then=[op_put(key, b"1"),
                      op_txn([cmp(key, "VERSION", "EQUAL", 0)], [op_put(key + b"n", b"then")],
                             [op_put(key + b"n", b"else")])])
    assert r.responses[1].response_txn.succeeded
    assert api.Range(key=key + b"n").kvs[0].value == b"then"


def test_nested_answers_keep_their_shape(api, key):
    r = api.txn(then=[op_txn(then=[op_txn(then=[op_put(key, b"deep")]), op_get(key)])])
    inner = r.responses[0].response_txn
    assert kinds(inner) == ["response_txn", "response_range"]
    assert inner.responses[1].response_range.kvs[0].value == b"deep"


def test_prev_kv_and_deletes_inside(api, key):
    api.Put(key=key + b"1", value=b"one")
    api.Put(key=key + b"2", value=b"two")
    r = api.txn(then=[op_put(key + b"1", b"new", prev_kv=True), op_del(key + b"2", prev_kv=True)])
    assert r.responses[0].response_put.prev_kv.value == b"one"
    deleted = r.responses[1].response_delete_range
    assert (deleted.deleted, deleted.prev_kvs[0].value) == (1, b"two")


def test_put_then_delete_of_everything_in_one_txn_leaves_nothing(api, key):
    """The one way to put and delete a key in one revision (see duplicates)."""
    key = b"\xff" + key  # nothing of other tests above it
    r = api.txn(then=[op_put(key, b"1"), op_del(key, range_end=b"\0", prev_kv=True)])
    deleted = r.responses[1].response_delete_range
    assert (deleted.deleted, deleted.prev_kvs[0].value) == (1, b"1")
    assert api.Range(key=key).count == 0
    with api.watch() as w:
        w.create(key, start_revision=r.header.revision)
        assert [e.type for e in w.events(2)] == [0, 1]


def test_read_only_txn_at_an_old_revision(api, key):
    rev = api.Put(key=key, value=b"1").header.revision
    api.Put(key=key, value=b"2")
    r = api.txn(then=[op_get(key, revision=rev), op_get(key)])
    assert [x.response_range.kvs[0].value for x in r.responses] == [b"1", b"2"]


def test_refused_txn_writes_nothing(api, key):
    before = api.Range(key=key).header.revision
    bad = [
        ([op_put(key, b"x"), op_get(key, revision=before + 1000)], grpc.StatusCode.OUT_OF_RANGE,
         "etcdserver: mvcc: required revision is a future revision"),
        ([op_put(key, b"x"), op_put(key + b"2", b"", lease=12345)], grpc.StatusCode.NOT_FOUND,
         "etcdserver: requested lease not found"),
        ([op_put(key, b"x"), op_put(key + b"2", ignore_value=True)], INVALID,
         "etcdserver: key not found"),
        ([op_put(key, b"x"), op_put(b"", b"")], INVALID, "etcdserver: key is not provided"),
        ([op_put(key, b"x"), op_get(b"")], INVALID, "etcdserver: key is not provided"),
        ([op_put(key, b"x"), {}], INVALID, "etcdserver: key not found"),
        ([op_put(key, b"x", ignore_value=True)], INVALID, "etcdserver: value is provided"),
    ]
    for then, code, text in bad:
        with refused(code, text):
            api.txn(then=then)
        assert api.Range(key=key).count == 0
    assert api.Range(key=key).header.revision == before


@needs_ours
@pytest.mark.parametrize("flag", ["ignore_lease", "ignore_value"])
def test_txn_that_stops_upstream_is_refused_whole(fresh, flag):
    """The put needs its key, the delete before it takes it away. Upstream finds out halfway through,
    panics, and panics again at every start."""
    fresh.api.Put(key=b"k", value=b"v")
    before = fresh.api.Put(key=b"other", value=b"v").header.revision
    with refused(INVALID, "etcdserver: key not found"):
        fresh.api.txn(then=[op_del(b"\0", range_end=b"\0"), op_put(b"k", **{flag: True})])
    assert fresh.api.Range(key=b"\0", range_end=b"\0").count == 2
    assert fresh.api.Range(key=b"k").header.revision == before
    fresh.kill()
    fresh.start()
    assert fresh.api.Range(key=b"\0", range_end=b"\0").count == 2


def test_empty_key_in_a_compare_is_refused(api):
    with refused(INVALID, "etcdserver: key is not provided"):
        api.txn([cmp(b"", "VERSION", "EQUAL", 0)])


@pytest.mark.parametrize("part", ["compare", "success", "failure"])
def test_more_than_128_operations_are_refused(api, key, part):
    def many(n):
        if part == "compare":
            return [cmp(key + b"%d" % i, "VERSION", "EQUAL", 0) for i in range(n)]
        return [op_get(key + b"%d" % i) for i in range(n)]
    api.Txn(**{part: many(128)})
    with refused(INVALID, TOO_MANY):
        api.Txn(**{part: many(129)})


def test_nested_txn_has_the_budget_its_parent_left(api, key):
    gets = [op_get(key + b"%d" % i) for i in range(100)]
    api.txn(then=[*gets[:27], op_txn(then=gets)])  # 28 + 100 = 128
    with refused(INVALID, TOO_MANY):
        api.txn(then=[*gets[:28], op_txn(then=gets)])


def duplicates(key):
    """(name, txn, refused): upstream's rules to the letter. Deletes of a level are collected first,
    then nested puts and deletes in order, then the level's own puts are held against all of them."""
    put, delete = op_put(key, b"1"), op_del(key)
    in_range = op_del(key, range_end=prefix_end(key))
    return [
        ("put put", dict(then=[put, put]), True),
        ("put put in else", dict(other=[put, put]), True),
        ("put delete", dict(then=[put, delete]), True),
        ("delete put", dict(then=[delete, put]), True),
        ("put inside a deleted range", dict(then=[in_range, op_put(key + b"x", b"")]), True),
        ("put and nested put", dict(then=[put, op_txn(then=[put])]), True),
        ("nested puts of siblings", dict(then=[op_txn(then=[put]), op_txn(then=[put])]), True),
        ("nested puts of siblings, other branch",
         dict(then=[op_txn(then=[put]), op_txn(other=[put])]), True),
        ("delete and nested put", dict(then=[delete, op_txn(then=[put])]), True),
        ("put and nested delete", dict(then=[put, op_txn(other=[delete])]), True),
        ("nested delete, then sibling's put",
         dict(then=[op_txn(then=[delete]), op_txn(then=[put])]), True),
        ("nested put, then sibling's delete",
         dict(then=[op_txn(then=[put]), op_txn(then=[delete])]), False),
        ("put and delete in two branches", dict(then=[op_txn(then=[put], other=[delete])]), False),
        ("put in both branches", dict(then=[op_txn(then=[put], other=[put])]), False),
        ("put in then and else", dict(then=[put], other=[put]), False),
        ("delete delete", dict(then=[delete, in_range]), False),
        ("get put", dict(then=[op_get(key), put]), False),
        # An open-ended delete (range_end "\0") counts as the empty interval it looks like.
        ("put and delete of everything", dict(then=[put, op_del(key, range_end=b"\0")]), False),
    ]


@pytest.mark.parametrize("n", range(len(duplicates(b""))))
def test_duplicate_keys(api, key, n):
    name, txn, is_refused = duplicates(key)[n]
    if is_refused:
        with refused(INVALID, DUPLICATE):
            api.txn(**txn)
        assert api.Range(key=key, range_end=prefix_end(key)).count == 0, name
    else:
        api.txn(**txn)


def test_deeply_nested_txn_is_answered_or_refused_but_never_hurts(api, key):
    m = message("etcdserverpb.TxnRequest")(success=[op_put(key, b"deep")])
    try:
        for _ in range(2000):
            outer = message("etcdserverpb.TxnRequest")()
            outer.success.add().request_txn.CopyFrom(m)
            m = outer
    except Exception:
        pass  # python's own protobuf depth limit: what could be built is sent
    try:
        api.raw("/etcdserverpb.KV/Txn", _nest(2000, key))
    except grpc.RpcError:
        pass
    assert api.Put(key=key + b"alive", value=b"").header.revision > 0


def _nest(depth, key):
    """TxnRequest{success: {request_txn: ...}} encoded by hand."""
    def field(number, body):
        n, out = len(body), b""
        while n > 127:
            out += bytes([n & 127 | 128])
            n >>= 7
        return bytes([number << 3 | 2]) + out + bytes([n]) + body
    body = message("etcdserverpb.TxnRequest")(success=[op_put(key, b"")]).SerializeToString()
    for _ in range(depth):
        body = field(2, field(4, body))
    return body


def test_etcdctl_txn(ctl):
    ctl("put", "t/k", "1")
    out = ctl("txn", stdin='mod("t/k") > "0"\nvalue("t/k") = "1"\n\nput t/k 2\nget t/k\n\nput t/k 3\n\n')
    assert out.splitlines()[0] == "SUCCESS" and "OK" in out and "t/k\n2\n" in out
    out = ctl("txn", stdin='ver("t/k") = "0"\n\nput t/k 9\n\nget t/k\n\n')
    assert out.splitlines()[0] == "FAILURE" and "t/k\n2\n" in out
