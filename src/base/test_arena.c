#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/rng.h"

static void allocations_are_aligned_and_apart(void **state)
{
    struct arena a;
    uint8_t *last = NULL;
    size_t last_n = 0;

    arena_init(&a, 1 << 20);
    for (size_t n = 0; n < 300; n++) {
        uint8_t *p = arena_alloc(&a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, (int)n, n);
        for (size_t i = 0; i < last_n; i++)
            assert_int_equal(last[i], last_n & 0xff);
        last = p;
        last_n = n;
    }
    arena_deinit(&a);
}

static void empty_allocations_have_addresses_of_their_own(void **state)
{
    struct arena a;

    arena_init(&a, 100);
    void *p = arena_alloc(&a, 0);
    void *q = arena_alloc(&a, 0);
    assert_non_null(p);
    assert_ptr_not_equal(p, q);
    arena_deinit(&a);
}

static void max_is_kept(void **state)
{
    struct arena a;

    arena_init(&a, 1000);
    assert_null(arena_alloc(&a, 1001));
    assert_non_null(arena_alloc(&a, 1000));
    assert_null(arena_alloc(&a, 1));
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 1000));
    arena_deinit(&a);
}

static void tiny_allocations_count_with_what_they_hold(void **state)
{
    struct arena a;
    int n = 0;

    arena_init(&a, 1600);
    while (arena_alloc(&a, 1))
        n++;
    assert_int_equal(n, 100);
    arena_deinit(&a);
}

static void sizes_near_the_end_of_memory_are_refused(void **state)
{
    struct arena a;

    arena_init(&a, SIZE_MAX);
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 8));
    assert_null(arena_dup(&a, "x", SIZE_MAX));
    arena_deinit(&a);
}

static void content_survives_later_allocations_of_any_size(void **state)
{
    enum { COUNT = 200 };
    struct arena a;
    struct rng rng;
    uint8_t *p[COUNT];
    size_t size[COUNT];

    rng_seed(&rng, 1);
    arena_init(&a, 64 << 20);
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            size[i] = rng_below(&rng, i % 10 ? 200 : 20000);
            p[i] = arena_alloc(&a, size[i]);
            memset(p[i], (int)i, size[i]);
        }
        for (size_t i = 0; i < COUNT; i++)
            for (size_t k = 0; k < size[i]; k++)
                assert_int_equal(p[i][k], i & 0xff);
        arena_reset(&a);
        assert_int_equal(a.used, 0);
    }
    arena_deinit(&a);
}

static void reset_keeps_one_small_chunk(void **state)
{
    struct arena a;

    arena_init(&a, 1 << 20);
    arena_alloc(&a, 100000);
    void *small = arena_alloc(&a, 16);
    arena_alloc(&a, 100000);
    arena_reset(&a);
    assert_ptr_equal(arena_alloc(&a, 16), small);
    arena_reset(&a);
    arena_deinit(&a);
    arena_deinit(&a);
    arena_reset(&a);
}

static void dup_ends_in_nul(void **state)
{
    struct arena a;

    arena_init(&a, 100);
    assert_string_equal(arena_dup(&a, "lease", 5), "lease");
    assert_string_equal(arena_dup(&a, NULL, 0), "");
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_aligned_and_apart),
        cmocka_unit_test(empty_allocations_have_addresses_of_their_own),
        cmocka_unit_test(max_is_kept),
        cmocka_unit_test(tiny_allocations_count_with_what_they_hold),
        cmocka_unit_test(sizes_near_the_end_of_memory_are_refused),
        cmocka_unit_test(content_survives_later_allocations_of_any_size),
        cmocka_unit_test(reset_keeps_one_small_chunk),
        cmocka_unit_test(dup_ends_in_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
