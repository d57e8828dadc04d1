#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/grpc_text.h"

/* Three messages in a row: "ab", "", 300 times 'x'. */
static size_t three_messages(uint8_t *out)
{
    size_t n = 0;

    for (int i = 0; i < 3; i++) {
        size_t len = (size_t[]){2, 0, 300}[i];
        grpc_frame_head(out + n, len);
        memset(out + n + GRPC_FRAME_HEAD, i == 0 ? 'a' : 'x', len);
        n += GRPC_FRAME_HEAD + len;
    }
    return n;
}

static void messages_come_whole_out_of_pieces_of_any_size(void **state)
{
    static const size_t lengths[] = {2, 0, 300};
    uint8_t bytes[400];
    size_t n = three_messages(bytes);

    for (size_t piece = 1; piece <= n; piece++) {
        struct grpc_reader r;
        size_t got = 0;

        grpc_reader_init(&r, 300);
        for (size_t at = 0; at < n; at += piece) {
            struct slice in = slice_of(bytes + at, MIN(piece, n - at)), msg;
            while (grpc_reader_next(&r, &in, &msg) == GRPC_READ_MESSAGE) {
                assert_int_equal(msg.n, lengths[got]);
                if (msg.n)
                    assert_int_equal(msg.p[msg.n - 1], got == 0 ? 'a' : 'x');
                got++;
            }
            assert_int_equal(in.n, 0);
        }
        assert_int_equal(got, 3);
        assert_false(grpc_reader_midway(&r));
        grpc_reader_deinit(&r);
    }
}

static void compressed_and_oversized_messages_are_told(void **state)
{
    struct grpc_reader r;
    struct slice msg, in = SLICE_LIT("\1\0\0\0\0");

    grpc_reader_init(&r, 10);
    assert_int_equal(grpc_reader_next(&r, &in, &msg), GRPC_READ_COMPRESSED);
    grpc_reader_init(&r, 10);
    in = SLICE_LIT("\0\0\0\0\x0b");
    assert_int_equal(grpc_reader_next(&r, &in, &msg), GRPC_READ_TOO_LARGE);
    assert_int_equal(r.need, 11);
    grpc_reader_deinit(&r);
}

static void midway_is_known(void **state)
{
    struct grpc_reader r;
    struct slice msg, in = SLICE_LIT("\0\0\0");

    grpc_reader_init(&r, 10);
    grpc_reader_next(&r, &in, &msg);
    assert_true(grpc_reader_midway(&r));
    in = SLICE_LIT("\0\2");
    grpc_reader_next(&r, &in, &msg);
    assert_true(grpc_reader_midway(&r));
    in = SLICE_LIT("ab");
    assert_int_equal(grpc_reader_next(&r, &in, &msg), GRPC_READ_MESSAGE);
    assert_false(grpc_reader_midway(&r));
    grpc_reader_deinit(&r);
}

static void status_texts_travel_percent_encoded(void **state)
{
    static const struct {
        const char *plain, *encoded;
    } cases[] = {{"", ""},
                 {"plain text: fine!", "plain text: fine!"},
                 {"100%", "100%25"},
                 {"a\nb", "a%0Ab"},
                 {"\xc3\xa9t\xc3\xa9", "%C3%A9t%C3%A9"}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cleanup_buf struct buf b, back;
        buf_init(&b, 100);
        buf_init(&back, 100);
        assert_int_equal(grpc_text_encode(slice_str(cases[i].plain), &b), 0);
        assert_string_equal(buf_cstr(&b), cases[i].encoded);
        assert_int_equal(grpc_text_decode(buf_slice(&b), &back), 0);
        assert_string_equal(buf_cstr(&back), cases[i].plain);
    }
}

static void broken_escapes_stay_as_they_are(void **state)
{
    cleanup_buf struct buf b;

    buf_init(&b, 100);
    assert_int_equal(grpc_text_decode(SLICE_LIT("%zz%4%41%"), &b), 0);
    assert_string_equal(buf_cstr(&b), "%zz%4A%");
}

static void timeouts_in_all_units(void **state)
{
    static const struct {
        const char *text;
        int r;
        uint64_t ns;
    } cases[] = {{"7n", 0, 7},
                 {"7u", 0, 7000},
                 {"7m", 0, 7000000},
                 {"7S", 0, 7000000000},
                 {"7M", 0, 420000000000},
                 {"7H", 0, 25200000000000},
                 {"0S", 0, 0},
                 {"99999999H", 0, UINT64_MAX},
                 {"99999999S", 0, 99999999000000000},
                 {"123456789S", -EINVAL, 0},
                 {"S", -EINVAL, 0},
                 {"", -EINVAL, 0},
                 {"7s", -EINVAL, 0},
                 {"-7S", -EINVAL, 0},
                 {"7", -EINVAL, 0}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ns = 0;
        assert_int_equal(grpc_timeout_parse(slice_str(cases[i].text), &ns), cases[i].r);
        if (cases[i].r == 0)
            assert_int_equal(ns, cases[i].ns);
    }
}

static void formatted_timeouts_are_never_shorter(void **state)
{
    static const uint64_t ns[] = {1, 99999999, 100000000, 5000000000, 5000000001, UINT64_MAX / 2};

    for (size_t i = 0; i < ARRAY_LEN(ns); i++) {
        char text[16];
        uint64_t back;
        size_t n = grpc_timeout_format(ns[i], text);
        assert_int_equal(grpc_timeout_parse(slice_of(text, n), &back), 0);
        assert_true(back >= ns[i]);
        assert_true(back - ns[i] <= ns[i] / 1000000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_whole_out_of_pieces_of_any_size),
        cmocka_unit_test(compressed_and_oversized_messages_are_told),
        cmocka_unit_test(midway_is_known),
        cmocka_unit_test(status_texts_travel_percent_encoded),
        cmocka_unit_test(broken_escapes_stay_as_they_are),
        cmocka_unit_test(timeouts_in_all_units),
        cmocka_unit_test(formatted_timeouts_are_never_shorter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
