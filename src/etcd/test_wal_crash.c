/*
 * What the log promises when disks fail, power goes and processes are killed: every entry whose
 * write was reported durable is there at the next start, unchanged and in order.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/rng.h"
#include "etcd/test_wal_util.h"

#define SEGMENT     8192u
#define POWER_SEEDS 4 /* each a life cut off at every call it makes */

/*
 * A disk that fails at the nth call. With power_loss it is also one that holds what was written in
 * a cache until the next sync: at the failure, each sector of each unsynced write either made it or
 * did not, and so did each rename.
 */
struct pending {
    int fd; /* our own */
    ino_t ino;
    off_t sector;
    uint8_t old[WAL_SECTOR];
    bool kept;
};
struct disk {
    struct rng rng;
    uint64_t calls, fail_at; /* fail_at 0: never */
    int error;
    bool once;       /* a passing failure, not the end */
    bool power_loss; /* writes wait in its cache */
    bool dead;
    struct pending *pending;
    size_t npending, cap;
    struct {
        int dirfd;
        char from[WAL_NAME_MAX], to[WAL_NAME_MAX];
    } renamed;
    bool has_renamed;
};

/* 0: go on; 1: this call is the one; negative: dead. */
static int disk_tick(struct disk *d)
{
    if (d->dead)
        return -EIO;
    if (++d->calls != d->fail_at)
        return 0;
    d->dead = !d->once;
    return 1;
}

static void disk_remember(struct disk *d, int fd, off_t sector)
{
    struct stat st;

    if (d->npending == d->cap) {
        d->cap = d->cap * 2 + 64;
        d->pending = xrealloc(d->pending, d->cap * sizeof *d->pending);
    }
    struct pending *p = &d->pending[d->npending++];
    *p = (struct pending){.fd = dup(fd), .sector = sector};
    fstat(fd, &st);
    p->ino = st.st_ino;
    ssize_t n = pread(fd, p->old, sizeof p->old, sector);
    assert(n >= 0);
}

static void disk_synced(struct disk *d, int fd)
{
    struct stat st;
    size_t n = 0;

    fstat(fd, &st);
    if (S_ISDIR(st.st_mode)) {
        d->has_renamed = false;
        return;
    }
    for (size_t i = 0; i < d->npending; i++) {
        if (d->pending[i].ino == st.st_ino)
            close(d->pending[i].fd);
        else
            d->pending[n++] = d->pending[i];
    }
    d->npending = n;
}

static bool newer_was_kept(const struct disk *d, size_t i)
{
    for (size_t k = i + 1; k < d->npending; k++)
        if (d->pending[k].kept && d->pending[k].ino == d->pending[i].ino &&
            d->pending[k].sector == d->pending[i].sector)
            return true;
    return false;
}

static void disk_lose_power(struct disk *d)
{
    uint64_t odds = 1 + rng_below(&d->rng, 7); /* mostly lost ... mostly there */

    for (size_t i = d->npending; i-- > 0;) {
        struct pending *p = &d->pending[i];
        p->kept = newer_was_kept(d, i) || rng_below(&d->rng, 8) < odds;
        if (!p->kept)
            assert_int_equal(pwrite(p->fd, p->old, sizeof p->old, p->sector), sizeof p->old);
        close(p->fd);
    }
    d->npending = 0;
    if (d->has_renamed && rng_below(&d->rng, 2))
        renameat(d->renamed.dirfd, d->renamed.to, d->renamed.dirfd, d->renamed.from);
    d->has_renamed = false;
}

static void disk_deinit(struct disk *d)
{
    for (size_t i = 0; i < d->npending; i++)
        close(d->pending[i].fd);
    free(d->pending);
    if (d->renamed.dirfd > 0)
        close(d->renamed.dirfd);
}

static int disk_open(void *ctx, int dirfd, const char *name, int flags, mode_t mode)
{
    struct disk *d = ctx;
    return disk_tick(d) ? d->error : wal_io_system.open(NULL, dirfd, name, flags, mode);
}

