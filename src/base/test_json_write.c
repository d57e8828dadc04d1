#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/json_write.h"
#include "base/utf8.h"

static void commas_and_nesting_come_by_themselves(void **state)
{
    cleanup_buf struct buf b;
    struct json_writer w;

    buf_init(&b, 1000);
    json_write_init(&w, &b, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE_LIT("header"));
    json_write_object(&w);
    json_write_object_end(&w);
    json_write_key(&w, SLICE_LIT("kvs"));
    json_write_array(&w);
    json_write_i64(&w, -1);
    json_write_array(&w);
    json_write_array_end(&w);
    json_write_object(&w);
    json_write_key(&w, SLICE_LIT("a"));
    json_write_bool(&w, true);
    json_write_key(&w, SLICE_LIT("b"));
    json_write_null(&w);
    json_write_object_end(&w);
    json_write_raw(&w, SLICE_LIT("{\"x\":1}"));
    json_write_array_end(&w);
    json_write_key(&w, SLICE_LIT("more"));
    json_write_bool(&w, false);
    json_write_object_end(&w);
    assert_int_equal(json_write_finish(&w), 0);
    assert_string_equal(buf_cstr(&b), "{\"header\":{},\"kvs\":[-1,[],{\"a\":true,\"b\":null},"
                                      "{\"x\":1}],\"more\":false}");
}

static void numbers_reach_their_ends(void **state)
{
    cleanup_buf struct buf b;
    struct json_writer w;

    buf_init(&b, 1000);
    json_write_init(&w, &b, 0);
    json_write_array(&w);
    json_write_i64(&w, INT64_MIN);
    json_write_i64(&w, INT64_MAX);
    json_write_u64(&w, UINT64_MAX);
    json_write_u64(&w, 0);
    json_write_i64_quoted(&w, INT64_MIN);
    json_write_u64_quoted(&w, 10);
    json_write_array_end(&w);
    assert_int_equal(json_write_finish(&w), 0);
    assert_string_equal(buf_cstr(&b),
                        "[-9223372036854775808,9223372036854775807,18446744073709551615,0,"
                        "\"-9223372036854775808\",\"10\"]");
}

static const char *escaped(struct buf *b, struct slice s, unsigned flags)
{
    struct json_writer w;

    buf_clear(b);
    json_write_init(&w, b, flags);
    json_write_str(&w, s);
    assert_int_equal(json_write_finish(&w), 0);
    return buf_cstr(b);
}

