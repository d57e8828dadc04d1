#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/util.h"
#include "etcd/txn.h"
#include "wire/pb.h"

/* Requests in a small notation, built in static memory: see op_put and friends. */
static Etcdserverpb__RequestOp ops[256];
static Etcdserverpb__PutRequest put_reqs[256];
static Etcdserverpb__DeleteRangeRequest dels[64];
static Etcdserverpb__RangeRequest ranges[256];
static Etcdserverpb__TxnRequest txns[64];
static size_t nops, nput_reqs, ndels, nranges, ntxns;

static int reset(void **state)
{
    nops = nput_reqs = ndels = nranges = ntxns = 0;
    return 0;
}

static Etcdserverpb__RequestOp *new_op(Etcdserverpb__RequestOp__RequestCase what)
{
    Etcdserverpb__RequestOp *op = &ops[nops++];

    etcdserverpb__request_op__init(op);
    op->request_case = what;
    return op;
}

static Etcdserverpb__RequestOp *op_put(const char *key)
{
    Etcdserverpb__RequestOp *op = new_op(ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT);

    op->request_put = &put_reqs[nput_reqs++];
    etcdserverpb__put_request__init(op->request_put);
    op->request_put->key = PB_BYTES(slice_str(key));
    return op;
}

static Etcdserverpb__RequestOp *op_del(const char *key, const char *end, size_t nend)
{
    Etcdserverpb__RequestOp *op = new_op(ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE);

    op->request_delete_range = &dels[ndels++];
    etcdserverpb__delete_range_request__init(op->request_delete_range);
    op->request_delete_range->key = PB_BYTES(slice_str(key));
    op->request_delete_range->range_end = PB_BYTES(slice_of(end, nend));
    return op;
}

static Etcdserverpb__RequestOp *op_range(const char *key, bool serializable)
{
    Etcdserverpb__RequestOp *op = new_op(ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE);

    op->request_range = &ranges[nranges++];
    etcdserverpb__range_request__init(op->request_range);
    op->request_range->key = PB_BYTES(slice_str(key));
    op->request_range->serializable = serializable;
    return op;
}

static Etcdserverpb__TxnRequest *txn(Etcdserverpb__RequestOp **then, size_t nthen,
                                     Etcdserverpb__RequestOp **els, size_t nelse)
{
    Etcdserverpb__TxnRequest *t = &txns[ntxns++];

    etcdserverpb__txn_request__init(t);
    t->success = then;
    t->n_success = nthen;
    t->failure = els;
    t->n_failure = nelse;
    return t;
}

static Etcdserverpb__RequestOp *op_txn(Etcdserverpb__TxnRequest *t)
{
    Etcdserverpb__RequestOp *op = new_op(ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN);

    op->request_txn = t;
    return op;
}

#define OPS(...)                                                                                   \
    (Etcdserverpb__RequestOp *[]){__VA_ARGS__},                                                    \
        ARRAY_LEN(((Etcdserverpb__RequestOp *[]){__VA_ARGS__}))
#define NONE NULL, 0

static void two_puts_of_one_key_are_refused(void **state)
{
    assert_int_equal(check_txn(txn(OPS(op_put("a"), op_put("a")), NONE), 128), ERR_DUPLICATE_KEY);
    reset(NULL);
    assert_int_equal(check_txn(txn(NONE, OPS(op_put("a"), op_put("a"))), 128), ERR_DUPLICATE_KEY);
    reset(NULL);
    assert_int_equal(check_txn(txn(OPS(op_put("a")), OPS(op_put("a"))), 128), 0);
}

static void a_put_inside_a_deleted_interval_is_refused(void **state)
{
    assert_int_equal(check_txn(txn(OPS(op_del("a", "c", 1), op_put("b")), NONE), 128),
                     ERR_DUPLICATE_KEY);
    reset(NULL);
    assert_int_equal(check_txn(txn(OPS(op_put("c"), op_del("a", "c", 1)), NONE), 128), 0);
    reset(NULL);
    assert_int_equal(check_txn(txn(OPS(op_del("a", "\0", 1), op_put("zz")), NONE), 128), 0);
    reset(NULL);
    assert_int_equal(check_txn(txn(OPS(op_del("b", "", 0), op_put("b")), NONE), 128),
                     ERR_DUPLICATE_KEY);
    reset(NULL);
    assert_int_equal(check_txn(txn(OPS(op_del("a", "c", 1), op_del("b", "d", 1)), NONE), 128), 0);
}

