/*
 * raft: the consensus core. Pure: no clock, no randomness, no file, no socket.
 *
 * Today it knows one voter; index, term, hard state, snapshots and the order
 * propose -> append -> durable -> committed -> applied are Raft's (Ongaro, dissertation, chapter
 * 3), so that the other members join behind this interface. The shell takes raft_ready, makes hard
 * state and entries durable, reports raft_persisted, applies what is committed and reports
 * raft_applied.
 *
 *      propose          persist (shell)        persisted           apply (shell)
 *     --------> unstable --------> durable on us --------> committed ---------> applied
 *
 * Invariants: applied <= committed <= last; persisted <= last; an entry's term never decreases with
 * its index; a committed entry never changes.
 */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include "base/err.h"
#include "base/slice.h"

enum raft_entry_type { RAFT_ENTRY_NORMAL = 0, RAFT_ENTRY_CONF_CHANGE = 1 };
struct raft_entry {
    uint64_t term;
    uint64_t index; /* from 1, without gaps */
    enum raft_entry_type type;
    struct slice data; /* empty for the entry a new leader begins with */
};
struct raft_hard_state {
    uint64_t term;
    uint64_t vote; /* member id, 0: none in this term */
    uint64_t commit;
};
enum raft_state { RAFT_FOLLOWER, RAFT_CANDIDATE, RAFT_LEADER };

struct raft_conf {
    uint64_t id;
    const uint64_t *voters; /* exactly one today, equal to id */
    size_t nvoters;
    size_t unapplied_max;         /* entries committed or waiting that may stand unapplied; past it
                                     raft_propose         says ERR_TOO_MANY_REQUESTS */
    size_t uncommitted_bytes_max; /* payload bytes proposed and not yet committed */
};

struct raft;

/* hs, snapshot and last are what the log on disk holds (zeros: a new member); applied: what the
 * state machine holds (snap_index <= applied <= last_index). Entries in (applied, last_index] are
 * then given back with raft_restore, in order, before anything else. */
int raft_new(const struct raft_conf *conf, const struct raft_hard_state *hs, uint64_t snap_index,
             uint64_t snap_term, uint64_t last_index, uint64_t last_term, uint64_t applied,
             struct raft **ret, struct err *e);
void raft_free(struct raft *r);
/* An entry read back from the log: durable, to be committed again when we lead. Copied. 0, -EINVAL
 * (not the next index, or a term that goes back), -ENOMEM. */
int raft_restore(struct raft *r, const struct raft_entry *entry);

/* Starts an election: term+1, a vote for ourselves; nothing when one is under way or won. A single
 * voter wins when that vote is durable and begins its term with an empty entry (dissertation 6.4:
 * nothing of older terms is committed by counting before it). */
void raft_campaign(struct raft *r);
/* Appends to our log as leader. data is copied. The place it got goes to ret_index and ret_term:
 * the entry that later applies there with that term is this one. 0, ERR_NO_LEADER,
 * ERR_TOO_MANY_REQUESTS, -ENOMEM. */
int raft_propose(struct raft *r, enum raft_entry_type type, struct slice data, uint64_t *ret_index,
                 uint64_t *ret_term);

/* What the shell is to do now. Pointers stay valid until the reports named beside them. */
struct raft_ready {
    bool hard_state_changed;
    struct raft_hard_state hard_state; /* as of now, also when it did not change */
    const struct raft_entry
        *entries; /* to persist, after what was given before; until raft_persisted */
    size_t nentries;
    const struct raft_entry *committed; /* to apply, in order; until raft_applied */
    size_t ncommitted;
    bool must_sync; /* term, vote or entries changed: durable before anything is answered */
};
/* Fills *ret; true when there is something. Entries are given out once: a second call while the
 * first batch is being written gives only newer ones. A commit index that moved is no reason to
 * write; it rides along with the next entries, since it is found again after a restart. */
bool raft_ready(struct raft *r, struct raft_ready *ret);
/* Everything up to index (of term) and the hard state given out with it is durable. Called only for
 * a ready that asked to persist something (must_sync), once it is done; for a vote without entries
 * with the last index. A batch may be reported in parts, and several batches at once. */
void raft_persisted(struct raft *r, uint64_t index, uint64_t term);
/* The state machine holds everything up to index. */
void raft_applied(struct raft *r, uint64_t index);
/* The state machine has its own durable copy up to index: entries below may be forgotten. */
void raft_compacted(struct raft *r, uint64_t index);

struct raft_status {
    uint64_t id, leader; /* 0: none */
    enum raft_state state;
    uint64_t term, vote, last, persisted, commit, applied;
    size_t pending_bytes; /* proposed, not committed */
};
void raft_status(const struct raft *r, struct raft_status *ret);

#endif
