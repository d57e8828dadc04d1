#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "raft/raft.h"

#define ID 0x8e9e05c52164694dULL
static const uint64_t voters[] = {ID, 2};
static const struct raft_conf conf = {
    .id = ID, .voters = voters, .nvoters = 1, .unapplied_max = 64, .uncommitted_bytes_max = 1000};

static struct raft *new_raft(void)
{
    struct raft *r = NULL;
    struct err e = {0};

    assert_int_equal(raft_new(&conf, &(struct raft_hard_state){0}, 0, 0, 0, 0, 0, &r, &e), 0);
    return r;
}

static struct raft *new_leader(void)
{
    struct raft *r = new_raft();
    struct raft_ready rd;

    raft_campaign(r);
    assert_true(raft_ready(r, &rd));
    raft_persisted(r, 0, 0);
    assert_true(raft_ready(r, &rd));
    raft_persisted(r, 1, 1);
    assert_true(raft_ready(r, &rd));
    assert_int_equal(rd.ncommitted, 1);
    raft_applied(r, 1);
    return r;
}

static int propose(struct raft *r, const char *data, uint64_t *ret_index)
{
    uint64_t term;
    return raft_propose(r, RAFT_ENTRY_NORMAL, slice_str(data), ret_index, &term);
}

static struct raft_status status_of(const struct raft *r)
{
    struct raft_status st;
    raft_status(r, &st);
    return st;
}

static void start_is_refused_when_disk_and_store_disagree(void **state)
{
    static const struct {
        const char *what;
        struct raft_hard_state hs;
        uint64_t snap_index, snap_term, last, last_term, applied;
        size_t nvoters;
        uint64_t id;
        int want;
    } rows[] = {
        {"new member", {0, 0, 0}, 0, 0, 0, 0, 0, 1, ID, 0},
        {"restart", {3, ID, 9}, 4, 1, 10, 3, 7, 1, ID, 0},
        {"commit on disk lags", {3, ID, 5}, 4, 1, 10, 3, 7, 1, ID, 0},
        {"store behind the log's begin", {3, ID, 9}, 4, 1, 10, 3, 3, 1, ID, ERR_DATA_DAMAGED},
        {"store ahead of the log", {3, ID, 9}, 4, 1, 10, 3, 11, 1, ID, ERR_DATA_DAMAGED},
        {"committed entries missing", {3, ID, 11}, 4, 1, 10, 3, 7, 1, ID, ERR_DATA_DAMAGED},
        {"entry of a future term", {2, ID, 9}, 4, 1, 10, 3, 7, 1, ID, ERR_DATA_DAMAGED},
        {"snapshot of a later term", {5, ID, 9}, 4, 4, 10, 3, 7, 1, ID, ERR_DATA_DAMAGED},
        {"two voters", {0, 0, 0}, 0, 0, 0, 0, 0, 2, ID, ERR_CONFIG},
        {"not a voter", {0, 0, 0}, 0, 0, 0, 0, 0, 1, 3, ERR_CONFIG},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct raft_conf c = conf;
        struct raft *r = NULL;
        struct err e = {0};
        c.nvoters = rows[i].nvoters;
        c.id = rows[i].id;
        int rc = raft_new(&c, &rows[i].hs, rows[i].snap_index, rows[i].snap_term, rows[i].last,
                          rows[i].last_term, rows[i].applied, &r, &e);
        if (rc != rows[i].want)
            fail_msg("%s: got %d: %s", rows[i].what, rc, e.msg);
        assert_int_equal(rc != 0, e.msg[0] != 0);
        raft_free(r);
    }
}

static void vote_is_durable_before_anything_is_appended(void **state)
{
    struct raft *r = new_raft();
    struct raft_ready rd;
    uint64_t index;

    assert_false(raft_ready(r, &rd));
    assert_int_equal(propose(r, "a", &index), ERR_NO_LEADER);
    raft_campaign(r);
    assert_int_equal(propose(r, "a", &index), ERR_NO_LEADER);
    assert_true(raft_ready(r, &rd));
    assert_true(rd.hard_state_changed);
    assert_true(rd.must_sync);
    assert_int_equal(rd.hard_state.term, 1);
    assert_int_equal(rd.hard_state.vote, ID);
    assert_int_equal(rd.nentries, 0);
    assert_false(raft_ready(r, &rd));
    raft_campaign(r); /* under way: nothing */
    assert_false(raft_ready(r, &rd));
    assert_int_equal(status_of(r).state, RAFT_CANDIDATE);
    assert_int_equal(status_of(r).leader, 0);

    raft_persisted(r, 0, 0);
    assert_int_equal(status_of(r).leader, ID);
    assert_true(raft_ready(r, &rd));
    assert_int_equal(rd.nentries, 1);
    assert_int_equal(rd.entries[0].term, 1);
    assert_int_equal(rd.entries[0].index, 1);
    assert_int_equal(rd.entries[0].data.n, 0);
    assert_int_equal(status_of(r).commit, 0);
    raft_free(r);
}

