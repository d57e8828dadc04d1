#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "election.pb-c.h"
#include "etcd/fake_etcd.h"
#include "wire/pb.h"

#define SERVICE "/v3electionpb.Election/"

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

static struct grpc_call *campaign(struct server *s, int64_t lease, const char *value)
{
    struct grpc_call *c = fake_call(s, election_methods, SERVICE "Campaign");
    V3electionpb__CampaignRequest q = V3ELECTIONPB__CAMPAIGN_REQUEST__INIT;

    q.name = PB_BYTES(SLICE_LIT("e"));
    q.lease = lease;
    q.value = PB_BYTES(slice_str(value));
    fake_message(c, &q.base);
    fake_apply_all(s);
    return c;
}

static void assert_elected(struct grpc_call *c, const char *key, int64_t rev, int64_t lease,
                           int64_t header_rev)
{
    assert_true(fake_finished(c));
    assert_int_equal(fake_status(c), GRPC_OK);
    const V3electionpb__CampaignResponse *r =
        (const void *)fake_next(c, &v3electionpb__campaign_response__descriptor);
    assert_true(slice_eq_str(pb_slice(r->leader->name), "e"));
    assert_true(slice_eq_str(pb_slice(r->leader->key), key));
    assert_int_equal(r->leader->rev, rev);
    assert_int_equal(r->leader->lease, lease);
    assert_int_equal(r->header->revision, header_rev);
    fake_call_free(c);
}

static void assert_fails(struct grpc_call *c, const char *text)
{
    assert_true(fake_finished(c));
    assert_int_equal(fake_status(c), GRPC_UNKNOWN);
    assert_string_equal(fake_text(c), text);
    fake_call_free(c);
}

static V3electionpb__LeaderKey leader_key(const char *key, int64_t rev, int64_t lease)
{
    V3electionpb__LeaderKey k = V3ELECTIONPB__LEADER_KEY__INIT;

    k.name = PB_BYTES(SLICE_LIT("e"));
    k.key = PB_BYTES(slice_str(key));
    k.rev = rev;
    k.lease = lease;
    return k;
}

static struct grpc_call *proclaim(struct server *s, V3electionpb__LeaderKey *leader,
                                  const char *value)
{
    struct grpc_call *c = fake_call(s, election_methods, SERVICE "Proclaim");
    V3electionpb__ProclaimRequest q = V3ELECTIONPB__PROCLAIM_REQUEST__INIT;

    q.leader = leader;
    q.value = PB_BYTES(slice_str(value));
    fake_message(c, &q.base);
    fake_apply_all(s);
    return c;
}

static struct grpc_call *resign(struct server *s, V3electionpb__LeaderKey *leader)
{
    struct grpc_call *c = fake_call(s, election_methods, SERVICE "Resign");
    V3electionpb__ResignRequest q = V3ELECTIONPB__RESIGN_REQUEST__INIT;

    q.leader = leader;
    fake_message(c, &q.base);
    fake_apply_all(s);
    return c;
}

static struct grpc_call *ask(struct server *s, const char *method)
{
    struct grpc_call *c = fake_call(s, election_methods, method);
    V3electionpb__LeaderRequest q = V3ELECTIONPB__LEADER_REQUEST__INIT;

    q.name = PB_BYTES(SLICE_LIT("e"));
    fake_message(c, &q.base);
    return c;
}

/* The next answer of Leader or Observe. */
static void assert_leader(struct grpc_call *c, const char *key, const char *value,
                          int64_t header_rev)
{
    const V3electionpb__LeaderResponse *r =
        (const void *)fake_next(c, &v3electionpb__leader_response__descriptor);

    assert_non_null(r);
    assert_true(slice_eq_str(pb_slice(r->kv->key), key));
    assert_true(slice_eq_str(pb_slice(r->kv->value), value));
    assert_int_equal(r->header->revision, header_rev);
}

static void assert_silent(struct grpc_call *c)
{
    assert_false(fake_finished(c));
    assert_null(fake_next(c, &v3electionpb__leader_response__descriptor));
}

static const char *value_of(struct server *s, const char *key)
{
    static char value[64];
    struct mvcc_kv kv;

    if (mvcc_get(server_mvcc(s), slice_str(key), 0, &kv) < 0)
        return NULL;
    memcpy(value, kv.value.p, kv.value.n);
    value[kv.value.n] = 0;
    return value;
}

/* --- campaigning --- */

static void first_candidate_leads_and_the_next_waits(void **state)
{
    struct server *s = *state;
    struct grpc_call *a = campaign(s, 1, "A"), *b = campaign(s, 2, "B");

    assert_elected(a, "e/1", 2, 1, 2);
    assert_false(fake_finished(b));
    fake_lease_end(s, 1);
    assert_elected(b, "e/2", 3, 2, 3); /* the header of its write, as upstream */
}

static void candidate_may_change_its_value(void **state)
{
    struct server *s = *state;

    assert_elected(campaign(s, 1, "A"), "e/1", 2, 1, 2);
    assert_elected(campaign(s, 1, "A2"), "e/1", 2, 1, 2);
    assert_string_equal(value_of(s, "e/1"), "A2");
    assert_int_equal(mvcc_revision(server_mvcc(s)), 3);
}

static void candidate_that_loses_its_lease_is_told(void **state)
{
    struct server *s = *state;
    struct grpc_call *a = campaign(s, 1, "A"), *b = campaign(s, 2, "B");

    fake_call_free(a);
    fake_lease_end(s, 2);
    assert_fails(b, "election: not leader");
}

