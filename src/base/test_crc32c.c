#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc32c.h"
#include "base/rng.h"
#include "base/util.h"

/* RFC 3720 appendix B.4, whose bytes are least significant first; and the check value of the CRC
 * catalogue. */
static void known_values(void **state)
{
    static const uint8_t read_command[48] = {
        0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 4, 0,
        0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 2,    0, 0, 0, 0, 0, 0, 0};
    uint8_t zeros[32] = {0}, ones[32], up[32], down[32];

    for (uint8_t i = 0; i < 32; i++) {
        ones[i] = 0xff;
        up[i] = i;
        down[i] = (uint8_t)(31 - i);
    }
    const struct {
        const void *p;
        size_t n;
        uint32_t want;
    } rows[] = {
        {zeros, 32, 0x8a9136aa},
        {ones, 32, 0x62a8ab43},
        {up, 32, 0x46dd794e},
        {down, 32, 0x113fdb5c},
        {read_command, 48, 0xd9963a56},
        {"123456789", 9, 0xe3069283},
        {"", 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(crc32c(0, rows[i].p, rows[i].n), rows[i].want);
        assert_int_equal(crc32c_portable(0, rows[i].p, rows[i].n), rows[i].want);
    }
}

static void cpu_and_table_agree_at_any_length_and_offset(void **state)
{
    uint8_t bytes[300];
    struct rng rng;

    rng_seed(&rng, 3);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)rng_u64(&rng);
    for (size_t start = 0; start < 9; start++)
        for (size_t n = 0; start + n <= sizeof bytes; n++)
            assert_int_equal(crc32c(5, bytes + start, n), crc32c_portable(5, bytes + start, n));
}

static void parts_give_the_checksum_of_the_whole(void **state)
{
    static const char text[] = "a record is written in two parts";
    uint32_t whole = crc32c(0, text, sizeof text);

    for (size_t i = 0; i <= sizeof text; i++)
        assert_int_equal(crc32c(crc32c(0, text, i), text + i, sizeof text - i), whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(cpu_and_table_agree_at_any_length_and_offset),
        cmocka_unit_test(parts_give_the_checksum_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
