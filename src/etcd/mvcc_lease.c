#include "etcd/mvcc_internal.h"

#define LEASE_ID_BYTES 8
#define LEASE_BYTES    16 /* ttl 8, remaining 8 */

static struct slice lease_id(int64_t id, uint8_t out[LEASE_ID_BYTES])
{
    put_be64(out, (uint64_t)id);
    return slice_of(out, LEASE_ID_BYTES);
}

int mvcc_lease_put(struct mvcc *m, const struct mvcc_lease *l)
{
    struct table_reader r = mvcc_reader(m);
    uint8_t raw[LEASE_ID_BYTES], value[TABLE_HEAD + LEASE_BYTES] = {0};
    struct slice key = lease_id(l->id, raw), old;
    uint32_t old_crc;
    int rc = table_get(&r, DB_LEASE, key, &old, &old_crc);

    if (rc < 0 && rc != ERR_KEY_NOT_FOUND)
        return rc;
    put_le64(value + TABLE_HEAD, (uint64_t)l->ttl_s);
    put_le64(value + TABLE_HEAD + 8, (uint64_t)l->remaining_s);
    buf_clear(&m->scratch);
    if (buf_append(&m->scratch, value, sizeof value) < 0)
        return ERR_LIMIT;
    m->dirty = true;
    return table_put(m->db, &m->s.sums[DB_LEASE], DB_LEASE, key, &m->scratch,
                     rc == 0 ? &old_crc : NULL);
}

int mvcc_lease_delete(struct mvcc *m, int64_t id)
{
    struct table_reader r = mvcc_reader(m);
    uint8_t raw[LEASE_ID_BYTES];
    struct slice key = lease_id(id, raw), old;
    uint32_t old_crc;
    int rc = table_get(&r, DB_LEASE, key, &old, &old_crc);

    if (rc < 0)
        return rc;
    m->dirty = true;
    return table_del(m->db, &m->s.sums[DB_LEASE], DB_LEASE, key, old_crc);
}

struct lease_walk {
    const struct table_reader *r;
    int (*each)(void *ctx, const struct mvcc_lease *l);
    void *ctx;
};

static int give_lease(void *ctx, struct slice key, struct slice payload)
{
    const struct lease_walk *w = ctx;

    if (key.n != LEASE_ID_BYTES || payload.n != LEASE_BYTES)
        return table_damaged(w->r->e, DB_LEASE, key, "record makes no sense");
    struct mvcc_lease l = {(int64_t)get_be64(key.p), (int64_t)get_le64(payload.p),
                           (int64_t)get_le64(payload.p + 8)};
    return w->each(w->ctx, &l);
}

int mvcc_lease_each(struct mvcc *m, int (*each)(void *ctx, const struct mvcc_lease *l), void *ctx)
{
    struct table_reader r = mvcc_reader(m);
    struct lease_walk w = {&r, each, ctx};

    return table_each(&r, DB_LEASE, give_lease, &w, NULL);
}

/* --- keys of a lease: the table key says it all, the payload is empty --- */

static struct slice attachment(int64_t lease, struct rev rev, uint8_t out[LEASE_KEY_BYTES])
{
    put_be64(out, (uint64_t)lease);
    rev_encode(rev, out + LEASE_ID_BYTES);
    return slice_of(out, LEASE_KEY_BYTES);
}

int mvcc_lease_attach(struct mvcc *m, int64_t lease, struct rev rev)
{
    static const uint8_t head[TABLE_HEAD];
    uint8_t raw[LEASE_KEY_BYTES];

    buf_clear(&m->scratch);
    if (buf_append(&m->scratch, head, sizeof head) < 0)
        return ERR_LIMIT;
    return table_put(m->db, &m->s.sums[DB_LEASE_KEY], DB_LEASE_KEY, attachment(lease, rev, raw),
                     &m->scratch, NULL);
}

int mvcc_lease_detach(struct mvcc *m, int64_t lease, struct rev rev)
{
    uint8_t raw[LEASE_KEY_BYTES];
    struct slice key = attachment(lease, rev, raw);
    int rc =
        table_del(m->db, &m->s.sums[DB_LEASE_KEY], DB_LEASE_KEY, key, table_crc(key, SLICE_EMPTY));

    if (rc == ERR_KEY_NOT_FOUND)
        return table_damaged(&m->damage, DB_LEASE_KEY, key, "record is missing");
    return rc;
}

static void close_cursor(MDB_cursor **c)
{
    if (*c)
        mdb_cursor_close(*c);
}

static int compare_keys(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

/* The user key of one attachment, copied. */
static int load_key(const struct table_reader *r, struct slice key, struct slice value, int64_t id,
                    struct arena *a, struct slice *ret)
{
    struct history_record rec;
    struct slice payload;
    int rc = table_open(DB_LEASE_KEY, key, value, &payload, NULL, r->e);

    if (rc == 0 && key.n != LEASE_KEY_BYTES)
        rc = table_damaged(r->e, DB_LEASE_KEY, key, "record makes no sense");
    if (rc == 0)
        rc = history_get(r, rev_decode(key.p + LEASE_ID_BYTES), &rec);
    if (rc == ERR_KEY_NOT_FOUND || (rc == 0 && rec.lease != id))
        rc = table_damaged(r->e, DB_LEASE_KEY, key, "no put of this lease stands there");
    if (rc < 0)
        return rc;
    const uint8_t *copy = arena_dup(a, rec.key.p, rec.key.n);
    *ret = slice_of(copy, rec.key.n);
    return copy ? 0 : ERR_LIMIT;
}

int mvcc_lease_keys(struct mvcc *m, int64_t id, struct arena *a, struct slice **ret_keys,
                    size_t *ret_n)
{
    struct table_reader r = mvcc_reader(m);
    __attribute__((cleanup(close_cursor))) MDB_cursor *c = NULL;
    uint8_t raw[LEASE_ID_BYTES];
    struct slice prefix = lease_id(id, raw), *keys = NULL;
    size_t n = 0, cap = 0;
    MDB_val k = {prefix.n, raw}, v;

    if (!r.txn)
        return -EIO;
    int rc = mdb_cursor_open(r.txn, db_dbi(m->db, DB_LEASE_KEY), &c);
    if (!rc)
        rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
    for (; !rc; rc = mdb_cursor_get(c, &k, &v, MDB_NEXT), n++) {
        struct slice key = slice_of(k.mv_data, k.mv_size);
        if (!slice_starts(key, prefix))
            break;
        if (!mvcc_grow(a, &keys, sizeof *keys, n, 1, &cap))
            return ERR_LIMIT;
        int our = load_key(&r, key, slice_of(v.mv_data, v.mv_size), id, a, &keys[n]);
        if (our < 0)
            return our;
    }
    if (rc && rc != MDB_NOTFOUND)
        return db_error(rc);
    if (n)
        qsort(keys, n, sizeof *keys, compare_keys);
    *ret_keys = keys;
    *ret_n = n;
    return 0;
}
