#include "etcd/store_fixture.h"

#define S(lit) SLICE_LIT(lit)
#define ALL    S("\0"), S("\0")

static int setup(void **state)
{
    static struct store s;

    store_new(&s);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    store_free(*state);
    return 0;
}

static struct mvcc_range_result range(struct store *s, struct mvcc_range q)
{
    struct mvcc_range_result res;

    assert_int_equal(mvcc_range(s->m, &q, &s->arena, &res), 0);
    return res;
}

/* "a c b" of the keys in an answer. */
static void assert_keys(struct mvcc_range_result res, const char *want)
{
    char got[256];
    size_t n = 0;

    for (size_t i = 0; i < res.n; i++)
        n += (size_t)snprintf(got + n, sizeof got - n, "%s%.*s", i ? " " : "",
                              (int)res.kvs[i].key.n, (const char *)res.kvs[i].key.p);
    got[n] = 0;
    assert_string_equal(got, want);
}

static void fresh_store_is_at_revision_1(void **state)
{
    struct store *s = *state;

    assert_int_equal(mvcc_revision(s->m), 1);
    assert_int_equal(mvcc_compact_revision(s->m), -1);
    assert_int_equal(mvcc_key_count(s->m), 0);
    assert_int_equal(range(s, (struct mvcc_range){S("\0"), S("\0")}).count, 0);
    store_reopen(s);
    assert_int_equal(mvcc_revision(s->m), 1);
    assert_int_equal(store_check(s), 0);
}

static void put_counts_revisions_and_versions(void **state)
{
    struct store *s = *state;
    struct mvcc_kv kv;

    assert_int_equal(store_put(s, S("k"), S("1"), 0), 2);
    assert_int_equal(store_put(s, S("k"), S("1"), 0), 3);
    assert_int_equal(mvcc_get(s->m, S("k"), 0, &kv), 0);
    assert_int_equal(kv.create_rev, 2);
    assert_int_equal(kv.mod_rev, 3);
    assert_int_equal(kv.version, 2);
    assert_int_equal(store_delete(s, S("k"), SLICE_EMPTY), 1);
    assert_int_equal(mvcc_revision(s->m), 4);
    assert_int_equal(mvcc_get(s->m, S("k"), 0, &kv), ERR_KEY_NOT_FOUND);
    assert_int_equal(mvcc_get(s->m, S("k"), 2, &kv), 0);
    assert_int_equal(kv.mod_rev, 2);
    store_put(s, S("k"), S("2"), 0);
    assert_int_equal(mvcc_get(s->m, S("k"), 0, &kv), 0);
    assert_int_equal(kv.create_rev, 5);
    assert_int_equal(kv.version, 1);
}

static void a_write_without_effect_keeps_the_revision(void **state)
{
    struct store *s = *state;
    struct mvcc_event *events;
    size_t n;
    int64_t deleted;

    mvcc_write_begin(s->m, &s->arena);
    assert_int_equal(mvcc_delete_range(s->m, ALL, &deleted, NULL), 0);
    assert_int_equal(deleted, 0);
    assert_int_equal(mvcc_write_end(s->m, &events, &n), 1);
    assert_int_equal(n, 0);
}

static void one_write_is_one_revision_and_sees_itself(void **state)
{
    struct store *s = *state;
    struct mvcc_kv prev, kv;
    struct mvcc_kv *prevs;
    struct mvcc_event *ev;
    int64_t deleted;
    size_t n;

    store_put(s, S("a"), S("old"), 0);
    mvcc_write_begin(s->m, &s->arena);
    assert_int_equal(mvcc_get(s->m, S("a"), 3, &kv), ERR_FUTURE_REV);
    assert_int_equal(mvcc_put(s->m, S("a"), S("new"), 0, &prev), 0);
    assert_true(slice_eq_str(prev.value, "old"));
    assert_int_equal(mvcc_put(s->m, S("b"), S(""), 0, &prev), 0);
    assert_int_equal(prev.create_rev, 0);
    assert_int_equal(mvcc_get(s->m, S("a"), 3, &kv), 0);
    assert_true(slice_eq_str(kv.value, "new"));
    assert_int_equal(mvcc_delete_range(s->m, S("a"), S("z"), &deleted, &prevs), 0);
    assert_int_equal(deleted, 2);
    assert_true(slice_eq_str(prevs[0].value, "new"));
    assert_true(slice_eq_str(prevs[1].key, "b"));
    assert_int_equal(mvcc_write_end(s->m, &ev, &n), 3);
    assert_int_equal(n, 4);
    assert_false(ev[1].is_delete);
    assert_true(ev[3].is_delete);
    assert_true(slice_eq_str(ev[3].kv.key, "b"));
    assert_int_equal(ev[3].kv.mod_rev, 3);
    assert_int_equal(ev[3].kv.create_rev, 0);
    assert_int_equal(mvcc_key_count(s->m), 0);
    assert_int_equal(mvcc_prev(s->m, &ev[0].kv, &prev), 0);
    assert_true(slice_eq_str(prev.value, "old"));
    assert_int_equal(mvcc_prev(s->m, &ev[1].kv, &prev), ERR_KEY_NOT_FOUND);
    store_checkpoint(s);
    assert_int_equal(store_check(s), 0);
}

