/*
 * key_txn: the one kind of transaction locks and elections are made of: "if the key was created at
 * this revision, put or delete it".
 */
#ifndef ETCD_KEY_TXN_H
#define ETCD_KEY_TXN_H

#include "etcd/server.h"

struct key_txn {
    struct slice key;
    int64_t if_create_rev; /* 0: the key does not exist */
    bool is_delete;
    struct slice value; /* of a put */
    int64_t lease;      /* of a put */
    bool else_get;      /* otherwise read the key: see key_txn_found */
};
/* As server_propose; done gets an Etcdserverpb__TxnResponse. Everything in t is copied. */
int key_txn_propose(struct server *s, const struct key_txn *t, proposal_done *done, void *ctx,
                    struct proposal **ret);
/* Proposes it for nobody to wait for; what becomes of it is its own affair. */
void key_txn_cast(struct server *s, const struct key_txn *t);
/* What else_get read; NULL if there is none. Lies in the response. */
const Mvccpb__KeyValue *key_txn_found(const Etcdserverpb__TxnResponse *r);

/* The keys of a queue are NAME/LEASE (the lease in hexadecimal): [NAME/, NAME0). */
struct key_queue {
    struct slice prefix, end; /* end differs in its last byte: '/' + 1 */
    void *bytes;              /* owned */
};
void key_queue_init(struct key_queue *q, struct slice name);
void key_queue_deinit(struct key_queue *q);
/* The pair with the smallest creation (newest: the largest one) below max_create_rev + 1; 0: no
 * bound. 0, ERR_KEY_NOT_FOUND, or mvcc_range's failure. Views as mvcc_range's, memory of a. */
int key_queue_find(const struct key_queue *q, struct mvcc *m, bool newest, int64_t max_create_rev,
                   struct arena *a, struct mvcc_kv *ret);

#endif
