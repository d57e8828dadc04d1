#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/rng.h"
#include "etcd/lease.h"

#define S       NS_PER_S
#define MIN_TTL 2

static const uint64_t seed[2] = {1, 2};

static void ttl_is_raised_to_the_minimum_and_bounded(void **state)
{
    static const struct {
        int64_t asked, got;
        int r;
    } cases[] = {
        {-5, MIN_TTL, 0},
        {0, MIN_TTL, 0},
        {1, MIN_TTL, 0},
        {2, 2, 0},
        {3, 3, 0},
        {LEASE_TTL_MAX_S, LEASE_TTL_MAX_S, 0},
        {LEASE_TTL_MAX_S + 1, 0, ERR_LEASE_TTL_TOO_LARGE},
        {INT64_MIN, MIN_TTL, 0},
    };
    struct lease_set *s = lease_set_new(MIN_TTL, seed);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t got = 0;
        assert_int_equal(lease_ttl_effective(s, cases[i].asked, &got), cases[i].r);
        assert_int_equal(got, cases[i].got);
    }
    lease_set_free(s);
}

static void assert_left(struct lease_set *s, int64_t id, uint64_t now_ns, int64_t left)
{
    int64_t l, granted;

    assert_int_equal(lease_time_to_live(s, id, now_ns, &l, &granted), 0);
    assert_int_equal(l, left);
}

static void lease_lives_its_ttl_and_renewal_starts_it_anew(void **state)
{
    struct lease_set *s = lease_set_new(MIN_TTL, seed);
    int64_t out[2], ttl;

    assert_int_equal(lease_next_deadline_ns(s), UINT64_MAX);
    assert_int_equal(lease_add(s, 7, 10, 0, 100 * S), 0);
    assert_int_equal(lease_add(s, 7, 10, 0, 100 * S), ERR_LEASE_EXISTS);
    assert_left(s, 7, 100 * S, 10);
    assert_left(s, 7, 100 * S + 1, 9);
    assert_int_equal(lease_renew(s, 7, 105 * S, &ttl), 0);
    assert_int_equal(ttl, 10);
    assert_int_equal(lease_next_deadline_ns(s), 115 * S);
    assert_int_equal(lease_expired(s, 115 * S - 1, out, 2), 0);
    assert_int_equal(lease_renew(s, 7, 115 * S, &ttl), ERR_LEASE_NOT_FOUND);
    assert_int_equal(lease_expired(s, 115 * S, out, 2), 1);
    assert_int_equal(out[0], 7);
    assert_int_equal(lease_renew(s, 8, 0, &ttl), ERR_LEASE_NOT_FOUND);
    lease_set_free(s);
    lease_set_free(NULL);
}

static void restored_lease_keeps_its_remaining_time(void **state)
{
    struct lease_set *s = lease_set_new(MIN_TTL, seed);
    int64_t ttl;

    assert_int_equal(lease_add(s, 1, 100, 3, 0), 0);
    assert_left(s, 1, 0, 3);
    assert_int_equal(lease_renew(s, 1, S, &ttl), 0);
    assert_left(s, 1, S, 100);
    lease_set_free(s);
}

static void largest_ttl_does_not_overflow(void **state)
{
    struct lease_set *s = lease_set_new(MIN_TTL, seed);

    assert_int_equal(lease_add(s, 1, LEASE_TTL_MAX_S, 0, UINT64_MAX / 2), 0);
    assert_int_equal(lease_add(s, 2, LEASE_TTL_MAX_S, 0, UINT64_MAX - S), 0);
    assert_left(s, 1, UINT64_MAX / 2, LEASE_TTL_MAX_S);
    assert_true(lease_next_deadline_ns(s) < UINT64_MAX);
    lease_set_free(s);
}

