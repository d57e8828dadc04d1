/*
 * mvcc: the key space with all its revisions (multi-version concurrency control), on the engine's
 * tables.
 *
 *   index    user key  -> newest version: revision, creation, version count, lease, tombstone flag
 *   history  revision  -> record: key, value, creation, version count, lease, link to the version
 * before
 *
 * A read of now looks into index, then history. A read of an older revision follows the links of
 * each key back (with jump links, so in about log(versions) steps). Compaction walks history
 * forward and drops each version below the compacted revision that a newer one at or below it
 * replaced.
 * Nothing grows in memory with keys.
 *
 * Semantics: one write request is one main revision; parts count as sub-revisions from 0. A fresh
 * store is at revision 1. Deterministic: no clock, no randomness; the same requests give the same
 * bytes. One thread.
 *
 * Every record carries a checksum that is checked on every read: ERR_DATA_DAMAGED, with the place
 * in mvcc_damage().
 */
#ifndef ETCD_MVCC_H
#define ETCD_MVCC_H

#include "base/arena.h"
#include "base/err.h"
#include "etcd/db.h"

struct mvcc;

struct mvcc_kv {
    struct slice key;
    struct slice value;
    int64_t create_rev; /* 0: a deleted or missing key */
    int64_t mod_rev;
    int64_t version;
    int64_t lease;
};

/* Reads the state back from db's tables, or makes a fresh one. db is borrowed. */
int mvcc_open(struct db *db, struct mvcc **ret, struct err *e);
void mvcc_free(struct mvcc *m);

int64_t mvcc_revision(const struct mvcc *m);
int64_t mvcc_compact_revision(const struct mvcc *m); /* -1: never compacted, as upstream */
uint64_t mvcc_key_count(const struct mvcc *m);       /* live keys */
/* What was found damaged last: table, key, what to do. "" if nothing. */
const char *mvcc_damage(const struct mvcc *m);

/* --- ranges ---
 * end: empty = the one key; "\0" (one zero byte) = all keys >= key; else [key, end) bytewise. */
enum mvcc_sort_target {
    MVCC_SORT_KEY,
    MVCC_SORT_VERSION,
    MVCC_SORT_CREATE,
    MVCC_SORT_MOD,
    MVCC_SORT_VALUE
};
enum mvcc_sort_order { MVCC_SORT_NONE, MVCC_SORT_ASCEND, MVCC_SORT_DESCEND };
struct mvcc_range {
    struct slice key, end;
    int64_t rev;   /* <= 0: now */
    int64_t limit; /* <= 0: none */
    enum mvcc_sort_target sort_target;
    enum mvcc_sort_order sort_order;
    bool keys_only, count_only;
    int64_t min_mod_rev, max_mod_rev, min_create_rev, max_create_rev; /* 0: off */
};
struct mvcc_range_result {
    struct mvcc_kv *kvs; /* in the arena; keys and values lie in the database until the next change,
                            long keys in the arena */
    size_t n;
    int64_t count; /* keys in the range at that revision, whatever limit and filters say */
    bool more;
};
/* Order of work as upstream: fetch, filters, sort, limit, strip values. 0, ERR_EMPTY_KEY,
 * ERR_FUTURE_REV, ERR_COMPACTED, ERR_LIMIT (arena full), ERR_DATA_DAMAGED. */
int mvcc_range(struct mvcc *m, const struct mvcc_range *q, struct arena *a,
               struct mvcc_range_result *ret);
/* The one key at a revision (<= 0: now). 0, ERR_KEY_NOT_FOUND, or as mvcc_range. No arena for short
 * keys. */
int mvcc_get(struct mvcc *m, struct slice key, int64_t rev, struct mvcc_kv *ret);

/* --- writes ---
 * begin; any number of put and delete; end. Reads in between see the writes. All of one begin/end
 * share one revision, which counts only if something was written. */
struct mvcc_event {
    bool is_delete;
    struct mvcc_kv kv; /* for a delete only key and mod_rev; key and value in the write's arena */
};
/* a: takes copies of keys, values, previous pairs and the events; lives until the caller is done
 * with the events. Each put or delete that fails with ERR_LIMIT (arena full) has changed nothing;
 * what came before it in the write stays, so the arena must hold a whole request. */
void mvcc_write_begin(struct mvcc *m, struct arena *a);
/* lease 0: none (detaches). The caller has checked that the lease exists. ret_prev may be NULL; its
 * create_rev is 0 when there was no key; copies in the arena. */
