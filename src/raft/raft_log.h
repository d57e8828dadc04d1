/*
 * raft_log: the entries the core still needs in memory: those not yet both durable and applied.
 *
 * Entries lie one behind the other in one array and their data in blocks, so that a whole batch is
 * one pointer and a count. Both are given back first in, first out: an entry's place in memory
 * never moves while it is live, even when the log grows.
 *
 * Invariants: first + n - 1 is the last index; indices have no gaps.
 */
#ifndef RAFT_RAFT_LOG_H
#define RAFT_RAFT_LOG_H

#include "raft/raft.h"

struct raft_log_page;  /* an array of entries */
struct raft_log_block; /* bytes of their data */

struct raft_log {
    uint64_t first; /* index of the first live entry, or the one the next will get */
    size_t n;       /* live entries */
    size_t head;    /* place of the first live entry in the newest page */
    struct raft_log_page *page_first, *page_last;
    struct raft_log_block *block_first, *block_last;
};

/* Empty; the next entry gets index first. */
void raft_log_init(struct raft_log *l, uint64_t first);
void raft_log_deinit(struct raft_log *l);

/* Puts an entry with index first + n behind the others; data is copied. 0 or -ENOMEM. */
int raft_log_append(struct raft_log *l, uint64_t term, enum raft_entry_type type,
                    struct slice data);
/* Forgets everything up to index; nobody may look at those entries any more. */
void raft_log_drop(struct raft_log *l, uint64_t index);

/* The live entry at index; those behind it follow in memory. */
const struct raft_entry *raft_log_at(const struct raft_log *l, uint64_t index);

#endif
