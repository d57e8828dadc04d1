#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "etcd/apply.h"
#include "wire/pb.h"

/* A store in a temporary directory, and the requests of a test applied to it one by one. */
struct fixture {
    char dir[64];
    char path[96];
    struct db *db;
    struct mvcc *mvcc;
    struct lease_set *leases;
    struct alarm_set alarms;
    struct arena arena;
    struct apply_ctx x;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct err e = {0};

    snprintf(f->dir, sizeof f->dir, "/tmp/test_apply.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/db", f->dir);
    struct db_conf dc = {.path = f->path, .map_bytes = 1 << 28};
    assert_int_equal(db_open(&dc, &f->db, &e), 0);
    assert_int_equal(mvcc_open(f->db, &f->mvcc, &e), 0);
    f->leases = lease_set_new(2, (const uint64_t[2]){1, 2});
    arena_init(&f->arena, 1 << 26);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"db", "db-lock", "db-mark"};

    mvcc_free(f->mvcc);
    db_close(f->db);
    lease_set_free(f->leases);
    arena_deinit(&f->arena);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *p = xasprintf("%s/%s", f->dir, names[i]);
        unlink(p);
        free(p);
    }
    rmdir(f->dir);
    free(f);
    return 0;
}

static int apply(struct fixture *f, Steadpb__RaftRequest *req, ProtobufCMessage **ret)
{
    arena_reset(&f->arena);
    f->x = (struct apply_ctx){.mvcc = f->mvcc,
                              .leases = f->leases,
                              .alarms = &f->alarms,
                              .now_ns = 1,
                              .arena = &f->arena};
    return apply_request(&f->x, req, ret);
}

static int put(struct fixture *f, const char *key, const char *value, int64_t lease)
{
    Etcdserverpb__PutRequest p = ETCDSERVERPB__PUT_REQUEST__INIT;
    Steadpb__RaftRequest r = STEADPB__RAFT_REQUEST__INIT;
    ProtobufCMessage *resp;

    p.key = PB_BYTES(slice_str(key));
    p.value = PB_BYTES(slice_str(value));
    p.lease = lease;
    r.request_case = STEADPB__RAFT_REQUEST__REQUEST_PUT;
    r.put = &p;
    return apply(f, &r, &resp);
}

static int grant(struct fixture *f, int64_t id, int64_t ttl)
{
    Etcdserverpb__LeaseGrantRequest g = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Steadpb__RaftRequest r = STEADPB__RAFT_REQUEST__INIT;
    ProtobufCMessage *resp;

    g.id = id;
    g.ttl = ttl;
    r.request_case = STEADPB__RAFT_REQUEST__REQUEST_LEASE_GRANT;
    r.lease_grant = &g;
    return apply(f, &r, &resp);
}

static int revoke_lease(struct fixture *f, int64_t id)
{
    Etcdserverpb__LeaseRevokeRequest g = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    Steadpb__RaftRequest r = STEADPB__RAFT_REQUEST__INIT;
    ProtobufCMessage *resp;

    g.id = id;
    r.request_case = STEADPB__RAFT_REQUEST__REQUEST_LEASE_REVOKE;
    r.lease_revoke = &g;
    return apply(f, &r, &resp);
}

static void a_put_is_one_revision_and_one_event(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mvcc_revision(f->mvcc), 1);
    assert_int_equal(put(f, "a", "1", 0), 0);
    assert_int_equal(mvcc_revision(f->mvcc), 2);
    assert_int_equal(f->x.nevents, 1);
    assert_true(slice_eq_str(f->x.events[0].kv.key, "a"));
    assert_int_equal(f->x.events_rev, 2);
}

static void a_put_needs_its_lease(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put(f, "a", "1", 77), ERR_LEASE_NOT_FOUND);
    assert_int_equal(mvcc_revision(f->mvcc), 1);
    assert_int_equal(grant(f, 77, 10), 0);
    assert_int_equal(grant(f, 77, 10), ERR_LEASE_EXISTS);
    assert_int_equal(put(f, "a", "1", 77), 0);
}

static void revoking_deletes_attached_keys_in_one_revision(void **state)
{
    struct fixture *f = *state;
    struct mvcc_kv kv;

    grant(f, 5, 10);
    put(f, "b", "1", 5);
    put(f, "a", "1", 5);
    put(f, "c", "1", 0);
    assert_int_equal(revoke_lease(f, 5), 0);
    assert_int_equal(mvcc_revision(f->mvcc), 5);
    assert_int_equal(f->x.nevents, 2);
    assert_true(slice_eq_str(f->x.events[0].kv.key, "a"));
    assert_true(f->x.events[1].is_delete);
    assert_int_equal(mvcc_get(f->mvcc, SLICE_LIT("a"), 0, &kv), ERR_KEY_NOT_FOUND);
    assert_int_equal(mvcc_get(f->mvcc, SLICE_LIT("c"), 0, &kv), 0);
    assert_int_equal(revoke_lease(f, 5), ERR_LEASE_NOT_FOUND);
}

