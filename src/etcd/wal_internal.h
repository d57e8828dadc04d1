/*
 * wal_internal: what the files of the log share among themselves and with their tests. The layout
 * is drawn in docs/formats/wal.md.
 */
#ifndef ETCD_WAL_INTERNAL_H
#define ETCD_WAL_INTERNAL_H

#include <sys/types.h>

#include "etcd/wal.h"

#define WAL_VERSION       1u
#define WAL_SEGMENT_HEAD  64u
#define WAL_FRAME_HEAD    32u
#define WAL_FRAME_ALIGN   32u         /* divides a sector, so a frame's head never straddles two */
#define WAL_FRAME_MAGIC   0x6d617266u /* "fram" */
#define WAL_FRAME_TRAILER 8u
#define WAL_RECORD_HEAD   24u
#define WAL_RECORD_ALIGN  8u
#define WAL_SECTOR        512u /* what every disk writes whole or not at all */
#define WAL_CARRY_PAYLOAD 64u  /* hard state, snapshot mark, trailer */
/* Where the first frame the caller wrote begins: behind the head and the carry frame. */
#define WAL_SEGMENT_BEGIN     (WAL_SEGMENT_HEAD + WAL_FRAME_HEAD + WAL_CARRY_PAYLOAD)
#define WAL_SEGMENT_BYTES_MAX (256u * 1024 * 1024) /* read whole at open: bounds that memory */
#define WAL_NAME_MAX          40                   /* "%016x-%016x.wal" and a NUL: 38 */
#define WAL_SPARE             "spare"
#define WAL_SPARE_TMP         "spare.tmp"

static_assert(WAL_SEGMENT_BEGIN + WAL_FRAME_BYTES_MAX <= WAL_SEGMENT_BYTES,
              "the largest frame fits in an empty segment");
static_assert(WAL_SECTOR % WAL_FRAME_ALIGN == 0, "frame heads stay within a sector");

/* The system calls that can fail for reasons of the disk; tests put their own in. Results as the
 * calls', but negated errno instead of -1. */
struct wal_io {
    int (*open)(void *ctx, int dirfd, const char *name, int flags, mode_t mode);
    int (*allocate)(void *ctx, int fd, off_t n);
    ssize_t (*pwrite)(void *ctx, int fd, const void *p, size_t n, off_t offset);
    int (*sync)(void *ctx, int fd); /* fdatasync; also of the directory */
    int (*rename)(void *ctx, int dirfd, const char *from, const char *to);
    void *ctx;
};
extern const struct wal_io wal_io_system;

struct wal_conf {
    const struct wal_io *io;
    size_t segment_bytes; /* of new segments */
};
extern const struct wal_conf wal_conf_default;

int wal_create_conf(const char *dir, const struct wal_meta *meta, const struct wal_conf *conf,
                    struct err *e);
int wal_open_conf(const char *dir, uint64_t after,
                  int (*each)(void *ctx, const struct raft_entry *entry), void *ctx,
                  const struct wal_conf *conf, struct wal_recovered *ret_recovered,
                  struct wal **ret, struct err *e);

/* --- bytes: wal_frame.c, wal_scan.c, wal_tail.c --- */

struct wal_segment_head {
    uint32_t segment_bytes;
    uint64_t sequence;    /* of the segment, from 1 */
    uint64_t first_index; /* of the first entry it can hold */
    struct wal_meta meta;
    uint64_t first_frame; /* sequence number of its first frame */
    uint32_t seed;        /* its checksum, which seeds those of its frames */
};
/* Fills the seed too. */
void wal_segment_head_encode(struct wal_segment_head *h, uint8_t *ret);
int wal_segment_head_parse(struct slice segment, struct wal_segment_head *ret, struct err *e);

struct wal_frame_head {
    uint32_t payload_bytes; /* a multiple of WAL_FRAME_ALIGN */
    uint64_t sequence;
    uint32_t payload_crc;
    uint32_t zero_sectors; /* see wal_zero_sectors */
};
/* Completes the head of the frame at p, n bytes in all, for its place in the log. */
void wal_frame_seal(uint8_t *p, size_t n, uint32_t seed, uint64_t offset, uint64_t sequence);
/* Pads with zeros and the trailer to WAL_FRAME_ALIGN. 0 or -ENOBUFS. */
int wal_frame_pad(struct buf *frame);
/* Takes the trailer off. 0, or ERR_MALFORMED when it is another. */
int wal_payload_records(struct slice payload, struct slice *ret);
bool wal_trailer_missing(struct slice payload);
/* Takes the next record off *io_records: 1, 0 at the end, ERR_MALFORMED. */
int wal_record_next(struct slice *io_records, struct wal_record *ret);

enum wal_frame_state {
    WAL_FRAME_GOOD,
    WAL_FRAME_ZERO,        /* 32 zeros where the head would be, or the segment's end */
    WAL_FRAME_BAD_HEAD,    /* the head's checksum or magic is wrong */
    WAL_FRAME_MISPLACED,   /* the head is whole, but not the one expected here */
    WAL_FRAME_BAD_PAYLOAD, /* the head is the expected one, the payload is not what it tells */
};
enum wal_frame_state wal_frame_look(struct slice segment, uint32_t seed, size_t offset,
                                    uint64_t expected, struct wal_frame_head *ret);
