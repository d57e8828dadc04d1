#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "base/rng.h"
#include "etcd/test_wal_util.h"

#define SEGMENT 8192u
static const struct wal_conf small = {.io = &wal_io_system, .segment_bytes = SEGMENT};

/* What a reader got: terms by index. */
#define ENTRIES_MAX 4096
struct got {
    uint64_t first, last;
    uint64_t term[ENTRIES_MAX];
    size_t bytes[ENTRIES_MAX];
};

static int take(void *ctx, const struct raft_entry *entry)
{
    struct got *got = ctx;

    if (got->last == 0)
        got->first = entry->index;
    else
        assert_int_equal(entry->index, got->last + 1);
    assert_true(test_is_filled(entry->data, entry->index));
    got->last = entry->index;
    got->term[entry->index] = entry->term;
    got->bytes[entry->index] = entry->data.n;
    return 0;
}

static struct wal *open_log(const char *dir, uint64_t after, struct got *got,
                            struct wal_recovered *rec)
{
    struct wal *w = NULL;
    struct err e = {0};

    memset(got, 0, sizeof *got);
    int r = wal_open_conf(dir, after, take, got, &small, rec, &w, &e);
    if (r < 0)
        fail_msg("open: %d %s", r, e.msg);
    assert_int_equal(e.code, 0);
    assert_int_equal(rec->meta.member_id, test_meta.member_id);
    return w;
}

static int open_error(const char *dir, struct err *e)
{
    struct wal_recovered rec;
    struct wal *w = NULL;
    struct got got = {0};
    int r = wal_open_conf(dir, 0, take, &got, &small, &rec, &w, e);

    wal_close(w);
    return r;
}

static char *new_log(const char *name)
{
    struct err e = {0};
    char *dir = test_dir(name);
    int r = wal_create_conf(dir, &test_meta, &small, &e);

    if (r < 0)
        fail_msg("create: %s", e.msg);
    return dir;
}

static void drop_log(char *dir)
{
    test_rmdir(dir);
    free(dir);
}

static void frame_begin(struct buf *frame)
{
    buf_init(frame, WAL_FRAME_BYTES_MAX);
    wal_frame_begin(frame);
}

static void must_write(struct wal *w, struct buf *frame, uint64_t last)
{
    struct err e = {0};
    int r = wal_write(w, frame, last, &e);

    if (r < 0)
        fail_msg("write: %s", e.msg);
}

static void write_entries(struct wal *w, uint64_t term, uint64_t first, uint64_t last, size_t n)
{
    cleanup_buf struct buf frame;

    frame_begin(&frame);
    for (uint64_t i = first; i <= last; i++)
        test_frame_entry(&frame, term, i, n);
    must_write(w, &frame, last);
}

static void write_mark(struct wal *w, uint64_t index, uint64_t term)
{
    cleanup_buf struct buf frame;

    frame_begin(&frame);
    wal_frame_snapshot(&frame, index, term);
    must_write(w, &frame, 0);
}

static void write_hard_state(struct wal *w, uint64_t term, uint64_t vote, uint64_t commit)
{
    cleanup_buf struct buf frame;

    frame_begin(&frame);
    wal_frame_hard_state(&frame, &(struct raft_hard_state){term, vote, commit});
    must_write(w, &frame, 0);
}

static uint64_t segments_of(const struct wal *w)
{
    struct wal_stats st;
    wal_stats(w, &st);
    return st.segments;
}

static void a_new_log_is_empty_and_made_once(void **state)
{
    char *dir = test_dir("wal-new");
    struct wal_recovered rec;
    struct got got;
    struct err e = {0};

    assert_false(wal_exists(dir));
    assert_int_equal(open_error(dir, &e), -ENOENT);
    assert_int_equal(wal_create_conf(dir, &test_meta, &small, &e), 0);
    assert_true(wal_exists(dir));
    assert_int_equal(wal_create_conf(dir, &test_meta, &small, &e), -EEXIST);
    struct wal *w = open_log(dir, 0, &got, &rec);
    assert_int_equal(rec.last_index, 0);
    assert_int_equal(rec.hard_state.term, 0);
    assert_int_equal(rec.torn_bytes, 0);
    assert_int_equal(open_error(dir, &e), ERR_IN_USE);
    wal_close(w);
    drop_log(dir);
}