static void a_put_without_lease_detaches(void **state)
{
    struct fixture *f = *state;
    struct mvcc_kv kv;

    grant(f, 5, 10);
    put(f, "a", "1", 5);
    put(f, "a", "2", 0);
    assert_int_equal(revoke_lease(f, 5), 0);
    assert_int_equal(mvcc_get(f->mvcc, SLICE_LIT("a"), 0, &kv), 0);
    assert_int_equal(kv.lease, 0);
}

static void ignore_value_keeps_the_value_and_needs_the_key(void **state)
{
    struct fixture *f = *state;
    Etcdserverpb__PutRequest p = ETCDSERVERPB__PUT_REQUEST__INIT;
    Steadpb__RaftRequest r = STEADPB__RAFT_REQUEST__INIT;
    ProtobufCMessage *resp;
    struct mvcc_kv kv;

    p.key = PB_BYTES(SLICE_LIT("a"));
    p.ignore_value = true;
    p.lease = 9;
    r.request_case = STEADPB__RAFT_REQUEST__REQUEST_PUT;
    r.put = &p;
    grant(f, 9, 10);
    assert_int_equal(apply(f, &r, &resp), ERR_KEY_NOT_FOUND);
    put(f, "a", "kept", 0);
    assert_int_equal(apply(f, &r, &resp), 0);
    assert_int_equal(mvcc_get(f->mvcc, SLICE_LIT("a"), 0, &kv), 0);
    assert_true(slice_eq_str(kv.value, "kept"));
    assert_int_equal(kv.lease, 9);
    assert_int_equal(kv.version, 2);
}

/* if version(a) > 0 then put b else put c; nested: the compare sees the state before the
 * transaction. */
static void nested_compares_see_the_state_before(void **state)
{
    struct fixture *f = *state;
    Etcdserverpb__Compare cmp = ETCDSERVERPB__COMPARE__INIT;
    Etcdserverpb__Compare *cmps[] = {&cmp};
    Etcdserverpb__PutRequest pa = ETCDSERVERPB__PUT_REQUEST__INIT, pb = pa, pc = pa;
    Etcdserverpb__RequestOp oa = ETCDSERVERPB__REQUEST_OP__INIT, ob = oa, oc = oa, on = oa;
    Etcdserverpb__RequestOp *outer_ops[] = {&oa, &on}, *then[] = {&ob}, *els[] = {&oc};
    Etcdserverpb__TxnRequest inner = ETCDSERVERPB__TXN_REQUEST__INIT, outer = inner;
    Steadpb__RaftRequest r = STEADPB__RAFT_REQUEST__INIT;
    ProtobufCMessage *resp;
    struct mvcc_kv kv;

    cmp.key = PB_BYTES(SLICE_LIT("a"));
    cmp.result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER;
    cmp.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION;
    pa.key = PB_BYTES(SLICE_LIT("a"));
    pb.key = PB_BYTES(SLICE_LIT("b"));
    pc.key = PB_BYTES(SLICE_LIT("c"));
    oa.request_case = ob.request_case = oc.request_case =
        ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    oa.request_put = &pa;
    ob.request_put = &pb;
    oc.request_put = &pc;
    inner.compare = cmps;
    inner.n_compare = inner.n_success = inner.n_failure = 1;
    inner.success = then;
    inner.failure = els;
    on.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
    on.request_txn = &inner;
    outer.success = outer_ops;
    outer.n_success = 2;
    r.request_case = STEADPB__RAFT_REQUEST__REQUEST_TXN;
    r.txn = &outer;
    assert_int_equal(apply(f, &r, &resp), 0);
    Etcdserverpb__TxnResponse *out = (Etcdserverpb__TxnResponse *)resp;
    assert_true(out->succeeded);
    assert_false(out->responses[1]->response_txn->succeeded);
    assert_int_equal(out->header->revision, 2);
    assert_int_equal(mvcc_get(f->mvcc, SLICE_LIT("c"), 0, &kv), 0);
    assert_int_equal(mvcc_get(f->mvcc, SLICE_LIT("b"), 0, &kv), ERR_KEY_NOT_FOUND);
    assert_int_equal(apply(f, &r, &resp), 0);
    assert_int_equal(mvcc_get(f->mvcc, SLICE_LIT("b"), 0, &kv), 0);
}

/* A range ahead of the store, then a put that lacks its lease: upstream looks at all puts first,
 * and at each for its key before its lease. */
