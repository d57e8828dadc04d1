#include "base/list.h"
#include "etcd/fake_etcd.h"

struct server {
    struct mvcc *mvcc;
    struct watch_hub *hub;
    struct lease_set *leases;
    struct rng rng;
    struct list pending;
    int read_check, refuse;
    uint64_t quota_left;
    uint64_t now_ns;
};

struct proposal {
    struct list link;
    Steadpb__RaftRequest__RequestCase what;
    ProtobufCMessage *msg;
    proposal_done *done; /* NULL: abandoned */
    void *ctx;
};

struct server *fake_server_new(void)
{
    struct server *s = xcalloc(1, sizeof *s);
    struct watch_hub_conf c = {.server = s,
                               .progress_interval_ns = 600 * NS_PER_S,
                               .fragment_bytes = 1000,
                               .seed = {1, 2}};

    c.mvcc = s->mvcc = fake_mvcc_new();
    s->leases = lease_set_new(FAKE_MIN_TTL_S, c.seed);
    s->hub = watch_hub_new(&c);
    list_init(&s->pending);
    rng_seed(&s->rng, 7);
    s->quota_left = UINT64_MAX;
    return s;
}

static void proposal_end(struct proposal *p, int code, const ProtobufCMessage *response)
{
    list_del(&p->link);
    if (p->done)
        p->done(p->ctx, code, response);
    protobuf_c_message_free_unpacked(p->msg, NULL);
    free(p);
}

void fake_server_free(struct server *s)
{
    s->refuse = ERR_STOPPED;
    while (!list_empty(&s->pending))
        proposal_end(list_first(&s->pending, struct proposal, link), ERR_STOPPED, NULL);
    watch_hub_free(s->hub);
    mvcc_free(s->mvcc);
    lease_set_free(s->leases);
    free(s);
}

void fake_set_read_check(struct server *s, int code)
{
    s->read_check = code;
}

void fake_set_refuse(struct server *s, int code)
{
    s->refuse = code;
}

void fake_set_quota_left(struct server *s, uint64_t bytes)
{
    s->quota_left = bytes;
}

void fake_set_now(struct server *s, uint64_t now_ns)
{
    s->now_ns = now_ns;
}

/* --- writes --- */

static void publish(struct server *s)
{
    size_t n;
    const struct mvcc_event *ev = fake_events(s->mvcc, mvcc_revision(s->mvcc), &n);

    watch_hub_publish(s->hub, ev, n, mvcc_revision(s->mvcc));
    watch_hub_flush(s->hub);
}

int64_t fake_client_put(struct server *s, const char *key, const char *value, int64_t lease)
{
    int64_t rev = fake_put(s->mvcc, key, value, lease);

    publish(s);
    return rev;
}

int64_t fake_client_delete(struct server *s, const char *key)
{
    int64_t rev = fake_delete(s->mvcc, key);

    publish(s);
    return rev;
}

static char *text_of(ProtobufCBinaryData d)
{
    char *s = xmalloc(d.len + 1);

    if (d.len)
        memcpy(s, d.data, d.len);
    s[d.len] = 0;
    return s;
}

static bool delete_key(struct server *s, ProtobufCBinaryData key)
{
    cleanup_free char *k = text_of(key);
    struct mvcc_kv kv;

    if (mvcc_get(s->mvcc, slice_str(k), 0, &kv) < 0)
        return false;
    fake_client_delete(s, k);
    return true;
}

void fake_lease_end(struct server *s, int64_t id)
{
    struct arena a;
    struct slice *keys;
    size_t n;

    lease_remove(s->leases, id);
    arena_init(&a, 1 << 20);
    mvcc_lease_keys(s->mvcc, id, &a, &keys, &n);
    if (n) {
        fake_begin(s->mvcc);
        for (size_t i = 0; i < n; i++)
            fake_delete(s->mvcc, arena_dup(&a, keys[i].p, keys[i].n));
        fake_end(s->mvcc);
        publish(s);
    }
    arena_deinit(&a);
}

