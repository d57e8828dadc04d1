#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "etcd/autocompact.h"

#define MINUTE (60 * NS_PER_S)

static void off_by_default(void **state)
{
    struct autocompact a;

    assert_int_equal(autocompact_init(&a, true, "0", 0, NULL), 0);
    for (uint64_t t = 0; t < 1000; t++)
        assert_int_equal(autocompact_tick(&a, t * MINUTE, (int64_t)t), 0);
}

/* One revision a second, 10 minutes kept: what is compacted is always about 10 minutes old. */
static void periodic_keeps_the_retention(void **state)
{
    struct autocompact a;
    int compactions = 0;

    assert_int_equal(autocompact_init(&a, true, "10m", 0, NULL), 0);
    for (uint64_t s = 0; s < 3600; s++) {
        int64_t rev = autocompact_tick(&a, s * NS_PER_S, (int64_t)s + 1);
        if (rev == 0)
            continue;
        compactions++;
        assert_true(rev <= (int64_t)s + 1 - 600);
        assert_true(rev >= (int64_t)s + 1 - 600 - 61);
    }
    assert_in_range(compactions, 4, 6);
}

static void long_retentions_compact_hourly(void **state)
{
    struct autocompact a;
    int compactions = 0;

    assert_int_equal(autocompact_init(&a, true, "5", 0, NULL), 0);
    for (uint64_t m = 0; m <= 10 * 60; m++)
        compactions += autocompact_tick(&a, m * MINUTE, (int64_t)m + 1) > 0;
    assert_in_range(compactions, 5, 6);
}

static void by_revision_keeps_that_many(void **state)
{
    struct autocompact a;

    assert_int_equal(autocompact_init(&a, false, "1000", 0, NULL), 0);
    assert_int_equal(autocompact_tick(&a, 4 * MINUTE, 5000), 0);
    assert_int_equal(autocompact_tick(&a, 5 * MINUTE, 5000), 4000);
    assert_int_equal(autocompact_tick(&a, 6 * MINUTE, 9000), 0);
    assert_int_equal(autocompact_tick(&a, 10 * MINUTE, 900), 0);
}

static void bad_retentions_are_refused(void **state)
{
    struct autocompact a;
    struct err e = {0};

    assert_int_equal(autocompact_init(&a, true, "soon", 0, &e), ERR_CONFIG);
    assert_non_null(strstr(e.msg, "soon"));
    assert_int_equal(autocompact_init(&a, false, "5m", 0, &e), ERR_CONFIG);
    assert_int_equal(autocompact_init(&a, false, "9223372036854775808", 0, &e), ERR_CONFIG);
    assert_int_equal(autocompact_init(&a, false, "99999999999999999999", 0, &e), ERR_CONFIG);
    assert_int_equal(autocompact_init(&a, true, "5000000", 0, &e), ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off_by_default),
        cmocka_unit_test(periodic_keeps_the_retention),
        cmocka_unit_test(long_retentions_compact_hourly),
        cmocka_unit_test(by_revision_keeps_that_many),
        cmocka_unit_test(bad_retentions_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
