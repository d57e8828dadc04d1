#include "etcd/apply_internal.h"

#include "etcd/respond.h"
#include "etcd/txn.h"
#include "wire/pb.h"

/*
 * A transaction applies in three passes, as upstream: choose the branch of every level (all
 * compares see the state before), check what the chosen operations need, then run them. So a
 * refused transaction writes nothing.
 */

/* The branches taken, outermost first, then each nested transaction of the taken branch in order.
 */
struct path {
    bool *taken;
    size_t n, cap;
};

static int path_push(struct apply_ctx *x, struct path *p, bool taken)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 16;
        bool *more = arena_alloc(x->arena, cap);
        if (!more)
            return ERR_LIMIT;
        if (p->n)
            memcpy(more, p->taken, p->n);
        p->taken = more;
        p->cap = cap;
    }
    p->taken[p->n++] = taken;
    return 0;
}

static int cmp_i64(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

/* The order of the pair's field to the compare's operand. A union member that does not fit the
 * target counts as zero. */
static int compare_kv(const Etcdserverpb__Compare *c, const struct mvcc_kv *kv)
{
    switch (c->target) {
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE:
        return slice_cmp(kv->value,
                         c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE
                             ? pb_slice(c->value)
                             : SLICE_EMPTY);
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE:
        return cmp_i64(kv->create_rev,
                       c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION
                           ? c->create_revision
                           : 0);
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD:
        return cmp_i64(kv->mod_rev,
                       c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION
                           ? c->mod_revision
                           : 0);
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION:
        return cmp_i64(
            kv->version,
            c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION ? c->version : 0);
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE:
        return cmp_i64(kv->lease, c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE
                                      ? c->lease
                                      : 0);
    default:
        return 0; /* an unknown target compares equal, as upstream */
    }
}

static bool holds(const Etcdserverpb__Compare *c, const struct mvcc_kv *kv)
{
    int order = compare_kv(c, kv);

    switch (c->result) {
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL:
        return order == 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL:
        return order != 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER:
        return order > 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS:
        return order < 0;
    default:
        return true;
    }
}

/* A missing key compares as an all-zero pair, but has no value to compare. */
static bool holds_missing(const Etcdserverpb__Compare *c)
{
    static const struct mvcc_kv none;

    return c->target != ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE && holds(c, &none);
}

/* In memory of its own: a hundred compares over a large range must not add up. */
static int eval_range(struct apply_ctx *x, const Etcdserverpb__Compare *c, bool *ret)
{
    struct mvcc_range q = {.key = pb_slice(c->key), .end = pb_slice(c->range_end)};
    struct mvcc_range_result res;
    struct arena a;

    arena_init(&a, x->arena->max);
    int e = mvcc_range(x->mvcc, &q, &a, &res);
    if (e == 0)
        *ret = res.n > 0 || holds_missing(c);
    for (size_t i = 0; e == 0 && i < res.n && *ret; i++)
        *ret = holds(c, &res.kvs[i]);
    arena_deinit(&a);
    return e;
}

static int eval_compare(struct apply_ctx *x, const Etcdserverpb__Compare *c, bool *ret)
{
    struct mvcc_kv kv;

    if (c->range_end.len != 0)
        return eval_range(x, c, ret);
    int e = mvcc_get(x->mvcc, pb_slice(c->key), 0, &kv);
    if (e < 0 && e != ERR_KEY_NOT_FOUND)
        return e;
    *ret = e == 0 ? holds(c, &kv) : holds_missing(c);
    return 0;
}

struct branch {
    Etcdserverpb__RequestOp **ops;
    size_t n;
};

static struct branch branch_of(const Etcdserverpb__TxnRequest *r, bool taken)
{
    return taken ? (struct branch){r->success, r->n_success}
                 : (struct branch){r->failure, r->n_failure};
}

static int choose_path(struct apply_ctx *x, const Etcdserverpb__TxnRequest *r, struct path *p)
{
    bool ok = true;
    int e = 0;

    for (size_t i = 0; i < r->n_compare && ok && e == 0; i++)
        e = eval_compare(x, r->compare[i], &ok);
    if (e == 0)
        e = path_push(x, p, ok);
    struct branch b = branch_of(r, ok);
    for (size_t i = 0; i < b.n && e == 0; i++)
        if (b.ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN)
            e = choose_path(x, b.ops[i]->request_txn, p);
    return e;
}

static int check_range_revision(struct apply_ctx *x, const Etcdserverpb__RangeRequest *r)
{
    if (r->revision > mvcc_revision(x->mvcc))
        return ERR_FUTURE_REV;
    /* Also for negative ones, which stand for now outside of transactions: upstream's order of
     * looking. */
    if (r->revision != 0 && r->revision < mvcc_compact_revision(x->mvcc))
        return ERR_COMPACTED;
    return 0;
}

/* A walk over the taken operations, in the order they will run. There are two, as upstream: a put
 * that lacks something is the answer even when a range before it is wrong too. */
struct needs {
    struct apply_ctx *x;
    const bool *path;
    int (*check)(struct needs *n, const Etcdserverpb__RequestOp *op);
    const Etcdserverpb__DeleteRangeRequest **dels; /* so far */
    size_t ndels, cap;
};

static int note_delete(struct needs *n, const Etcdserverpb__DeleteRangeRequest *d)
{
    if (n->ndels == n->cap) {
        size_t cap = n->cap ? n->cap * 2 : 16;
        const Etcdserverpb__DeleteRangeRequest **more =
            arena_alloc(n->x->arena, cap * sizeof *more);
        if (!more)
            return ERR_LIMIT;
        if (n->ndels)
            memcpy(more, n->dels, n->ndels * sizeof *more);
        n->dels = more;
        n->cap = cap;
    }
    n->dels[n->ndels++] = d;
    return 0;
}

/* A put that keeps the value or lease of its key needs the key also after the deletes before it.
 * (Upstream finds out halfway through and stops for good.) */
static int check_put_needs(struct needs *n, const Etcdserverpb__PutRequest *r)
{
    int e = apply_check_key(n->x, r);

    if (r->ignore_value || r->ignore_lease)
        for (size_t i = 0; i < n->ndels && e == 0; i++)
            if (delete_takes(n->dels[i], pb_slice(r->key)))
                e = ERR_KEY_NOT_FOUND;
    return e < 0 ? e : apply_check_lease(n->x, r);
}

static int check_write(struct needs *n, const Etcdserverpb__RequestOp *op)
{
    if (op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT)
        return check_put_needs(n, op->request_put);
    if (op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE)
        return note_delete(n, op->request_delete_range);
    return 0;
}

static int check_read(struct needs *n, const Etcdserverpb__RequestOp *op)
{
    return op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE
               ? check_range_revision(n->x, op->request_range)
               : 0;
}

static int walk_taken(struct needs *n, const Etcdserverpb__TxnRequest *r)
{
    struct branch b = branch_of(r, *n->path++);
    int e = 0;

    for (size_t i = 0; i < b.n && e == 0; i++) {
        const Etcdserverpb__RequestOp *op = b.ops[i];
        e = op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN
                ? walk_taken(n, op->request_txn)
                : n->check(n, op);
    }
    return e;
}

static int check_needs(struct apply_ctx *x, const Etcdserverpb__TxnRequest *r, const bool *path)
{
    struct needs writes = {.x = x, .path = path, .check = check_write};
    struct needs reads = {.x = x, .path = path, .check = check_read};
    int e = walk_taken(&writes, r);

    return e < 0 ? e : walk_taken(&reads, r);
}

struct txn_run {
    struct apply_ctx *x;
    const bool *path;
    int64_t base_rev; /* before the transaction */
    bool wrote;
    bool bounded;       /* what its ranges find has a bound of its own: */
    size_t ranges_left; /* bytes */
};

static int run(struct txn_run *t, const Etcdserverpb__TxnRequest *r,
               Etcdserverpb__TxnResponse *out);

/* What a committed transaction writes must be written whatever its ranges find. More than an answer
 * can hold is not gathered: its asker hears so, as upstream's does when the answer is sent. */
static int find_range(struct txn_run *t, const Etcdserverpb__RangeRequest *r,
                      Etcdserverpb__RangeResponse **ret)
{
    struct arena *a = t->x->arena;
    size_t max = a->max, used = a->used;

    if (t->bounded)
        a->max = MIN(max, used + t->ranges_left);
    int e = respond_range(t->x->mvcc, r, true, a, ret);
    a->max = max;
    if (!t->bounded)
        return e;
    t->ranges_left -= MIN(t->ranges_left, a->used - used);
    if (e != ERR_LIMIT)
        return e;
    t->x->answer_too_large = true;
    t->ranges_left = 0;
    *ret = apply_response(a, &etcdserverpb__range_response__descriptor, 0);
    return *ret ? 0 : ERR_LIMIT;
}

static int run_range(struct txn_run *t, const Etcdserverpb__RangeRequest *r,
                     Etcdserverpb__ResponseOp *out)
{
    Etcdserverpb__RangeResponse *resp;
    int e = find_range(t, r, &resp);

    if (e < 0)
        return e;
    resp->header = respond_header(t->x->arena, t->base_rev + t->wrote);
    out->response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE;
    out->response_range = resp;
    return resp->header ? 0 : ERR_LIMIT;
}

static int run_put(struct txn_run *t, const Etcdserverpb__PutRequest *r,
                   Etcdserverpb__ResponseOp *out)
{
    t->wrote = true;
    out->response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT;
    return apply_put(t->x, r, t->base_rev + 1, &out->response_put);
}

static int run_delete(struct txn_run *t, const Etcdserverpb__DeleteRangeRequest *r,
                      Etcdserverpb__ResponseOp *out)
{
    int e = apply_delete_range(t->x, r, 0, &out->response_delete_range);

    if (e < 0)
        return e;
    t->wrote |= out->response_delete_range->deleted > 0;
    out->response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE;
    out->response_delete_range->header->revision = t->base_rev + t->wrote;
    return 0;
}

static int run_nested(struct txn_run *t, const Etcdserverpb__TxnRequest *r,
                      Etcdserverpb__ResponseOp *out)
{
    Etcdserverpb__TxnResponse *resp =
        apply_response(t->x->arena, &etcdserverpb__txn_response__descriptor, 0);

    if (!resp)
        return ERR_LIMIT;
    out->response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN;
    out->response_txn = resp;
    return run(t, r, resp);
}

static int run_op(struct txn_run *t, const Etcdserverpb__RequestOp *op,
                  Etcdserverpb__ResponseOp *out)
{
    switch (op->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
        return run_range(t, op->request_range, out);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        return run_put(t, op->request_put, out);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
        return run_delete(t, op->request_delete_range, out);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
        return run_nested(t, op->request_txn, out);
    default:
        return ERR_KEY_NOT_FOUND; /* refused before it was proposed */
    }
}

static int run(struct txn_run *t, const Etcdserverpb__TxnRequest *r, Etcdserverpb__TxnResponse *out)
{
    out->succeeded = *t->path++;
    struct branch b = branch_of(r, out->succeeded);
    Etcdserverpb__ResponseOp *ops = arena_alloc(t->x->arena, b.n * sizeof *ops);
    out->responses = arena_alloc(t->x->arena, b.n * sizeof *out->responses);
    if (!ops || !out->responses)
        return ERR_LIMIT;
    out->n_responses = b.n;
    for (size_t i = 0; i < b.n; i++) {
        etcdserverpb__response_op__init(&ops[i]);
        out->responses[i] = &ops[i];
        int e = run_op(t, b.ops[i], &ops[i]);
        if (e < 0)
            return e;
    }
    return 0;
}

static int prepare(struct apply_ctx *x, const Etcdserverpb__TxnRequest *r, struct txn_run *t,
                   Etcdserverpb__TxnResponse **ret)
{
    struct path p = {0};
    int e = choose_path(x, r, &p);

    if (e == 0)
        e = check_needs(x, r, p.taken);
    if (e < 0)
        return e;
    *t = (struct txn_run){.x = x, .path = p.taken, .base_rev = mvcc_revision(x->mvcc)};
    *ret = apply_response(x->arena, &etcdserverpb__txn_response__descriptor, t->base_rev);
    return *ret ? 0 : ERR_LIMIT;
}

int apply_txn(struct apply_ctx *x, const Etcdserverpb__TxnRequest *r, ProtobufCMessage **ret)
{
    Etcdserverpb__TxnResponse *out;
    struct txn_run t;
    int e = prepare(x, r, &t, &out);

    if (e < 0)
        return e;
    t.bounded = x->ranges_max > 0;
    t.ranges_left = x->ranges_max;
    mvcc_write_begin(x->mvcc, x->arena);
    e = run(&t, r, out);
    apply_write_end(x);
    out->header->revision = mvcc_revision(x->mvcc);
    *ret = &out->base;
    return e;
}

int apply_read_txn(struct apply_ctx *x, const Etcdserverpb__TxnRequest *r, ProtobufCMessage **ret)
{
    Etcdserverpb__TxnResponse *out;
    struct txn_run t;
    int e = prepare(x, r, &t, &out);

    if (e == 0)
        e = run(&t, r, out);
    if (e == 0)
        *ret = &out->base;
    return e;
}
