#include "etcd/wal_internal.h"

void wal_state_init(struct wal_state *s, uint64_t first_index)
{
    assert(first_index > 0);
    *s = (struct wal_state){.first_index = first_index, .last_index = first_index - 1};
}

static const char *apply_entry(struct wal_state *s, const struct raft_entry *entry)
{
    if (entry->index > s->last_index + 1)
        return "an entry before it is missing";
    if (entry->index <= s->hard_state.commit || entry->index <= s->snap_index)
        return "it would change a committed entry";
    if (entry->index == s->last_index + 1 && entry->term < s->last_term)
        return "its term is lower than that of the entry before it";
    /* A tail that was overwritten may reach back into a segment released since. */
    s->first_index = MIN(s->first_index, entry->index);
    s->last_index = entry->index;
    s->last_term = entry->term;
    return NULL;
}

static const char *apply_snapshot(struct wal_state *s, uint64_t index, uint64_t term)
{
    if (index < s->snap_index)
        return "the snapshot mark goes back";
    s->snap_index = index;
    s->snap_term = term;
    if (index > s->last_index) { /* a snapshot from elsewhere: it replaces what was there */
        s->first_index = index + 1;
        s->last_index = index;
    }
    if (index == s->last_index)
        s->last_term = term;
    return NULL;
}

const char *wal_state_apply(struct wal_state *s, const struct wal_record *rec)
{
    switch (rec->type) {
    case WAL_RECORD_ENTRY:
        return apply_entry(s, &rec->entry);
    case WAL_RECORD_HARD_STATE:
        s->hard_state = rec->hard_state;
        return NULL;
    case WAL_RECORD_SNAPSHOT:
        return apply_snapshot(s, rec->snap_index, rec->snap_term);
    }
    return "unknown record type";
}

const char *wal_state_check_end(const struct wal_state *s)
{
    if (s->first_index > s->snap_index + 1)
        return "entries behind the snapshot mark are missing";
    if (s->hard_state.commit > s->last_index)
        return "committed entries are missing at its end";
    return NULL;
}
