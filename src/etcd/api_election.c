#include "etcd/api.h"
#include "election.pb-c.h"
#include "etcd/key_txn.h"
#include "etcd/observe.h"
#include "etcd/turn.h"
#include "wire/limits.h"
#include "wire/pb.h"

/* --- Campaign --- */

struct campaign_state {
    struct turn *turn;
    struct slice name; /* the request's, which lives as long as the call */
};

static void elected(void *ctx, int code, const struct turn_result *res)
{
    struct grpc_call *c = ctx;
    struct campaign_state *state = grpc_call_state(c);
    V3electionpb__CampaignResponse out = V3ELECTIONPB__CAMPAIGN_RESPONSE__INIT;
    V3electionpb__LeaderKey leader = V3ELECTIONPB__LEADER_KEY__INIT;

    state->turn = NULL;
    if (code < 0) {
        api_fail_inside(c, code);
        return;
    }
    Etcdserverpb__ResponseHeader header = res->entered; /* even after a wait, as upstream */
    leader.name = PB_BYTES(state->name);
    leader.key = PB_BYTES(res->key);
    leader.rev = res->create_rev;
    leader.lease = res->lease;
    out.header = &header;
    out.leader = &leader;
    grpc_call_reply(c, &out.base);
}

static void campaign(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const V3electionpb__CampaignRequest *q = (const void *)msg;
    struct campaign_state *state = grpc_call_state(c);
    struct turn_request turn = {
        .name = pb_slice(q->name),
        .value = pb_slice(q->value),
        .lease = q->lease,
        .update = true,
        .lost = ERR_ELECTION_NOT_LEADER,
        .done = elected,
        .ctx = c,
    };

    state->name = turn.name;
    int r = turn_start(grpc_call_app(c), &turn, &state->turn);
    if (r < 0)
        api_fail_inside(c, r);
}

static void campaign_cancel(struct grpc_call *c)
{
    struct campaign_state *state = grpc_call_state(c);

    if (state->turn)
        turn_cancel(state->turn);
    state->turn = NULL;
}

/* --- Proclaim, Resign: one guarded transaction --- */

static const Etcdserverpb__TxnResponse *take_txn(struct grpc_call *c,
                                                 const ProtobufCMessage *response)
{
    struct api_proposal *p = grpc_call_state(c);

    p->pending = NULL;
    return (const void *)response;
}

static void proclaimed(void *ctx, int code, const ProtobufCMessage *response)
{
    struct grpc_call *c = ctx;
    const Etcdserverpb__TxnResponse *r = take_txn(c, response);
    V3electionpb__ProclaimResponse out = V3ELECTIONPB__PROCLAIM_RESPONSE__INIT;

    if (code < 0 || !r->succeeded) {
        api_fail_inside(c, code < 0 ? code : ERR_ELECTION_NOT_LEADER);
        return;
    }
    out.header = r->header;
    grpc_call_reply(c, &out.base);
}

static void resigned(void *ctx, int code, const ProtobufCMessage *response)
{
    struct grpc_call *c = ctx;
    const Etcdserverpb__TxnResponse *r = take_txn(c, response);
    V3electionpb__ResignResponse out = V3ELECTIONPB__RESIGN_RESPONSE__INIT;

    if (code < 0) {
        api_fail_inside(c, code);
        return;
    }
    out.header = r->header; /* who does not lead has resigned already */
    grpc_call_reply(c, &out.base);
}

static void propose_as_leader(struct grpc_call *c, const V3electionpb__LeaderKey *leader,
                              const struct slice *value, proposal_done *done)
{
    struct api_proposal *p = grpc_call_state(c);
    int r = 0;

    if (!leader)
        r = ERR_ELECTION_NO_KEY;
    else if (!leader->key.len)
        r = ERR_EMPTY_KEY;
    if (r == 0) {
        struct key_txn txn = {
            .key = pb_slice(leader->key),
            .if_create_rev = leader->rev,
            .is_delete = !value,
            .value = value ? *value : SLICE_EMPTY,
            .lease = leader->lease,
        };
        r = key_txn_propose(grpc_call_app(c), &txn, done, c, &p->pending);
    }
    if (r < 0)
        api_fail_inside(c, r);
}

static void proclaim(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const V3electionpb__ProclaimRequest *q = (const void *)msg;
    struct slice value = pb_slice(q->value);

    propose_as_leader(c, q->leader, &value, proclaimed);
}

