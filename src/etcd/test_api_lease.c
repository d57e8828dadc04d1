#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "etcd/fake_etcd.h"
#include "health.pb-c.h"

static int setup(void **state)
{
    *state = fake_server_new();
    return 0;
}

static int teardown(void **state)
{
    fake_server_free(*state);
    return 0;
}

/* --- calls --- */

static struct grpc_call *grant(struct server *s, int64_t id, int64_t ttl)
{
    struct grpc_call *c = fake_call(s, lease_methods, "/etcdserverpb.Lease/LeaseGrant");
    Etcdserverpb__LeaseGrantRequest q = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;

    q.id = id;
    q.ttl = ttl;
    fake_message(c, &q.base);
    return c;
}

static const Etcdserverpb__LeaseGrantResponse *granted(struct grpc_call *c)
{
    return (const void *)fake_next(c, &etcdserverpb__lease_grant_response__descriptor);
}

static void grant_done(struct server *s, int64_t id, int64_t ttl)
{
    struct grpc_call *c = grant(s, id, ttl);

    fake_apply_all(s);
    assert_int_equal(fake_status(c), GRPC_OK);
    fake_call_free(c);
}

static struct grpc_call *keep_alive_open(struct server *s)
{
    return fake_call(s, lease_methods, "/etcdserverpb.Lease/LeaseKeepAlive");
}

static const Etcdserverpb__LeaseKeepAliveResponse *keep_alive(struct grpc_call *c, int64_t id)
{
    Etcdserverpb__LeaseKeepAliveRequest q = ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;

    q.id = id;
    fake_message(c, &q.base);
    return (const void *)fake_next(c, &etcdserverpb__lease_keep_alive_response__descriptor);
}

static struct grpc_call *time_to_live(struct server *s, int64_t id, bool keys,
                                      const Etcdserverpb__LeaseTimeToLiveResponse **ret)
{
    struct grpc_call *c = fake_call(s, lease_methods, "/etcdserverpb.Lease/LeaseTimeToLive");
    Etcdserverpb__LeaseTimeToLiveRequest q = ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;

    q.id = id;
    q.keys = keys;
    fake_message(c, &q.base);
    *ret = (const void *)fake_next(c, &etcdserverpb__lease_time_to_live_response__descriptor);
    return c;
}

/* --- tests --- */

static void grant_picks_a_positive_id_and_the_least_time(void **state)
{
    struct server *s = *state;
    struct grpc_call *c = grant(s, 0, 1);

    assert_false(fake_finished(c)); /* not before it is applied */
    fake_apply_all(s);
    const Etcdserverpb__LeaseGrantResponse *r = granted(c);
    assert_true(r->id > 0);
    assert_int_equal(r->ttl, FAKE_MIN_TTL_S);
    assert_int_equal(r->header->revision, 1);
    assert_true(lease_exists(server_leases(s), r->id));
    fake_call_free(c);
}

static const struct {
    int64_t id, ttl;
    int status;
    const char *text;
} refused[] = {
    {1, LEASE_TTL_MAX_S + 1, GRPC_OUT_OF_RANGE, "etcdserver: too large lease TTL"},
    {7, 10, GRPC_FAILED_PRECONDITION, "etcdserver: lease already exists"},
    {-1, 10, GRPC_NOT_FOUND, "etcdserver: requested lease not found"},
};

static void grant_refuses_before_the_log(void **state)
{
    struct server *s = *state;

    grant_done(s, 7, 10);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct grpc_call *c = grant(s, refused[i].id, refused[i].ttl);
        assert_int_equal(fake_status(c), refused[i].status);
        assert_string_equal(fake_text(c), refused[i].text);
        assert_int_equal(fake_pending(s), 0);
        fake_call_free(c);
    }
    fake_set_quota_left(s, 63);
    struct grpc_call *c = grant(s, 8, 10);
    assert_string_equal(fake_text(c), "etcdserver: mvcc: database space exceeded");
    fake_call_free(c);
    fake_set_quota_left(s, 64);
    fake_set_refuse(s, ERR_STOPPED);
    c = grant(s, 8, 10);
    assert_int_equal(fake_status(c), GRPC_UNAVAILABLE);
    fake_call_free(c);
}

static void canceled_grant_is_not_answered(void **state)
{
    struct server *s = *state;
    struct grpc_call *c = grant(s, 7, 10);

    fake_cancel(c);
    fake_apply_all(s);
    assert_int_equal(fake_sent(c), 0);
    assert_true(lease_exists(server_leases(s), 7)); /* the write takes its course */
    fake_call_free(c);
}

static void revoke_takes_the_keys_along(void **state)
{
    struct server *s = *state;
    Etcdserverpb__LeaseRevokeRequest q = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    static const int want[] = {GRPC_OK, GRPC_NOT_FOUND};

    grant_done(s, 7, 10);
    fake_client_put(s, "a", "1", 7);
    q.id = 7;
    for (int i = 0; i < 2; i++) {
        struct grpc_call *c = fake_call(s, lease_methods, "/etcdserverpb.Lease/LeaseRevoke");
        fake_message(c, &q.base);
        fake_apply_all(s);
        assert_int_equal(fake_status(c), want[i]);
        fake_call_free(c);
    }
    assert_int_equal(mvcc_revision(server_mvcc(s)), 3);
}

