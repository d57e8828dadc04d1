#include "etcd/db_internal.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>

#include "etcd/db_fault.h"

/* A file this small without a mark is one whose making was interrupted. */
#define FRESH_BYTES_MAX (128u * 1024) /* three pages, of at most 32 KiB each */
#define READERS_MAX     16 /* views at a time: a hash, a copy, a check, and some to spare */

static const char *const table_names[DB_TABLES] = {
    [DB_META] = "meta",   [DB_INDEX] = "index",         [DB_HISTORY] = "history",
    [DB_LEASE] = "lease", [DB_LEASE_KEY] = "lease_key",
};

const char *db_table_name(enum db_table t)
{
    assert(t < DB_TABLES);
    return table_names[t];
}

int db_error(int mdb_rc)
{
    switch (mdb_rc) {
    case 0:
        return 0;
    case MDB_NOTFOUND:
        return ERR_KEY_NOT_FOUND;
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case MDB_BAD_VALSIZE:
        return -EINVAL;
    default:
        return mdb_rc > 0 ? -mdb_rc : ERR_DATA_DAMAGED;
    }
}

/* LMDB's own asserts catch pages that cannot be right. Going on would spread the damage. */
static void engine_assert(MDB_env *env, const char *msg)
{
    const struct db *db = mdb_env_get_userctx(env);

    fprintf(stderr,
            "engine detected damage in '%s': %s; stopped before anything was made worse; "
            "restore the file from a backup\n",
            db->path, msg);
    abort();
}

int db_sync_dir(const char *path, struct err *e)
{
    cleanup_free char *copy = xstrdup(path);
    const char *dir = dirname(copy);
    cleanup_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return err_set(e, -errno, "sync directory '%s'", dir);
    return 0;
}

int db_note_commit(struct db *db)
{
    struct db_root_page pages[2];
    struct stat st;
    int r = db_root_read(db->fd, pages);

    if (r < 0)
        return r;
    const struct db_root_page *newest = db_root_newest(pages);
    if (!newest)
        return ERR_DATA_DAMAGED;
    db->last = *newest;
    db->free_pages_known = false;
    r = db_root_extend(db->fd, newest);
    if (r < 0)
        return r;
    if (fstat(db->fd, &st) < 0)
        return -errno;
    db->file_bytes = (uint64_t)st.st_size;
    return 0;
}

static int open_tables(struct db *db)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(db->env, NULL, 0, &txn);

    if (rc)
        return rc;
    for (int t = 0; t < DB_TABLES && !rc; t++)
        rc = mdb_dbi_open(txn, table_names[t], MDB_CREATE, &db->dbi[t]);
    if (rc) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn); /* writes nothing when the tables stood there */
}

/* The layout in db_root.c against what LMDB itself says of the same file. */
static bool layout_known(struct db *db)
{
    MDB_envinfo info;
    MDB_stat st;

    return mdb_env_info(db->env, &info) == 0 && mdb_env_stat(db->env, &st) == 0 && db->last.ok &&
           info.me_last_txnid == db->last.root.txnid && info.me_last_pgno == db->last.last_page &&
           st.ms_psize == db->last.page_bytes;
}

static int env_open(struct db *db)
{
    /* No MDB_NORDAHEAD: the kernel stops reading ahead by itself where it does not help, and a
     * cold scan or check is several times faster with it. */
    unsigned flags = MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOTLS;
    int rc = mdb_env_create(&db->env);

    if (rc)
        return rc;
    mdb_env_set_userctx(db->env, db);
    mdb_env_set_assert(db->env, engine_assert);
    if (!(rc = mdb_env_set_maxdbs(db->env, DB_TABLES)) &&
        !(rc = mdb_env_set_maxreaders(db->env, READERS_MAX)) &&
        !(rc = mdb_env_set_mapsize(db->env, db->map_bytes)) &&
        !(rc = mdb_env_open(db->env, db->path, flags, 0600)) &&
        !(rc = mdb_env_get_fd(db->env, &db->fd)))
        rc = open_tables(db);
    return rc;
}

