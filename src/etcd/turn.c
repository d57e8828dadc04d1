#include "etcd/turn.h"

#include <inttypes.h>
#include <stdio.h>

#include "etcd/api.h"
#include "etcd/key_txn.h"
#include "wire/limits.h"

enum turn_state { TURN_START, TURN_GRANT, TURN_ENTER, TURN_UPDATE, TURN_WAIT, TURN_LEAVE };
#define BIT(state) (1u << (state))
static const unsigned allowed[] = {
    [TURN_START] = BIT(TURN_GRANT) | BIT(TURN_ENTER),
    [TURN_GRANT] = BIT(TURN_ENTER),
    [TURN_ENTER] = BIT(TURN_UPDATE) | BIT(TURN_WAIT) | BIT(TURN_LEAVE),
    [TURN_UPDATE] = BIT(TURN_WAIT),
    [TURN_WAIT] = 0,
    [TURN_LEAVE] = 0,
};

#define LEASE_HEX_MAX 17 /* sign and 16 digits */

struct turn {
    struct server *server;
    struct turn_request q; /* name is not kept */
    enum turn_state state;
    struct proposal *pending;
    struct key_queue queue;
    uint8_t *key; /* NULL before ENTER */
    size_t key_bytes;
    bool own_lease;
    struct turn_result res;
    struct watch_local own, older; /* in WAIT; older.key.key is owned */
};

static void turn_move(struct turn *t, enum turn_state to)
{
    assert(allowed[t->state] & BIT(to));
    t->state = to;
}

static void unwatch_older(struct turn *t)
{
    if (!t->older.on_event)
        return;
    watch_hub_remove_local(server_watches(t->server), &t->older);
    free((void *)(uintptr_t)t->older.key.key.p);
    t->older = (struct watch_local){0};
}

static void turn_free(struct turn *t)
{
    unwatch_older(t);
    if (t->own.on_event)
        watch_hub_remove_local(server_watches(t->server), &t->own);
    key_queue_deinit(&t->queue);
    free(t->key);
    free(t);
}

static void turn_end(struct turn *t, int code)
{
    t->q.done(t->q.ctx, code, code < 0 ? NULL : &t->res);
    turn_free(t);
}

static void ignore(void *ctx, int code, const ProtobufCMessage *response)
{
}

/* Takes the key back: with its lease when that was made for this turn alone. */
static void leave_queue(struct turn *t)
{
    Etcdserverpb__LeaseRevokeRequest revoke = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    struct key_txn del = {.key = t->res.key, .if_create_rev = t->res.create_rev, .is_delete = true};

    if (!t->own_lease) {
        key_txn_cast(t->server, &del);
        return;
    }
    revoke.id = t->res.lease;
    (void)server_propose_msg(t->server, STEADPB__RAFT_REQUEST__REQUEST_LEASE_REVOKE, &revoke.base,
                             ignore, NULL, NULL);
}

/* --- WAIT --- */

static void wait_tick(struct turn *t);

static void on_older(struct watch_local *w, const struct mvcc_event *ev)
{
    struct turn *t = container_of(w, struct turn, older);

    if (!ev->is_delete)
        return;
    unwatch_older(t);
    wait_tick(t);
}

/* Upstream notices a lost key only when its turn comes; there is nothing to wait for, though. */
static void on_own(struct watch_local *w, const struct mvcc_event *ev)
{
    struct turn *t = container_of(w, struct turn, own);

    if (ev->is_delete)
        turn_end(t, t->q.lost);
}

static void watch_older(struct turn *t, struct slice key)
{
    uint8_t *copy = xmalloc(key.n);

    memcpy(copy, key.p, key.n);
    t->older.key.key = slice_of(copy, key.n);
    t->older.on_event = on_older;
    watch_hub_add_local(server_watches(t->server), &t->older);
}

/* 1: an older key is watched now; 0: it is our turn; negative: failure. */
static int wait_look(struct turn *t)
{
    struct mvcc *m = server_mvcc(t->server);
    struct mvcc_kv kv;
    struct arena a;

    arena_init(&a, LIMIT_ARENA_BYTES);
    int r = key_queue_find(&t->queue, m, true, t->res.create_rev - 1, &a, &kv);
    if (r == 0) {
        watch_older(t, kv.key);
        r = 1;
    } else if (r == ERR_KEY_NOT_FOUND) {
        /* Our turn, if the key still is the one we put. */
        r = mvcc_get(m, t->res.key, 0, &kv);
        if (r == ERR_KEY_NOT_FOUND || (r == 0 && kv.create_rev != t->res.create_rev))
            r = t->q.lost;
    }
    arena_deinit(&a);
    return r;
}

static void wait_tick(struct turn *t)
{
    int r = wait_look(t);

    if (r == 1) {
        t->res.waited = true;
        return;
    }
    if (r < 0 && r != t->q.lost)
        leave_queue(t);
    turn_end(t, r);
}