int mvcc_put(struct mvcc *m, struct slice key, struct slice value, int64_t lease,
             struct mvcc_kv *ret_prev);
/* ret_prevs may be NULL: previous pairs in the arena, in key order. */
int mvcc_delete_range(struct mvcc *m, struct slice key, struct slice end, int64_t *ret_deleted,
                      struct mvcc_kv **ret_prevs);
/* Ends the write: the new revision (or the old one if nothing was written), and its events in
 * order. */
int64_t mvcc_write_end(struct mvcc *m, struct mvcc_event **ret_events, size_t *ret_n);

/* --- history --- */
/* The events of revisions [from, to] in order, for watchers that catch up. 0 when all were given, 1
 * when each returned 1 to stop, negative. Slices valid during the call. ERR_COMPACTED when from is
 * below the compact revision; what that one itself wrote is kept until the next compaction. */
int mvcc_events(struct mvcc *m, int64_t from, int64_t to,
                int (*each)(void *ctx, const struct mvcc_event *ev), void *ctx);
/* The pair that stood at ev's key just before ev's revision: 0, ERR_KEY_NOT_FOUND (created by it,
 * or compacted). */
int mvcc_prev(struct mvcc *m, const struct mvcc_kv *kv, struct mvcc_kv *ret);

/* --- compaction --- */
/* Marks rev as compacted: reads below it fail from now on. 0, ERR_COMPACTED, ERR_FUTURE_REV. */
int mvcc_compact(struct mvcc *m, int64_t rev);
/* Removes up to max_records old records; 1: more to do, 0: done, negative. Call between other work
 * until 0; goes on by itself after a restart (mvcc_compact_pending). */
int mvcc_compact_step(struct mvcc *m, size_t max_records);
bool mvcc_compact_pending(const struct mvcc *m);

/* --- leases' durable side --- */
struct mvcc_lease {
    int64_t id;
    int64_t ttl_s;
    int64_t remaining_s; /* as of the last checkpoint of the lease; 0: full */
};
int mvcc_lease_put(struct mvcc *m, const struct mvcc_lease *l);
int mvcc_lease_delete(struct mvcc *m,
                      int64_t id); /* the terms only; keys go by mvcc_delete_range first */
int mvcc_lease_each(struct mvcc *m, int (*each)(void *ctx, const struct mvcc_lease *l), void *ctx);
/* Keys attached to a lease, in key order, copied into the arena. */
int mvcc_lease_keys(struct mvcc *m, int64_t id, struct arena *a, struct slice **ret_keys,
                    size_t *ret_n);

/* --- facts that are committed with the data --- */
void mvcc_set_applied(struct mvcc *m, uint64_t index, uint64_t term);
void mvcc_applied(const struct mvcc *m, uint64_t *ret_index, uint64_t *ret_term);
/* Small values by name: alarms, members, ids. Value copied into the arena on reading. */
int mvcc_meta_put(struct mvcc *m, const char *name, struct slice value);
int mvcc_meta_get(struct mvcc *m, const char *name, struct arena *a, struct slice *ret);
/* Writes what is kept in memory (revision, applied index, sums) into the tables: call right before
 * db_checkpoint_begin. */
int mvcc_flush(struct mvcc *m);

/* --- integrity --- */
/* HashKV as upstream defines it (etcd.md section c: CRC-32C over "key", then revision key and value
 * of each kept record up to rev) and Hash over everything. Work on a view, so any thread. rev <= 0:
 * the view's. */
int mvcc_hash_kv(struct db *db, MDB_txn *view, int64_t rev, uint32_t *ret_hash,
                 int64_t *ret_compact_rev, int64_t *ret_hash_rev);
int mvcc_hash_all(struct db *db, MDB_txn *view, uint32_t *ret_hash);
/* Reads everything in a view: every checksum, every link from index to history and back, the sums
 * and counts kept in meta against what is there. 0, or ERR_DATA_DAMAGED with the first place in e.
 * progress may be NULL. */
int mvcc_check(struct db *db, MDB_txn *view,
               void (*progress)(void *ctx, uint64_t done, uint64_t all), void *ctx, struct err *e);

struct mvcc_stats {
    uint64_t puts, deletes, ranges, txns, keys, compacted_keys;
};
void mvcc_stats(const struct mvcc *m, struct mvcc_stats *ret);

#endif
