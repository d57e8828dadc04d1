#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "etcd/watch_wire.h"
#include "rpc.pb-c.h"
#include "wire/pb.h"

#define S(lit) SLICE_LIT(lit)

static void kv_message(const struct mvcc_kv *kv, Mvccpb__KeyValue *ret)
{
    mvccpb__key_value__init(ret);
    ret->key = PB_BYTES(kv->key);
    ret->value = PB_BYTES(kv->value);
    ret->create_revision = kv->create_rev;
    ret->mod_revision = kv->mod_rev;
    ret->version = kv->version;
    ret->lease = kv->lease;
}

static void assert_packs_to(const Etcdserverpb__WatchResponse *r, struct slice got)
{
    uint8_t want[1024];

    assert_true(etcdserverpb__watch_response__get_packed_size(r) <= sizeof want);
    size_t n = etcdserverpb__watch_response__pack(r, want);
    assert_int_equal(n, got.n);
    assert_memory_equal(want, got.p, n);
}

static const struct {
    struct mvcc_event ev;
    struct mvcc_kv prev; /* key empty: none */
} events[] = {
    {{false, {S("k"), S("v"), 5, 5, 1, 0}}, {{NULL, 0}}},
    {{false, {S("k"), S(""), 5, 700, 128, 0}}, {S("k"), S("old"), 5, 6, 2, 0}},
    {{false, {S("key"), S("v"), INT64_MAX, INT64_MAX, INT64_MAX, 0x7fffffffffffffff}},
     {S("key"), S(""), 1, 2, 3, 127}},
    {{true, {S("k"), S(""), 0, 9, 0, 0}}, {{NULL, 0}}},
    {{true, {S("k"), S(""), 0, 1 << 14, 0, 0}}, {S("k"), S("v"), 5, 6, 2, -1}},
    /* What a store may leave in a tombstone's record does not show. */
    {{true, {S("k"), S("x"), 3, 9, 4, 8}}, {{NULL, 0}}},
};

static void events_are_encoded_as_protobuf_does(void **state)
{
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        Mvccpb__KeyValue kv, prev;
        Mvccpb__Event ev = MVCCPB__EVENT__INIT, *evs[] = {&ev};
        Etcdserverpb__WatchResponse r;
        cleanup_buf struct buf out;
        struct mvcc_kv gone = {.key = events[i].ev.kv.key, .mod_rev = events[i].ev.kv.mod_rev};
        bool has_prev = events[i].prev.key.n;

        etcdserverpb__watch_response__init(&r);
        kv_message(events[i].ev.is_delete ? &gone : &events[i].ev.kv, &kv);
        kv_message(&events[i].prev, &prev);
        ev.type = events[i].ev.is_delete ? MVCCPB__EVENT__EVENT_TYPE__DELETE
                                         : MVCCPB__EVENT__EVENT_TYPE__PUT;
        ev.kv = &kv;
        ev.prev_kv = has_prev ? &prev : NULL;
        r.n_events = 1;
        r.events = evs;
        buf_init(&out, 4096);
        assert_int_equal(
            watch_wire_event_put(&out, &events[i].ev, has_prev ? &events[i].prev : NULL), 0);
        assert_packs_to(&r, buf_slice(&out));
    }
}

static void event_past_the_bound_appends_nothing(void **state)
{
    cleanup_buf struct buf out;

    buf_init(&out, 8);
    assert_int_equal(watch_wire_event_put(&out, &events[0].ev, NULL), -ENOBUFS);
    assert_int_equal(out.n, 0);
}

static const struct watch_wire_head heads[] = {
    {.watch_id = 0},
    {.watch_id = 1, .created = true},
    {.watch_id = -1, .created = true, .canceled = true, .reason = "mvcc: watcher range is empty"},
    {.watch_id = INT64_MAX, .canceled = true, .compact_rev = 1 << 21},
    {.watch_id = 300, .fragment = true, .reason = ""},
};

static void heads_are_encoded_as_protobuf_does(void **state)
{
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct watch_wire_head head = heads[i];
        struct watch_wire_header header;
        uint8_t out[WATCH_HEAD_MAX];
        Etcdserverpb__ResponseHeader h = ETCDSERVERPB__RESPONSE_HEADER__INIT;
        Etcdserverpb__WatchResponse r;

        h.cluster_id = i % 2 ? UINT64_MAX : 0;
        h.member_id = UINT64_MAX - i;
        h.revision = (int64_t)i * 1000;
        h.raft_term = i;
        watch_wire_header_set(&header, h.cluster_id, h.member_id, h.revision, h.raft_term);
        head.header = &header;
        etcdserverpb__watch_response__init(&r);
        r.header = &h;
        r.watch_id = head.watch_id;
        r.created = head.created;
        r.canceled = head.canceled;
        r.compact_revision = head.compact_rev;
        r.fragment = head.fragment;
        if (head.reason)
            r.cancel_reason = (char *)(uintptr_t)head.reason;
        assert_packs_to(&r, slice_of(out, watch_wire_head_put(out, &head)));
    }
}

static void longest_head_fits(void **state)
{
    struct watch_wire_header header;
    char reason[WATCH_REASON_MAX + 1];
    uint8_t out[WATCH_HEAD_MAX];

    memset(reason, 'x', WATCH_REASON_MAX);
    reason[WATCH_REASON_MAX] = 0;
    watch_wire_header_set(&header, UINT64_MAX, UINT64_MAX, -1, UINT64_MAX);
    struct watch_wire_head head = {&header, -1, true, true, true, -1, reason};
    assert_true(watch_wire_head_put(out, &head) <= sizeof out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_encoded_as_protobuf_does),
        cmocka_unit_test(event_past_the_bound_appends_nothing),
        cmocka_unit_test(heads_are_encoded_as_protobuf_does),
        cmocka_unit_test(longest_head_fits),
    };
    return cmocka_run_group_tests_name("watch_wire", tests, NULL, NULL);
}