int db_env_open(struct db *db, struct err *e)
{
    int rc = env_open(db);

    if (rc) {
        db_env_close(db);
        return err_set(e, db_error(rc), "open database '%s': %s", db->path, mdb_strerror(rc));
    }
    int r = db_note_commit(db);
    if (r < 0)
        return err_set(e, r, "read '%s'", db->path);
    if (!layout_known(db))
        return err_set(e, ERR_FORMAT,
                       "'%s': %s lays its file out differently from LMDB 0.9; use that library",
                       db->path, mdb_version(NULL, NULL, NULL));
    db->reserved_end = 0;
    db_fault_watch(db->path, db->fd);
    return 0;
}

void db_env_close(struct db *db)
{
    if (db->txn)
        mdb_txn_abort(db->txn);
    db->txn = NULL;
    db_fault_forget();
    if (db->env)
        mdb_env_close(db->env);
    db->env = NULL;
    db->fd = -1;
}

/* 1: there is no file yet, or one whose making was interrupted (removed here). 0: a file. */
static int is_fresh(struct db *db, bool marked, struct err *e)
{
    cleanup_close int fd = open(db->path, O_RDONLY | O_CLOEXEC);
    struct stat st = {0};
    struct db_root_page pages[2] = {0};

    if (fd < 0 && errno != ENOENT)
        return err_set(e, -errno, "open '%s'", db->path);
    if (fd >= 0 && (fstat(fd, &st) < 0 || db_root_read(fd, pages) < 0))
        return err_set(e, -errno, "read '%s'", db->path);
    if (marked && st.st_size == 0)
        return err_set(e, ERR_DATA_DAMAGED,
                       "'%s' is missing although '%s' knows it; bring it back from a backup, or "
                       "remove both to begin with nothing",
                       db->path, db->mark_path);
    if (marked)
        return 0;
    const struct db_root_page *newest = db_root_newest(pages);
    /* The first transaction makes the tables and the second begins only when that one is marked. */
    if (st.st_size > FRESH_BYTES_MAX || (newest && newest->root.txnid > 1))
        return err_set(e, ERR_DATA_DAMAGED,
                       "'%s' is missing or spoilt, and without it nobody knows which state of '%s' "
                       "is whole; restore both from a backup",
                       db->mark_path, db->path);
    if (fd >= 0 && unlink(db->path) < 0)
        return err_set(e, -errno, "remove unfinished '%s'", db->path);
    return 1;
}

