/*
 * The store against a model that remembers every version of every key in plain arrays: random
 * writes, reads at random revisions, compactions, checkpoints and restarts, from one seed.
 */
#include "etcd/store_fixture.h"

#include "base/rng.h"

#define KEYS     220
#define VERSIONS 60000
#define KEY_MAX  1400
#define LEASES   4

struct version {
    int64_t main;
    int key; /* in the sorted pool */
    bool tombstone;
    int64_t create, version, lease;
    uint32_t seed, len; /* of the value */
};

struct model {
    uint8_t bytes[KEYS][KEY_MAX];
    struct slice keys[KEYS]; /* sorted, distinct */
    size_t n_keys;
    struct version log[VERSIONS];
    size_t n_log;
    size_t latest[KEYS];     /* index + 1 in log; 0: never written */
    size_t before[VERSIONS]; /* the same key's version before, index + 1 */
    int64_t rev, compacted;
};

static struct model m;
static struct rng rng;

static size_t below(size_t n)
{
    return rng_below(&rng, n);
}

/* --- keys and values --- */

/* Short, binary, nested, and long ones that share their first bytes. */
static void make_key(struct slice *ret, uint8_t *p)
{
    static const size_t lengths[] = {479, 480, 481, 482, 600, KEY_MAX - 8};
    static const uint8_t alphabet[] = {0x00, 0x01, 'a', 'b', 0xfe, 0xff};
    size_t n;

    if (below(3) == 0) {
        n = lengths[below(ARRAY_LEN(lengths))];
        memset(p, below(2) ? 'p' : 0, n);
        for (int i = 0; i < 4; i++)
            p[n + (size_t)i] = alphabet[below(sizeof alphabet)];
        n += below(5);
        if (below(3) == 0)
            p[480 - below(3)] = alphabet[below(sizeof alphabet)];
    } else {
        n = 1 + below(6);
        for (size_t i = 0; i < n; i++)
            p[i] = alphabet[below(sizeof alphabet)];
    }
    *ret = slice_of(p, n);
}

