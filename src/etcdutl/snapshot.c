#include "etcdutl/commands.h"

#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>

#include "etcd/conf.h"
#include "etcd/db_mark.h"
#include "etcd/db_root.h"
#include "etcd/member_id.h"
#include "etcd/mvcc.h"
#include "etcd/wal.h"

#define SUM_BYTES  32u /* SHA-256 behind the store's bytes */
#define COPY_CHUNK (256u * 1024)
#define MAP_BYTES  (64ULL << 30)

/* --- the file: the store's bytes and their SHA-256 --- */

/* Copies the store's bytes to out (or nowhere, out < 0) and compares the sum at the end. */
static int copy_checked(const char *path, int out, bool skip_check, struct err *e)
{
    cleanup_close int in = open(path, O_RDONLY | O_CLOEXEC);
    cleanup_free uint8_t *chunk = xmalloc(COPY_CHUNK);
    uint8_t want[SUM_BYTES], got[SUM_BYTES];
    struct stat st;
    int r = 0;

    if (in < 0 || fstat(in, &st) < 0)
        return err_set(e, -errno, "open snapshot '%s'", path);
    if (st.st_size < 4096 || st.st_size % 512 != SUM_BYTES)
        return err_set(e, ERR_FORMAT,
                       "'%s' is no snapshot of ours: %" PRId64
                       " bytes, expected whole pages and a %u-byte sum",
                       path, (int64_t)st.st_size, SUM_BYTES);
    EVP_MD_CTX *sum = EVP_MD_CTX_new();
    EVP_DigestInit_ex(sum, EVP_sha256(), NULL);
    uint64_t left = (uint64_t)st.st_size - SUM_BYTES;
    while (left && r == 0) {
        ssize_t n = read(in, chunk, MIN((uint64_t)COPY_CHUNK, left));
        if (n <= 0 || (out >= 0 && write(out, chunk, (size_t)n) != n))
            r = err_set(e, n < 0 ? -errno : -EIO, "copy '%s'", path);
        else
            EVP_DigestUpdate(sum, chunk, (size_t)n);
        left -= n > 0 ? (uint64_t)n : 0;
    }
    EVP_DigestFinal_ex(sum, got, NULL);
    EVP_MD_CTX_free(sum);
    if (r == 0 && read(in, want, SUM_BYTES) != (ssize_t)SUM_BYTES)
        r = err_set(e, -EIO, "read '%s'", path);
    if (r == 0 && !skip_check && memcmp(want, got, SUM_BYTES) != 0)
        r = err_set(e, ERR_DATA_DAMAGED,
                    "'%s': the SHA-256 at its end does not match its content; take another copy",
                    path);
    return r;
}

/* The copied file has no mark beside it yet: its newest root is whole, the sum has just shown that.
 */
static int mark_newest(const char *db_path, struct err *e)
{
    cleanup_free char *mark_path = xasprintf("%s-mark", db_path);
    cleanup_close int fd = open(db_path, O_RDWR | O_CLOEXEC);
    cleanup_close int mark_fd = -1;
    struct db_root_page pages[2];
    int r = fd < 0 || fsync(fd) < 0 ? -errno : db_root_read(fd, pages);
    const struct db_root_page *newest = r == 0 ? db_root_newest(pages) : NULL;

    if (!newest)
        return err_set(e, r < 0 ? r : ERR_FORMAT, "'%s' holds no store", db_path);
    r = db_mark_open(mark_path, &mark_fd, e);
    if (r < 0)
        return r;
    struct db_mark mark = {.n = 1, .roots = {newest->root}};
    r = db_mark_write(mark_fd, &mark, true);
    return r < 0 ? err_set(e, r, "write '%s'", mark_path) : 0;
}

static int extract(const char *snapshot, const char *db_path, bool skip_check, struct err *e)
{
    cleanup_close int out = open(db_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (out < 0)
        return err_set(e, -errno, "make '%s'", db_path);
    int r = copy_checked(snapshot, out, skip_check, e);
    return r < 0 ? r : mark_newest(db_path, e);
}

/* --- status --- */

struct status {
    uint32_t hash;
    int64_t revision;
    uint64_t keys, size;
};

static int read_status(const char *db_path, struct status *ret, struct err *e)
{
    struct db_conf dc = {.path = db_path, .map_bytes = MAP_BYTES};
    struct db *db = NULL;
    struct mvcc *m = NULL;
    MDB_txn *view;
    int r = db_open(&dc, &db, e);

    if (r == 0)
        r = mvcc_open(db, &m, e);
    if (r == 0)
        r = db_view_begin(db, &view);
    if (r == 0) {
        r = mvcc_hash_all(db, view, &ret->hash);
        db_view_end(db, view);
    }
    if (r == 0) {
        ret->revision = mvcc_revision(m);
        ret->keys = mvcc_key_count(m);
        ret->size = db_size(db);
    }
    mvcc_free(m);
    db_close(db);
    return r;
}

static void remove_store(const char *dir, const char *db_path)
{
    static const char *const suffixes[] = {"", "-lock", "-mark"};

    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        cleanup_free char *p = xasprintf("%s%s", db_path, suffixes[i]);
        unlink(p);
    }
    rmdir(dir);
}

