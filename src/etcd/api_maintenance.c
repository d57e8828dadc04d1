/* The Maintenance service. Long work (hashes, copies) runs in a worker thread on a frozen view. */
#include "etcd/api.h"

#include "base/log.h"
#include "etcd/alarm.h"
#include "etcd/conf.h"
#include "etcd/server.h"
#include "wire/pb.h"

/* --- Status --- */

static const char *alarm_name(Etcdserverpb__AlarmType t)
{
    return t == ETCDSERVERPB__ALARM_TYPE__NOSPACE ? "NOSPACE" : "CORRUPT";
}

/* Upstream's texts: no leader, and each alarm with a blank behind it. */
static int status_errors(struct server *s, struct arena *a, Etcdserverpb__StatusResponse *resp)
{
    const struct alarm_set *alarms = server_alarms(s);

    resp->errors = arena_alloc(a, (alarms->n + 1) * sizeof *resp->errors);
    if (!resp->errors)
        return ERR_LIMIT;
    if (resp->leader == 0)
        resp->errors[resp->n_errors++] = (char *)(uintptr_t)err_text(ERR_NO_LEADER);
    for (size_t i = 0; i < alarms->n; i++) {
        cleanup_free char *text =
            xasprintf("memberID:%" PRIu64 " alarm:%s ", alarms->list[i].member_id,
                      alarm_name(alarms->list[i].type));
        char *copy = arena_dup(a, text, strlen(text));
        if (!copy)
            return ERR_LIMIT;
        resp->errors[resp->n_errors++] = copy;
    }
    return 0;
}

static void maintenance_status(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    struct server *s = grpc_call_app(c);
    Etcdserverpb__StatusResponse resp = ETCDSERVERPB__STATUS_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__DowngradeInfo downgrade = ETCDSERVERPB__DOWNGRADE_INFO__INIT;
    struct raft_status st;

    server_header(s, &header);
    server_raft_status(s, &st);
    resp.header = &header;
    resp.version = (char *)(uintptr_t)ETCD_VERSION;
    resp.storageversion = (char *)(uintptr_t)ETCD_CLUSTER_VERSION;
    resp.dbsize = (int64_t)server_store_bytes(s);
    resp.dbsizeinuse = (int64_t)MIN(db_size_in_use(server_db(s)), server_store_bytes(s));
    resp.dbsizequota = (int64_t)server_quota_bytes(s);
    resp.leader = st.leader;
    resp.raftindex = st.commit;
    resp.raftterm = st.term;
    resp.raftappliedindex = st.applied;
    resp.downgradeinfo = &downgrade;
    if (status_errors(s, grpc_call_arena(c), &resp) < 0)
        grpc_call_fail(c, ERR_LIMIT);
    else
        grpc_call_reply(c, &resp.base);
}

/* --- Alarm --- */

static void maintenance_alarm(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    api_propose(c, STEADPB__RAFT_REQUEST__REQUEST_ALARM, raw);
}

/* --- Defragment: blocks the member, as upstream --- */

static void maintenance_defragment(struct grpc_call *c, const ProtobufCMessage *msg,
                                   struct slice raw)
{
    struct server *s = grpc_call_app(c);
    Etcdserverpb__DefragmentResponse resp = ETCDSERVERPB__DEFRAGMENT_RESPONSE__INIT;
    struct err e = {0};
    uint64_t before = db_size(server_db(s));

    if (server_busy_with_views(s)) {
        grpc_call_finish(c, GRPC_UNAVAILABLE,
                         "a snapshot or check of the store is being read; try again");
        return;
    }
    server_checkpoint_now(s);
    int r = db_compact_file(server_db(s), &e);
    if (r < 0) {
        log_error("backend", "defragmentation failed", LOG_STR("error", e.msg));
        grpc_call_finish(c, err_grpc(r), e.msg);
        return;
    }
    log_info("backend", "finished defragmenting", LOG_U64("size-before", before),
             LOG_U64("size-after", db_size(server_db(s))));
    grpc_call_reply(c, &resp.base); /* without a header, as upstream */
}

/* --- Hash, HashKV --- */

struct hash_job {
    struct grpc_call *call; /* NULL: gone */
    struct server *server;
    MDB_txn *view;
    bool kv;
    int64_t rev; /* asked */
    uint32_t hash;
    int64_t compact_rev, hash_rev;
};
struct hash_state {
    struct hash_job *job;
};

