#include "etcd/mvcc_internal.h"

/* The largest record: a request's key and value, or a long list of long keys. */
#define SCRATCH_BYTES_MAX (INDEX_GROUP_BYTES_MAX + 4096u)
#define SCRATCH_KEEP      (64u * 1024)
#define NAME_MAX_BYTES    64

/* State: 0 format 4, 4 0 4, then 8 bytes each: rev, compact_rev, compact_done, compact_at main,
 * compact_at sub, applied index, applied term, keys, then count and sum of each table. */
#define STATE_FORMAT 1
#define STATE_FIELDS 8
#define STATE_BYTES  (8 + 8 * (STATE_FIELDS + 2 * DB_TABLES))

static void encode_state(const struct mvcc_state *s, uint8_t out[STATE_BYTES])
{
    const uint64_t fields[STATE_FIELDS] = {
        (uint64_t)s->rev,          (uint64_t)s->compact_rev,
        (uint64_t)s->compact_done, (uint64_t)s->compact_at.main,
        s->compact_at.sub,         s->applied_index,
        s->applied_term,           s->keys,
    };
    uint8_t *p = out + 8;

    put_le32(out, STATE_FORMAT);
    put_le32(out + 4, 0);
    for (size_t i = 0; i < STATE_FIELDS; i++, p += 8)
        put_le64(p, fields[i]);
    for (int t = 0; t < DB_TABLES; t++, p += 16) {
        put_le64(p, s->sums[t].count);
        put_le64(p + 8, s->sums[t].sum);
    }
}

static void decode_state(const uint8_t in[STATE_BYTES], struct mvcc_state *s)
{
    const uint8_t *p = in + 8;

    s->rev = (int64_t)get_le64(p);
    s->compact_rev = (int64_t)get_le64(p + 8);
    s->compact_done = (int64_t)get_le64(p + 16);
    s->compact_at = (struct rev){(int64_t)get_le64(p + 24), (uint32_t)get_le64(p + 32)};
    s->applied_index = get_le64(p + 40);
    s->applied_term = get_le64(p + 48);
    s->keys = get_le64(p + 56);
    p += 8 * STATE_FIELDS;
    for (int t = 0; t < DB_TABLES; t++, p += 16)
        s->sums[t] = (struct table_sum){get_le64(p), get_le64(p + 8)};
}

int mvcc_state_read(const struct table_reader *r, struct mvcc_state *ret)
{
    struct slice key = slice_str(MVCC_STATE_NAME), payload;
    int rc = table_get(r, DB_META, key, &payload, NULL);

    if (rc < 0)
        return rc;
    if (payload.n != STATE_BYTES || get_le32(payload.p) != STATE_FORMAT)
        return table_damaged(r->e, DB_META, key, "written by another version of the store");
    decode_state(payload.p, ret);
    if (ret->rev < 1 || ret->compact_rev > ret->rev || ret->compact_done > ret->compact_rev)
        return table_damaged(r->e, DB_META, key, "revisions make no sense");
    return 0;
}

int mvcc_compare_counts(const struct table_reader *r, const struct mvcc_state *s, bool have_state)
{
    for (int t = 0; t < DB_TABLES; t++) {
        MDB_stat st;
        int rc = mdb_stat(r->txn, db_dbi(r->db, (enum db_table)t), &st);
        if (rc)
            return err_set(r->e, db_error(rc), "table %s: cannot be read",
                           db_table_name((enum db_table)t));
        uint64_t want = s->sums[t].count + (t == DB_META && have_state);
        if (st.ms_entries != want)
            return err_set(r->e, ERR_DATA_DAMAGED,
                           "table %s: holds %llu records, should be %llu; stop this member and "
                           "restore its data from a backup",
                           db_table_name((enum db_table)t), (unsigned long long)st.ms_entries,
                           (unsigned long long)want);
    }
    return 0;
}

int mvcc_open(struct db *db, struct mvcc **ret, struct err *e)
{
    struct mvcc *m = xcalloc(1, sizeof *m);

    m->db = db;
    m->s = MVCC_STATE_FRESH;
    buf_init(&m->scratch, SCRATCH_BYTES_MAX);
    struct table_reader r = mvcc_reader(m);
    if (!r.txn) {
        mvcc_free(m);
        return err_set(e, -EIO, "the engine takes no transaction");
    }
    r.e = e;
    int rc = mvcc_state_read(&r, &m->s);
    bool fresh = rc == ERR_KEY_NOT_FOUND;
    if (rc == 0 || fresh)
        rc = mvcc_compare_counts(&r, &m->s, !fresh);
    if (rc < 0) {
        mvcc_free(m);
        return rc;
    }
    m->dirty = fresh;
    *ret = m;
    return 0;
}