static void the_real_segment_takes_the_largest_frame(void **state)
{
    char *dir = test_dir("wal-real");
    cleanup_buf struct buf frame;
    struct wal_recovered rec;
    struct wal *w;
    struct err e = {0};
    struct got got = {0};

    assert_int_equal(wal_create(dir, &test_meta, &e), 0);
    assert_int_equal(wal_open(dir, 0, take, &got, &rec, &w, &e), 0);
    assert_int_equal(wal_room(w), WAL_SEGMENT_BYTES - WAL_SEGMENT_BEGIN);
    frame_begin(&frame);
    for (uint64_t i = 1; i <= 3; i++) { /* the third does not fit behind the first */
        size_t n = WAL_FRAME_BYTES_MAX - WAL_FRAME_HEAD - WAL_RECORD_HEAD - WAL_FRAME_TRAILER;
        wal_frame_begin(&frame);
        test_frame_entry(&frame, 1, i, n);
        must_write(w, &frame, i);
    }
    wal_close(w);
    assert_int_equal(wal_open(dir, 0, take, &got, &rec, &w, &e), 0);
    assert_int_equal(got.last, 3);
    assert_int_equal(segments_of(w), 3);
    wal_close(w);
    drop_log(dir);
}

static void everything_comes_back_over_many_segments_and_restarts(void **state)
{
    char *dir = new_log("wal-many");
    struct wal_recovered rec;
    struct got got;
    struct rng rng;
    uint64_t last = 0;
    size_t bytes[ENTRIES_MAX];

    rng_seed(&rng, 3);
    for (uint64_t term = 1; term <= 6; term++) {
        struct wal *w = open_log(dir, 0, &got, &rec);
        assert_int_equal(got.last, last);
        assert_int_equal(rec.last_index, last);
        assert_int_equal(rec.last_term, last ? term - 1 : 0);
        assert_int_equal(rec.hard_state.term, term - 1);
        write_hard_state(w, term, test_meta.member_id, last);
        for (int f = 0; f < 30; f++) {
            uint64_t first = last + 1;
            last += 1 + rng_below(&rng, 5);
            size_t n = rng_below(&rng, 600);
            for (uint64_t i = first; i <= last; i++)
                bytes[i] = n;
            write_entries(w, term, first, last, n);
        }
        wal_close(w);
    }
    struct wal *w = open_log(dir, 17, &got, &rec);
    assert_int_equal(got.first, 18);
    assert_int_equal(got.last, last);
    for (uint64_t i = got.first; i <= last; i++)
        assert_int_equal(got.bytes[i], bytes[i]);
    assert_int_equal(got.term[last], 6);
    assert_int_equal(rec.hard_state.vote, test_meta.member_id);
    assert_true(segments_of(w) > 6);
    wal_close(w);
    drop_log(dir);
}

static void a_rewritten_tail_is_given_out_once(void **state)
{
    char *dir = new_log("wal-tail");
    struct wal_recovered rec;
    struct got got;
    struct wal *w = open_log(dir, 0, &got, &rec);

    write_entries(w, 1, 1, 20, 300); /* 1..20 of term 1 */
    write_entries(w, 2, 18, 30, 300);
    write_entries(w, 3, 11, 28, 300);
    write_entries(w, 4, 28, 40, 300);
    assert_true(segments_of(w) > 2);
    wal_close(w);
    w = open_log(dir, 0, &got, &rec);
    assert_int_equal(got.first, 1);
    assert_int_equal(got.last, 40);
    for (uint64_t i = 1; i <= 40; i++)
        assert_int_equal(got.term[i], i < 11 ? 1 : i < 28 ? 3 : 4);
    wal_close(w);
    drop_log(dir);
}

static void a_snapshot_from_elsewhere_replaces_the_log(void **state)
{
    char *dir = new_log("wal-snap");
    struct wal_recovered rec;
    struct got got;
    struct wal *w = open_log(dir, 0, &got, &rec);

    write_entries(w, 1, 1, 5, 10);
    write_mark(w, 100, 3);
    write_entries(w, 3, 101, 103, 10);
    wal_close(w);
    w = open_log(dir, 0, &got, &rec);
    assert_int_equal(got.first, 101);
    assert_int_equal(got.last, 103);
    assert_int_equal(rec.snap_index, 100);
    assert_int_equal(rec.snap_term, 3);
    assert_int_equal(rec.hard_state.commit, 100);
    wal_close(w);
    drop_log(dir);
}

