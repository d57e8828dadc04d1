/*
 * db_root: LMDB's two root records ("meta pages") read and mended from outside, before LMDB opens
 * the file.
 *
 * LMDB itself always takes the newer one; we commit without sync, so after a power loss the newer
 * one may point at pages that never reached the disk. db_root_settle makes the marked one the only
 * choice.
 */
#ifndef ETCD_DB_ROOT_H
#define ETCD_DB_ROOT_H

#include "etcd/db_mark.h"

#define DB_ROOT_RAW 136 /* struct MDB_meta of LMDB 0.9 on a 64-bit machine */

struct db_root_page {
    bool ok; /* magic, version and page size are LMDB's; all else is 0 if not */
    struct db_root root;
    uint64_t last_page;
    uint32_t page_bytes;
    uint8_t raw[DB_ROOT_RAW];
};

/* Both root records of the file. 0, or negated errno; what is not whole is not ok. */
int db_root_read(int fd, struct db_root_page ret[2]);
/* The newer of the two, or NULL when none is ok. */
const struct db_root_page *db_root_newest(const struct db_root_page pages[2]);
/* Makes a marked root the one LMDB will take, and checks that the file is as long as its pages.
 * ERR_DATA_DAMAGED with advice when the file holds no marked root or is cut. */
int db_root_settle(int fd, const char *path, const struct db_mark *mark, struct err *e);
/* Makes the file at least as long as this root says: LMDB does not write pages freed in the
 * transaction that took them, also when they are the last. */
int db_root_extend(int fd, const struct db_root_page *p);

#endif
