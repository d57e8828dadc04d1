/*
 * fuzz_wal: any bytes as a segment, and, since checksums would stop nearly all of them at the door,
 * the same bytes as the records of a frame and as the tail behind a good log.
 */
#include "etcd/wal_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_INPUT_MAX (64 * 1024)

struct bounds {
    const uint8_t *from, *to;
    size_t records;
};

static int check_record(void *ctx, const struct wal_record *rec)
{
    struct bounds *b = ctx;

    b->records++;
    if (rec->type == WAL_RECORD_ENTRY && rec->entry.data.n) {
        assert(rec->entry.data.p >= b->from);
        assert(rec->entry.data.p + rec->entry.data.n <= b->to);
    }
    return 0;
}

static int scan(struct slice segment, bool is_last, size_t *ret_end)
{
    struct bounds b = {.from = segment.p, .to = segment.p + segment.n};
    struct wal_meta meta;
    uint64_t sequence = 0;
    struct err e = {0};
    int r = wal_scan(segment, is_last, &sequence, &meta, check_record, &b, ret_end, &e);

    assert(*ret_end <= segment.n);
    assert(r == 0 || e.msg[0]);
    assert(r <= 0 || is_last);
    return r;
}

/* A segment with a good beginning and room for n more bytes. */
static uint8_t *begin_segment(size_t n, size_t *ret_bytes, struct wal_segment_head *ret_head)
{
    size_t bytes = (WAL_SEGMENT_BEGIN + n + WAL_SECTOR - 1) / WAL_SECTOR * WAL_SECTOR;
    uint8_t *p = xcalloc(1, bytes);
    struct wal_state state;

    *ret_head = (struct wal_segment_head){
        .segment_bytes = (uint32_t)bytes, .sequence = 1, .first_index = 1, .first_frame = 1};
    wal_state_init(&state, 1);
    wal_segment_begin(ret_head, &state, p);
    *ret_bytes = bytes;
    return p;
}

static void as_records(struct slice input)
{
    struct wal_segment_head head;
    cleanup_buf struct buf frame;
    size_t bytes, end;

    buf_init(&frame, WAL_FRAME_BYTES_MAX);
    wal_frame_begin(&frame);
    if (buf_append_slice(&frame, input) < 0 || wal_frame_pad(&frame) < 0)
        abort();
    cleanup_free uint8_t *p = begin_segment(frame.n, &bytes, &head);
    wal_frame_seal(frame.p, frame.n, head.seed, WAL_SEGMENT_BEGIN, 2);
    memcpy(p + WAL_SEGMENT_BEGIN, frame.p, frame.n);
    int r = scan(slice_of(p, bytes), true, &end);
    assert(r != 1);
    assert(end == (r == 0 ? WAL_SEGMENT_BEGIN + frame.n : WAL_SEGMENT_BEGIN));
}

static void as_tail(struct slice input)
{
    struct wal_segment_head head;
    size_t bytes, end, end_cut;
    cleanup_free uint8_t *p = begin_segment(input.n, &bytes, &head);

    if (input.n)
        memcpy(p + WAL_SEGMENT_BEGIN, input.p, input.n);
    if (scan(slice_of(p, bytes), true, &end) != 1)
        return;
    /* What is torn is clean once it is cut off. */
    memset(p + end, 0, bytes - end);
    int r = scan(slice_of(p, bytes), true, &end_cut);
    assert(r == 0);
    assert(end_cut == end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {data, size};
    size_t end;

    if (size > FUZZ_INPUT_MAX)
        return 0;
    scan(input, true, &end);
    scan(input, false, &end);
    as_records(input);
    as_tail(input);
    return 0;
}