static void apply_txn(struct server *s, struct proposal *p)
{
    const Etcdserverpb__TxnRequest *q = (const void *)p->msg;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__TxnResponse out = ETCDSERVERPB__TXN_RESPONSE__INIT;
    Etcdserverpb__ResponseOp op = ETCDSERVERPB__RESPONSE_OP__INIT, *ops[] = {&op};
    Etcdserverpb__RangeResponse range = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT, *kvs[] = {&kv};
    Etcdserverpb__RequestOp *then = q->success[0];
    struct mvcc_kv found;
    bool put = then->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;

    assert(q->n_compare == 1 && q->n_success == 1 &&
           q->compare[0]->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE);
    cleanup_free char *key = text_of(q->compare[0]->key);
    if (mvcc_get(s->mvcc, slice_str(key), 0, &found) < 0)
        found = (struct mvcc_kv){.create_rev = 0};
    out.succeeded = found.create_rev == q->compare[0]->create_revision;
    if (out.succeeded && put) {
        if (then->request_put->lease && !lease_exists(s->leases, then->request_put->lease)) {
            proposal_end(p, ERR_LEASE_NOT_FOUND, NULL);
            return;
        }
        cleanup_free char *value = text_of(then->request_put->value);
        fake_client_put(s, key, value, then->request_put->lease);
    } else if (out.succeeded) {
        delete_key(s, then->request_delete_range->key);
    } else if (q->n_failure) {
        kv.create_revision = found.create_rev;
        kv.value = (ProtobufCBinaryData){found.value.n, (uint8_t *)(uintptr_t)found.value.p};
        range.n_kvs = found.create_rev != 0;
        range.kvs = kvs;
        op.response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE;
        op.response_range = &range;
        out.n_responses = 1;
        out.responses = ops;
    }
    server_header(s, &header);
    out.header = &header;
    proposal_end(p, 0, &out.base);
}

static void apply_grant(struct server *s, struct proposal *p)
{
    const Etcdserverpb__LeaseGrantRequest *q = (const void *)p->msg;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__LeaseGrantResponse out;

    etcdserverpb__lease_grant_response__init(&out);
    int r = lease_add(s->leases, q->id, q->ttl, 0, s->now_ns);
    server_header(s, &header);
    out.header = &header;
    out.id = q->id;
    out.ttl = q->ttl;
    proposal_end(p, r, r < 0 ? NULL : &out.base);
}

static void apply_revoke(struct server *s, struct proposal *p)
{
    const Etcdserverpb__LeaseRevokeRequest *q = (const void *)p->msg;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__LeaseRevokeResponse out = ETCDSERVERPB__LEASE_REVOKE_RESPONSE__INIT;

    bool known = lease_exists(s->leases, q->id);
    if (known)
        fake_lease_end(s, q->id);
    server_header(s, &header);
    out.header = &header;
    proposal_end(p, known ? 0 : ERR_LEASE_NOT_FOUND, known ? &out.base : NULL);
}

static void apply_delete(struct server *s, struct proposal *p)
{
    const Etcdserverpb__DeleteRangeRequest *q = (const void *)p->msg;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__DeleteRangeResponse out = ETCDSERVERPB__DELETE_RANGE_RESPONSE__INIT;

    out.deleted = delete_key(s, q->key);
    server_header(s, &header);
    out.header = &header;
    proposal_end(p, 0, &out.base);
}

size_t fake_pending(const struct server *s)
{
    size_t n = 0;

    list_for_each (it, &s->pending)
        n++;
    return n;
}

