#include "etcd/watch_hub_fixture.h"

/* --- creating and canceling --- */

static void watcher_gets_what_is_written_after_it(void **state)
{
    struct fix *f = *state;

    put(f, "a", "0");
    CREATE(f, KEY("a"));
    put(f, "a", "1");
    put(f, "b", "1");
    fake_client_delete(f->s, "a");
    assert_answers(f, "#0 r2 created; #0 r3 +a=1@3; #0 r5 -a@5");
}

static void ids_are_numbered_past_those_chosen(void **state)
{
    struct fix *f = *state;

    CREATE(f, KEY("a"));
    CREATE(f, KEY("a"), .id = 1);
    CREATE(f, KEY("a"));
    CREATE(f, KEY("a"), .id = 77);
    assert_answers(f, "#0 r1 created; #1 r1 created; #2 r1 created; #77 r1 created");
}

static void refusals_are_created_and_canceled_at_once(void **state)
{
    struct fix *f = *state;

    CREATE(f, KEY("a"), .id = 5);
    CREATE(f, KEY("b"), .id = 5);
    CREATE(f, KEY("b"), END("b"));
    CREATE(f, KEY("b"), END("a"));
    CREATE(f, KEY("b"), .start_rev = -1);
    assert_answers(
        f, "#5 r1 created; "
           "#-1 r1 created canceled 'mvcc: duplicate watch ID provided on the WatchStream'; "
           "#-1 r1 created canceled 'mvcc: watcher range is empty'; "
           "#-1 r1 created canceled 'mvcc: watcher range is empty'; "
           "#-1 r1 created canceled 'etcdserver: mvcc: required revision has been compacted'");
    put(f, "b", "1");
    assert_answers(f, "");
}

static void ranges_match_as_upstream(void **state)
{
    struct fix *f = *state;

    CREATE(f, KEY("b"), END("d"));
    CREATE(f, KEY("b"), END("\0"));
    CREATE(f, ALL);
    CREATE(f, KEY("")); /* the one key "\0" */
    answers_of(f, f->c);
    put(f, "a", "1");
    put(f, "d", "1");
    put(f, "c", "1");
    /* Which of two watchers comes first is the index's affair. */
    assert_answers(f, "#2 r2 +a=1@2; #2 r3 +d=1@3; #1 r3 +d=1@3; "
                      "#2 r4 +c=1@4; #0 r4 +c=1@4; #1 r4 +c=1@4");
}

static void cancel_is_answered_once(void **state)
{
    struct fix *f = *state;

    CREATE(f, KEY("a"));
    CREATE(f, KEY("a"));
    cancel(f, 0);
    cancel(f, 0);
    cancel(f, 9);
    put(f, "a", "1");
    assert_answers(f, "#0 r1 created; #1 r1 created; #0 r1 canceled; #1 r2 +a=1@2");
    /* A chosen id is free again. */
    CREATE(f, KEY("a"), .id = 1);
    cancel(f, 1);
    CREATE(f, KEY("a"), .id = 1);
    answers_of(f, f->c);
    put(f, "a", "2");
    assert_answers(f, "#1 r3 +a=2@3");
}

static void filters_drop_events_and_empty_messages(void **state)
{
    struct fix *f = *state;

    CREATE(f, ALL, .flags = WATCH_NO_PUT);
    CREATE(f, ALL, .flags = WATCH_NO_DELETE);
    CREATE(f, ALL, .flags = WATCH_NO_DELETE | WATCH_NO_PUT);
    answers_of(f, f->c);
    put(f, "a", "1");
    fake_client_delete(f->s, "a");
    assert_answers(f, "#1 r2 +a=1@2; #0 r3 -a@3");
}

static void previous_pair_comes_only_where_asked(void **state)
{
    struct fix *f = *state;

    CREATE(f, KEY("a"), .flags = WATCH_PREV_KV);
    CREATE(f, KEY("a"));
    answers_of(f, f->c);
    put(f, "a", "1");
    put(f, "a", "2");
    fake_client_delete(f->s, "a");
    assert_answers(f, "#0 r2 +a=1@2; #1 r2 +a=1@2; #0 r3 +a=2@3(1); #1 r3 +a=2@3; "
                      "#0 r4 -a@4(2); #1 r4 -a@4");
}

