#include "base/crc32c.h"
#include "etcd/wal_internal.h"

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

void wal_frame_begin(struct buf *frame)
{
    static const uint8_t head[WAL_FRAME_HEAD];

    assert(frame->max >= WAL_FRAME_BYTES_MAX);
    buf_clear(frame);
    if (buf_append(frame, head, sizeof head) < 0)
        abort(); /* no memory for 32 bytes */
}

bool wal_frame_empty(const struct buf *frame)
{
    return frame->n <= WAL_FRAME_HEAD;
}

/* type u8, entry type u8, 0 u16, data bytes u32, term u64, index u64, data, padding to 8. */
static int record_append(struct buf *frame, enum wal_record_type type, uint8_t entry_type,
                         uint64_t term, uint64_t index, struct slice data)
{
    assert(frame->n >= WAL_FRAME_HEAD);
    assert(frame->n % WAL_RECORD_ALIGN == 0);
    if (data.n > WAL_FRAME_BYTES_MAX)
        return -ENOBUFS;
    size_t n = WAL_RECORD_HEAD + round_up(data.n, WAL_RECORD_ALIGN);
    if (round_up(frame->n + n + WAL_FRAME_TRAILER, WAL_FRAME_ALIGN) > WAL_FRAME_BYTES_MAX)
        return -ENOBUFS;
    int r = buf_reserve(frame, n);
    if (r < 0)
        return r;

    uint8_t *p = frame->p + frame->n;
    memset(p, 0, WAL_RECORD_HEAD);
    memset(p + n - WAL_RECORD_ALIGN, 0, WAL_RECORD_ALIGN);
    p[0] = (uint8_t)type;
    p[1] = entry_type;
    put_le32(p + 4, (uint32_t)data.n);
    put_le64(p + 8, term);
    put_le64(p + 16, index);
    if (data.n)
        memcpy(p + WAL_RECORD_HEAD, data.p, data.n);
    frame->n += n;
    return 0;
}

int wal_frame_hard_state(struct buf *frame, const struct raft_hard_state *hs)
{
    uint8_t vote[8];

    put_le64(vote, hs->vote);
    return record_append(frame, WAL_RECORD_HARD_STATE, 0, hs->term, hs->commit,
                         slice_of(vote, sizeof vote));
}

int wal_frame_entry(struct buf *frame, const struct raft_entry *entry)
{
    return record_append(frame, WAL_RECORD_ENTRY, (uint8_t)entry->type, entry->term, entry->index,
                         entry->data);
}

int wal_frame_snapshot(struct buf *frame, uint64_t index, uint64_t term)
{
    return record_append(frame, WAL_RECORD_SNAPSHOT, 0, term, index, SLICE_EMPTY);
}

static const uint8_t trailer[WAL_FRAME_TRAILER] = {'f', 'r', 'a', 'm', 'e', 'e', 'n', 'd'};

int wal_frame_pad(struct buf *frame)
{
    static const uint8_t zeros[WAL_FRAME_ALIGN];
    size_t end = round_up(frame->n + sizeof trailer, WAL_FRAME_ALIGN);
    int r = buf_append(frame, zeros, end - sizeof trailer - frame->n);

    return r < 0 ? r : buf_append(frame, trailer, sizeof trailer);
}

int wal_payload_records(struct slice payload, struct slice *ret)
{
    assert(payload.n >= sizeof trailer);
    *ret = slice_of(payload.p, payload.n - sizeof trailer);
    return memcmp(ret->p + ret->n, trailer, sizeof trailer) == 0 ? 0 : ERR_MALFORMED;
}

bool wal_trailer_missing(struct slice payload)
{
    return payload.p[payload.n - 1] == 0; /* its last byte: the call may have stopped within it */
}

uint32_t wal_payload_crc(uint32_t seed, uint64_t sequence, struct slice payload)
{
    uint8_t at[8];

    put_le64(at, sequence);
    return crc32c(crc32c(seed, at, sizeof at), payload.p, payload.n);
}

/* magic u32, payload bytes u32, sequence u64, payload crc u32, zero sectors u32, 0 u32, head crc
 * u32. The checksums cover which segment, place and number the frame was written for, so that no
 * copy of a frame, in a value or left elsewhere, is ever taken for one. */
static uint32_t head_crc(const uint8_t *p, uint32_t seed, uint64_t offset)
{
    uint8_t at[8];

    put_le64(at, offset);
    return crc32c(crc32c(seed, at, sizeof at), p, WAL_FRAME_HEAD - 4);
}