int util_snapshot_status(const struct util_conf *c, int nargs, char **args, struct err *e)
{
    cleanup_free char *dir = xasprintf("%s.status.XXXXXX", args[0]);
    struct status st;

    if (!mkdtemp(dir))
        return err_set(e, -errno, "make a temporary directory beside '%s'", args[0]);
    cleanup_free char *db_path = xasprintf("%s/db", dir);
    int r = extract(args[0], db_path, c->skip_hash_check, e);
    if (r == 0)
        r = read_status(db_path, &st, e);
    remove_store(dir, db_path);
    if (r < 0)
        return r;
    if (c->format == 1)
        printf("{\"hash\":%u,\"revision\":%" PRId64 ",\"totalKey\":%" PRIu64
               ",\"totalSize\":%" PRIu64 ",\"version\":\"%s\"}\n",
               st.hash, st.revision, st.keys, st.size, ETCD_CLUSTER_VERSION);
    else
        printf("%x, %" PRId64 ", %" PRIu64 ", %" PRIu64 "\n", st.hash, st.revision, st.keys,
               st.size);
    return 0;
}

/* --- restore --- */

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* A log that begins behind what the store holds. */
static int make_log(const char *dir, uint64_t cluster_id, uint64_t member_id, uint64_t index,
                    uint64_t term, struct err *e)
{
    struct wal_meta meta = {cluster_id, member_id};
    struct raft_hard_state hs = {.term = term, .commit = index};
    struct wal_recovered rec;
    struct wal *w = NULL;
    cleanup_buf struct buf frame;
    int r = wal_create(dir, &meta, e);

    buf_init(&frame, WAL_FRAME_BYTES_MAX);
    if (r == 0)
        r = wal_open(dir, 0, NULL, NULL, &rec, &w, e);
    if (r == 0) {
        wal_frame_begin(&frame);
        wal_frame_snapshot(&frame, index, term);
        wal_frame_hard_state(&frame, &hs);
        r = wal_write(w, &frame, 0, e);
    }
    wal_close(w);
    return r;
}

static int applied_of(const char *db_path, uint64_t *ret_index, uint64_t *ret_term, struct err *e)
{
    struct db_conf dc = {.path = db_path, .map_bytes = MAP_BYTES};
    struct db *db = NULL;
    struct mvcc *m = NULL;
    int r = db_open(&dc, &db, e);

    if (r == 0)
        r = mvcc_open(db, &m, e);
    if (r == 0)
        mvcc_applied(m, ret_index, ret_term);
    mvcc_free(m);
    db_close(db);
    return r;
}

static int make_dirs(char *const *paths, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (mkdir(paths[i], 0700) < 0 && (errno != EEXIST || i == 0))
            return err_set(
                e, -errno,
                "make directory '%s' (a restore needs a new one: give another --data-dir)",
                paths[i]);
    return 0;
}

int util_snapshot_restore(const struct util_conf *c, int nargs, char **args, struct err *e)
{
    cleanup_free char *data = c->data_dir ? xstrdup(c->data_dir) : xasprintf("%s.etcd", c->name);
    cleanup_free char *member = xasprintf("%s/member", data);
    cleanup_free char *snap = xasprintf("%s/snap", member);
    cleanup_free char *wal = c->wal_dir ? xstrdup(c->wal_dir) : xasprintf("%s/wal", member);
    cleanup_free char *db_path = xasprintf("%s/db", snap);
    uint64_t index, term;
    uint64_t member_id = member_id_make(c->initial_advertise_peer_urls, c->initial_cluster_token);
    int r = make_dirs((char *const[]){data, member, snap, wal}, 4, e);
    bool made = r == 0;

    if (r == 0)
        r = extract(args[0], db_path, c->skip_hash_check, e);
    if (r == 0)
        r = applied_of(db_path, &index, &term, e);
    if (r == 0)
        r = make_log(wal, cluster_id_make(member_id), member_id, index, term, e);
    if (r == 0)
        printf("restored '%s' to '%s': start with etcd --data-dir %s\n", args[0], data, data);
    else if (made)
        remove_tree(data); /* ours from the first directory on: nothing else can stand in it */
    return r;
}