static void write_of_several_keys_is_one_message(void **state)
{
    struct fix *f = *state;
    struct mvcc *m = server_mvcc(f->s);

    put(f, "b", "0");
    CREATE(f, ALL);
    CREATE(f, KEY("b"), END("d"), .flags = WATCH_PREV_KV);
    CREATE(f, KEY("a"));
    CREATE(f, ALL, .flags = WATCH_NO_DELETE);
    answers_of(f, f->c);
    fake_begin(m);
    fake_put(m, "a", "1", 0);
    fake_delete(m, "b");
    fake_put(m, "c", "1", 0);
    fake_end(m);
    publish_last(f);
    flush(f);
    assert_answers(f, "#2 r3 +a=1@3; #0 r3 +a=1@3 -b@3 +c=1@3; #3 r3 +a=1@3 +c=1@3; "
                      "#1 r3 -b@3(0) +c=1@3");
}
static void streams_number_their_watches_themselves(void **state)
{
    struct fix *f = *state;
    struct grpc_call *other = fake_call(f->s, watch_methods, "/etcdserverpb.Watch/Watch");

    CREATE(f, KEY("a"));
    create_on(other, (struct watch_create){KEY("a")});
    cancel(f, 0);
    put(f, "a", "1");
    assert_answers(f, "#0 r1 created; #0 r1 canceled");
    assert_string_equal(answers_of(f, other), "#0 r1 created; #0 r2 +a=1@2");
    fake_cancel(other);
    fake_call_free(other);
}

static void stream_without_leader_is_refused_on_request(void **state)
{
    struct fix *f = *state;

    fake_set_read_check(f->s, ERR_NO_LEADER);
    fake_call_metadata(f->c, "hasleader", "true");
    CREATE(f, KEY("a"));
    assert_int_equal(fake_status(f->c), GRPC_UNAVAILABLE);
    assert_string_equal(fake_text(f->c), "etcdserver: no leader");
}

static void half_closed_stream_goes_on(void **state)
{
    struct fix *f = *state;

    CREATE(f, KEY("a"));
    watch_methods[0].on_half_close(f->c);
    put(f, "a", "1");
    assert_answers(f, "#0 r1 created; #0 r2 +a=1@2");
}

/* --- the past and the future --- */

static void past_start_is_caught_up_at_once(void **state)
{
    struct fix *f = *state;

    put(f, "a", "1");
    put(f, "b", "1");
    put(f, "a", "2");
    CREATE(f, KEY("a"), .start_rev = 2, .flags = WATCH_PREV_KV);
    put(f, "a", "3");
    assert_answers(f, "#0 r4 created; #0 r4 +a=1@2 +a=2@4(1); #0 r5 +a=3@5(2)");
}

static void start_at_the_newest_revision_includes_it(void **state)
{
    struct fix *f = *state;

    put(f, "a", "1");
    CREATE(f, KEY("a"), .start_rev = 2);
    CREATE(f, KEY("a"), .start_rev = 3);
    put(f, "a", "2");
    assert_answers(f, "#0 r2 created; #0 r2 +a=1@2; #1 r2 created; #0 r3 +a=2@3; #1 r3 +a=2@3");
}

static void future_start_waits(void **state)
{
    struct fix *f = *state;

    CREATE(f, KEY("a"), .start_rev = 4);
    put(f, "a", "1");
    put(f, "a", "2");
    put(f, "a", "3");
    assert_answers(f, "#0 r1 created; #0 r4 +a=3@4");
}

static void compacted_start_is_canceled_after_creation(void **state)
{
    struct fix *f = *state;

    put_many(f, "a", 9);
    fake_compact(server_mvcc(f->s), 5);
    CREATE(f, KEY("a"), .start_rev = 4);
    CREATE(f, KEY("a"), .start_rev = 9);
    assert_answers(f, "#0 r10 created; #0 r0 canceled compact=5; "
                      "#1 r10 created; #1 r10 +a=v@9 +a=v@10");
    cancel(f, 0);
    assert_answers(f, "");
}

