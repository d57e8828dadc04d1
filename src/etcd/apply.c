#include "etcd/apply_internal.h"

#include "etcd/respond.h"
#include "etcd/txn.h"
#include "wire/pb.h"

/* How every response message with a header begins, as protoc-c lays it out. */
struct headed {
    ProtobufCMessage base;
    Etcdserverpb__ResponseHeader *header;
};
static_assert(offsetof(Etcdserverpb__PutResponse, header) == offsetof(struct headed, header),
              "header is the first field");
static_assert(offsetof(Etcdserverpb__TxnResponse, header) == offsetof(struct headed, header),
              "header is the first field");

void *apply_response(struct arena *a, const ProtobufCMessageDescriptor *d, int64_t revision)
{
    struct headed *m = arena_alloc(a, d->sizeof_message);

    if (!m)
        return NULL;
    protobuf_c_message_init(d, m);
    m->header = respond_header(a, revision);
    return m->header ? m : NULL;
}

Etcdserverpb__ResponseHeader *apply_header(const ProtobufCMessage *response)
{
    return ((const struct headed *)(const void *)response)->header;
}

int apply_check_lease(struct apply_ctx *x, const Etcdserverpb__PutRequest *r)
{
    return r->lease == 0 || lease_exists(x->leases, r->lease) ? 0 : ERR_LEASE_NOT_FOUND;
}

int apply_check_key(struct apply_ctx *x, const Etcdserverpb__PutRequest *r)
{
    struct mvcc_kv kv;

    return r->ignore_value || r->ignore_lease ? mvcc_get(x->mvcc, pb_slice(r->key), 0, &kv) : 0;
}

/* ignore_value and ignore_lease: what stands at the key now, copied, for writing moves it. */
static int keep_current(struct apply_ctx *x, const Etcdserverpb__PutRequest *r, struct slice *value,
                        int64_t *lease)
{
    struct mvcc_kv kv;
    int e = mvcc_get(x->mvcc, pb_slice(r->key), 0, &kv);

    if (e < 0)
        return e;
    if (r->ignore_lease)
        *lease = kv.lease;
    if (r->ignore_value) {
        void *copy = arena_dup(x->arena, kv.value.p, kv.value.n);
        if (!copy)
            return ERR_LIMIT;
        *value = slice_of(copy, kv.value.n);
    }
    return 0;
}

int apply_put(struct apply_ctx *x, const Etcdserverpb__PutRequest *r, int64_t rev,
              Etcdserverpb__PutResponse **ret)
{
    struct slice value = pb_slice(r->value);
    int64_t lease = r->lease;
    struct mvcc_kv prev = {0};
    int e = 0;

    if (r->ignore_value || r->ignore_lease)
        e = keep_current(x, r, &value, &lease);
    if (e == 0)
        e = mvcc_put(x->mvcc, pb_slice(r->key), value, lease, r->prev_kv ? &prev : NULL);
    if (e < 0)
        return e;
    Etcdserverpb__PutResponse *out =
        apply_response(x->arena, &etcdserverpb__put_response__descriptor, rev);
    if (!out)
        return ERR_LIMIT;
    if (prev.create_rev != 0)
        out->prev_kv = respond_kv(x->arena, &prev);
    *ret = out;
    return 0;
}

static int prev_list(struct arena *a, const struct mvcc_kv *prevs, size_t n,
                     Mvccpb__KeyValue ***ret)
{
    Mvccpb__KeyValue **list = arena_alloc(a, n * sizeof *list);

    for (size_t i = 0; list && i < n; i++)
        if (!(list[i] = respond_kv(a, &prevs[i])))
            return ERR_LIMIT;
    *ret = list;
    return list ? 0 : ERR_LIMIT;
}

int apply_delete_range(struct apply_ctx *x, const Etcdserverpb__DeleteRangeRequest *r, int64_t rev,
                       Etcdserverpb__DeleteRangeResponse **ret)
{
    struct mvcc_kv *prevs = NULL;
    int64_t deleted = 0;
    int e = mvcc_delete_range(x->mvcc, pb_slice(r->key), pb_slice(r->range_end), &deleted,
                              r->prev_kv ? &prevs : NULL);

    if (e < 0)
        return e;
    Etcdserverpb__DeleteRangeResponse *out =
        apply_response(x->arena, &etcdserverpb__delete_range_response__descriptor, rev);
    if (!out)
        return ERR_LIMIT;
    out->deleted = deleted;
    if (prevs && deleted > 0) {
        e = prev_list(x->arena, prevs, (size_t)deleted, &out->prev_kvs);
        out->n_prev_kvs = (size_t)deleted;
    }
    *ret = out;
    return e;
}

void apply_write_end(struct apply_ctx *x)
{
    x->events_rev = mvcc_write_end(x->mvcc, &x->events, &x->nevents);
}