static void branches_of_a_nested_txn_exclude_each_other(void **state)
{
    Etcdserverpb__TxnRequest *inner = txn(OPS(op_put("a")), OPS(op_put("a")));

    assert_int_equal(check_txn(txn(OPS(op_txn(inner)), NONE), 128), 0);
    assert_int_equal(check_txn(txn(OPS(op_txn(inner), op_put("a")), NONE), 128), ERR_DUPLICATE_KEY);
    assert_int_equal(check_txn(txn(OPS(op_txn(inner), op_del("a", "", 0)), NONE), 128),
                     ERR_DUPLICATE_KEY);
}

static void the_operation_budget_shrinks_with_depth(void **state)
{
    Etcdserverpb__RequestOp *many[130];

    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = op_range("k", false);
    assert_int_equal(check_txn(txn(many, 128, NONE), 128), 0);
    assert_int_equal(check_txn(txn(many, 129, NONE), 128), ERR_TOO_MANY_OPS);
    Etcdserverpb__TxnRequest *inner = txn(many, 127, NONE);
    assert_int_equal(check_txn(txn(OPS(op_txn(inner)), NONE), 128), 0);
    inner->n_success = 128;
    assert_int_equal(check_txn(txn(OPS(op_txn(inner)), NONE), 128), ERR_TOO_MANY_OPS);
}

static void empty_keys_and_operations_are_refused(void **state)
{
    Etcdserverpb__Compare cmp = ETCDSERVERPB__COMPARE__INIT;
    Etcdserverpb__Compare *list[] = {&cmp};
    Etcdserverpb__TxnRequest *t = txn(NONE, NONE);

    t->compare = list;
    t->n_compare = 1;
    assert_int_equal(check_txn(t, 128), ERR_EMPTY_KEY);
    assert_int_equal(check_txn(txn(OPS(op_put("")), NONE), 128), ERR_EMPTY_KEY);
    assert_int_equal(
        check_txn(txn(OPS(new_op(ETCDSERVERPB__REQUEST_OP__REQUEST__NOT_SET)), NONE), 128),
        ERR_KEY_NOT_FOUND);
}

static void put_flags_exclude_their_values(void **state)
{
    Etcdserverpb__PutRequest p = ETCDSERVERPB__PUT_REQUEST__INIT;

    p.key = PB_BYTES(SLICE_LIT("k"));
    p.value = PB_BYTES(SLICE_LIT("v"));
    p.ignore_value = true;
    assert_int_equal(check_put(&p), ERR_VALUE_PROVIDED);
    p.ignore_value = false;
    p.ignore_lease = true;
    p.lease = 7;
    assert_int_equal(check_put(&p), ERR_LEASE_PROVIDED);
    assert_int_equal(put_cost(&p), 256 + 2);
}

static void only_top_level_ranges_make_a_txn_read_only(void **state)
{
    Etcdserverpb__TxnRequest *empty = txn(NONE, NONE);
    Etcdserverpb__TxnRequest *reads = txn(OPS(op_range("a", true)), OPS(op_range("b", false)));

    assert_true(txn_is_read_only(empty) && txn_is_serializable(empty));
    assert_true(txn_is_read_only(reads));
    assert_false(txn_is_serializable(reads));
    assert_false(txn_is_read_only(txn(OPS(op_txn(reads)), NONE)));
}

static void unknown_sort_numbers_are_refused(void **state)
{
    Etcdserverpb__RangeRequest r = ETCDSERVERPB__RANGE_REQUEST__INIT;

    assert_int_equal(check_range(&r), ERR_EMPTY_KEY);
    r.key = PB_BYTES(SLICE_LIT("k"));
    assert_int_equal(check_range(&r), 0);
    r.sort_target = 5;
    assert_int_equal(check_range(&r), ERR_INVALID_SORT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(two_puts_of_one_key_are_refused, reset),
        cmocka_unit_test_setup(a_put_inside_a_deleted_interval_is_refused, reset),
        cmocka_unit_test_setup(branches_of_a_nested_txn_exclude_each_other, reset),
        cmocka_unit_test_setup(the_operation_budget_shrinks_with_depth, reset),
        cmocka_unit_test_setup(empty_keys_and_operations_are_refused, reset),
        cmocka_unit_test_setup(put_flags_exclude_their_values, reset),
        cmocka_unit_test_setup(only_top_level_ranges_make_a_txn_read_only, reset),
        cmocka_unit_test_setup(unknown_sort_numbers_are_refused, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
