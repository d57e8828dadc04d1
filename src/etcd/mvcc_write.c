#include "etcd/mvcc_internal.h"

void mvcc_write_begin(struct mvcc *m, struct arena *a)
{
    assert(!m->writing);
    m->writing = true;
    m->arena = a;
    m->sub = 0;
    m->events = NULL;
    m->events_cap = 0;
    m->ops = 0;
}

int64_t mvcc_write_end(struct mvcc *m, struct mvcc_event **ret_events, size_t *ret_n)
{
    assert(m->writing);
    if (m->sub > 0) {
        m->s.rev++;
        m->dirty = true;
    }
    m->stats.txns += m->ops > 1;
    m->writing = false;
    m->arena = NULL;
    if (ret_events)
        *ret_events = m->sub ? m->events : NULL;
    if (ret_n)
        *ret_n = m->sub;
    m->sub = 0;
    return m->s.rev;
}

static bool copy_slice(struct arena *a, struct slice s, struct slice *ret)
{
    uint8_t *copy = arena_alloc(a, s.n);

    if (!copy)
        return false;
    if (s.n)
        memcpy(copy, s.p, s.n);
    *ret = slice_of(copy, s.n);
    return true;
}

/* The pair a live entry stands for, copied so that it outlives the change to come. */
static int copy_prev(struct mvcc *m, const struct table_reader *r, struct slice key,
                     const struct index_entry *entry, struct mvcc_kv *ret)
{
    struct mvcc_kv kv;
    int rc = mvcc_version_at(r, key, entry, INT64_MAX, true, &kv);

    if (rc < 0)
        return rc;
    *ret = kv;
    if (!copy_slice(m->arena, kv.key, &ret->key) || !copy_slice(m->arena, kv.value, &ret->value))
        return ERR_LIMIT;
    return 0;
}

/* Writes one new version of key: history, index, lease. rec has its own facts; links and revision
 * are found here. old: the index entry there was, or NULL. */
static int write_version(struct mvcc *m, const struct table_reader *r,
                         const struct index_entry *old, struct history_record *rec)
{
    struct index_entry entry = {.tombstone = rec->tombstone,
                                .create = rec->create,
                                .version = rec->version,
                                .lease = rec->lease};

    rec->rev = entry.mod = (struct rev){m->s.rev + 1, m->sub};
    int rc = links_extend(r, old, rec, &entry);
    if (rc == 0)
        rc = history_append(m->db, &m->s.sums[DB_HISTORY], &m->scratch, rec);
    if (rc == 0)
        rc = index_put(r, &m->s.sums[DB_INDEX], &m->scratch, rec->key, old, &entry);
    if (rc == 0 && old && old->lease)
        rc = mvcc_lease_detach(m, old->lease, old->mod);
    if (rc == 0 && rec->lease)
        rc = mvcc_lease_attach(m, rec->lease, rec->rev);
    if (rc < 0)
        return rc;
    bool was_live = old && !old->tombstone, is_live = !rec->tombstone;
    m->s.keys += (uint64_t)is_live - (uint64_t)was_live;
    m->events[m->sub++] = (struct mvcc_event){
        .is_delete = rec->tombstone,
        .kv = {.key = rec->key,
               .value = rec->value,
               .create_rev = rec->create,
               .mod_rev = rec->rev.main,
               .version = rec->version,
               .lease = rec->lease},
    };
    return 0;
}

static bool grow_events(struct mvcc *m, size_t more)
{
    return more <= UINT32_MAX - m->sub &&
           mvcc_grow(m->arena, &m->events, sizeof *m->events, m->sub, more, &m->events_cap);
}

int mvcc_put(struct mvcc *m, struct slice key, struct slice value, int64_t lease,
             struct mvcc_kv *ret_prev)
{
    struct table_reader r = mvcc_reader(m);
    struct index_entry old;
    struct history_record rec = {.lease = lease, .create = m->s.rev + 1, .version = 1};

