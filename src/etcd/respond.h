/*
 * respond: store results as the API's messages. Shared by reads (which answer at once, so that keys
 * and values may stay in the database) and by applied transactions (whose later steps change the
 * database, so that results are copied).
 */
#ifndef ETCD_RESPOND_H
#define ETCD_RESPOND_H

#include "etcd/mvcc.h"
#include "rpc.pb-c.h"

/* All messages live in the arena; NULL when it is full. */
Mvccpb__KeyValue *respond_kv(struct arena *a, const struct mvcc_kv *kv);
/* header: with revision set, other fields left to the caller. */
Etcdserverpb__ResponseHeader *respond_header(struct arena *a, int64_t revision);

/* Runs a range and makes the response (header absent). copy: keys and values are copied into the
 * arena. 0 or the code of mvcc_range. */
int respond_range(struct mvcc *m, const Etcdserverpb__RangeRequest *q, bool copy, struct arena *a,
                  Etcdserverpb__RangeResponse **ret);

#endif
