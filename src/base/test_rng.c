#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "base/util.h"

/* What the authors' reference code gives from the state 1, 2, 3, 4. */
static void follows_xoshiro256starstar(void **state)
{
    struct rng r = {{1, 2, 3, 4}};

    assert_int_equal(rng_u64(&r), 11520);
    assert_int_equal(rng_u64(&r), 0);
    assert_int_equal(rng_u64(&r), 1509978240);
    assert_int_equal(rng_u64(&r), 1215971899390074240);
}

static void same_seed_same_life(void **state)
{
    struct rng a, b, c;
    int differ = 0;

    rng_seed(&a, 42);
    rng_seed(&b, 42);
    rng_seed(&c, 43);
    for (int i = 0; i < 100; i++) {
        uint64_t v = rng_u64(&a);
        assert_int_equal(v, rng_u64(&b));
        differ += v != rng_u64(&c);
    }
    assert_int_equal(differ, 100);
}

static void below_stays_below_and_reaches_everything(void **state)
{
    static const uint64_t limits[] = {1, 2, 3, 7, 10};
    struct rng r;

    rng_seed(&r, 1);
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        unsigned count[10] = {0};
        for (int k = 0; k < 10000; k++) {
            uint64_t v = rng_below(&r, limits[i]);
            assert_true(v < limits[i]);
            count[v]++;
        }
        for (uint64_t v = 0; v < limits[i]; v++)
            assert_in_range(count[v], 10000 / limits[i] * 8 / 10, 10000 / limits[i] * 12 / 10);
    }
    for (int k = 0; k < 100; k++)
        assert_true(rng_below(&r, UINT64_MAX) < UINT64_MAX);
}

static void the_kernel_gives_different_seeds(void **state)
{
    struct rng a, b;

    rng_seed_os(&a);
    rng_seed_os(&b);
    assert_true(rng_u64(&a) != rng_u64(&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_xoshiro256starstar),
        cmocka_unit_test(same_seed_same_life),
        cmocka_unit_test(below_stays_below_and_reaches_everything),
        cmocka_unit_test(the_kernel_gives_different_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