static void entry_is_committed_only_when_durable(void **state)
{
    struct raft *r = new_leader();
    struct raft_ready a, b;
    uint64_t index, term;

    assert_int_equal(raft_propose(r, RAFT_ENTRY_CONF_CHANGE, slice_str("first"), &index, &term), 0);
    assert_int_equal(index, 2);
    assert_int_equal(term, 1);
    assert_true(raft_ready(r, &a));
    assert_int_equal(a.nentries, 1);
    assert_int_equal(a.ncommitted, 0);
    assert_int_equal(a.hard_state.commit, 1); /* rides along */
    assert_true(a.hard_state_changed);

    /* A second batch forms while the first is being written. */
    assert_int_equal(propose(r, "second", &index), 0);
    assert_int_equal(propose(r, "third", &index), 0);
    assert_true(raft_ready(r, &b));
    assert_int_equal(b.nentries, 2);
    assert_true(slice_eq_str(b.entries[0].data, "second"));
    assert_true(slice_eq_str(a.entries[0].data, "first"));
    assert_int_equal(status_of(r).pending_bytes, 16);

    raft_persisted(r, 2, 1);
    assert_int_equal(status_of(r).commit, 2);
    assert_true(raft_ready(r, &a));
    assert_int_equal(a.nentries, 0);
    assert_int_equal(a.ncommitted, 1);
    assert_false(a.must_sync);
    assert_int_equal(a.committed[0].type, RAFT_ENTRY_CONF_CHANGE);
    assert_true(slice_eq_str(a.committed[0].data, "first"));
    raft_persisted(r, 4, 1);
    assert_int_equal(status_of(r).pending_bytes, 0);
    raft_applied(r, 2);
    assert_true(raft_ready(r, &b));
    assert_int_equal(b.ncommitted, 2);
    assert_true(slice_eq_str(b.committed[1].data, "third"));
    raft_applied(r, 4);
    raft_compacted(r, 3);
    assert_false(raft_ready(r, &b));
    raft_free(r);
}

static void proposals_are_bounded(void **state)
{
    struct raft *r = new_leader();
    struct raft_ready rd;
    uint64_t index;
    char big[2001];

    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    assert_int_equal(propose(r, big, &index), 0); /* one alone always passes */
    assert_int_equal(propose(r, "", &index), ERR_TOO_MANY_REQUESTS);
    assert_int_equal(propose(r, "x", &index), ERR_TOO_MANY_REQUESTS);
    assert_true(raft_ready(r, &rd));
    raft_persisted(r, 2, 1);
    assert_int_equal(propose(r, "x", &index), 0);
    assert_int_equal(propose(r, big, &index), ERR_TOO_MANY_REQUESTS);
    big[999] = 0;
    assert_int_equal(propose(r, big, &index), 0); /* exactly full */
    assert_int_equal(propose(r, "x", &index), ERR_TOO_MANY_REQUESTS);
    raft_free(r);

    r = new_leader();
    for (size_t i = 0; i < conf.unapplied_max; i++)
        assert_int_equal(propose(r, "x", &index), 0);
    assert_int_equal(propose(r, "x", &index), ERR_TOO_MANY_REQUESTS);
    assert_true(raft_ready(r, &rd));
    raft_persisted(r, index, 1);
    assert_int_equal(propose(r, "x", &index), ERR_TOO_MANY_REQUESTS); /* committed, not applied */
    assert_true(raft_ready(r, &rd));
    raft_applied(r, 2);
    assert_int_equal(propose(r, "x", &index), 0);
    assert_int_equal(propose(r, "x", &index), ERR_TOO_MANY_REQUESTS);
    raft_free(r);
}

