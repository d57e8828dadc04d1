#include "etcd/store_fixture.h"

#include "etcd/links.h"

#define S(lit) SLICE_LIT(lit)

static const char *long_key(char tail)
{
    static char key[502];

    memset(key, 'L', 500);
    key[500] = tail;
    return key;
}

/* Something in every table. */
static int setup(void **state)
{
    static struct store s;

    store_new(&s);
    store_put(&s, S("a"), S("1"), 0);
    store_put(&s, S("b"), S("1"), 7);
    store_put(&s, S("a"), S("2"), 0);
    store_put(&s, S("c"), S("3"), 7);
    store_put(&s, slice_str(long_key('1')), S("4"), 0);
    store_put(&s, slice_str(long_key('2')), S("5"), 0);
    store_delete(&s, S("c"), SLICE_EMPTY);
    mvcc_lease_put(s.m, &(struct mvcc_lease){7, 60, 0});
    mvcc_lease_put(s.m, &(struct mvcc_lease){8, 60, 30});
    mvcc_meta_put(s.m, "alarms", S("none"));
    store_checkpoint(&s);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    store_free(*state);
    return 0;
}

struct pair {
    uint8_t key[512], value[2048];
    size_t key_len, value_len;
};

/* The n-th record of a table, copied; false: there are not so many. */
static bool nth(struct store *s, enum db_table t, size_t n, struct pair *ret)
{
    MDB_cursor *c;
    MDB_val k, v;

    assert_int_equal(mdb_cursor_open(db_txn(s->db), db_dbi(s->db, t), &c), 0);
    int rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
    while (n-- && rc == 0)
        rc = mdb_cursor_get(c, &k, &v, MDB_NEXT);
    if (rc == 0) {
        assert_true(k.mv_size <= sizeof ret->key && v.mv_size <= sizeof ret->value);
        memcpy(ret->key, k.mv_data, ret->key_len = k.mv_size);
        memcpy(ret->value, v.mv_data, ret->value_len = v.mv_size);
    }
    mdb_cursor_close(c);
    return rc == 0;
}

static void write_raw(struct store *s, enum db_table t, const struct pair *p)
{
    assert_int_equal(
        db_put(s->db, t, slice_of(p->key, p->key_len), slice_of(p->value, p->value_len)), 0);
}

/* Past mvcc, which knows nothing of the change. */
static void assert_found(struct store *s, enum db_table t)
{
    assert_int_equal(db_checkpoint(s->db, &s->e), 0);
    assert_int_equal(store_check(s), ERR_DATA_DAMAGED);
    char want[32];
    snprintf(want, sizeof want, "table %s", db_table_name(t));
    assert_non_null(strstr(s->e.msg, want));
}

static void assert_whole(struct store *s)
{
    assert_int_equal(db_checkpoint(s->db, &s->e), 0);
    if (store_check(s) < 0)
        fail_msg("%s", s->e.msg);
}

static void a_whole_store_passes(void **state)
{
    assert_whole(*state);
}

static void a_flipped_bit_is_found_in_every_byte_of_every_table(void **state)
{
    struct store *s = *state;
    struct pair p;

    for (int t = 0; t < DB_TABLES; t++)
        for (size_t n = 0; nth(s, (enum db_table)t, n, &p); n++) {
            for (size_t i = 0; i < p.value_len; i += i < 120 ? 1 : 37) {
                p.value[i] ^= 0x10;
                write_raw(s, (enum db_table)t, &p);
                assert_found(s, (enum db_table)t);
                p.value[i] ^= 0x10;
            }
            write_raw(s, (enum db_table)t, &p);
            assert_whole(s);
        }
}

static void a_lost_record_is_found_and_the_store_does_not_open(void **state)
{
    struct store *s = *state;
    struct mvcc *second;
    struct pair p;

    for (int t = 0; t < DB_TABLES; t++)
        for (size_t n = 0; nth(s, (enum db_table)t, n, &p); n++) {
            struct slice key = slice_of(p.key, p.key_len);
            assert_int_equal(db_del(s->db, (enum db_table)t, key), 0);
            assert_int_equal(mvcc_open(s->db, &second, &s->e), ERR_DATA_DAMAGED);
            assert_int_equal(db_checkpoint(s->db, &s->e), 0);
            assert_int_equal(store_check(s), ERR_DATA_DAMAGED);
            write_raw(s, (enum db_table)t, &p);
            assert_whole(s);
        }
}

static void a_record_under_another_key_is_found(void **state)
{
    struct store *s = *state;
    struct pair p, q;

    for (int t = 0; t < DB_TABLES; t++) {
        if (!nth(s, (enum db_table)t, 0, &p) || !nth(s, (enum db_table)t, 1, &q))
            continue;
        struct pair mixed = p;
        memcpy(mixed.value, q.value, q.value_len);
        mixed.value_len = q.value_len;
        write_raw(s, (enum db_table)t, &mixed);
        assert_found(s, (enum db_table)t);
        write_raw(s, (enum db_table)t, &p);
        assert_whole(s);
    }
}

/* Whole records with right checksums, but not the newest: a write that was lost. */
static void a_record_of_yesterday_is_found(void **state)
{
    struct store *s = *state;
    struct pair index_old, lease_old, now;

    assert_true(nth(s, DB_INDEX, 1, &index_old));
    assert_true(nth(s, DB_LEASE, 0, &lease_old));
    store_put(s, S("a"), S("3"), 0);
    mvcc_lease_put(s->m, &(struct mvcc_lease){7, 60, 5});
    store_checkpoint(s);
    assert_whole(s);
    nth(s, DB_INDEX, 1, &now);
    write_raw(s, DB_INDEX, &index_old);
    assert_found(s, DB_INDEX);
    write_raw(s, DB_INDEX, &now);
    write_raw(s, DB_LEASE, &lease_old);
    assert_found(s, DB_LEASE);
    assert_non_null(strstr(s->e.msg, "not the newest"));
}

