#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"

static void the_system_clock_goes_on(void **state)
{
    uint64_t a = clock_mono_ns(&clock_system);
    uint64_t b = clock_mono_ns(&clock_system);

    assert_true(b >= a);
    /* Past 2020 and before 2100. */
    assert_in_range(clock_wall_ns(&clock_system) / NS_PER_S, 1577836800, 4102444800);
}

static void a_manual_clock_stands_until_turned(void **state)
{
    struct clock_manual m = {.mono_ns = 5, .wall_ns = 9};
    struct clock c = clock_manual_use(&m);

    assert_int_equal(clock_mono_ns(&c), 5);
    assert_int_equal(clock_wall_ns(&c), 9);
    m.mono_ns += NS_PER_MS;
    assert_int_equal(clock_mono_ns(&c), 5 + NS_PER_MS);
    assert_int_equal(clock_wall_ns(&c), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_system_clock_goes_on),
        cmocka_unit_test(a_manual_clock_stands_until_turned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