void wal_frame_seal(uint8_t *p, size_t n, uint32_t seed, uint64_t offset, uint64_t sequence)
{
    assert(n > WAL_FRAME_HEAD);
    assert(n % WAL_FRAME_ALIGN == 0);
    assert(offset % WAL_FRAME_ALIGN == 0);
    struct slice payload = {p + WAL_FRAME_HEAD, n - WAL_FRAME_HEAD};

    put_le32(p, WAL_FRAME_MAGIC);
    put_le32(p + 4, (uint32_t)payload.n);
    put_le64(p + 8, sequence);
    put_le32(p + 16, wal_payload_crc(seed, sequence, payload));
    put_le32(p + 20, wal_zero_sectors(payload.p, payload.n, offset));
    put_le32(p + 24, 0);
    put_le32(p + 28, head_crc(p, seed, offset));
}

enum wal_frame_state wal_frame_look(struct slice segment, uint32_t seed, size_t offset,
                                    uint64_t expected, struct wal_frame_head *ret)
{
    assert(offset % WAL_FRAME_ALIGN == 0);
    assert(offset <= segment.n);
    size_t room = segment.n - offset;
    if (room < WAL_FRAME_HEAD || wal_is_zero(segment.p + offset, WAL_FRAME_HEAD))
        return WAL_FRAME_ZERO;

    const uint8_t *p = segment.p + offset;
    if (get_le32(p) != WAL_FRAME_MAGIC || get_le32(p + 28) != head_crc(p, seed, offset))
        return WAL_FRAME_BAD_HEAD;
    *ret = (struct wal_frame_head){.payload_bytes = get_le32(p + 4),
                                   .sequence = get_le64(p + 8),
                                   .payload_crc = get_le32(p + 16),
                                   .zero_sectors = get_le32(p + 20)};
    if (ret->sequence != expected || ret->payload_bytes == 0 ||
        ret->payload_bytes % WAL_FRAME_ALIGN || ret->payload_bytes > room - WAL_FRAME_HEAD)
        return WAL_FRAME_MISPLACED;
    struct slice payload = {p + WAL_FRAME_HEAD, ret->payload_bytes};
    if (wal_payload_crc(seed, ret->sequence, payload) != ret->payload_crc)
        return WAL_FRAME_BAD_PAYLOAD;
    return WAL_FRAME_GOOD;
}

static int record_fill(const uint8_t *p, struct slice data, struct wal_record *ret)
{
    uint64_t term = get_le64(p + 8), index = get_le64(p + 16);

    *ret = (struct wal_record){.type = (enum wal_record_type)p[0]};
    if (p[2] || p[3] || (p[1] && p[0] != WAL_RECORD_ENTRY))
        return ERR_MALFORMED;
    switch (ret->type) {
    case WAL_RECORD_ENTRY:
        if (p[1] > RAFT_ENTRY_CONF_CHANGE || index == 0)
            return ERR_MALFORMED;
        ret->entry = (struct raft_entry){
            .term = term, .index = index, .type = (enum raft_entry_type)p[1], .data = data};
        return 1;
    case WAL_RECORD_HARD_STATE:
        if (data.n != 8)
            return ERR_MALFORMED;
        ret->hard_state =
            (struct raft_hard_state){.term = term, .vote = get_le64(data.p), .commit = index};
        return 1;
    case WAL_RECORD_SNAPSHOT:
        if (data.n != 0)
            return ERR_MALFORMED;
        ret->snap_index = index;
        ret->snap_term = term;
        return 1;
    }
    return ERR_MALFORMED;
}

int wal_record_next(struct slice *io_records, struct wal_record *ret)
{
    struct slice s = *io_records;

    if (s.n < WAL_FRAME_ALIGN && wal_is_zero(s.p, s.n))
        return 0; /* padding of the frame: less than its alignment */
    if (s.n < WAL_RECORD_HEAD)
        return ERR_MALFORMED;
    size_t data_bytes = get_le32(s.p + 4);
    size_t padded = round_up(data_bytes, WAL_RECORD_ALIGN);
    if (padded > s.n - WAL_RECORD_HEAD)
        return ERR_MALFORMED;
    struct slice data = {s.p + WAL_RECORD_HEAD, data_bytes};
    if (!wal_is_zero(data.p + data.n, padded - data.n))
        return ERR_MALFORMED;
    *io_records = slice_skip(s, WAL_RECORD_HEAD + padded);
    return record_fill(s.p, data_bytes ? data : SLICE_EMPTY, ret);
}
