#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "etcd/watch.h"

static const uint64_t seed[2] = {3, 4};

#define KEY(s)                                                                                     \
    {                                                                                              \
        (const uint8_t *)(s), sizeof(s) - 1                                                        \
    }

static void a_watcher_holds_what_its_range_says(void **state)
{
    static const struct {
        struct watch_key k;
        struct slice key;
        bool holds;
    } cases[] = {
        {{.key = KEY("a")}, KEY("a"), true},
        {{.key = KEY("a")}, KEY("aa"), false},
        {{.key = KEY("a")}, KEY(""), false},
        {{.key = KEY("a"), .end = KEY("c")}, KEY("a"), true},
        {{.key = KEY("a"), .end = KEY("c")}, KEY("b\xff"), true},
        {{.key = KEY("a"), .end = KEY("c")}, KEY("c"), false},
        {{.key = KEY("a"), .end = KEY("c")}, KEY("`"), false},
        {{.key = KEY("b"), .end = KEY("\0")}, KEY("b"), true},
        {{.key = KEY("b"), .end = KEY("\0")}, KEY("\xff\xff"), true},
        {{.key = KEY("b"), .end = KEY("\0")}, KEY("a"), false},
        {{.key = KEY("\0"), .end = KEY("\0")}, KEY("\0"), true},
        {{.key = KEY("b"), .end = KEY("b")}, KEY("b"), false}, /* an empty interval */
        {{.key = KEY("b"), .end = KEY("\0\0")}, KEY("b"), false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(watch_key_holds(&cases[i].k, cases[i].key), cases[i].holds);
}

static void count_hit(void *ctx, struct watch_key *k)
{
    ++*(size_t *)ctx;
}

static size_t hits(const struct watch_index *w, const char *key)
{
    size_t n = 0;

    watch_index_match(w, slice_str(key), count_hit, &n);
    return n;
}

/* The bytes of the one that goes must not be looked at any more: they are freed by its owner. */
static void watchers_of_the_same_range_outlive_each_other(void **state)
{
    static const char *const ends[] = {"", "b"};

    for (size_t e = 0; e < ARRAY_LEN(ends); e++) {
        struct watch_index *w = watch_index_new(seed);
        struct watch_key k[3];
        char *key[3];
        for (int i = 0; i < 3; i++) {
            key[i] = xstrdup("a");
            k[i] = (struct watch_key){.key = slice_str(key[i]), .end = slice_str(ends[e])};
            watch_index_add(w, &k[i]);
        }
        assert_int_equal(hits(w, "a"), 3);
        for (int i = 0; i < 3; i++) {
            watch_index_remove(w, &k[i]);
            free(key[i]);
            assert_int_equal(hits(w, "a"), 2 - i);
            assert_int_equal(watch_index_count(w), 2 - i);
        }
        watch_index_free(w);
    }
    watch_index_free(NULL);
}

/* --- against a scan of all --- */

#define MODEL_WATCHERS 300
#define MODEL_STEPS    10000
#define MODEL_KEY_MAX  3

struct watcher {
    struct watch_key k;
    bool added;
    int hits;
    uint8_t key[MODEL_KEY_MAX], end[MODEL_KEY_MAX];
};
static struct watcher watchers[MODEL_WATCHERS];

/* Short keys over few bytes, so that they often meet. */
static struct slice random_key(struct rng *r, uint8_t *p, size_t min)
{
    static const uint8_t alphabet[] = {0, 1, 'a', 'b', 'c', 0xff};
    size_t n = min + rng_below(r, MODEL_KEY_MAX + 1 - min);

    for (size_t i = 0; i < n; i++)
        p[i] = alphabet[rng_below(r, sizeof alphabet)];
    return slice_of(p, n);
}

static void toggle(struct watch_index *w, struct rng *r, struct watcher *x)
{
    if (x->added) {
        watch_index_remove(w, &x->k);
        memset(x->key, 'a', sizeof x->key); /* what is left of it must not matter */
        memset(x->end, 'a', sizeof x->end);
    } else {
        x->k.key = random_key(r, x->key, 0);
        x->k.end = rng_below(r, 3) ? random_key(r, x->end, 1) : SLICE_EMPTY;
        watch_index_add(w, &x->k);
    }
    x->added = !x->added;
}

static void note_hit(void *ctx, struct watch_key *k)
{
    container_of(k, struct watcher, k)->hits++;
}

static void check_key(const struct watch_index *w, struct slice key)
{
    watch_index_match(w, key, note_hit, NULL);
    for (size_t i = 0; i < MODEL_WATCHERS; i++) {
        struct watcher *x = &watchers[i];
        assert_int_equal(x->hits, x->added && watch_key_holds(&x->k, key));
        x->hits = 0;
    }
}

static void random_watchers_are_found_as_by_a_scan(void **state)
{
    struct watch_index *w = watch_index_new(seed);
    uint8_t bytes[MODEL_KEY_MAX];
    struct rng r;

    rng_seed(&r, 7);
    for (int i = 0; i < MODEL_STEPS; i++) {
        /* Grows for a while, then mostly shrinks, over and over. */
        size_t among = i / 1000 % 2 ? 20 : MODEL_WATCHERS;
        toggle(w, &r, &watchers[rng_below(&r, among)]);
        check_key(w, random_key(&r, bytes, 0));
    }
    for (size_t i = 0; i < MODEL_WATCHERS; i++) {
        if (watchers[i].added)
            toggle(w, &r, &watchers[i]);
    }
    assert_int_equal(watch_index_count(w), 0);
    watch_index_free(w);
}

/* Intervals that come sorted are the worst for a tree without balance: 100000 of them would take
 * minutes, and the stack. */
static void sorted_intervals_stay_balanced(void **state)
{
    enum { N = 100000 };
    struct watch_index *w = watch_index_new(seed);
    struct watch_key *k = xcalloc(N, sizeof *k);
    uint8_t(*bytes)[8] = xcalloc(N + 1, sizeof *bytes);

    for (uint64_t i = 0; i <= N; i++)
        put_be64(bytes[i], i);
    for (size_t i = 0; i < N; i++) {
        k[i] = (struct watch_key){.key = slice_of(bytes[i], 8), .end = slice_of(bytes[i + 1], 8)};
        watch_index_add(w, &k[i]);
    }
    for (size_t i = 0; i < N; i++) {
        size_t n = 0;
        watch_index_match(w, k[i].key, count_hit, &n);
        assert_int_equal(n, 1);
    }
    for (size_t i = 0; i < N; i++)
        watch_index_remove(w, &k[i]);
    watch_index_free(w);
    free(bytes);
    free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_watcher_holds_what_its_range_says),
        cmocka_unit_test(watchers_of_the_same_range_outlive_each_other),
        cmocka_unit_test(random_watchers_are_found_as_by_a_scan),
        cmocka_unit_test(sorted_intervals_stay_balanced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
