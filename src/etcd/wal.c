#include "etcd/wal.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "etcd/wal_internal.h"

#define WRITE_TRIES 100 /* interrupted or short calls in a row; past it something else is wrong */

struct wal {
    struct wal_conf conf;
    char *dir; /* for messages */
    int dirfd; /* holds the lock */
    /* The newest segment; writer's thread. */
    int fd;
    struct wal_segment_head head;
    uint64_t offset;   /* where the next frame goes */
    uint64_t sequence; /* the number it gets */
    struct wal_state state;
    struct wal_segment *segments; /* oldest first; the last is the newest */
    size_t nsegments;

    /* Read by any thread. */
    atomic_uint_fast64_t rest; /* bytes behind offset in the newest segment */
    atomic_int broken;         /* the error after which nothing is written any more */
    atomic_int spare_fd;       /* -1: none; changed only under spare_lock */
    atomic_uint_fast64_t bytes, frames, fsyncs, segment_count;

    /* Held while a spare is made, and while it is put into use: their names must not cross. */
    pthread_mutex_t spare_lock;
};

static void set_offset(struct wal *w, uint64_t offset)
{
    assert(offset <= w->head.segment_bytes);
    w->offset = offset;
    atomic_store(&w->rest, w->head.segment_bytes - offset);
}

struct wal *wal_new(const struct wal_conf *conf, const char *dir, const struct wal_opened *o)
{
    struct wal *w = xcalloc(1, sizeof *w);

    w->conf = *conf;
    w->dir = xstrdup(dir);
    w->dirfd = o->dirfd;
    w->fd = o->fd;
    w->head = o->head;
    w->sequence = o->sequence;
    w->state = o->state;
    w->segments = o->segments;
    w->nsegments = o->nsegments;
    set_offset(w, o->offset);
    atomic_store(&w->segment_count, o->nsegments);
    atomic_store(&w->spare_fd, -1);
    if (o->has_spare) {
        int fd = conf->io->open(conf->io->ctx, w->dirfd, WAL_SPARE, O_RDWR, 0);
        atomic_store(&w->spare_fd, MAX(fd, -1));
    }
    pthread_mutex_init(&w->spare_lock, NULL);
    return w;
}

void wal_close(struct wal *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->spare_lock); /* waits for one being made */
    int spare = atomic_load(&w->spare_fd);
    if (spare >= 0)
        close(spare);
    pthread_mutex_unlock(&w->spare_lock);
    pthread_mutex_destroy(&w->spare_lock);
    close(w->fd);
    close(w->dirfd);
    free(w->segments);
    free(w->dir);
    free(w);
}

/* --- the spare segment --- */

static int spare_make_locked(struct wal *w, struct err *e)
{
    const struct wal_io *io = w->conf.io;
    cleanup_close int fd = -1;

    if (atomic_load(&w->spare_fd) >= 0)
        return 0;
    int r = wal_segment_make(&w->conf, w->dirfd, WAL_SPARE_TMP, &fd, e);
    if (r < 0)
        return r;
    r = io->rename(io->ctx, w->dirfd, WAL_SPARE_TMP, WAL_SPARE);
    if (r < 0) {
        unlinkat(w->dirfd, WAL_SPARE_TMP, 0);
        return err_set(e, r, "rename log segment '%s' to '%s'", WAL_SPARE_TMP, WAL_SPARE);
    }
    atomic_store(&w->spare_fd, take_fd(&fd));
    return 0;
}

static int broken_error(const struct wal *w, struct err *e)
{
    return err_set(e, atomic_load(&w->broken),
                   "log '%s' accepts nothing more after a failed write to disk: what reached the "
                   "disk is known only after a restart; check the disk, then start again",
                   w->dir);
}

int wal_prepare_spare(struct wal *w, struct err *e)
{
    if (atomic_load(&w->broken))
        return broken_error(w, e);
    pthread_mutex_lock(&w->spare_lock);
    int r = spare_make_locked(w, e);
    pthread_mutex_unlock(&w->spare_lock);
    return r < 0 ? err_wrap(e, r, "log '%s'", w->dir) : 0;
}

bool wal_is_broken(const struct wal *w)
{
    return atomic_load(&w->broken) != 0;
}

bool wal_wants_spare(const struct wal *w)
{
    return atomic_load(&w->spare_fd) < 0 && !atomic_load(&w->broken);
}