    assert(m->writing);
    if (key.n == 0)
        return ERR_EMPTY_KEY;
    int rc = index_get(&r, key, &old);
    if (rc < 0 && rc != ERR_KEY_NOT_FOUND)
        return rc;
    bool known = rc == 0, live = known && !old.tombstone;
    if (ret_prev)
        *ret_prev = (struct mvcc_kv){0};
    if (ret_prev && live && (rc = copy_prev(m, &r, key, &old, ret_prev)) < 0)
        return rc;
    if (!grow_events(m, 1) || !copy_slice(m->arena, key, &rec.key) ||
        !copy_slice(m->arena, value, &rec.value))
        return ERR_LIMIT;
    if (live) {
        rec.create = old.create;
        rec.version = old.version + 1;
    }
    m->stats.puts++;
    m->ops++;
    return write_version(m, &r, known ? &old : NULL, &rec);
}

/* --- deletes: first find, then change, since a walk cannot see the table change --- */

struct victim {
    struct slice key; /* in the arena */
    struct index_entry entry;
};
struct victims {
    struct victim *v;
    size_t n, cap;
};

static int add_victim(struct mvcc *m, struct victims *vs, struct slice key,
                      const struct index_entry *entry)
{
    if (entry->tombstone)
        return 0;
    if (!mvcc_grow(m->arena, &vs->v, sizeof *vs->v, vs->n, 1, &vs->cap) ||
        !copy_slice(m->arena, key, &vs->v[vs->n].key))
        return ERR_LIMIT;
    vs->v[vs->n++].entry = *entry;
    return 0;
}

static int find_victims(struct mvcc *m, const struct table_reader *r, struct slice key,
                        struct slice end, struct victims *ret)
{
    struct index_entry entry;
    int rc;

    if (end.n == 0) {
        rc = index_get(r, key, &entry);
        if (rc < 0)
            return rc == ERR_KEY_NOT_FOUND ? 0 : rc;
        return add_victim(m, ret, key, &entry);
    }
    cleanup_index_iter struct index_iter it = {0};
    rc = index_iter_init(&it, r, key, end);
    while (rc >= 0 && (rc = index_iter_next(&it, &key, &entry)) > 0)
        rc = add_victim(m, ret, key, &entry);
    return rc;
}

static int copy_prevs(struct mvcc *m, const struct table_reader *r, const struct victims *vs,
                      struct mvcc_kv **ret)
{
    struct mvcc_kv *kvs = arena_alloc(m->arena, vs->n * sizeof *kvs);

    if (!kvs)
        return ERR_LIMIT;
    for (size_t i = 0; i < vs->n; i++) {
        int rc = copy_prev(m, r, vs->v[i].key, &vs->v[i].entry, &kvs[i]);
        if (rc < 0)
            return rc;
    }
    *ret = kvs;
    return 0;
}

int mvcc_delete_range(struct mvcc *m, struct slice key, struct slice end, int64_t *ret_deleted,
                      struct mvcc_kv **ret_prevs)
{
    struct table_reader r = mvcc_reader(m);
    struct victims vs = {0};

    assert(m->writing);
    *ret_deleted = 0;
    if (ret_prevs)
        *ret_prevs = NULL;
    if (key.n == 0)
        return ERR_EMPTY_KEY;
    int rc = find_victims(m, &r, key, end, &vs);
    if (rc == 0 && ret_prevs && vs.n)
        rc = copy_prevs(m, &r, &vs, ret_prevs);
    if (rc < 0)
        return rc;
    if (!grow_events(m, vs.n))
        return ERR_LIMIT;
    for (size_t i = 0; i < vs.n && rc == 0; i++) {
        struct history_record rec = {.tombstone = true, .key = vs.v[i].key};
        rc = write_version(m, &r, &vs.v[i].entry, &rec);
    }
    m->stats.deletes++;
    m->ops++;
    *ret_deleted = (int64_t)vs.n;
    return rc;
}
