/*
 * apply: what a committed request does to the store. Deterministic in the requests: the same log
 * gives the same store on every member. Time enters only where a lease's clock starts, which is
 * each member's own affair.
 */
#ifndef ETCD_APPLY_H
#define ETCD_APPLY_H

#include "etcd/alarm.h"
#include "etcd/lease.h"
#include "etcd/mvcc.h"
#include "raft_request.pb-c.h"

struct apply_ctx {
    struct mvcc *mvcc;
    struct lease_set *leases;
    struct alarm_set *alarms;
    uint64_t now_ns;
    struct arena *arena; /* of this request: response and events */
    size_t ranges_max; /* bytes the ranges of a transaction may gather; 0: no bound of their own */

    /* Results beside the response. */
    struct mvcc_event *events;
    size_t nevents;
    int64_t events_rev;
    int64_t compacted_rev; /* > 0: a compaction was marked */
    uint64_t member_id;    /* member attributes that were set, 0: none */
    bool answer_too_large; /* applied, but the response lacks what its ranges found */
};

/* Applies one request. 0 and a response in the arena (header: revision only), or the code the
 * client gets; a refused request leaves the store as it was. ERR_DATA_DAMAGED: the store cannot go
 * on. */
int apply_request(struct apply_ctx *x, const Steadpb__RaftRequest *req, ProtobufCMessage **ret);
/* A read-only transaction, answered without a log entry. */
int apply_read_txn(struct apply_ctx *x, const Etcdserverpb__TxnRequest *txn,
                   ProtobufCMessage **ret);
/* The header inside a response that apply or respond made; every response has one as its first
 * field. */
Etcdserverpb__ResponseHeader *apply_header(const ProtobufCMessage *response);

#endif
