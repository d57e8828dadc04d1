/*
 * mvcc_internal: what the files of mvcc share.
 */
#ifndef ETCD_MVCC_INTERNAL_H
#define ETCD_MVCC_INTERNAL_H

#include "etcd/links.h"
#include "etcd/mvcc.h"

/* What the store keeps in memory, and in the meta record "state". */
struct mvcc_state {
    int64_t rev;
    int64_t compact_rev;   /* reads below fail; -1: never compacted */
    int64_t compact_done;  /* records up to here are gone; == compact_rev: nothing to do */
    struct rev compact_at; /* where the walk goes on */
    uint64_t applied_index, applied_term;
    uint64_t keys;                    /* live */
    struct table_sum sums[DB_TABLES]; /* of meta: the named values, not the state itself */
};

struct mvcc {
    struct db *db;
    struct mvcc_state s;
    bool dirty; /* s differs from the record */
    struct err damage;
    struct buf scratch; /* a record being built */

    bool writing;
    struct arena *arena;
    uint32_t sub; /* changes made in this write */
    struct mvcc_event *events;
    size_t events_cap;
    uint64_t ops; /* of this write, for the statistics */

    struct mvcc_stats stats;
};

#define MVCC_STATE_NAME   "state"
#define MVCC_VALUE_PREFIX "value." /* before the names of mvcc_meta_put */

static inline struct table_reader mvcc_reader(struct mvcc *m)
{
    return (struct table_reader){m->db, db_txn(m->db), m->s.compact_rev, &m->damage};
}
/* The revision reads see: during a write that changed something, the one it will make. */
static inline int64_t mvcc_read_rev(const struct mvcc *m)
{
    return m->s.rev + (m->writing && m->sub > 0);
}
/* The state a transaction holds. 0, ERR_KEY_NOT_FOUND, ERR_DATA_DAMAGED. */
int mvcc_state_read(const struct table_reader *r, struct mvcc_state *ret);
#define MVCC_STATE_FRESH ((struct mvcc_state){.rev = 1, .compact_rev = -1, .compact_done = -1})
/* The engine counts records too; a difference shows loss without reading anything. have_state: the
 * state's own record is there. 0 or ERR_DATA_DAMAGED. */
int mvcc_compare_counts(const struct table_reader *r, const struct mvcc_state *s, bool have_state);

/* key's version at rev (> 0), given its index entry: 0 with *ret filled (value only if asked for;
 * key as given unless the record was read), ERR_KEY_NOT_FOUND if it did not stand then. */
int mvcc_version_at(const struct table_reader *r, struct slice key, const struct index_entry *entry,
                    int64_t rev, bool want_value, struct mvcc_kv *ret);

/* Makes room for n more items in an array that lives in an arena. false: arena full. */
bool mvcc_grow(struct arena *a, void *io_array, size_t item, size_t n, size_t more, size_t *io_cap);

/* A record that says: lease id holds the key written at rev. */
#define LEASE_KEY_BYTES (8 + REV_BYTES)
int mvcc_lease_attach(struct mvcc *m, int64_t lease, struct rev rev);
int mvcc_lease_detach(struct mvcc *m, int64_t lease, struct rev rev);

#endif