static void expired_lease_is_handed_out_once_and_stays_until_removed(void **state)
{
    struct lease_set *s = lease_set_new(MIN_TTL, seed);
    int64_t out[4], ttl;

    for (int64_t id = 1; id <= 3; id++)
        assert_int_equal(lease_add(s, id, 10 - id, 0, 0), 0);
    assert_int_equal(lease_expired(s, 20 * S, out, 2), 2);
    assert_int_equal(out[0], 3);
    assert_int_equal(out[1], 2);
    assert_int_equal(lease_expired(s, 20 * S, out, 4), 1);
    assert_int_equal(out[0], 1);
    assert_int_equal(lease_expired(s, 20 * S, out, 4), 0);
    assert_int_equal(lease_next_deadline_ns(s), UINT64_MAX);
    assert_int_equal(lease_count(s), 3);
    assert_true(lease_exists(s, 1));
    assert_left(s, 1, 0, 0);
    assert_int_equal(lease_renew(s, 1, 0, &ttl), ERR_LEASE_NOT_FOUND);
    assert_int_equal(lease_remove(s, 1), 0);
    assert_int_equal(lease_remove(s, 1), ERR_LEASE_NOT_FOUND);
    assert_int_equal(lease_count(s), 2);
    lease_set_free(s);
}

static void failed_revocation_is_handed_out_again_later(void **state)
{
    struct lease_set *s = lease_set_new(MIN_TTL, seed);
    int64_t out[2], ttl;

    assert_int_equal(lease_add(s, 1, 5, 0, 0), 0);
    lease_retry(s, 1, 0); /* not handed out: nothing to give back */
    assert_int_equal(lease_next_deadline_ns(s), 5 * S);
    assert_int_equal(lease_expired(s, 6 * S, out, 2), 1);
    lease_retry(s, 1, 6 * S);
    lease_retry(s, 1, 6 * S);
    lease_retry(s, 9, 6 * S);
    assert_int_equal(lease_expired(s, 6 * S, out, 2), 0);
    assert_int_equal(lease_renew(s, 1, 6 * S, &ttl), ERR_LEASE_NOT_FOUND);
    assert_left(s, 1, 6 * S, 0);
    assert_int_equal(lease_expired(s, 6 * S + LEASE_RETRY_NS, out, 2), 1);
    lease_set_free(s);
}

static void checkpoint_is_due_when_the_stored_time_has_drifted(void **state)
{
    struct lease_set *s = lease_set_new(MIN_TTL, seed);
    struct lease_remaining out[4];
    int64_t ttl;

    assert_int_equal(lease_add(s, 1, 1000, 0, 0), 0);
    assert_int_equal(lease_add(s, 2, 200, 0, 0), 0); /* never off by so much */
    assert_int_equal(lease_checkpoint_due(s, 300 * S, 300, out, 4), 0);
    assert_int_equal(lease_checkpoint_due(s, 301 * S + 1, 300, out, 4), 1);
    assert_int_equal(out[0].id, 1);
    assert_int_equal(out[0].remaining_s, 699);
    assert_int_equal(lease_checkpoint_due(s, 301 * S, 300, out, 0), 0);
    lease_checkpointed(s, 1, 699);
    lease_checkpointed(s, 9, 1);
    assert_int_equal(lease_checkpoint_due(s, 302 * S, 300, out, 4), 0);
    /* Renewed: the stored time is too short now. */
    assert_int_equal(lease_renew(s, 1, 302 * S, &ttl), 0);
    assert_int_equal(lease_checkpoint_due(s, 302 * S, 300, out, 4), 1);
    assert_int_equal(out[0].remaining_s, 1000);
    lease_checkpointed(s, 1, 0); /* the full ttl */
    assert_int_equal(lease_checkpoint_due(s, 302 * S, 300, out, 4), 0);
    lease_set_free(s);
}

/* --- against a model that looks at everything --- */

#define MODEL_IDS   60
#define MODEL_STEPS 20000

struct model {
    bool live, out; /* out: handed out */
    bool expired;
    int64_t ttl;
    uint64_t deadline;
};
static struct model model[MODEL_IDS + 1];