static void resign(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const V3electionpb__ResignRequest *q = (const void *)msg;

    propose_as_leader(c, q->leader, NULL, resigned);
}

/* --- Leader, Observe --- */

/* The parts of a LeaderResponse; kv views what from views. */
static void fill_leader(struct grpc_call *c, const struct mvcc_kv *from, int64_t header_rev,
                        Etcdserverpb__ResponseHeader *header, Mvccpb__KeyValue *kv)
{
    etcdserverpb__response_header__init(header);
    server_header(grpc_call_app(c), header);
    if (header_rev)
        header->revision = header_rev;
    mvccpb__key_value__init(kv);
    kv->key = PB_BYTES(from->key);
    kv->value = PB_BYTES(from->value);
    kv->create_revision = from->create_rev;
    kv->mod_revision = from->mod_rev;
    kv->version = from->version;
    kv->lease = from->lease;
}

static void leader(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const V3electionpb__LeaderRequest *q = (const void *)msg;
    struct server *s = grpc_call_app(c);
    V3electionpb__LeaderResponse out = V3ELECTIONPB__LEADER_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader header;
    Mvccpb__KeyValue kv;
    struct key_queue queue;
    struct mvcc_kv found;

    int r = server_read_check(s, false);
    if (r == 0) {
        key_queue_init(&queue, pb_slice(q->name));
        r = key_queue_find(&queue, server_mvcc(s), false, 0, grpc_call_arena(c), &found);
        key_queue_deinit(&queue);
    }
    if (r < 0) {
        api_fail_inside(c, r == ERR_KEY_NOT_FOUND ? ERR_ELECTION_NO_LEADER : r);
        return;
    }
    fill_leader(c, &found, 0, &header, &kv);
    out.header = &header;
    out.kv = &kv;
    grpc_call_reply(c, &out.base);
}

struct observe_state {
    struct observe *observe;
};

static void send_leader(struct grpc_call *c, const struct mvcc_kv *from, int64_t header_rev)
{
    V3electionpb__LeaderResponse out = V3ELECTIONPB__LEADER_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader header;
    Mvccpb__KeyValue kv;

    fill_leader(c, from, header_rev, &header, &kv);
    out.header = &header;
    out.kv = &kv;
    grpc_call_send(c, &out.base);
}

static void observe(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const V3electionpb__LeaderRequest *q = (const void *)msg;
    struct observe_state *state = grpc_call_state(c);

    int r = server_read_check(grpc_call_app(c), false);
    if (r < 0)
        api_fail_inside(c, r);
    else
        observe_start(grpc_call_app(c), c, pb_slice(q->name), send_leader, &state->observe);
}

static void observe_cancel(struct grpc_call *c)
{
    struct observe_state *state = grpc_call_state(c);

    observe_free(take_ptr(&state->observe));
}

static void observe_drained(struct grpc_call *c)
{
    struct observe_state *state = grpc_call_state(c);

    if (state->observe)
        observe_writable(state->observe);
}

const struct grpc_method election_methods[] = {
    {
        .path = "/v3electionpb.Election/Campaign",
        .request = &v3electionpb__campaign_request__descriptor,
        .state_size = sizeof(struct campaign_state),
        .on_message = campaign,
        .on_cancel = campaign_cancel,
    },
    {
        .path = "/v3electionpb.Election/Proclaim",
        .request = &v3electionpb__proclaim_request__descriptor,
        .state_size = sizeof(struct api_proposal),
        .on_message = proclaim,
        .on_cancel = api_proposal_cancel,
    },
    {
        .path = "/v3electionpb.Election/Leader",
        .request = &v3electionpb__leader_request__descriptor,
        .on_message = leader,
    },
    {
        .path = "/v3electionpb.Election/Observe",
        .request = &v3electionpb__leader_request__descriptor,
        .server_streaming = true,
        .state_size = sizeof(struct observe_state),
        .on_message = observe,
        .on_cancel = observe_cancel,
        .on_writable = observe_drained,
    },
    {
        .path = "/v3electionpb.Election/Resign",
        .request = &v3electionpb__resign_request__descriptor,
        .state_size = sizeof(struct api_proposal),
        .on_message = resign,
        .on_cancel = api_proposal_cancel,
    },
    {.path = NULL},
};
