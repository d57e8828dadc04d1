#include "etcd/respond.h"

#include "wire/pb.h"

/* protobuf-c spells "not set" for bytes as length 0, which is proto3's rule too. */
static void fill_kv(Mvccpb__KeyValue *out, const struct mvcc_kv *kv)
{
    mvccpb__key_value__init(out);
    out->key = PB_BYTES(kv->key);
    out->value = PB_BYTES(kv->value);
    out->create_revision = kv->create_rev;
    out->mod_revision = kv->mod_rev;
    out->version = kv->version;
    out->lease = kv->lease;
}

Mvccpb__KeyValue *respond_kv(struct arena *a, const struct mvcc_kv *kv)
{
    Mvccpb__KeyValue *out = arena_alloc(a, sizeof *out);

    if (out)
        fill_kv(out, kv);
    return out;
}

Etcdserverpb__ResponseHeader *respond_header(struct arena *a, int64_t revision)
{
    Etcdserverpb__ResponseHeader *h = arena_alloc(a, sizeof *h);

    if (!h)
        return NULL;
    etcdserverpb__response_header__init(h);
    h->revision = revision;
    return h;
}

static struct mvcc_range query_of(const Etcdserverpb__RangeRequest *q)
{
    return (struct mvcc_range){
        .key = pb_slice(q->key),
        .end = pb_slice(q->range_end),
        .rev = q->revision,
        .limit = q->limit,
        .sort_target = (enum mvcc_sort_target)q->sort_target,
        .sort_order = (enum mvcc_sort_order)q->sort_order,
        .keys_only = q->keys_only,
        .count_only = q->count_only,
        .min_mod_rev = q->min_mod_revision,
        .max_mod_rev = q->max_mod_revision,
        .min_create_rev = q->min_create_revision,
        .max_create_rev = q->max_create_revision,
    };
}

static int copy_kv(struct arena *a, struct mvcc_kv *kv)
{
    void *key = arena_dup(a, kv->key.p, kv->key.n);
    void *value = arena_dup(a, kv->value.p, kv->value.n);

    if (!key || !value)
        return ERR_LIMIT;
    kv->key.p = key;
    kv->value.p = value;
    return 0;
}

int respond_range(struct mvcc *m, const Etcdserverpb__RangeRequest *q, bool copy, struct arena *a,
                  Etcdserverpb__RangeResponse **ret)
{
    struct mvcc_range query = query_of(q);
    struct mvcc_range_result res;
    int r = mvcc_range(m, &query, a, &res);

    if (r < 0)
        return r;
    Etcdserverpb__RangeResponse *out = arena_alloc(a, sizeof *out);
    Mvccpb__KeyValue *kvs = arena_alloc(a, res.n * sizeof *kvs);
    Mvccpb__KeyValue **list = arena_alloc(a, res.n * sizeof *list);
    if (!out || !kvs || !list)
        return ERR_LIMIT;
    etcdserverpb__range_response__init(out);
    for (size_t i = 0; i < res.n; i++) {
        if (copy && copy_kv(a, &res.kvs[i]) < 0)
            return ERR_LIMIT;
        fill_kv(&kvs[i], &res.kvs[i]);
        list[i] = &kvs[i];
    }
    out->kvs = list;
    out->n_kvs = res.n;
    out->count = res.count;
    out->more = res.more;
    *ret = out;
    return 0;
}