void mvcc_free(struct mvcc *m)
{
    if (!m)
        return;
    buf_deinit(&m->scratch);
    free(m);
}

int64_t mvcc_revision(const struct mvcc *m)
{
    return m->s.rev;
}

int64_t mvcc_compact_revision(const struct mvcc *m)
{
    return m->s.compact_rev;
}

uint64_t mvcc_key_count(const struct mvcc *m)
{
    return m->s.keys;
}

const char *mvcc_damage(const struct mvcc *m)
{
    return m->damage.msg;
}

void mvcc_set_applied(struct mvcc *m, uint64_t index, uint64_t term)
{
    m->s.applied_index = index;
    m->s.applied_term = term;
    m->dirty = true;
}

void mvcc_applied(const struct mvcc *m, uint64_t *ret_index, uint64_t *ret_term)
{
    *ret_index = m->s.applied_index;
    *ret_term = m->s.applied_term;
}

static struct slice value_key(const char *name, char out[NAME_MAX_BYTES])
{
    int n = snprintf(out, NAME_MAX_BYTES, "%s%s", MVCC_VALUE_PREFIX, name);

    assert(n > 0 && n < NAME_MAX_BYTES); /* names are our own */
    return slice_of(out, (size_t)n);
}

int mvcc_meta_put(struct mvcc *m, const char *name, struct slice value)
{
    static const uint8_t head[TABLE_HEAD];
    char raw[NAME_MAX_BYTES];
    struct slice key = value_key(name, raw), old;
    struct table_reader r = mvcc_reader(m);
    uint32_t old_crc;

    int rc = table_get(&r, DB_META, key, &old, &old_crc);
    if (rc < 0 && rc != ERR_KEY_NOT_FOUND)
        return rc;
    buf_clear(&m->scratch);
    if (buf_append(&m->scratch, head, sizeof head) < 0 || buf_append_slice(&m->scratch, value) < 0)
        return ERR_LIMIT;
    m->dirty = true;
    return table_put(m->db, &m->s.sums[DB_META], DB_META, key, &m->scratch,
                     rc == 0 ? &old_crc : NULL);
}

int mvcc_meta_get(struct mvcc *m, const char *name, struct arena *a, struct slice *ret)
{
    char raw[NAME_MAX_BYTES];
    struct table_reader r = mvcc_reader(m);
    struct slice found;
    int rc = table_get(&r, DB_META, value_key(name, raw), &found, NULL);

    if (rc < 0)
        return rc;
    const uint8_t *copy = arena_dup(a, found.p, found.n);
    if (!copy)
        return ERR_LIMIT;
    *ret = slice_of(copy, found.n);
    return 0;
}

int mvcc_flush(struct mvcc *m)
{
    uint8_t raw[STATE_BYTES];
    static const uint8_t head[TABLE_HEAD];
    struct slice key = slice_str(MVCC_STATE_NAME);

    assert(!m->writing);
    buf_shrink(&m->scratch, SCRATCH_KEEP);
    if (!m->dirty)
        return 0;
    encode_state(&m->s, raw);
    if (buf_append(&m->scratch, head, sizeof head) < 0 ||
        buf_append(&m->scratch, raw, sizeof raw) < 0)
        return -ENOMEM;
    table_seal(key, &m->scratch);
    int rc = db_put(m->db, DB_META, key, buf_slice(&m->scratch));
    if (rc == 0)
        m->dirty = false;
    return rc;
}

void mvcc_stats(const struct mvcc *m, struct mvcc_stats *ret)
{
    *ret = m->stats;
    ret->keys = m->s.keys;
}

bool mvcc_grow(struct arena *a, void *io_array, size_t item, size_t n, size_t more, size_t *io_cap)
{
    size_t cap = *io_cap;

    if (more <= cap - n)
        return true;
    if (more > SIZE_MAX / 4 / item - n)
        return false;
    cap = MAX(n + more, cap + cap / 2 + 4);
    void *old, *grown = arena_alloc(a, cap * item);
    if (!grown)
        return false;
    memcpy(&old, io_array, sizeof old);
    if (n)
        memcpy(grown, old, n * item);
    memcpy(io_array, &grown, sizeof grown);
    *io_cap = cap;
    return true;
}