static void ranges_answer_by_interval(void **state)
{
    static const struct {
        struct slice key, end;
        const char *keys;
    } rows[] = {
        {SLICE_LIT("b"), {NULL, 0}, "b"},
        {SLICE_LIT("x"), {NULL, 0}, ""},
        {SLICE_LIT("b"), SLICE_LIT("d"), "b bb c"},
        {SLICE_LIT("bb"), SLICE_LIT("\0"), "bb c d"},
        {SLICE_LIT("\0"), SLICE_LIT("\0"), "a b bb c d"},
        {SLICE_LIT("c"), SLICE_LIT("b"), ""},
        {SLICE_LIT("b"), SLICE_LIT("b\0"), "b"},
    };
    struct store *s = *state;
    static const char *const keys[] = {"d", "b", "a", "c", "bb"};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        store_put(s, slice_str(keys[i]), S("v"), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mvcc_range_result res = range(s, (struct mvcc_range){rows[i].key, rows[i].end});
        assert_keys(res, rows[i].keys);
        assert_int_equal(res.count, res.n);
        assert_false(res.more);
    }
}

/* Keys and their create, mod, version: b 2 2 1, a 3 6 2, d 4 4 1, c 5 5 1; values as sorted. */
static void put_sorting_keys(struct store *s)
{
    store_put(s, S("b"), S("4"), 0);
    store_put(s, S("a"), S("x"), 0);
    store_put(s, S("d"), S("2"), 0);
    store_put(s, S("c"), S("1"), 0);
    store_put(s, S("a"), S("3"), 0);
}

static void ranges_sort_filter_and_cut_as_upstream(void **state)
{
    static const struct {
        struct mvcc_range q;
        const char *keys;
        bool more;
    } rows[] = {
        {{.limit = 2}, "a b", true},
        {{.limit = 4}, "a b c d", false},
        {{.limit = -1}, "a b c d", false},
        {{.sort_order = MVCC_SORT_DESCEND}, "d c b a", false},
        {{.sort_order = MVCC_SORT_DESCEND, .limit = 1}, "d", true},
        {{.sort_order = MVCC_SORT_ASCEND, .limit = 3}, "a b c", true},
        {{.sort_target = MVCC_SORT_CREATE, .sort_order = MVCC_SORT_ASCEND}, "b a d c", false},
        {{.sort_target = MVCC_SORT_CREATE, .sort_order = MVCC_SORT_DESCEND, .limit = 1}, "c", true},
        {{.sort_target = MVCC_SORT_MOD, .sort_order = MVCC_SORT_DESCEND}, "a c d b", false},
        {{.sort_target = MVCC_SORT_VERSION, .sort_order = MVCC_SORT_DESCEND, .limit = 1},
         "a",
         true},
        {{.sort_target = MVCC_SORT_VALUE, .sort_order = MVCC_SORT_ASCEND}, "c d a b", false},
        {{.sort_target = MVCC_SORT_VALUE, .sort_order = MVCC_SORT_ASCEND, .keys_only = true},
         "c d a b",
         false},
        /* A target without an order: the first limit + 1 keys, sorted upwards, then cut. */
        {{.sort_target = MVCC_SORT_CREATE, .limit = 2}, "b a", true},
        {{.sort_target = MVCC_SORT_CREATE}, "b a d c", false},
        {{.sort_target = MVCC_SORT_VALUE, .limit = 2}, "c a", true},
        /* Filters before the limit; a filter makes the odd case above take everything. */
        {{.min_mod_rev = 4, .limit = 2}, "a c", true},
        {{.min_mod_rev = 4, .limit = 3}, "a c d", false},
        {{.max_mod_rev = 5}, "b c d", false},
        {{.max_create_rev = 3}, "a b", false},
        {{.min_create_rev = 4}, "c d", false},
        {{.min_create_rev = 3, .max_create_rev = 4, .sort_order = MVCC_SORT_DESCEND}, "d a", false},
        {{.sort_target = MVCC_SORT_CREATE, .limit = 1, .min_mod_rev = 1}, "b", true},
        {{.count_only = true, .limit = 1}, "", false},
    };
    struct store *s = *state;

    put_sorting_keys(s);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mvcc_range q = rows[i].q;
        q.key = q.end = S("\0");
        struct mvcc_range_result res = range(s, q);
        assert_keys(res, rows[i].keys);
        assert_int_equal(res.more, rows[i].more);
        assert_int_equal(res.count, 4);
        for (size_t k = 0; k < res.n; k++)
            assert_int_equal(res.kvs[k].value.n, q.keys_only ? 0 : 1);
    }
}

