#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "etcd/metrics.h"

static double twice(const void *ctx)
{
    return 2 * *(const double *)ctx;
}

static void assert_rendered(const struct metric *rows, size_t n, const char *want)
{
    cleanup_buf struct buf out;

    buf_init(&out, 1 << 16);
    assert_int_equal(metrics_render(rows, n, &out), 0);
    assert_string_equal(buf_cstr(&out), want);
    /* One byte less than needed: refused, and nothing half written stays. */
    for (size_t max = 1; max < out.n; max += out.n / 3 + 1) {
        cleanup_buf struct buf small;
        buf_init(&small, max);
        assert_int_equal(buf_append_byte(&small, 'x'), 0);
        assert_int_equal(metrics_render(rows, n, &small), -ENOBUFS);
        assert_int_equal(small.n, 1);
    }
}

static void values_of_all_kinds_are_rendered(void **state)
{
    uint64_t puts = UINT64_MAX;
    int64_t rev = -1;
    double cpu = 0.1;
    bool leader = true;
    const struct metric rows[] = {
        {"put_total", "Puts.", METRIC_COUNTER, METRIC_U64(&puts)},
        {"compact_revision", "Revision.", METRIC_GAUGE, METRIC_I64(&rev)},
        {"cpu_seconds", "CPU.", METRIC_GAUGE, METRIC_F64(&cpu)},
        {"has_leader", "Leader.", METRIC_GAUGE, METRIC_BOOL(&leader)},
        {"cpu_twice", "CPU.", METRIC_GAUGE, METRIC_CALL(twice, &cpu)},
    };

    assert_rendered(rows, ARRAY_LEN(rows),
                    "# HELP put_total Puts.\n# TYPE put_total counter\n"
                    "put_total 18446744073709551615\n"
                    "# HELP compact_revision Revision.\n# TYPE compact_revision gauge\n"
                    "compact_revision -1\n"
                    "# HELP cpu_seconds CPU.\n# TYPE cpu_seconds gauge\ncpu_seconds 0.1\n"
                    "# HELP has_leader Leader.\n# TYPE has_leader gauge\nhas_leader 1\n"
                    "# HELP cpu_twice CPU.\n# TYPE cpu_twice gauge\ncpu_twice 0.2\n");
}

static void labels_are_escaped_and_share_one_heading(void **state)
{
    uint64_t a = 1, b = 2;
    const struct metric rows[] = {
        {"rpcs", "Back\\slash,\nnew \"line\".", METRIC_COUNTER, METRIC_U64(&a),
         METRIC_LABELS({"m", "Put"}, {"code", "OK"})},
        {"rpcs", "", METRIC_COUNTER, METRIC_U64(&b), METRIC_LABELS({"m", "a\"b\\c\nd"})},
        {"version", "V.", METRIC_GAUGE, METRIC_ONE, METRIC_LABELS({"v", "3.6.14"})},
    };

    assert_rendered(rows, ARRAY_LEN(rows),
                    "# HELP rpcs Back\\\\slash,\\nnew \"line\".\n# TYPE rpcs counter\n"
                    "rpcs{m=\"Put\",code=\"OK\"} 1\n"
                    "rpcs{m=\"a\\\"b\\\\c\\nd\"} 2\n"
                    "# HELP version V.\n# TYPE version gauge\nversion{v=\"3.6.14\"} 1\n");
}

static void numbers_are_short_and_read_back_the_same(void **state)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {0, "0"},
        {1, "1"},
        {-2.5, "-2.5"},
        {0.1, "0.1"},
        {1.0 / 3, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1e300, "1e+300"},
        {1792345678.25, "1792345678.25"},
        {2147483648.0, "2147483648"},
        {(double)__builtin_nan(""), "NaN"},
        {(double)__builtin_inf(), "+Inf"},
        {(double)-__builtin_inf(), "-Inf"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct metric row = {"x", "", METRIC_GAUGE, METRIC_F64(&cases[i].v)};
        cleanup_buf struct buf out;
        buf_init(&out, 256);
        assert_int_equal(metrics_render(&row, 1, &out), 0);
        const char *text = strrchr(buf_cstr(&out), ' ') + 1;
        assert_int_equal(strncmp(text, cases[i].text, strlen(cases[i].text)), 0);
        assert_string_equal(text + strlen(cases[i].text), "\n");
    }
}

static void histogram_counts_what_is_at_or_below_each_bound(void **state)
{
    static const struct histogram_bounds bounds = {3, {0.5, 1, 2}};
    struct histogram h;
    const struct metric rows[] = {
        {"t", "T.", METRIC_HISTOGRAM, METRIC_HIST(&h), METRIC_LABELS({"op", "put"})},
    };

    histogram_init(&h, &bounds);
    histogram_observe(&h, 0);
    histogram_observe(&h, 0.5);
    histogram_observe(&h, 0.75);
    histogram_observe(&h, 2);
    histogram_observe(&h, 2.25);
    histogram_observe_ns(&h, 3 * NS_PER_S);
    assert_int_equal(histogram_count(&h), 6);
    assert_rendered(rows, ARRAY_LEN(rows),
                    "# HELP t T.\n# TYPE t histogram\n"
                    "t_bucket{op=\"put\",le=\"0.5\"} 2\n"
                    "t_bucket{op=\"put\",le=\"1\"} 3\n"
                    "t_bucket{op=\"put\",le=\"2\"} 4\n"
                    "t_bucket{op=\"put\",le=\"+Inf\"} 6\n"
                    "t_sum{op=\"put\"} 8.5\n"
                    "t_count{op=\"put\"} 6\n");
}

static void bounds_are_upstreams(void **state)
{
    static const struct {
        const struct histogram_bounds *b;
        size_t n;
        double first, last;
    } cases[] = {
        {&histogram_apply, 20, 0.0001, 52.4288},  {&histogram_disk, 14, 0.001, 8.192},
        {&histogram_hash, 15, 0.01, 163.84},      {&histogram_snapshot, 17, 0.01, 655.36},
        {&histogram_defrag, 13, 0.1, 409.6},      {&histogram_lease_ttl, 24, 1, 8388608},
        {&histogram_compact_ms, 14, 100, 819200}, {&histogram_pause_ms, 13, 1, 4096},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct histogram_bounds *b = cases[i].b;
        assert_int_equal(b->n, cases[i].n);
        assert_true(b->le[0] == cases[i].first && b->le[b->n - 1] == cases[i].last);
        for (size_t j = 1; j < b->n; j++)
            assert_true(b->le[j] == 2 * b->le[j - 1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_all_kinds_are_rendered),
        cmocka_unit_test(labels_are_escaped_and_share_one_heading),
        cmocka_unit_test(numbers_are_short_and_read_back_the_same),
        cmocka_unit_test(histogram_counts_what_is_at_or_below_each_bound),
        cmocka_unit_test(bounds_are_upstreams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
