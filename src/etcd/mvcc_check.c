#include "etcd/mvcc_internal.h"

#define PROGRESS_STEP 4096 /* records between two calls: some milliseconds */

struct check {
    struct table_reader r;
    struct mvcc_state s;
    void (*progress)(void *ctx, uint64_t done, uint64_t all);
    void *ctx;
    uint64_t done, all;
    uint64_t live;   /* keys */
    uint64_t heads;  /* index entries */
    uint64_t linked; /* history records that are the version before another one */
    uint64_t leased; /* live keys with a lease */
};

static void advance(struct check *c)
{
    if (++c->done % PROGRESS_STEP == 0 && c->progress)
        c->progress(c->ctx, c->done, c->all);
}

static int compare_sum(struct check *c, enum db_table t, struct table_sum found)
{
    const struct table_sum *want = &c->s.sums[t];

    if (found.count != want->count)
        return err_set(c->r.e, ERR_DATA_DAMAGED, "table %s: %llu records found, should be %llu",
                       db_table_name(t), (unsigned long long)found.count,
                       (unsigned long long)want->count);
    if (found.sum != want->sum)
        return err_set(c->r.e, ERR_DATA_DAMAGED,
                       "table %s: each record is whole, but some are not the newest written",
                       db_table_name(t));
    return 0;
}

static int damaged_rev(const struct check *c, struct rev rev, const char *what)
{
    uint8_t raw[REV_BYTES];

    rev_encode(rev, raw);
    return table_damaged(c->r.e, DB_HISTORY, slice_of(raw, sizeof raw), what);
}

/* --- meta --- */

static int check_meta_record(void *ctx, struct slice key, struct slice payload)
{
    struct check *c = ctx;

    if (!slice_eq_str(key, MVCC_STATE_NAME) && !slice_starts(key, slice_str(MVCC_VALUE_PREFIX)))
        return table_damaged(c->r.e, DB_META, key, "nothing of this name is ever written");
    advance(c);
    return 0;
}

static int check_meta(struct check *c)
{
    struct slice payload, key = slice_str(MVCC_STATE_NAME);
    struct table_sum found;
    uint32_t crc;
    int rc = table_each(&c->r, DB_META, check_meta_record, c, &found);

    if (rc == 0)
        rc = table_get(&c->r, DB_META, key, &payload, &crc);
    if (rc < 0)
        return rc;
    found.count--; /* the state is not in its own sums */
    found.sum -= crc;
    return compare_sum(c, DB_META, found);
}

/* --- index, and from it to history and leases --- */

static int check_attached(struct check *c, struct slice key, const struct index_entry *entry)
{
    uint8_t raw[LEASE_KEY_BYTES];
    struct slice payload;

    put_be64(raw, (uint64_t)entry->lease);
    rev_encode(entry->mod, raw + 8);
    int rc = table_get(&c->r, DB_LEASE_KEY, slice_of(raw, sizeof raw), &payload, NULL);
    if (rc == ERR_KEY_NOT_FOUND)
        return table_damaged(c->r.e, DB_INDEX, key, "its lease does not know it");
    c->leased++;
    return rc;
}

static int check_entry(struct check *c, struct slice key, const struct index_entry *entry)
{
    struct history_record rec;

    if (entry->mod.main > c->s.rev)
        return table_damaged(c->r.e, DB_INDEX, key, "revision is above the store's");
    int rc = links_load(&c->r, key, entry->mod, &rec);
    if (rc < 0)
        return rc;
    if (rec.tombstone != entry->tombstone || rec.create != entry->create ||
        rec.version != entry->version || rec.lease != entry->lease ||
        rev_cmp(rec.jump.rev, entry->jump[0].rev) != 0 || rec.jump.dist != entry->jump[0].dist)
        return table_damaged(c->r.e, DB_INDEX, key, "differs from its record in history");
    c->heads++;
    c->live += !entry->tombstone;
    advance(c);
    return entry->lease ? check_attached(c, key, entry) : 0;
}

static int check_index(struct check *c)
{
    cleanup_index_iter struct index_iter it = {0};
    struct index_entry entry;
    struct slice key;
    int rc = index_iter_init(&it, &c->r, SLICE_EMPTY, SLICE_LIT("\0"));

    while (rc >= 0 && (rc = index_iter_next(&it, &key, &entry)) > 0)
        rc = check_entry(c, key, &entry);
    if (rc < 0)
        return rc;
    if (c->live != c->s.keys)
        return err_set(c->r.e, ERR_DATA_DAMAGED,
                       "table index: %llu live keys found, should be %llu",
                       (unsigned long long)c->live, (unsigned long long)c->s.keys);
    return compare_sum(c, DB_INDEX, (struct table_sum){it.records, it.record_crc_sum});
}

/* --- history, back to index and along the links --- */

