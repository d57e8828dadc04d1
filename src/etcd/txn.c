#include "etcd/txn.h"

#include "base/map.h"
#include "base/slice.h"
#include "wire/pb.h"

#define PUT_OVERHEAD 256 /* upstream's estimate of a record beside key and value, bytes */

int check_range(const Etcdserverpb__RangeRequest *r)
{
    if (r->key.len == 0)
        return ERR_EMPTY_KEY;
    if (r->sort_order < 0 || r->sort_order > ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND ||
        r->sort_target < 0 || r->sort_target > ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE)
        return ERR_INVALID_SORT;
    return 0;
}

int check_put(const Etcdserverpb__PutRequest *r)
{
    if (r->key.len == 0)
        return ERR_EMPTY_KEY;
    if (r->ignore_value && r->value.len != 0)
        return ERR_VALUE_PROVIDED;
    if (r->ignore_lease && r->lease != 0)
        return ERR_LEASE_PROVIDED;
    return 0;
}

int check_delete_range(const Etcdserverpb__DeleteRangeRequest *r)
{
    return r->key.len == 0 ? ERR_EMPTY_KEY : 0;
}

static int check_shape(const Etcdserverpb__TxnRequest *r, size_t max_ops, unsigned depth);

static int check_op(const Etcdserverpb__RequestOp *op, size_t max_ops, unsigned depth)
{
    switch (op->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
        return check_range(op->request_range);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        return check_put(op->request_put);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
        return check_delete_range(op->request_delete_range);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
        return check_shape(op->request_txn, max_ops, depth + 1);
    default:
        return ERR_KEY_NOT_FOUND; /* upstream's answer to an operation without a request */
    }
}

static int check_ops(Etcdserverpb__RequestOp *const *ops, size_t n, size_t max_ops, unsigned depth)
{
    for (size_t i = 0; i < n; i++) {
        int r = check_op(ops[i], max_ops, depth);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_shape(const Etcdserverpb__TxnRequest *r, size_t max_ops, unsigned depth)
{
    size_t ops = MAX(r->n_success, r->n_failure);

    ops = MAX(ops, r->n_compare);
    if (ops > max_ops || depth > TXN_DEPTH_MAX)
        return ERR_TOO_MANY_OPS;
    for (size_t i = 0; i < r->n_compare; i++)
        if (r->compare[i]->key.len == 0)
            return ERR_EMPTY_KEY;
    int e = check_ops(r->success, r->n_success, max_ops - ops, depth);
    return e < 0 ? e : check_ops(r->failure, r->n_failure, max_ops - ops, depth);
}

/* The keys a list of operations puts, and the intervals it deletes, nested ones included. */
struct touched {
    struct map puts; /* key -> the request */
    const Etcdserverpb__DeleteRangeRequest **dels;
    size_t ndels, cap;
};

static void touched_init(struct touched *t)
{
    *t = (struct touched){0};
    map_init(&t->puts, (const uint64_t[2]){0, 0});
}

static void touched_deinit(struct touched *t)
{
    map_deinit(&t->puts);
    free(t->dels);
}

static void add_delete(struct touched *t, const Etcdserverpb__DeleteRangeRequest *d)
{
    if (t->ndels == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 8;
        t->dels = xrealloc(t->dels, t->cap * sizeof *t->dels);
    }
    t->dels[t->ndels++] = d;
}

static bool delete_holds(const Etcdserverpb__DeleteRangeRequest *d, struct slice key)
{
    struct slice begin = pb_slice(d->key), end = pb_slice(d->range_end);

    if (end.n == 0)
        return slice_eq(begin, key);
    if (slice_cmp(key, begin) < 0)
        return false;
    /* The end "\0" is not read as "no end" here: upstream's check does not either. */
    return slice_cmp(key, end) < 0;
}

bool delete_takes(const Etcdserverpb__DeleteRangeRequest *d, struct slice key)
{
    struct slice end = pb_slice(d->range_end);

    if (end.n == 1 && end.p[0] == 0)
        return slice_cmp(key, pb_slice(d->key)) >= 0;
    return delete_holds(d, key);
}

static int add_put(struct touched *t, struct slice key)
{
    static char present;

    if (map_get(&t->puts, key))
        return ERR_DUPLICATE_KEY;
    for (size_t i = 0; i < t->ndels; i++)
        if (delete_holds(t->dels[i], key))
            return ERR_DUPLICATE_KEY;
    map_put(&t->puts, key, &present);
    return 0;
}

static int collect(Etcdserverpb__RequestOp *const *ops, size_t n, struct touched *t);

/* Only one branch of a nested transaction runs, so a key put by both counts once. */
static int merge_branches(struct touched *t, const struct touched *then, const struct touched *els)
{
    map_for_each (e, &then->puts) {
        int r = add_put(t, e->key);
        if (r < 0)
            return r;
    }
    map_for_each (e, &els->puts) {
        int r = map_get(&then->puts, e->key) ? 0 : add_put(t, e->key);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < then->ndels; i++)
        add_delete(t, then->dels[i]);
    for (size_t i = 0; i < els->ndels; i++)
        add_delete(t, els->dels[i]);
    return 0;
}

static int collect_nested(const Etcdserverpb__TxnRequest *txn, struct touched *t)
{
    struct touched then, els;

    touched_init(&then);
    touched_init(&els);
    int r = collect(txn->success, txn->n_success, &then);
    if (r == 0)
        r = collect(txn->failure, txn->n_failure, &els);
    if (r == 0)
        r = merge_branches(t, &then, &els);
    touched_deinit(&then);
    touched_deinit(&els);
    return r;
}

/* Deletes of this level first, then nested levels, then this level's puts: upstream's order, which
 * decides what counts as touched when a nested level is looked at. */
static int collect(Etcdserverpb__RequestOp *const *ops, size_t n, struct touched *t)
{
    int r = 0;

    for (size_t i = 0; i < n; i++)
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE)
            add_delete(t, ops[i]->request_delete_range);
    for (size_t i = 0; i < n && r == 0; i++)
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN)
            r = collect_nested(ops[i]->request_txn, t);
    for (size_t i = 0; i < n && r == 0; i++)
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT)
            r = add_put(t, pb_slice(ops[i]->request_put->key));
    return r;
}

