#include "etcd/mvcc_internal.h"

static void event_of(const struct history_record *rec, struct mvcc_event *ret)
{
    *ret = (struct mvcc_event){
        .is_delete = rec->tombstone,
        .kv = {.key = rec->key,
               .value = rec->value,
               .create_rev = rec->create,
               .mod_rev = rec->rev.main,
               .version = rec->version,
               .lease = rec->lease},
    };
}

int mvcc_events(struct mvcc *m, int64_t from, int64_t to,
                int (*each)(void *ctx, const struct mvcc_event *ev), void *ctx)
{
    struct table_reader r = mvcc_reader(m);
    cleanup_history_iter struct history_iter it = {0};
    struct history_record rec;
    struct mvcc_event ev;

    if (from < m->s.compact_rev)
        return ERR_COMPACTED;
    int rc = history_iter_init(&it, &r);
    if (rc < 0)
        return rc;
    rc = history_iter_seek(&it, (struct rev){MAX(from, (int64_t)0), 0}, &rec);
    while (rc > 0 && rec.rev.main <= to) {
        event_of(&rec, &ev);
        rc = each(ctx, &ev);
        if (rc)
            return rc;
        rc = history_iter_next(&it, &rec);
    }
    return rc < 0 ? rc : 0;
}