static int hash_run(void *arg)
{
    struct hash_job *j = arg;

    return j->kv ? mvcc_hash_kv(server_db(j->server), j->view, j->rev, &j->hash, &j->compact_rev,
                                &j->hash_rev)
                 : mvcc_hash_all(server_db(j->server), j->view, &j->hash);
}

static void hash_answer(struct hash_job *j)
{
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__HashResponse all = ETCDSERVERPB__HASH_RESPONSE__INIT;
    Etcdserverpb__HashKVResponse kv = ETCDSERVERPB__HASH_KVRESPONSE__INIT;

    server_header(j->server, &header);
    all.header = kv.header = &header;
    all.hash = kv.hash = j->hash;
    kv.compact_revision = j->compact_rev;
    kv.hash_revision = j->hash_rev;
    grpc_call_reply(j->call, j->kv ? &kv.base : &all.base);
}

static void hash_after(void *arg, int result)
{
    struct hash_job *j = arg;

    server_view_end(j->server, j->view);
    if (j->call && result < 0)
        grpc_call_fail(j->call, result);
    else if (j->call)
        hash_answer(j);
    free(j);
}

static void hash_begin(struct grpc_call *c, bool kv, int64_t rev)
{
    struct server *s = grpc_call_app(c);
    struct hash_state *st = grpc_call_state(c);
    MDB_txn *view;

    server_checkpoint_now(s); /* the view shows what is committed */
    int r = server_view_begin(s, &view);
    if (r < 0) {
        grpc_call_fail(c, r);
        return;
    }
    struct hash_job *j = xcalloc(1, sizeof *j);
    *j = (struct hash_job){.call = c, .server = s, .view = view, .kv = kv, .rev = rev};
    st->job = j;
    server_offload(s, hash_run, hash_after, j);
}

static void hash_cancel(struct grpc_call *c)
{
    struct hash_state *st = grpc_call_state(c);

    if (st->job)
        st->job->call = NULL;
}

static void maintenance_hash(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    hash_begin(c, false, 0);
}

static void maintenance_hash_kv(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const Etcdserverpb__HashKVRequest *q = (const Etcdserverpb__HashKVRequest *)msg;
    struct server *s = grpc_call_app(c);

    if (q->revision > mvcc_revision(server_mvcc(s)))
        grpc_call_fail(c, ERR_FUTURE_REV);
    else if (q->revision > 0 && q->revision < mvcc_compact_revision(server_mvcc(s)))
        grpc_call_fail(c, ERR_COMPACTED);
    else
        hash_begin(c, true, q->revision);
}

/* --- MoveLeader: there is nobody to move to --- */

static void maintenance_move_leader(struct grpc_call *c, const ProtobufCMessage *msg,
                                    struct slice raw)
{
    const Etcdserverpb__MoveLeaderRequest *q = (const Etcdserverpb__MoveLeaderRequest *)msg;
    Etcdserverpb__MoveLeaderResponse resp = ETCDSERVERPB__MOVE_LEADER_RESPONSE__INIT;

    if (q->targetid != server_member_id(grpc_call_app(c)))
        grpc_call_fail(c, ERR_BAD_TRANSFEREE);
    else
        grpc_call_reply(c, &resp.base);
}

const struct grpc_method maintenance_methods[] = {
    {.path = "/etcdserverpb.Maintenance/Status",
     .request = &etcdserverpb__status_request__descriptor,
     .on_message = maintenance_status},
    {.path = "/etcdserverpb.Maintenance/Alarm",
     .request = &etcdserverpb__alarm_request__descriptor,
     .state_size = sizeof(struct api_proposal),
     .on_message = maintenance_alarm,
     .on_cancel = api_proposal_cancel},
    {.path = "/etcdserverpb.Maintenance/Defragment",
     .request = &etcdserverpb__defragment_request__descriptor,
     .on_message = maintenance_defragment},
    {.path = "/etcdserverpb.Maintenance/Hash",
     .request = &etcdserverpb__hash_request__descriptor,
     .state_size = sizeof(struct hash_state),
     .on_message = maintenance_hash,
     .on_cancel = hash_cancel},
    {.path = "/etcdserverpb.Maintenance/HashKV",
     .request = &etcdserverpb__hash_kvrequest__descriptor,
     .state_size = sizeof(struct hash_state),
     .on_message = maintenance_hash_kv,
     .on_cancel = hash_cancel},
    {.path = "/etcdserverpb.Maintenance/MoveLeader",
     .request = &etcdserverpb__move_leader_request__descriptor,
     .on_message = maintenance_move_leader},
    {0},
};
