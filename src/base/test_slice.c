#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/slice.h"
#include "base/util.h"

static void order_is_bytewise_and_shorter_first(void **state)
{
    /* Ascending. */
    const struct slice rows[] = {SLICE_EMPTY,      SLICE_LIT("\0"), SLICE_LIT("a"),
                                 SLICE_LIT("a\0"), SLICE_LIT("aa"), SLICE_LIT("b"),
                                 SLICE_LIT("\xff")};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
            int c = slice_cmp(rows[i], rows[k]);
            assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
            assert_int_equal(slice_eq(rows[i], rows[k]), i == k);
        }
    }
}

static void a_null_string_is_empty(void **state)
{
    assert_int_equal(slice_str(NULL).n, 0);
    assert_true(slice_eq(slice_str(NULL), slice_str("")));
    assert_true(slice_eq_str(SLICE_LIT("x"), "x"));
    assert_false(slice_eq_str(SLICE_LIT("x"), "xy"));
}

static void starts_with_a_prefix(void **state)
{
    assert_true(slice_starts(SLICE_LIT("/registry/pods"), SLICE_LIT("/registry")));
    assert_true(slice_starts(SLICE_LIT("a"), SLICE_EMPTY));
    assert_true(slice_starts(SLICE_EMPTY, SLICE_EMPTY));
    assert_false(slice_starts(SLICE_LIT("a"), SLICE_LIT("ab")));
    assert_false(slice_starts(SLICE_LIT("ba"), SLICE_LIT("a")));
}

static void skip_drops_the_front(void **state)
{
    assert_true(slice_eq_str(slice_skip(SLICE_LIT("abc"), 1), "bc"));
    assert_int_equal(slice_skip(SLICE_LIT("abc"), 3).n, 0);
    assert_null(slice_skip(SLICE_EMPTY, 0).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_bytewise_and_shorter_first),
        cmocka_unit_test(a_null_string_is_empty),
        cmocka_unit_test(starts_with_a_prefix),
        cmocka_unit_test(skip_drops_the_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
