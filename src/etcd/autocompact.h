/*
 * autocompact: when to compact by itself, and to which revision. Pure: time and revision are
 * arguments.
 *
 * Periodic, as upstream: the revision is noted at intervals; what was newest `retention` ago
 * becomes the compacted revision, once per retention (at most once an hour for longer ones). By
 * revision: every 5 minutes, keeping the last `retention` ones.
 */
#ifndef ETCD_AUTOCOMPACT_H
#define ETCD_AUTOCOMPACT_H

#include "base/err.h"

#define AUTOCOMPACT_SAMPLES                                                                        \
    512 /* noted revisions: one per tenth of the interval; an hour's interval over up to 50 hours, \
           longer retentions note less often */
#define AUTOCOMPACT_REVISION_NS (5ULL * 60 * 1000000000)

struct autocompact {
    bool periodic;
    uint64_t retention; /* ns or revisions; 0: off */
    uint64_t interval_ns, sample_ns;
    uint64_t next_compact_ns, next_sample_ns;
    struct {
        uint64_t at_ns;
        int64_t rev;
    } samples[AUTOCOMPACT_SAMPLES]; /* ring */
    size_t first, n;
};

/* retention: "10" (hours when periodic, else revisions) or a duration like "5m"; "0": off. 0 or
 * ERR_CONFIG. */
int autocompact_init(struct autocompact *a, bool periodic, const char *retention, uint64_t now_ns,
                     struct err *e);
/* Call at least each second or so. The revision to compact to now, or 0. */
int64_t autocompact_tick(struct autocompact *a, uint64_t now_ns, int64_t rev);

#endif
