#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "etcd/wal_internal.h"

#define FIRST_SEQUENCE 1

const struct wal_conf wal_conf_default = {.io = &wal_io_system, .segment_bytes = WAL_SEGMENT_BYTES};

static void cleanup_recovery(struct wal_recovery *rc)
{
    if (rc->dirfd >= 0)
        close(rc->dirfd);
    wal_recovery_deinit(rc);
}

/* --- directory --- */

static int lock_dir(const char *dir, int *ret_fd, struct err *e)
{
    cleanup_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_set(e, -errno, "open log '%s'", dir);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(e, errno == EWOULDBLOCK ? ERR_IN_USE : -errno,
                       "log '%s' is in use by another process", dir);
    *ret_fd = take_fd(&fd);
    return 0;
}

bool wal_exists(const char *dir)
{
    cleanup_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_free struct wal_segment *list = NULL;
    size_t n = 0;

    return fd >= 0 && wal_segment_list(fd, &list, &n, NULL) == 0 && n > 0;
}

static int sync_parent(const char *dir, const struct wal_io *io, struct err *e)
{
    cleanup_free char *parent = xasprintf("%s/..", dir);
    cleanup_close int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -errno : io->sync(io->ctx, fd);

    return r < 0 ? err_set(e, r, "sync directory '%s'", parent) : 0;
}

static int create_first(int dirfd, const struct wal_meta *meta, const struct wal_conf *conf,
                        struct err *e)
{
    const struct wal_io *io = conf->io;
    struct wal_segment_head head = {.segment_bytes = (uint32_t)conf->segment_bytes,
                                    .sequence = FIRST_SEQUENCE,
                                    .first_index = 1,
                                    .meta = *meta,
                                    .first_frame = 1};
    cleanup_close int fd = -1;
    struct wal_state state;
    uint8_t begin[WAL_SEGMENT_BEGIN];
    char name[WAL_NAME_MAX];

    int r = wal_segment_make(conf, dirfd, WAL_SPARE_TMP, &fd, e);
    if (r < 0)
        return r;
    wal_state_init(&state, head.first_index);
    wal_segment_begin(&head, &state, begin);
    wal_segment_name(head.sequence, head.first_index, name);
    r = wal_pwrite_all(io, fd, begin, sizeof begin, 0);
    if (r == 0)
        r = io->sync(io->ctx, fd);
    if (r == 0)
        r = io->rename(io->ctx, dirfd, WAL_SPARE_TMP, name);
    if (r < 0)
        unlinkat(dirfd, WAL_SPARE_TMP, 0);
    else
        r = io->sync(io->ctx, dirfd);
    return r < 0 ? err_set(e, r, "begin log segment '%s'", name) : 0;
}

int wal_create_conf(const char *dir, const struct wal_meta *meta, const struct wal_conf *conf,
                    struct err *e)
{
    cleanup_close int dirfd = -1;

    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_set(e, -errno, "make directory '%s'", dir);
    int r = lock_dir(dir, &dirfd, e);
    if (r < 0)
        return r;
    if (wal_exists(dir))
        return err_set(e, -EEXIST, "create log '%s'", dir);
    r = create_first(dirfd, meta, conf, e);
    if (r < 0)
        return err_wrap(e, r, "log '%s'", dir);
    return sync_parent(dir, conf->io, e);
}

int wal_create(const char *dir, const struct wal_meta *meta, struct err *e)
{
    return wal_create_conf(dir, meta, &wal_conf_default, e);
}

/* --- open --- */

static int damaged(struct wal_recovery *rc, int code)
{
    return err_wrap(rc->e, code,
                    "log '%s' is refused and was not changed (restore the member from a snapshot "
                    "with 'etcdutl snapshot restore', or the directory from a copy; "
                    "docs/formats/wal.md)",
                    rc->dir);
}

static int repair(struct wal_recovery *rc, const struct wal_io *io, int fd,
                  struct wal_recovered *ret)
{
    const struct wal_segment *s = &rc->segments[rc->nsegments - 1];
    char name[WAL_NAME_MAX];

    wal_segment_name(s->sequence, s->first_index, name);
    ret->torn_offset = rc->scanned.end;
    ret->torn_bytes = rc->scanned.dirty_end - rc->scanned.end;
    snprintf(ret->torn_file, sizeof ret->torn_file, "%s", name);
    int r = wal_zero_range(io, fd, rc->scanned.end, rc->scanned.dirty_end);
    return r < 0
               ? err_set(rc->e, r, "log '%s': cut off the unfinished write in '%s'", rc->dir, name)
               : 0;
}

/* The last frame may so far stand in the page cache only: its writer may have been killed before
 * its sync, or the sync may have failed and left pages that are marked clean. So it is written once
 * more, with the same bytes, and made durable before anybody builds on it; likewise the segment's
 * name. */
