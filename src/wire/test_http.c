#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "wire/http.h"

static void header_is_found_in_any_case(void **state)
{
    struct http_request r = {.nheaders = 3};
    r.headers[0] = (struct http_header){SLICE_LIT("Content-Type"), SLICE_LIT("a/b")};
    r.headers[1] = (struct http_header){SLICE_LIT("X-Twice"), SLICE_LIT("1")};
    r.headers[2] = (struct http_header){SLICE_LIT("x-twice"), SLICE_LIT("2")};

    assert_true(slice_eq_str(http_header_get(&r, "content-type"), "a/b"));
    assert_true(slice_eq_str(http_header_get(&r, "CONTENT-TYPE"), "a/b"));
    assert_true(slice_eq_str(http_header_get(&r, "x-twice"), "1"));
    assert_null(http_header_get(&r, "content-typ").p);
    assert_null(http_header_get(&r, "").p);
}

static void list_holds_a_token_among_blanks_and_commas(void **state)
{
    static const struct {
        const char *value;
        bool has;
    } cases[] = {
        {"close", true},
        {"CLOSE", true},
        {"keep-alive, Close", true},
        {",, close ,", true},
        {"upgrade,\tclose", true},
        {"closed", false},
        {"not close", false},
        {"", false},
        {",", false},
        {"close;x", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(http_list_has(slice_str(cases[i].value), "close"), cases[i].has);
}

static void percent_decoding_takes_two_hex_digits(void **state)
{
    static const struct {
        const char *in, *plain, *plus; /* NULL: refused */
    } cases[] = {
        {"", "", ""},           {"abc", "abc", "abc"}, {"a%2Fb%2f", "a/b/", "a/b/"},
        {"a+b", "a+b", "a b"},  {"%2B", "+", "+"},     {"%c3%BC", "\xc3\xbc", "\xc3\xbc"},
        {"%", NULL, NULL},      {"%4", NULL, NULL},    {"%4g", NULL, NULL},
        {"a%zz", NULL, NULL},   {"%%41", NULL, NULL},  {"%+1", NULL, NULL},
        {"%25%34", "%4", "%4"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int plus = 0; plus < 2; plus++) {
            const char *want = plus ? cases[i].plus : cases[i].plain;
            cleanup_buf struct buf out;
            buf_init(&out, 64);
            buf_append_str(&out, "x");
            assert_int_equal(http_percent_decode(slice_str(cases[i].in), plus, &out),
                             want ? 0 : -EINVAL);
            assert_string_equal(buf_cstr(&out) + 1, want ? want : "");
        }
    }
}

static void percent_decoding_keeps_the_bound_and_nul(void **state)
{
    cleanup_buf struct buf out;

    buf_init(&out, 3);
    assert_int_equal(http_percent_decode(SLICE_LIT("%00a%00"), false, &out), 0);
    assert_memory_equal(out.p, "\0a\0", 3);
    assert_int_equal(http_percent_decode(SLICE_LIT("b"), false, &out), -ENOBUFS);
    assert_int_equal(out.n, 3);
}

static void query_parameter_is_found_and_decoded(void **state)
{
    static const struct {
        const char *query, *name;
        int r;
        const char *value;
    } cases[] = {
        {"a=1&b=2", "b", 0, "2"},
        {"a=1&a=2", "a", 0, "1"},
        {"verbose", "verbose", 0, ""},
        {"verbose=", "verbose", 0, ""},
        {"&&x=y%20z+w&", "x", 0, "y z w"},
        {"%61b=c=d", "ab", 0, "c=d"},
        {"a=%zz", "a", -EINVAL, ""},
        {"%zz=1&a=2", "a", 0, "2"},
        {"ab=1", "a", -ENOENT, ""},
        {"a=1", "ab", -ENOENT, ""},
        {"", "a", -ENOENT, ""},
        {"=1", "", 0, "1"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cleanup_buf struct buf out;
        buf_init(&out, 64);
        assert_int_equal(http_query_get(slice_str(cases[i].query), cases[i].name, &out),
                         cases[i].r);
        assert_string_equal(buf_cstr(&out), cases[i].value);
    }
}

static void status_has_a_text(void **state)
{
    assert_string_equal(http_status_text(200), "OK");
    assert_string_equal(http_status_text(404), "Not Found");
    assert_string_equal(http_status_text(599), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_is_found_in_any_case),
        cmocka_unit_test(list_holds_a_token_among_blanks_and_commas),
        cmocka_unit_test(percent_decoding_takes_two_hex_digits),
        cmocka_unit_test(percent_decoding_keeps_the_bound_and_nul),
        cmocka_unit_test(query_parameter_is_found_and_decoded),
        cmocka_unit_test(status_has_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
