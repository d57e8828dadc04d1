#include "etcd/mvcc_internal.h"

/* --- one version --- */

static void kv_of_record(const struct history_record *rec, struct mvcc_kv *ret)
{
    *ret = (struct mvcc_kv){.key = rec->key,
                            .value = rec->value,
                            .create_rev = rec->create,
                            .mod_rev = rec->rev.main,
                            .version = rec->version,
                            .lease = rec->lease};
}

static int newest_version(const struct table_reader *r, struct slice key,
                          const struct index_entry *entry, bool want_value, struct mvcc_kv *ret)
{
    struct history_record rec;

    if (entry->tombstone)
        return ERR_KEY_NOT_FOUND;
    if (!want_value) {
        *ret = (struct mvcc_kv){.key = key,
                                .create_rev = entry->create,
                                .mod_rev = entry->mod.main,
                                .version = entry->version,
                                .lease = entry->lease};
        return 0;
    }
    int rc = links_load(r, key, entry->mod, &rec);
    if (rc < 0)
        return rc;
    kv_of_record(&rec, ret);
    return 0;
}

int mvcc_version_at(const struct table_reader *r, struct slice key, const struct index_entry *entry,
                    int64_t rev, bool want_value, struct mvcc_kv *ret)
{
    struct history_record rec;

    if (entry->mod.main <= rev)
        return newest_version(r, key, entry, want_value, ret);
    int rc = links_find(r, key, entry, rev, &rec);
    if (rc < 0)
        return rc;
    if (rec.tombstone)
        return ERR_KEY_NOT_FOUND;
    kv_of_record(&rec, ret);
    return 0;
}

/* The revision to read at: now for <= 0. */
static int resolve_rev(const struct mvcc *m, int64_t *io_rev)
{
    int64_t now = mvcc_read_rev(m);

    if (*io_rev > now)
        return ERR_FUTURE_REV;
    if (*io_rev > 0 && *io_rev < m->s.compact_rev)
        return ERR_COMPACTED;
    if (*io_rev <= 0)
        *io_rev = now;
    return 0;
}

int mvcc_get(struct mvcc *m, struct slice key, int64_t rev, struct mvcc_kv *ret)
{
    struct table_reader r = mvcc_reader(m);
    struct index_entry entry;

    *ret = (struct mvcc_kv){0};
    if (key.n == 0)
        return ERR_EMPTY_KEY;
    int rc = resolve_rev(m, &rev);
    if (rc == 0)
        rc = index_get(&r, key, &entry);
    if (rc < 0)
        return rc;
    return mvcc_version_at(&r, key, &entry, rev, true, ret);
}

int mvcc_prev(struct mvcc *m, const struct mvcc_kv *kv, struct mvcc_kv *ret)
{
    assert(kv->mod_rev > 1);
    int rc = mvcc_get(m, kv->key, kv->mod_rev - 1, ret);

    return rc == ERR_COMPACTED ? ERR_KEY_NOT_FOUND : rc;
}

/* --- ranges --- */

struct collect {
    struct table_reader r;
    const struct mvcc_range *q;
    struct arena *a;
    int64_t rev;
    bool sorted;       /* by anything but the order keys are walked in */
    bool want_value;   /* while walking */
    int64_t fetch_max; /* pairs taken while walking; 0: all */
    int64_t matching;  /* that pass the filters, as far as it matters for `more` */
    struct mvcc_kv *kvs;
    size_t n, cap;
    int64_t count;
};

static bool has_filters(const struct mvcc_range *q)
{
    return q->min_mod_rev || q->max_mod_rev || q->min_create_rev || q->max_create_rev;
}

static bool passes(const struct mvcc_range *q, const struct mvcc_kv *kv)
{
    return !(q->max_mod_rev && kv->mod_rev > q->max_mod_rev) &&
           !(q->min_mod_rev && kv->mod_rev < q->min_mod_rev) &&
           !(q->max_create_rev && kv->create_rev > q->max_create_rev) &&
           !(q->min_create_rev && kv->create_rev < q->min_create_rev);
}

/* A long key read from the index lives until the walk goes on. */
static bool keep_key(struct collect *c, struct mvcc_kv *kv)
{
    if (kv->key.n <= INDEX_KEY_INLINE_MAX || c->want_value || kv->value.p)
        return true;
    const uint8_t *copy = arena_dup(c->a, kv->key.p, kv->key.n);
    kv->key.p = copy;
    return copy != NULL;
}

static int collect_key(struct collect *c, struct slice key, const struct index_entry *entry)
{
    struct mvcc_kv kv;
    bool full = c->fetch_max && (int64_t)c->n >= c->fetch_max;
    bool look = !c->q->count_only && !(full && c->matching > c->fetch_max);

    int rc = mvcc_version_at(&c->r, key, entry, c->rev, look && !full && c->want_value, &kv);
    if (rc < 0)
        return rc == ERR_KEY_NOT_FOUND ? 0 : rc;
    c->count++;
    if (!look || !passes(c->q, &kv))
        return 0;
    c->matching++;
    if (full)
        return 0;
    if (!mvcc_grow(c->a, &c->kvs, sizeof *c->kvs, c->n, 1, &c->cap) || !keep_key(c, &kv))
        return ERR_LIMIT;
    c->kvs[c->n++] = kv;
    return 0;
}