static void wait_start(struct turn *t)
{
    turn_move(t, TURN_WAIT);
    t->own.key.key = t->res.key;
    t->own.on_event = on_own;
    watch_hub_add_local(server_watches(t->server), &t->own);
    wait_tick(t);
}

/* --- UPDATE --- */

static void on_updated(void *ctx, int code, const ProtobufCMessage *response)
{
    struct turn *t = ctx;
    const Etcdserverpb__TxnResponse *r = (const void *)response;

    t->pending = NULL;
    if (code < 0)
        turn_end(t, code);
    else if (!r->succeeded)
        turn_end(t, t->q.lost);
    else
        wait_start(t);
}

static void update_start(struct turn *t)
{
    struct key_txn put = {.key = t->res.key,
                          .if_create_rev = t->res.create_rev,
                          .value = t->q.value,
                          .lease = t->res.lease};

    turn_move(t, TURN_UPDATE);
    int r = key_txn_propose(t->server, &put, on_updated, t, &t->pending);
    if (r < 0)
        turn_end(t, r);
}

/* --- ENTER, LEAVE --- */

/* The asker has gone: what we put is taken back; a key that stood there before is not ours to take.
 */
static void entered_too_late(struct turn *t, const Etcdserverpb__TxnResponse *r)
{
    if (r && r->succeeded) {
        t->res.create_rev = r->header->revision;
        leave_queue(t);
    }
    turn_free(t);
}

static void on_entered(void *ctx, int code, const ProtobufCMessage *response)
{
    struct turn *t = ctx;
    const Etcdserverpb__TxnResponse *r = (const void *)response;

    t->pending = NULL;
    if (t->state == TURN_LEAVE) {
        entered_too_late(t, r);
        return;
    }
    if (code < 0) {
        turn_end(t, code);
        return;
    }
    const Mvccpb__KeyValue *found = key_txn_found(r);
    t->res.entered = *r->header;
    t->res.create_rev = found ? found->create_revision : r->header->revision;
    if (found && t->q.update &&
        !slice_eq(slice_of(found->value.data, found->value.len), t->q.value))
        update_start(t);
    else
        wait_start(t);
}

static void set_key(struct turn *t)
{
    char hex[LEASE_HEX_MAX + 1];
    uint64_t abs = t->res.lease < 0 ? -(uint64_t)t->res.lease : (uint64_t)t->res.lease;

    /* As Go prints %x of a signed number. */
    int n = snprintf(hex, sizeof hex, "%s%" PRIx64, t->res.lease < 0 ? "-" : "", abs);
    assert(n > 0 && n <= LEASE_HEX_MAX);
    size_t prefix = t->queue.prefix.n;
    t->key = xmalloc(prefix + (size_t)n);
    memcpy(t->key, t->queue.prefix.p, prefix);
    memcpy(t->key + prefix, hex, (size_t)n);
    t->res.key = slice_of(t->key, prefix + (size_t)n);
}

static int enter_start(struct turn *t)
{
    turn_move(t, TURN_ENTER);
    set_key(t);
    struct key_txn put = {
        .key = t->res.key, .value = t->q.value, .lease = t->res.lease, .else_get = true};
    return key_txn_propose(t->server, &put, on_entered, t, &t->pending);
}

/* --- GRANT --- */

static void on_granted(void *ctx, int code, const ProtobufCMessage *response)
{
    struct turn *t = ctx;

    t->pending = NULL;
    int r = code < 0 ? code : enter_start(t);
    if (r < 0)
        turn_end(t, r);
}

static int grant_start(struct turn *t)
{
    Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;

    turn_move(t, TURN_GRANT);
    t->own_lease = true;
    t->res.lease = grant.id = api_lease_pick_id(t->server);
    grant.ttl = TURN_SESSION_TTL_S;
    return server_propose_msg(t->server, STEADPB__RAFT_REQUEST__REQUEST_LEASE_GRANT, &grant.base,
                              on_granted, t, &t->pending);
}

/* --- start, cancel --- */

int turn_start(struct server *s, const struct turn_request *q, struct turn **ret)
{
    struct turn *t = xcalloc(1, sizeof *t);

    t->server = s;
    t->q = *q;
    t->q.name = SLICE_EMPTY;
    t->res.lease = q->lease;
    key_queue_init(&t->queue, q->name);
    *ret = t; /* before done can be called */
    int r = q->lease ? enter_start(t) : grant_start(t);
    if (r < 0) {
        *ret = NULL;
        turn_free(t);
    }
    return r;
}

void turn_cancel(struct turn *t)
{
    switch (t->state) {
    case TURN_ENTER:
        turn_move(t, TURN_LEAVE);
        return;
    case TURN_GRANT:  /* the lease expires by itself */
    case TURN_UPDATE: /* the key was there before us and stays */
        server_proposal_abandon(t->pending);
        break;
    case TURN_WAIT:
        leave_queue(t);
        break;
    default:
        assert(!"canceled twice");
    }
    turn_free(t);
}
