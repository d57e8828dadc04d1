#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "etcd/alarm.h"

#define NOSPACE ETCDSERVERPB__ALARM_TYPE__NOSPACE
#define CORRUPT ETCDSERVERPB__ALARM_TYPE__CORRUPT

static void an_alarm_is_of_a_member_and_a_type(void **state)
{
    struct alarm_set a = {0};

    assert_true(alarm_raise(&a, 1, NOSPACE));
    assert_true(alarm_raise(&a, 2, NOSPACE));
    assert_false(alarm_raise(&a, 1, NOSPACE));
    assert_false(alarm_stands(&a, CORRUPT));
    assert_true(alarm_clear(&a, 1, NOSPACE));
    assert_true(alarm_stands(&a, NOSPACE));
    assert_false(alarm_clear(&a, 1, NOSPACE));
    assert_false(alarm_clear(&a, 2, CORRUPT));
    assert_true(alarm_clear(&a, 2, NOSPACE));
    assert_false(alarm_stands(&a, NOSPACE));
}

static void a_full_set_takes_no_more(void **state)
{
    struct alarm_set a = {0}, b;
    uint8_t bytes[ALARM_ENCODED_MAX];

    for (uint64_t i = 0; i < ALARMS_MAX; i++)
        assert_true(alarm_raise(&a, i, CORRUPT));
    assert_false(alarm_raise(&a, ALARMS_MAX, CORRUPT));
    size_t n = alarm_encode(&a, bytes);
    assert_int_equal(n, sizeof bytes);
    assert_int_equal(alarm_decode(&b, slice_of(bytes, n)), 0);
    assert_int_equal(b.n, ALARMS_MAX);
    assert_true(alarm_clear(&b, ALARMS_MAX - 1, CORRUPT));
}

static void a_stored_form_of_wrong_length_is_damage(void **state)
{
    static const uint8_t bytes[ALARM_ENCODED_MAX + 12];
    struct alarm_set a;

    assert_int_equal(alarm_decode(&a, SLICE_EMPTY), 0);
    assert_int_equal(a.n, 0);
    assert_int_equal(alarm_decode(&a, slice_of(bytes, 11)), ERR_DATA_DAMAGED);
    assert_int_equal(alarm_decode(&a, slice_of(bytes, sizeof bytes)), ERR_DATA_DAMAGED);
    assert_int_equal(a.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alarm_is_of_a_member_and_a_type),
        cmocka_unit_test(a_full_set_takes_no_more),
        cmocka_unit_test(a_stored_form_of_wrong_length_is_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