static int disk_allocate(void *ctx, int fd, off_t n)
{
    struct disk *d = ctx;
    return disk_tick(d) ? d->error : wal_io_system.allocate(NULL, fd, n);
}

static ssize_t disk_pwrite(void *ctx, int fd, const void *p, size_t n, off_t offset)
{
    struct disk *d = ctx;
    int now = disk_tick(d);

    if (now < 0)
        return -EIO;
    if (rng_below(&d->rng, 16) == 0)
        return -EINTR;
    /* Short writes are no failure; but what lies within one sector is not split. */
    if (offset / WAL_SECTOR != (offset + (off_t)n - 1) / WAL_SECTOR &&
        (now || rng_below(&d->rng, 8) == 0))
        n = 1 + rng_below(&d->rng, n - 1);
    if (d->power_loss)
        for (off_t s = offset / WAL_SECTOR * WAL_SECTOR; s < offset + (off_t)n; s += WAL_SECTOR)
            disk_remember(d, fd, s);
    ssize_t w = wal_io_system.pwrite(NULL, fd, p, n, offset);
    return now ? d->error : w;
}

static int disk_sync(void *ctx, int fd)
{
    struct disk *d = ctx;
    if (disk_tick(d))
        return d->error;
    if (d->power_loss)
        disk_synced(d, fd);
    return 0; /* a real sync would only be slow */
}

static int disk_rename(void *ctx, int dirfd, const char *from, const char *to)
{
    struct disk *d = ctx;
    int now = disk_tick(d);

    if (now < 0 || (now && rng_below(&d->rng, 2)))
        return d->error;
    int r = wal_io_system.rename(NULL, dirfd, from, to);
    if (d->renamed.dirfd > 0)
        close(d->renamed.dirfd);
    d->renamed.dirfd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY); /* without the lock */
    snprintf(d->renamed.from, WAL_NAME_MAX, "%s", from);
    snprintf(d->renamed.to, WAL_NAME_MAX, "%s", to);
    /* A spare's own name is no promise; only a segment's is. */
    d->has_renamed = d->power_loss && strcmp(to, WAL_SPARE) != 0;
    return now && !d->power_loss ? d->error : r;
}

static struct wal_io disk_io(struct disk *d)
{
    return (struct wal_io){disk_open, disk_allocate, disk_pwrite, disk_sync, disk_rename, d};
}

/* --- a member's life on it --- */

struct life {
    uint64_t acked;       /* entries reported durable */
    uint64_t tried;       /* highest entry ever given to wal_write */
    uint64_t first, seen; /* by the reader */
    uint64_t marked;      /* snapshot mark reported durable */
    uint64_t refused;     /* writes that failed and were given again */
};

static int life_take(void *ctx, const struct raft_entry *entry)
{
    struct life *l = ctx;

    if (l->first == 0)
        l->first = entry->index;
    else
        assert_int_equal(entry->index, l->seen + 1);
    assert_true(test_is_filled(entry->data, entry->index));
    l->seen = entry->index;
    return 0;
}

/* Opens and checks the promise. */
static int life_open(struct life *l, const char *dir, const struct wal_io *io,
                     struct wal_recovered *rec, struct wal **ret, struct err *e)
{
    const struct wal_conf conf = {.io = io, .segment_bytes = SEGMENT};

    l->first = l->seen = 0;
    int r = wal_open_conf(dir, l->marked, life_take, l, &conf, rec, ret, e);
    if (r == 0) {
        assert_true(rec->last_index >= l->acked);
        assert_true(rec->last_index <= l->tried);
        assert_true(rec->snap_index >= l->marked);
        assert_int_equal(rec->last_index, l->seen ? l->seen : MAX(rec->snap_index, l->marked));
        if (l->seen)
            assert_true(l->first <= rec->snap_index + 1);
        l->acked = rec->last_index;
        l->marked = rec->snap_index;
    }
    return r;
}