static void long_history_comes_in_messages_of_a_thousand_revisions(void **state)
{
    struct fix *f = *state;
    size_t n[4] = {0};
    int64_t rev = 1;

    put_many(f, "a", MANY);
    CREATE(f, KEY("a"), .start_rev = 2);
    assert_true(watch_hub_busy(server_watches(f->s)));
    while (step(f))
        ;
    assert_true(next(f->c)->created);
    const Etcdserverpb__WatchResponse *r;
    for (size_t i = 0; (r = next(f->c)); i++) {
        assert_in_range(r->n_events, 1, WATCH_CATCHUP_REVS);
        assert_int_equal(r->header->revision, MANY + 1);
        for (size_t k = 0; k < r->n_events; k++)
            assert_int_equal(r->events[k]->kv->mod_revision, ++rev);
        n[MIN(i, (size_t)3)] = r->n_events;
    }
    assert_int_equal(rev, MANY + 1);
    assert_int_equal(n[1], WATCH_CATCHUP_REVS);
    put(f, "a", "new");
    assert_answers(f, "#0 r3002 +a=new@3002");
}

static void history_without_a_match_is_passed_in_bounded_steps(void **state)
{
    struct fix *f = *state;
    int steps = 0;

    put_many(f, "other", 25000);
    fake_put(server_mvcc(f->s), "a", "1", 0);
    CREATE(f, KEY("a"), .start_rev = 2);
    assert_answers(f, "#0 r25002 created");
    while (step(f))
        steps++;
    assert_in_range(steps, 2, 4);
    assert_answers(f, "#0 r25002 +a=1@25002");
}

static void revision_is_not_split_by_catching_up(void **state)
{
    struct fix *f = *state;
    struct mvcc *m = server_mvcc(f->s);

    put_many(f, "a", 499);
    fake_begin(m);
    for (int i = 0; i < 600; i++)
        fake_put(m, "a", "big", 0);
    fake_end(m);
    put_many(f, "a", 1);
    CREATE(f, KEY("a"), .start_rev = 2);
    while (step(f))
        ;
    assert_true(next(f->c)->created);
    assert_int_equal(next(f->c)->n_events, 499 + 600);
    assert_int_equal(next(f->c)->n_events, 1);
    assert_null(next(f->c));
}

/* --- slow streams --- */

static void slow_stream_gets_all_later_and_in_order(void **state)
{
    struct fix *f = *state;
    struct watch_hub_stats stats;

    CREATE(f, KEY("a"));
    CREATE(f, KEY("b"));
    answers_of(f, f->c);
    fake_set_queued(f->c, WATCH_QUEUE_MAX + 1);
    put(f, "a", "1");
    put(f, "a", "2");
    assert_answers(f, "");
    watch_hub_stats(server_watches(f->s), &stats);
    assert_int_equal(stats.watchers, 2);
    assert_int_equal(stats.slow_watchers, 1); /* b had nothing to miss */
    assert_false(step(f));
    fake_set_queued(f->c, GRPC_LOW_WATER + 1);
    assert_false(step(f));
    fake_set_queued(f->c, 0);
    assert_true(watch_hub_busy(server_watches(f->s)));
    put(f, "a", "3"); /* before it was fed: waits its turn */
    assert_false(step(f));
    assert_answers(f, "#0 r4 +a=1@2 +a=2@3 +a=3@4");
    put(f, "a", "4");
    assert_answers(f, "#0 r5 +a=4@5");
}

static void slow_stream_is_not_fed_more_than_its_queue(void **state)
{
    struct fix *f = *state;
    cleanup_free char *big = xmalloc(100001);

    memset(big, 'x', 100000);
    big[100000] = 0;
    for (int i = 0; i < 100; i++)
        fake_put(server_mvcc(f->s), "a", big, 0);
    CREATE(f, KEY("a"), .start_rev = 2);
    while (step(f))
        ;
    assert_in_range(grpc_call_queued(f->c), WATCH_QUEUE_MAX, 3 * WATCH_QUEUE_MAX);
    size_t n = 0;
    while (n < 100) {
        const Etcdserverpb__WatchResponse *r = next(f->c);
        if (r) {
            n += r->n_events;
            continue;
        }
        fake_set_queued(f->c, 0);
        step(f);
    }
    assert_int_equal(n, 100);
}