static void restart_commits_older_terms_only_behind_its_own_entry(void **state)
{
    struct raft *r = NULL;
    struct raft_ready rd;
    struct err e = {0};
    const struct raft_hard_state hs = {.term = 3, .vote = ID, .commit = 6};

    assert_int_equal(raft_new(&conf, &hs, 4, 2, 8, 3, 5, &r, &e), 0);
    static const struct {
        uint64_t index, term;
        int want;
    } rows[] = {{5, 2, -EINVAL}, {7, 2, -EINVAL}, {6, 1, -EINVAL}, {6, 4, -EINVAL},
                {6, 2, 0},       {6, 2, -EINVAL}, {7, 3, 0},       {8, 2, -EINVAL},
                {8, 3, 0},       {9, 3, -EINVAL}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct raft_entry entry = {
            .index = rows[i].index, .term = rows[i].term, .data = slice_str("old")};
        assert_int_equal(raft_restore(r, &entry), rows[i].want);
    }
    assert_true(raft_ready(r, &rd)); /* what was committed before is applied without an election */
    assert_int_equal(rd.ncommitted, 1);
    assert_int_equal(rd.committed[0].index, 6);
    assert_int_equal(rd.nentries, 0);
    assert_false(rd.must_sync);

    raft_campaign(r);
    assert_true(raft_ready(r, &rd));
    assert_int_equal(rd.hard_state.term, 4);
    raft_persisted(r, 8, 3);
    assert_int_equal(status_of(r).commit, 6);
    assert_true(raft_ready(r, &rd));
    assert_int_equal(rd.nentries, 1);
    assert_int_equal(rd.ncommitted, 0);
    raft_persisted(r, 9, 4);
    assert_int_equal(status_of(r).commit, 9);
    assert_int_equal(status_of(r).pending_bytes, 0);
    assert_true(raft_ready(r, &rd));
    assert_int_equal(rd.ncommitted, 3);
    assert_true(slice_eq_str(rd.committed[0].data, "old"));
    raft_free(r);
}

/*
 * The model: a shell with a disk and a state machine, in any order the interface allows, with
 * crashes that lose what was not durable.
 */
#define MODEL_ENTRIES_MAX 4096
struct model {
    struct rng rng;
    struct raft *r;
    /* disk: entries [1..disk_last], hard state */
    uint64_t disk[MODEL_ENTRIES_MAX]; /* data of each entry: a number proposed; 0: empty entry */
    uint64_t disk_term[MODEL_ENTRIES_MAX];
    uint64_t disk_last;
    struct raft_hard_state disk_hs;
    /* batches given out, being written */
    struct raft_ready writing[8];
    size_t nwriting;
    /* state machine */
    uint64_t store[MODEL_ENTRIES_MAX]; /* what applied, by index */
    uint64_t store_last, store_durable;
    const struct raft_entry *applying;
    size_t napplying;
    /* what proposers know */
    uint64_t next_value;
    uint64_t proposed[MODEL_ENTRIES_MAX]; /* index -> value promised there by the newest leader */
    uint64_t acked_last;                  /* highest index seen committed */
    uint64_t term_seen, commit_seen;
};

static uint64_t value_of(const struct raft_entry *e)
{
    uint64_t v = 0;
    assert_true(e->data.n == 0 || e->data.n >= 8);
    if (e->data.n)
        memcpy(&v, e->data.p, 8);
    return v;
}

static void model_start(struct model *m)
{
    struct err e = {0};
    uint64_t last_term = m->disk_last ? m->disk_term[m->disk_last] : 0;
    struct raft_conf c = conf;

    c.uncommitted_bytes_max = 600;
    m->store_last = m->store_durable;
    assert_int_equal(
        raft_new(&c, &m->disk_hs, 0, 0, m->disk_last, last_term, m->store_last, &m->r, &e), 0);
    for (uint64_t i = m->store_last + 1; i <= m->disk_last; i++) {
        struct raft_entry entry = {.index = i, .term = m->disk_term[i]};
        if (m->disk[i])
            entry.data = slice_of(&m->disk[i], 8);
        assert_int_equal(raft_restore(m->r, &entry), 0);
    }
    raft_campaign(m->r);
}

static void model_write(struct model *m, const struct raft_entry *e)
{
    assert_int_equal(e->index, m->disk_last + 1); /* handed out in order, once */
    assert_true(e->term >= m->disk_term[m->disk_last]);
    m->disk_last = e->index;
    m->disk[e->index] = value_of(e);
    m->disk_term[e->index] = e->term;
}

static void model_persist(struct model *m)
{
    if (!m->nwriting)
        return;
    struct raft_ready *b = &m->writing[0];
    if (b->hard_state_changed) {
        assert_true(b->hard_state.term >= m->disk_hs.term);
        assert_true(b->hard_state.commit >= m->disk_hs.commit);
        m->disk_hs = b->hard_state;
    }
    size_t n = b->nentries;
    if (n > 1 && rng_below(&m->rng, 3) == 0)
        n = 1 + rng_below(&m->rng, n - 1); /* frame was full: in parts */
    for (size_t i = 0; i < n; i++)
        model_write(m, &b->entries[i]);
    if (n)
        b->entries += n;
    b->nentries -= n;
    b->hard_state_changed = false;
    if (b->nentries == 0)
        memmove(b, b + 1, --m->nwriting * sizeof *b);
    raft_persisted(m->r, m->disk_last, m->disk_term[m->disk_last]);
}

