#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "etcd/fake_etcd.h"
#include "etcd/turn.h"
#include "lock.pb-c.h"
#include "wire/pb.h"

static int setup(void **state)
{
    struct server *s = fake_server_new();

    for (int64_t id = 1; id <= 4; id++)
        lease_add(server_leases(s), id, 10, 0, 0);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    fake_server_free(*state);
    return 0;
}

static struct grpc_call *lock(struct server *s, int64_t lease)
{
    struct grpc_call *c = fake_call(s, lock_methods, "/v3lockpb.Lock/Lock");
    V3lockpb__LockRequest q = V3LOCKPB__LOCK_REQUEST__INIT;

    q.name = PB_BYTES(SLICE_LIT("l"));
    q.lease = lease;
    fake_message(c, &q.base);
    return c;
}

/* Asks and lets the write apply. */
static struct grpc_call *lock_enter(struct server *s, int64_t lease)
{
    struct grpc_call *c = lock(s, lease);

    fake_apply_all(s);
    return c;
}

static void assert_locked(struct grpc_call *c, const char *key, int64_t header_rev)
{
    assert_true(fake_finished(c));
    assert_int_equal(fake_status(c), GRPC_OK);
    const V3lockpb__LockResponse *r =
        (const void *)fake_next(c, &v3lockpb__lock_response__descriptor);
    assert_true(slice_eq_str(pb_slice(r->key), key));
    assert_int_equal(r->header->revision, header_rev);
    fake_call_free(c);
}

static bool key_exists(struct server *s, const char *key)
{
    struct mvcc_kv kv;

    return mvcc_get(server_mvcc(s), slice_str(key), 0, &kv) == 0;
}

static void unlock(struct server *s, const char *key)
{
    struct grpc_call *c = fake_call(s, lock_methods, "/v3lockpb.Lock/Unlock");
    V3lockpb__UnlockRequest q = V3LOCKPB__UNLOCK_REQUEST__INIT;

    q.key = PB_BYTES(slice_str(key));
    fake_message(c, &q.base);
    fake_apply_all(s);
    assert_int_equal(fake_status(c), GRPC_OK);
    const V3lockpb__UnlockResponse *r =
        (const void *)fake_next(c, &v3lockpb__unlock_response__descriptor);
    assert_int_equal(r->header->revision, mvcc_revision(server_mvcc(s)));
    fake_call_free(c);
}

static void free_lock_is_taken_by_one_write(void **state)
{
    struct server *s = *state;
    struct grpc_call *c = lock(s, 1);

    assert_false(fake_finished(c));
    fake_apply(s);
    assert_int_equal(fake_pending(s), 0);
    assert_locked(c, "l/1", 2);
    /* The same session again: it has it already. */
    assert_locked(lock_enter(s, 1), "l/1", 2);
}

static void lease_is_made_for_who_has_none(void **state)
{
    struct server *s = *state;
    struct grpc_call *c = lock_enter(s, 0);
    int64_t ids[8], left, ttl;
    char key[32];

    assert_int_equal(lease_count(server_leases(s)), 5);
    lease_list(server_leases(s), ids);
    lease_time_to_live(server_leases(s), ids[4], 0, &left, &ttl);
    assert_int_equal(ttl, TURN_SESSION_TTL_S);
    snprintf(key, sizeof key, "l/%llx", (long long)ids[4]);
    assert_locked(c, key, 2);
}

static void unknown_lease_is_refused(void **state)
{
    struct server *s = *state;
    struct grpc_call *c = lock_enter(s, 99);

    assert_int_equal(fake_status(c), GRPC_UNKNOWN);
    assert_string_equal(fake_text(c), "etcdserver: requested lease not found");
    fake_call_free(c);
}

static void waiters_are_served_in_order_of_arrival(void **state)
{
    struct server *s = *state;
    struct grpc_call *a = lock_enter(s, 3), *b = lock_enter(s, 1), *c = lock_enter(s, 2);

    assert_locked(a, "l/3", 2);
    assert_false(fake_finished(b) || fake_finished(c));
    unlock(s, "l/3");
    assert_locked(b, "l/1", 5);
    assert_false(fake_finished(c));
    fake_lease_end(s, 1);
    assert_locked(c, "l/2", 6);
}

static void waiter_goes_on_waiting_when_one_before_it_leaves(void **state)
{
    struct server *s = *state;
    struct grpc_call *a = lock_enter(s, 1), *b = lock_enter(s, 2), *c = lock_enter(s, 3);

    assert_locked(a, "l/1", 2);
    fake_cancel(b);
    fake_apply_all(s);
    assert_false(key_exists(s, "l/2"));
    assert_false(fake_finished(c));
    fake_client_put(s, "l/1", "touched", 1); /* no end of anybody's turn */
    assert_false(fake_finished(c));
    unlock(s, "l/1");
    assert_locked(c, "l/3", 7);
    fake_call_free(b);
}

