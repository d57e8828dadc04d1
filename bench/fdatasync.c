/*
 * fdatasync: the floor under every durable write. Writes 512 bytes and calls fdatasync, over and
 * over, through a preallocated file of zeros (so that no block is allocated on the way), and prints
 * the times.
 *
 * usage: bench_fdatasync --dir DIR [--count N]
 * prints: median_us mean_us p99_us
 */
#include <fcntl.h>

#include "h2client.h"

#define SECTOR    512
#define COUNT_MAX 100000

static int make_file(const char *dir, size_t bytes)
{
    cleanup_free char *path = xasprintf("%s/fdatasync.tmp", dir);
    cleanup_free uint8_t *zeros = xcalloc(1, bytes);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || unlink(path) < 0)
        bench_die("%s: %s", path, strerror(errno));
    if (pwrite(fd, zeros, bytes, 0) != (ssize_t)bytes || fsync(fd) < 0)
        bench_die("%s: %s", path, strerror(errno));
    return fd;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    size_t count = MIN(bench_arg_u64(argc, argv, "count", 2000), (uint64_t)COUNT_MAX);
    cleanup_free double *us = xcalloc(count, sizeof(*us));
    uint8_t sector[SECTOR];
    double sum = 0;

    if (count == 0)
        bench_die("--count must be at least 1");
    cleanup_close int fd = make_file(bench_arg(argc, argv, "dir", NULL), count * SECTOR);
    memset(sector, 'x', sizeof(sector));
    for (size_t i = 0; i < count; i++) {
        double start = bench_now_s();
        if (pwrite(fd, sector, SECTOR, (off_t)(i * SECTOR)) != SECTOR || fdatasync(fd) < 0)
            bench_die("write: %s", strerror(errno));
        us[i] = (bench_now_s() - start) * 1e6;
        sum += us[i];
    }
    qsort(us, count, sizeof(*us), by_value);
    printf("%.1f %.1f %.1f\n", us[count / 2], sum / (double)count, us[count * 99 / 100]);
    return 0;
}