static int life_write(struct life *l, struct wal *w, struct rng *rng, struct err *e)
{
    cleanup_buf struct buf frame;
    uint64_t last = l->acked + 1 + rng_below(rng, 3);
    bool mark = rng_below(rng, 8) == 0;

    buf_init(&frame, WAL_FRAME_BYTES_MAX);
    wal_frame_begin(&frame);
    if (mark)
        wal_frame_snapshot(&frame, l->acked, 1);
    for (uint64_t i = l->acked + 1; i <= last; i++)
        test_frame_entry(&frame, 1, i, rng_below(rng, 1500));
    l->tried = MAX(l->tried, last);
    int r = wal_write(w, &frame, last, e);
    if (r < 0 && !wal_is_broken(w)) {
        l->refused++;
        r = wal_write(w, &frame, last, e);
    }
    if (r < 0)
        return r;
    if (mark)
        l->marked = l->acked;
    l->acked = last;
    return mark ? wal_release(w, l->marked, e) : 0;
}

/* One run of the member: true when the disk let it come to its end. */
static bool life_run(struct life *l, const char *dir, struct disk *d, int writes)
{
    struct wal_io io = disk_io(d);
    const struct wal_conf conf = {.io = &io, .segment_bytes = SEGMENT};
    struct wal_recovered rec;
    struct wal *w = NULL;
    struct err e = {0};
    int r = wal_exists(dir) ? 0 : wal_create_conf(dir, &test_meta, &conf, &e);

    if (r == 0)
        r = life_open(l, dir, &io, &rec, &w, &e);
    for (int i = 0; r == 0 && i < writes; i++) {
        if (rng_below(&d->rng, 3) == 0)
            r = wal_prepare_spare(w, &e); /* a failure here is no failure of the log */
        r = life_write(l, w, &d->rng, &e);
    }
    if (r < 0)
        assert_true(e.msg[0]);
    wal_close(w);
    return r == 0;
}

static int no_sync(void *ctx, int fd)
{
    return 0;
}

static void check_survives(struct life *l, const char *dir, uint64_t n)
{
    struct wal_io io = wal_io_system;
    struct wal_recovered rec;
    struct wal *w = NULL;
    struct err e = {0};

    io.sync = no_sync; /* nothing is lost any more */
    if (!wal_exists(dir)) {
        assert_int_equal(l->acked, 0);
        return;
    }
    int r = life_open(l, dir, &io, &rec, &w, &e);
    if (r < 0)
        fail_msg("call %" PRIu64 ": not opened: %s", n, e.msg);
    wal_close(w);
}

/* Three lives on one disk: the process of the first two ends at some call, with or without the
 * power; the power goes in any case in the end, so also while the log is opened and repaired, and
 * after a start that found in memory what had not reached the disk. */
static bool power_round(uint64_t seed, uint64_t n, uint64_t *io_torn)
{
    char *dir = test_dir("wal-power");
    struct life l = {0};
    struct disk d = {.error = -EIO, .power_loss = true};
    bool whole = false;

    rng_seed(&d.rng, seed * 100000 + n);
    for (int run = 0; run < 3; run++) {
        d.fail_at = d.calls + (run ? 1 + rng_below(&d.rng, 40) : n);
        d.dead = false;
        bool done = life_run(&l, dir, &d, 25);
        if (run == 0)
            whole = done;
        if (run == 2 || rng_below(&d.rng, 2))
            disk_lose_power(&d);
    }
    check_survives(&l, dir, n);
    *io_torn += l.acked < l.tried;
    disk_deinit(&d);
    test_rmdir(dir);
    free(dir);
    return whole;
}

static void nothing_durable_is_lost_with_the_power(void **state)
{
    uint64_t torn = 0;

    for (uint64_t seed = 1; seed <= POWER_SEEDS; seed++)
        for (uint64_t n = 1; !power_round(seed, n, &torn); n++)
            ;
    assert_true(torn > 50);
}

