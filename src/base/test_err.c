#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"

static void codes_carry_their_table_row(void **state)
{
    assert_string_equal(err_text(ERR_EMPTY_KEY), "etcdserver: key is not provided");
    assert_int_equal(err_grpc(ERR_EMPTY_KEY), GRPC_INVALID_ARGUMENT);
    assert_int_equal(err_http(ERR_LEASE_NOT_FOUND), 404);
    assert_int_equal(err_exit(ERR_USAGE), 3);
    assert_string_equal(err_text(ERR_END - 1), err_text(ERR_INTERNAL));
}

static void codes_outside_the_table_are_internal(void **state)
{
    static const int codes[] = {-ENOENT, ERR_FIRST, ERR_END, -1, 7};

    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        assert_int_equal(err_grpc(codes[i]), GRPC_INTERNAL);
        assert_int_equal(err_http(codes[i]), 500);
        assert_int_equal(err_exit(codes[i]), 1);
        assert_non_null(err_text(codes[i]));
    }
    assert_string_equal(err_text(-ENOENT), strerror(ENOENT));
}

static void zero_is_good(void **state)
{
    assert_string_equal(err_text(0), "ok");
    assert_int_equal(err_grpc(0), GRPC_OK);
    assert_int_equal(err_http(0), 200);
    assert_int_equal(err_exit(0), 0);
}

static void set_adds_the_text_of_an_errno_only(void **state)
{
    struct err e = {0};

    assert_int_equal(err_set(&e, -ENOENT, "open '%s'", "x"), -ENOENT);
    assert_string_equal(e.msg, "open 'x': No such file or directory");
    assert_int_equal(e.code, -ENOENT);
    assert_int_equal(err_set(&e, ERR_USAGE, "bad flag"), ERR_USAGE);
    assert_string_equal(e.msg, "bad flag");
    assert_int_equal(err_set(NULL, -EIO, "x"), -EIO);
}

static void wrap_puts_context_before(void **state)
{
    struct err e = {0};

    err_set(&e, ERR_CONFIG, "line 3");
    assert_int_equal(err_wrap(&e, ERR_USAGE, "file '%s'", "f"), ERR_USAGE);
    assert_string_equal(e.msg, "file 'f': line 3");
    assert_int_equal(e.code, ERR_USAGE);
    assert_int_equal(err_wrap(NULL, -EIO, "x"), -EIO);
}

static void wrap_of_nothing_says_what_the_code_says(void **state)
{
    struct err e = {0};

    err_wrap(&e, -EIO, "read");
    assert_string_equal(e.msg, "read: Input/output error");
    e = (struct err){0};
    err_wrap(&e, ERR_IN_USE, "lock");
    assert_string_equal(e.msg, "lock: in use by another process");
}

static void an_argument_may_be_the_message_itself(void **state)
{
    struct err e = {0};

    err_set(&e, ERR_CONFIG, "inner");
    err_set(&e, ERR_CONFIG, "outer (%s)", e.msg);
    assert_string_equal(e.msg, "outer (inner)");
    err_wrap(&e, ERR_CONFIG, "again %s", e.msg);
    assert_string_equal(e.msg, "again outer (inner): outer (inner)");
}

static void long_messages_are_cut(void **state)
{
    struct err e = {0};
    char text[2 * ERR_MSG_MAX];

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    err_set(&e, -EIO, "%s", text);
    assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
    err_set(&e, ERR_CONFIG, "short");
    err_wrap(&e, ERR_CONFIG, "%s", text);
    assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
    text[ERR_MSG_MAX - 3] = 0;
    err_set(&e, -EIO, "%s", text);
    assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_carry_their_table_row),
        cmocka_unit_test(codes_outside_the_table_are_internal),
        cmocka_unit_test(zero_is_good),
        cmocka_unit_test(set_adds_the_text_of_an_errno_only),
        cmocka_unit_test(wrap_puts_context_before),
        cmocka_unit_test(wrap_of_nothing_says_what_the_code_says),
        cmocka_unit_test(an_argument_may_be_the_message_itself),
        cmocka_unit_test(long_messages_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
