#include "etcd/api.h"

#define GRANT_COST 64 /* bytes a lease counts for against the quota, as upstream */

static void lease_grant(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const Etcdserverpb__LeaseGrantRequest *q = (const void *)msg;
    struct server *s = grpc_call_app(c);
    Etcdserverpb__LeaseGrantRequest out = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;

    /* What the log holds no longer depends on this member: the id is chosen, the time to live is
     * the one that will count. */
    int r = lease_ttl_effective(server_leases(s), q->ttl, &out.ttl);
    if (r == 0 && q->id < 0)
        r = ERR_LEASE_NOT_FOUND; /* upstream takes negative ids; no client of ours makes them */
    if (r == 0 && q->id > 0 && lease_exists(server_leases(s), q->id))
        r = ERR_LEASE_EXISTS;
    if (r == 0)
        r = server_quota_check(s, GRANT_COST);
    if (r < 0) {
        grpc_call_fail(c, r);
        return;
    }
    out.id = q->id ? q->id : api_lease_pick_id(s);
    api_propose_msg(c, STEADPB__RAFT_REQUEST__REQUEST_LEASE_GRANT, &out.base);
}

static void lease_revoke(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    api_propose(c, STEADPB__RAFT_REQUEST__REQUEST_LEASE_REVOKE, raw);
}

/* No proposal: time to live is the leader's memory. */
static void keep_alive(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const Etcdserverpb__LeaseKeepAliveRequest *q = (const void *)msg;
    struct server *s = grpc_call_app(c);
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__LeaseKeepAliveResponse out = ETCDSERVERPB__LEASE_KEEP_ALIVE_RESPONSE__INIT;

    int r = server_read_check(s, false);
    if (r < 0) {
        grpc_call_fail(c, r);
        return;
    }
    /* Before the renewal, as upstream: the lease was alive at the header's revision. */
    server_header(s, &header);
    out.header = &header;
    out.id = q->id;
    if (lease_renew(server_leases(s), q->id, server_now_ns(s), &out.ttl) < 0)
        out.ttl = 0; /* unknown or expired: told by a time to live of 0, not by an error */
    grpc_call_send(c, &out.base);
}

/* The attached keys into the answer, in memory of the call. */
static int add_keys(struct grpc_call *c, int64_t id, Etcdserverpb__LeaseTimeToLiveResponse *out)
{
    struct arena *a = grpc_call_arena(c);
    struct slice *keys;
    size_t n;

    int r = mvcc_lease_keys(server_mvcc(grpc_call_app(c)), id, a, &keys, &n);
    if (r < 0)
        return r;
    out->keys = arena_alloc(a, n * sizeof *out->keys);
    if (!out->keys)
        return ERR_LIMIT;
    for (size_t i = 0; i < n; i++)
        out->keys[i] = (ProtobufCBinaryData){keys[i].n, (uint8_t *)(uintptr_t)keys[i].p};
    out->n_keys = n;
    return 0;
}

static void time_to_live(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const Etcdserverpb__LeaseTimeToLiveRequest *q = (const void *)msg;
    struct server *s = grpc_call_app(c);
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__LeaseTimeToLiveResponse out = ETCDSERVERPB__LEASE_TIME_TO_LIVE_RESPONSE__INIT;

    int r = server_read_check(s, false);
    if (r == 0 && lease_time_to_live(server_leases(s), q->id, server_now_ns(s), &out.ttl,
                                     &out.grantedttl) < 0) {
        out.ttl = -1; /* unknown: an answer, not an error */
        out.grantedttl = 0;
    } else if (r == 0 && q->keys) {
        r = add_keys(c, q->id, &out);
    }
    if (r < 0) {
        grpc_call_fail(c, r);
        return;
    }
    server_header(s, &header);
    out.header = &header;
    out.id = q->id;
    grpc_call_reply(c, &out.base);
}

static void leases(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    struct server *s = grpc_call_app(c);
    struct arena *a = grpc_call_arena(c);
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__LeaseLeasesResponse out = ETCDSERVERPB__LEASE_LEASES_RESPONSE__INIT;
    size_t n = lease_count(server_leases(s));
    int64_t *ids = arena_alloc(a, n * sizeof *ids);
    Etcdserverpb__LeaseStatus *rows = arena_alloc(a, n * sizeof *rows);
    Etcdserverpb__LeaseStatus **refs = arena_alloc(a, n * sizeof *refs);

    int r = server_read_check(s, false);
    if (r == 0 && (!ids || !rows || !refs))
        r = ERR_LIMIT;
    if (r < 0) {
        grpc_call_fail(c, r);
        return;
    }
    lease_list(server_leases(s), ids);
    for (size_t i = 0; i < n; i++) {
        etcdserverpb__lease_status__init(&rows[i]);
        rows[i].id = ids[i];
        refs[i] = &rows[i];
    }
    server_header(s, &header);
    out.header = &header;
    out.n_leases = n;
    out.leases = refs;
    grpc_call_reply(c, &out.base);
}

const struct grpc_method lease_methods[] = {
    {
        .path = "/etcdserverpb.Lease/LeaseGrant",
        .request = &etcdserverpb__lease_grant_request__descriptor,
        .state_size = sizeof(struct api_proposal),
        .on_message = lease_grant,
        .on_cancel = api_proposal_cancel,
    },
    {
        .path = "/etcdserverpb.Lease/LeaseRevoke",
        .request = &etcdserverpb__lease_revoke_request__descriptor,
        .state_size = sizeof(struct api_proposal),
        .on_message = lease_revoke,
        .on_cancel = api_proposal_cancel,
    },
    {
        .path = "/etcdserverpb.Lease/LeaseKeepAlive",
        .request = &etcdserverpb__lease_keep_alive_request__descriptor,
        .client_streaming = true,
        .server_streaming = true,
        .on_message = keep_alive,
    },
    {
        .path = "/etcdserverpb.Lease/LeaseTimeToLive",
        .request = &etcdserverpb__lease_time_to_live_request__descriptor,
        .on_message = time_to_live,
    },
    {
        .path = "/etcdserverpb.Lease/LeaseLeases",
        .request = &etcdserverpb__lease_leases_request__descriptor,
        .on_message = leases,
    },
    {.path = NULL},
};