static void release_keeps_what_is_needed(void **state)
{
    char *dir = new_log("wal-release");
    struct wal_recovered rec;
    struct got got;
    struct err e = {0};
    struct wal *w = open_log(dir, 0, &got, &rec);

    write_hard_state(w, 2, 7, 0);
    for (uint64_t i = 1; i <= 100; i++)
        write_entries(w, 2, i, i, 700);
    uint64_t all = segments_of(w);
    assert_true(all > 5);
    assert_int_equal(wal_release(w, 60, &e), 0);
    assert_int_equal(segments_of(w), all); /* no mark yet */
    write_mark(w, 50, 2);
    assert_int_equal(wal_release(w, 60, &e), 0);
    assert_true(segments_of(w) < all);
    wal_close(w);

    w = open_log(dir, 50, &got, &rec);
    assert_int_equal(got.first, 51);
    assert_int_equal(got.last, 100);
    assert_int_equal(rec.snap_index, 50);
    assert_int_equal(rec.hard_state.term, 2);
    assert_int_equal(rec.hard_state.vote, 7);
    write_mark(w, 100, 2);
    assert_int_equal(wal_release(w, 100, &e), 0);
    assert_int_equal(segments_of(w), 1);
    wal_close(w);

    w = open_log(dir, 100, &got, &rec);
    assert_int_equal(got.last, 0);
    assert_int_equal(rec.last_index, 100);
    assert_int_equal(rec.last_term, 2);
    assert_int_equal(rec.hard_state.term, 2); /* carried along */
    write_entries(w, 2, 101, 101, 10);
    wal_close(w);
    drop_log(dir);
}

static void frames_that_break_the_order_are_refused(void **state)
{
    static const struct {
        const char *what;
        uint64_t term, index, last; /* entry; 0: none */
        uint64_t commit, mark;
    } rows[] = {
        {"gap", 2, 13, 13, 0, 0},
        {"changes a committed entry", 2, 5, 5, 0, 0},
        {"term goes back", 1, 11, 11, 0, 0},
        {"last_index is wrong", 2, 11, 12, 0, 0},
        {"commit behind the end", 0, 0, 0, 11, 0},
        {"mark goes back", 0, 0, 0, 0, 3},
    };
    char *dir = new_log("wal-order");
    struct wal_recovered rec;
    struct got got;
    struct wal *w = open_log(dir, 0, &got, &rec);

    write_entries(w, 2, 1, 10, 10);
    write_hard_state(w, 2, 7, 5);
    write_mark(w, 4, 2);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cleanup_buf struct buf frame;
        struct err e = {0};
        frame_begin(&frame);
        if (rows[i].index)
            test_frame_entry(&frame, rows[i].term, rows[i].index, 3);
        if (rows[i].commit)
            wal_frame_hard_state(&frame, &(struct raft_hard_state){2, 7, rows[i].commit});
        if (rows[i].mark)
            wal_frame_snapshot(&frame, rows[i].mark, 2);
        if (wal_write(w, &frame, rows[i].last, &e) != -EINVAL)
            fail_msg("%s: %s", rows[i].what, e.msg);
    }
    cleanup_buf struct buf frame;
    struct err e = {0};
    frame_begin(&frame);
    test_frame_entry(&frame, 2, 11, SEGMENT);
    assert_int_equal(wal_write(w, &frame, 11, &e), -EMSGSIZE);
    assert_false(wal_is_broken(w));
    write_entries(w, 2, 11, 11, 10);
    wal_close(w);
    drop_log(dir);
}

