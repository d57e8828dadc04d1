/*
 * db_mark: the small file beside the database that says which root is surely whole on disk.
 *
 * Two records of 512 bytes, each in a 4096-byte block of its own, written in turn: a torn write
 * spoils at most the one being written, and then the other still names the root before it, which
 * is whole too (docs/formats/store.md). The file also carries the lock that keeps a second process
 * out.
 */
#ifndef ETCD_DB_MARK_H
#define ETCD_DB_MARK_H

#include "base/err.h"

/* The largest sector in use: a write of one record never touches both. */
#define DB_MARK_SLOT_STEP 4096u

struct db_root {
    uint64_t txnid;
    uint32_t
        crc; /* crc32c of the engine's root record: another file's root is never taken for it */
};
struct db_mark {
    uint64_t seq; /* 0: nothing marked yet; slot = seq & 1 */
    unsigned n; /* 1; 2 while a rewritten file takes the old one's place: either may stand there */
    struct db_root roots[2];
};

/* Opens or makes the file (0600) and locks it. ERR_IN_USE when another process holds it. */
int db_mark_open(const char *path, int *ret_fd, struct err *e);
/* The newest whole mark: 0, ERR_KEY_NOT_FOUND when there is none, negated errno. */
int db_mark_read(int fd, struct db_mark *ret);
/* Writes under seq + 1 and, with sync, makes it durable; mark->seq moves only on success. */
int db_mark_write(int fd, struct db_mark *mark, bool sync);

#endif
