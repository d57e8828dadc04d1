/*
 * table: records with a checksum in the engine's tables, and the sums that tell when one is lost.
 *
 * Every value begins with the CRC-32C of its table key and of what follows, so a record found under
 * the wrong key is as wrong as one with a spoilt byte. Beside that each table has a count and the
 * sum of its records' checksums modulo 2^64: kept along with each change, they differ from what a
 * full reading finds when a record was lost, doubled, or is an older version of itself.
 */
#ifndef ETCD_TABLE_H
#define ETCD_TABLE_H

#include "base/buf.h"
#include "base/err.h"
#include "etcd/db.h"

#define TABLE_HEAD 4 /* bytes of the checksum before the payload */

/* Where to read: the loop's write transaction, or a view. */
struct table_reader {
    struct db *db;
    MDB_txn *txn;
    int64_t compact_rev; /* links to revisions below it may lead nowhere */
    struct err *e;       /* what was found damaged */
};

struct table_sum {
    uint64_t count;
    uint64_t sum;
};

/* The checksum of a record with this key and payload. */
uint32_t table_crc(struct slice key, struct slice payload);
/* Puts the checksum into value's first TABLE_HEAD bytes and returns it. */
uint32_t table_seal(struct slice key, struct buf *value);
/* Checks a value found under key. 0 or ERR_DATA_DAMAGED, told in e. ret_crc may be NULL. */
int table_open(enum db_table t, struct slice key, struct slice value, struct slice *ret_payload,
               uint32_t *ret_crc, struct err *e);

/* 0, ERR_KEY_NOT_FOUND, ERR_DATA_DAMAGED, -EIO. The payload lies in the database until the next
 * change. */
int table_get(const struct table_reader *r, enum db_table t, struct slice key,
              struct slice *ret_payload, uint32_t *ret_crc);
/* value: TABLE_HEAD bytes of room, then the payload; sealed here. old_crc: of the record replaced,
 * NULL when there is none. */
int table_put(struct db *db, struct table_sum *sum, enum db_table t, struct slice key,
              struct buf *value, const uint32_t *old_crc);
/* key must be above all others. */
int table_append(struct db *db, struct table_sum *sum, enum db_table t, struct slice key,
                 struct buf *value);
int table_del(struct db *db, struct table_sum *sum, enum db_table t, struct slice key,
              uint32_t old_crc);

/* Every record in key order, checked; each returns 0 to go on. 0, what each returned, or negative.
 * ret_sum may be NULL: count and sum of what was read. */
int table_each(const struct table_reader *r, enum db_table t,
               int (*each)(void *ctx, struct slice key, struct slice payload), void *ctx,
               struct table_sum *ret_sum);

/* Fills e with "table T, WHICH KEY: what; advice" and returns ERR_DATA_DAMAGED. */
int table_damaged(struct err *e, enum db_table t, struct slice key, const char *what);

#endif
