#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "raft/raft_log.h"

static void fill(uint8_t *p, size_t n, uint64_t index)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(index * 31 + i);
}

static void check_entry(const struct raft_entry *e, uint64_t index, size_t n)
{
    assert_int_equal(e->index, index);
    assert_int_equal(e->data.n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(e->data.p[i], (uint8_t)(index * 31 + i));
}

static void log_keeps_entries_in_place_while_it_grows(void **state)
{
    struct raft_log l;
    uint8_t data[8];

    raft_log_init(&l, 7);
    fill(data, sizeof data, 7);
    assert_int_equal(raft_log_append(&l, 1, RAFT_ENTRY_NORMAL, slice_of(data, sizeof data)), 0);
    const struct raft_entry *first = raft_log_at(&l, 7);
    for (uint64_t i = 8; i < 10000; i++) {
        fill(data, sizeof data, i);
        assert_int_equal(raft_log_append(&l, 1, RAFT_ENTRY_NORMAL, slice_of(data, sizeof data)), 0);
    }
    check_entry(first, 7, sizeof data); /* a use after free for the sanitizers, if it moved */
    check_entry(raft_log_at(&l, 7), 7, sizeof data);
    check_entry(raft_log_at(&l, 9999), 9999, sizeof data);
    raft_log_drop(&l, 9999);
    assert_int_equal(l.n, 0);
    assert_ptr_equal(l.page_first, l.page_last);
    assert_ptr_equal(l.block_first, l.block_last);
    raft_log_deinit(&l);
}

static void log_holds_entries_of_any_size(void **state)
{
    static uint8_t data[200 * 1024];
    static const size_t sizes[] = {0, 1, 64 * 1024, 64 * 1024 + 1, 0, 200 * 1024, 10};
    struct raft_log l;

    raft_log_init(&l, 1);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        fill(data, sizes[i], i + 1);
        assert_int_equal(raft_log_append(&l, 1, RAFT_ENTRY_NORMAL, slice_of(data, sizes[i])), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        check_entry(raft_log_at(&l, i + 1), i + 1, sizes[i]);
        raft_log_drop(&l, i + 1);
    }
    raft_log_deinit(&l);
}

/* Random appends and drops: what is live reads back, and memory does not grow with history. */
static void log_is_a_queue(void **state)
{
    struct raft_log l;
    struct rng rng;
    uint8_t data[700];
    uint64_t next = 1, first = 1;

    rng_seed(&rng, 11);
    raft_log_init(&l, 1);
    for (int step = 0; step < 20000; step++) {
        if (rng_below(&rng, 100) < 55) {
            size_t n = next * 37 % sizeof data;
            fill(data, n, next++);
            assert_int_equal(raft_log_append(&l, next / 1000, RAFT_ENTRY_NORMAL, slice_of(data, n)),
                             0);
        } else if (next > first) {
            first += rng_below(&rng, MIN(next - first, 40ULL)) + 1;
            raft_log_drop(&l, first - 1);
        }
        assert_int_equal(l.first, first);
        assert_int_equal(l.n, next - first);
        if (next > first) {
            uint64_t i = first + rng_below(&rng, next - first);
            check_entry(raft_log_at(&l, i), i, i * 37 % sizeof data);
        }
    }
    raft_log_deinit(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_keeps_entries_in_place_while_it_grows),
        cmocka_unit_test(log_holds_entries_of_any_size),
        cmocka_unit_test(log_is_a_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