static void the_spare_is_counted_and_kept(void **state)
{
    char *dir = new_log("wal-spare");
    struct wal_recovered rec;
    struct got got;
    struct err e = {0};
    struct wal *w = open_log(dir, 0, &got, &rec);
    uint64_t empty = SEGMENT - WAL_SEGMENT_BEGIN;

    assert_true(wal_wants_spare(w));
    assert_int_equal(wal_room(w), empty);
    assert_int_equal(wal_prepare_spare(w, &e), 0);
    assert_int_equal(wal_prepare_spare(w, &e), 0);
    assert_false(wal_wants_spare(w));
    assert_int_equal(wal_room(w), empty);
    write_entries(w, 1, 1, 1, 5000);
    assert_int_equal(wal_room(w), empty); /* what surely fits in the spare */
    wal_close(w);

    w = open_log(dir, 0, &got, &rec); /* an untouched spare serves again */
    assert_false(wal_wants_spare(w));
    write_entries(w, 1, 2, 2, 5000);
    assert_true(wal_wants_spare(w));
    assert_int_equal(segments_of(w), 2);
    wal_close(w);

    char *path = xasprintf("%s/spare", dir);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(pwrite(fd, "x", 1, SEGMENT - 1), 1);
    close(fd);
    w = open_log(dir, 0, &got, &rec); /* a touched one does not */
    assert_true(wal_wants_spare(w));
    assert_int_equal(access(path, F_OK), -1);
    free(path);
    wal_close(w);
    drop_log(dir);
}

struct background {
    struct wal *w;
    atomic_bool stop;
    uint64_t made;
};

static void *make_spares(void *arg)
{
    struct background *b = arg;
    struct wal_stats st;

    while (!atomic_load(&b->stop)) {
        if (wal_wants_spare(b->w) && wal_prepare_spare(b->w, NULL) == 0)
            b->made++;
        wal_stats(b->w, &st);
        assert(wal_room(b->w) <= 2 * SEGMENT);
        assert(!wal_is_broken(b->w));
    }
    return NULL;
}

static void spares_are_made_while_frames_are_written(void **state)
{
    char *dir = new_log("wal-thread");
    struct wal_recovered rec;
    struct got got;
    struct background b = {.w = open_log(dir, 0, &got, &rec)};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, make_spares, &b), 0);
    for (uint64_t i = 1; i <= 200; i++)
        write_entries(b.w, 1, i, i, 2000);
    atomic_store(&b.stop, true);
    pthread_join(thread, NULL);
    assert_true(b.made > 0);
    wal_close(b.w);
    b.w = open_log(dir, 0, &got, &rec);
    assert_int_equal(got.last, 200);
    wal_close(b.w);
    drop_log(dir);
}

/* --- damage --- */

static char *log_of_segments(const char *name, uint64_t count)
{
    char *dir = new_log(name);
    struct wal_recovered rec;
    struct got got;
    struct wal *w = open_log(dir, 0, &got, &rec);

    for (uint64_t i = 1; segments_of(w) < count; i++)
        write_entries(w, 1, i, i, 900);
    wal_close(w);
    return dir;
}

static char *segment_path(const char *dir, uint64_t sequence)
{
    cleanup_close int fd = open(dir, O_RDONLY | O_DIRECTORY);
    cleanup_free struct wal_segment *list = NULL;
    size_t n = 0;
    char name[WAL_NAME_MAX];

    assert_int_equal(wal_segment_list(fd, &list, &n, NULL), 0);
    assert_true(sequence <= n);
    wal_segment_name(list[sequence - 1].sequence, list[sequence - 1].first_index, name);
    return xasprintf("%s/%s", dir, name);
}

static void change_byte(const char *path, off_t at, uint8_t value)
{
    cleanup_close int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, &value, 1, at), 1);
}

static void damage_is_refused_with_place_and_advice(void **state)
{
    enum { MISSING, FIRST_MISSING, CUT, FLIPPED, SLACK, RENAMED, OTHER_MEMBER, TWICE };
    static const struct {
        const char *text;
        int how;
    } rows[] = {
        {"expected segment 2 after segment 1, found segment 3: files are missing", MISSING},
        {"entries behind the snapshot mark are missing", FIRST_MISSING},
        {"was made with 8192 bytes and has 4096", CUT},
        {"frame 11: the checksum of its payload is wrong, but a later frame stands at", FLIPPED},
        {"its head is zeros, but its first sector is not", SLACK},
        {"the file says it is segment 2-9", RENAMED},
        {"belongs to member 1 of cluster 2", OTHER_MEMBER},
        {"one is there twice", TWICE},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *dir = log_of_segments("wal-damage", 4);
        char *path = segment_path(dir, rows[i].how == FIRST_MISSING ? 1 : 2);
        cleanup_free char *other = xasprintf("%s/%016x-%016x.wal", dir, 2, 8);
        struct err e = {0};
        switch (rows[i].how) {
        case MISSING:
        case FIRST_MISSING:
            unlink(path);
            break;
        case CUT:
            assert_int_equal(truncate(path, 4096), 0);
            break;
        case FLIPPED:
            change_byte(path, 300, 0);
            break;
        case SLACK:
            change_byte(path, 8150, 1);
            break;
        case RENAMED:
            rename(path, other);
            break;
        case TWICE:
            assert_int_equal(link(path, other), 0);
            break;
        case OTHER_MEMBER: {
            struct image im;
            image_init(&im, SEGMENT);
            im.head = (struct wal_segment_head){.segment_bytes = SEGMENT,
                                                .sequence = 2,
                                                .first_index = 9,
                                                .first_frame = 10,
                                                .meta = {.cluster_id = 2, .member_id = 1}};
            wal_segment_head_encode(&im.head, im.p);
            cleanup_close int fd = open(path, O_RDWR);
            assert_int_equal(pwrite(fd, im.p, im.n, 0), im.n);
            free(im.p);
        }
        }
        int r = open_error(dir, &e);
        if (r != ERR_DATA_DAMAGED || !strstr(e.msg, rows[i].text) ||
            !strstr(e.msg, "snapshot restore") || !strstr(e.msg, dir))
            fail_msg("want '%s', got %d '%s'", rows[i].text, r, e.msg);
        free(path);
        drop_log(dir);
    }
}