static int walk(struct collect *c)
{
    struct index_entry entry;
    struct slice key;
    int rc;

    if (c->q->end.n == 0) {
        rc = index_get(&c->r, c->q->key, &entry);
        if (rc < 0)
            return rc == ERR_KEY_NOT_FOUND ? 0 : rc;
        return collect_key(c, c->q->key, &entry);
    }
    cleanup_index_iter struct index_iter it = {0};
    rc = index_iter_init(&it, &c->r, c->q->key, c->q->end);
    while (rc >= 0 && (rc = index_iter_next(&it, &key, &entry)) > 0)
        rc = collect_key(c, key, &entry);
    return rc;
}

static int cmp_i64(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare(const void *pa, const void *pb, void *ctx)
{
    const struct mvcc_range *q = ctx;
    const struct mvcc_kv *a = pa, *b = pb;
    int c = 0;

    switch (q->sort_target) {
    case MVCC_SORT_KEY:
        break;
    case MVCC_SORT_VERSION:
        c = cmp_i64(a->version, b->version);
        break;
    case MVCC_SORT_CREATE:
        c = cmp_i64(a->create_rev, b->create_rev);
        break;
    case MVCC_SORT_MOD:
        c = cmp_i64(a->mod_rev, b->mod_rev);
        break;
    case MVCC_SORT_VALUE:
        c = slice_cmp(a->value, b->value);
        break;
    }
    if (c == 0 && q->sort_target != MVCC_SORT_KEY)
        return slice_cmp(a->key, b->key); /* equal ones in key order, either way round */
    if (c == 0)
        c = slice_cmp(a->key, b->key);
    return q->sort_order == MVCC_SORT_DESCEND ? -c : c;
}

/* Values of the pairs that are left, for a walk that did not take them. */
static int fetch_values(struct collect *c)
{
    for (size_t i = 0; i < c->n; i++) {
        struct index_entry entry;
        struct slice key = c->kvs[i].key;
        int rc = index_get(&c->r, key, &entry);
        if (rc == 0)
            rc = mvcc_version_at(&c->r, key, &entry, c->rev, true, &c->kvs[i]);
        if (rc < 0)
            return rc == ERR_KEY_NOT_FOUND ? ERR_DATA_DAMAGED : rc;
    }
    return 0;
}

/* How much the walk takes, as upstream: with a sort order or filters everything; otherwise limit
 * plus one pair, and these alone are sorted when a target other than the key is named with no
 * order. In key order the filters can be applied on the way, so the walk may stop at the limit. */
static void plan(struct collect *c)
{
    const struct mvcc_range *q = c->q;
    int64_t limit = q->limit > 0 ? q->limit : 0;

    c->sorted = q->sort_target != MVCC_SORT_KEY || q->sort_order == MVCC_SORT_DESCEND;
    if (!c->sorted)
        c->fetch_max = limit;
    else if (q->sort_order == MVCC_SORT_NONE && !has_filters(q) && limit)
        c->fetch_max = limit == INT64_MAX ? limit : limit + 1;
    /* A sorted range with a limit drops most of what it walks over: values come at the end. */
    c->want_value = q->sort_target == MVCC_SORT_VALUE ||
                    (!q->keys_only && !(c->sorted && limit && !c->fetch_max));
}

static int finish(struct collect *c, struct mvcc_range_result *ret)
{
    const struct mvcc_range *q = c->q;

    if (c->sorted && c->n > 1) {
        union {
            const struct mvcc_range *c;
            void *p;
        } ctx = {.c = q};
        qsort_r(c->kvs, c->n, sizeof *c->kvs, compare, ctx.p);
    }
    if (q->limit > 0 && c->matching > q->limit) {
        c->n = MIN(c->n, (size_t)q->limit);
        ret->more = true;
    }
    int rc = !q->keys_only && !c->want_value ? fetch_values(c) : 0;
    if (q->keys_only)
        for (size_t i = 0; i < c->n; i++)
            c->kvs[i].value = SLICE_EMPTY;
    ret->kvs = c->kvs;
    ret->n = c->n;
    ret->count = c->count;
    return rc;
}

int mvcc_range(struct mvcc *m, const struct mvcc_range *q, struct arena *a,
               struct mvcc_range_result *ret)
{
    struct collect c = {.r = mvcc_reader(m), .q = q, .a = a, .rev = q->rev};

    *ret = (struct mvcc_range_result){0};
    if (q->key.n == 0)
        return ERR_EMPTY_KEY;
    int rc = resolve_rev(m, &c.rev);
    if (rc < 0)
        return rc;
    plan(&c);
    m->stats.ranges++;
    if (m->writing)
        m->ops++;
    rc = walk(&c);
    return rc < 0 ? rc : finish(&c, ret);
}
