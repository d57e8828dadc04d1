#include "etcdutl/commands.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "etcd/mvcc.h"
#include "etcd/wal.h"

#define MAP_BYTES (64ULL << 30) /* address space; any file smaller than this can be read */

static void show_progress(void *ctx, uint64_t done, uint64_t all)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " records", done, all);
}

static int open_store(const char *data_dir, struct db **ret_db, struct mvcc **ret_m, struct err *e)
{
    cleanup_free char *path = xasprintf("%s/member/snap/db", data_dir);
    struct db_conf dc = {.path = path, .map_bytes = MAP_BYTES};

    *ret_m = NULL;
    if (access(path, F_OK) < 0)
        return err_set(e, -errno, "no store at '%s'", path);
    int r = db_open(&dc, ret_db, e);
    return r < 0 ? r : mvcc_open(*ret_db, ret_m, e);
}

static int check_store(const struct util_conf *c, struct err *e)
{
    struct db *db = NULL;
    struct mvcc *m = NULL;
    MDB_txn *view = NULL;
    int r = open_store(c->data_dir, &db, &m, e);

    if (r == 0)
        r = db_view_begin(db, &view);
    if (r == 0) {
        r = mvcc_check(db, view, show_progress, NULL, e);
        if (isatty(STDERR_FILENO))
            fputc('\n', stderr);
        db_view_end(db, view);
    }
    if (r == 0)
        printf("store: good, revision %" PRId64 ", %" PRIu64 " keys\n", mvcc_revision(m),
               mvcc_key_count(m));
    mvcc_free(m);
    db_close(db);
    return r;
}

/* --- the log --- */

static int is_segment(const struct dirent *d)
{
    size_t n = strlen(d->d_name);

    return n > 4 && strcmp(d->d_name + n - 4, ".wal") == 0;
}

static int count_record(void *ctx, const struct wal_record *rec)
{
    ++*(uint64_t *)ctx;
    return 0;
}

static int check_segment(const char *path, bool is_last, uint64_t *sequence, uint64_t *records,
                         struct err *e)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    struct wal_meta meta;
    size_t offset = 0;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(e, -errno, "read '%s'", path);
    void *p = st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0) : NULL;
    if (p == MAP_FAILED)
        return err_set(e, -errno, "map '%s'", path);
    int r = wal_scan(slice_of(p, (size_t)st.st_size), is_last, sequence, &meta, count_record,
                     records, &offset, e);
    if (p)
        munmap(p, (size_t)st.st_size);
    if (r == 1) {
        printf("log: unfinished write at %s offset %zu; the next start cuts it off\n", path,
               offset);
        r = 0;
    }
    return r < 0 ? err_wrap(e, r, "'%s'", path) : 0;
}

static int check_log(const struct util_conf *c, struct err *e)
{
    cleanup_free char *dir =
        c->wal_dir ? xstrdup(c->wal_dir) : xasprintf("%s/member/wal", c->data_dir);
    struct dirent **names = NULL;
    uint64_t sequence = 0, records = 0;
    int r = 0;
    int n = scandir(dir, &names, is_segment, alphasort);

    if (n < 0)
        return err_set(e, -errno, "read directory '%s'", dir);
    for (int i = 0; i < n; i++) {
        cleanup_free char *path = xasprintf("%s/%s", dir, names[i]->d_name);
        if (r == 0)
            r = check_segment(path, i == n - 1, &sequence, &records, e);
        free(names[i]);
    }
    free(names);
    if (r == 0)
        printf("log: good, %d segments, %" PRIu64 " records\n", n, records);
    return r;
}

int util_check(const struct util_conf *c, int nargs, char **args, struct err *e)
{
    int r = check_log(c, e);

    return r < 0 ? r : check_store(c, e);
}

int util_defrag(const struct util_conf *c, int nargs, char **args, struct err *e)
{
    struct db *db = NULL;
    struct mvcc *m = NULL;
    int r = open_store(c->data_dir, &db, &m, e);

    if (r == 0)
        r = db_compact_file(db, e);
    if (r == 0)
        printf("Finished defragmenting directory[%s]\n", c->data_dir);
    mvcc_free(m);
    db_close(db);
    return r;
}
