#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "etcdctl/goquote.h"
#include "etcdctl/gotext.h"

static void quotes_as_go_does(void **state)
{
    static const struct {
        const char *in, *want;
        size_t n;
    } cases[] = {
        {"", "\"\"", 0},
        {"a b", "\"a b\"", 3},
        {"x\"y\\z", "\"x\\\"y\\\\z\"", 5},
        {"\a\b\f\n\r\t\v", "\"\\a\\b\\f\\n\\r\\t\\v\"", 7},
        {"\x00\x01\x7f", "\"\\x00\\x01\\x7f\"", 3},
        {"\xff", "\"\\xff\"", 1},
        {"\xc3\xa9", "\"\xc3\xa9\"", 2},
        {"\xc2\xa0", "\"\\u00a0\"", 2},
        {"\xe2\x80\xa8", "\"\\u2028\"", 3},
        {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"", 4},
        {"\xf4\x8f\xbf\xbf", "\"\\U0010ffff\"", 4},
        {"\xc3(", "\"\\xc3(\"", 2},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        buf_init(&out, 1000);
        assert_int_equal(go_quote(&out, slice_of(cases[i].in, cases[i].n)), 0);
        assert_string_equal(buf_cstr(&out), cases[i].want);
        buf_deinit(&out);
    }
}

static void quoted_text_reads_back(void **state)
{
    uint8_t all[256];
    struct buf quoted, back;

    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    buf_init(&quoted, 4096);
    buf_init(&back, 4096);
    assert_int_equal(go_quote(&quoted, slice_of(all, sizeof all)), 0);
    struct slice in = buf_slice(&quoted);
    assert_int_equal(go_unquote(&in, &back), 0);
    assert_int_equal(in.n, 0);
    assert_int_equal(back.n, sizeof all);
    assert_memory_equal(back.p, all, sizeof all);
    buf_deinit(&quoted);
    buf_deinit(&back);
}

static void unquotes_what_go_accepts(void **state)
{
    static const struct {
        const char *in, *want; /* NULL: refused */
        const char *rest;
    } cases[] = {
        {"\"a\" b", "a", " b"},
        {"`a\\n\"` b", "a\\n\"", " b"},
        {"\"\\x61\\141\\u0061\\U00000061\"", "aaaa", ""},
        {"\"\\u00e9\\u20ac\\U0001f600\"", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", ""},
        {"", NULL, ""},
        {"a", NULL, ""},
        {"\"a", NULL, ""},
        {"\"a\\\"", NULL, ""},
        {"\"\\'\"", NULL, ""},
        {"\"\\x6\"", NULL, ""},
        {"\"\\ud800\"", NULL, ""},
        {"\"\\U00110000\"", NULL, ""},
        {"\"\\400\"", NULL, ""},
        {"\"\\9\"", NULL, ""},
        {"`a", NULL, ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice in = slice_str(cases[i].in);
        struct buf out;
        buf_init(&out, 1000);
        int r = go_unquote(&in, &out);
        assert_int_equal(r, cases[i].want ? 0 : -EINVAL);
        if (cases[i].want) {
            assert_string_equal(buf_cstr(&out), cases[i].want);
            assert_true(slice_eq_str(in, cases[i].rest));
        } else {
            assert_true(slice_eq_str(in, cases[i].in));
        }
        buf_deinit(&out);
    }
}

static void durations_read_as_in_go(void **state)
{
    static const struct {
        uint64_t ns;
        const char *want;
    } cases[] = {{0, "0s"},
                 {1, "1ns"},
                 {993746, "993.746µs"},
                 {1000, "1µs"},
                 {1164359, "1.164359ms"},
                 {2000000, "2ms"},
                 {5001270252, "5.001270252s"},
                 {60000000000, "1m0s"},
                 {3723500000000, "1h2m3.5s"}};
    char out[GOTEXT_MAX];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(go_duration(cases[i].ns, out), cases[i].want);
}

static void sizes_read_as_in_go_humanize(void **state)
{
    static const struct {
        uint64_t n;
        const char *want;
    } cases[] = {{0, "0 B"},           {9, "9 B"},          {999, "999 B"},  {1000, "1.0 kB"},
                 {20480, "20 kB"},     {1250000, "1.3 MB"}, {9960, "10 kB"}, {2147483648, "2.1 GB"},
                 {UINT64_MAX, "18 EB"}};
    char out[GOTEXT_MAX];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(go_bytes(cases[i].n, out), cases[i].want);
}

static void numbers_are_refused_in_gos_words(void **state)
{
    struct err e;
    int64_t v;
    uint64_t u;

    assert_int_equal(go_parse_int("-9223372036854775808", 10, &v, &e), 0);
    assert_true(v == INT64_MIN);
    assert_int_equal(go_parse_int("7fffffffffffffff", 16, &v, &e), 0);
    assert_true(v == INT64_MAX);
    assert_int_equal(go_parse_int("8000000000000000", 16, &v, &e), ERR_USAGE);
    assert_string_equal(e.msg,
                        "strconv.ParseInt: parsing \"8000000000000000\": value out of range");
    assert_int_equal(go_parse_int("", 10, &v, &e), ERR_USAGE);
    assert_string_equal(e.msg, "strconv.ParseInt: parsing \"\": invalid syntax");
    assert_int_equal(go_parse_int("0x1", 16, &v, &e), ERR_USAGE);
    assert_int_equal(go_parse_uint("ffffffffffffffff", 16, &u, &e), 0);
    assert_true(u == UINT64_MAX);
    assert_int_equal(go_parse_uint("-1", 16, &u, &e), ERR_USAGE);
    assert_string_equal(e.msg, "strconv.ParseUint: parsing \"-1\": invalid syntax");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_as_go_does),
        cmocka_unit_test(quoted_text_reads_back),
        cmocka_unit_test(unquotes_what_go_accepts),
        cmocka_unit_test(durations_read_as_in_go),
        cmocka_unit_test(sizes_read_as_in_go_humanize),
        cmocka_unit_test(numbers_are_refused_in_gos_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