static void reads_below_the_compacted_revision_fail(void **state)
{
    struct store *s = *state;
    struct mvcc_kv kv;

    put_sorting_keys(s);
    store_delete(s, S("b"), SLICE_EMPTY);
    assert_int_equal(mvcc_compact(s->m, 8), ERR_FUTURE_REV);
    store_compact_all(s, 6);
    assert_int_equal(mvcc_compact(s->m, 6), ERR_COMPACTED);
    assert_int_equal(mvcc_get(s->m, S("a"), 5, &kv), ERR_COMPACTED);
    assert_int_equal(mvcc_get(s->m, S("a"), 8, &kv), ERR_FUTURE_REV);
    assert_int_equal(mvcc_get(s->m, S("b"), 6, &kv), 0);
    assert_int_equal(mvcc_get(s->m, S("b"), 7, &kv), ERR_KEY_NOT_FOUND);
    store_put(s, S("z"), S(""), 0);
    store_compact_all(s, 8);
    store_reopen(s);
    assert_int_equal(mvcc_compact_revision(s->m), 8);
    assert_int_equal(store_check(s), 0);
    /* Gone for good: b's versions, its tombstone, and its place in the index. */
    assert_int_equal(mvcc_get(s->m, S("b"), 0, &kv), ERR_KEY_NOT_FOUND);
    MDB_stat st;
    mdb_stat(db_txn(s->db), db_dbi(s->db, DB_INDEX), &st);
    assert_int_equal(st.ms_entries, 4);
    mdb_stat(db_txn(s->db), db_dbi(s->db, DB_HISTORY), &st);
    assert_int_equal(st.ms_entries, 4);
}

struct tape {
    char text[256];
    size_t n;
    int stop_after;
};

static int record_event(void *ctx, const struct mvcc_event *ev)
{
    struct tape *t = ctx;

    t->n += (size_t)snprintf(t->text + t->n, sizeof t->text - t->n, "%s%.*s@%d ",
                             ev->is_delete ? "-" : "+", (int)ev->kv.key.n,
                             (const char *)ev->kv.key.p, (int)ev->kv.mod_rev);
    return --t->stop_after == 0;
}

static void events_come_in_order_and_stop_on_demand(void **state)
{
    struct store *s = *state;
    struct tape t = {0};

    put_sorting_keys(s);
    store_delete(s, S("a"), S("c"));
    assert_int_equal(mvcc_events(s->m, 4, 100, record_event, &t), 0);
    assert_string_equal(t.text, "+d@4 +c@5 +a@6 -a@7 -b@7 ");
    t = (struct tape){.stop_after = 2};
    assert_int_equal(mvcc_events(s->m, 1, 100, record_event, &t), 1);
    assert_string_equal(t.text, "+b@2 +a@3 ");
    t = (struct tape){0};
    assert_int_equal(mvcc_events(s->m, 3, 4, record_event, &t), 0);
    assert_string_equal(t.text, "+a@3 +d@4 ");
}

static void events_of_the_compacted_revision_itself_stay(void **state)
{
    struct store *s = *state;
    struct tape t = {0};

    put_sorting_keys(s);
    store_delete(s, S("a"), S("c"));
    store_compact_all(s, 7);
    assert_int_equal(mvcc_events(s->m, 6, 100, record_event, &t), ERR_COMPACTED);
    assert_int_equal(mvcc_events(s->m, 7, 100, record_event, &t), 0);
    assert_string_equal(t.text, "-a@7 -b@7 ");
}

