#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rpc.pb-c.h"
#include "wire/pb.h"

static void roundtrip_keeps_strings_and_numbers(void **state)
{
    cleanup_buf struct buf b;
    struct arena a;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;

    buf_init(&b, 1000);
    arena_init(&a, 10000);
    put.key = PB_BYTES(SLICE_LIT("key"));
    put.value = PB_BYTES(SLICE_LIT("a value"));
    put.lease = -7;
    put.prev_kv = true;
    assert_int_equal(pb_pack(&put.base, &b), 0);
    const Etcdserverpb__PutRequest *got =
        (const void *)pb_unpack(&etcdserverpb__put_request__descriptor, &a, buf_slice(&b));
    assert_non_null(got);
    assert_true(slice_eq_str(pb_slice(got->key), "key"));
    assert_true(slice_eq_str(pb_slice(got->value), "a value"));
    assert_int_equal(got->lease, -7);
    assert_true(got->prev_kv);
    arena_deinit(&a);
}

static void empty_input_is_the_default_message(void **state)
{
    struct arena a;

    arena_init(&a, 10000);
    const Etcdserverpb__RangeRequest *got =
        (const void *)pb_unpack(&etcdserverpb__range_request__descriptor, &a, SLICE_EMPTY);
    assert_non_null(got);
    assert_int_equal(got->key.len, 0);
    assert_int_equal(got->limit, 0);
    arena_deinit(&a);
}

static void malformed_input_is_refused(void **state)
{
    static const struct slice bad[] = {
        SLICE_LIT("\x0a\x05"),         /* key of 5 bytes, none there */
        SLICE_LIT("\x0a"),             /* no length */
        SLICE_LIT("\x08\x01"),         /* key as a varint */
        SLICE_LIT("\xff\xff\xff\xff"), /* tag without end */
        SLICE_LIT("\x0b\x0c"),         /* group */
    };
    struct arena a;

    arena_init(&a, 10000);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_null(pb_unpack(&etcdserverpb__put_request__descriptor, &a, bad[i]));
    arena_deinit(&a);
}

static void arena_maximum_is_an_error(void **state)
{
    uint8_t in[2000] = {0x0a, 0xcd, 0x0f}; /* field 1: 1997 bytes */
    struct arena a;

    arena_init(&a, 1000);
    assert_null(pb_unpack(&etcdserverpb__put_request__descriptor, &a, slice_of(in, sizeof in)));
    arena_deinit(&a);
    arena_init(&a, 10000);
    assert_non_null(pb_unpack(&etcdserverpb__put_request__descriptor, &a, slice_of(in, sizeof in)));
    arena_deinit(&a);
}

static void packing_past_the_maximum_leaves_the_buf_alone(void **state)
{
    cleanup_buf struct buf b;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;

    buf_init(&b, 4);
    buf_append_str(&b, "ab");
    put.key = PB_BYTES(SLICE_LIT("long key"));
    assert_int_equal(pb_pack(&put.base, &b), -ENOBUFS);
    assert_int_equal(b.n, 2);
}

/* Puts tag and length before what stands in b. */
static void wrap(struct buf *b, uint8_t field)
{
    cleanup_buf struct buf inner;

    buf_init(&inner, 1u << 20);
    buf_append_slice(&inner, buf_slice(b));
    buf_clear(b);
    buf_append_byte(b, (uint8_t)(field << 3 | 2));
    for (size_t n = inner.n;; n >>= 7) {
        buf_append_byte(b, (uint8_t)((n & 0x7f) | (n > 0x7f ? 0x80 : 0)));
        if (n <= 0x7f)
            break;
    }
    buf_append_slice(b, buf_slice(&inner));
}

/* TxnRequest.success = 2 holds RequestOp, whose request_txn = 4 holds TxnRequest again. */
static bool unpacks_nested(int txns)
{
    cleanup_buf struct buf b;
    struct arena a;

    buf_init(&b, 1u << 20);
    for (int i = 1; i < txns; i++) {
        wrap(&b, 4);
        wrap(&b, 2);
    }
    arena_init(&a, 1u << 20);
    bool ok = pb_unpack(&etcdserverpb__txn_request__descriptor, &a, buf_slice(&b));
    arena_deinit(&a);
    return ok;
}

static void nesting_is_bounded(void **state)
{
    assert_true(unpacks_nested(2));
    assert_true(unpacks_nested(PB_DEPTH_MAX / 2)); /* 99 messages deep */
    assert_false(unpacks_nested(PB_DEPTH_MAX / 2 + 1));
    assert_false(unpacks_nested(20000));
}

static void nested_bytes_that_are_no_messages_do_not_count(void **state)
{
    cleanup_buf struct buf b;
    struct arena a;

    buf_init(&b, 1u << 20);
    for (int i = 0; i < 1000; i++)
        wrap(&b, 1); /* PutRequest.key: just bytes */
    arena_init(&a, 1u << 20);
    assert_non_null(pb_unpack(&etcdserverpb__put_request__descriptor, &a, buf_slice(&b)));
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roundtrip_keeps_strings_and_numbers),
        cmocka_unit_test(empty_input_is_the_default_message),
        cmocka_unit_test(malformed_input_is_refused),
        cmocka_unit_test(arena_maximum_is_an_error),
        cmocka_unit_test(packing_past_the_maximum_leaves_the_buf_alone),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(nested_bytes_that_are_no_messages_do_not_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
