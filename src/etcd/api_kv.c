/* The KV service: checks what can be told from the request, answers reads, proposes writes. */
#include "etcd/api.h"

#include "base/log.h"
#include "etcd/alarm.h"
#include "etcd/apply.h"
#include "etcd/conf.h"
#include "etcd/respond.h"
#include "etcd/server.h"
#include "etcd/txn.h"
#include "wire/limits.h"
#include "wire/pb.h"

#define RESPONSE_ARENA_BYTES                                                                       \
    (2ULL * LIMIT_RESPONSE_BYTES) /* the decoded form of the largest answer */

/* --- reads --- */

void api_fail_read(struct grpc_call *c, int code)
{
    const char *damage = mvcc_damage(server_mvcc(grpc_call_app(c)));

    if (code != ERR_DATA_DAMAGED) {
        grpc_call_fail(c, code);
        return;
    }
    log_error("mvcc", "stored data is damaged; the read was refused", LOG_STR("error", damage));
    grpc_call_finish(c, GRPC_DATA_LOSS, damage);
}

static int answer_range(struct grpc_call *c, struct server *s, const Etcdserverpb__RangeRequest *q,
                        struct arena *a)
{
    Etcdserverpb__RangeResponse *resp;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    int r = respond_range(server_mvcc(s), q, false, a, &resp);

    if (r < 0)
        return r;
    server_header(s, &header);
    resp->header = &header;
    grpc_call_reply(c, &resp->base);
    return 0;
}

static void kv_range(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const Etcdserverpb__RangeRequest *q = (const Etcdserverpb__RangeRequest *)msg;
    struct server *s = grpc_call_app(c);
    int r = check_range(q);

    if (r == 0)
        r = server_read_check(s, q->serializable);
    if (r == 0)
        r = answer_range(c, s, q, grpc_call_arena(c));
    if (r == ERR_LIMIT) {
        /* A very large answer: built in memory that is given back at once. */
        struct arena big;
        arena_init(&big, RESPONSE_ARENA_BYTES);
        r = answer_range(c, s, q, &big);
        arena_deinit(&big);
    }
    if (r < 0)
        api_fail_read(c, r);
}

/* --- writes --- */

/* Writes that add data are refused while the store is at its quota. */
static int check_space(struct server *s, uint64_t cost)
{
    return cost ? server_quota_check(s, cost) : 0;
}

static void kv_put(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const Etcdserverpb__PutRequest *q = (const Etcdserverpb__PutRequest *)msg;
    int r = check_put(q);

    if (r == 0)
        r = check_space(grpc_call_app(c), put_cost(q));
    if (r < 0)
        grpc_call_fail(c, r);
    else
        api_propose(c, STEADPB__RAFT_REQUEST__REQUEST_PUT, raw);
}

static void kv_delete_range(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    int r = check_delete_range((const Etcdserverpb__DeleteRangeRequest *)msg);

    if (r < 0)
        grpc_call_fail(c, r);
    else
        api_propose(c, STEADPB__RAFT_REQUEST__REQUEST_DELETE_RANGE, raw);
}

static int read_txn(struct grpc_call *c, struct server *s, const Etcdserverpb__TxnRequest *q)
{
    struct apply_ctx x = {
        .mvcc = server_mvcc(s), .leases = server_leases(s), .alarms = server_alarms(s)};
    struct arena a;
    ProtobufCMessage *resp;
    int r = server_read_check(s, txn_is_serializable(q));

    arena_init(&a, RESPONSE_ARENA_BYTES);
    x.arena = &a;
    if (r == 0)
        r = apply_read_txn(&x, q, &resp);
    if (r == 0) {
        server_header(s, apply_header(resp));
        grpc_call_reply(c, resp);
    }
    arena_deinit(&a);
    return r;
}

static void kv_txn(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const Etcdserverpb__TxnRequest *q = (const Etcdserverpb__TxnRequest *)msg;
    struct server *s = grpc_call_app(c);
    int r = check_txn(q, server_conf(s)->max_txn_ops);

    if (r == 0 && txn_is_read_only(q)) {
        r = read_txn(c, s, q);
        if (r < 0)
            api_fail_read(c, r);
        return;
    }
    if (r == 0)
        r = check_space(s, txn_cost(q));
    if (r < 0)
        grpc_call_fail(c, r);
    else
        api_propose(c, STEADPB__RAFT_REQUEST__REQUEST_TXN, raw);
}

/* --- compaction --- */

struct compact_state {
    struct api_proposal proposal; /* first: api_propose's */
    struct grpc_call *call;
    struct compact_wait wait; /* physical: until old data is gone */
    bool waiting;
    Etcdserverpb__ResponseHeader header;
};

static void compact_reply(struct compact_wait *w)
{
    struct compact_state *st = container_of(w, struct compact_state, wait);
    Etcdserverpb__CompactionResponse resp = ETCDSERVERPB__COMPACTION_RESPONSE__INIT;

    st->waiting = false;
    resp.header = &st->header;
    grpc_call_reply(st->call, &resp.base);
}

static void compact_wait_done(void *ctx, int code, const ProtobufCMessage *response)
{
    struct grpc_call *c = ctx;
    struct compact_state *st = grpc_call_state(c);

    st->proposal.pending = NULL;
    if (code < 0) {
        grpc_call_fail(c, code);
        return;
    }
    st->header = *apply_header(response);
    st->call = c;
    st->waiting = true;
    st->wait.done = compact_reply;
    server_when_compacted(grpc_call_app(c), &st->wait);
}

static void compact_cancel(struct grpc_call *c)
{
    struct compact_state *st = grpc_call_state(c);

    api_proposal_cancel(c);
    if (st->waiting)
        list_del(&st->wait.link);
}

static void kv_compact(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const Etcdserverpb__CompactionRequest *q = (const Etcdserverpb__CompactionRequest *)msg;
    struct compact_state *st = grpc_call_state(c);

    if (!q->physical) {
        api_propose(c, STEADPB__RAFT_REQUEST__REQUEST_COMPACTION, raw);
        return;
    }
    int r = server_propose(grpc_call_app(c), STEADPB__RAFT_REQUEST__REQUEST_COMPACTION, raw,
                           compact_wait_done, c, &st->proposal.pending);
    if (r < 0)
        grpc_call_fail(c, r);
}

const struct grpc_method kv_methods[] = {
    {.path = "/etcdserverpb.KV/Range",
     .request = &etcdserverpb__range_request__descriptor,
     .on_message = kv_range},
    {.path = "/etcdserverpb.KV/Put",
     .request = &etcdserverpb__put_request__descriptor,
     .state_size = sizeof(struct api_proposal),
     .on_message = kv_put,
     .on_cancel = api_proposal_cancel},
    {.path = "/etcdserverpb.KV/DeleteRange",
     .request = &etcdserverpb__delete_range_request__descriptor,
     .state_size = sizeof(struct api_proposal),
     .on_message = kv_delete_range,
     .on_cancel = api_proposal_cancel},
    {.path = "/etcdserverpb.KV/Txn",
     .request = &etcdserverpb__txn_request__descriptor,
     .state_size = sizeof(struct api_proposal),
     .on_message = kv_txn,
     .on_cancel = api_proposal_cancel},
    {.path = "/etcdserverpb.KV/Compact",
     .request = &etcdserverpb__compaction_request__descriptor,
     .state_size = sizeof(struct compact_state),
     .on_message = kv_compact,
     .on_cancel = compact_cancel},
    {0},
};
