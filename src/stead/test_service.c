#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "stead/service.h"

static void run_and_end(struct service *s, uint64_t *now, bool listens, uint64_t up_for_ms)
{
    *now += service_wait_ms(s, *now);
    assert_true(service_is_due(s, *now));
    service_on_started(s, 42);
    if (listens) {
        service_on_listening(s, *now);
        *now += up_for_ms;
    }
    service_on_ended(s, *now);
}

static void starts_at_once(void **state)
{
    struct service s;

    service_init(&s, "x", 1000);
    assert_true(service_is_due(&s, 1000));
    assert_int_equal(service_wait_ms(&s, 1000), 0);
    service_on_started(&s, 42);
    assert_true(service_runs(&s));
    assert_true(service_wait_ms(&s, 1000) == UINT64_MAX);
}

static void pauses_double_up_to_the_maximum(void **state)
{
    struct service s;
    uint64_t now = 0, expected = SERVICE_BACKOFF_MIN_MS;

    service_init(&s, "x", now);
    for (int i = 0; i < 12; i++) {
        run_and_end(&s, &now, true, 1);
        assert_int_equal(s.state, SERVICE_WAITING);
        assert_int_equal(service_wait_ms(&s, now), expected);
        assert_false(service_is_due(&s, now + expected - 1));
        expected = MIN(expected * 2, (uint64_t)SERVICE_BACKOFF_MAX_MS);
    }
}

static void pause_begins_anew_after_a_stable_time(void **state)
{
    struct service s;
    uint64_t now = 0;

    service_init(&s, "x", now);
    for (int i = 0; i < 5; i++)
        run_and_end(&s, &now, true, 1);
    run_and_end(&s, &now, true, SERVICE_STABLE_MS);
    assert_int_equal(service_wait_ms(&s, now), SERVICE_BACKOFF_MIN_MS);
}

static void is_given_up_when_it_never_listens(void **state)
{
    struct service s;
    uint64_t now = 0;

    service_init(&s, "x", now);
    for (int i = 1; i < SERVICE_TRIES_MAX; i++) {
        run_and_end(&s, &now, false, 0);
        assert_int_equal(s.state, SERVICE_WAITING);
    }
    run_and_end(&s, &now, false, 0);
    assert_int_equal(s.state, SERVICE_FAILED);
    assert_false(service_is_due(&s, UINT64_MAX));
    service_stop(&s);
    assert_int_equal(s.state, SERVICE_FAILED);
}

static void listening_once_forgives_earlier_tries(void **state)
{
    struct service s;
    uint64_t now = 0;

    service_init(&s, "x", now);
    for (int i = 1; i < SERVICE_TRIES_MAX; i++)
        run_and_end(&s, &now, false, 0);
    run_and_end(&s, &now, true, 1);
    run_and_end(&s, &now, false, 0);
    assert_int_equal(s.state, SERVICE_WAITING);
}

static void stop_while_running_waits_for_the_end(void **state)
{
    struct service s;

    service_init(&s, "x", 0);
    service_on_started(&s, 42);
    service_stop(&s);
    assert_true(service_runs(&s));
    service_on_ended(&s, 5);
    assert_int_equal(s.state, SERVICE_STOPPED);
}

static void stop_while_waiting_is_immediate(void **state)
{
    struct service s;

    service_init(&s, "x", 0);
    service_stop(&s);
    assert_int_equal(s.state, SERVICE_STOPPED);
    assert_false(service_is_due(&s, 100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_at_once),
        cmocka_unit_test(pauses_double_up_to_the_maximum),
        cmocka_unit_test(pause_begins_anew_after_a_stable_time),
        cmocka_unit_test(is_given_up_when_it_never_listens),
        cmocka_unit_test(listening_once_forgives_earlier_tries),
        cmocka_unit_test(stop_while_running_waits_for_the_end),
        cmocka_unit_test(stop_while_waiting_is_immediate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
