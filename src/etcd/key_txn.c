#include "etcd/key_txn.h"

#include "wire/pb.h"

int key_txn_propose(struct server *s, const struct key_txn *t, proposal_done *done, void *ctx,
                    struct proposal **ret)
{
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT, *compares[] = {&compare};
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__DeleteRangeRequest del = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    Etcdserverpb__RangeRequest get = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RequestOp then = ETCDSERVERPB__REQUEST_OP__INIT, *thens[] = {&then};
    Etcdserverpb__RequestOp other = ETCDSERVERPB__REQUEST_OP__INIT, *others[] = {&other};
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;

    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    compare.result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL;
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    compare.create_revision = t->if_create_rev;
    compare.key = put.key = del.key = get.key = PB_BYTES(t->key);
    put.value = PB_BYTES(t->value);
    put.lease = t->lease;
    if (t->is_delete) {
        then.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        then.request_delete_range = &del;
    } else {
        then.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        then.request_put = &put;
    }
    other.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    other.request_range = &get;
    txn.n_compare = 1;
    txn.compare = compares;
    txn.n_success = 1;
    txn.success = thens;
    txn.n_failure = t->else_get;
    txn.failure = others;
    return server_propose_msg(s, STEADPB__RAFT_REQUEST__REQUEST_TXN, &txn.base, done, ctx, ret);
}

static void ignore(void *ctx, int code, const ProtobufCMessage *response)
{
}

void key_txn_cast(struct server *s, const struct key_txn *t)
{
    /* Refused: the key goes with its lease. */
    (void)key_txn_propose(s, t, ignore, NULL, NULL);
}

const Mvccpb__KeyValue *key_txn_found(const Etcdserverpb__TxnResponse *r)
{
    if (r->succeeded || r->n_responses != 1 ||
        r->responses[0]->response_case != ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE)
        return NULL;
    const Etcdserverpb__RangeResponse *range = r->responses[0]->response_range;
    return range->n_kvs ? range->kvs[0] : NULL;
}

void key_queue_init(struct key_queue *q, struct slice name)
{
    size_t n = name.n + 1;
    uint8_t *bytes = xmalloc(2 * n);

    if (name.n) {
        memcpy(bytes, name.p, name.n);
        memcpy(bytes + n, name.p, name.n);
    }
    bytes[n - 1] = '/';
    bytes[2 * n - 1] = '/' + 1;
    *q = (struct key_queue){slice_of(bytes, n), slice_of(bytes + n, n), bytes};
}

void key_queue_deinit(struct key_queue *q)
{
    free(q->bytes);
    q->bytes = NULL;
}

int key_queue_find(const struct key_queue *q, struct mvcc *m, bool newest, int64_t max_create_rev,
                   struct arena *a, struct mvcc_kv *ret)
{
    struct mvcc_range range = {
        .key = q->prefix,
        .end = q->end,
        .limit = 1,
        .sort_target = MVCC_SORT_CREATE,
        .sort_order = newest ? MVCC_SORT_DESCEND : MVCC_SORT_ASCEND,
        .max_create_rev = max_create_rev,
    };
    struct mvcc_range_result result;

    int r = mvcc_range(m, &range, a, &result);
    if (r < 0)
        return r;
    if (result.n == 0)
        return ERR_KEY_NOT_FOUND;
    *ret = result.kvs[0];
    return 0;
}
