/*
 * db: the embedded engine (LMDB) as the store uses it: one long write transaction on the loop's
 * thread that all applies and reads go through, and checkpoints that make it durable without
 * stopping the loop.
 *
 *   apply, apply, ... --> db_checkpoint_begin: commit into the page cache (no sync)
 *                         --> db_checkpoint_sync: fdatasync, then mark, in another thread
 *                         --> db_checkpoint_end; the next checkpoint may begin
 *
 * Why this is safe after power loss although commits do not sync: LMDB keeps two roots in turn and
 * never touches a page the older root can reach. We commit N+1 only after N is synced and marked (a
 * small checksummed file beside the database), so the marked root and its pages are always whole on
 * disk. At start an unmarked newer root is dropped by copying the marked root over it; the raft log
 * brings back what it held. docs/formats/store.md has the picture.
 *
 * Space is reserved ahead (fallocate), so a commit does not fail for a full disk once its entries
 * were accepted.
 *
 * All functions on the loop's thread but db_checkpoint_sync. LMDB errors come back as
 * ERR_DATA_DAMAGED (MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_PANIC...), ERR_NO_SPACE (MDB_MAP_FULL,
 * ENOSPC) or negated errno.
 */
#ifndef ETCD_DB_H
#define ETCD_DB_H

#include <lmdb.h>

#include "base/err.h"
#include "base/slice.h"

enum db_table {               /* names in the file: as in docs/formats/store.md */
                DB_META,      /* "meta" */
                DB_INDEX,     /* "index": user key -> newest version */
                DB_HISTORY,   /* "history": revision -> record */
                DB_LEASE,     /* "lease": lease id -> terms */
                DB_LEASE_KEY, /* "lease_key": lease id + revision of the put that attached a key */
                DB_TABLES
};

struct db;

struct db_conf {
    const char *path;   /* file; "<path>-lock" and "<path>-mark" stand beside it */
    uint64_t map_bytes; /* address space, not memory; larger than the quota */
    bool unsafe_no_fsync;
};

/* Opens or makes the file (0600). Cheap checks: file long enough for its pages, roots sane. */
int db_open(const struct db_conf *conf, struct db **ret, struct err *e);
/* Drops what is not checkpointed. */
void db_close(struct db *db);

/* The current write transaction, begun when needed. Valid until the next db_checkpoint_begin. NULL
 * after a failed commit or sync: then nothing works any more but db_close. */
MDB_txn *db_txn(struct db *db);
MDB_dbi db_dbi(const struct db *db, enum db_table t);
const char *db_table_name(enum db_table t);
/* 0, ERR_KEY_NOT_FOUND, or failure. *ret lies in the database: valid until the next change. */
int db_get(struct db *db, enum db_table t, struct slice key, struct slice *ret);
/* The same through any transaction of db, such as a view; txn NULL: -EIO. */
int db_get_in(struct db *db, MDB_txn *txn, enum db_table t, struct slice key, struct slice *ret);
int db_put(struct db *db, enum db_table t, struct slice key, struct slice value);
int db_append(struct db *db, enum db_table t, struct slice key,
              struct slice value);                            /* key above all others */
int db_del(struct db *db, enum db_table t, struct slice key); /* 0 or ERR_KEY_NOT_FOUND */
int db_error(int mdb_rc);                                     /* LMDB's code as ours */

/* Checkpoints. begin: 1 when one is still being synced, 0 done, negative: commit failed. */
int db_checkpoint_begin(struct db *db);
bool db_checkpoint_pending(const struct db *db); /* begun, not ended */
int db_checkpoint_sync(struct db *db,
                       struct err *e); /* any thread; durations for metrics are the caller's */
void db_checkpoint_end(struct db *db);
/* begin + sync + end, blocking. For start, stop, tests, tools. */
int db_checkpoint(struct db *db, struct err *e);
/* Puts and deletes since the last commit, and the bytes of their keys and values: when to
 * checkpoint. */
uint64_t db_changes(const struct db *db);
uint64_t db_change_bytes(const struct db *db);

/* Reserves room in the file for about bytes more, on top of what has changed since the last commit;
 * 0 or ERR_NO_SPACE. Cheap when there is room already. To be called before each change that adds:
 * some room is kept for deletes and compaction, which need not ask. */
int db_reserve(struct db *db, uint64_t bytes);

/* A frozen view of the last commit, for hashing and copies while writes go on. Others' thread may
 * use it. */
int db_view_begin(struct db *db, MDB_txn **ret);
void db_view_end(struct db *db, MDB_txn *view);

uint64_t db_size(const struct db *db);  /* bytes of the file at the last commit */
uint64_t db_size_in_use(struct db *db); /* without free pages; counted once a commit */
/* Rewrites the file without free pages; needs a checkpoint first and no open view. Blocks. The db
 * stays valid. */
int db_compact_file(struct db *db, struct err *e);

#endif
