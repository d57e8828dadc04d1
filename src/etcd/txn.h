/*
 * txn: what a request may ask for, checked before it is proposed. Pure: looks at the request only,
 * so a refused request costs no log entry. What depends on the store's state is checked when the
 * entry is applied.
 */
#ifndef ETCD_TXN_H
#define ETCD_TXN_H

#include "base/err.h"
#include "base/slice.h"
#include "rpc.pb-c.h"

#define TXN_DEPTH_MAX                                                                              \
    32 /* transactions inside each other; --max-txn-ops usually ends it sooner                     \
        */

/* Each returns 0 or the code whose text the client gets. */
int check_range(const Etcdserverpb__RangeRequest *r);
int check_put(const Etcdserverpb__PutRequest *r);
int check_delete_range(const Etcdserverpb__DeleteRangeRequest *r);
/* Counts (max_ops: --max-txn-ops, less what the levels above used), keys, and that no key is put
 * twice or put and deleted on paths that can both be taken. */
int check_txn(const Etcdserverpb__TxnRequest *r, size_t max_ops);

/* Whether the delete takes key, with the end "\0" read as "no end", as the store does. */
bool delete_takes(const Etcdserverpb__DeleteRangeRequest *d, struct slice key);

/* Only ranges, all of them at the top: answered without a log entry. */
bool txn_is_read_only(const Etcdserverpb__TxnRequest *r);
/* Read-only, and each range asks for a serializable read. True for an empty transaction. */
bool txn_is_serializable(const Etcdserverpb__TxnRequest *r);
/* What applying may add to the database: upstream's estimate (the larger branch; 256 bytes and the
 * sizes for a put). */
uint64_t put_cost(const Etcdserverpb__PutRequest *r);
uint64_t txn_cost(const Etcdserverpb__TxnRequest *r);

#define LEASE_GRANT_COST 64 /* upstream's estimate for a lease, bytes */

#endif