uint64_t wal_room(const struct wal *w)
{
    uint64_t rest = atomic_load(&w->rest);

    if (atomic_load(&w->broken))
        return 0;
    if (atomic_load(&w->spare_fd) < 0)
        return rest;
    /* A frame that does not fit leaves the rest unused: at worst all but a byte of a frame. */
    uint64_t spare = w->conf.segment_bytes - WAL_SEGMENT_BEGIN;
    uint64_t both = rest + spare;
    return both > spare + WAL_FRAME_BYTES_MAX ? both - WAL_FRAME_BYTES_MAX : spare;
}

/* --- moving on to it --- */

/* Writes the spare's head and gives it its name. After an error here the current segment is still
 * the newest one, and the spare is gone. */
static int spare_begin(struct wal *w, int fd, struct wal_segment_head *head, const char *name,
                       struct err *e)
{
    const struct wal_io *io = w->conf.io;
    uint8_t begin[WAL_SEGMENT_BEGIN];

    wal_segment_begin(head, &w->state, begin);
    int r = wal_pwrite_all(io, fd, begin, sizeof begin, 0);
    if (r == 0)
        r = io->sync(io->ctx, fd);
    if (r == 0)
        r = io->rename(io->ctx, w->dirfd, WAL_SPARE, name);
    if (r < 0) {
        unlinkat(w->dirfd, WAL_SPARE, 0);
        return err_set(e, r, "log '%s': begin segment '%s'", w->dir, name);
    }
    return 0;
}

static void segment_enter(struct wal *w, int fd, const struct wal_segment_head *head)
{
    close(w->fd);
    w->fd = fd;
    w->head = *head;
    w->sequence = head->first_frame + 1;
    w->segments = xrealloc(w->segments, (w->nsegments + 1) * sizeof *w->segments);
    w->segments[w->nsegments++] =
        (struct wal_segment){.sequence = head->sequence, .first_index = head->first_index};
    set_offset(w, WAL_SEGMENT_BEGIN);
    atomic_store(&w->segment_count, w->nsegments);
}

static int break_down(struct wal *w, int code, const char *what, struct err *e)
{
    atomic_store(&w->broken, code);
    err_set(e, code, "%s", what);
    return err_wrap(e, code,
                    "log '%s': the disk failed; nothing more is written, since what reached it is "
                    "known only after a restart",
                    w->dir);
}

static int move_on_locked(struct wal *w, struct err *e)
{
    int r = spare_make_locked(w, e);
    if (r < 0)
        return err_wrap(e, r, "log '%s': no room for a new segment", w->dir);

    struct wal_segment_head head = {
        .segment_bytes = (uint32_t)w->conf.segment_bytes,
        .sequence = w->head.sequence + 1,
        .first_index = w->state.last_index + 1,
        .meta = w->head.meta,
        .first_frame = w->sequence,
    };
    char name[WAL_NAME_MAX];
    wal_segment_name(head.sequence, head.first_index, name);
    cleanup_close int fd = atomic_exchange(&w->spare_fd, -1);
    r = spare_begin(w, fd, &head, name, e);
    if (r < 0)
        return r;
    r = w->conf.io->sync(w->conf.io->ctx, w->dirfd);
    if (r < 0)
        return break_down(w, r, "sync the log's directory", e);
    atomic_fetch_add(&w->fsyncs, 2);
    segment_enter(w, take_fd(&fd), &head);
    return 0;
}

static int move_on(struct wal *w, struct err *e)
{
    pthread_mutex_lock(&w->spare_lock);
    int r = move_on_locked(w, e);
    pthread_mutex_unlock(&w->spare_lock);
    return r;
}

/* --- writing --- */

/* The same rules the reader holds: a frame it would refuse is refused here. */
static int check_frame(const struct wal *w, const struct buf *frame, uint64_t last_index,
                       struct wal_state *ret, uint64_t *ret_last, struct err *e)
{
    struct slice records = {frame->p + WAL_FRAME_HEAD, frame->n - WAL_FRAME_HEAD};
    struct wal_record rec;
    const char *wrong = NULL;
    int r = 0;

    *ret = w->state;
    *ret_last = 0;
    while (!wrong && (r = wal_record_next(&records, &rec)) > 0) {
        wrong = wal_state_apply(ret, &rec);
        if (rec.type == WAL_RECORD_ENTRY)
            *ret_last = MAX(*ret_last, rec.entry.index);
    }
    if (!wrong)
        wrong = r < 0 ? "malformed record" : wal_state_check_end(ret);
    if (!wrong && *ret_last != last_index)
        wrong = "last_index is not that of its entries";
    if (wrong)
        return err_set(e, -EINVAL, "log '%s': frame behind entry %" PRIu64 " refused: %s", w->dir,
                       w->state.last_index, wrong);
    return 0;
}