static int do_put(struct apply_ctx *x, const Steadpb__RaftRequest *req, ProtobufCMessage **ret)
{
    Etcdserverpb__PutResponse *out = NULL;
    int e = check_put(req->put);

    if (e == 0)
        e = alarm_stands(x->alarms, ETCDSERVERPB__ALARM_TYPE__NOSPACE) ? ERR_NO_SPACE : 0;
    if (e == 0)
        e = apply_check_lease(x, req->put);
    if (e == 0)
        e = apply_check_key(x, req->put);
    if (e < 0)
        return e;
    mvcc_write_begin(x->mvcc, x->arena);
    e = apply_put(x, req->put, mvcc_revision(x->mvcc) + 1, &out);
    apply_write_end(x);
    *ret = &out->base;
    return e;
}

static int do_delete_range(struct apply_ctx *x, const Steadpb__RaftRequest *req,
                           ProtobufCMessage **ret)
{
    Etcdserverpb__DeleteRangeResponse *out = NULL;
    int e = check_delete_range(req->delete_range);

    if (e < 0)
        return e;
    mvcc_write_begin(x->mvcc, x->arena);
    e = apply_delete_range(x, req->delete_range, 0, &out);
    apply_write_end(x);
    if (e == 0)
        out->header->revision = x->events_rev;
    *ret = &out->base;
    return e;
}

static int do_txn(struct apply_ctx *x, const Steadpb__RaftRequest *req, ProtobufCMessage **ret)
{
    if (alarm_stands(x->alarms, ETCDSERVERPB__ALARM_TYPE__NOSPACE) && txn_cost(req->txn) > 0)
        return ERR_NO_SPACE;
    return apply_txn(x, req->txn, ret);
}

static int done(struct apply_ctx *x, const ProtobufCMessageDescriptor *d, ProtobufCMessage **ret)
{
    *ret = apply_response(x->arena, d, mvcc_revision(x->mvcc));
    return *ret ? 0 : ERR_LIMIT;
}

static int do_compaction(struct apply_ctx *x, const Steadpb__RaftRequest *req,
                         ProtobufCMessage **ret)
{
    int e = mvcc_compact(x->mvcc, req->compaction->revision);

    if (e < 0)
        return e;
    x->compacted_rev = req->compaction->revision;
    return done(x, &etcdserverpb__compaction_response__descriptor, ret);
}

static int do_lease_grant(struct apply_ctx *x, const Steadpb__RaftRequest *req,
                          ProtobufCMessage **ret)
{
    int64_t id = req->lease_grant->id, ttl_s = 0;
    int e = lease_ttl_effective(x->leases, req->lease_grant->ttl, &ttl_s);

    if (e == 0 && alarm_stands(x->alarms, ETCDSERVERPB__ALARM_TYPE__NOSPACE))
        e = ERR_NO_SPACE;
    if (e == 0 && lease_exists(x->leases, id))
        e = ERR_LEASE_EXISTS;
    if (e == 0)
        e = mvcc_lease_put(x->mvcc, &(struct mvcc_lease){.id = id, .ttl_s = ttl_s});
    if (e == 0)
        e = lease_add(x->leases, id, ttl_s, 0, x->now_ns);
    if (e == 0)
        e = done(x, &etcdserverpb__lease_grant_response__descriptor, ret);
    if (e < 0)
        return e;
    Etcdserverpb__LeaseGrantResponse *out = (Etcdserverpb__LeaseGrantResponse *)*ret;
    out->id = id;
    out->ttl = ttl_s;
    return 0;
}

/* All attached keys go in one revision, in key order. */
static int delete_attached(struct apply_ctx *x, int64_t id)
{
    struct slice *keys;
    size_t n;
    int e = mvcc_lease_keys(x->mvcc, id, x->arena, &keys, &n);

    if (e < 0)
        return e;
    mvcc_write_begin(x->mvcc, x->arena);
    for (size_t i = 0; i < n && e == 0; i++) {
        int64_t deleted;
        e = mvcc_delete_range(x->mvcc, keys[i], SLICE_EMPTY, &deleted, NULL);
    }
    apply_write_end(x);
    return e;
}

static int do_lease_revoke(struct apply_ctx *x, const Steadpb__RaftRequest *req,
                           ProtobufCMessage **ret)
{
    int64_t id = req->lease_revoke->id;

    if (!lease_exists(x->leases, id))
        return ERR_LEASE_NOT_FOUND;
    int e = delete_attached(x, id);
    if (e == 0)
        e = mvcc_lease_delete(x->mvcc, id);
    if (e < 0)
        return e;
    lease_remove(x->leases, id);
    return done(x, &etcdserverpb__lease_revoke_response__descriptor, ret);
}

static int do_lease_checkpoint(struct apply_ctx *x, const Steadpb__RaftRequest *req,
                               ProtobufCMessage **ret)
{
    const Steadpb__LeaseCheckpoints *c = req->lease_checkpoint;

    for (size_t i = 0; i < c->n_checkpoints; i++) {
        int64_t id = c->checkpoints[i]->id, left_s, granted_s;
        if (lease_time_to_live(x->leases, id, x->now_ns, &left_s, &granted_s) < 0)
            continue; /* revoked since */
        struct mvcc_lease l = {id, granted_s, c->checkpoints[i]->remaining_ttl};
        int e = mvcc_lease_put(x->mvcc, &l);
        if (e < 0)
            return e;
        lease_checkpointed(x->leases, id, l.remaining_s);
    }
    return done(x, &etcdserverpb__lease_revoke_response__descriptor, ret);
}

