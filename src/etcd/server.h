/*
 * server: the member. Owns log, store, leases and watches, and the one way a write takes through
 * them:
 *
 *     server_propose -> raft -> frame -> wal (fdatasync) -> committed -> apply -> watches ->
 * done(…)
 *
 * One thread (the loop's) but for the log writer and the checkpoint, which get their data handed
 * over whole.
 */
#ifndef ETCD_SERVER_H
#define ETCD_SERVER_H

#include <uv.h>

#include "base/clock.h"
#include "base/rng.h"
#include "etcd/lease.h"
#include "etcd/mvcc.h"
#include "etcd/watch_hub.h"
#include "raft/raft.h"
#include "raft_request.pb-c.h"
#include "rpc.pb-c.h"

struct server;
struct proposal;
struct etcd_conf;
struct alarm_set;
struct io_server;

/* --- life cycle, for main --- */

/* Opens (or makes) the data directory, brings the store up to date from the log and becomes leader.
 * Blocks. conf is borrowed. */
int server_open(const struct etcd_conf *conf, uv_loop_t *loop, struct server **ret, struct err *e);
/* Starts timers. io: asked how many calls wait, to choose how the log is written; borrowed. */
void server_start(struct server *s, struct io_server *io);
/* The end of a loop turn: starts the next log batch. Given to io_server as on_turn. */
void server_turn(void *server);
/* Fails what is pending, makes everything durable, closes handles on the loop; server_free after
 * the loop has run dry. */
void server_stop(struct server *s);
void server_free(struct server *s);

/* --- use --- */

/* The outcome of a write. response: the service's response message with its header filled, in
 * memory valid only during the call; NULL when code < 0 (a code of err_table.h). */
typedef void proposal_done(void *ctx, int code, const ProtobufCMessage *response);

/* Proposes a request: `what` tells which member of RaftRequest, raw is its encoding (as it arrived,
 * or packed by pb_pack). Returns 0: done will be called once, later or before this returns; ret
 * (may be NULL; written before done can be
 * called) can then be abandoned until it was. Negative: refused, done is not called
 * (ERR_TOO_MANY_REQUESTS, ERR_REQUEST_TOO_LARGE, ERR_NO_LEADER, ERR_NO_SPACE, ERR_STOPPED). */
int server_propose(struct server *s, Steadpb__RaftRequest__RequestCase what, struct slice raw,
                   proposal_done *done, void *ctx, struct proposal **ret);
/* Packs msg and proposes it. */
int server_propose_msg(struct server *s, Steadpb__RaftRequest__RequestCase what,
                       const ProtobufCMessage *msg, proposal_done *done, void *ctx,
                       struct proposal **ret);
/* The asker went away: the write takes its course, done is not called. */
void server_proposal_abandon(struct proposal *p);

/* Fills a header as of now. */
void server_header(const struct server *s, Etcdserverpb__ResponseHeader *h);
/* 0 when a linearizable read may be answered from the local state now; ERR_NO_LEADER, ERR_CORRUPT.
 */
int server_read_check(const struct server *s, bool serializable);

struct mvcc *server_mvcc(struct server *s);
struct db *server_db(struct server *s);
struct lease_set *server_leases(struct server *s);
struct watch_hub *server_watches(struct server *s);
struct rng *server_rng(struct server *s);
uv_loop_t *server_loop(struct server *s);
uint64_t server_now_ns(const struct server *s); /* monotonic, cached for the turn */
uint64_t server_cluster_id(const struct server *s);
uint64_t server_member_id(const struct server *s);

const struct etcd_conf *server_conf(const struct server *s);
struct alarm_set *server_alarms(struct server *s);
void server_raft_status(const struct server *s, struct raft_status *ret);
uint64_t server_quota_bytes(const struct server *s); /* 0: none */
/* The store's file, and what has changed since it was last committed. */
uint64_t server_store_bytes(const struct server *s);

/* Quota: whether cost more bytes fit. When not, raises the NOSPACE alarm. */
int server_quota_check(struct server *s, uint64_t cost);
/* Calls done(ctx) once the compaction under way has removed everything (at once when none is). */
struct compact_wait {
    struct list link;
    void (*done)(struct compact_wait *w);
};
void server_when_compacted(struct server *s, struct compact_wait *w);
/* Makes everything applied so far durable in the store's file and visible to views; blocks. */
void server_checkpoint_now(struct server *s);
/* Frozen views of the last checkpoint, counted: the file cannot be rewritten while one is open. */
int server_view_begin(struct server *s, MDB_txn **ret);
void server_view_end(struct server *s, MDB_txn *view);
bool server_busy_with_views(const struct server *s);

struct server_stats {
    uint64_t proposals_committed, proposals_applied, proposals_pending, proposals_failed;
    uint64_t slow_applies, leader_changes;
    uint64_t lease_granted, lease_revoked, lease_expired;
    uint64_t wal_bytes;
    uint64_t views;
};
void server_stats(const struct server *s, struct server_stats *ret);
struct histogram;
const struct histogram *server_fsync_histogram(const struct server *s);
const struct histogram *server_commit_histogram(const struct server *s);
const struct histogram *server_apply_histogram(const struct server *s);
double server_start_seconds(const struct server *s); /* since 1970 */

/* The member as MemberList shows it. The server's own strings; lists end with NULL. */
struct server_member {
    char *name;
    char **peer_urls, **client_urls;
};
void server_member_self(const struct server *s, struct server_member *ret);

/* Runs fn(arg) in a worker thread, then after(arg, result) on the loop: hashing, copies, checks. A
 * few at a time, the others wait for their turn. */
void server_offload(struct server *s, int (*fn)(void *arg), void (*after)(void *arg, int result),
                    void *arg);

#endif