/* One call, so that each sector is written once: else a sector could reach the disk half written
 * while those behind it are whole. A call that stopped on the way (it hardly does) is taken back,
 * which makes the place zeros again. */
static int write_once(struct wal *w, const struct buf *frame)
{
    const struct wal_io *io = w->conf.io;

    for (int i = 0; i < WRITE_TRIES; i++) {
        ssize_t n = io->pwrite(io->ctx, w->fd, frame->p, frame->n, (off_t)w->offset);
        if (n == (ssize_t)frame->n)
            return 0;
        bool again = n >= 0 || n == -EINTR;
        if (!again && n != -ENOSPC && n != -EDQUOT)
            return (int)n;
        /* A failure does not tell how far it came. */
        if (n != -EINTR && wal_zero_range(io, w->fd, w->offset, w->offset + frame->n) < 0)
            return -EIO;
        if (!again)
            return (int)n;
    }
    return -EIO;
}

static int write_frame(struct wal *w, struct buf *frame, struct err *e)
{
    const struct wal_io *io = w->conf.io;

    wal_frame_seal(frame->p, frame->n, w->head.seed, w->offset, w->sequence);
    int r = write_once(w, frame);
    if (r == -ENOSPC || r == -EDQUOT)
        return err_set(e, r, "log '%s': write %zu bytes", w->dir, frame->n);
    if (r < 0)
        return break_down(w, r, "write", e);
    r = io->sync(io->ctx, w->fd);
    if (r < 0) /* the kernel may have dropped the pages and marked them clean: no second try */
        return break_down(w, r, "fdatasync", e);
    w->sequence++;
    set_offset(w, w->offset + frame->n);
    atomic_fetch_add(&w->bytes, frame->n);
    atomic_fetch_add(&w->frames, 1);
    atomic_fetch_add(&w->fsyncs, 1);
    return 0;
}

static int place_frame(struct wal *w, struct buf *frame, struct err *e)
{
    int r = wal_frame_pad(frame);
    if (r < 0)
        return err_set(e, r, "log '%s': pad a frame of %zu bytes", w->dir, frame->n);
    if (frame->n > w->conf.segment_bytes - WAL_SEGMENT_BEGIN)
        return err_set(e, -EMSGSIZE, "log '%s': frame of %zu bytes", w->dir, frame->n);
    if (frame->n > w->head.segment_bytes - w->offset) {
        r = move_on(w, e);
        if (r < 0)
            return r;
    }
    return write_frame(w, frame, e);
}

int wal_write(struct wal *w, struct buf *frame, uint64_t last_index, struct err *e)
{
    struct wal_state after;
    uint64_t last;
    size_t n = frame->n;

    assert(!wal_frame_empty(frame));
    if (atomic_load(&w->broken))
        return broken_error(w, e);
    int r = check_frame(w, frame, last_index, &after, &last, e);
    if (r == 0)
        r = place_frame(w, frame, e);
    if (r < 0) {
        frame->n = n; /* without the padding: as it was given */
        return r;
    }
    w->state = after;
    struct wal_segment *s = &w->segments[w->nsegments - 1];
    s->last_index = MAX(s->last_index, last);
    return 0;
}

int wal_release(struct wal *w, uint64_t index, struct err *e)
{
    const struct wal_io *io = w->conf.io;
    size_t n = 0;
    int r = 0;

    index = MIN(index, w->state.snap_index); /* else the log would begin with a hole */
    while (r == 0 && n + 1 < w->nsegments && w->segments[n].last_index <= index) {
        char name[WAL_NAME_MAX];
        wal_segment_name(w->segments[n].sequence, w->segments[n].first_index, name);
        if (unlinkat(w->dirfd, name, 0) < 0 && errno != ENOENT)
            r = err_set(e, -errno, "log '%s': remove old segment '%s'", w->dir, name);
        /* Each on its own, so that what a crash leaves has no hole. */
        else if ((r = io->sync(io->ctx, w->dirfd)) < 0)
            err_set(e, r, "log '%s': sync the directory", w->dir);
        else
            n++;
    }
    w->nsegments -= n;
    memmove(w->segments, w->segments + n, w->nsegments * sizeof *w->segments);
    atomic_store(&w->segment_count, w->nsegments);
    return r;
}

void wal_stats(const struct wal *w, struct wal_stats *ret)
{
    *ret = (struct wal_stats){
        .bytes = atomic_load(&w->bytes),
        .frames = atomic_load(&w->frames),
        .fsyncs = atomic_load(&w->fsyncs),
        .segments = atomic_load(&w->segment_count),
    };
}
