#include "etcd/observe.h"

#include "etcd/key_txn.h"
#include "wire/limits.h"

enum observe_state { OBSERVE_NONE, OBSERVE_LEADER, OBSERVE_SLOW };

struct observe {
    struct server *server;
    struct grpc_call *call;
    struct observe **owner;
    observe_send *send;
    struct key_queue queue;
    enum observe_state state;
    struct watch_local watch; /* stands in the hub while on_event is set */
    uint8_t *leader;          /* its key, in LEADER */
    int64_t seen_rev;         /* events up to it are accounted for */
    int64_t sent_rev;         /* mod_rev of what was sent last: not sent twice */
};

static void unwatch(struct observe *o)
{
    if (o->watch.on_event)
        watch_hub_remove_local(server_watches(o->server), &o->watch);
    o->watch = (struct watch_local){0};
    free(take_ptr(&o->leader));
}

void observe_free(struct observe *o)
{
    if (!o)
        return;
    unwatch(o);
    key_queue_deinit(&o->queue);
    free(o);
}

static void fail(struct observe *o, int code)
{
    struct grpc_call *c = o->call;

    *o->owner = NULL;
    observe_free(o);
    grpc_call_fail(c, code);
}

static void look(struct observe *o);
static void on_event(struct watch_local *w, const struct mvcc_event *ev);

static void watch(struct observe *o, enum observe_state state, struct slice key, struct slice end)
{
    o->state = state;
    o->watch = (struct watch_local){.key = {.key = key, .end = end}, .on_event = on_event};
    watch_hub_add_local(server_watches(o->server), &o->watch);
}

static void watch_leader(struct observe *o, struct slice key)
{
    uint8_t *copy = xmalloc(key.n);

    memcpy(copy, key.p, key.n);
    unwatch(o);
    o->leader = copy;
    watch(o, OBSERVE_LEADER, slice_of(copy, key.n), SLICE_EMPTY);
}

/* False: the stream is full, and what is newest goes out once it has drained. */
static bool send_leader(struct observe *o, const struct mvcc_kv *kv, int64_t header_rev)
{
    if (kv->mod_rev == o->sent_rev)
        return true;
    if (grpc_call_queued(o->call) > WATCH_QUEUE_MAX) {
        unwatch(o);
        o->state = OBSERVE_SLOW;
        return false;
    }
    o->sent_rev = kv->mod_rev;
    o->send(o->call, kv, header_rev);
    return true;
}

static void on_event(struct watch_local *w, const struct mvcc_event *ev)
{
    struct observe *o = container_of(w, struct observe, watch);

    if (ev->kv.mod_rev <= o->seen_rev)
        return;
    if (!ev->is_delete) {
        if (send_leader(o, &ev->kv, ev->kv.mod_rev) && o->state == OBSERVE_NONE)
            watch_leader(o, ev->kv.key);
    } else if (o->state == OBSERVE_LEADER) {
        look(o);
    }
}

static void look(struct observe *o)
{
    struct mvcc *m = server_mvcc(o->server);
    struct mvcc_kv kv;
    struct arena a;

    unwatch(o);
    arena_init(&a, LIMIT_ARENA_BYTES);
    o->seen_rev = mvcc_revision(m);
    int r = key_queue_find(&o->queue, m, false, 0, &a, &kv);
    if (r == ERR_KEY_NOT_FOUND)
        watch(o, OBSERVE_NONE, o->queue.prefix, o->queue.end);
    else if (r == 0 && send_leader(o, &kv, 0))
        watch_leader(o, kv.key);
    arena_deinit(&a);
    if (r < 0 && r != ERR_KEY_NOT_FOUND)
        fail(o, r);
}

void observe_start(struct server *s, struct grpc_call *c, struct slice name, observe_send *send,
                   struct observe **owner)
{
    struct observe *o = xcalloc(1, sizeof *o);

    o->server = s;
    o->call = c;
    o->owner = owner;
    o->send = send;
    key_queue_init(&o->queue, name);
    *owner = o;
    look(o);
}

void observe_writable(struct observe *o)
{
    if (o->state == OBSERVE_SLOW)
        look(o);
}
