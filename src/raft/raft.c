#include "raft/raft.h"

#include "raft/raft_log.h"

struct raft {
    uint64_t id;
    size_t unapplied_max;
    size_t uncommitted_bytes_max;

    enum raft_state state;
    struct raft_hard_state hs; /* hs.commit is the commit index */
    bool vote_changed;         /* term or vote not yet given out */
    bool vote_given;           /* ... given out, not yet reported durable */
    uint64_t term_first;       /* leader: index of the empty entry our term began with */

    struct raft_log log; /* entries above min(persisted, applied) */
    uint64_t last, last_term;
    uint64_t restore_last;  /* entries up to here are owed by raft_restore */
    uint64_t given;         /* handed out to be persisted up to here */
    uint64_t persisted;     /* reported durable */
    uint64_t given_applied; /* handed out to be applied */
    uint64_t applied;       /* reported applied */
    size_t pending_bytes;   /* data of entries above commit */
};

static void check(const struct raft *r)
{
    assert(r->applied <= r->given_applied);
    assert(r->given_applied <= r->hs.commit);
    assert(r->hs.commit <= r->persisted);
    assert(r->persisted <= r->given);
    assert(r->given <= r->last);
    assert(r->last_term <= r->hs.term);
}

static int check_conf(const struct raft_conf *conf, struct err *e)
{
    if (conf->nvoters != 1 || conf->voters[0] != conf->id || conf->id == 0)
        return err_set(e, ERR_CONFIG, "raft: one voter is possible, the member itself; got %zu",
                       conf->nvoters);
    if (conf->unapplied_max == 0 || conf->uncommitted_bytes_max == 0)
        return err_set(e, ERR_CONFIG, "raft: bounds of waiting entries must not be 0");
    return 0;
}

static int check_disk(const struct raft_hard_state *hs, uint64_t snap_index, uint64_t snap_term,
                      uint64_t last_index, uint64_t last_term, uint64_t applied, struct err *e)
{
    if (applied < snap_index)
        return err_set(e, ERR_DATA_DAMAGED,
                       "the store holds entries up to %" PRIu64 ", the log begins after %" PRIu64
                       ": restore the store from a snapshot",
                       applied, snap_index);
    if (applied > last_index)
        return err_set(e, ERR_DATA_DAMAGED,
                       "the store holds entries up to %" PRIu64 ", the log ends at %" PRIu64
                       ": the log lost entries or belongs to another store",
                       applied, last_index);
    if (hs->commit > last_index)
        return err_set(e, ERR_DATA_DAMAGED,
                       "entries up to %" PRIu64 " were committed, the log ends at %" PRIu64,
                       hs->commit, last_index);
    if (snap_term > last_term || last_term > hs->term)
        return err_set(e, ERR_DATA_DAMAGED,
                       "terms go backwards: snapshot %" PRIu64 ", last entry %" PRIu64
                       ", current %" PRIu64,
                       snap_term, last_term, hs->term);
    return 0;
}

int raft_new(const struct raft_conf *conf, const struct raft_hard_state *hs, uint64_t snap_index,
             uint64_t snap_term, uint64_t last_index, uint64_t last_term, uint64_t applied,
             struct raft **ret, struct err *e)
{
    int rc = check_conf(conf, e);

    if (rc == 0)
        rc = check_disk(hs, snap_index, snap_term, last_index, last_term, applied, e);
    if (rc < 0)
        return rc;

    struct raft *r = xmalloc(sizeof *r);
    *r = (struct raft){
        .id = conf->id,
        .unapplied_max = conf->unapplied_max,
        .uncommitted_bytes_max = conf->uncommitted_bytes_max,
        .state = RAFT_FOLLOWER,
        .hs = *hs,
        .last = applied, /* raft_restore brings the rest */
        .last_term = snap_term,
        .restore_last = last_index,
        .given = last_index,
        .persisted = last_index,
        .given_applied = applied,
        .applied = applied,
    };
    if (applied == last_index)
        r->last_term = last_term;
    /* What the state machine made durable was committed; the commit index on disk may lag. */
    r->hs.commit = MAX(hs->commit, applied);
    raft_log_init(&r->log, applied + 1);
    *ret = r;
    return 0;
}

void raft_free(struct raft *r)
{
    if (!r)
        return;
    raft_log_deinit(&r->log);
    free(r);
}

static int append(struct raft *r, uint64_t term, enum raft_entry_type type, struct slice data)
{
    int rc = raft_log_append(&r->log, term, type, data);

    if (rc < 0)
        return rc;
    r->last++;
    r->last_term = term;
    if (r->last > r->hs.commit)
        r->pending_bytes += data.n;
    return 0;
}