static void what_puts_lack_is_told_before_wrong_ranges(void **state)
{
    struct fixture *f = *state;
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__PutRequest p = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RequestOp ops[] = {ETCDSERVERPB__REQUEST_OP__INIT, ETCDSERVERPB__REQUEST_OP__INIT,
                                     ETCDSERVERPB__REQUEST_OP__INIT};
    Etcdserverpb__RequestOp *outer_ops[] = {&ops[0], &ops[1]}, *inner_ops[] = {&ops[2]};
    Etcdserverpb__TxnRequest inner = ETCDSERVERPB__TXN_REQUEST__INIT, outer = inner;
    Steadpb__RaftRequest r = STEADPB__RAFT_REQUEST__INIT;
    ProtobufCMessage *resp;

    range.key = p.key = PB_BYTES(SLICE_LIT("a"));
    range.revision = 1000;
    p.lease = 5;
    ops[0].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    ops[0].request_range = &range;
    ops[1].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
    ops[1].request_txn = &inner;
    ops[2].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    ops[2].request_put = &p;
    inner.success = inner_ops;
    inner.n_success = 1;
    outer.success = outer_ops;
    outer.n_success = 2;
    r.request_case = STEADPB__RAFT_REQUEST__REQUEST_TXN;
    r.txn = &outer;
    assert_int_equal(apply(f, &r, &resp), ERR_LEASE_NOT_FOUND);
    p.ignore_value = true;
    assert_int_equal(apply(f, &r, &resp), ERR_KEY_NOT_FOUND);
    grant(f, 5, 10);
    p.ignore_value = false;
    assert_int_equal(apply(f, &r, &resp), ERR_FUTURE_REV);
    assert_int_equal(mvcc_revision(f->mvcc), 1);
}

/* Read at every start again: it must not need more memory than an answer. */
static void a_transaction_writes_however_much_it_reads(void **state)
{
    struct fixture *f = *state;
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__PutRequest p = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RequestOp ops[8], *list[8];
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    Steadpb__RaftRequest r = STEADPB__RAFT_REQUEST__INIT;
    static char value[100000];
    ProtobufCMessage *resp;
    struct mvcc_kv kv;

    memset(value, 'v', sizeof value - 1);
    put(f, "a", value, 0);
    range.key = PB_BYTES(SLICE_LIT("a"));
    p.key = PB_BYTES(SLICE_LIT("b"));
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        etcdserverpb__request_op__init(&ops[i]);
        ops[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
        ops[i].request_range = &range;
        list[i] = &ops[i];
    }
    ops[7].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    ops[7].request_put = &p;
    txn.success = list;
    txn.n_success = ARRAY_LEN(list);
    r.request_case = STEADPB__RAFT_REQUEST__REQUEST_TXN;
    r.txn = &txn;
    arena_reset(&f->arena);
    f->x = (struct apply_ctx){.mvcc = f->mvcc,
                              .leases = f->leases,
                              .alarms = &f->alarms,
                              .arena = &f->arena,
                              .ranges_max = 300000};
    assert_int_equal(apply_request(&f->x, &r, &resp), 0);
    assert_true(f->x.answer_too_large);
    assert_true(f->arena.used < 400000);
    assert_int_equal(mvcc_get(f->mvcc, SLICE_LIT("b"), 0, &kv), 0);
    assert_int_equal(apply(f, &r, &resp), 0);
    assert_false(f->x.answer_too_large);
}

static void a_standing_alarm_refuses_what_adds_data(void **state)
{
    struct fixture *f = *state;

    put(f, "a", "1", 0);
    alarm_raise(&f->alarms, 1, ETCDSERVERPB__ALARM_TYPE__NOSPACE);
    assert_int_equal(put(f, "a", "2", 0), ERR_NO_SPACE);
    assert_int_equal(grant(f, 1, 10), ERR_NO_SPACE);
    alarm_clear(&f->alarms, 1, ETCDSERVERPB__ALARM_TYPE__NOSPACE);
    alarm_raise(&f->alarms, 1, ETCDSERVERPB__ALARM_TYPE__CORRUPT);
    assert_int_equal(put(f, "a", "2", 0), ERR_CORRUPT);
}

static void alarms_survive_their_stored_form(void **state)
{
    struct alarm_set a = {0}, b;
    uint8_t bytes[ALARM_ENCODED_MAX];

    assert_true(alarm_raise(&a, 42, ETCDSERVERPB__ALARM_TYPE__NOSPACE));
    assert_false(alarm_raise(&a, 42, ETCDSERVERPB__ALARM_TYPE__NOSPACE));
    assert_true(alarm_raise(&a, 43, ETCDSERVERPB__ALARM_TYPE__CORRUPT));
    size_t n = alarm_encode(&a, bytes);
    assert_int_equal(alarm_decode(&b, slice_of(bytes, n)), 0);
    assert_int_equal(b.n, 2);
    assert_true(alarm_stands(&b, ETCDSERVERPB__ALARM_TYPE__CORRUPT));
    assert_int_equal(alarm_decode(&b, slice_of(bytes, n - 1)), ERR_DATA_DAMAGED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_put_is_one_revision_and_one_event),
        T(a_put_needs_its_lease),
        T(revoking_deletes_attached_keys_in_one_revision),
        T(a_put_without_lease_detaches),
        T(ignore_value_keeps_the_value_and_needs_the_key),
        T(nested_compares_see_the_state_before),
        T(what_puts_lack_is_told_before_wrong_ranges),
        T(a_transaction_writes_however_much_it_reads),
        T(a_standing_alarm_refuses_what_adds_data),
        T(alarms_survive_their_stored_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
