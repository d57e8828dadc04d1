/*
 * watch_hub_fixture: a hub on fakes of calls, store and server, and its answers as text. For the
 * tests of the hub.
 */
#ifndef ETCD_WATCH_HUB_FIXTURE_H
#define ETCD_WATCH_HUB_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/buf.h"
#include "etcd/fake_etcd.h"
#include "etcd/watch_stream.h"
#include "wire/pb.h"

#define MANY 3000 /* more revisions than one catch-up message takes */

struct fix {
    struct server *s;
    struct grpc_call *c;
    struct buf text;
};

UNUSED static int setup(void **state)
{
    struct fix *f = xcalloc(1, sizeof *f);

    f->s = fake_server_new();
    f->c = fake_call(f->s, watch_methods, "/etcdserverpb.Watch/Watch");
    buf_init(&f->text, 1 << 20);
    *state = f;
    return 0;
}

UNUSED static int teardown(void **state)
{
    struct fix *f = *state;

    if (!fake_finished(f->c))
        fake_cancel(f->c);
    fake_call_free(f->c);
    fake_server_free(f->s);
    buf_deinit(&f->text);
    free(f);
    return 0;
}

/* --- what goes in --- */

UNUSED static void create_on(struct grpc_call *c, struct watch_create q)
{
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    Etcdserverpb__WatchRequest r = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest__FilterType filters[2];

    create.key = PB_BYTES(q.key);
    create.range_end = PB_BYTES(q.end);
    create.start_revision = q.start_rev;
    create.watch_id = q.id;
    create.prev_kv = (q.flags & WATCH_PREV_KV) != 0;
    create.fragment = (q.flags & WATCH_FRAGMENT) != 0;
    create.progress_notify = (q.flags & WATCH_NOTIFY) != 0;
    create.filters = filters;
    if (q.flags & WATCH_NO_PUT)
        filters[create.n_filters++] = ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT;
    if (q.flags & WATCH_NO_DELETE)
        filters[create.n_filters++] = ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NODELETE;
    r.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    r.create_request = &create;
    fake_message(c, &r.base);
}
#define CREATE(f, ...) create_on((f)->c, (struct watch_create){__VA_ARGS__})
#define KEY(lit)       .key = SLICE_LIT(lit)
#define END(lit)       .end = SLICE_LIT(lit)
#define ALL            KEY(""), END("\0")

UNUSED static void cancel(struct fix *f, int64_t id)
{
    Etcdserverpb__WatchCancelRequest q = ETCDSERVERPB__WATCH_CANCEL_REQUEST__INIT;
    Etcdserverpb__WatchRequest r = ETCDSERVERPB__WATCH_REQUEST__INIT;

    q.watch_id = id;
    r.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST;
    r.cancel_request = &q;
    fake_message(f->c, &r.base);
}

UNUSED static void ask_progress(struct fix *f)
{
    Etcdserverpb__WatchProgressRequest q = ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;
    Etcdserverpb__WatchRequest r = ETCDSERVERPB__WATCH_REQUEST__INIT;

    r.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
    r.progress_request = &q;
    fake_message(f->c, &r.base);
}

UNUSED static void put(struct fix *f, const char *key, const char *value)
{
    fake_client_put(f->s, key, value, 0);
}

/* Into the store's history only, as before a start. */
UNUSED static void put_many(struct fix *f, const char *key, int n)
{
    for (int i = 0; i < n; i++)
        fake_put(server_mvcc(f->s), key, "v", 0);
}

UNUSED static void publish_last(struct fix *f)
{
    struct mvcc *m = server_mvcc(f->s);
    size_t n;
    const struct mvcc_event *ev = fake_events(m, mvcc_revision(m), &n);

    watch_hub_publish(server_watches(f->s), ev, n, mvcc_revision(m));
}

UNUSED static void flush(struct fix *f)
{
    watch_hub_flush(server_watches(f->s));
}

/* A write in the midst of a batch: published, not flushed. */
UNUSED static void gather(struct fix *f, const char *key, const char *value)
{
    fake_put(server_mvcc(f->s), key, value, 0);
    publish_last(f);
}

UNUSED static bool step(struct fix *f)
{
    return watch_hub_step(server_watches(f->s), server_now_ns(f->s));
}

/* --- what comes out, as text --- */

UNUSED static void print_event(struct buf *out, const Mvccpb__Event *e)
{
    buf_printf(out, " %c%.*s", e->type ? '-' : '+', (int)e->kv->key.len, (char *)e->kv->key.data);
    if (!e->type)
        buf_printf(out, "=%.*s", (int)e->kv->value.len, (char *)e->kv->value.data);
    buf_printf(out, "@%d", (int)e->kv->mod_revision);
    if (e->prev_kv)
        buf_printf(out, "(%.*s)", (int)e->prev_kv->value.len, (char *)e->prev_kv->value.data);
}

UNUSED static void print_response(struct buf *out, const Etcdserverpb__WatchResponse *r)
{
    assert_int_equal(r->header->cluster_id, FAKE_CLUSTER_ID);
    assert_int_equal(r->header->member_id, FAKE_MEMBER_ID);
    assert_int_equal(r->header->raft_term, FAKE_TERM);
    buf_printf(out, "#%d r%d", (int)r->watch_id, (int)r->header->revision);
    if (r->created)
        buf_printf(out, " created");
    if (r->canceled)
        buf_printf(out, " canceled");
    if (r->compact_revision)
        buf_printf(out, " compact=%d", (int)r->compact_revision);
    if (*r->cancel_reason)
        buf_printf(out, " '%s'", r->cancel_reason);
    if (r->fragment)
        buf_printf(out, " more");
    for (size_t i = 0; i < r->n_events; i++)
        print_event(out, r->events[i]);
}

UNUSED static const Etcdserverpb__WatchResponse *next(struct grpc_call *c)
{
    return (const void *)fake_next(c, &etcdserverpb__watch_response__descriptor);
}

/* All unread answers of a call, "; " between them. */
UNUSED static const char *answers_of(struct fix *f, struct grpc_call *c)
{
    const Etcdserverpb__WatchResponse *r;

    buf_clear(&f->text);
    while ((r = next(c))) {
        if (f->text.n)
            buf_append_str(&f->text, "; ");
        print_response(&f->text, r);
    }
    return buf_cstr(&f->text);
}
#define assert_answers(f, want) assert_string_equal(answers_of(f, (f)->c), want)

#endif
