#include "etcd/wal_internal.h"

/* --- first pass: check --- */

static void add_cut(struct wal_recovery *rc, uint64_t index)
{
    if (rc->ncuts == rc->cuts_cap) {
        rc->cuts_cap = rc->cuts_cap * 2 + 16;
        rc->cuts = xrealloc(rc->cuts, rc->cuts_cap * sizeof *rc->cuts);
    }
    rc->cuts[rc->ncuts++] = (struct wal_cut){.before = rc->nentries, .index = index};
}

static int check_record(void *ctx, const struct wal_record *rec)
{
    struct wal_recovery *rc = ctx;

    if (rec->type == WAL_RECORD_ENTRY && rec->entry.index <= rc->state.last_index)
        add_cut(rc, rec->entry.index);
    if (rec->type == WAL_RECORD_SNAPSHOT && rec->snap_index > rc->state.last_index)
        add_cut(rc, 0);
    const char *wrong = wal_state_apply(&rc->state, rec);
    if (wrong)
        return err_set(rc->e, ERR_DATA_DAMAGED, "frame %" PRIu64 ", %s %" PRIu64 ": %s",
                       rc->sequence, rec->type == WAL_RECORD_ENTRY ? "entry" : "record",
                       rec->type == WAL_RECORD_ENTRY ? rec->entry.index : rec->snap_index, wrong);
    if (rec->type == WAL_RECORD_ENTRY) {
        rc->nentries++;
        rc->current->last_index = MAX(rc->current->last_index, rec->entry.index);
    }
    return 0;
}

static int check_segment_head(struct wal_recovery *rc, struct slice bytes, bool is_first)
{
    struct wal_segment_head head;
    int r = wal_segment_head_parse(bytes, &head, rc->e);

    if (r < 0)
        return r;
    if (head.sequence != rc->current->sequence || head.first_index != rc->current->first_index)
        return err_set(rc->e, ERR_DATA_DAMAGED, "the file says it is segment %" PRIx64 "-%" PRIx64,
                       head.sequence, head.first_index);
    if (is_first)
        wal_state_init(&rc->state, head.first_index);
    else if (head.meta.cluster_id != rc->head.meta.cluster_id ||
             head.meta.member_id != rc->head.meta.member_id)
        return err_set(rc->e, ERR_DATA_DAMAGED,
                       "belongs to member %" PRIx64 " of cluster %" PRIx64
                       ", the segment before it to member %" PRIx64 " of cluster %" PRIx64,
                       head.meta.member_id, head.meta.cluster_id, rc->head.meta.member_id,
                       rc->head.meta.cluster_id);
    rc->head = head;
    return 0;
}

/* 0, 1 torn, or negative. */
static int check_segment(struct wal_recovery *rc, size_t i)
{
    char name[WAL_NAME_MAX];
    cleanup_free uint8_t *p = NULL;
    size_t n = 0;

    rc->current = &rc->segments[i];
    wal_segment_name(rc->current->sequence, rc->current->first_index, name);
    int r = wal_segment_read(rc->dirfd, name, &p, &n, rc->e);
    if (r == 0)
        r = check_segment_head(rc, slice_of(p, n), i == 0);
    if (r == 0)
        r = wal_scan_segment(slice_of(p, n), i + 1 == rc->nsegments, &rc->sequence, check_record,
                             rc, &rc->scanned, rc->e);
    return r < 0 ? err_wrap(rc->e, r, "segment '%s'", name) : r;
}

static int check_names(struct wal_recovery *rc)
{
    if (rc->nsegments == 0)
        return err_set(rc->e, -ENOENT, "log '%s' has no segment", rc->dir);
    for (size_t i = 1; i < rc->nsegments; i++) {
        uint64_t before = rc->segments[i - 1].sequence, here = rc->segments[i].sequence;
        if (here != before + 1)
            return err_set(rc->e, ERR_DATA_DAMAGED,
                           "expected segment %" PRIu64 " after segment %" PRIu64
                           ", found segment %" PRIu64 ": %s",
                           before + 1, before, here,
                           here == before ? "one is there twice" : "files are missing");
    }
    return 0;
}

int wal_recovery_check(struct wal_recovery *rc)
{
    int r = check_names(rc);

    for (size_t i = 0; i < rc->nsegments && r == 0; i++)
        r = check_segment(rc, i);
    if (r < 0)
        return r;
    const char *wrong = wal_state_check_end(&rc->state);
    if (wrong)
        return err_set(rc->e, ERR_DATA_DAMAGED,
                       "it holds entries %" PRIu64 " to %" PRIu64 ", snapshot mark %" PRIu64
                       ", commit %" PRIu64 ": %s",
                       rc->state.first_index, rc->state.last_index, rc->state.snap_index,
                       rc->state.hard_state.commit, wrong);
    return r;
}

/* --- second pass: hand out --- */

static void prepare_cuts(struct wal_recovery *rc)
{
    for (size_t i = rc->ncuts; i > 1; i--)
        rc->cuts[i - 2].index = MIN(rc->cuts[i - 2].index, rc->cuts[i - 1].index);
}

static int give_record(void *ctx, const struct wal_record *rec)
{
    struct wal_recovery *rc = ctx;

    if (rec->type != WAL_RECORD_ENTRY)
        return 0;
    uint64_t no = rc->entry_no++;
    while (rc->next_cut < rc->ncuts && rc->cuts[rc->next_cut].before <= no)
        rc->next_cut++;
    bool overwritten = rc->next_cut < rc->ncuts && rc->cuts[rc->next_cut].index <= rec->entry.index;
    if (overwritten || rec->entry.index <= rc->after)
        return 0;
    return rc->each(rc->ctx, &rec->entry);
}

int wal_recovery_give(struct wal_recovery *rc)
{
    uint64_t sequence = 0;
    int r = 0;

    prepare_cuts(rc);
    for (size_t i = 0; i < rc->nsegments && r >= 0; i++) {
        cleanup_free uint8_t *p = NULL;
        size_t n = 0;
        char name[WAL_NAME_MAX];
        struct wal_scanned sc;
        wal_segment_name(rc->segments[i].sequence, rc->segments[i].first_index, name);
        r = wal_segment_read(rc->dirfd, name, &p, &n, rc->e);
        if (r == 0)
            r = wal_scan_segment(slice_of(p, n), i + 1 == rc->nsegments, &sequence, give_record, rc,
                                 &sc, rc->e);
    }
    return r < 0 ? r : 0;
}

void wal_recovery_deinit(struct wal_recovery *rc)
{
    free(rc->segments);
    free(rc->cuts);
}