void fake_apply(struct server *s)
{
    struct proposal *p = list_first(&s->pending, struct proposal, link);

    assert(!list_empty(&s->pending));
    switch (p->what) {
    case STEADPB__RAFT_REQUEST__REQUEST_TXN:
        apply_txn(s, p);
        break;
    case STEADPB__RAFT_REQUEST__REQUEST_LEASE_GRANT:
        apply_grant(s, p);
        break;
    case STEADPB__RAFT_REQUEST__REQUEST_LEASE_REVOKE:
        apply_revoke(s, p);
        break;
    default:
        assert(p->what == STEADPB__RAFT_REQUEST__REQUEST_DELETE_RANGE);
        apply_delete(s, p);
    }
}

void fake_apply_all(struct server *s)
{
    while (!list_empty(&s->pending))
        fake_apply(s);
}

/* --- what etcd/server.h promises --- */

static const ProtobufCMessageDescriptor *descriptor(Steadpb__RaftRequest__RequestCase what)
{
    switch (what) {
    case STEADPB__RAFT_REQUEST__REQUEST_TXN:
        return &etcdserverpb__txn_request__descriptor;
    case STEADPB__RAFT_REQUEST__REQUEST_LEASE_GRANT:
        return &etcdserverpb__lease_grant_request__descriptor;
    case STEADPB__RAFT_REQUEST__REQUEST_LEASE_REVOKE:
        return &etcdserverpb__lease_revoke_request__descriptor;
    default:
        return &etcdserverpb__delete_range_request__descriptor;
    }
}

int server_propose(struct server *s, Steadpb__RaftRequest__RequestCase what, struct slice raw,
                   proposal_done *done, void *ctx, struct proposal **ret)
{
    if (s->refuse)
        return s->refuse;
    struct proposal *p = xcalloc(1, sizeof *p);
    p->what = what;
    p->msg = protobuf_c_message_unpack(descriptor(what), NULL, raw.n, raw.p);
    p->done = done;
    p->ctx = ctx;
    assert(p->msg);
    list_add_tail(&s->pending, &p->link);
    if (ret)
        *ret = p;
    return 0;
}

int server_propose_msg(struct server *s, Steadpb__RaftRequest__RequestCase what,
                       const ProtobufCMessage *msg, proposal_done *done, void *ctx,
                       struct proposal **ret)
{
    size_t n = protobuf_c_message_get_packed_size(msg);
    cleanup_free uint8_t *raw = xmalloc(n + 1);

    protobuf_c_message_pack(msg, raw);
    return server_propose(s, what, slice_of(raw, n), done, ctx, ret);
}

void server_proposal_abandon(struct proposal *p)
{
    assert(p->done);
    p->done = NULL;
}

void server_header(const struct server *s, Etcdserverpb__ResponseHeader *h)
{
    h->cluster_id = FAKE_CLUSTER_ID;
    h->member_id = FAKE_MEMBER_ID;
    h->revision = mvcc_revision(s->mvcc);
    h->raft_term = FAKE_TERM;
}

int server_read_check(const struct server *s, bool serializable)
{
    return serializable ? 0 : s->read_check;
}

struct mvcc *server_mvcc(struct server *s)
{
    return s->mvcc;
}

struct lease_set *server_leases(struct server *s)
{
    return s->leases;
}

struct watch_hub *server_watches(struct server *s)
{
    return s->hub;
}

struct rng *server_rng(struct server *s)
{
    return &s->rng;
}

uint64_t server_now_ns(const struct server *s)
{
    return s->now_ns;
}

uint64_t server_member_id(const struct server *s)
{
    return FAKE_MEMBER_ID;
}

void server_member_self(const struct server *s, struct server_member *ret)
{
    static char name[] = "default", peer[] = "http://localhost:2380",
                client[] = "http://localhost:2379";
    static char *peers[] = {peer, NULL}, *clients[] = {client, NULL};

    *ret = (struct server_member){name, peers, clients};
}

int server_quota_check(struct server *s, uint64_t cost)
{
    return s->quota_left < cost ? ERR_NO_SPACE : 0;
}
