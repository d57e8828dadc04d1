/*
 * index: user key -> its newest version, tombstones included until compaction drops them.
 *
 * The engine takes keys of up to 511 bytes. A user key of up to INDEX_KEY_INLINE_MAX bytes is the
 * table key itself; longer ones share, by their first INDEX_KEY_INLINE_MAX bytes and one zero
 * byte, a group record that lists them in order. The walk over the table is in plain byte order of
 * the user keys all the same.
 */
#ifndef ETCD_INDEX_H
#define ETCD_INDEX_H

#include "etcd/history.h"

#define INDEX_KEY_INLINE_MAX 480
#define INDEX_GROUP_BYTES_MAX                                                                      \
    (1u << 30) /* keys that share their first 480 bytes; far above what fits a quota in practice   \
                */

struct index_entry {
    struct rev mod;
    bool tombstone; /* then create, version, lease are 0 */
    int64_t create, version, lease;
    struct rev_link jump[2]; /* the newest version's jump, and that one's own jump */
    uint32_t crc;            /* of the stored record of a short key; out only */
};

/* 0, ERR_KEY_NOT_FOUND, ERR_DATA_DAMAGED. */
int index_get(const struct table_reader *r, struct slice key, struct index_entry *ret);
/* old: what index_get gave for the key; NULL if nothing. */
int index_put(const struct table_reader *r, struct table_sum *sum, struct buf *scratch,
              struct slice key, const struct index_entry *old, const struct index_entry *entry);
int index_del(const struct table_reader *r, struct table_sum *sum, struct buf *scratch,
              struct slice key, const struct index_entry *old);

/* Walks user keys in order. The table must not change meanwhile. */
struct index_iter {
    const struct table_reader *r;
    MDB_cursor *cursor;
    struct slice from; /* caller's; keys before it are skipped */
    struct slice end;  /* caller's; as in mvcc_range, never empty */
    bool placed;
    uint32_t group_left; /* entries of the group not given yet */
    struct slice group;
    struct buf long_key;              /* the key given last when it is a long one */
    uint64_t record_crc_sum, records; /* of the table records walked over, for mvcc_check */
};
/* end: "\0" (one zero byte) for all keys >= from, else the first key not given. */
int index_iter_init(struct index_iter *it, const struct table_reader *r, struct slice from,
                    struct slice end);
void index_iter_deinit(struct index_iter *it);
/* 1 and the next key and entry, 0 at the end, negative. A short key lies in the database until the
 * next change, a long one (more than INDEX_KEY_INLINE_MAX bytes) until the next call. */
int index_iter_next(struct index_iter *it, struct slice *ret_key, struct index_entry *ret);

static inline void cleanup_index_iter_p(struct index_iter *it)
{
    index_iter_deinit(it);
}
#define cleanup_index_iter __attribute__((cleanup(cleanup_index_iter_p)))

#endif