static void slow_stream_left_behind_a_compaction_is_canceled(void **state)
{
    struct fix *f = *state;

    CREATE(f, KEY("a"));
    CREATE(f, KEY("b"));
    answers_of(f, f->c);
    fake_set_queued(f->c, WATCH_QUEUE_MAX + 1);
    put(f, "a", "1");
    put(f, "a", "2");
    put(f, "b", "1");
    fake_compact(server_mvcc(f->s), 4);
    watch_hub_compacted(server_watches(f->s), 4);
    fake_set_queued(f->c, 0);
    step(f);
    assert_answers(f, "#0 r0 canceled compact=4; #1 r4 +b=1@4");
}

static void other_streams_do_not_notice_a_slow_one(void **state)
{
    struct fix *f = *state;
    struct grpc_call *other = fake_call(f->s, watch_methods, "/etcdserverpb.Watch/Watch");

    CREATE(f, KEY("a"));
    create_on(other, (struct watch_create){KEY("a")});
    fake_set_queued(f->c, WATCH_QUEUE_MAX + 1);
    put(f, "a", "1");
    put(f, "a", "2");
    assert_string_equal(answers_of(f, other), "#0 r1 created; #0 r2 +a=1@2; #0 r3 +a=2@3");
    fake_cancel(other);
    fake_call_free(other);
}

static void damage_in_history_ends_the_stream(void **state)
{
    struct fix *f = *state;

    put_many(f, "a", 3);
    CREATE(f, KEY("a"));
    fake_mvcc_fail(server_mvcc(f->s), ERR_DATA_DAMAGED);
    CREATE(f, KEY("a"), .start_rev = 2);
    assert_int_equal(fake_status(f->c), GRPC_DATA_LOSS);
    struct watch_hub_stats stats;
    watch_hub_stats(server_watches(f->s), &stats);
    assert_int_equal(stats.watchers + stats.streams + stats.slow_watchers, 0);
}

static void damage_while_publishing_ends_only_the_streams_that_need_it(void **state)
{
    struct fix *f = *state;
    struct grpc_call *other = fake_call(f->s, watch_methods, "/etcdserverpb.Watch/Watch");

    put(f, "a", "0");
    CREATE(f, KEY("a"), .flags = WATCH_PREV_KV);
    create_on(other, (struct watch_create){KEY("b")});
    fake_mvcc_fail(server_mvcc(f->s), ERR_DATA_DAMAGED);
    put(f, "a", "1");
    step(f);
    assert_int_equal(fake_status(f->c), GRPC_DATA_LOSS);
    put(f, "b", "1");
    assert_string_equal(answers_of(f, other), "#0 r2 created; #0 r4 +b=1@4");
    fake_cancel(other);
    fake_call_free(other);
}

/* --- fragments --- */

/* The hub of these tests fragments at 1000 bytes. */
static void write_large(struct fix *f)
{
    struct mvcc *m = server_mvcc(f->s);
    char value[331];

    memset(value, 'x', 330);
    value[330] = 0;
    fake_begin(m);
    for (int i = 0; i < 7; i++)
        fake_put(m, "a", value, 0);
    fake_end(m);
}

static void check_fragments(struct fix *f)
{
    static const size_t want[] = {2, 2, 2, 1};

    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        const Etcdserverpb__WatchResponse *r = next(f->c);
        assert_int_equal(r->n_events, want[i]);
        assert_int_equal(r->fragment, i + 1 < ARRAY_LEN(want));
        assert_int_equal(r->header->revision, 2);
    }
}

