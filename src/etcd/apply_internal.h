/* Shared by apply.c and apply_txn.c. */
#ifndef ETCD_APPLY_INTERNAL_H
#define ETCD_APPLY_INTERNAL_H

#include "etcd/apply.h"

/* A zeroed, initialised message in the arena with a header of that revision; NULL when the arena is
 * full. Every response struct begins with base and header. */
void *apply_response(struct arena *a, const ProtobufCMessageDescriptor *d, int64_t revision);

/* Steps of a write that has begun; responses carry rev. */
int apply_put(struct apply_ctx *x, const Etcdserverpb__PutRequest *r, int64_t rev,
              Etcdserverpb__PutResponse **ret);
int apply_delete_range(struct apply_ctx *x, const Etcdserverpb__DeleteRangeRequest *r, int64_t rev,
                       Etcdserverpb__DeleteRangeResponse **ret);
/* What must hold of a put before anything is written: 0 or the client's error. A put alone is asked
 * for its lease first, one in a transaction for its key: upstream's order. */
int apply_check_lease(struct apply_ctx *x, const Etcdserverpb__PutRequest *r);
int apply_check_key(struct apply_ctx *x, const Etcdserverpb__PutRequest *r);
int apply_txn(struct apply_ctx *x, const Etcdserverpb__TxnRequest *r, ProtobufCMessage **ret);

void apply_write_end(struct apply_ctx *x);

#endif
