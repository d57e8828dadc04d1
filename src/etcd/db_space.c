#include "etcd/db_internal.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#define RESERVE_STEP (2u * 1024 * 1024) /* room asked for at a time */
#define RESERVE_SPARE                                                                              \
    (2u * 1024 * 1024) /* kept beyond what is promised: deletes and compaction go on with it when  \
                          puts are refused */
#define BYTES_PER_CHANGE      256 /* what a change to come is assumed to weigh at least */
#define PAGES_COPIED_A_CHANGE 6   /* leaves and their parents in index and history, both ways */

uint64_t db_size(const struct db *db)
{
    return db->file_bytes;
}

/* Pages on LMDB's free list: each record begins with how many it holds. */
static int count_free_pages(struct db *db, uint64_t *ret)
{
    MDB_txn *view;
    MDB_cursor *c;
    MDB_val k, v;

    int rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &view);
    if (rc)
        return db_error(rc);
    *ret = 0;
    rc = mdb_cursor_open(view, 0 /* the free list's handle */, &c);
    if (!rc) {
        while ((rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) == 0 && v.mv_size >= 8)
            *ret += get_le64(v.mv_data);
        mdb_cursor_close(c);
    }
    mdb_txn_abort(view);
    return rc == MDB_NOTFOUND ? 0 : db_error(rc);
}

/* Frozen by each commit, so counted once for each. */
static uint64_t free_pages(struct db *db)
{
    if (!db->free_pages_known && db->env) {
        if (count_free_pages(db, &db->free_pages) < 0)
            db->free_pages = 0;
        db->free_pages_known = true;
    }
    return db->free_pages;
}

uint64_t db_size_in_use(struct db *db)
{
    uint64_t pages = db->last.last_page + 1, unused = free_pages(db);

    return (pages - MIN(unused, pages)) * db->last.page_bytes;
}

/* An upper estimate of what the file may grow by: the new bytes in pages that may end half full,
 * and the pages a change copies, which cannot be more than there are. */
static uint64_t room_needed(const struct db *db, uint64_t bytes)
{
    uint64_t changes = db->changes + bytes / BYTES_PER_CHANGE + 1;
    uint64_t copied = MIN(changes * PAGES_COPIED_A_CHANGE, db->last.last_page + 1);

    return copied * db->last.page_bytes + 2 * (db->change_bytes + bytes) + RESERVE_SPARE;
}

static int has_free(const struct db *db, uint64_t bytes)
{
    struct statvfs st;

    if (fstatvfs(db->fd, &st) < 0)
        return -errno;
    return (uint64_t)st.f_bavail * st.f_frsize >= bytes ? 0 : -ENOSPC;
}

/* Makes the file system hold [from, to) for us without changing the file's length. */
static int allocate(const struct db *db, uint64_t from, uint64_t to)
{
    int rc;

    do
        rc = fallocate(db->fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from));
    while (rc < 0 && errno == EINTR);
    if (rc == 0)
        return 0;
    /* No promise to be had from this file system: at least look. */
    return errno == EOPNOTSUPP ? has_free(db, to - from) : -errno;
}

int db_reserve(struct db *db, uint64_t bytes)
{
    uint64_t used_end = (db->last.last_page + 1) * db->last.page_bytes;
    uint64_t need = room_needed(db, bytes);
    uint64_t target = used_end + need, from = MAX(used_end, db->reserved_end);

    if (db->failed || !db->env)
        return -EIO;
    if (target <= db->reserved_end)
        return 0;
    if (target <= db->map_bytes) {
        uint64_t generous = MIN(target + RESERVE_STEP, db->map_bytes);
        int r = allocate(db, from, generous);
        if (r == 0) {
            db->reserved_end = generous;
            return 0;
        }
        if (r == -ENOSPC && allocate(db, from, target) == 0) {
            db->reserved_end = target;
            return 0;
        }
        if (r != -ENOSPC && r != -EDQUOT && r != -EFBIG)
            return r;
    }
    /* The file cannot grow by that much; free pages inside it do as well, if there are plenty. */
    return free_pages(db) * db->last.page_bytes >= 2 * need ? 0 : ERR_NO_SPACE;
}