static void large_revision_comes_in_fragments_where_asked(void **state)
{
    struct fix *f = *state;

    CREATE(f, KEY("a"), .flags = WATCH_FRAGMENT);
    CREATE(f, KEY("a"));
    answers_of(f, f->c);
    write_large(f);
    publish_last(f);
    flush(f);
    check_fragments(f);
    assert_int_equal(next(f->c)->n_events, 7);
    CREATE(f, KEY("a"), .start_rev = 2, .flags = WATCH_FRAGMENT);
    assert_true(next(f->c)->created);
    check_fragments(f);
    put(f, "b", "");
    put(f, "a", "1");
    assert_answers(f, "#0 r4 +a=1@4; #1 r4 +a=1@4; #2 r4 +a=1@4");
}

/* --- progress --- */

static void progress_is_told_when_all_watches_are_synced(void **state)
{
    struct fix *f = *state;

    ask_progress(f); /* nothing watched: nothing to say */
    CREATE(f, KEY("a"));
    put(f, "b", "1");
    ask_progress(f);
    assert_answers(f, "#0 r1 created; #-1 r2");
    put_many(f, "b", 2000);
    CREATE(f, KEY("b"), .start_rev = 2);
    answers_of(f, f->c);
    ask_progress(f);
    assert_answers(f, "");
    while (step(f))
        ;
    answers_of(f, f->c);
    ask_progress(f);
    assert_answers(f, "#-1 r2002");
}

static void progress_waits_for_a_start_in_the_future(void **state)
{
    struct fix *f = *state;

    CREATE(f, KEY("a"), .start_rev = 3);
    answers_of(f, f->c);
    ask_progress(f);
    put(f, "b", "1");
    ask_progress(f);
    assert_answers(f, "");
    put(f, "b", "1");
    ask_progress(f);
    assert_answers(f, "#-1 r3");
}

static void progress_is_not_promised_on_a_slow_stream(void **state)
{
    struct fix *f = *state;

    CREATE(f, KEY("a"));
    answers_of(f, f->c);
    fake_set_queued(f->c, WATCH_QUEUE_MAX + 1);
    put(f, "a", "1");
    ask_progress(f);
    assert_answers(f, "");
    fake_set_queued(f->c, 0);
    ask_progress(f);
    assert_answers(f, "");
    step(f);
    ask_progress(f);
    assert_answers(f, "#0 r2 +a=1@2; #-1 r2");
}

#define INTERVAL_S (600 + 61) /* with all the jitter */

static void at(struct fix *f, uint64_t s)
{
    fake_set_now(f->s, s * NS_PER_S);
    step(f);
}

static void idle_watchers_that_asked_are_notified(void **state)
{
    struct fix *f = *state;

    CREATE(f, KEY("a"), .flags = WATCH_NOTIFY);
    CREATE(f, KEY("a"));
    CREATE(f, KEY("b"), .flags = WATCH_NOTIFY);
    answers_of(f, f->c);
    put(f, "c", "1");
    at(f, 599);
    assert_answers(f, "");
    put(f, "b", "1"); /* progress enough for #2 */
    at(f, INTERVAL_S);
    assert_answers(f, "#2 r3 +b=1@3; #0 r3");
    at(f, INTERVAL_S + 1);
    assert_answers(f, "");
    cancel(f, 0);
    at(f, 2 * INTERVAL_S);
    assert_answers(f, "#0 r3 canceled; #2 r3");
}

/* --- local watchers --- */

struct local {
    struct watch_local w;
    struct watch_hub *hub;
    int count;
    struct watch_local *drop, *add;
};

static void count_event(struct watch_local *w, const struct mvcc_event *ev)
{
    struct local *l = container_of(w, struct local, w);

    l->count++;
    if (l->drop)
        watch_hub_remove_local(l->hub, take_ptr(&l->drop));
    if (l->add)
        watch_hub_add_local(l->hub, take_ptr(&l->add));
}

static void local_watchers_may_remove_and_add_others(void **state)
{
    struct fix *f = *state;
    struct local l[3];

    for (int i = 0; i < 3; i++)
        l[i] = (struct local){{{KEY("a")}, count_event}, server_watches(f->s), 0, NULL, NULL};
    l[0].drop = &l[1].w;
    l[0].add = &l[2].w;
    watch_hub_add_local(l[0].hub, &l[0].w);
    watch_hub_add_local(l[0].hub, &l[1].w);
    put(f, "a", "1");
    put(f, "b", "1");
    put(f, "a", "2");
    assert_int_equal(l[0].count, 2);
    assert_int_equal(l[1].count, 0);
    assert_int_equal(l[2].count, 1);
    watch_hub_remove_local(l[0].hub, &l[0].w);
    watch_hub_remove_local(l[0].hub, &l[2].w);
}

