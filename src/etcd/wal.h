/*
 * wal: the raft log on disk. Checksummed frames in preallocated segment files; one frame, one write
 * and one fdatasync a batch. Layout: docs/formats/wal.md.
 *
 * Two users at most, never at once on the same call: the loop's thread builds frames (wal_frame_*:
 * pure, memory only), one writer (a log thread, or the loop inline) hands them to wal_write, in
 * order.
 *
 * A frame is written only after the one before it was durable. So at the end of the log: bytes that
 * are missing (a sector of zeros inside a frame) are a torn write, which is cut off and reported;
 * bytes that are wrong (a full frame with a bad checksum, or any bad frame with a good one behind
 * it) are damage, which is refused with file, offset and advice. Nothing damaged is ever handed
 * out.
 *
 * When a write fails because of the disk (EIO, or any failure of fdatasync), what reached the disk
 * can be learned only by reading it again after a restart: from then on every write is refused.
 */
#ifndef ETCD_WAL_H
#define ETCD_WAL_H

#include "base/buf.h"
#include "base/err.h"
#include "raft/raft.h"

#define WAL_SEGMENT_BYTES                                                                          \
    (16u * 1024 * 1024) /* preallocated with zeros: no block is allocated on the way               \
                           of a write; small enough for small disks */
#define WAL_FRAME_BYTES_MAX (8u * 1024 * 1024) /* a batch; larger ones are split by the caller */
/* What a frame takes beside its records (head and padding), and an entry with n bytes of data: for
 * sums held against wal_room. */
#define WAL_FRAME_OVERHEAD 64u
#define WAL_ENTRY_BYTES(n) (24u + ((n) + 7u) / 8u * 8u)

struct wal;

struct wal_meta { /* written once, at the head of each segment */
    uint64_t cluster_id;
    uint64_t member_id;
};
struct wal_recovered {
    struct wal_meta meta;
    struct raft_hard_state hard_state;
    uint64_t snap_index, snap_term; /* entries up to here are not in the log */
    uint64_t last_index, last_term; /* = snap_* when there are none */
    uint64_t torn_bytes;            /* cut off behind the last frame; 0: clean */
    uint64_t torn_offset;
    char torn_file[64];
};

/* Makes dir (0700) with a first segment, by temporary name and rename. -EEXIST when there is one.
 * A log that begins behind a snapshot gets its mark as the first record written. */
int wal_create(const char *dir, const struct wal_meta *meta, struct err *e);
bool wal_exists(const char *dir);
/* Reads everything, repairs a torn tail, opens for appending. each is called for the entries above
 * `after` in order (the last written one of an index counts: a later frame may overwrite a tail);
 * data valid during the call; a negative return stops and is passed on. Everything is checked
 * before the first entry is handed out. ERR_DATA_DAMAGED or ERR_FORMAT with place and advice in e,
 * ERR_IN_USE, -ENOENT. The directory stays locked until wal_close. */
int wal_open(const char *dir, uint64_t after,
             int (*each)(void *ctx, const struct raft_entry *entry), void *ctx,
             struct wal_recovered *ret_recovered, struct wal **ret, struct err *e);
void wal_close(struct wal *w);

/* Building a frame: memory only. A frame holds any of hard state, entries, snapshot mark. */
void wal_frame_begin(
    struct buf *frame); /* frame was buf_init'ed with WAL_FRAME_BYTES_MAX or more */
int wal_frame_hard_state(struct buf *frame, const struct raft_hard_state *hs);
int wal_frame_entry(struct buf *frame,
                    const struct raft_entry *entry); /* -ENOBUFS: frame is full */
int wal_frame_snapshot(struct buf *frame, uint64_t index, uint64_t term);
bool wal_frame_empty(const struct buf *frame);

/* Completes the frame (sequence number, checksum), writes it at the end of the log and makes it
 * durable. last_index: highest entry index in it, 0 if none. Moves on to the prepared spare segment
 * when the current one is full. On failure nothing counts as written: the same frame may be given
 * again. -ENOSPC: no spare could be had (or the file system could not overwrite in place), later
 * writes may succeed. -EMSGSIZE, -EINVAL: the frame breaks the log's order (a gap in the indices,
 * a committed entry changed, commit behind the last entry...). wal_is_broken tells whether an error
 * was final. */
int wal_write(struct wal *w, struct buf *frame, uint64_t last_index, struct err *e);
bool wal_is_broken(const struct wal *w); /* a write failed for good; any thread */
/* Bytes that can surely be written without asking the file system for space (rest of the segment
 * and the spare, less what a frame that does not fit leaves unused): proposals beyond it are
 * refused beforehand, so that an accepted one never fails for a full disk. Any thread. */
uint64_t wal_room(const struct wal *w);
/* Makes the spare segment if there is none: for a background thread. 0 or -ENOSPC... Any thread,
 * one at a time. */
int wal_prepare_spare(struct wal *w, struct err *e);
bool wal_wants_spare(const struct wal *w);
/* Removes segments that hold only entries at or below index. Writer's thread. Never the newest, and
 * never beyond the newest snapshot mark written (wal_frame_snapshot): the log has no hole. */
int wal_release(struct wal *w, uint64_t index, struct err *e);

struct wal_stats {
    uint64_t bytes, frames, fsyncs;
    uint64_t segments;
};
void wal_stats(const struct wal *w, struct wal_stats *ret);

/* The pure reader of one segment's bytes, for wal_open, the check tool and the fuzzer. each_record
 * gets every record of good frames. Returns 0 at a clean end, 1 at a torn tail, ERR_DATA_DAMAGED,
 * ERR_FORMAT; *ret_offset is the end of the last good frame, e tells the rest. is_last: a torn tail
 * is possible only in the newest segment. *io_sequence: the frame expected first, 0 for any; then
 * the one expected in the next segment. */
enum wal_record_type { WAL_RECORD_ENTRY = 1, WAL_RECORD_HARD_STATE = 2, WAL_RECORD_SNAPSHOT = 3 };
struct wal_record {
    enum wal_record_type type;
    struct raft_entry entry;
    struct raft_hard_state hard_state;
    uint64_t snap_index, snap_term;
};
int wal_scan(struct slice segment, bool is_last, uint64_t *io_sequence, struct wal_meta *ret_meta,
             int (*each)(void *ctx, const struct wal_record *rec), void *ctx, size_t *ret_offset,
             struct err *e);

#endif