static int by_bytes(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static void make_pool(void)
{
    for (size_t i = 0; i < KEYS; i++)
        make_key(&m.keys[i], m.bytes[i]);
    qsort(m.keys, KEYS, sizeof m.keys[0], by_bytes);
    m.n_keys = 0;
    for (size_t i = 0; i < KEYS; i++)
        if (m.n_keys == 0 || !slice_eq(m.keys[m.n_keys - 1], m.keys[i]))
            m.keys[m.n_keys++] = m.keys[i];
}

static struct slice make_value(uint32_t seed, uint32_t len)
{
    static uint8_t p[16384];

    assert_true(len <= sizeof p);
    for (uint32_t i = 0; i < len; i++)
        p[i] = (uint8_t)(seed * 2654435761u >> (i % 24));
    return slice_of(p, len);
}

/* --- the model's answers --- */

static const struct version *at(size_t key, int64_t rev)
{
    size_t i = m.latest[key];

    while (i && m.log[i - 1].main > rev)
        i = m.before[i - 1];
    return i && !m.log[i - 1].tombstone ? &m.log[i - 1] : NULL;
}

static bool inside(struct slice k, struct slice from, struct slice end)
{
    if (end.n == 0)
        return slice_eq(k, from);
    return slice_cmp(k, from) >= 0 && ((end.n == 1 && end.p[0] == 0) || slice_cmp(k, end) < 0);
}

static void append(size_t key, struct version v)
{
    assert_true(m.n_log < VERSIONS);
    v.key = (int)key;
    v.main = m.rev + 1;
    m.before[m.n_log] = m.latest[key];
    m.log[m.n_log] = v;
    m.latest[key] = ++m.n_log;
}

static void assert_same(const struct mvcc_kv *kv, const struct version *v, bool keys_only)
{
    assert_true(slice_eq(kv->key, m.keys[v->key]));
    assert_int_equal(kv->mod_rev, v->main);
    assert_int_equal(kv->create_rev, v->create);
    assert_int_equal(kv->version, v->version);
    assert_int_equal(kv->lease, v->lease);
    if (keys_only)
        assert_int_equal(kv->value.n, 0);
    else
        assert_true(slice_eq(kv->value, make_value(v->seed, v->len)));
}

/* --- writes --- */

static void do_put(struct store *s)
{
    size_t key = below(4) ? below(m.n_keys) : below(5); /* a few hot ones, for long chains */
    const struct version *old = at(key, INT64_MAX);
    struct version v = {.create = old ? old->create : m.rev + 1,
                        .version = old ? old->version + 1 : 1,
                        .lease = (int64_t)below(2 * LEASES),
                        .seed = (uint32_t)rng_u64(&rng),
                        .len = (uint32_t)below(50)};
    struct mvcc_kv prev;

    if (v.lease > LEASES)
        v.lease = 0;
    if (below(30) == 0)
        v.len = (uint32_t)below(12000);
    assert_int_equal(mvcc_put(s->m, m.keys[key], make_value(v.seed, v.len), v.lease, &prev), 0);
    if (old)
        assert_same(&prev, old, false);
    else
        assert_int_equal(prev.create_rev, 0);
    append(key, v);
}

static void pick_interval(struct slice *ret_from, struct slice *ret_end)
{
    size_t i = below(m.n_keys);

    *ret_from = m.keys[i];
    switch (below(5)) {
    case 0:
        *ret_end = SLICE_EMPTY;
        break;
    case 1:
        *ret_end = SLICE_LIT("\0");
        break;
    default:
        *ret_end = m.keys[MIN(m.n_keys - 1, i + below(8))];
    }
}

static void do_delete(struct store *s)
{
    struct slice from, end;
    struct mvcc_kv *prevs;
    int64_t deleted;
    size_t n = 0;

    pick_interval(&from, &end);
    if (end.n == 1 && below(10))
        end = SLICE_EMPTY; /* mostly not everything */
    assert_int_equal(mvcc_delete_range(s->m, from, end, &deleted, &prevs), 0);
    for (size_t k = 0; k < m.n_keys; k++) {
        const struct version *old = at(k, INT64_MAX);
        if (!old || !inside(m.keys[k], from, end))
            continue;
        assert_true((int64_t)n < deleted);
        assert_same(&prevs[n++], old, false);
        append(k, (struct version){.tombstone = true});
    }
    assert_int_equal(n, deleted);
}

static void do_write(struct store *s)
{
    size_t first = m.n_log, n;
    struct mvcc_event *events;

    mvcc_write_begin(s->m, &s->arena);
    for (size_t ops = below(4) ? 1 : 1 + below(6); ops; ops--)
        if (below(6) == 0)
            do_delete(s);
        else
            do_put(s);
    int64_t rev = mvcc_write_end(s->m, &events, &n);
    assert_int_equal(n, m.n_log - first);
    for (size_t i = 0; i < n; i++) {
        const struct version *v = &m.log[first + i];
        assert_int_equal(events[i].is_delete, v->tombstone);
        assert_same(&events[i].kv, v, v->tombstone);
    }
    m.rev += n > 0;
    assert_int_equal(rev, m.rev);
}

/* --- reads --- */

static int64_t pick_rev(void)
{
    int64_t low = MAX(m.compacted, (int64_t)1);

    return below(3) ? low + (int64_t)below((size_t)(m.rev - low + 1)) : 0;
}

static bool filtered_out(const struct mvcc_range *q, const struct version *v)
{
    return (q->min_mod_rev && v->main < q->min_mod_rev) ||
           (q->max_mod_rev && v->main > q->max_mod_rev) ||
           (q->min_create_rev && v->create < q->min_create_rev) ||
           (q->max_create_rev && v->create > q->max_create_rev);
}

static int64_t target_of(const struct mvcc_range *q, const struct version *v)
{
    return q->sort_target == MVCC_SORT_VERSION ? v->version
           : q->sort_target == MVCC_SORT_MOD   ? v->main
                                               : v->create;
}

/* Stable, so equal ones stay in key order. */
static void sort(const struct mvcc_range *q, const struct version **v, size_t n)
{
    bool down = q->sort_order == MVCC_SORT_DESCEND;

    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k; k--) {
            int64_t a = target_of(q, v[k - 1]), b = target_of(q, v[k]);
            if (q->sort_target == MVCC_SORT_KEY ? !down : down ? a >= b : a <= b)
                break;
            const struct version *t = v[k];
            v[k] = v[k - 1];
            v[k - 1] = t;
        }
}

static void do_range(struct store *s)
{
    struct mvcc_range q = {.rev = pick_rev(), .limit = (int64_t)below(12) - 2};
    struct mvcc_range_result res;
    const struct version *want[KEYS];
    size_t n = 0;
    int64_t count = 0;

    pick_interval(&q.key, &q.end);
    q.sort_target = (enum mvcc_sort_target)below(MVCC_SORT_VALUE); /* values: the table tests */
    q.sort_order = (enum mvcc_sort_order)(below(2) ? below(3) : 0);
    q.keys_only = below(3) == 0;
    q.count_only = below(10) == 0;
    if (below(4) == 0)
        q.min_mod_rev = (int64_t)below((size_t)m.rev + 1);
    if (below(4) == 0)
        q.max_create_rev = (int64_t)below((size_t)m.rev + 1);
    bool filters = q.min_mod_rev || q.max_create_rev;
    for (size_t k = 0; k < m.n_keys; k++) {
        const struct version *v = at(k, q.rev > 0 ? q.rev : m.rev);
        if (!v || !inside(m.keys[k], q.key, q.end))
            continue;
        count++;
        if (!q.count_only && !filtered_out(&q, v))
            want[n++] = v;
    }
    if (q.sort_order == MVCC_SORT_NONE && !filters && q.limit > 0)
        n = MIN(n, (size_t)q.limit + 1);
    sort(&q, want, n);
    bool more = q.limit > 0 && n > (size_t)q.limit;
    if (more)
        n = (size_t)q.limit;
    assert_int_equal(mvcc_range(s->m, &q, &s->arena, &res), 0);
    assert_int_equal(res.count, count);
    assert_int_equal(res.more, more);
    assert_int_equal(res.n, n);
    for (size_t i = 0; i < n; i++)
        assert_same(&res.kvs[i], want[i], q.keys_only);
}

