#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/utf8.h"
#include "base/util.h"

static void characters_have_their_length(void **state)
{
    static const struct {
        const char *text;
        size_t want;
    } rows[] = {
        {"a", 1},
        {"\xc2\x80", 2},
        {"\xdf\xbf", 2},
        {"\xe0\xa0\x80", 3},
        {"\xed\x9f\xbf", 3},
        {"\xee\x80\x80", 3},
        {"\xef\xbf\xbf", 3},
        {"\xf0\x90\x80\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"", 0},
        {"\x80", 0},             /* continuation alone */
        {"\xc0\x80", 0},         /* overlong NUL */
        {"\xc1\xbf", 0},         /* overlong */
        {"\xe0\x9f\xbf", 0},     /* overlong */
        {"\xf0\x8f\xbf\xbf", 0}, /* overlong */
        {"\xed\xa0\x80", 0},     /* surrogate */
        {"\xf4\x90\x80\x80", 0}, /* past U+10FFFF */
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
        {"\xc2", 0}, /* cut */
        {"\xe2\x82", 0},
        {"\xf0\x9f\x98", 0},
        {"\xe2\x82z", 0},
        {"\xf0\x9f\x98z", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(utf8_char_len(slice_str(rows[i].text)), rows[i].want);
}

static void a_bad_byte_is_found_at_any_place(void **state)
{
    char text[40];

    memset(text, 'a', sizeof text);
    assert_true(utf8_valid(SLICE_EMPTY));
    assert_true(utf8_valid(slice_of(text, sizeof text)));
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)0xff;
        assert_false(utf8_valid(slice_of(text, sizeof text)));
        text[i] = 'a';
    }
    assert_true(utf8_valid(SLICE_LIT("gr\xc3\xbc\xc3\x9f dich \xe2\x82\xac \xf0\x9f\x98\x80!")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_have_their_length),
        cmocka_unit_test(a_bad_byte_is_found_at_any_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
