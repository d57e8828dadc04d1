/*
 * lease: which leases live, and until when. Pure: time is an argument (monotonic nanoseconds). The
 * durable side (terms, attached keys) is mvcc's; this holds id, granted time to live and deadline,
 * in a map and a heap by deadline.
 *
 * Invariant: each live lease stands in the map and in exactly one place: the heap, or the list of
 * expired ones whose revocation was handed out and not yet applied.
 */
#ifndef ETCD_LEASE_H
#define ETCD_LEASE_H

#include "base/err.h"

#define LEASE_TTL_MAX_S 9000000000LL /* upstream's bound */
#define LEASE_RETRY_NS  500000000ULL /* until a failed revocation is handed out again */

struct lease_set;

/* min_ttl_s: shorter times are raised to it (ceil(1.5 x election timeout)). seed: for the map. */
struct lease_set *lease_set_new(int64_t min_ttl_s, const uint64_t seed[2]);
void lease_set_free(struct lease_set *s);

/* The time to live a grant of ttl_s really gets, or ERR_LEASE_TTL_TOO_LARGE. */
int lease_ttl_effective(const struct lease_set *s, int64_t ttl_s, int64_t *ret_ttl_s);
/* id > 0. remaining_s: 0 = full ttl (a restored lease has less). 0 or ERR_LEASE_EXISTS. */
int lease_add(struct lease_set *s, int64_t id, int64_t ttl_s, int64_t remaining_s, uint64_t now_ns);
int lease_remove(struct lease_set *s, int64_t id); /* 0 or ERR_LEASE_NOT_FOUND */
bool lease_exists(const struct lease_set *s, int64_t id);
/* Back to full ttl: 0 and the ttl; ERR_LEASE_NOT_FOUND also for one that has expired. */
int lease_renew(struct lease_set *s, int64_t id, uint64_t now_ns, int64_t *ret_ttl_s);
/* Whole seconds left (truncated, >= 0) and granted: 0 or ERR_LEASE_NOT_FOUND. */
int lease_time_to_live(const struct lease_set *s, int64_t id, uint64_t now_ns, int64_t *ret_left_s,
                       int64_t *ret_granted_s);
size_t lease_count(const struct lease_set *s);
/* Ids into out (room for lease_count), the soonest to expire first, as upstream lists them. */
void lease_list(const struct lease_set *s, int64_t *out);
/* When the next one expires; UINT64_MAX: none. */
uint64_t lease_next_deadline_ns(const struct lease_set *s);
/* Up to max expired ids, earliest first, handed out once each; the caller proposes their
 * revocation, and lease_remove takes them out when that applies. lease_retry gives back one whose
 * proposal failed: it stays expired (no renewal) and is handed out again after LEASE_RETRY_NS. */
size_t lease_expired(struct lease_set *s, uint64_t now_ns, int64_t *out, size_t max);
void lease_retry(struct lease_set *s, int64_t id, uint64_t now_ns);
/* Leases whose stored remaining time is off by more than drift_s from the real one, at most max: to
 * be checkpointed, rounded up to whole seconds. Looks at every lease. */
struct lease_remaining {
    int64_t id;
    int64_t remaining_s;
};
size_t lease_checkpoint_due(struct lease_set *s, uint64_t now_ns, int64_t drift_s,
                            struct lease_remaining *out, size_t max);
/* A checkpoint was applied. */
void lease_checkpointed(struct lease_set *s, int64_t id, int64_t remaining_s);

#endif