static void a_torn_tail_is_cut_off_and_reported(void **state)
{
    char *dir = new_log("wal-torn");
    struct wal_recovered rec;
    struct got got;
    struct wal *w = open_log(dir, 0, &got, &rec);

    write_entries(w, 1, 1, 3, 100);
    wal_close(w);
    uint8_t before[SEGMENT], after[SEGMENT];
    cleanup_free char *path = segment_path(dir, 1);
    cleanup_close int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, before, SEGMENT, 0), SEGMENT);
    w = open_log(dir, 0, &got, &rec);
    write_entries(w, 1, 4, 6, 700);
    wal_close(w);
    assert_int_equal(pread(fd, after, SEGMENT, 0), SEGMENT);

    memcpy(after + 1536, before + 1536, WAL_SECTOR);
    assert_int_equal(pwrite(fd, after, SEGMENT, 0), SEGMENT);
    w = open_log(dir, 0, &got, &rec);
    assert_int_equal(got.last, 3);
    assert_int_equal(rec.last_index, 3);
    assert_true(rec.torn_bytes > 2000);
    assert_true(rec.torn_offset < 1024);
    assert_non_null(strstr(path, rec.torn_file));
    assert_int_equal(pread(fd, after, SEGMENT, 0), SEGMENT);
    assert_memory_equal(before, after, SEGMENT);
    write_entries(w, 2, 4, 5, 10); /* and on it goes */
    wal_close(w);
    w = open_log(dir, 0, &got, &rec);
    assert_int_equal(got.last, 5);
    assert_int_equal(got.term[4], 2);
    assert_int_equal(rec.torn_bytes, 0);
    wal_close(w);
    drop_log(dir);
}

static int refuse_third(void *ctx, const struct raft_entry *entry)
{
    return entry->index == 3 ? -ECANCELED : 0;
}

static void an_answer_of_the_reader_stops_the_opening(void **state)
{
    char *dir = log_of_segments("wal-stop", 2);
    struct wal_recovered rec;
    struct wal *w = NULL;
    struct err e;

    assert_int_equal(wal_open_conf(dir, 0, refuse_third, NULL, &small, &rec, &w, &e), -ECANCELED);
    assert_null(w);
    drop_log(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_log_is_empty_and_made_once),
        cmocka_unit_test(the_real_segment_takes_the_largest_frame),
        cmocka_unit_test(everything_comes_back_over_many_segments_and_restarts),
        cmocka_unit_test(a_rewritten_tail_is_given_out_once),
        cmocka_unit_test(a_snapshot_from_elsewhere_replaces_the_log),
        cmocka_unit_test(release_keeps_what_is_needed),
        cmocka_unit_test(frames_that_break_the_order_are_refused),
        cmocka_unit_test(the_spare_is_counted_and_kept),
        cmocka_unit_test(spares_are_made_while_frames_are_written),
        cmocka_unit_test(damage_is_refused_with_place_and_advice),
        cmocka_unit_test(a_torn_tail_is_cut_off_and_reported),
        cmocka_unit_test(an_answer_of_the_reader_stops_the_opening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