static void leases_hold_keys_until_they_are_put_elsewhere(void **state)
{
    struct store *s = *state;
    struct slice *keys;
    size_t n;

    store_put(s, S("z"), S(""), 7);
    store_put(s, S("a"), S(""), 7);
    store_put(s, S("b"), S(""), 8);
    assert_int_equal(mvcc_lease_keys(s->m, 7, &s->arena, &keys, &n), 0);
    assert_int_equal(n, 2);
    assert_true(slice_eq_str(keys[0], "a"));
    assert_true(slice_eq_str(keys[1], "z"));
    store_put(s, S("a"), S(""), 0);
    store_put(s, S("z"), S(""), 7);
    store_reopen(s);
    assert_int_equal(mvcc_lease_keys(s->m, 7, &s->arena, &keys, &n), 0);
    assert_int_equal(n, 1);
    assert_true(slice_eq_str(keys[0], "z"));
    store_delete(s, S("z"), SLICE_EMPTY);
    assert_int_equal(mvcc_lease_keys(s->m, 7, &s->arena, &keys, &n), 0);
    assert_int_equal(n, 0);
    store_checkpoint(s);
    assert_int_equal(store_check(s), 0);
}

static int sum_leases(void *ctx, const struct mvcc_lease *l)
{
    int64_t *sum = ctx;

    *sum = *sum * 1000 + l->id * 100 + l->ttl_s * 10 + l->remaining_s;
    return 0;
}

static void lease_terms_and_named_values_survive_a_restart(void **state)
{
    struct store *s = *state;
    struct slice v;
    int64_t sum = 0;
    uint64_t index, term;

    mvcc_lease_put(s->m, &(struct mvcc_lease){2, 6, 0});
    mvcc_lease_put(s->m, &(struct mvcc_lease){1, 5, 0});
    mvcc_lease_put(s->m, &(struct mvcc_lease){3, 5, 0});
    mvcc_lease_put(s->m, &(struct mvcc_lease){2, 6, 3});
    assert_int_equal(mvcc_lease_delete(s->m, 3), 0);
    assert_int_equal(mvcc_lease_delete(s->m, 3), ERR_KEY_NOT_FOUND);
    assert_int_equal(mvcc_meta_get(s->m, "alarms", &s->arena, &v), ERR_KEY_NOT_FOUND);
    mvcc_meta_put(s->m, "alarms", S("one"));
    mvcc_meta_put(s->m, "alarms", S("two"));
    mvcc_meta_put(s->m, "state", S("not the store's own"));
    mvcc_set_applied(s->m, 1000, 4);
    store_reopen(s);
    assert_int_equal(mvcc_lease_each(s->m, sum_leases, &sum), 0);
    assert_int_equal(sum, 150263);
    assert_int_equal(mvcc_meta_get(s->m, "alarms", &s->arena, &v), 0);
    assert_true(slice_eq_str(v, "two"));
    mvcc_applied(s->m, &index, &term);
    assert_int_equal(index, 1000);
    assert_int_equal(term, 4);
    assert_int_equal(store_check(s), 0);
}

static void empty_keys_are_refused(void **state)
{
    struct store *s = *state;
    struct mvcc_range_result res;
    struct mvcc_kv kv;
    int64_t n;

    assert_int_equal(mvcc_get(s->m, SLICE_EMPTY, 0, &kv), ERR_EMPTY_KEY);
    assert_int_equal(mvcc_range(s->m, &(struct mvcc_range){0}, &s->arena, &res), ERR_EMPTY_KEY);
    mvcc_write_begin(s->m, &s->arena);
    assert_int_equal(mvcc_put(s->m, SLICE_EMPTY, S("v"), 0, NULL), ERR_EMPTY_KEY);
    assert_int_equal(mvcc_delete_range(s->m, SLICE_EMPTY, S("\0"), &n, NULL), ERR_EMPTY_KEY);
    assert_int_equal(mvcc_write_end(s->m, NULL, NULL), 1);
}

static void a_full_arena_is_an_error_and_changes_nothing(void **state)
{
    struct store *s = *state;
    struct mvcc_range_result res;
    struct arena small;
    int64_t n;

    put_sorting_keys(s);
    arena_init(&small, 100);
    assert_int_equal(mvcc_range(s->m, &(struct mvcc_range){S("\0"), S("\0")}, &small, &res),
                     ERR_LIMIT);
    mvcc_write_begin(s->m, &small);
    assert_int_equal(mvcc_delete_range(s->m, ALL, &n, NULL), ERR_LIMIT);
    assert_int_equal(mvcc_put(s->m, S("k"), S(""), 0, NULL), ERR_LIMIT);
    assert_int_equal(mvcc_write_end(s->m, NULL, NULL), 6);
    assert_int_equal(mvcc_key_count(s->m), 4);
    arena_deinit(&small);
}