/* --- bounds --- */

static void stream_holds_no_more_watchers_than_its_bound(void **state)
{
    struct fix *f = *state;
    struct watch_hub_stats stats;

    fake_call_discard(f->c);
    struct watch_stream *s = watch_stream_new(server_watches(f->s), f->c);
    for (int i = 0; i < WATCH_PER_STREAM_MAX + 5; i++)
        watch_stream_create(s, &(struct watch_create){KEY("a")});
    watch_hub_stats(server_watches(f->s), &stats);
    assert_int_equal(stats.watchers, WATCH_PER_STREAM_MAX);
    watch_stream_free(s);
    watch_hub_stats(server_watches(f->s), &stats);
    assert_int_equal(stats.watchers, 0);
}

static void wide_delete_under_many_watchers_loses_nothing(void **state)
{
    struct fix *f = *state;
    struct mvcc *m = server_mvcc(f->s);
    enum { WATCHERS = 300, EVENTS = 5000 }; /* more pairs than are gathered at once */

    for (int i = 0; i < WATCHERS; i++)
        CREATE(f, KEY("a"));
    answers_of(f, f->c);
    fake_begin(m);
    for (int i = 0; i < EVENTS; i++)
        fake_delete(m, "a");
    fake_end(m);
    publish_last(f);
    flush(f);
    fake_set_queued(f->c, 0);
    for (int left = WATCHERS, guard = 0; left && guard < 1000; guard++) {
        const Etcdserverpb__WatchResponse *r;
        while ((r = next(f->c))) {
            assert_int_equal(r->n_events, EVENTS);
            left--;
        }
        fake_set_queued(f->c, 0);
        step(f);
        assert_true(left == 0 || guard < 999);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(watcher_gets_what_is_written_after_it),
        TEST(ids_are_numbered_past_those_chosen),
        TEST(refusals_are_created_and_canceled_at_once),
        TEST(ranges_match_as_upstream),
        TEST(cancel_is_answered_once),
        TEST(filters_drop_events_and_empty_messages),
        TEST(previous_pair_comes_only_where_asked),
        TEST(write_of_several_keys_is_one_message),
        TEST(streams_number_their_watches_themselves),
        TEST(stream_without_leader_is_refused_on_request),
        TEST(half_closed_stream_goes_on),
        TEST(past_start_is_caught_up_at_once),
        TEST(start_at_the_newest_revision_includes_it),
        TEST(future_start_waits),
        TEST(compacted_start_is_canceled_after_creation),
        TEST(long_history_comes_in_messages_of_a_thousand_revisions),
        TEST(history_without_a_match_is_passed_in_bounded_steps),
        TEST(revision_is_not_split_by_catching_up),
        TEST(slow_stream_gets_all_later_and_in_order),
        TEST(slow_stream_is_not_fed_more_than_its_queue),
        TEST(slow_stream_left_behind_a_compaction_is_canceled),
        TEST(other_streams_do_not_notice_a_slow_one),
        TEST(damage_in_history_ends_the_stream),
        TEST(damage_while_publishing_ends_only_the_streams_that_need_it),
        TEST(large_revision_comes_in_fragments_where_asked),
        TEST(progress_is_told_when_all_watches_are_synced),
        TEST(progress_waits_for_a_start_in_the_future),
        TEST(progress_is_not_promised_on_a_slow_stream),
        TEST(idle_watchers_that_asked_are_notified),
        TEST(local_watchers_may_remove_and_add_others),
        TEST(stream_holds_no_more_watchers_than_its_bound),
        TEST(wide_delete_under_many_watchers_loses_nothing),
    };
    return cmocka_run_group_tests_name("watch_hub", tests, NULL, NULL);
}
