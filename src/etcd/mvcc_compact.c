#include "etcd/mvcc_internal.h"

/*
 * Which records go, for a compaction at C: those below C that a newer version of the key at or
 * below C replaced, and tombstones below C. What C itself wrote stays until the next compaction,
 * for a watch that starts at C.
 *
 * The walk goes forward from where the last one ended; each version it meets has its predecessor
 * removed. So nothing is ever searched for, and the work is that of the revisions in between.
 */

int mvcc_compact(struct mvcc *m, int64_t rev)
{
    assert(!m->writing);
    if (rev <= m->s.compact_rev)
        return ERR_COMPACTED;
    if (rev > m->s.rev)
        return ERR_FUTURE_REV;
    /* The tombstones of the last revision asked for were spared; if the walk has met them already
     * it goes back to them. */
    struct rev spared = {MAX(m->s.compact_rev, (int64_t)0), 0};
    if (!mvcc_compact_pending(m) || rev_cmp(spared, m->s.compact_at) < 0)
        m->s.compact_at = spared;
    m->s.compact_rev = rev;
    m->dirty = true;
    return 0;
}

bool mvcc_compact_pending(const struct mvcc *m)
{
    return m->s.compact_done < m->s.compact_rev;
}

/* Below the compacted revision; events of that one can still be asked for. */
static bool is_old(const struct mvcc *m, struct rev rev)
{
    return rev.main > 0 && rev.main < m->s.compact_rev;
}

static int remove_record(struct mvcc *m, const struct table_reader *r, struct rev rev)
{
    int rc = history_del(r, &m->s.sums[DB_HISTORY], rev);

    if (rc == 0)
        m->stats.compacted_keys++;
    return rc == ERR_KEY_NOT_FOUND ? 0 : rc; /* removed by an earlier pass */
}

/* Takes the key out of the index if this tombstone is still its newest version. */
static int remove_key(struct mvcc *m, const struct table_reader *r, struct slice key,
                      struct rev tombstone)
{
    struct index_entry entry;
    int rc = index_get(r, key, &entry);

    if (rc < 0)
        return rc == ERR_KEY_NOT_FOUND ? 0 : rc;
    if (rev_cmp(entry.mod, tombstone) != 0)
        return 0;
    return index_del(r, &m->s.sums[DB_INDEX], &m->scratch, key, &entry);
}

static int compact_record(struct mvcc *m, const struct table_reader *r,
                          const struct history_record *rec)
{
    struct rev prev = rec->prev;
    int rc = 0;

    if (rec->tombstone && is_old(m, rec->rev)) {
        struct rev rev = rec->rev;
        rc = remove_key(m, r, rec->key, rev); /* before the record goes, and its key with it */
        if (rc == 0)
            rc = remove_record(m, r, rev);
    }
    if (rc == 0 && is_old(m, prev))
        rc = remove_record(m, r, prev);
    return rc;
}

static bool leaves_work(const struct mvcc *m, const struct history_record *rec)
{
    return is_old(m, rec->prev) || (rec->tombstone && is_old(m, rec->rev));
}

int mvcc_compact_step(struct mvcc *m, size_t max_records)
{
    struct table_reader r = mvcc_reader(m);
    cleanup_history_iter struct history_iter it = {0};
    struct history_record rec;

    assert(!m->writing);
    if (!mvcc_compact_pending(m))
        return 0;
    int rc = history_iter_init(&it, &r);
    if (rc < 0)
        return rc;
    m->dirty = true;
    bool moved = false;
    rc = history_iter_seek(&it, m->s.compact_at, &rec);
    for (size_t n = 0; rc > 0 && rec.rev.main <= m->s.compact_rev && n < max_records; n++) {
        struct rev next = {rec.rev.main, rec.rev.sub + 1};
        moved = leaves_work(m, &rec);
        rc = moved ? compact_record(m, &r, &rec) : 0;
        if (rc < 0)
            return rc;
        m->s.compact_at = next;
        rc = moved ? history_iter_seek(&it, next, &rec) : history_iter_next(&it, &rec);
    }
    if (rc < 0)
        return rc;
    if (rc > 0 && rec.rev.main <= m->s.compact_rev)
        return 1;
    m->s.compact_done = m->s.compact_rev;
    return 0;
}
