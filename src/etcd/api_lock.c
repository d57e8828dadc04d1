#include "etcd/api.h"
#include "etcd/turn.h"
#include "lock.pb-c.h"
#include "wire/pb.h"

/* --- Lock --- */

struct lock_state {
    struct turn *turn;
};

static void locked(void *ctx, int code, const struct turn_result *res)
{
    struct grpc_call *c = ctx;
    struct lock_state *state = grpc_call_state(c);
    V3lockpb__LockResponse out = V3LOCKPB__LOCK_RESPONSE__INIT;

    state->turn = NULL;
    if (code < 0) {
        api_fail_inside(c, code);
        return;
    }
    /* As upstream: of the write that took a free lock, else of the moment the wait ended. */
    Etcdserverpb__ResponseHeader header = res->entered;
    if (res->waited)
        server_header(grpc_call_app(c), &header);
    out.header = &header;
    out.key = PB_BYTES(res->key);
    grpc_call_reply(c, &out.base);
}

static void lock(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const V3lockpb__LockRequest *q = (const void *)msg;
    struct lock_state *state = grpc_call_state(c);
    struct turn_request turn = {
        .name = pb_slice(q->name),
        .lease = q->lease,
        .lost = ERR_SESSION_EXPIRED,
        .done = locked,
        .ctx = c,
    };

    int r = turn_start(grpc_call_app(c), &turn, &state->turn);
    if (r < 0)
        api_fail_inside(c, r);
}

static void lock_cancel(struct grpc_call *c)
{
    struct lock_state *state = grpc_call_state(c);

    if (state->turn)
        turn_cancel(state->turn);
    state->turn = NULL;
}

/* --- Unlock --- */

static void unlocked(void *ctx, int code, const ProtobufCMessage *response)
{
    struct grpc_call *c = ctx;
    struct api_proposal *p = grpc_call_state(c);
    V3lockpb__UnlockResponse out = V3LOCKPB__UNLOCK_RESPONSE__INIT;

    p->pending = NULL;
    if (code < 0) {
        api_fail_inside(c, code);
        return;
    }
    out.header = ((const Etcdserverpb__DeleteRangeResponse *)(const void *)response)->header;
    grpc_call_reply(c, &out.base);
}

static void unlock(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const V3lockpb__UnlockRequest *q = (const void *)msg;
    struct api_proposal *p = grpc_call_state(c);
    Etcdserverpb__DeleteRangeRequest del = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;

    del.key = q->key;
    int r = q->key.len
                ? server_propose_msg(grpc_call_app(c), STEADPB__RAFT_REQUEST__REQUEST_DELETE_RANGE,
                                     &del.base, unlocked, c, &p->pending)
                : ERR_EMPTY_KEY;
    if (r < 0)
        api_fail_inside(c, r);
}

const struct grpc_method lock_methods[] = {
    {
        .path = "/v3lockpb.Lock/Lock",
        .request = &v3lockpb__lock_request__descriptor,
        .state_size = sizeof(struct lock_state),
        .on_message = lock,
        .on_cancel = lock_cancel,
    },
    {
        .path = "/v3lockpb.Lock/Unlock",
        .request = &v3lockpb__unlock_request__descriptor,
        .state_size = sizeof(struct api_proposal),
        .on_message = unlock,
        .on_cancel = api_proposal_cancel,
    },
    {.path = NULL},
};
