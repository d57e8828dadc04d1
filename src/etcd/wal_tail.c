/*
 * Where the good frames of a segment end: does the log simply end here, was the last write cut
 * short by a power loss, or was something durable changed? docs/formats/wal.md gives the reasoning;
 * it rests on these facts:
 *
 *   - a frame is begun only when the one before it is durable;
 *   - it is written over zeros, by one call that goes through as a whole; where that fails the
 * place is made zeros again first;
 *   - its last byte, of the trailer, is not 0;
 *   - a sector is written whole or not at all, in any order among the sectors of a frame;
 *   - a frame's head lies within one sector.
 */
#include "etcd/wal_internal.h"

bool wal_is_zero(const uint8_t *p, size_t n)
{
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

uint32_t wal_zero_sectors(const uint8_t *payload, size_t n, uint64_t frame_offset)
{
    uint32_t zeros = 0;
    size_t i = (size_t)(WAL_SECTOR - frame_offset % WAL_SECTOR) - WAL_FRAME_HEAD;

    for (; i < n; i += WAL_SECTOR)
        zeros += wal_is_zero(payload + i, MIN(n - i, (size_t)WAL_SECTOR));
    return zeros;
}

static size_t dirty_end_of(struct slice segment, size_t from)
{
    size_t end = segment.n;

    while (end - from >= WAL_SECTOR && wal_is_zero(segment.p + end - WAL_SECTOR, WAL_SECTOR))
        end -= WAL_SECTOR;
    while (end > from && segment.p[end - 1] == 0)
        end--;
    return end;
}

/* The place of a head of a later frame at or behind from; 0 when there is none. Its head is proof
 * enough that everything before it had been durable. */
static size_t later_frame(struct slice segment, uint32_t seed, size_t from, size_t end,
                          uint64_t expected)
{
    struct wal_frame_head fh;

    for (size_t at = from; at + WAL_FRAME_HEAD <= segment.n && at < end; at += WAL_FRAME_ALIGN) {
        if (get_le32(segment.p + at) != WAL_FRAME_MAGIC)
            continue;
        fh.sequence = 0;
        if (wal_frame_look(segment, seed, at, 0, &fh) == WAL_FRAME_MISPLACED &&
            fh.sequence > expected)
            return at;
    }
    return 0;
}

#define DAMAGED(e, offset, expected, fmt, ...)                                                     \
    err_set(e, ERR_DATA_DAMAGED, "offset %zu, frame %" PRIu64 ": " fmt, offset, expected,          \
            __VA_ARGS__)

static int judge_missing_head(struct slice segment, size_t offset, uint64_t expected, size_t dirty,
                              struct err *e)
{
    size_t sector_end = offset / WAL_SECTOR * WAL_SECTOR + WAL_SECTOR;

    if (!wal_is_zero(segment.p + offset, sector_end - offset))
        return DAMAGED(e, offset, expected, "%s",
                       "its head is zeros, but its first sector is not: changed after it was "
                       "written");
    if (dirty - offset > WAL_FRAME_BYTES_MAX)
        return DAMAGED(e, offset, expected,
                       "zeros, and bytes up to offset %zu: farther than one write reaches", dirty);
    return 1;
}

static int judge_bad_payload(struct slice segment, const struct wal_frame_head *fh, uint32_t seed,
                             size_t offset, uint64_t expected, size_t dirty, struct err *e)
{
    struct slice payload = {segment.p + offset + WAL_FRAME_HEAD, fh->payload_bytes};
    uint32_t zeros = wal_zero_sectors(payload.p, payload.n, offset);

    if (dirty > offset + WAL_FRAME_HEAD + payload.n)
        return DAMAGED(e, offset, expected,
                       "payload of %zu bytes is wrong, and something was written behind it "
                       "(up to offset %zu)",
                       payload.n, dirty);
    if (zeros <= fh->zero_sectors && !wal_trailer_missing(payload))
        return DAMAGED(e, offset, expected,
                       "checksum of the payload of %zu bytes: stored %08x, computed %08x, and no "
                       "sector of it is missing: changed after it was written",
                       payload.n, fh->payload_crc, wal_payload_crc(seed, fh->sequence, payload));
    return 1;
}

int wal_tail_judge(struct slice segment, uint32_t seed, size_t offset, uint64_t expected,
                   bool is_last, size_t *ret_dirty_end, struct err *e)
{
    struct wal_frame_head fh = {0};
    enum wal_frame_state state = wal_frame_look(segment, seed, offset, expected, &fh);
    size_t dirty = dirty_end_of(segment, offset);
    int r;

    assert(state != WAL_FRAME_GOOD);
    *ret_dirty_end = dirty;
    if (offset == WAL_SEGMENT_HEAD) /* durable before the segment got its name */
        return DAMAGED(e, offset, expected, "%s", "the segment's first frame is missing or wrong");
    if (dirty == offset)
        return 0;
    if (state == WAL_FRAME_BAD_HEAD && dirty - offset >= WAL_FRAME_HEAD)
        return DAMAGED(e, offset, expected, "%s",
                       "its head is wrong, and a sector is never half written: changed after it "
                       "was written");
    if (state == WAL_FRAME_MISPLACED)
        return DAMAGED(e, offset, expected, "found the head of frame %" PRIu64 " with %u bytes",
                       fh.sequence, fh.payload_bytes);
    size_t later = later_frame(segment, seed, offset + WAL_FRAME_ALIGN, dirty, expected);
    if (later)
        return DAMAGED(e, offset, expected,
                       "%s, but a later frame stands at offset %zu, so it had been durable",
                       state == WAL_FRAME_ZERO ? "missing" : "the checksum of its payload is wrong",
                       later);
    if (state == WAL_FRAME_BAD_HEAD)
        r = 1; /* a call that stopped within the head: nothing stands behind it */
    else if (state == WAL_FRAME_ZERO)
        r = judge_missing_head(segment, offset, expected, dirty, e);
    else
        r = judge_bad_payload(segment, &fh, seed, offset, expected, dirty, e);
    if (r == 1 && !is_last)
        return DAMAGED(e, offset, expected, "%s",
                       "half written, but a newer segment was begun behind it, so it had been "
                       "durable");
    if (r == 1)
        err_set(e, ERR_TORN_TAIL, "offset %zu: frame %" PRIu64 " was not written to its end",
                offset, expected);
    return r;
}
