/*
 * test_wal_util: what the tests of the log share: a segment in memory, a directory that goes away,
 * entries whose content follows from their index.
 */
#ifndef ETCD_TEST_WAL_UTIL_H
#define ETCD_TEST_WAL_UTIL_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "etcd/wal_internal.h"

static const struct wal_meta test_meta = {.cluster_id = 0xcdf818194e3a8c32,
                                          .member_id = 0x8e9e05c52164694d};

/* --- entries --- */

static inline uint8_t test_byte(uint64_t index, size_t i)
{
    return (uint8_t)(index * 37 + i * 11 + (i >> 8)) | 1;
}

static inline void test_fill(uint8_t *p, size_t n, uint64_t index)
{
    for (size_t i = 0; i < n; i++)
        p[i] = test_byte(index, i);
}

static inline bool test_is_filled(struct slice s, uint64_t index)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != test_byte(index, i))
            return false;
    return true;
}

static inline void test_frame_entry(struct buf *frame, uint64_t term, uint64_t index, size_t n)
{
    cleanup_free uint8_t *data = xmalloc(n);
    test_fill(data, n, index);
    struct raft_entry entry = {.term = term, .index = index, .data = slice_of(data, n)};
    if (wal_frame_entry(frame, &entry) < 0)
        abort();
}

/* --- a segment in memory --- */

struct image {
    uint8_t *p;
    size_t n, end;
    struct wal_segment_head head;
    uint64_t sequence;
};

static inline void image_init(struct image *im, size_t n)
{
    struct wal_state state;

    *im = (struct image){.p = xcalloc(1, n), .n = n, .end = WAL_SEGMENT_BEGIN, .sequence = 8};
    im->head = (struct wal_segment_head){.segment_bytes = (uint32_t)n,
                                         .sequence = 3,
                                         .first_index = 1,
                                         .meta = test_meta,
                                         .first_frame = 7};
    wal_state_init(&state, 1);
    state.hard_state = (struct raft_hard_state){.term = 5, .vote = test_meta.member_id};
    wal_segment_begin(&im->head, &state, im->p);
}

static inline void image_append(struct image *im, struct buf *frame)
{
    if (wal_frame_pad(frame) < 0 || frame->n > im->n - im->end)
        abort();
    wal_frame_seal(frame->p, frame->n, im->head.seed, im->end, im->sequence++);
    memcpy(im->p + im->end, frame->p, frame->n);
    im->end += frame->n;
}

static inline void image_append_data(struct image *im, uint64_t index, struct slice data)
{
    cleanup_buf struct buf frame;
    struct raft_entry entry = {.term = 5, .index = index, .data = data};

    buf_init(&frame, WAL_FRAME_BYTES_MAX);
    wal_frame_begin(&frame);
    if (wal_frame_entry(&frame, &entry) < 0)
        abort();
    image_append(im, &frame);
}

static inline void image_append_entry(struct image *im, uint64_t index, size_t n)
{
    cleanup_free uint8_t *data = xmalloc(n);
    test_fill(data, n, index);
    image_append_data(im, index, slice_of(data, n));
}

/* --- directories --- */

static inline void test_rmdir(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *de; d && (de = readdir(d));)
        unlinkat(dirfd(d), de->d_name, 0);
    if (d)
        closedir(d);
    rmdir(dir);
}

/* Caller frees; the directory itself is not there yet. */
static inline char *test_dir(const char *name)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = xasprintf("%s/test-%s-%d", tmp ? tmp : "/tmp", name, (int)getpid());
    test_rmdir(dir);
    return dir;
}

#endif