static void an_added_record_is_found(void **state)
{
    struct store *s = *state;
    struct pair p;

    for (int t = 0; t < DB_TABLES; t++) {
        assert_true(nth(s, (enum db_table)t, 0, &p));
        p.key[p.key_len - 1] ^= 0x40;
        struct buf value;
        buf_init(&value, 4096);
        buf_append(&value, p.value, p.value_len);
        table_seal(slice_of(p.key, p.key_len), &value);
        memcpy(p.value, value.p, value.n);
        buf_deinit(&value);
        write_raw(s, (enum db_table)t, &p);
        assert_int_equal(db_checkpoint(s->db, &s->e), 0);
        assert_int_equal(store_check(s), ERR_DATA_DAMAGED);
        assert_int_equal(db_del(s->db, (enum db_table)t, slice_of(p.key, p.key_len)), 0);
        assert_whole(s);
    }
}

static void a_read_of_damage_fails_and_says_where(void **state)
{
    struct store *s = *state;
    struct mvcc_range_result res;
    struct mvcc_kv kv;
    struct pair p;

    assert_true(nth(s, DB_HISTORY, 2, &p));
    p.value[p.value_len - 1] ^= 1;
    write_raw(s, DB_HISTORY, &p);
    assert_string_equal(mvcc_damage(s->m), "");
    assert_int_equal(mvcc_get(s->m, S("a"), 0, &kv), ERR_DATA_DAMAGED);
    assert_non_null(strstr(mvcc_damage(s->m), "table history, revision 4.0: checksum is wrong"));
    assert_int_equal(mvcc_get(s->m, S("a"), 2, &kv), ERR_DATA_DAMAGED);
    assert_int_equal(mvcc_get(s->m, S("b"), 0, &kv), 0);
    assert_int_equal(mvcc_range(s->m, &(struct mvcc_range){S("\0"), S("\0")}, &s->arena, &res),
                     ERR_DATA_DAMAGED);
    assert_true(nth(s, DB_INDEX, 1, &p)); /* behind the long keys */
    p.value_len = 3;
    write_raw(s, DB_INDEX, &p);
    assert_int_equal(mvcc_get(s->m, S("a"), 0, &kv), ERR_DATA_DAMAGED);
    assert_non_null(strstr(mvcc_damage(s->m), "table index, key \"a\": record is cut short"));
}

struct steps {
    uint64_t calls, done, all;
};

static void count_steps(void *ctx, uint64_t done, uint64_t all)
{
    struct steps *st = ctx;

    assert_true(done >= st->done && done <= all);
    *st = (struct steps){st->calls + 1, done, all};
}

static void a_check_tells_how_far_it_is(void **state)
{
    struct store *s = *state;
    struct steps steps = {0};
    MDB_txn *view;

    for (int i = 0; i < 10000; i++)
        store_put(s, S("k"), S(""), 0);
    store_checkpoint(s);
    assert_int_equal(db_view_begin(s->db, &view), 0);
    assert_int_equal(mvcc_check(s->db, view, count_steps, &steps, &s->e), 0);
    db_view_end(s->db, view);
    assert_true(steps.calls >= 3);
    assert_int_equal(steps.done, steps.all);
}

/* How many records a read of version n looks at, following links as links_find does. */
static int steps_back(struct store *s, int64_t from, int64_t to)
{
    struct table_reader r = {s->db, db_txn(s->db), -1, &s->e};
    struct rev at = {from, 0};
    int steps = 0;

    while (at.main > to) {
        struct history_record rec;
        assert_int_equal(history_get(&r, at, &rec), 0);
        at = rec.jump.dist && rec.jump.rev.main >= to ? rec.jump.rev : rec.prev;
        steps++;
    }
    assert_int_equal(at.main, to);
    return steps;
}

static void an_old_version_is_found_in_few_steps(void **state)
{
    struct store *s = *state;
    int64_t first = mvcc_revision(s->m) + 1;
    int worst = 0;

    for (int i = 0; i < 20000; i++)
        store_put(s, S("hot"), S(""), 0);
    for (int64_t rev = first; rev <= mvcc_revision(s->m); rev += 7)
        worst = MAX(worst, steps_back(s, mvcc_revision(s->m), rev));
    assert_in_range(worst, 10, 45); /* 3 log2(20000) = 43 (Myers); a plain list: 20000 */
    /* Compaction cuts the far end off; what is written then still finds its way. */
    store_compact_all(s, first + 9999);
    for (int i = 0; i < 20000; i++)
        store_put(s, S("hot"), S(""), 0);
    worst = 0;
    for (int64_t rev = first + 9999; rev <= mvcc_revision(s->m); rev += 7)
        worst = MAX(worst, steps_back(s, mvcc_revision(s->m), rev));
    assert_in_range(worst, 10, 70);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_whole_store_passes),
        T(a_flipped_bit_is_found_in_every_byte_of_every_table),
        T(a_lost_record_is_found_and_the_store_does_not_open),
        T(a_record_under_another_key_is_found),
        T(a_record_of_yesterday_is_found),
        T(an_added_record_is_found),
        T(a_read_of_damage_fails_and_says_where),
        T(a_check_tells_how_far_it_is),
        T(an_old_version_is_found_in_few_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
