#include "etcd/db_internal.h"

#include <fcntl.h>
#include <stdio.h>

/* Copies what is in use into a new file, durable when this returns 0. */
static int write_copy(struct db *db, struct db_root *ret_root, struct err *e)
{
    cleanup_close int fd = open(db->temp_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct db_root_page pages[2];

    if (fd < 0)
        return err_set(e, -errno, "make '%s'", db->temp_path);
    int rc = mdb_env_copyfd2(db->env, fd, MDB_CP_COMPACT);
    if (rc)
        return err_set(e, db_error(rc), "copy '%s' into '%s': %s", db->path, db->temp_path,
                       mdb_strerror(rc));
    int r = db_root_read(fd, pages);
    const struct db_root_page *newest = r < 0 ? NULL : db_root_newest(pages);
    if (!newest)
        return err_set(e, r < 0 ? r : ERR_DATA_DAMAGED, "read back '%s'", db->temp_path);
    r = db_root_extend(fd, newest);
    if (r == 0 && db->sync && fsync(fd) < 0)
        r = -errno;
    if (r < 0)
        return err_set(e, r, "sync '%s'", db->temp_path);
    *ret_root = newest->root;
    return 0;
}

/* The copy takes the old file's place. From the mark that names both roots until the one that
 * names the new one, either file may be found under the name. */
static int swap_files(struct db *db, struct db_root new_root, struct err *e)
{
    struct db_mark both = db->mark;

    both.n = 2;
    both.roots[0] = db->last.root;
    both.roots[1] = new_root;
    int r = db_mark_write(db->mark_fd, &both, db->sync);
    if (r < 0)
        return err_set(e, r, "write '%s'", db->mark_path);
    db->mark = both;
    db_env_close(db);
    if (rename(db->temp_path, db->path) < 0)
        r = err_set(e, -errno, "rename '%s' to '%s'", db->temp_path, db->path);
    else if (db->sync && (r = db_sync_dir(db->path, e)) < 0)
        db->failed = true; /* which file a power loss leaves is not known: mark nothing more */
    int opened = db_env_open(db, r < 0 ? NULL : e);
    if (opened < 0) {
        db->failed = true;
        return r < 0 ? r : opened;
    }
    if (r < 0)
        return r;
    struct db_mark one = {.seq = db->mark.seq, .n = 1, .roots = {db->last.root}};
    r = db_mark_write(db->mark_fd, &one, db->sync);
    if (r < 0)
        return err_set(e, r, "write '%s'", db->mark_path);
    db->mark = one;
    return 0;
}

int db_compact_file(struct db *db, struct err *e)
{
    struct db_root new_root;

    if (db->failed || !db->env)
        return err_set(e, -EIO, "'%s' failed before", db->path);
    if (db->changes || db->sync_state != DB_SYNC_IDLE || db->views)
        return err_set(e, -EBUSY, "rewrite '%s'", db->path);
    if (db->txn)
        mdb_txn_abort(take_ptr(&db->txn));
    int r = write_copy(db, &new_root, e);
    if (r == 0)
        r = swap_files(db, new_root, e);
    if (r < 0)
        unlink(db->temp_path);
    return r;
}
