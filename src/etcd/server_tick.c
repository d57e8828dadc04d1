/* What the member does by the clock: leases, compaction, upkeep, feeding watchers that are behind.
 */
#include "etcd/server_internal.h"

#include "base/log.h"

/* --- leases --- */

struct expiry {
    struct server *server;
    int64_t id;
};

static void revoke_done(void *ctx, int code, const ProtobufCMessage *response)
{
    struct expiry *x = ctx;

    if (code < 0 && code != ERR_LEASE_NOT_FOUND)
        lease_retry(x->server->leases, x->id, server_now_ns(x->server));
    else
        x->server->stats.lease_expired++;
    free(x);
}

static void expire_lease(struct server *s, int64_t id, uint64_t now_ns)
{
    Etcdserverpb__LeaseRevokeRequest r = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    struct expiry *x = xmalloc(sizeof *x);

    *x = (struct expiry){s, id};
    r.id = id;
    if (server_propose_msg(s, STEADPB__RAFT_REQUEST__REQUEST_LEASE_REVOKE, &r.base, revoke_done, x,
                           NULL) < 0) {
        lease_retry(s->leases, id, now_ns);
        free(x);
    }
}

static void scan_leases(struct server *s, uint64_t now_ns)
{
    int64_t ids[LEASE_REVOKES_PER_SCAN];

    if (now_ns < s->lease_scan_at_ns)
        return;
    s->lease_scan_at_ns = now_ns + LEASE_SCAN_NS;
    size_t n = lease_expired(s->leases, now_ns, ids, ARRAY_LEN(ids));
    for (size_t i = 0; i < n; i++)
        expire_lease(s, ids[i], now_ns);
}

static void ignore_result(void *ctx, int code, const ProtobufCMessage *response)
{
}

/* Writes down how long leases still have, so that a restart does not give them their full time
 * again. */
static void checkpoint_leases(struct server *s, uint64_t now_ns)
{
    struct lease_remaining due[LEASE_CHECKPOINT_BATCH];
    Etcdserverpb__LeaseCheckpoint list[LEASE_CHECKPOINT_BATCH];
    Etcdserverpb__LeaseCheckpoint *ptrs[LEASE_CHECKPOINT_BATCH];
    Steadpb__LeaseCheckpoints m = STEADPB__LEASE_CHECKPOINTS__INIT;

    if (now_ns < s->lease_checkpoint_at_ns)
        return;
    s->lease_checkpoint_at_ns = now_ns + LEASE_CHECKPOINT_NS;
    size_t n = lease_checkpoint_due(s->leases, now_ns, 1, due, ARRAY_LEN(due));
    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        etcdserverpb__lease_checkpoint__init(&list[i]);
        list[i].id = due[i].id;
        list[i].remaining_ttl = due[i].remaining_s;
        ptrs[i] = &list[i];
    }
    m.checkpoints = ptrs;
    m.n_checkpoints = n;
    server_propose_msg(s, STEADPB__RAFT_REQUEST__REQUEST_LEASE_CHECKPOINT, &m.base, ignore_result,
                       NULL, NULL);
}

/* --- compaction by itself --- */

static void auto_compact(struct server *s, uint64_t now_ns)
{
    Etcdserverpb__CompactionRequest r = ETCDSERVERPB__COMPACTION_REQUEST__INIT;

    r.revision = autocompact_tick(&s->autocompact, now_ns, mvcc_revision(s->mvcc));
    if (r.revision <= 0 || r.revision <= mvcc_compact_revision(s->mvcc))
        return;
    log_info("v3compactor", "starting auto compaction", LOG_I64("revision", r.revision));
    server_propose_msg(s, STEADPB__RAFT_REQUEST__REQUEST_COMPACTION, &r.base, ignore_result, NULL,
                       NULL);
}

/* --- watchers that are behind --- */

static void on_feed(uv_idle_t *idle);

static void feed(struct server *s, uint64_t now_ns)
{
    bool more = watch_hub_step(s->watches, now_ns);

    if (more && !s->feeding)
        uv_idle_start(&s->feed, on_feed);
    else if (!more && s->feeding)
        uv_idle_stop(&s->feed);
    s->feeding = more;
}

static void on_feed(uv_idle_t *idle)
{
    struct server *s = idle->data;

    feed(s, server_now_ns(s));
}

void server_feed(struct server *s)
{
    if (!s->feeding && s->io)
        feed(s, server_now_ns(s));
}

/* --- the tick --- */

static void on_tick(uv_timer_t *timer)
{
    struct server *s = timer->data;
    uint64_t now = server_now_ns(s);

    scan_leases(s, now);
    checkpoint_leases(s, now);
    auto_compact(s, now);
    server_compact_step(s, now);
    server_spare_maybe(s);
    server_checkpoint_maybe(s, now);
    server_check_maybe(s, now);
    feed(s, now);
    server_turn(s);
}

void server_tick_start(struct server *s)
{
    uint64_t now = server_now_ns(s);

    s->check_at_ns = now + s->conf->check_interval_ns;
    uv_timer_init(s->loop, &s->tick);
    s->tick.data = s;
    uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
    uv_idle_init(s->loop, &s->feed);
    s->feed.data = s;
}

void server_tick_stop(struct server *s)
{
    uv_timer_stop(&s->tick);
    uv_close((uv_handle_t *)&s->tick, NULL);
    uv_idle_stop(&s->feed);
    uv_close((uv_handle_t *)&s->feed, NULL);
}