static void do_get(struct store *s)
{
    size_t key = below(m.n_keys);
    int64_t rev = pick_rev();
    const struct version *v = at(key, rev > 0 ? rev : m.rev);
    struct mvcc_kv kv;
    int r = mvcc_get(s->m, m.keys[key], rev, &kv);

    assert_int_equal(r, v ? 0 : ERR_KEY_NOT_FOUND);
    if (v)
        assert_same(&kv, v, false);
}

struct replay {
    struct store *s;
    size_t at, end;
};

static int compare_event(void *ctx, const struct mvcc_event *ev)
{
    struct replay *p = ctx;

    assert_true(p->at < p->end);
    const struct version *v = &m.log[p->at++];
    assert_int_equal(ev->is_delete, v->tombstone);
    assert_same(&ev->kv, v, v->tombstone);
    struct mvcc_kv prev;
    const struct version *before = at((size_t)v->key, v->main - 1);
    int r = mvcc_prev(p->s->m, &ev->kv, &prev);
    if (v->main - 1 < m.compacted || !before) {
        assert_int_equal(r, ERR_KEY_NOT_FOUND);
    } else {
        assert_int_equal(r, 0);
        assert_same(&prev, before, false);
    }
    return 0;
}

static void do_events(struct store *s)
{
    int64_t low = MAX(m.compacted, (int64_t)1);
    int64_t from = low + (int64_t)below((size_t)(m.rev - low + 1)), to = from + (int64_t)below(40);
    struct replay p = {.s = s};

    while (p.at < m.n_log && m.log[p.at].main < from)
        p.at++;
    for (p.end = p.at; p.end < m.n_log && m.log[p.end].main <= to;)
        p.end++;
    assert_int_equal(mvcc_events(s->m, from, to, compare_event, &p), 0);
    assert_int_equal(p.at, p.end);
}

static void do_lease_keys(struct store *s)
{
    int64_t lease = 1 + (int64_t)below(LEASES);
    struct slice *keys;
    size_t n, i = 0;

    assert_int_equal(mvcc_lease_keys(s->m, lease, &s->arena, &keys, &n), 0);
    for (size_t k = 0; k < m.n_keys; k++) {
        const struct version *v = at(k, INT64_MAX);
        if (v && v->lease == lease) {
            assert_true(i < n);
            assert_true(slice_eq(keys[i++], m.keys[k]));
        }
    }
    assert_int_equal(i, n);
}

static void do_compact(struct store *s)
{
    if (mvcc_compact_pending(s->m) && below(4)) {
        assert_true(mvcc_compact_step(s->m, 1 + below(60)) >= 0);
        return;
    }
    int64_t rev = MAX(m.compacted, (int64_t)0) + 1 + (int64_t)below(120);
    int r = mvcc_compact(s->m, rev);
    assert_int_equal(r, rev > m.rev ? ERR_FUTURE_REV : 0);
    if (r == 0)
        m.compacted = rev;
}

static void do_restart(struct store *s)
{
    if (below(3) == 0)
        store_reopen(s);
    else
        store_checkpoint(s);
    if (below(20) == 0)
        assert_int_equal(db_compact_file(s->db, &s->e), 0);
    if (below(10) == 0 && store_check(s) < 0)
        fail_msg("%s", s->e.msg);
    assert_int_equal(mvcc_revision(s->m), m.rev);
    assert_int_equal(mvcc_compact_revision(s->m), m.compacted);
}

static void live(uint64_t seed, int steps)
{
    struct store s;

    rng_seed(&rng, seed);
    memset(&m, 0, sizeof m);
    m.rev = 1;
    m.compacted = -1;
    make_pool();
    store_new(&s);
    for (int i = 0; i < steps; i++) {
        size_t what = below(100);
        if (what < 50)
            do_write(&s);
        else if (what < 70)
            do_get(&s);
        else if (what < 82)
            do_range(&s);
        else if (what < 86)
            do_events(&s);
        else if (what < 88)
            do_lease_keys(&s);
        else if (what < 96)
            do_compact(&s);
        else
            do_restart(&s);
        arena_reset(&s.arena);
    }
    while (mvcc_compact_step(s.m, 1000) > 0)
        ;
    store_checkpoint(&s);
    if (store_check(&s) < 0)
        fail_msg("seed %d: %s", (int)seed, s.e.msg);
    store_free(&s);
}

static void a_long_life_matches_the_model(void **state)
{
    live(1, 20000);
}

static void short_lives_match_the_model(void **state)
{
    for (uint64_t seed = 100; seed < 120; seed++)
        live(seed, 800);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_life_matches_the_model),
        cmocka_unit_test(short_lives_match_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
