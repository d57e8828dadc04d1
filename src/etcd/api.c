#include "etcd/api.h"

/* --- a call that waits for its proposal --- */

static void proposal_answer(void *ctx, int code, const ProtobufCMessage *response)
{
    struct grpc_call *c = ctx;
    struct api_proposal *p = grpc_call_state(c);

    p->pending = NULL;
    if (code < 0)
        grpc_call_fail(c, code);
    else
        grpc_call_reply(c, response);
}

/* The call may be finished on return, so the pending proposal is noted by the server itself. */
void api_propose(struct grpc_call *c, Steadpb__RaftRequest__RequestCase what, struct slice raw)
{
    struct api_proposal *p = grpc_call_state(c);
    int r = server_propose(grpc_call_app(c), what, raw, proposal_answer, c, &p->pending);

    if (r < 0)
        grpc_call_fail(c, r);
}

void api_propose_msg(struct grpc_call *c, Steadpb__RaftRequest__RequestCase what,
                     const ProtobufCMessage *msg)
{
    struct api_proposal *p = grpc_call_state(c);
    int r = server_propose_msg(grpc_call_app(c), what, msg, proposal_answer, c, &p->pending);

    if (r < 0)
        grpc_call_fail(c, r);
}

void api_proposal_cancel(struct grpc_call *c)
{
    struct api_proposal *p = grpc_call_state(c);

    if (p->pending)
        server_proposal_abandon(p->pending);
    p->pending = NULL;
}

/* --- leases --- */

int64_t api_lease_pick_id(struct server *s)
{
    int64_t id;

    do {
        id = (int64_t)(rng_u64(server_rng(s)) & LEASE_ID_MAX);
    } while (id == 0 || lease_exists(server_leases(s), id));
    return id;
}

void api_fail_inside(struct grpc_call *c, int code)
{
    if (code == ERR_CANCELED || code == ERR_STOPPED)
        grpc_call_fail(c, code);
    else
        grpc_call_finish(c, GRPC_UNKNOWN, err_text(code));
}