static int store_alarms(struct apply_ctx *x)
{
    uint8_t bytes[ALARM_ENCODED_MAX];
    size_t n = alarm_encode(x->alarms, bytes);

    return mvcc_meta_put(x->mvcc, "alarms", slice_of(bytes, n));
}

static int add_alarm_member(struct apply_ctx *x, Etcdserverpb__AlarmResponse *out,
                            const struct alarm *a)
{
    Etcdserverpb__AlarmMember *m = arena_alloc(x->arena, sizeof *m);
    Etcdserverpb__AlarmMember **list = arena_alloc(x->arena, (out->n_alarms + 1) * sizeof *list);

    if (!m || !list)
        return ERR_LIMIT;
    etcdserverpb__alarm_member__init(m);
    m->memberid = a->member_id;
    m->alarm = a->type;
    if (out->n_alarms)
        memcpy(list, out->alarms, out->n_alarms * sizeof *list);
    list[out->n_alarms++] = m;
    out->alarms = list;
    return 0;
}

/* ACTIVATE and DEACTIVATE answer with the alarm that changed, GET with all that match. */
static int do_alarm(struct apply_ctx *x, const Steadpb__RaftRequest *req, ProtobufCMessage **ret)
{
    const Etcdserverpb__AlarmRequest *r = req->alarm;
    struct alarm changed = {r->memberid, r->alarm};
    int e = done(x, &etcdserverpb__alarm_response__descriptor, ret);

    if (e < 0)
        return e;
    Etcdserverpb__AlarmResponse *out = (Etcdserverpb__AlarmResponse *)*ret;
    switch (r->action) {
    case ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE:
        if (r->alarm != ETCDSERVERPB__ALARM_TYPE__NONE)
            alarm_raise(x->alarms, r->memberid, r->alarm);
        e = add_alarm_member(x, out, &changed);
        break;
    case ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE:
        if (alarm_clear(x->alarms, r->memberid, r->alarm))
            e = add_alarm_member(x, out, &changed);
        break;
    default:
        for (size_t i = 0; i < x->alarms->n && e == 0; i++)
            if (r->alarm == ETCDSERVERPB__ALARM_TYPE__NONE || r->alarm == x->alarms->list[i].type)
                e = add_alarm_member(x, out, &x->alarms->list[i]);
        return e;
    }
    return e < 0 ? e : store_alarms(x);
}

static int do_member_attributes(struct apply_ctx *x, const Steadpb__RaftRequest *req,
                                ProtobufCMessage **ret)
{
    const Steadpb__MemberAttributes *m = req->member_attributes;
    size_t n = steadpb__member_attributes__get_packed_size(m);
    uint8_t *bytes = arena_alloc(x->arena, n);

    if (!bytes)
        return ERR_LIMIT;
    steadpb__member_attributes__pack(m, bytes);
    int e = mvcc_meta_put(x->mvcc, "member", slice_of(bytes, n));
    if (e < 0)
        return e;
    x->member_id = m->member_id;
    return done(x, &etcdserverpb__lease_revoke_response__descriptor, ret);
}

struct apply_row {
    Steadpb__RaftRequest__RequestCase what;
    int (*apply)(struct apply_ctx *x, const Steadpb__RaftRequest *req, ProtobufCMessage **ret);
    bool when_corrupt; /* allowed while a CORRUPT alarm stands */
};
static const struct apply_row rows[] = {
    {STEADPB__RAFT_REQUEST__REQUEST_PUT, do_put, false},
    {STEADPB__RAFT_REQUEST__REQUEST_DELETE_RANGE, do_delete_range, false},
    {STEADPB__RAFT_REQUEST__REQUEST_TXN, do_txn, false},
    {STEADPB__RAFT_REQUEST__REQUEST_COMPACTION, do_compaction, false},
    {STEADPB__RAFT_REQUEST__REQUEST_LEASE_GRANT, do_lease_grant, false},
    {STEADPB__RAFT_REQUEST__REQUEST_LEASE_REVOKE, do_lease_revoke, false},
    {STEADPB__RAFT_REQUEST__REQUEST_LEASE_CHECKPOINT, do_lease_checkpoint, true},
    {STEADPB__RAFT_REQUEST__REQUEST_ALARM, do_alarm, true},
    {STEADPB__RAFT_REQUEST__REQUEST_MEMBER_ATTRIBUTES, do_member_attributes, true},
};

int apply_request(struct apply_ctx *x, const Steadpb__RaftRequest *req, ProtobufCMessage **ret)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].what != req->request_case)
            continue;
        if (!rows[i].when_corrupt && alarm_stands(x->alarms, ETCDSERVERPB__ALARM_TYPE__CORRUPT))
            return ERR_CORRUPT;
        return rows[i].apply(x, req, ret);
    }
    return ERR_UNIMPLEMENTED;
}