static void canceled_waiter_with_a_lease_of_its_own_gives_both_up(void **state)
{
    struct server *s = *state;
    struct grpc_call *a = lock_enter(s, 1), *b = lock_enter(s, 0);

    assert_locked(a, "l/1", 2);
    assert_int_equal(lease_count(server_leases(s)), 5);
    fake_cancel(b);
    fake_apply_all(s);
    assert_int_equal(lease_count(server_leases(s)), 4);
    assert_int_equal(mvcc_revision(server_mvcc(s)), 4);
    fake_call_free(b);
}

static void cancel_while_entering_takes_the_key_back(void **state)
{
    struct server *s = *state;
    struct grpc_call *a = lock(s, 1);

    fake_cancel(a);
    fake_apply(s);
    assert_true(key_exists(s, "l/1"));
    fake_apply_all(s);
    assert_false(key_exists(s, "l/1"));
    fake_call_free(a);
}

static void cancel_while_entering_leaves_a_held_lock_alone(void **state)
{
    struct server *s = *state;

    assert_locked(lock_enter(s, 1), "l/1", 2);
    struct grpc_call *again = lock(s, 1);
    fake_cancel(again);
    fake_apply_all(s);
    assert_true(key_exists(s, "l/1"));
    fake_call_free(again);
}

static void cancel_while_the_lease_is_made_enters_nothing(void **state)
{
    struct server *s = *state;
    struct grpc_call *a = lock(s, 0);

    fake_cancel(a);
    fake_apply_all(s);
    assert_int_equal(mvcc_revision(server_mvcc(s)), 1);
    fake_call_free(a);
}

static void expired_session_ends_the_wait(void **state)
{
    struct server *s = *state;
    struct grpc_call *a = lock_enter(s, 1), *b = lock_enter(s, 2);

    assert_locked(a, "l/1", 2);
    fake_lease_end(s, 2);
    assert_int_equal(fake_status(b), GRPC_UNKNOWN);
    assert_string_equal(fake_text(b), "mutex: session is expired");
    fake_call_free(b);
}

static void both_leases_may_end_in_one_revision(void **state)
{
    struct server *s = *state;
    struct mvcc *m = server_mvcc(s);
    struct grpc_call *a = lock_enter(s, 1), *b = lock_enter(s, 2);
    size_t n;

    assert_locked(a, "l/1", 2);
    fake_begin(m);
    fake_delete(m, "l/1");
    fake_delete(m, "l/2");
    fake_end(m);
    const struct mvcc_event *ev = fake_events(m, mvcc_revision(m), &n);
    watch_hub_publish(server_watches(s), ev, n, mvcc_revision(m));
    assert_string_equal(fake_text(b), "mutex: session is expired");
    fake_call_free(b);
}

static void failures_reach_the_asker(void **state)
{
    struct server *s = *state;
    struct grpc_call *a = lock_enter(s, 1), *b = lock_enter(s, 2), *c;

    assert_locked(a, "l/1", 2);
    fake_mvcc_fail(server_mvcc(s), ERR_DATA_DAMAGED);
    fake_client_delete(s, "l/1");
    assert_int_equal(fake_status(b), GRPC_UNKNOWN);
    fake_apply_all(s);
    assert_false(key_exists(s, "l/2"));
    fake_set_refuse(s, ERR_TOO_MANY_REQUESTS);
    c = lock(s, 3);
    assert_string_equal(fake_text(c), "etcdserver: too many requests");
    fake_call_free(b);
    fake_call_free(c);
}

static void waiting_call_may_outlive_nothing_at_stop(void **state)
{
    struct server *s = *state;
    struct grpc_call *a = lock_enter(s, 1), *b = lock_enter(s, 2), *c = lock(s, 3);

    assert_locked(a, "l/1", 2);
    fake_set_refuse(s, ERR_STOPPED);
    fake_cancel(b);
    fake_cancel(c); /* its write is answered when the server goes */
    fake_call_free(b);
    fake_call_free(c);
}

static void unlock_wants_a_key(void **state)
{
    struct grpc_call *c = fake_call(*state, lock_methods, "/v3lockpb.Lock/Unlock");
    V3lockpb__UnlockRequest q = V3LOCKPB__UNLOCK_REQUEST__INIT;

    fake_message(c, &q.base);
    assert_string_equal(fake_text(c), "etcdserver: key is not provided");
    fake_call_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(free_lock_is_taken_by_one_write),
        TEST(lease_is_made_for_who_has_none),
        TEST(unknown_lease_is_refused),
        TEST(waiters_are_served_in_order_of_arrival),
        TEST(waiter_goes_on_waiting_when_one_before_it_leaves),
        TEST(canceled_waiter_with_a_lease_of_its_own_gives_both_up),
        TEST(cancel_while_entering_takes_the_key_back),
        TEST(cancel_while_entering_leaves_a_held_lock_alone),
        TEST(cancel_while_the_lease_is_made_enters_nothing),
        TEST(expired_session_ends_the_wait),
        TEST(both_leases_may_end_in_one_revision),
        TEST(failures_reach_the_asker),
        TEST(waiting_call_may_outlive_nothing_at_stop),
        TEST(unlock_wants_a_key),
    };
    return cmocka_run_group_tests_name("api_lock", tests, NULL, NULL);
}