static void check_against_model(struct lease_set *s, uint64_t now)
{
    int64_t ids[MODEL_IDS], n = 0;
    uint64_t next = UINT64_MAX;

    for (int64_t id = 1; id <= MODEL_IDS; id++) {
        struct model *m = &model[id];
        assert_int_equal(lease_exists(s, id), m->live);
        if (!m->live)
            continue;
        n++;
        bool dead = m->expired || m->deadline <= now;
        assert_left(s, id, now, dead ? 0 : (int64_t)((m->deadline - now) / S));
        if (!m->out)
            next = MIN(next, m->deadline);
    }
    assert_int_equal(lease_count(s), n);
    assert_int_equal(lease_next_deadline_ns(s), next);
    lease_list(s, ids);
    for (int64_t i = 0; i < n; i++) {
        assert_true(model[ids[i]].live);
        assert_true(i == 0 || model[ids[i - 1]].deadline <= model[ids[i]].deadline);
    }
}

static void model_expire(struct lease_set *s, struct rng *r, uint64_t now)
{
    size_t max = rng_below(r, 8), due = 0;
    int64_t out[8];

    for (int64_t id = 1; id <= MODEL_IDS; id++)
        due += model[id].live && !model[id].out && model[id].deadline <= now;
    size_t n = lease_expired(s, now, out, max);
    assert_int_equal(n, MIN(due, max));
    for (size_t i = 0; i < n; i++) {
        struct model *m = &model[out[i]];
        assert_true(m->live && !m->out && m->deadline <= now);
        m->out = m->expired = true;
    }
}

static void model_step(struct lease_set *s, struct rng *r, uint64_t now)
{
    int64_t id = 1 + (int64_t)rng_below(r, MODEL_IDS);
    int64_t ttl = 1 + (int64_t)rng_below(r, 50), got;
    struct model *m = &model[id];

    switch (rng_below(r, 6)) {
    case 0:
    case 1:
        assert_int_equal(lease_add(s, id, ttl, 0, now), m->live ? ERR_LEASE_EXISTS : 0);
        if (!m->live)
            *m = (struct model){.live = true, .ttl = ttl, .deadline = now + (uint64_t)ttl * S};
        break;
    case 2:
        assert_int_equal(lease_remove(s, id), m->live ? 0 : ERR_LEASE_NOT_FOUND);
        m->live = false;
        break;
    case 3: {
        bool ok = m->live && !m->expired && m->deadline > now;
        assert_int_equal(lease_renew(s, id, now, &got), ok ? 0 : ERR_LEASE_NOT_FOUND);
        if (ok) {
            assert_int_equal(got, m->ttl);
            m->deadline = now + (uint64_t)m->ttl * S;
        }
        break;
    }
    case 4:
        model_expire(s, r, now);
        break;
    case 5:
        lease_retry(s, id, now);
        if (m->live && m->out) {
            m->out = false;
            m->deadline = now + LEASE_RETRY_NS;
        }
        break;
    }
}

static void random_life_agrees_with_the_model(void **state)
{
    struct lease_set *s = lease_set_new(MIN_TTL, seed);
    uint64_t now = 0;
    struct rng r;

    rng_seed(&r, 42);
    memset(model, 0, sizeof model);
    for (int i = 0; i < MODEL_STEPS; i++) {
        now += rng_below(&r, S);
        model_step(s, &r, now);
        if (i % 8 == 0)
            check_against_model(s, now);
    }
    lease_set_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ttl_is_raised_to_the_minimum_and_bounded),
        cmocka_unit_test(lease_lives_its_ttl_and_renewal_starts_it_anew),
        cmocka_unit_test(restored_lease_keeps_its_remaining_time),
        cmocka_unit_test(largest_ttl_does_not_overflow),
        cmocka_unit_test(expired_lease_is_handed_out_once_and_stays_until_removed),
        cmocka_unit_test(failed_revocation_is_handed_out_again_later),
        cmocka_unit_test(checkpoint_is_due_when_the_stored_time_has_drifted),
        cmocka_unit_test(random_life_agrees_with_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