static int check_branch(Etcdserverpb__RequestOp *const *ops, size_t n)
{
    struct touched t;

    touched_init(&t);
    int r = collect(ops, n, &t);
    touched_deinit(&t);
    return r;
}

int check_txn(const Etcdserverpb__TxnRequest *r, size_t max_ops)
{
    int e = check_shape(r, max_ops, 0);

    if (e == 0)
        e = check_branch(r->success, r->n_success);
    if (e == 0)
        e = check_branch(r->failure, r->n_failure);
    return e;
}

static bool all_ranges(Etcdserverpb__RequestOp *const *ops, size_t n, bool serializable)
{
    for (size_t i = 0; i < n; i++) {
        if (ops[i]->request_case != ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE)
            return false;
        if (serializable && !ops[i]->request_range->serializable)
            return false;
    }
    return true;
}

bool txn_is_read_only(const Etcdserverpb__TxnRequest *r)
{
    return all_ranges(r->success, r->n_success, false) &&
           all_ranges(r->failure, r->n_failure, false);
}

bool txn_is_serializable(const Etcdserverpb__TxnRequest *r)
{
    return all_ranges(r->success, r->n_success, true) && all_ranges(r->failure, r->n_failure, true);
}

uint64_t put_cost(const Etcdserverpb__PutRequest *r)
{
    return PUT_OVERHEAD + r->key.len + r->value.len;
}

static uint64_t branch_cost(Etcdserverpb__RequestOp *const *ops, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT)
            sum += put_cost(ops[i]->request_put);
        else if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN)
            sum += txn_cost(ops[i]->request_txn);
    }
    return sum;
}

uint64_t txn_cost(const Etcdserverpb__TxnRequest *r)
{
    uint64_t then = branch_cost(r->success, r->n_success);
    uint64_t els = branch_cost(r->failure, r->n_failure);

    return MAX(then, els);
}
