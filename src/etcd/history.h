/*
 * history: revision -> record, in revision order. A record is one version of one key, with a link
 * to the version before and one that jumps further back (links.h).
 */
#ifndef ETCD_HISTORY_H
#define ETCD_HISTORY_H

#include "etcd/table.h"

struct rev {
    int64_t main; /* 0: none; the first write is 2 */
    uint32_t sub;
};
struct rev_link {
    struct rev rev;
    uint32_t dist; /* versions between here and there; 0: no link */
};

#define REV_NONE  ((struct rev){0, 0})
#define REV_BYTES 12 /* main 8 and sub 4, big endian: byte order is revision order */

static inline int rev_cmp(struct rev a, struct rev b)
{
    if (a.main != b.main)
        return a.main < b.main ? -1 : 1;
    return a.sub < b.sub ? -1 : a.sub > b.sub;
}
static inline void rev_encode(struct rev r, uint8_t out[REV_BYTES])
{
    put_be64(out, (uint64_t)r.main);
    put_be32(out + 8, r.sub);
}
static inline struct rev rev_decode(const uint8_t in[REV_BYTES])
{
    return (struct rev){(int64_t)get_be64(in), get_be32(in + 8)};
}

struct history_record {
    struct rev rev;
    bool tombstone; /* then create, version, lease are 0 and value is empty */
    int64_t create, version, lease;
    struct rev prev;      /* the version before, tombstones included; main 0: none */
    struct rev_link jump; /* an earlier one, or none */
    struct slice key, value;
    uint32_t crc; /* of the stored record; out only */
};

/* Appends; rec->rev must be above all others. scratch is used and left in any state. */
int history_append(struct db *db, struct table_sum *sum, struct buf *scratch,
                   const struct history_record *rec);
/* 0, ERR_KEY_NOT_FOUND, ERR_DATA_DAMAGED. Slices lie in the database until the next change. */
int history_get(const struct table_reader *r, struct rev rev, struct history_record *ret);
/* 0 or ERR_KEY_NOT_FOUND; reads the record first, for its checksum. */
int history_del(const struct table_reader *r, struct table_sum *sum, struct rev rev);

/* Walks in order from a revision on. Changes to the table are allowed only before a new seek. */
struct history_iter {
    const struct table_reader *r;
    MDB_cursor *cursor;
};
int history_iter_init(struct history_iter *it, const struct table_reader *r);
void history_iter_deinit(struct history_iter *it);
/* The first record at or after from: 1, or 0 at the end, or negative. */
int history_iter_seek(struct history_iter *it, struct rev from, struct history_record *ret);
int history_iter_next(struct history_iter *it, struct history_record *ret);

static inline void cleanup_history_iter_p(struct history_iter *it)
{
    history_iter_deinit(it);
}
#define cleanup_history_iter __attribute__((cleanup(cleanup_history_iter_p)))

#endif
