#include "etcd/store_fixture.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "base/rng.h"
#include "etcd/db_mark.h"
#include "etcd/db_root.h"

#define S(lit) SLICE_LIT(lit)

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

/* --- files as bytes: what a disk holds at a moment --- */

struct bytes {
    uint8_t *p;
    size_t n;
};

static struct bytes read_file(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    struct bytes b = {0};

    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    b.n = (size_t)st.st_size;
    b.p = xmalloc(b.n + 1);
    assert_int_equal(pread(fd, b.p, b.n, 0), b.n);
    close(fd);
    return b;
}

static void write_file(const char *path, struct bytes b)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, b.p, b.n), b.n);
    close(fd);
}

static void poke(const char *path, off_t at, uint8_t xor)
{
    uint8_t c;
    int fd = open(path, O_RDWR);

    assert_int_equal(pread(fd, &c, 1, at), 1);
    c ^= xor;
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    close(fd);
}

static const char *mark_path(const struct store *s)
{
    static char path[128];

    snprintf(path, sizeof path, "%s-mark", s->path);
    return path;
}

static int try_open(struct store *s)
{
    struct db_conf conf = {.path = s->path, .map_bytes = FIXTURE_MAP_BYTES};
    int r = db_open(&conf, &s->db, &s->e);

    return r < 0 ? r : mvcc_open(s->db, &s->m, &s->e);
}

static void fill(struct store *s, struct rng *r, int n)
{
    char key[32], value[600];

    for (int i = 0; i < n; i++) {
        int len = snprintf(key, sizeof key, "key/%d", (int)rng_below(r, 3000));
        memset(value, 'a' + (int)rng_below(r, 26), sizeof value);
        if (rng_below(r, 8) == 0)
            store_delete(s, slice_of(key, (size_t)len), SLICE_EMPTY);
        else
            store_put(s, slice_of(key, (size_t)len), slice_of(value, rng_below(r, sizeof value)),
                      0);
    }
    arena_reset(&s->arena);
}

/* --- opening --- */

static void a_second_process_is_refused(void **state)
{
    struct store *s = *state;
    struct db_conf conf = {.path = s->path, .map_bytes = FIXTURE_MAP_BYTES};
    struct db *other;

    assert_int_equal(db_open(&conf, &other, &s->e), ERR_IN_USE);
    assert_non_null(strstr(s->e.msg, "in use"));
}

