#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/map.h"
#include "base/rng.h"

static const uint64_t zero_seed[2];

enum { KEYS = 2000, OPS = 100000 };

struct model {
    char text[KEYS][8];
    void *value[KEYS];
    size_t n;
};

static struct slice key_of(struct model *m, size_t i)
{
    return slice_str(m->text[i]);
}

static void check_all(struct map *map, struct model *m)
{
    size_t seen = 0;

    assert_int_equal(map_count(map), m->n);
    map_for_each (e, map) {
        seen++;
        assert_non_null(e->value);
    }
    assert_int_equal(seen, m->n);
    for (size_t i = 0; i < KEYS; i++)
        assert_ptr_equal(map_get(map, key_of(m, i)), m->value[i]);
}

static void one_op(struct map *map, struct model *m, struct rng *rng, bool growing)
{
    size_t i = rng_below(rng, KEYS);
    uint64_t what = rng_below(rng, 10);
    void *old = m->value[i];

    if (what < 2) {
        assert_ptr_equal(map_get(map, key_of(m, i)), old);
    } else if ((what < 8) == growing) {
        void *value = &m->text[rng_below(rng, KEYS)];
        assert_ptr_equal(map_put(map, key_of(m, i), value), old);
        m->value[i] = value;
        m->n += !old;
    } else {
        assert_ptr_equal(map_remove(map, key_of(m, i)), old);
        m->value[i] = NULL;
        m->n -= old != NULL;
    }
    assert_true(map->n <= map->cap / 4 * 3);
}

static void agrees_with_a_plain_array_over_random_ops(void **state)
{
    struct model *m = xcalloc(1, sizeof *m);
    struct map map;
    struct rng rng;

    rng_seed(&rng, 7);
    for (size_t i = 0; i < KEYS; i++)
        snprintf(m->text[i], sizeof m->text[i], "k%zu", i);
    map_init(&map, (uint64_t[2]){rng_u64(&rng), rng_u64(&rng)});
    /* Grows and shrinks in turns, so that the table is resized both ways. */
    for (int op = 0; op < OPS; op++) {
        one_op(&map, m, &rng, op / 10000 % 2 == 0);
        if (op % 5000 == 0)
            check_all(&map, m);
    }
    check_all(&map, m);
    map_deinit(&map);
    free(m);
}

static void memory_follows_removals(void **state)
{
    struct map map;
    char(*keys)[16] = xcalloc(10000, sizeof *keys);

    map_init(&map, zero_seed);
    for (size_t i = 0; i < 10000; i++) {
        snprintf(keys[i], sizeof keys[i], "%zu", i);
        map_put(&map, slice_str(keys[i]), keys[i]);
    }
    assert_true(map.cap >= 10000);
    for (size_t i = 0; i < 10000; i++)
        assert_ptr_equal(map_remove(&map, slice_str(keys[i])), keys[i]);
    assert_int_equal(map_count(&map), 0);
    assert_true(map.cap <= 16);
    assert_null(map_get(&map, slice_str("5")));
    map_deinit(&map);
    free(keys);
}

/* Values to store, which must not be const. */
static char one[] = "1", two[] = "2", three[] = "3";

static void keys_are_bytes_and_may_be_empty(void **state)
{
    struct map map;

    map_init(&map, zero_seed);
    assert_null(map_get(&map, SLICE_EMPTY));
    assert_null(map_remove(&map, SLICE_EMPTY));
    map_put(&map, SLICE_EMPTY, one);
    map_put(&map, slice_of("a\0b", 3), two);
    map_put(&map, slice_of("a", 1), three);
    assert_ptr_equal(map_get(&map, slice_str("")), one);
    assert_ptr_equal(map_get(&map, slice_of("a\0b", 3)), two);
    assert_ptr_equal(map_get(&map, slice_str("a")), three);
    map_deinit(&map);
}

static void replacing_takes_the_new_key_view(void **state)
{
    struct map map;
    char first[] = "k", second[] = "k";

    map_init(&map, zero_seed);
    assert_null(map_put(&map, slice_str(first), one));
    assert_ptr_equal(map_put(&map, slice_str(second), two), one);
    assert_int_equal(map_count(&map), 1);
    first[0] = 'x'; /* the old view may go now */
    assert_ptr_equal(map_get(&map, slice_str("k")), two);
    map_deinit(&map);
}

/* The keyed rows are the first vectors of SipHash-1-3 with key 00..0f that Rust's library tests
 * hold; the rest is what CPython 3.11 prints for hash(b'...') under PYTHONHASHSEED=0, which is
 * SipHash-1-3 with a key of zeros. */
static void siphash13_gives_known_values(void **state)
{
    static const uint64_t counting[2] = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
    static const uint8_t bytes[] = {0, 1};
    const struct {
        const uint64_t *seed;
        struct slice in;
        uint64_t want;
    } rows[] = {
        {counting, {bytes, 0}, 0xabac0158050fc4dcULL},
        {counting, {bytes, 1}, 0xc9f49bf37d57ca93ULL},
        {counting, {bytes, 2}, 0x82cb9b024dc7d44dULL},
        {zero_seed, SLICE_LIT("a"), 0x407448d2b89b1813ULL},
        {zero_seed, SLICE_LIT("abcdefg"), 0x6db12aae9070f506ULL},
        {zero_seed, SLICE_LIT("abcdefgh"), 0x3f7b849c0b8e35eaULL},
        {zero_seed, SLICE_LIT("The quick brown fox jumps over the lazy dog"),
         0x8df676d3d00c451eULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(siphash13(rows[i].seed, rows[i].in), rows[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_plain_array_over_random_ops),
        cmocka_unit_test(memory_follows_removals),
        cmocka_unit_test(keys_are_bytes_and_may_be_empty),
        cmocka_unit_test(replacing_takes_the_new_key_view),
        cmocka_unit_test(siphash13_gives_known_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
