#include "etcd/fake_etcd.h"

struct mvcc {
    struct mvcc_event *events; /* all of history, in order */
    size_t n, cap;
    int64_t rev, compact_rev;
    bool open;
    int fail;
};

struct mvcc *fake_mvcc_new(void)
{
    struct mvcc *m = xcalloc(1, sizeof *m);

    m->rev = 1;
    m->compact_rev = -1;
    return m;
}

void mvcc_free(struct mvcc *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free((void *)(uintptr_t)m->events[i].kv.key.p);
        free((void *)(uintptr_t)m->events[i].kv.value.p);
    }
    free(m->events);
    free(m);
}

static struct slice copy(struct slice s)
{
    uint8_t *p = xmalloc(s.n + 1);

    if (s.n)
        memcpy(p, s.p, s.n);
    return slice_of(p, s.n);
}

/* The newest event of key at or below rev, or NULL. */
static const struct mvcc_event *find(const struct mvcc *m, struct slice key, int64_t rev)
{
    for (size_t i = m->n; i-- > 0;) {
        if (m->events[i].kv.mod_rev <= rev && slice_eq(m->events[i].kv.key, key))
            return &m->events[i];
    }
    return NULL;
}

static void add_event(struct mvcc *m, struct mvcc_event ev)
{
    if (m->n == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 64;
        m->events = xrealloc(m->events, m->cap * sizeof *m->events);
    }
    ev.kv.key = copy(ev.kv.key);
    ev.kv.value = copy(ev.kv.value);
    m->events[m->n++] = ev;
}

int64_t fake_put(struct mvcc *m, const char *key, const char *value, int64_t lease)
{
    const struct mvcc_event *old = find(m, slice_str(key), m->rev);
    struct mvcc_event ev = {.kv = {.key = slice_str(key), .value = slice_str(value)}};

    ev.kv.lease = lease;
    ev.kv.mod_rev = m->open ? m->rev : ++m->rev;
    ev.kv.create_rev = old && !old->is_delete ? old->kv.create_rev : ev.kv.mod_rev;
    ev.kv.version = old && !old->is_delete ? old->kv.version + 1 : 1;
    add_event(m, ev);
    return m->rev;
}

int64_t fake_delete(struct mvcc *m, const char *key)
{
    struct mvcc_event ev = {.is_delete = true, .kv = {.key = slice_str(key)}};

    ev.kv.mod_rev = m->open ? m->rev : ++m->rev;
    add_event(m, ev);
    return m->rev;
}

void fake_begin(struct mvcc *m)
{
    m->rev++;
    m->open = true;
}

int64_t fake_end(struct mvcc *m)
{
    m->open = false;
    return m->rev;
}

const struct mvcc_event *fake_events(struct mvcc *m, int64_t rev, size_t *ret_n)
{
    size_t first = 0;

    while (first < m->n && m->events[first].kv.mod_rev < rev)
        first++;
    *ret_n = 0;
    while (first + *ret_n < m->n && m->events[first + *ret_n].kv.mod_rev == rev)
        ++*ret_n;
    return m->events + first;
}

void fake_compact(struct mvcc *m, int64_t rev)
{
    m->compact_rev = rev;
}

void fake_mvcc_fail(struct mvcc *m, int code)
{
    m->fail = code;
}

int64_t mvcc_revision(const struct mvcc *m)
{
    return m->rev;
}

int64_t mvcc_compact_revision(const struct mvcc *m)
{
    return m->compact_rev;
}

int mvcc_events(struct mvcc *m, int64_t from, int64_t to,
                int (*each)(void *ctx, const struct mvcc_event *ev), void *ctx)
{
    if (m->fail)
        return m->fail;
    if (from < m->compact_rev)
        return ERR_COMPACTED;
    for (size_t i = 0; i < m->n; i++) {
        const struct mvcc_event *ev = &m->events[i];
        if (ev->kv.mod_rev < from || ev->kv.mod_rev > to)
            continue;
        int r = each(ctx, ev);
        if (r)
            return r;
    }
    return 0;
}

int mvcc_prev(struct mvcc *m, const struct mvcc_kv *kv, struct mvcc_kv *ret)
{
    if (m->fail)
        return m->fail;
    return mvcc_get(m, kv->key, kv->mod_rev - 1, ret);
}

int mvcc_get(struct mvcc *m, struct slice key, int64_t rev, struct mvcc_kv *ret)
{
    const struct mvcc_event *ev = find(m, key, rev > 0 ? rev : m->rev);

    if (!ev || ev->is_delete)
        return ERR_KEY_NOT_FOUND;
    *ret = ev->kv;
    return 0;
}

/* The one pair with the smallest or largest creation, as the queues ask for it. */
int mvcc_range(struct mvcc *m, const struct mvcc_range *q, struct arena *a,
               struct mvcc_range_result *ret)
{
    const struct mvcc_kv *best = NULL;
    bool newest = q->sort_order == MVCC_SORT_DESCEND;

    assert(q->sort_target == MVCC_SORT_CREATE && q->limit == 1);
    if (m->fail)
        return m->fail;
    for (size_t i = 0; i < m->n; i++) {
        const struct mvcc_kv *kv = &m->events[i].kv;
        if (slice_cmp(kv->key, q->key) < 0 || slice_cmp(kv->key, q->end) >= 0)
            continue;
        if (m->events[i].is_delete || find(m, kv->key, m->rev) != &m->events[i])
            continue;
        if (q->max_create_rev && kv->create_rev > q->max_create_rev)
            continue;
        if (!best || (kv->create_rev > best->create_rev) == newest)
            best = kv;
    }
    *ret = (struct mvcc_range_result){.kvs = arena_alloc(a, sizeof *best), .n = best != NULL};
    if (best)
        ret->kvs[0] = *best;
    return 0;
}

int mvcc_lease_keys(struct mvcc *m, int64_t id, struct arena *a, struct slice **ret_keys,
                    size_t *ret_n)
{
    *ret_keys = arena_alloc(a, m->n * sizeof **ret_keys);
    *ret_n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct mvcc_event *ev = &m->events[i];
        if (!ev->is_delete && ev->kv.lease == id && find(m, ev->kv.key, m->rev) == ev)
            (*ret_keys)[(*ret_n)++] = ev->kv.key;
    }
    return 0;
}