static void any_call_to_the_disk_may_fail(void **state)
{
    static const struct {
        int error;
        bool once;
    } rows[] = {{-EIO, false}, {-EIO, true}, {-ENOSPC, true}, {-ENOSPC, false}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t refused = 0;
        bool reached = true;
        for (uint64_t n = 1; reached; n++) {
            char *dir = test_dir("wal-fail");
            struct disk d = {.fail_at = n, .error = rows[i].error, .once = rows[i].once};
            struct life l = {0};
            rng_seed(&d.rng, n);
            life_run(&l, dir, &d, 25);
            reached = d.calls >= n;
            check_survives(&l, dir, n);
            refused += l.refused;
            test_rmdir(dir);
            free(dir);
        }
        if (rows[i].error == -ENOSPC && rows[i].once)
            assert_true(refused > 0);
    }
}

static void after_a_failed_sync_nothing_more_is_written(void **state)
{
    char *dir = test_dir("wal-sync");
    struct disk d = {0};
    struct life l = {0};
    struct wal_io io = disk_io(&d);
    struct wal_recovered rec;
    struct wal *w = NULL;
    struct err e = {0};

    rng_seed(&d.rng, 1);
    assert_true(life_run(&l, dir, &d, 3));
    assert_int_equal(life_open(&l, dir, &io, &rec, &w, &e), 0);
    d.error = -EIO;
    d.once = true;
    for (d.fail_at = d.calls + 2; !wal_is_broken(w); d.fail_at = d.calls + 2)
        life_write(&l, w, &d.rng, &e);
    assert_non_null(strstr(e.msg, "after a restart"));
    assert_int_equal(life_write(&l, w, &d.rng, &e), -EIO);
    assert_non_null(strstr(e.msg, "accepts nothing more"));
    assert_int_equal(wal_prepare_spare(w, &e), -EIO);
    assert_int_equal(wal_room(w), 0);
    assert_false(wal_wants_spare(w));
    wal_close(w);
    check_survives(&l, dir, 0);
    test_rmdir(dir);
    free(dir);
}

/* --- a process that is killed --- */

static void child_write(const char *dir, struct life l, int out)
{
    struct wal_recovered rec;
    struct wal *w = NULL;
    struct rng rng;

    rng_seed_os(&rng);
    if (life_open(&l, dir, &wal_io_system, &rec, &w, NULL) < 0)
        _exit(1);
    for (;;) {
        if (rng_below(&rng, 5) == 0)
            wal_prepare_spare(w, NULL);
        if (life_write(&l, w, &rng, NULL) < 0)
            _exit(1);
        uint64_t report[2] = {l.acked, l.marked};
        if (write(out, report, sizeof report) != sizeof report)
            _exit(1);
    }
}

static void kill_one(struct life *l, const char *dir, struct rng *rng)
{
    uint64_t report[2];
    int fds[2], status;

    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        child_write(dir, *l, fds[1]);
    }
    close(fds[1]);
    usleep((useconds_t)rng_below(rng, 60000));
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    while (read(fds[0], report, sizeof report) == sizeof report) {
        l->acked = report[0];
        l->marked = report[1];
    }
    close(fds[0]);
    l->tried = l->acked + 4;
}

static void a_killed_writer_loses_nothing_it_reported(void **state)
{
    char *dir = test_dir("wal-kill");
    const struct wal_conf conf = {.io = &wal_io_system, .segment_bytes = SEGMENT};
    struct life l = {0};
    struct rng rng;

    rng_seed_os(&rng);
    assert_int_equal(wal_create_conf(dir, &test_meta, &conf, NULL), 0);
    for (int round = 0; round < 36; round++) {
        kill_one(&l, dir, &rng);
        check_survives(&l, dir, 0);
    }
    assert_true(l.acked > 36);
    test_rmdir(dir);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_durable_is_lost_with_the_power),
        cmocka_unit_test(any_call_to_the_disk_may_fail),
        cmocka_unit_test(after_a_failed_sync_nothing_more_is_written),
        cmocka_unit_test(a_killed_writer_loses_nothing_it_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
