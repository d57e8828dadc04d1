#include "etcd/links.h"

static int missing(const struct table_reader *r, struct rev rev, const char *what)
{
    uint8_t raw[REV_BYTES];

    rev_encode(rev, raw);
    return table_damaged(r->e, DB_HISTORY, slice_of(raw, sizeof raw), what);
}

static int check_found(const struct table_reader *r, struct slice key, struct rev rev, int rc,
                       const struct history_record *rec)
{
    if (rc == ERR_KEY_NOT_FOUND)
        return missing(r, rev, "record is missing");
    if (rc == 0 && !slice_eq(rec->key, key))
        return missing(r, rev, "record belongs to another key");
    return rc;
}

int links_load(const struct table_reader *r, struct slice key, struct rev rev,
               struct history_record *ret)
{
    return check_found(r, key, rev, history_get(r, rev, ret), ret);
}

/* The lookup is decided by the revision asked to be compacted, not by what is removed already: all
 * members write the same bytes. */
static bool jumps_over_both(const struct table_reader *r, const struct rev_link jump[2])
{
    return jump[0].dist && jump[0].dist == jump[1].dist && jump[1].rev.main > r->compact_rev &&
           jump[0].dist < UINT32_MAX / 4;
}

int links_extend(const struct table_reader *r, const struct index_entry *old,
                 struct history_record *rec, struct index_entry *entry)
{
    if (!old)
        return 0;
    rec->prev = old->mod;
    if (jumps_over_both(r, old->jump)) {
        struct history_record target;
        int rc = links_load(r, rec->key, old->jump[1].rev, &target);
        if (rc < 0)
            return rc;
        rec->jump.rev = target.rev;
        rec->jump.dist = 1 + old->jump[0].dist + old->jump[1].dist;
        entry->jump[1] = target.jump;
    } else {
        rec->jump = (struct rev_link){old->mod, 1};
        entry->jump[1] = old->jump[0];
    }
    entry->jump[0] = rec->jump;
    return 0;
}

int links_find(const struct table_reader *r, struct slice key, const struct index_entry *newest,
               int64_t rev, struct history_record *ret)
{
    struct rev at = newest->mod;

    /* A jump that is still above rev skips only versions that are, too. */
    for (int i = 0; i < 2; i++)
        if (newest->jump[i].dist && newest->jump[i].rev.main > rev)
            at = newest->jump[i].rev;
    while (at.main > rev) {
        int rc = links_load(r, key, at, ret);
        if (rc < 0)
            return rc;
        at = ret->jump.dist && ret->jump.rev.main > rev ? ret->jump.rev : ret->prev;
        if (at.main == 0)
            return ERR_KEY_NOT_FOUND;
    }
    int rc = history_get(r, at, ret);
    /* Compaction drops tombstones, and then the link to one leads nowhere. */
    if (rc == ERR_KEY_NOT_FOUND && at.main < r->compact_rev && rev_cmp(at, newest->mod) != 0)
        return rc;
    return check_found(r, key, at, rc, ret);
}