static int settle(struct db *db, struct err *e)
{
    cleanup_close int fd = open(db->path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return err_set(e, -errno, "open '%s'", db->path);
    return db_root_settle(fd, db->path, &db->mark, e);
}

/* A new file's first transaction is made durable and marked at once, then the names. */
static int mark_first(struct db *db, struct err *e)
{
    if (db->sync && fdatasync(db->fd) < 0)
        return err_set(e, -errno, "sync '%s'", db->path);
    db->mark = (struct db_mark){.n = 1, .roots = {db->last.root}};
    int r = db_mark_write(db->mark_fd, &db->mark, db->sync);
    if (r < 0)
        return err_set(e, r, "write '%s'", db->mark_path);
    return db->sync ? db_sync_dir(db->path, e) : 0;
}

static int open_files(struct db *db, struct err *e)
{
    int r = db_mark_open(db->mark_path, &db->mark_fd, e);

    if (r < 0)
        return r;
    if (unlink(db->temp_path) < 0 && errno != ENOENT)
        return err_set(e, -errno, "remove unfinished '%s'", db->temp_path);
    r = db_mark_read(db->mark_fd, &db->mark);
    if (r < 0 && r != ERR_KEY_NOT_FOUND)
        return err_set(e, r, "read '%s'", db->mark_path);
    int fresh = is_fresh(db, r == 0, e);
    if (fresh < 0)
        return fresh;
    if (!fresh)
        r = settle(db, e);
    if (!fresh && r < 0)
        return r;
    r = db_env_open(db, e);
    if (r < 0)
        return r;
    return fresh ? mark_first(db, e) : 0;
}

int db_open(const struct db_conf *conf, struct db **ret, struct err *e)
{
    struct db *db = xcalloc(1, sizeof *db);

    assert(conf->path && conf->map_bytes > 0);
    db->path = xstrdup(conf->path);
    db->mark_path = xasprintf("%s-mark", conf->path);
    db->temp_path = xasprintf("%s-compacting", conf->path);
    db->map_bytes = conf->map_bytes;
    db->sync = !conf->unsafe_no_fsync;
    db->fd = db->mark_fd = -1;
    int r = open_files(db, e);
    if (r < 0) {
        db_close(db);
        return r;
    }
    *ret = db;
    return 0;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    assert(db->sync_state == DB_SYNC_IDLE || db->failed);
    db_env_close(db);
    if (db->mark_fd >= 0)
        close(db->mark_fd);
    free(db->path);
    free(db->mark_path);
    free(db->temp_path);
    free(db);
}

MDB_txn *db_txn(struct db *db)
{
    if (!db->txn && (!db->env || db->failed || mdb_txn_begin(db->env, NULL, 0, &db->txn) != 0))
        return NULL;
    return db->txn;
}

MDB_dbi db_dbi(const struct db *db, enum db_table t)
{
    assert(t < DB_TABLES);
    return db->dbi[t];
}

static MDB_val val(struct slice s)
{
    union { /* LMDB reads through it only */
        const void *c;
        void *p;
    } u = {.c = s.p};
    return (MDB_val){s.n, u.p};
}

int db_get_in(struct db *db, MDB_txn *txn, enum db_table t, struct slice key, struct slice *ret)
{
    MDB_val k = val(key), v;

    if (!txn)
        return -EIO;
    int rc = mdb_get(txn, db_dbi(db, t), &k, &v);
    if (rc)
        return db_error(rc);
    *ret = slice_of(v.mv_data, v.mv_size);
    return 0;
}

int db_get(struct db *db, enum db_table t, struct slice key, struct slice *ret)
{
    return db_get_in(db, db_txn(db), t, key, ret);
}

static int put(struct db *db, enum db_table t, struct slice key, struct slice value, unsigned flags)
{
    MDB_txn *txn = db_txn(db);
    MDB_val k = val(key), v = val(value);

    if (!txn)
        return -EIO;
    int rc = mdb_put(txn, db_dbi(db, t), &k, &v, flags);
    /* A key that is not above all others where it must be: the table is not what it was. */
    if (rc == MDB_KEYEXIST)
        return ERR_DATA_DAMAGED;
    if (rc)
        return db_error(rc);
    db->changes++;
    db->change_bytes += key.n + value.n;
    return 0;
}

int db_put(struct db *db, enum db_table t, struct slice key, struct slice value)
{
    return put(db, t, key, value, 0);
}

int db_append(struct db *db, enum db_table t, struct slice key, struct slice value)
{
    return put(db, t, key, value, MDB_APPEND);
}

int db_del(struct db *db, enum db_table t, struct slice key)
{
    MDB_txn *txn = db_txn(db);
    MDB_val k = val(key);

    if (!txn)
        return -EIO;
    int rc = mdb_del(txn, db_dbi(db, t), &k, NULL);
    if (rc)
        return db_error(rc);
    db->changes++;
    db->change_bytes += key.n;
    return 0;
}

uint64_t db_changes(const struct db *db)
{
    return db->changes;
}

uint64_t db_change_bytes(const struct db *db)
{
    return db->change_bytes;
}

int db_view_begin(struct db *db, MDB_txn **ret)
{
    if (!db->env)
        return -EIO;
    int rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, ret);
    if (rc == MDB_READERS_FULL)
        return ERR_TOO_MANY_REQUESTS;
    if (rc)
        return db_error(rc);
    db->views++;
    return 0;
}

void db_view_end(struct db *db, MDB_txn *view)
{
    assert(db->views > 0);
    mdb_txn_abort(view);
    db->views--;
}
