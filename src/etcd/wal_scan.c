#include "base/crc32c.h"
#include "etcd/wal_internal.h"

static const char segment_magic[8] = {'s', 't', 'e', 'a', 'd', 'w', 'a', 'l'};

/* magic 8, version u32, segment bytes u32, sequence u64, first index u64, cluster u64, member u64,
 * first frame u64, 0 u32, crc u32. */
void wal_segment_head_encode(struct wal_segment_head *h, uint8_t *ret)
{
    memcpy(ret, segment_magic, sizeof segment_magic);
    put_le32(ret + 8, WAL_VERSION);
    put_le32(ret + 12, h->segment_bytes);
    put_le64(ret + 16, h->sequence);
    put_le64(ret + 24, h->first_index);
    put_le64(ret + 32, h->meta.cluster_id);
    put_le64(ret + 40, h->meta.member_id);
    put_le64(ret + 48, h->first_frame);
    put_le32(ret + 56, 0);
    h->seed = crc32c(0, ret, WAL_SEGMENT_HEAD - 4);
    put_le32(ret + 60, h->seed);
}

static int check_head(struct slice segment, struct err *e)
{
    const uint8_t *p = segment.p;

    if (segment.n < WAL_SEGMENT_HEAD)
        return err_set(e, ERR_FORMAT, "%zu bytes are too few for a log segment", segment.n);
    uint32_t want = get_le32(p + 60), got = crc32c(0, p, WAL_SEGMENT_HEAD - 4);
    if (memcmp(p, segment_magic, sizeof segment_magic) != 0)
        return err_set(e, ERR_FORMAT, "offset 0: not a log segment: it does not begin with '%.8s'",
                       segment_magic);
    if (want != got)
        return err_set(e, ERR_DATA_DAMAGED,
                       "offset 0: checksum of the segment's head: stored %08x, computed %08x", want,
                       got);
    if (get_le32(p + 8) != WAL_VERSION)
        return err_set(e, ERR_FORMAT, "log format version %u, this program knows version %u",
                       get_le32(p + 8), WAL_VERSION);
    return 0;
}

int wal_segment_head_parse(struct slice segment, struct wal_segment_head *ret, struct err *e)
{
    int r = check_head(segment, e);

    if (r < 0)
        return r;
    const uint8_t *p = segment.p;
    *ret = (struct wal_segment_head){
        .segment_bytes = get_le32(p + 12),
        .sequence = get_le64(p + 16),
        .first_index = get_le64(p + 24),
        .meta = {.cluster_id = get_le64(p + 32), .member_id = get_le64(p + 40)},
        .first_frame = get_le64(p + 48),
        .seed = get_le32(p + 60),
    };
    if (ret->segment_bytes != segment.n)
        return err_set(e, ERR_DATA_DAMAGED, "the segment was made with %u bytes and has %zu",
                       ret->segment_bytes, segment.n);
    if (segment.n % WAL_SECTOR || segment.n < WAL_SEGMENT_BEGIN || ret->sequence == 0 ||
        ret->first_index == 0 || ret->first_frame == 0)
        return err_set(e, ERR_DATA_DAMAGED, "offset 0: the segment's head makes no sense");
    return 0;
}

/* All records first, so that none of a frame with a bad one is handed out. */
static int check_records(struct slice payload, size_t offset, uint64_t sequence,
                         struct slice *ret_records, struct err *e)
{
    struct wal_record rec;
    int r = wal_payload_records(payload, ret_records);
    struct slice rest = *ret_records;

    while (r == 0 && (r = wal_record_next(&rest, &rec)) > 0)
        r = 0;
    if (r < 0)
        return err_set(e, ERR_DATA_DAMAGED,
                       "offset %zu: frame %" PRIu64
                       " is whole but holds a malformed record: written by a faulty program",
                       offset, sequence);
    return 0;
}

static int give_records(struct slice records, int (*each)(void *ctx, const struct wal_record *rec),
                        void *ctx)
{
    struct wal_record rec;

    while (each && wal_record_next(&records, &rec) > 0) {
        int r = each(ctx, &rec);
        if (r < 0)
            return r;
    }
    return 0;
}

int wal_scan_segment(struct slice segment, bool is_last, uint64_t *io_sequence,
                     int (*each)(void *ctx, const struct wal_record *rec), void *ctx,
                     struct wal_scanned *ret, struct err *e)
{
    *ret = (struct wal_scanned){0};
    int r = wal_segment_head_parse(segment, &ret->head, e);
    if (r < 0)
        return r;
    if (*io_sequence && *io_sequence != ret->head.first_frame)
        return err_set(e, ERR_DATA_DAMAGED,
                       "the segment begins with frame %" PRIu64 ", expected frame %" PRIu64
                       ": frames before it are missing",
                       ret->head.first_frame, *io_sequence);
    *io_sequence = ret->head.first_frame;
    ret->last = ret->end = WAL_SEGMENT_HEAD;

    struct wal_frame_head fh;
    while (wal_frame_look(segment, ret->head.seed, ret->end, *io_sequence, &fh) == WAL_FRAME_GOOD) {
        struct slice payload = {segment.p + ret->end + WAL_FRAME_HEAD, fh.payload_bytes}, records;
        r = check_records(payload, ret->end, fh.sequence, &records, e);
        if (r == 0)
            r = give_records(records, each, ctx);
        if (r < 0)
            return r;
        ret->last = ret->end;
        ret->end += WAL_FRAME_HEAD + fh.payload_bytes;
        ret->frames++;
        (*io_sequence)++;
    }
    ret->dirty_end = ret->end;
    return wal_tail_judge(segment, ret->head.seed, ret->end, *io_sequence, is_last, &ret->dirty_end,
                          e);
}

int wal_scan(struct slice segment, bool is_last, uint64_t *io_sequence, struct wal_meta *ret_meta,
             int (*each)(void *ctx, const struct wal_record *rec), void *ctx, size_t *ret_offset,
             struct err *e)
{
    struct wal_scanned sc;
    int r = wal_scan_segment(segment, is_last, io_sequence, each, ctx, &sc, e);

    *ret_meta = sc.head.meta;
    *ret_offset = sc.end;
    return r;
}