static void candidate_that_goes_away_leaves_the_queue(void **state)
{
    struct server *s = *state;
    struct grpc_call *a = campaign(s, 1, "A"), *b = campaign(s, 2, "B");

    fake_call_free(a);
    fake_cancel(b);
    fake_call_free(b);
    fake_apply_all(s);
    assert_null(value_of(s, "e/2"));
    assert_string_equal(value_of(s, "e/1"), "A");
}

/* --- leading --- */

static void leader_proclaims_and_resigns(void **state)
{
    struct server *s = *state;
    V3electionpb__LeaderKey k = leader_key("e/1", 2, 1);

    assert_elected(campaign(s, 1, "A"), "e/1", 2, 1, 2);
    struct grpc_call *c = proclaim(s, &k, "A2");
    const V3electionpb__ProclaimResponse *r =
        (const void *)fake_next(c, &v3electionpb__proclaim_response__descriptor);
    assert_int_equal(r->header->revision, 3);
    fake_call_free(c);
    assert_string_equal(value_of(s, "e/1"), "A2");
    c = resign(s, &k);
    assert_int_equal(fake_status(c), GRPC_OK);
    fake_call_free(c);
    assert_null(value_of(s, "e/1"));
}

static void only_the_leader_of_that_term_proclaims(void **state)
{
    struct server *s = *state;
    V3electionpb__LeaderKey k = leader_key("e/1", 1, 1);

    assert_elected(campaign(s, 1, "A"), "e/1", 2, 1, 2);
    assert_fails(proclaim(s, &k, "A2"), "election: not leader");
    assert_fails(proclaim(s, NULL, "A2"), "\"leader\" field must be provided");
    assert_fails(resign(s, NULL), "\"leader\" field must be provided");
    struct grpc_call *c = resign(s, &k); /* no leader of that term: nothing to do, no error */
    assert_int_equal(fake_status(c), GRPC_OK);
    fake_call_free(c);
    assert_string_equal(value_of(s, "e/1"), "A");
}

static void leader_is_the_oldest_candidate(void **state)
{
    struct server *s = *state;

    assert_fails(ask(s, SERVICE "Leader"), "election: no leader");
    assert_elected(campaign(s, 3, "C"), "e/3", 2, 3, 2);
    struct grpc_call *b = campaign(s, 1, "A"), *c = ask(s, SERVICE "Leader");
    assert_leader(c, "e/3", "C", 3);
    fake_call_free(c);
    fake_cancel(b);
    fake_call_free(b);
}

/* --- observing --- */

static void observer_sees_every_leader_and_value(void **state)
{
    struct server *s = *state;
    struct grpc_call *o = ask(s, SERVICE "Observe");

    assert_silent(o);
    assert_elected(campaign(s, 2, "B"), "e/2", 2, 2, 2);
    assert_leader(o, "e/2", "B", 2);
    struct grpc_call *a = campaign(s, 1, "A");
    assert_silent(o); /* a candidate is no leader */
    fake_client_put(s, "e/2", "B2", 2);
    assert_leader(o, "e/2", "B2", 4);
    fake_client_delete(s, "e/2");
    assert_leader(o, "e/1", "A", 5);
    fake_call_free(a);
    fake_client_delete(s, "e/1");
    assert_silent(o);
    fake_client_put(s, "e/4", "D", 4);
    assert_leader(o, "e/4", "D", 7);
    assert_silent(o);
    fake_cancel(o);
    fake_call_free(o);
}

static void observer_starts_with_who_leads_now(void **state)
{
    struct server *s = *state;

    fake_client_put(s, "e/2", "B", 2);
    fake_client_put(s, "other", "", 0);
    struct grpc_call *o = ask(s, SERVICE "Observe");
    assert_leader(o, "e/2", "B", 3);
    assert_silent(o);
    fake_cancel(o);
    fake_call_free(o);
}

static void slow_observer_gets_the_newest(void **state)
{
    struct server *s = *state;
    struct grpc_call *o = ask(s, SERVICE "Observe");

    fake_client_put(s, "e/2", "B", 2);
    assert_leader(o, "e/2", "B", 2);
    fake_set_queued(o, WATCH_QUEUE_MAX + 1);
    fake_client_put(s, "e/2", "B2", 2);
    fake_client_put(s, "e/2", "B3", 2);
    assert_silent(o);
    fake_set_queued(o, 0);
    assert_leader(o, "e/2", "B3", 4);
    fake_client_put(s, "e/2", "B4", 2);
    assert_leader(o, "e/2", "B4", 5);
    fake_cancel(o);
    fake_call_free(o);
}

static void observer_of_a_damaged_store_is_told(void **state)
{
    struct server *s = *state;
    struct grpc_call *o = ask(s, SERVICE "Observe");

    fake_client_put(s, "e/2", "B", 2);
    fake_mvcc_fail(server_mvcc(s), ERR_DATA_DAMAGED);
    fake_client_delete(s, "e/2");
    assert_int_equal(fake_status(o), GRPC_DATA_LOSS);
    fake_call_free(o);
    o = ask(s, SERVICE "Observe");
    assert_int_equal(fake_status(o), GRPC_DATA_LOSS);
    fake_call_free(o);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_candidate_leads_and_the_next_waits),
        TEST(candidate_may_change_its_value),
        TEST(candidate_that_loses_its_lease_is_told),
        TEST(candidate_that_goes_away_leaves_the_queue),
        TEST(leader_proclaims_and_resigns),
        TEST(only_the_leader_of_that_term_proclaims),
        TEST(leader_is_the_oldest_candidate),
        TEST(observer_sees_every_leader_and_value),
        TEST(observer_starts_with_who_leads_now),
        TEST(slow_observer_gets_the_newest),
        TEST(observer_of_a_damaged_store_is_told),
    };
    return cmocka_run_group_tests_name("api_election", tests, NULL, NULL);
}
