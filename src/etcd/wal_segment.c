#include <fcntl.h>
#include <dirent.h>
#include <sys/stat.h>

#include "etcd/wal_internal.h"

/* Zeros are written in steps, each made durable: a step is as long as a write of the log may have
 * to wait for the device behind it. */
#define MAKE_STEP_BYTES (1024u * 1024)

static int sys_open(void *ctx, int dirfd, const char *name, int flags, mode_t mode)
{
    int fd = openat(dirfd, name, flags | O_CLOEXEC, mode);
    return fd < 0 ? -errno : fd;
}

static int sys_allocate(void *ctx, int fd, off_t n)
{
    int r;
    do
        r = fallocate(fd, 0, 0, n);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

static ssize_t sys_pwrite(void *ctx, int fd, const void *p, size_t n, off_t offset)
{
    ssize_t w = pwrite(fd, p, n, offset);
    return w < 0 ? -errno : w;
}

static int sys_sync(void *ctx, int fd)
{
    int r;
    do
        r = fdatasync(fd);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

static int sys_rename(void *ctx, int dirfd, const char *from, const char *to)
{
    return renameat(dirfd, from, dirfd, to) < 0 ? -errno : 0;
}

const struct wal_io wal_io_system = {
    .open = sys_open,
    .allocate = sys_allocate,
    .pwrite = sys_pwrite,
    .sync = sys_sync,
    .rename = sys_rename,
};

void wal_segment_name(uint64_t sequence, uint64_t first_index, char ret[WAL_NAME_MAX])
{
    snprintf(ret, WAL_NAME_MAX, "%016" PRIx64 "-%016" PRIx64 ".wal", sequence, first_index);
}

static bool parse_hex16(const char *p, uint64_t *ret)
{
    *ret = 0;
    for (int i = 0; i < 16; i++) {
        const char *digits = "0123456789abcdef";
        const char *d = p[i] ? strchr(digits, p[i]) : NULL;
        if (!d)
            return false;
        *ret = *ret << 4 | (uint64_t)(d - digits);
    }
    return true;
}

bool wal_segment_name_parse(const char *name, struct wal_segment *ret)
{
    *ret = (struct wal_segment){0};
    return parse_hex16(name, &ret->sequence) && name[16] == '-' &&
           parse_hex16(name + 17, &ret->first_index) && strcmp(name + 33, ".wal") == 0;
}

static int by_sequence(const void *a, const void *b)
{
    const struct wal_segment *x = a, *y = b;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static void cleanup_dir_p(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

int wal_segment_list(int dirfd, struct wal_segment **ret, size_t *ret_n, struct err *e)
{
    cleanup_free struct wal_segment *list = NULL;
    cleanup_close int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    size_t n = 0, cap = 0;

    if (fd < 0)
        return err_set(e, -errno, "open the log's directory");
    __attribute__((cleanup(cleanup_dir_p))) DIR *dir = fdopendir(fd);
    if (!dir)
        return err_set(e, -errno, "read the log's directory");
    take_fd(&fd);

    struct dirent *d;
    while ((errno = 0, d = readdir(dir))) {
        struct wal_segment s;
        if (!wal_segment_name_parse(d->d_name, &s))
            continue;
        if (n == cap) {
            cap = cap * 2 + 16;
            list = xrealloc(list, cap * sizeof *list);
        }
        list[n++] = s;
    }
    if (errno)
        return err_set(e, -errno, "read the log's directory");
    if (n)
        qsort(list, n, sizeof *list, by_sequence);
    *ret = take_ptr(&list);
    *ret_n = n;
    return 0;
}

int wal_read_all(int fd, uint8_t *p, size_t n, uint64_t offset, struct err *e)
{
    for (size_t done = 0; done < n;) {
        uint64_t at = offset + done;
        ssize_t r = pread(fd, p + done, n - done, (off_t)at);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_set(e, -errno, "read at offset %" PRIu64, at);
        if (r == 0)
            return err_set(e, ERR_DATA_DAMAGED, "ends at offset %" PRIu64 ", expected %" PRIu64, at,
                           offset + n);
        done += (size_t)r;
    }
    return 0;
}

int wal_segment_read(int dirfd, const char *name, uint8_t **ret, size_t *ret_n, struct err *e)
{
    cleanup_close int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(e, -errno, "open");
    if (st.st_size > WAL_SEGMENT_BYTES_MAX)
        return err_set(e, ERR_FORMAT, "%lld bytes are too many for a log segment",
                       (long long)st.st_size);
    size_t n = (size_t)st.st_size;
    cleanup_free uint8_t *p = malloc(n ? n : 1);
    if (!p)
        return err_set(e, -ENOMEM, "read %zu bytes", n);
    int r = wal_read_all(fd, p, n, 0, e);
    if (r < 0)
        return r;
    *ret = take_ptr(&p);
    *ret_n = n;
    return 0;
}

int wal_pwrite_all(const struct wal_io *io, int fd, const void *p, size_t n, uint64_t offset)
{
    size_t done = 0;
    int rc = 0;

    while (done < n && rc == 0) {
        ssize_t w =
            io->pwrite(io->ctx, fd, (const uint8_t *)p + done, n - done, (off_t)(offset + done));
        if (w > 0)
            done += (size_t)w;
        else if (w != -EINTR)
            rc = w ? (int)w : -EIO;
    }
    return rc;
}

static int write_zeros(const struct wal_io *io, int fd, uint64_t from, uint64_t to)
{
    static const uint8_t zeros[64 * 1024];
    int r = 0;

    while (from < to && r == 0) {
        size_t n = MIN(to - from, sizeof zeros);
        r = wal_pwrite_all(io, fd, zeros, n, from);
        from += n;
    }
    return r;
}

/* The first sector, with the frame's head, on its own: a call within one sector is not split, and
 * so the head is whole or gone. */
int wal_zero_range(const struct wal_io *io, int fd, uint64_t from, uint64_t to)
{
    uint64_t second = MIN(from / WAL_SECTOR * WAL_SECTOR + WAL_SECTOR, to);
    int r = write_zeros(io, fd, second, to);

    if (r == 0)
        r = write_zeros(io, fd, from, second);
    return r < 0 ? r : io->sync(io->ctx, fd);
}

static int fill(const struct wal_conf *conf, int fd)
{
    int r = conf->io->allocate(conf->io->ctx, fd, (off_t)conf->segment_bytes);

    /* Not every file system can reserve; the zeros below reserve as well, only later. */
    if (r < 0 && r != -EOPNOTSUPP && r != -ENOSYS)
        return r;
    r = 0;
    for (uint64_t at = 0; at < conf->segment_bytes && r == 0; at += MAKE_STEP_BYTES)
        r = wal_zero_range(conf->io, fd, at, MIN(at + MAKE_STEP_BYTES, conf->segment_bytes));
    return r;
}

int wal_segment_make(const struct wal_conf *conf, int dirfd, const char *name, int *ret_fd,
                     struct err *e)
{
    const struct wal_io *io = conf->io;
    cleanup_close int fd = io->open(io->ctx, dirfd, name, O_RDWR | O_CREAT | O_TRUNC, 0600);

    if (fd < 0)
        return err_set(e, fd, "create log segment '%s'", name);
    int r = fill(conf, fd);
    if (r < 0) {
        unlinkat(dirfd, name, 0);
        return err_set(e, r, "fill log segment '%s' with %zu zeros", name, conf->segment_bytes);
    }
    *ret_fd = take_fd(&fd);
    return 0;
}

void wal_segment_begin(struct wal_segment_head *head, const struct wal_state *state,
                       uint8_t ret[WAL_SEGMENT_BEGIN])
{
    cleanup_buf struct buf frame = {0};

    wal_segment_head_encode(head, ret);
    buf_init(&frame, WAL_FRAME_BYTES_MAX);
    wal_frame_begin(&frame);
    if (wal_frame_hard_state(&frame, &state->hard_state) < 0 ||
        wal_frame_snapshot(&frame, state->snap_index, state->snap_term) < 0 ||
        wal_frame_pad(&frame) < 0)
        abort(); /* no memory for a hundred bytes */
    assert(frame.n == WAL_FRAME_HEAD + WAL_CARRY_PAYLOAD);
    wal_frame_seal(frame.p, frame.n, head->seed, WAL_SEGMENT_HEAD, head->first_frame);
    memcpy(ret + WAL_SEGMENT_HEAD, frame.p, frame.n);
}