static void files_are_for_the_owner_only(void **state)
{
    struct store *s = *state;
    struct stat st;

    assert_int_equal(stat(s->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(mark_path(s), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void an_interrupted_making_begins_anew(void **state)
{
    static const size_t lengths[] = {0, 100, 8192, 12288};
    struct store *s = *state;
    struct bytes made = read_file(s->path);

    assert_int_equal(made.n, 12288);
    store_close(s);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        unlink(mark_path(s));
        write_file(s->path, (struct bytes){made.p, lengths[i]});
        assert_int_equal(try_open(s), 0);
        store_put(s, S("k"), S("v"), 0);
        store_reopen(s);
        assert_int_equal(mvcc_revision(s->m), 2);
        store_close(s);
    }
    free(made.p);
}

static void a_lost_part_is_refused_with_its_name(void **state)
{
    struct store *s = *state;
    struct rng r;

    rng_seed(&r, 1);
    fill(s, &r, 500);
    store_checkpoint(s);
    store_close(s);
    struct bytes data = read_file(s->path), mark = read_file(mark_path(s));

    write_file(s->path, (struct bytes){data.p, data.n - 1});
    assert_int_equal(try_open(s), ERR_DATA_DAMAGED);
    assert_non_null(strstr(s->e.msg, "cut short"));
    unlink(s->path);
    assert_int_equal(try_open(s), ERR_DATA_DAMAGED);
    assert_non_null(strstr(s->e.msg, "is missing although"));
    write_file(s->path, data);
    unlink(mark_path(s));
    assert_int_equal(try_open(s), ERR_DATA_DAMAGED);
    assert_non_null(strstr(s->e.msg, "db-mark' is missing or spoilt"));
    write_file(mark_path(s), mark);
    assert_int_equal(try_open(s), 0);
    assert_int_equal(store_check(s), 0);
    free(data.p);
    free(mark.p);
}

static void a_file_of_another_time_is_refused(void **state)
{
    struct store *s = *state;
    struct rng r;

    rng_seed(&r, 1);
    fill(s, &r, 10);
    store_checkpoint(s);
    struct bytes old = read_file(s->path);
    for (int i = 0; i < 3; i++) {
        fill(s, &r, 10);
        store_checkpoint(s);
    }
    store_close(s);
    write_file(s->path, old);
    assert_int_equal(try_open(s), ERR_DATA_DAMAGED);
    assert_non_null(strstr(s->e.msg, "does not hold the root"));
    free(old.p);
}

static void a_torn_mark_leaves_the_one_before(void **state)
{
    struct store *s = *state;

    store_put(s, S("a"), S("1"), 0);
    store_checkpoint(s);
    store_put(s, S("a"), S("2"), 0);
    store_checkpoint(s);
    store_close(s);
    int fd = open(mark_path(s), O_RDONLY);
    struct db_mark mark;
    assert_int_equal(db_mark_read(fd, &mark), 0);
    close(fd);
    poke(mark_path(s), (off_t)(mark.seq & 1) * DB_MARK_SLOT_STEP + 20, 1);
    /* That mark was never whole, so nothing was committed above the one before. */
    assert_int_equal(try_open(s), 0);
    assert_int_equal(mvcc_revision(s->m), 2);
    assert_int_equal(store_check(s), 0);
}

/* --- checkpoints --- */

static void what_is_not_checkpointed_is_dropped(void **state)
{
    struct store *s = *state;

    store_put(s, S("a"), S("1"), 0);
    store_checkpoint(s);
    store_put(s, S("b"), S("1"), 0);
    store_close(s);
    store_open(s);
    assert_int_equal(mvcc_revision(s->m), 2);
}

static void one_checkpoint_at_a_time(void **state)
{
    struct store *s = *state;

    store_put(s, S("a"), S("1"), 0);
    assert_int_equal(mvcc_flush(s->m), 0);
    assert_true(db_changes(s->db) > 0);
    assert_int_equal(db_checkpoint_begin(s->db), 0);
    assert_int_equal(db_changes(s->db), 0);
    assert_true(db_checkpoint_pending(s->db));
    store_put(s, S("b"), S("1"), 0);
    assert_int_equal(db_checkpoint_begin(s->db), 1);
    assert_int_equal(db_checkpoint_sync(s->db, &s->e), 0);
    db_checkpoint_end(s->db);
    assert_false(db_checkpoint_pending(s->db));
    assert_true(db_changes(s->db) > 0);
    store_reopen(s);
    assert_int_equal(mvcc_key_count(s->m), 2);
}

static void a_view_stays_as_it_was(void **state)
{
    struct store *s = *state;
    MDB_txn *view;
    uint32_t before, after;

    store_put(s, S("a"), S("1"), 0);
    store_checkpoint(s);
    assert_int_equal(db_view_begin(s->db, &view), 0);
    mvcc_hash_all(s->db, view, &before);
    for (int i = 0; i < 100; i++) {
        store_put(s, S("a"), S("2"), 0);
        store_checkpoint(s);
    }
    mvcc_hash_all(s->db, view, &after);
    assert_int_equal(mvcc_check(s->db, view, NULL, NULL, &s->e), 0);
    db_view_end(s->db, view);
    assert_int_equal(before, after);
}

/* The process is killed at each step of a checkpoint; the page cache survives it. */
static void killed_at_any_step_the_marked_state_stands(void **state)
{
    enum { BEFORE_COMMIT, AFTER_COMMIT, AFTER_SYNC, AFTER_NEXT_CHANGES, STEPS };
    struct store *s = *state;

    store_put(s, S("a"), S("1"), 0);
    store_checkpoint(s);
    store_close(s);
    for (int step = 0; step < STEPS; step++) {
        pid_t child = fork();
        if (child == 0) {
            store_open(s);
            store_put(s, S("a"), S("2"), 0);
            mvcc_flush(s->m);
            if (step == BEFORE_COMMIT || db_checkpoint_begin(s->db) < 0)
                _exit(0);
            if (step == AFTER_COMMIT || db_checkpoint_sync(s->db, NULL) < 0)
                _exit(0);
            if (step == AFTER_SYNC)
                _exit(0);
            db_checkpoint_end(s->db);
            store_put(s, S("a"), S("3"), 0);
            mvcc_flush(s->m);
            db_checkpoint_begin(s->db);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        store_open(s);
        /* Synced and marked: kept. Else the state of the mark. */
        assert_int_equal(mvcc_revision(s->m), step < AFTER_SYNC ? 2 : step + 1);
        assert_int_equal(store_check(s), 0);
        store_close(s);
    }
    store_open(s);
}

/* Power goes after a commit: any part of the pages written since the last sync is on disk, in any
 * mix, the root record too. */
static void power_loss_restores_the_marked_state(void **state)
{
    struct store *s = *state;
    struct rng r;

    rng_seed(&r, 42);
    fill(s, &r, 3000);
    store_checkpoint(s);
    for (int round = 0; round < 30; round++) {
        fill(s, &r, 1 + (int)rng_below(&r, 400));
        store_checkpoint(s);
        uint32_t want = store_hash_all(s);
        int64_t rev = mvcc_revision(s->m);
        struct bytes synced = read_file(s->path);

        fill(s, &r, 1 + (int)rng_below(&r, 400));
        mvcc_flush(s->m);
        assert_int_equal(db_checkpoint_begin(s->db), 0);
        struct bytes mixed = read_file(s->path);
        assert_int_equal(db_checkpoint_sync(s->db, &s->e), 0);
        db_checkpoint_end(s->db);
        struct bytes mark = read_file(mark_path(s));
        store_close(s);

        /* The mark of before the sync: spoil the one just written. */
        uint64_t slot_a = get_le64(mark.p + 8), slot_b = get_le64(mark.p + DB_MARK_SLOT_STEP + 8);
        memset(mark.p + (slot_a > slot_b ? 0 : DB_MARK_SLOT_STEP), 0, 64);
        write_file(mark_path(s), mark);
        for (size_t page = 0; page * 4096 < synced.n; page++)
            if (rng_below(&r, 2))
                memcpy(mixed.p + page * 4096, synced.p + page * 4096, 4096);
        write_file(s->path, mixed);
        store_open(s);
        assert_int_equal(mvcc_revision(s->m), rev);
        assert_int_equal(store_check(s), 0);
        assert_int_equal(store_hash_all(s), want);
        free(synced.p);
        free(mixed.p);
        free(mark.p);
    }
}

/* --- space --- */

static void size_in_use_falls_with_deletes_and_the_file_with_compacting(void **state)
{
    struct store *s = *state;
    struct rng r;

    rng_seed(&r, 3);
    fill(s, &r, 5000);
    store_checkpoint(s);
    uint64_t full = db_size_in_use(s->db);
    assert_true(full <= db_size(s->db));
    store_delete(s, S("\0"), S("\0"));
    store_put(s, S("last"), S("one"), 0);
    store_compact_all(s, mvcc_revision(s->m));
    for (int i = 0; i < 3; i++) { /* pages become free with the commits after */
        store_put(s, S("last"), S("one"), 0);
        store_checkpoint(s);
    }
    assert_true(db_size_in_use(s->db) < full / 10);
    uint64_t size = db_size(s->db);
    uint32_t hash = store_hash_all(s);
    store_put(s, S("x"), S(""), 0);
    assert_int_equal(db_compact_file(s->db, &s->e), -EBUSY);
    store_close(s);
    store_open(s);
    assert_int_equal(db_compact_file(s->db, &s->e), 0);
    assert_true(db_size(s->db) < size / 10);
    assert_int_equal(store_hash_all(s), hash);
    assert_int_equal(store_check(s), 0);
    fill(s, &r, 100);
    store_reopen(s);
    assert_int_equal(store_check(s), 0);
}

/* The steps of db_compact_file on disk: the mark names both files' roots, then the name changes
 * hands, then the mark names the new one. */
static void compacting_the_file_is_safe_at_each_step(void **state)
{
    struct store *s = *state;
    struct rng r;

    rng_seed(&r, 4);
    fill(s, &r, 2000);
    store_checkpoint(s);
    uint32_t want = store_hash_all(s);
    struct bytes old_data = read_file(s->path);
    assert_int_equal(db_compact_file(s->db, &s->e), 0);
    struct bytes new_data = read_file(s->path), one = read_file(mark_path(s));
    assert_true(new_data.n < old_data.n);
    store_close(s);
    struct bytes both = {xmalloc(one.n), one.n};
    memcpy(both.p, one.p, one.n);
    uint64_t slot_a = get_le64(one.p + 8), slot_b = get_le64(one.p + DB_MARK_SLOT_STEP + 8);
    memset(both.p + (slot_a > slot_b ? 0 : DB_MARK_SLOT_STEP), 0, 64);

    const struct {
        struct bytes data, mark;
    } steps[] = {{old_data, both}, {new_data, both}, {new_data, one}};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        char temp[128];
        snprintf(temp, sizeof temp, "%s-compacting", s->path);
        write_file(s->path, steps[i].data);
        write_file(mark_path(s), steps[i].mark);
        write_file(temp, (struct bytes){new_data.p, new_data.n / 2});
        store_open(s);
        assert_int_equal(access(temp, F_OK), -1);
        assert_int_equal(store_hash_all(s), want);
        fill(s, &r, 200);
        store_reopen(s);
        assert_int_equal(store_check(s), 0);
        store_close(s);
    }
    store_open(s);
    free(old_data.p);
    free(new_data.p);
    free(one.p);
    free(both.p);
}

static void reserved_room_is_taken_from_the_disk(void **state)
{
    struct store *s = *state;
    struct stat before, after;

    assert_int_equal(stat(s->path, &before), 0);
    assert_int_equal(db_reserve(s->db, 1 << 20), 0);
    assert_int_equal(stat(s->path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_true((after.st_blocks - before.st_blocks) * 512 >= 1 << 20);
    assert_int_equal(db_reserve(s->db, 4096), 0);
    assert_int_equal(db_reserve(s->db, FIXTURE_MAP_BYTES), ERR_NO_SPACE);
}

/* Writes as a server does: room first, then the change, then now and then a checkpoint. Until the
 * disk is full no commit may fail, and what is stored stays whole. */
static void a_full_disk_refuses_before_the_change(void **state)
{
    struct store s = {.dir = "/tmp/store-XXXXXX"};
    static uint8_t value[4000];
    int r = 0;

    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        skip();
    assert_non_null(mkdtemp(s.dir));
    assert_int_equal(mount("none", s.dir, "tmpfs", 0, "size=24m,mode=700"), 0);
    snprintf(s.path, sizeof s.path, "%s/db", s.dir);
    arena_init(&s.arena, 1u << 30);
    store_open(&s);
    int n = 0;
    for (; n < 20000 && (r = db_reserve(s.db, sizeof value + 300)) == 0; n++) {
        char key[32];
        int len = snprintf(key, sizeof key, "%d", n % 700);
        store_put(&s, slice_of(key, (size_t)len), slice_of(value, n % sizeof value), 0);
        arena_reset(&s.arena);
        if (n % 100 == 99)
            store_checkpoint(&s);
    }
    assert_int_equal(r, ERR_NO_SPACE);
    assert_in_range(n, 2000, 10000);
    store_checkpoint(&s);
    store_compact_all(&s, mvcc_revision(s.m)); /* the way out of it */
    store_reopen(&s);
    assert_int_equal(store_check(&s), 0);
    assert_int_equal(db_reserve(s.db, sizeof value), 0);
    store_free(&s);
    umount(s.dir);
    rmdir(s.dir);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_second_process_is_refused),
        T(files_are_for_the_owner_only),
        T(an_interrupted_making_begins_anew),
        T(a_lost_part_is_refused_with_its_name),
        T(a_file_of_another_time_is_refused),
        T(a_torn_mark_leaves_the_one_before),
        T(what_is_not_checkpointed_is_dropped),
        T(one_checkpoint_at_a_time),
        T(a_view_stays_as_it_was),
        T(killed_at_any_step_the_marked_state_stands),
        T(power_loss_restores_the_marked_state),
        T(size_in_use_falls_with_deletes_and_the_file_with_compacting),
        T(compacting_the_file_is_safe_at_each_step),
        T(reserved_room_is_taken_from_the_disk),
        cmocka_unit_test(a_full_disk_refuses_before_the_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