int raft_restore(struct raft *r, const struct raft_entry *entry)
{
    assert(r->state == RAFT_FOLLOWER);
    if (entry->index != r->last + 1 || entry->index > r->restore_last)
        return -EINVAL;
    if (entry->term < r->last_term || entry->term > r->hs.term)
        return -EINVAL;
    return append(r, entry->term, entry->type, entry->data);
}

void raft_campaign(struct raft *r)
{
    assert(r->last == r->restore_last || r->state != RAFT_FOLLOWER);
    if (r->state != RAFT_FOLLOWER)
        return; /* a sole voter's election is not lost, only still being written */
    r->state = RAFT_CANDIDATE;
    r->hs.term++;
    r->hs.vote = r->id;
    r->vote_changed = true;
    check(r);
}

static void become_leader(struct raft *r)
{
    r->vote_given = false;
    r->state = RAFT_LEADER;
    r->term_first = r->last + 1;
    int rc = append(r, r->hs.term, RAFT_ENTRY_NORMAL, SLICE_EMPTY);
    if (rc < 0)
        abort(); /* no memory for the first entry of a term */
}

int raft_propose(struct raft *r, enum raft_entry_type type, struct slice data, uint64_t *ret_index,
                 uint64_t *ret_term)
{
    if (r->state != RAFT_LEADER)
        return ERR_NO_LEADER;
    if (r->last - r->applied >= r->unapplied_max)
        return ERR_TOO_MANY_REQUESTS;
    /* A single large entry is always let through, else it could never be proposed. */
    if (r->pending_bytes && (r->pending_bytes >= r->uncommitted_bytes_max ||
                             data.n > r->uncommitted_bytes_max - r->pending_bytes))
        return ERR_TOO_MANY_REQUESTS;
    int rc = append(r, r->hs.term, type, data);
    if (rc < 0)
        return rc;
    *ret_index = r->last;
    *ret_term = r->hs.term;
    return 0;
}

bool raft_ready(struct raft *r, struct raft_ready *ret)
{
    *ret = (struct raft_ready){.hard_state = r->hs};

    assert(r->last >= r->restore_last);
    if (r->last > r->given) {
        ret->entries = raft_log_at(&r->log, r->given + 1);
        ret->nentries = (size_t)(r->last - r->given);
        r->given = r->last;
    }
    if (r->hs.commit > r->given_applied) {
        ret->committed = raft_log_at(&r->log, r->given_applied + 1);
        ret->ncommitted = (size_t)(r->hs.commit - r->given_applied);
        r->given_applied = r->hs.commit;
    }
    if (r->vote_changed) {
        r->vote_changed = false;
        r->vote_given = true;
        ret->hard_state_changed = true;
    }
    /* A commit index alone is no reason to write: it can be found again. It rides along. */
    ret->must_sync = ret->nentries || ret->hard_state_changed;
    if (ret->nentries)
        ret->hard_state_changed = true;
    check(r);
    return ret->must_sync || ret->ncommitted;
}

/* A sole voter's own durable entries are the quorum's, but only from its own term on (dissertation
 * 3.6.2): until the empty entry is durable, older ones wait. */
static void advance_commit(struct raft *r)
{
    if (r->state != RAFT_LEADER || r->persisted < r->term_first)
        return;
    while (r->hs.commit < r->persisted) {
        size_t n = raft_log_at(&r->log, ++r->hs.commit)->data.n;
        assert(n <= r->pending_bytes);
        r->pending_bytes -= n;
    }
}

static void forget(struct raft *r)
{
    raft_log_drop(&r->log, MIN(r->persisted, r->applied));
}

void raft_persisted(struct raft *r, uint64_t index, uint64_t term)
{
    assert(index <= r->given);
    if (index > r->persisted) {
        assert(raft_log_at(&r->log, index)->term == term);
        r->persisted = index;
    }
    if (r->vote_given)
        become_leader(r);
    advance_commit(r);
    forget(r);
    check(r);
}

void raft_applied(struct raft *r, uint64_t index)
{
    assert(index >= r->applied);
    assert(index <= r->given_applied);
    r->applied = index;
    forget(r);
    check(r);
}

void raft_compacted(struct raft *r, uint64_t index)
{
    /* A sole voter has nobody to send old entries to: forget() already dropped what is applied. */
    assert(index <= r->applied);
}

void raft_status(const struct raft *r, struct raft_status *ret)
{
    *ret = (struct raft_status){
        .id = r->id,
        .leader = r->state == RAFT_LEADER ? r->id : 0,
        .state = r->state,
        .term = r->hs.term,
        .vote = r->hs.vote,
        .last = r->last,
        .persisted = r->persisted,
        .commit = r->hs.commit,
        .applied = r->applied,
        .pending_bytes = r->pending_bytes,
    };
}