static void model_ready(struct model *m)
{
    struct raft_ready rd;

    if (m->nwriting == ARRAY_LEN(m->writing) || m->napplying || !raft_ready(m->r, &rd))
        return;
    if (rd.must_sync)
        m->writing[m->nwriting++] = rd;
    m->applying = rd.committed;
    m->napplying = rd.ncommitted;
}

static void model_apply(struct model *m)
{
    if (!m->napplying)
        return;
    size_t n = 1 + rng_below(&m->rng, m->napplying);
    for (size_t i = 0; i < n; i++) {
        const struct raft_entry *e = m->applying++;
        assert_int_equal(e->index, m->store_last + 1);
        assert_true(e->index <= m->disk_last); /* nothing applies that a crash could undo */
        uint64_t v = value_of(e);
        if (e->index <= m->acked_last)
            assert_int_equal(m->store[e->index], v); /* a committed entry never changes */
        m->store[e->index] = v;
        if (m->proposed[e->index])
            assert_int_equal(v, m->proposed[e->index]);
        m->store_last = e->index;
        m->acked_last = MAX(m->acked_last, e->index);
    }
    m->napplying -= n;
    raft_applied(m->r, m->store_last);
}

static void model_propose(struct model *m)
{
    uint8_t data[120] = {0};
    uint64_t index, term;

    memcpy(data, &m->next_value, 8);
    int rc = raft_propose(m->r, RAFT_ENTRY_NORMAL,
                          slice_of(data, 8 + rng_below(&m->rng, sizeof data - 8)), &index, &term);
    if (rc == 0) {
        assert_true(index > m->acked_last);
        m->proposed[index] = m->next_value++;
    } else {
        assert_true(rc == ERR_NO_LEADER || rc == ERR_TOO_MANY_REQUESTS);
    }
}

static void model_crash(struct model *m)
{
    /* Of what was being written any first part may have become durable. */
    for (size_t k = 0; k < m->nwriting && rng_below(&m->rng, 2); k++) {
        if (m->writing[k].hard_state_changed)
            m->disk_hs = m->writing[k].hard_state;
        for (size_t i = 0; i < m->writing[k].nentries; i++)
            model_write(m, &m->writing[k].entries[i]);
    }
    m->nwriting = m->napplying = 0;
    for (uint64_t i = m->acked_last + 1; i < MODEL_ENTRIES_MAX; i++)
        m->proposed[i] = i <= m->disk_last ? m->disk[i] : 0;
    raft_free(m->r);
    m->commit_seen = 0; /* the commit index in memory may fall back to the one on disk */
    model_start(m);
}

static void model_check(struct model *m)
{
    struct raft_status st = status_of(m->r);

    assert_true(st.term >= m->term_seen);
    assert_true(st.commit >= m->commit_seen);
    assert_true(st.applied <= st.commit);
    assert_true(st.commit <= m->disk_last);
    assert_int_equal(st.applied, m->store_last);
    m->term_seen = st.term;
    m->commit_seen = st.commit;
}

static void model_step(struct model *m)
{
    switch (rng_below(&m->rng, 100)) {
    case 0 ... 39:
        model_propose(m);
        break;
    case 40 ... 59:
        model_ready(m);
        break;
    case 60 ... 79:
        model_persist(m);
        break;
    case 80 ... 96:
        model_apply(m);
        break;
    case 97 ... 98:
        m->store_durable = m->store_last;
        raft_compacted(m->r, m->store_durable);
        break;
    default:
        model_crash(m);
        break;
    }
    model_check(m);
}

static void any_order_and_any_crash_loses_nothing(void **state)
{
    struct model *m = xmalloc(sizeof *m);
    uint64_t applied = 0;

    for (uint64_t seed = 1; seed <= 60; seed++) {
        memset(m, 0, sizeof *m);
        rng_seed(&m->rng, seed);
        m->next_value = 1;
        model_start(m);
        for (int step = 0; step < 4000; step++)
            model_step(m);
        while (m->nwriting || m->napplying || m->store_last < status_of(m->r).last) {
            model_ready(m);
            model_persist(m);
            model_apply(m);
            model_check(m);
        }
        assert_true(m->next_value > 100);
        applied += m->store_last;
        raft_free(m->r);
    }
    assert_true(applied > 60 * 300);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_is_refused_when_disk_and_store_disagree),
        cmocka_unit_test(vote_is_durable_before_anything_is_appended),
        cmocka_unit_test(entry_is_committed_only_when_durable),
        cmocka_unit_test(proposals_are_bounded),
        cmocka_unit_test(restart_commits_older_terms_only_behind_its_own_entry),
        cmocka_unit_test(any_order_and_any_crash_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