static void keep_alive_tells_unknown_leases_by_time_zero(void **state)
{
    struct server *s = *state;
    struct grpc_call *c = keep_alive_open(s);

    grant_done(s, 7, 10);
    fake_set_now(s, 4 * NS_PER_S);
    assert_int_equal(keep_alive(c, 7)->ttl, 10);
    const Etcdserverpb__LeaseKeepAliveResponse *r = keep_alive(c, 8);
    assert_int_equal(r->id, 8);
    assert_int_equal(r->ttl, 0);
    assert_int_equal(r->header->revision, 1);
    assert_int_equal(fake_pending(s), 0); /* no write */
    assert_false(fake_finished(c));
    fake_cancel(c);
    fake_call_free(c);
}

static void time_to_live_is_what_is_left(void **state)
{
    struct server *s = *state;
    const Etcdserverpb__LeaseTimeToLiveResponse *r;

    grant_done(s, 7, 10);
    fake_client_put(s, "b", "1", 7);
    fake_client_put(s, "a", "1", 7);
    fake_set_now(s, 4 * NS_PER_S);
    struct grpc_call *c = time_to_live(s, 7, false, &r);
    assert_int_equal(r->id, 7);
    assert_int_equal(r->ttl, 6);
    assert_int_equal(r->grantedttl, 10);
    assert_int_equal(r->n_keys, 0);
    assert_int_equal(r->header->revision, 3);
    fake_call_free(c);
    c = time_to_live(s, 7, true, &r);
    assert_int_equal(r->n_keys, 2);
    fake_call_free(c);
    c = time_to_live(s, 8, true, &r);
    assert_int_equal(r->id, 8);
    assert_int_equal(r->ttl, -1);
    assert_int_equal(r->grantedttl, 0);
    fake_call_free(c);
}

static void leases_are_listed(void **state)
{
    struct server *s = *state;
    struct grpc_call *c = fake_call(s, lease_methods, "/etcdserverpb.Lease/LeaseLeases");
    Etcdserverpb__LeaseLeasesRequest q = ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;

    grant_done(s, 7, 10);
    grant_done(s, 9, 10);
    fake_message(c, &q.base);
    const Etcdserverpb__LeaseLeasesResponse *r =
        (const void *)fake_next(c, &etcdserverpb__lease_leases_response__descriptor);
    assert_int_equal(r->n_leases, 2);
    assert_int_equal(r->leases[0]->id, 7);
    assert_int_equal(r->leases[1]->id, 9);
    fake_call_free(c);
}

static void members_are_listed_without_a_revision(void **state)
{
    struct server *s = *state;
    struct grpc_call *c = fake_call(s, cluster_methods, "/etcdserverpb.Cluster/MemberList");
    Etcdserverpb__MemberListRequest q = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;

    fake_message(c, &q.base);
    const Etcdserverpb__MemberListResponse *r =
        (const void *)fake_next(c, &etcdserverpb__member_list_response__descriptor);
    assert_int_equal(r->header->revision, 0);
    assert_int_equal(r->header->cluster_id, FAKE_CLUSTER_ID);
    assert_int_equal(r->n_members, 1);
    assert_int_equal(r->members[0]->id, FAKE_MEMBER_ID);
    assert_string_equal(r->members[0]->name, "default");
    assert_int_equal(r->members[0]->n_clienturls, 1);
    fake_call_free(c);
    c = fake_call(s, cluster_methods, "/etcdserverpb.Cluster/MemberAdd");
    Etcdserverpb__LeaseLeasesRequest any = ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;
    fake_message(c, &any.base);
    assert_int_equal(fake_status(c), GRPC_UNIMPLEMENTED);
    fake_call_free(c);
}

static const Grpc__Health__V1__HealthCheckResponse *health(struct grpc_call *c, char *service)
{
    Grpc__Health__V1__HealthCheckRequest q;

    grpc__health__v1__health_check_request__init(&q);
    q.service = service;
    fake_message(c, &q.base);
    return (const void *)fake_next(c, &grpc__health__v1__health_check_response__descriptor);
}

static void health_knows_the_server_as_a_whole(void **state)
{
    struct server *s = *state;
    char empty[] = "", other[] = "other";
    struct grpc_call *c = fake_call(s, health_methods, "/grpc.health.v1.Health/Check");

    assert_int_equal(health(c, empty)->status, 1);
    fake_call_free(c);
    c = fake_call(s, health_methods, "/grpc.health.v1.Health/Check");
    assert_null(health(c, other));
    assert_int_equal(fake_status(c), GRPC_NOT_FOUND);
    assert_string_equal(fake_text(c), "unknown service");
    fake_call_free(c);
    c = fake_call(s, health_methods, "/grpc.health.v1.Health/Watch");
    assert_int_equal(health(c, empty)->status, 1);
    assert_false(fake_finished(c));
    fake_cancel(c);
    fake_call_free(c);
    c = fake_call(s, health_methods, "/grpc.health.v1.Health/Watch");
    assert_int_equal(health(c, other)->status, 3);
    fake_cancel(c);
    fake_call_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(grant_picks_a_positive_id_and_the_least_time),
        TEST(grant_refuses_before_the_log),
        TEST(canceled_grant_is_not_answered),
        TEST(revoke_takes_the_keys_along),
        TEST(keep_alive_tells_unknown_leases_by_time_zero),
        TEST(time_to_live_is_what_is_left),
        TEST(leases_are_listed),
        TEST(members_are_listed_without_a_revision),
        TEST(health_knows_the_server_as_a_whole),
    };
    return cmocka_run_group_tests_name("api_lease", tests, NULL, NULL);
}