/* A compaction asked for while another is under way must not forget what that one spared. */
static void compactions_overtake_each_other(void **state)
{
    struct store *s = *state;

    store_put(s, S("k"), S("v"), 0);
    store_put(s, S("l"), S("v"), 0);
    store_delete(s, S("k"), S("m"));
    assert_int_equal(mvcc_compact(s->m, 4), 0);
    assert_int_equal(mvcc_compact_step(s->m, 3), 1); /* met one of the two tombstones of 4 */
    store_reopen(s);
    assert_int_equal(store_check(s), 0);
    assert_true(mvcc_compact_pending(s->m));
    store_put(s, S("x"), S("v"), 0);
    store_compact_all(s, 5);
    assert_false(mvcc_compact_pending(s->m));
    store_reopen(s);
    assert_int_equal(store_check(s), 0);
    MDB_stat st;
    mdb_stat(db_txn(s->db), db_dbi(s->db, DB_HISTORY), &st);
    assert_int_equal(st.ms_entries, 1);
}

/* The numbers are etcd 3.4.23's after the same requests (etcdctl endpoint hashkv). */
static void hash_kv_agrees_with_upstream(void **state)
{
    struct store *s = *state;

    put_sorting_keys(s);
    store_delete(s, S("b"), SLICE_EMPTY);
    store_checkpoint(s);
    uint32_t before = store_hash_kv(s, 7);
    assert_int_equal(before, 52298112u);
    assert_int_equal(store_hash_kv(s, 0), before);
    assert_int_not_equal(store_hash_kv(s, 6), before);
    assert_int_equal(mvcc_compact(s->m, 6), 0);
    store_checkpoint(s);
    uint32_t doomed = store_hash_kv(s, 7);
    assert_int_equal(doomed, 3385756200u);
    while (mvcc_compact_step(s->m, 1) > 0) {
        store_checkpoint(s);
        assert_int_equal(store_hash_kv(s, 7), doomed);
    }
    store_checkpoint(s);
    assert_int_equal(store_hash_kv(s, 7), doomed);
    store_delete(s, S("a"), S("z"));
    store_compact_all(s, 8);
    store_checkpoint(s);
    assert_int_equal(store_hash_kv(s, 0), 1084519789u);
}

/* Also 3.4.23's; with no key live it skips nothing, so what compaction kept counts again. */
static void hash_kv_agrees_with_upstream_when_no_key_lives(void **state)
{
    struct store *s = *state;

    store_put(s, S("a"), S("1"), 7587);
    store_put(s, S("b"), S(""), 0);
    store_compact_all(s, 3);
    store_checkpoint(s);
    assert_int_equal(store_hash_kv(s, 0), 2611324426u);
    store_delete(s, S("a"), SLICE_EMPTY);
    store_delete(s, S("b"), SLICE_EMPTY);
    store_checkpoint(s);
    assert_int_equal(store_hash_kv(s, 0), 1420270445u);
    mvcc_write_begin(s->m, &s->arena);
    mvcc_put(s->m, S("x"), S("1"), 0, NULL);
    mvcc_put(s->m, S("y"), S("2"), 0, NULL);
    mvcc_write_end(s->m, NULL, NULL);
    store_checkpoint(s);
    assert_int_equal(store_hash_kv(s, 0), 2052623159u);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(fresh_store_is_at_revision_1),
        T(put_counts_revisions_and_versions),
        T(a_write_without_effect_keeps_the_revision),
        T(one_write_is_one_revision_and_sees_itself),
        T(ranges_answer_by_interval),
        T(ranges_sort_filter_and_cut_as_upstream),
        T(reads_below_the_compacted_revision_fail),
        T(events_come_in_order_and_stop_on_demand),
        T(events_of_the_compacted_revision_itself_stay),
        T(leases_hold_keys_until_they_are_put_elsewhere),
        T(lease_terms_and_named_values_survive_a_restart),
        T(empty_keys_are_refused),
        T(a_full_arena_is_an_error_and_changes_nothing),
        T(compactions_overtake_each_other),
        T(hash_kv_agrees_with_upstream),
        T(hash_kv_agrees_with_upstream_when_no_key_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