static int check_prev(struct check *c, const struct history_record *rec)
{
    struct history_record prev;
    int rc = history_get(&c->r, rec->prev, &prev);

    /* Below the compacted revision versions go and links to them stay. */
    if (rc == ERR_KEY_NOT_FOUND && rec->prev.main < c->s.compact_rev)
        return 0;
    if (rc == ERR_KEY_NOT_FOUND)
        return damaged_rev(c, rec->prev, "record is missing");
    if (rc == 0 && !slice_eq(prev.key, rec->key))
        return damaged_rev(c, rec->rev, "its link leads to another key");
    c->linked += rc == 0;
    return rc;
}

static int check_record(struct check *c, const struct history_record *rec)
{
    struct index_entry entry;
    int rc = rec->rev.main > c->s.rev ? damaged_rev(c, rec->rev, "revision is above the store's")
                                      : index_get(&c->r, rec->key, &entry);

    if (rc == ERR_KEY_NOT_FOUND || (rc == 0 && rev_cmp(entry.mod, rec->rev) < 0))
        return damaged_rev(c, rec->rev, "the index does not know this version");
    if (rc == 0 && rec->prev.main)
        rc = check_prev(c, rec);
    advance(c);
    return rc;
}

static int check_history(struct check *c)
{
    cleanup_history_iter struct history_iter it = {0};
    struct history_record rec;
    struct table_sum found = {0};
    int rc = history_iter_init(&it, &c->r);

    if (rc < 0)
        return rc;
    for (rc = history_iter_seek(&it, REV_NONE, &rec); rc > 0; rc = history_iter_next(&it, &rec)) {
        found.count++;
        found.sum += rec.crc;
        rc = check_record(c, &rec);
        if (rc < 0)
            return rc;
    }
    if (rc == 0)
        rc = compare_sum(c, DB_HISTORY, found);
    if (rc < 0)
        return rc;
    if (c->heads + c->linked != found.count)
        return err_set(c->r.e, ERR_DATA_DAMAGED,
                       "table history: %llu records, but only %llu can be reached from the index",
                       (unsigned long long)found.count, (unsigned long long)(c->heads + c->linked));
    return 0;
}

/* --- leases --- */

static int check_lease(void *ctx, struct slice key, struct slice payload)
{
    advance(ctx);
    return 0;
}

static int check_lease_key(void *ctx, struct slice key, struct slice payload)
{
    struct check *c = ctx;
    struct history_record rec;
    struct index_entry entry;

    if (key.n != LEASE_KEY_BYTES || payload.n)
        return table_damaged(c->r.e, DB_LEASE_KEY, key, "record makes no sense");
    int rc = history_get(&c->r, rev_decode(key.p + 8), &rec);
    if (rc == 0)
        rc = index_get(&c->r, rec.key, &entry);
    if (rc == ERR_KEY_NOT_FOUND ||
        (rc == 0 && (rev_cmp(entry.mod, rec.rev) != 0 || entry.lease != (int64_t)get_be64(key.p))))
        return table_damaged(c->r.e, DB_LEASE_KEY, key, "holds a key that is not the lease's");
    advance(c);
    return rc;
}

static int check_leases(struct check *c)
{
    struct table_sum found;
    int rc = table_each(&c->r, DB_LEASE, check_lease, c, &found);

    if (rc == 0)
        rc = compare_sum(c, DB_LEASE, found);
    if (rc == 0)
        rc = table_each(&c->r, DB_LEASE_KEY, check_lease_key, c, &found);
    if (rc == 0)
        rc = compare_sum(c, DB_LEASE_KEY, found);
    if (rc == 0 && found.count != c->leased)
        rc = err_set(c->r.e, ERR_DATA_DAMAGED,
                     "table lease_key: %llu records for %llu keys with a lease",
                     (unsigned long long)found.count, (unsigned long long)c->leased);
    return rc;
}

int mvcc_check(struct db *db, MDB_txn *view,
               void (*progress)(void *ctx, uint64_t done, uint64_t all), void *ctx, struct err *e)
{
    struct err unused;
    struct check c = {.r = {db, view, -1, e ? e : &unused},
                      .s = MVCC_STATE_FRESH,
                      .progress = progress,
                      .ctx = ctx};
    int rc = mvcc_state_read(&c.r, &c.s);

    if (rc == ERR_KEY_NOT_FOUND) /* a store nobody has written to yet */
        return mvcc_compare_counts(&c.r, &c.s, false);
    if (rc == 0)
        rc = mvcc_compare_counts(&c.r, &c.s, true);
    if (rc < 0)
        return rc;
    c.r.compact_rev = c.s.compact_rev;
    for (int t = 0; t < DB_TABLES; t++)
        c.all += c.s.sums[t].count;
    if ((rc = check_meta(&c)) < 0 || (rc = check_index(&c)) < 0 || (rc = check_history(&c)) < 0 ||
        (rc = check_leases(&c)) < 0)
        return rc;
    if (progress)
        progress(ctx, c.all, c.all);
    return 0;
}
