#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base64.h"
#include "base/rng.h"
#include "base/util.h"

/* RFC 4648 section 10, and the two last characters of the alphabet. */
static const struct {
    const char *bytes;
    const char *text;
} vectors[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/"},
};

static void vectors_encode_and_decode(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        struct slice bytes = slice_str(vectors[i].bytes);
        char text[16] = "";
        uint8_t back[16];
        size_t n;
        assert_int_equal(base64_encoded_len(bytes.n), strlen(vectors[i].text));
        base64_encode(bytes.p, bytes.n, text);
        assert_string_equal(text, vectors[i].text);
        assert_int_equal(base64_decode(slice_str(text), back, &n), 0);
        assert_true(slice_eq(slice_of(back, n), bytes));
        assert_int_equal(base64_decode_any(slice_str(text), back, &n), 0);
        assert_true(slice_eq(slice_of(back, n), bytes));
    }
}

static void strict_decoding_refuses_every_second_spelling(void **state)
{
    static const char *const rows[] = {
        "Zg",    "Zg=",   "Zm8",        "Zg===", "Z===", "====", "=",        "Zg==Zg==", "Z=g=",
        "Zm9v ", "Zm9\n", "Zm9vYmE=\n", "-_-_",  "Zh==", "Zm9=", "Zm9v====", "A",        "Zm9v=",
    };
    uint8_t out[16];
    size_t n;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(base64_decode(slice_str(rows[i]), out, &n), -EINVAL);
}

static void any_decoding_takes_what_protobuf_json_does(void **state)
{
    static const struct {
        const char *text;
        const char *want; /* NULL: refused */
    } rows[] = {
        {"Zg", "f"},     {"Zm8", "fo"}, {"-_-_", "\xfb\xff\xbf"}, {"Zh==", "f"}, {"Zg==", "f"},
        {"Zg=", NULL},   {"Z", NULL},   {"Zm9v=", NULL},          {"Z g", NULL}, {"====", NULL},
        {"Zm9v!", NULL}, {"=", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t out[16];
        size_t n;
        int r = base64_decode_any(slice_str(rows[i].text), out, &n);
        assert_int_equal(r, rows[i].want ? 0 : -EINVAL);
        if (r == 0)
            assert_true(slice_eq_str(slice_of(out, n), rows[i].want));
    }
}

static void random_bytes_round_trip_within_the_promised_room(void **state)
{
    struct rng rng;

    rng_seed(&rng, 11);
    for (size_t n = 0; n < 200; n++) {
        uint8_t *bytes = xmalloc(n);
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)rng_u64(&rng);
        size_t len = base64_encoded_len(n);
        char *text = xmalloc(len);
        base64_encode(bytes, n, text);
        uint8_t *back = xmalloc(base64_decoded_max(len));
        size_t back_n;
        assert_int_equal(base64_decode(slice_of(text, len), back, &back_n), 0);
        assert_int_equal(back_n, n);
        assert_memory_equal(back, bytes, n);
        free(back);
        free(text);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_encode_and_decode),
        cmocka_unit_test(strict_decoding_refuses_every_second_spelling),
        cmocka_unit_test(any_decoding_takes_what_protobuf_json_does),
        cmocka_unit_test(random_bytes_round_trip_within_the_promised_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