static int settle(struct wal_recovery *rc, const struct wal_io *io, int fd)
{
    size_t n = rc->scanned.end - rc->scanned.last;
    cleanup_free uint8_t *p = malloc(n);
    int r = p ? wal_read_all(fd, p, n, rc->scanned.last, rc->e) : -ENOMEM;

    if (r < 0)
        return err_wrap(rc->e, r, "log '%s': read its last frame", rc->dir);
    r = wal_pwrite_all(io, fd, p, n, rc->scanned.last);
    if (r == 0)
        r = io->sync(io->ctx, fd);
    if (r == 0)
        r = io->sync(io->ctx, rc->dirfd);
    return r < 0 ? err_set(rc->e, r, "log '%s': make its end durable", rc->dir) : 0;
}

/* A spare left from before serves again when it is whole and untouched. */
static bool take_spare(struct wal_recovery *rc, const struct wal_conf *conf)
{
    cleanup_free uint8_t *p = NULL;
    size_t n = 0;
    int r = wal_segment_read(rc->dirfd, WAL_SPARE, &p, &n, NULL);

    unlinkat(rc->dirfd, WAL_SPARE_TMP, 0);
    if (r == 0 && n == conf->segment_bytes && wal_is_zero(p, n))
        return true;
    unlinkat(rc->dirfd, WAL_SPARE, 0);
    return false;
}

static int open_newest(struct wal_recovery *rc, const struct wal_conf *conf, int torn,
                       struct wal_recovered *ret, struct wal **ret_w)
{
    const struct wal_segment *s = &rc->segments[rc->nsegments - 1];
    const struct wal_io *io = conf->io;
    char name[WAL_NAME_MAX];

    wal_segment_name(s->sequence, s->first_index, name);
    cleanup_close int fd = io->open(io->ctx, rc->dirfd, name, O_RDWR, 0);
    if (fd < 0)
        return err_set(rc->e, fd, "log '%s': open '%s' for writing", rc->dir, name);
    int r = torn ? repair(rc, conf->io, fd, ret) : 0;
    if (r == 0)
        r = settle(rc, io, fd);
    if (r < 0)
        return r;
    bool has_spare = take_spare(rc, conf);
    *ret_w = wal_new(conf, rc->dir,
                     &(struct wal_opened){.dirfd = take_fd(&rc->dirfd),
                                          .fd = take_fd(&fd),
                                          .segments = take_ptr(&rc->segments),
                                          .nsegments = rc->nsegments,
                                          .head = rc->head,
                                          .state = rc->state,
                                          .offset = rc->scanned.end,
                                          .sequence = rc->sequence,
                                          .has_spare = has_spare});
    return 0;
}

static void fill_recovered(const struct wal_recovery *rc, struct wal_recovered *ret)
{
    *ret = (struct wal_recovered){
        .meta = rc->head.meta,
        .hard_state = rc->state.hard_state,
        .snap_index = rc->state.snap_index,
        .snap_term = rc->state.snap_term,
        .last_index = rc->state.last_index,
        .last_term = rc->state.last_term,
    };
    /* What a snapshot holds was committed; the commit index is written only along the way. */
    ret->hard_state.commit = MAX(ret->hard_state.commit, ret->snap_index);
}

int wal_open_conf(const char *dir, uint64_t after,
                  int (*each)(void *ctx, const struct raft_entry *entry), void *ctx,
                  const struct wal_conf *conf, struct wal_recovered *ret_recovered,
                  struct wal **ret, struct err *e)
{
    struct err own_err;
    __attribute__((cleanup(cleanup_recovery))) struct wal_recovery rc = {
        .dir = dir,
        .dirfd = -1,
        .after = after,
        .each = each,
        .ctx = ctx,
        .e = e ? e : &own_err,
    };

    rc.e->code = 0;
    rc.e->msg[0] = 0;
    int r = lock_dir(dir, &rc.dirfd, rc.e);
    if (r == 0)
        r = wal_segment_list(rc.dirfd, &rc.segments, &rc.nsegments, rc.e);
    if (r < 0)
        return r;
    int torn = wal_recovery_check(&rc);
    if (torn == ERR_DATA_DAMAGED || torn == ERR_FORMAT)
        return damaged(&rc, torn);
    if (torn < 0)
        return torn;
    r = each ? wal_recovery_give(&rc) : 0;
    if (r < 0)
        return r;
    fill_recovered(&rc, ret_recovered);
    r = open_newest(&rc, conf, torn, ret_recovered, ret);
    if (r == 0)
        *rc.e = (struct err){0}; /* the torn tail's text: ret_recovered tells it */
    return r;
}

int wal_open(const char *dir, uint64_t after,
             int (*each)(void *ctx, const struct raft_entry *entry), void *ctx,
             struct wal_recovered *ret_recovered, struct wal **ret, struct err *e)
{
    return wal_open_conf(dir, after, each, ctx, &wal_conf_default, ret_recovered, ret, e);
}