uint32_t wal_payload_crc(uint32_t seed, uint64_t sequence, struct slice payload);
/* Sectors the payload of a frame at offset covers beyond the one its head is in, and in which it is
 * all zeros. */
uint32_t wal_zero_sectors(const uint8_t *payload, size_t n, uint64_t frame_offset);
bool wal_is_zero(const uint8_t *p, size_t n);

struct wal_scanned {
    struct wal_segment_head head;
    size_t last, end; /* the last good frame */
    size_t dirty_end; /* torn: behind the last byte that is not zero */
    uint64_t frames;
};
/* wal_scan with all it found. */
int wal_scan_segment(struct slice segment, bool is_last, uint64_t *io_sequence,
                     int (*each)(void *ctx, const struct wal_record *rec), void *ctx,
                     struct wal_scanned *ret, struct err *e);
/* What stands at offset is no good frame: 0 the log simply ends, 1 torn write (*ret_dirty_end), or
 * ERR_DATA_DAMAGED. */
int wal_tail_judge(struct slice segment, uint32_t seed, size_t offset, uint64_t expected,
                   bool is_last, size_t *ret_dirty_end, struct err *e);

/* --- what the log says, record by record: wal_state.c; reader and writer hold the same rules ---
 */

struct wal_state {
    struct raft_hard_state hard_state;
    uint64_t snap_index, snap_term;
    uint64_t first_index; /* entries [first_index, last_index] are there */
    uint64_t last_index, last_term;
};
/* As at the head of a segment whose first entry will be first_index. */
void wal_state_init(struct wal_state *s, uint64_t first_index);
/* Takes a record in. NULL, or what is wrong with it. */
const char *wal_state_apply(struct wal_state *s, const struct wal_record *rec);
/* Whether a log may end like this. NULL, or what is wrong. */
const char *wal_state_check_end(const struct wal_state *s);

/* --- files: wal_segment.c --- */

struct wal_segment {
    uint64_t sequence;
    uint64_t first_index;
    uint64_t last_index; /* highest entry index in it; 0: none */
};
void wal_segment_name(uint64_t sequence, uint64_t first_index, char ret[WAL_NAME_MAX]);
bool wal_segment_name_parse(const char *name, struct wal_segment *ret);
/* Segments of a directory by sequence number; *ret is the caller's to free. */
int wal_segment_list(int dirfd, struct wal_segment **ret, size_t *ret_n, struct err *e);
/* The whole file; *ret is the caller's to free. */
int wal_segment_read(int dirfd, const char *name, uint8_t **ret, size_t *ret_n, struct err *e);
/* n bytes from offset on. A file that ends before is ERR_DATA_DAMAGED. */
int wal_read_all(int fd, uint8_t *p, size_t n, uint64_t offset, struct err *e);
/* A file of zeros, durable, open for writing. Nothing is left behind on failure. */
int wal_segment_make(const struct wal_conf *conf, int dirfd, const char *name, int *ret_fd,
                     struct err *e);
/* Writes all of it, or as much as one failure lets through. 0 or negated errno. */
int wal_pwrite_all(const struct wal_io *io, int fd, const void *p, size_t n, uint64_t offset);
/* Overwrites with zeros, durably. Power may go at any time in between: what was a torn write before
 * still looks like one. */
int wal_zero_range(const struct wal_io *io, int fd, uint64_t from, uint64_t to);
/* Head and carry frame of a new segment, as they are written; n is WAL_SEGMENT_BEGIN. Fills
 * head->seed. */
void wal_segment_begin(struct wal_segment_head *head, const struct wal_state *state,
                       uint8_t ret[WAL_SEGMENT_BEGIN]);

/* --- reading a whole log: wal_recovery.c --- */

/* From the first good frame of the oldest segment to the last of the newest, twice: once to check
 * everything and learn which entries were overwritten later, once to hand out those that count. */
struct wal_recovery {
    const char *dir;
    int dirfd;
    struct wal_segment *segments;
    size_t nsegments;
    /* first pass */
    struct wal_segment *current;
    struct wal_state state;
    struct wal_segment_head head; /* of the newest read */
    struct wal_scanned scanned;
    uint64_t sequence;
    uint64_t nentries; /* entry records read */
    struct wal_cut {
        uint64_t before; /* entries read before this one ... */
        uint64_t index;  /* ... count no more from this index on */
    } * cuts;
    size_t ncuts, cuts_cap;
    /* second pass */
    uint64_t after;
    uint64_t entry_no;
    size_t next_cut;
    int (*each)(void *ctx, const struct raft_entry *entry);
    void *ctx;
    struct err *e;
};
/* 0, 1: the newest segment ends in a torn write, or negative. */
int wal_recovery_check(struct wal_recovery *rc);
/* After a good check. What each answers negatively, or a failure to read. */
int wal_recovery_give(struct wal_recovery *rc);
void wal_recovery_deinit(struct wal_recovery *rc); /* leaves dirfd */

/* --- the open log --- */

/* wal.c: takes over dirfd, fd and segments. */
struct wal_opened {
    int dirfd, fd;
    struct wal_segment *segments;
    size_t nsegments;
    struct wal_segment_head head; /* of the newest */
    struct wal_state state;
    uint64_t offset, sequence; /* of the next frame */
    bool has_spare;
};
struct wal *wal_new(const struct wal_conf *conf, const char *dir, const struct wal_opened *o);

#endif
