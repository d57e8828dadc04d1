#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"

static void append_grows_up_to_max_and_not_past_it(void **state)
{
    cleanup_buf struct buf b;

    buf_init(&b, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(buf_append_byte(&b, (uint8_t)i), 0);
    assert_int_equal(buf_append_byte(&b, 1), -ENOBUFS);
    assert_int_equal(buf_append(&b, "ab", 2), -ENOBUFS);
    assert_int_equal(buf_reserve(&b, SIZE_MAX), -ENOBUFS);
    assert_int_equal(b.n, 100);
    assert_true(b.cap <= b.max);
    for (int i = 0; i < 100; i++)
        assert_int_equal(b.p[i], i);
}

static void empty_appends_do_nothing(void **state)
{
    cleanup_buf struct buf b;

    buf_init(&b, 10);
    assert_int_equal(buf_append(&b, NULL, 0), 0);
    assert_int_equal(buf_append_slice(&b, SLICE_EMPTY), 0);
    assert_int_equal(buf_append_str(&b, ""), 0);
    assert_int_equal(buf_printf(&b, "%s", ""), 0);
    buf_consume(&b, 0);
    assert_int_equal(b.n, 0);
}

static void a_buf_may_be_appended_to_itself(void **state)
{
    cleanup_buf struct buf b;

    buf_init(&b, 4096);
    buf_append_str(&b, "abc");
    /* Grows several times, and each time the source moves. */
    while (b.n * 2 <= b.max)
        assert_int_equal(buf_append(&b, b.p, b.n), 0);
    for (size_t i = 0; i < b.n; i++)
        assert_int_equal(b.p[i], "abc"[i % 3]);
    buf_clear(&b);
    buf_append_str(&b, "0123456789");
    assert_int_equal(buf_append(&b, b.p + 5, 5), 0);
    assert_string_equal(buf_cstr(&b), "012345678956789");
}

static void printf_fills_to_the_last_byte(void **state)
{
    cleanup_buf struct buf b;
    char text[600];

    memset(text, 'x', sizeof text);
    text[599] = 0;
    buf_init(&b, 604);
    assert_int_equal(buf_printf(&b, "%d:", 1234), 0);
    assert_int_equal(buf_printf(&b, "%s", text), 0);
    assert_int_equal(b.n, 604);
    assert_int_equal(buf_printf(&b, "y"), -ENOBUFS);
    assert_int_equal(buf_printf(&b, "%s", text), -ENOBUFS);
    assert_memory_equal(b.p, "1234:xxx", 8);
    assert_int_equal(b.p[603], 'x');
}

static void consume_moves_the_rest_to_the_front(void **state)
{
    cleanup_buf struct buf b;

    buf_init(&b, 100);
    buf_append_str(&b, "headbody");
    buf_consume(&b, 4);
    assert_true(slice_eq_str(buf_slice(&b), "body"));
    buf_consume(&b, 4);
    assert_int_equal(b.n, 0);
    assert_true(b.cap > 0);
}

static void cstr_needs_a_byte_for_its_nul(void **state)
{
    cleanup_buf struct buf b;

    buf_init(&b, 4);
    assert_string_equal(buf_cstr(&b), "");
    buf_append_str(&b, "abc");
    assert_string_equal(buf_cstr(&b), "abc");
    assert_int_equal(b.n, 3);
    buf_append_byte(&b, 'd');
    assert_null(buf_cstr(&b));
}

static void shrink_gives_back_what_is_large(void **state)
{
    struct buf b;

    buf_init(&b, 10000);
    buf_reserve(&b, 50);
    buf_shrink(&b, 64);
    assert_int_equal(b.cap, 64);
    buf_reserve(&b, 5000);
    buf_shrink(&b, 64);
    assert_int_equal(b.cap, 0);
    assert_int_equal(buf_append_str(&b, "still usable"), 0);
    buf_deinit(&b);
    buf_deinit(&b);
    buf_deinit(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_grows_up_to_max_and_not_past_it),
        cmocka_unit_test(empty_appends_do_nothing),
        cmocka_unit_test(a_buf_may_be_appended_to_itself),
        cmocka_unit_test(printf_fills_to_the_last_byte),
        cmocka_unit_test(consume_moves_the_rest_to_the_front),
        cmocka_unit_test(cstr_needs_a_byte_for_its_nul),
        cmocka_unit_test(shrink_gives_back_what_is_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