/* Each row is what Go 1.22's json.Marshal prints, without and with SetEscapeHTML. */
static void strings_are_escaped_as_go_does(void **state)
{
    static const struct {
        struct slice in;
        const char *want;
        const char *want_html; /* NULL: the same */
    } rows[] = {
        {SLICE_LIT(""), "\"\"", NULL},
        {SLICE_LIT("plain /path\x7f"), "\"plain /path\x7f\"", NULL},
        {SLICE_LIT("\"\\"), "\"\\\"\\\\\"", NULL},
        {SLICE_LIT("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"", NULL},
        {SLICE_LIT("\0\x01\x1f"), "\"\\u0000\\u0001\\u001f\"", NULL},
        {SLICE_LIT("<a>&"), "\"<a>&\"", "\"\\u003ca\\u003e\\u0026\""},
        {SLICE_LIT("\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xe2\x82\xac\xf0\x9f\x98\x80\"", NULL},
        {SLICE_LIT("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"), "\"\\u2028\\u2029\xe2\x80\xaa\"", NULL},
        {SLICE_LIT("a\xff\xfe z"), "\"a\\ufffd\\ufffd z\"", NULL},
        {SLICE_LIT("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"", NULL},
        {SLICE_LIT("cut \xe2\x82"), "\"cut \\ufffd\\ufffd\"", NULL},
    };
    cleanup_buf struct buf b;

    buf_init(&b, 1000);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *html = rows[i].want_html ? rows[i].want_html : rows[i].want;
        assert_string_equal(escaped(&b, rows[i].in, 0), rows[i].want);
        assert_string_equal(escaped(&b, rows[i].in, JSON_HTML), html);
    }
}

static void long_strings_of_escapes_grow_the_buf(void **state)
{
    cleanup_buf struct buf b;
    uint8_t text[1000];

    memset(text, 1, sizeof text);
    buf_init(&b, 7000);
    assert_int_equal(strlen(escaped(&b, slice_of(text, sizeof text), 0)), 6002);
}

static void bytes_are_base64(void **state)
{
    cleanup_buf struct buf b;
    struct json_writer w;

    buf_init(&b, 1000);
    json_write_init(&w, &b, JSON_HTML);
    json_write_array(&w);
    json_write_base64(&w, SLICE_LIT("foob"));
    json_write_base64(&w, SLICE_EMPTY);
    json_write_array_end(&w);
    assert_int_equal(json_write_finish(&w), 0);
    assert_string_equal(buf_cstr(&b), "[\"Zm9vYg==\",\"\"]");
}

static int write_sample(struct buf *b)
{
    struct json_writer w;

    json_write_init(&w, b, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE_LIT("k\n"));
    json_write_array(&w);
    json_write_str(&w, SLICE_LIT("\x01 v \xff"));
    json_write_base64(&w, SLICE_LIT("abc"));
    json_write_u64(&w, 12345);
    json_write_array_end(&w);
    json_write_object_end(&w);
    return json_write_finish(&w);
}

static void every_buf_too_small_is_an_error_and_the_exact_one_is_not(void **state)
{
    static const char want[] = "{\"k\\n\":[\"\\u0001 v \\ufffd\",\"YWJj\",12345]}";

    for (size_t max = 1; max < sizeof want + 5; max++) {
        cleanup_buf struct buf b;
        buf_init(&b, max);
        assert_int_equal(write_sample(&b), max < sizeof want - 1 ? -ENOBUFS : 0);
        assert_true(b.n <= max);
        if (max >= sizeof want - 1)
            assert_true(slice_eq_str(buf_slice(&b), want));
    }
}

static void a_string_may_fill_the_buf_to_its_last_byte(void **state)
{
    for (size_t max = 1; max < 10; max++) {
        cleanup_buf struct buf b;
        struct json_writer w;
        buf_init(&b, max);
        json_write_init(&w, &b, 0);
        json_write_str(&w, SLICE_LIT("a\n"));
        assert_int_equal(json_write_finish(&w), max < 5 ? -ENOBUFS : 0);
    }
}

static int nest(struct buf *b, int depth)
{
    struct json_writer w;

    buf_clear(b);
    json_write_init(&w, b, 0);
    for (int i = 0; i < depth; i++) {
        if (i % 2) {
            json_write_object(&w);
            json_write_key(&w, SLICE_EMPTY);
        } else {
            json_write_array(&w);
        }
    }
    json_write_null(&w);
    for (int i = depth - 1; i >= 0; i--) {
        if (i % 2)
            json_write_object_end(&w);
        else
            json_write_array_end(&w);
    }
    return json_write_finish(&w);
}

static void nesting_has_a_bound(void **state)
{
    cleanup_buf struct buf b;

    buf_init(&b, 10000);
    assert_int_equal(nest(&b, JSON_DEPTH_MAX), 0);
    assert_int_equal(nest(&b, JSON_DEPTH_MAX + 1), ERR_LIMIT);
    assert_int_equal(nest(&b, 200), ERR_LIMIT);
}

static void escape_stops_between_characters_when_room_runs_out(void **state)
{
    static const char text[] = "ab\"\xe2\x82\xac\x01z";
    static const char want[] = "ab\\\"\xe2\x82\xac\\u0001z";

    for (size_t room = 0; room < sizeof want; room++) {
        struct slice in = SLICE_LIT(text);
        char out[32];
        size_t n = json_escape(&in, 0, out, room);
        assert_true(n <= room);
        assert_true(utf8_valid(slice_of(out, n)));
        /* Going on with more room gives the rest. */
        n += json_escape(&in, 0, out + n, sizeof out - n);
        assert_int_equal(in.n, 0);
        assert_true(slice_eq_str(slice_of(out, n), want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_and_nesting_come_by_themselves),
        cmocka_unit_test(numbers_reach_their_ends),
        cmocka_unit_test(strings_are_escaped_as_go_does),
        cmocka_unit_test(long_strings_of_escapes_grow_the_buf),
        cmocka_unit_test(bytes_are_base64),
        cmocka_unit_test(every_buf_too_small_is_an_error_and_the_exact_one_is_not),
        cmocka_unit_test(a_string_may_fill_the_buf_to_its_last_byte),
        cmocka_unit_test(nesting_has_a_bound),
        cmocka_unit_test(escape_stops_between_characters_when_room_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
