#include "etcd/db_internal.h"

#define NOT_SYNCED 1 /* sync_result between begin and sync */

static int commit(struct db *db)
{
    uint64_t id = mdb_txn_id(db->txn);
    MDB_txn *txn = take_ptr(&db->txn);
    int rc = mdb_txn_commit(txn);

    if (rc)
        return db_error(rc);
    int r = db_note_commit(db);
    if (r < 0)
        return r;
    /* The mark must name what was just committed and nothing else. */
    return db->last.root.txnid == id ? 0 : ERR_DATA_DAMAGED;
}

int db_checkpoint_begin(struct db *db)
{
    if (db->sync_state != DB_SYNC_IDLE)
        return 1;
    if (db->failed || !db->env)
        return -EIO;
    db->sync_needed = db->txn && db->changes > 0;
    if (db->sync_needed) {
        int r = commit(db);
        if (r < 0) {
            db->failed = true;
            return r;
        }
        db->changes = 0;
        db->change_bytes = 0;
    }
    db->sync_result = NOT_SYNCED;
    db->sync_state = DB_SYNC_BEGUN;
    return 0;
}

bool db_checkpoint_pending(const struct db *db)
{
    return db->sync_state != DB_SYNC_IDLE;
}

static int sync_and_mark(struct db *db, struct err *e)
{
    struct db_mark mark = {.seq = db->mark.seq, .n = 1, .roots = {db->last.root}};

    if (!db->sync_needed)
        return 0;
    if (db->sync && fdatasync(db->fd) < 0)
        return err_set(e, -errno, "sync '%s'", db->path);
    int r = db_mark_write(db->mark_fd, &mark, db->sync);
    if (r < 0)
        return err_set(e, r, "write '%s'", db->mark_path);
    db->mark = mark;
    return 0;
}

int db_checkpoint_sync(struct db *db, struct err *e)
{
    assert(db->sync_state == DB_SYNC_BEGUN);
    db->sync_result = sync_and_mark(db, e);
    return db->sync_result;
}

void db_checkpoint_end(struct db *db)
{
    assert(db->sync_state == DB_SYNC_BEGUN);
    assert(db->sync_result != NOT_SYNCED);
    /* After a failed sync the kernel may have dropped the pages and will not say so again: nothing
     * later may be marked on top of them. */
    if (db->sync_result < 0)
        db->failed = true;
    db->sync_state = DB_SYNC_IDLE;
}

int db_checkpoint(struct db *db, struct err *e)
{
    int r = db_checkpoint_begin(db);

    assert(r <= 0);
    if (r < 0)
        return err_set(e, r, "commit to '%s'", db->path);
    r = db_checkpoint_sync(db, e);
    db_checkpoint_end(db);
    return r;
}
