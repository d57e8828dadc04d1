/*
 * db_internal: what the files of db share. db.c opens and does records, db_checkpoint.c makes them
 * durable, db_space.c counts and reserves bytes, db_compact.c rewrites the file.
 */
#ifndef ETCD_DB_INTERNAL_H
#define ETCD_DB_INTERNAL_H

#include "etcd/db.h"
#include "etcd/db_root.h"

enum db_sync_state {
    DB_SYNC_IDLE,  /* no checkpoint on its way */
    DB_SYNC_BEGUN, /* committed, or found unchanged */
};

struct db {
    char *path;
    char *mark_path;
    char *temp_path; /* of db_compact_file */
    uint64_t map_bytes;
    bool sync;

    MDB_env *env; /* NULL only when reopening failed: every call fails from then on */
    MDB_dbi dbi[DB_TABLES];
    MDB_txn *txn; /* NULL: begun at the next use */
    int fd;       /* LMDB's */
    int mark_fd;  /* ours, locked */
    unsigned views;

    uint64_t changes;      /* since the last commit */
    uint64_t change_bytes; /* keys and values of these */

    /* The last commit. */
    struct db_root_page last;
    uint64_t file_bytes;
    uint64_t free_pages;
    bool free_pages_known;
    uint64_t reserved_end; /* offset up to which the file system holds room for us */

    struct db_mark mark;
    enum db_sync_state sync_state; /* loop's thread */
    bool sync_needed;              /* between begin and end both threads only read it */
    int sync_result;               /* written by db_checkpoint_sync, read by db_checkpoint_end */
    bool failed;                   /* a commit or a sync failed: what is on disk is not known */
};

/* Opens the environment over a settled file; db->last and the sizes follow it. */
int db_env_open(struct db *db, struct err *e);
void db_env_close(struct db *db);
/* Reads the root of the last commit back into db->last, and the file's length. */
int db_note_commit(struct db *db);
int db_sync_dir(const char *path, struct err *e); /* of the file's directory */

#endif
