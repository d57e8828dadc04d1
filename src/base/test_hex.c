#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/hex.h"
#include "base/util.h"

static void bytes_round_trip(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x0f, 0xf0, 0xff, 0x5a};
    char text[11] = "";
    uint8_t back[5];

    hex_encode(bytes, 5, text);
    assert_string_equal(text, "000ff0ff5a");
    assert_int_equal(hex_decode(SLICE_LIT("000Ff0fF5A"), back), 0);
    assert_memory_equal(back, bytes, 5);
    assert_int_equal(hex_decode(SLICE_EMPTY, back), 0);
}

static void bad_text_is_refused(void **state)
{
    static const char *const rows[] = {"0", "0g", "g0", " 0", "0x", "000", "::", "//", "@@", "``"};
    uint8_t out[4];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(hex_decode(slice_str(rows[i]), out), -EINVAL);
}

static void ids_are_written_as_percent_x(void **state)
{
    static const uint64_t rows[] = {0,
                                    1,
                                    9,
                                    10,
                                    0xf,
                                    0x10,
                                    0xfff,
                                    0x1000,
                                    1ULL << 60,
                                    UINT64_MAX,
                                    42,
                                    1ULL << 63,
                                    0x8e9e05c52164694d};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[HEX_U64_MAX], want[HEX_U64_MAX];
        uint64_t back = 7;
        snprintf(want, sizeof want, "%" PRIx64, rows[i]);
        assert_string_equal(hex_u64(rows[i], text), want);
        assert_int_equal(hex_u64_parse(slice_str(text), &back), 0);
        assert_int_equal(back, rows[i]);
    }
}

static void id_text_is_checked(void **state)
{
    static const struct {
        const char *text;
        int want;
    } rows[] = {
        {"", -EINVAL},
        {"0x1", -EINVAL},
        {"-1", -EINVAL},
        {" 1", -EINVAL},
        {"ffffffffffffffff", 0},
        {"0000000000000000001", 0},
        {"10000000000000000", -ERANGE},
        {"1000000000000000g", -EINVAL},
        {"DEADbeef", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t v;
        assert_int_equal(hex_u64_parse(slice_str(rows[i].text), &v), rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_round_trip),
        cmocka_unit_test(bad_text_is_refused),
        cmocka_unit_test(ids_are_written_as_percent_x),
        cmocka_unit_test(id_text_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
