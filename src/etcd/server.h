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

/* The outcome of a write. response: the service's response message with its header filled, in
 * memory valid only during the call; NULL when code < 0 (a code of err_table.h). */
typedef void proposal_done(void *ctx, int code, const ProtobufCMessage *response);

/* Proposes a request: `what` tells which member of RaftRequest, raw is its encoding (as it arrived,
 * or packed by pb_pack). Returns 0: done will be called once, later or before this returns; ret
 * (may be NULL; written before done can be called) can then be abandoned until it was. Negative:
 * refused, done is not called (ERR_TOO_MANY_REQUESTS, ERR_REQUEST_TOO_LARGE, ERR_NO_LEADER,
 * ERR_NO_SPACE, ERR_STOPPED). */
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
struct uv_loop_s *server_loop(struct server *s); /* uv_loop_t */
uint64_t server_now_ns(const struct server *s); /* monotonic, cached for the turn */
uint64_t server_cluster_id(const struct server *s);
uint64_t server_member_id(const struct server *s);

/* The member as MemberList shows it. The server's own strings; lists end with NULL. */
struct server_member {
    char *name;
    char **peer_urls, **client_urls;
};
void server_member_self(const struct server *s, struct server_member *ret);

/* Runs fn(arg) in a worker thread, then after(arg, result) on the loop: hashing, copies, checks. */
void server_offload(struct server *s, int (*fn)(void *arg), void (*after)(void *arg, int result),
                    void *arg);

#endif
