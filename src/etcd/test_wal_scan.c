#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc32c.h"
#include "base/rng.h"
#include "etcd/test_wal_util.h"

struct seen {
    uint64_t entries, last_index;
    bool altered;
};

static int note(void *ctx, const struct wal_record *rec)
{
    struct seen *seen = ctx;

    if (rec->type != WAL_RECORD_ENTRY)
        return 0;
    seen->entries++;
    seen->altered |= rec->entry.index != seen->last_index + 1 || rec->entry.term != 5 ||
                     !test_is_filled(rec->entry.data, rec->entry.index);
    seen->last_index = rec->entry.index;
    return 0;
}

static int scan(const struct image *im, const uint8_t *p, bool is_last, struct seen *seen,
                size_t *ret_end, struct err *e)
{
    struct wal_meta meta;
    uint64_t sequence = im->head.first_frame;

    *seen = (struct seen){0};
    *e = (struct err){0};
    return wal_scan(slice_of(p, im->n), is_last, &sequence, &meta, note, seen, ret_end, e);
}

static void records_come_back_as_they_were_written(void **state)
{
    struct image im;
    struct seen seen;
    struct err e;
    size_t end;

    image_init(&im, 8192);
    static const size_t sizes[] = {0, 1, 7, 8, 9, 31, 32, 33, 480, 512, 1000, 3000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        image_append_entry(&im, i + 1, sizes[i]);
    assert_int_equal(scan(&im, im.p, true, &seen, &end, &e), 0);
    assert_int_equal(seen.entries, ARRAY_LEN(sizes));
    assert_false(seen.altered);
    assert_int_equal(end, im.end);
    assert_int_equal(scan(&im, im.p, false, &seen, &end, &e), 0);
    free(im.p);
}

static int collect(void *ctx, const struct wal_record *rec)
{
    struct wal_record **to = ctx;
    *(*to)++ = *rec;
    return 0;
}

static void a_frame_holds_records_of_every_type(void **state)
{
    cleanup_buf struct buf frame;
    struct image im;
    struct wal_record recs[8], *to = recs;
    struct wal_meta meta;
    uint64_t sequence = 0;
    size_t end;
    struct err e;

    image_init(&im, 2048);
    buf_init(&frame, WAL_FRAME_BYTES_MAX);
    wal_frame_begin(&frame);
    assert_true(wal_frame_empty(&frame));
    struct raft_hard_state hs = {.term = 6, .vote = 9, .commit = 77};
    struct raft_entry entry = {
        .term = 6, .index = 78, .type = RAFT_ENTRY_CONF_CHANGE, .data = slice_str("member")};
    assert_int_equal(wal_frame_hard_state(&frame, &hs), 0);
    assert_int_equal(wal_frame_entry(&frame, &entry), 0);
    assert_int_equal(wal_frame_snapshot(&frame, 70, 4), 0);
    assert_false(wal_frame_empty(&frame));
    image_append(&im, &frame);

    assert_int_equal(wal_scan(slice_of(im.p, im.n), true, &sequence, &meta, collect, &to, &end, &e),
                     0);
    assert_int_equal(sequence, im.sequence);
    assert_int_equal(meta.cluster_id, test_meta.cluster_id);
    assert_int_equal(meta.member_id, test_meta.member_id);
    assert_int_equal(to - recs, 5); /* two of the carry frame */
    assert_int_equal(recs[2].type, WAL_RECORD_HARD_STATE);
    assert_memory_equal(&recs[2].hard_state, &hs, sizeof hs);
    assert_int_equal(recs[3].type, WAL_RECORD_ENTRY);
    assert_int_equal(recs[3].entry.type, RAFT_ENTRY_CONF_CHANGE);
    assert_true(slice_eq_str(recs[3].entry.data, "member"));
    assert_int_equal(recs[4].snap_index, 70);
    assert_int_equal(recs[4].snap_term, 4);
    free(im.p);
}

static void a_full_frame_says_so(void **state)
{
    cleanup_buf struct buf frame;
    cleanup_free uint8_t *data = xcalloc(1, WAL_FRAME_BYTES_MAX + 1);
    struct raft_entry entry = {.term = 1, .index = 1};

    buf_init(&frame, WAL_FRAME_BYTES_MAX);
    wal_frame_begin(&frame);
    entry.data = slice_of(data, WAL_FRAME_BYTES_MAX + 1);
    assert_int_equal(wal_frame_entry(&frame, &entry), -ENOBUFS);
    entry.data = slice_of(data, WAL_FRAME_BYTES_MAX - WAL_FRAME_HEAD - WAL_RECORD_HEAD -
                                    WAL_FRAME_TRAILER + 1);
    assert_int_equal(wal_frame_entry(&frame, &entry), -ENOBUFS);
    assert_true(wal_frame_empty(&frame));
    entry.data.n--;
    assert_int_equal(wal_frame_entry(&frame, &entry), 0);
    assert_int_equal(wal_frame_pad(&frame), 0);
    assert_int_equal(frame.n, WAL_FRAME_BYTES_MAX);
    assert_int_equal(wal_frame_snapshot(&frame, 1, 1), -ENOBUFS);
}

/* Each bit of a log in turn: refused, or (behind its end, in the newest segment) cut off without
 * losing anything. Never a changed entry, never one less. */
static void no_flipped_bit_goes_unseen(void **state)
{
    struct image im;
    struct seen seen;
    struct err e;
    size_t end, cut = 0;

    image_init(&im, 3072);
    for (uint64_t i = 1; i <= 8; i++)
        image_append_entry(&im, i, i * 43 % 500);
    assert_true(im.end > 1500);
    for (size_t bit = 0; bit < im.n * 8; bit++) {
        im.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (scan(&im, im.p, false, &seen, &end, &e) >= 0)
            fail_msg("byte %zu of a full segment: unseen", bit / 8);
        assert_true(e.msg[0]);
        assert_false(seen.altered);
        int r = scan(&im, im.p, true, &seen, &end, &e);
        assert_false(seen.altered);
        if (r >= 0 && (r != 1 || bit / 8 < im.end || seen.entries != 8 || end != im.end))
            fail_msg("byte %zu of the newest segment: %d, %" PRIu64 " entries", bit / 8, r,
                     seen.entries);
        cut += r == 1;
        im.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(cut > 0);
    free(im.p);
}

/* --- torn writes --- */

/* The data of the last frame: what the sectors of zeros in it make hard to tell. */
static const struct torn_row {
    const char *what;
    size_t before; /* bytes of the entry before: moves the frame against the sectors */
    size_t n;
    size_t zero_from, zero_to; /* range of zeros within the data */
} torn_rows[] = {
    {"one sector", 0, 100, 0, 0},
    {"head alone in its sector", 264, 900, 0, 0},
    {"head at the end of a sector", 232, 900, 0, 0},
    {"four sectors", 17, 1600, 0, 0},
    {"seven sectors", 300, 3100, 0, 0},
    {"zeros in the middle", 17, 2500, 700, 1900},
    {"zeros at the end", 17, 2500, 900, 2500},
    {"zeros at the beginning", 17, 2500, 0, 2000},
    {"all zeros", 17, 2500, 0, 2500},
    {"few bytes in the last sector", 17, 1100, 0, 0},
};

static void zero_sector(uint8_t *p, size_t n, size_t sector, const uint8_t *old)
{
    size_t from = sector * WAL_SECTOR;
    memcpy(p + from, old + from, MIN(n - from, (size_t)WAL_SECTOR));
}

static void check_torn(const struct torn_row *row, const struct image *im, size_t before_end,
                       const uint8_t *before, const uint8_t *now, struct rng *rng)
{
    struct seen seen;
    struct err e;
    size_t end;
    int r = scan(im, now, true, &seen, &end, &e);

    if (memcmp(now, im->p, im->n) == 0) {
        assert_int_equal(r, 0);
        assert_int_equal(end, im->end);
        return;
    }
    if (r < 0 || end != before_end || seen.entries != 1 || seen.altered)
        fail_msg("%s: %d, end %zu (before %zu): %s", row->what, r, end, before_end, e.msg);
    assert_int_equal(r, memcmp(now, before, im->n) == 0 ? 0 : 1);

    /* A crash while it is cut off leaves a torn tail again. */
    cleanup_free uint8_t *half = xmalloc(im->n);
    memcpy(half, now, im->n);
    for (size_t s = 0; s < im->n / WAL_SECTOR; s++)
        if (rng_below(rng, 2))
            zero_sector(half, im->n, s, before);
    if (scan(im, half, true, &seen, &end, &e) < 0 || end != before_end)
        fail_msg("%s: cut off halfway: %s", row->what, e.msg);
}

static void any_sectors_of_the_last_write_may_be_missing(void **state)
{
    struct rng rng;

    rng_seed(&rng, 5);
    for (size_t i = 0; i < ARRAY_LEN(torn_rows); i++) {
        const struct torn_row *row = &torn_rows[i];
        cleanup_free uint8_t *data = xmalloc(row->n), *before = xmalloc(8192), *now = xmalloc(8192);
        struct image im;
        image_init(&im, 8192);
        image_append_entry(&im, 1, row->before);
        memcpy(before, im.p, im.n);
        size_t from = im.end;
        test_fill(data, row->n, 2);
        memset(data + row->zero_from, 0, row->zero_to - row->zero_from);
        image_append_data(&im, 2, slice_of(data, row->n));

        size_t first = from / WAL_SECTOR, n = (im.end - 1) / WAL_SECTOR - first + 1;
        assert_true(n < 12);
        for (size_t subset = 0; subset < (size_t)1 << n; subset++) {
            memcpy(now, im.p, im.n);
            for (size_t s = 0; s < n; s++)
                if (!(subset >> s & 1))
                    zero_sector(now, im.n, first + s, before);
            check_torn(row, &im, from, before, now, &rng);
        }
        free(im.p);
    }
}

/* A call that stopped on its way: everything behind some byte is missing. */
static void a_write_may_end_at_any_byte(void **state)
{
    for (size_t before = 0; before < 600; before += 64) {
        struct image im;
        struct seen seen;
        struct err e;
        size_t end;
        image_init(&im, 4096);
        image_append_entry(&im, 1, before);
        size_t from = im.end;
        image_append_entry(&im, 2, 1100);
        for (size_t n = im.end; n-- > from;) {
            im.p[n] = 0;
            int r = scan(&im, im.p, true, &seen, &end, &e);
            if (r < 0 || end != from || seen.entries != 1)
                fail_msg("%zu of %zu bytes: %s", n - from, im.end - from, e.msg);
        }
        free(im.p);
    }
}

/* Zeros that belong to the data do not make a changed byte elsewhere look like a torn write. */
static void a_changed_byte_beside_zeros_is_damage(void **state)
{
    struct image im;
    struct seen seen;
    struct err e;
    size_t end;
    uint8_t data[2500];

    image_init(&im, 8192);
    test_fill(data, sizeof data, 1);
    memset(data + 700, 0, 1200);
    image_append_data(&im, 1, slice_of(data, sizeof data));
    im.p[im.end - 100]++;
    assert_int_equal(scan(&im, im.p, true, &seen, &end, &e), ERR_DATA_DAMAGED);
    assert_non_null(strstr(e.msg, "no sector of it is missing"));
    free(im.p);
}

/* A lost sector of anything but the last frame is damage, wherever it lies. */
static void a_zeroed_sector_of_a_durable_frame_is_damage(void **state)
{
    struct image im;
    struct seen seen;
    struct err e;
    size_t end, last_frame = 0;

    image_init(&im, 16384);
    for (uint64_t i = 1; i <= 12; i++) {
        last_frame = im.end;
        image_append_entry(&im, i, i * 431 % 1500);
    }
    cleanup_free uint8_t *now = xmalloc(im.n);
    for (size_t s = 0; s < im.end / WAL_SECTOR; s++) {
        memcpy(now, im.p, im.n);
        memset(now + s * WAL_SECTOR, 0, WAL_SECTOR);
        if (scan(&im, now, false, &seen, &end, &e) >= 0)
            fail_msg("sector %zu of a full segment", s);
        int r = scan(&im, now, true, &seen, &end, &e);
        if (r >= 0 && s * WAL_SECTOR < last_frame)
            fail_msg("sector %zu: %d", s, r);
        if (r < 0 && s != 0)
            assert_non_null(strstr(e.msg, "offset"));
    }
    free(im.p);
}

static void torn_frames_are_damage_when_a_newer_segment_follows(void **state)
{
    struct image im;
    struct seen seen;
    struct err e;
    size_t end;

    image_init(&im, 4096);
    image_append_entry(&im, 1, 100);
    size_t from = im.end;
    image_append_entry(&im, 2, 2000);
    memset(im.p + 1024, 0, WAL_SECTOR);
    assert_int_equal(scan(&im, im.p, true, &seen, &end, &e), 1);
    assert_int_equal(end, from);
    assert_int_equal(e.code, ERR_TORN_TAIL);
    assert_int_equal(scan(&im, im.p, false, &seen, &end, &e), ERR_DATA_DAMAGED);
    assert_non_null(strstr(e.msg, "newer segment"));
    free(im.p);
}

/* Somebody stores a log in the store: its frames within the value are never taken for ours. */
static void a_log_inside_a_value_is_only_data(void **state)
{
    struct image inner, im;
    struct seen seen;
    struct err e;
    size_t end;

    image_init(&inner, 2048);
    inner.sequence = 1000;
    for (uint64_t i = 1; i < 5; i++)
        image_append_entry(&inner, i, 100);
    image_init(&im, 8192);
    image_append_entry(&im, 1, 8); /* the value begins 8 bytes off; both alignments of the copy */
    size_t from = im.end;
    for (size_t shift = 0; shift < 32; shift += 8) {
        cleanup_free uint8_t *data = xcalloc(1, inner.n + shift);
        memcpy(data + shift, inner.p, inner.n);
        im.end = from;
        im.sequence = 9;
        image_append_data(&im, 2, slice_of(data, inner.n + shift));
        cleanup_free uint8_t *now = xmalloc(im.n);
        memcpy(now, im.p, im.n);
        memset(now + from, 0, WAL_SECTOR - from % WAL_SECTOR); /* the head is missing */
        assert_int_equal(scan(&im, now, true, &seen, &end, &e), 1);
        assert_int_equal(end, from);
        memset(im.p + from, 0, im.n - from);
    }
    free(inner.p);
    free(im.p);
}

/* --- heads and orders --- */

static void reseal_head(struct image *im)
{
    wal_segment_head_encode(&im->head, im->p);
}

static void wrong_segments_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *what;
        int want;
        const char *text;
    } rows[] = {
        {"empty", ERR_FORMAT, "too few"},
        {"short head", ERR_FORMAT, "too few"},
        {"other file", ERR_FORMAT, "not a log segment"},
        {"bad head checksum", ERR_DATA_DAMAGED, "checksum of the segment's head"},
        {"later version", ERR_FORMAT, "version 2"},
        {"cut file", ERR_DATA_DAMAGED, "was made with 4096 bytes and has 2048"},
        {"other frame expected", ERR_DATA_DAMAGED, "begins with frame 7, expected frame 6"},
        {"first frame missing", ERR_DATA_DAMAGED, "first frame"},
        {"frame of another segment", ERR_DATA_DAMAGED, "its head is wrong"},
        {"frame twice", ERR_DATA_DAMAGED, "its head is wrong"},
        {"malformed record", ERR_DATA_DAMAGED, "malformed record"},
        {"frame number leaps", ERR_DATA_DAMAGED, "found the head of frame 11"},
        {"far bytes behind the end", 1, "not written to its end"},
        {"bytes behind a bad frame", ERR_DATA_DAMAGED, "something was written behind it"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct image im, other;
        struct wal_meta meta;
        struct err e = {0};
        uint64_t sequence = 7;
        size_t end;
        image_init(&im, 4096);
        image_init(&other, 4096);
        image_append_entry(&im, 1, 700);
        size_t n = im.n, second = im.end;
        image_append_entry(&im, 2, 100);
        switch (i) {
        case 0:
            n = 0;
            break;
        case 1:
            n = 63;
            break;
        case 2:
            im.p[3]++;
            break;
        case 3:
            im.p[33]++;
            break;
        case 4: {
            uint8_t *p = im.p;
            put_le32(p + 8, 2);
            put_le32(p + 60, 0);
            /* a head of version 2 with a right checksum */

            put_le32(p + 60, crc32c(0, p, 60));
            break;
        }
        case 5:
            n = 2048;
            break;
        case 6:
            sequence = 6;
            break;
        case 7:
            memset(im.p + WAL_SEGMENT_HEAD, 0, im.n - WAL_SEGMENT_HEAD);
            break;
        case 8:
            other.head.sequence++;
            reseal_head(&other);
            image_append_entry(&other, 1, 700);
            image_append_entry(&other, 2, 100);
            memcpy(im.p + second, other.p + second, other.end - second);
            break;
        case 9:
            memcpy(im.p + im.end, im.p + second, im.end - second);
            break;
        case 10:
            im.p[second + WAL_FRAME_HEAD] = 99;
            wal_frame_seal(im.p + second, im.end - second, im.head.seed, second, 9);
            break;
        case 11:
            im.sequence++;
            image_append_entry(&im, 3, 10);
            break;
        case 12:
            im.p[im.n - 1] = 1;
            break;
        case 13:
            im.p[second + 100]++;
            im.p[im.n - 1] = 1;
            break;
        }
        struct slice s = slice_of(im.p, n);
        int r = wal_scan(s, true, &sequence, &meta, NULL, NULL, &end, &e);
        if (r != rows[i].want || !strstr(e.msg, rows[i].text))
            fail_msg("%s: %d %s", rows[i].what, r, e.msg);
        free(im.p);
        free(other.p);
    }
}

static int stop_at_second(void *ctx, const struct wal_record *rec)
{
    return rec->type == WAL_RECORD_ENTRY && rec->entry.index == 2 ? -ECANCELED : 0;
}

static void a_negative_answer_stops_the_scan(void **state)
{
    struct image im;
    struct wal_meta meta;
    uint64_t sequence = 0;
    size_t end;
    struct err e;

    image_init(&im, 4096);
    for (uint64_t i = 1; i < 4; i++)
        image_append_entry(&im, i, 10);
    assert_int_equal(
        wal_scan(slice_of(im.p, im.n), true, &sequence, &meta, stop_at_second, NULL, &end, &e),
        -ECANCELED);
    free(im.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_back_as_they_were_written),
        cmocka_unit_test(a_frame_holds_records_of_every_type),
        cmocka_unit_test(a_full_frame_says_so),
        cmocka_unit_test(no_flipped_bit_goes_unseen),
        cmocka_unit_test(any_sectors_of_the_last_write_may_be_missing),
        cmocka_unit_test(a_write_may_end_at_any_byte),
        cmocka_unit_test(a_changed_byte_beside_zeros_is_damage),
        cmocka_unit_test(a_zeroed_sector_of_a_durable_frame_is_damage),
        cmocka_unit_test(torn_frames_are_damage_when_a_newer_segment_follows),
        cmocka_unit_test(a_log_inside_a_value_is_only_data),
        cmocka_unit_test(wrong_segments_are_refused_with_a_reason),
        cmocka_unit_test(a_negative_answer_stops_the_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
