#include "etcd/watch_hub_fixture.h"

/* --- batches --- */

static void batch_is_one_message_for_each_watcher(void **state)
{
    struct fix *f = *state;
    struct grpc_call *other = fake_call(f->s, watch_methods, "/etcdserverpb.Watch/Watch");

    put(f, "b", "0");
    CREATE(f, KEY("b"), .flags = WATCH_PREV_KV);
    CREATE(f, KEY("b"));
    CREATE(f, ALL);
    CREATE(f, ALL, .flags = WATCH_NO_PUT);
    CREATE(f, KEY("b"), .start_rev = 5);
    create_on(other, (struct watch_create){KEY("c")});
    answers_of(f, f->c);
    gather(f, "b", "1");
    gather(f, "a", "1");
    gather(f, "b", "2");
    assert_answers(f, "");
    flush(f);
    assert_answers(f, "#0 r5 +b=1@3(0) +b=2@5(1); #1 r5 +b=1@3 +b=2@5; "
                      "#2 r5 +b=1@3 +a=1@4 +b=2@5; #4 r5 +b=2@5");
    flush(f);
    assert_answers(f, "");
    gather(f, "c", "1");
    gather(f, "b", "3");
    gather(f, "d", "1");
    flush(f);
    assert_string_equal(answers_of(f, other), "#0 r2 created; #0 r6 +c=1@6");
    assert_answers(f, "#2 r8 +c=1@6 +b=3@7 +d=1@8; #0 r7 +b=3@7(2); #1 r7 +b=3@7; #4 r7 +b=3@7");
    fake_cancel(other);
    fake_call_free(other);
}

static void requests_and_compaction_come_after_what_was_written_before_them(void **state)
{
    struct fix *f = *state;
    struct watch_hub_stats stats;

    CREATE(f, KEY("a"));
    gather(f, "a", "1");
    CREATE(f, KEY("a"));
    assert_answers(f, "#0 r1 created; #0 r2 +a=1@2; #1 r2 created");
    gather(f, "a", "2");
    ask_progress(f);
    assert_answers(f, "#0 r3 +a=2@3; #1 r3 +a=2@3; #-1 r3");
    gather(f, "a", "3");
    watch_hub_stats(server_watches(f->s), &stats);
    assert_int_equal(stats.pending_events, 2);
    cancel(f, 1);
    gather(f, "a", "4");
    assert_answers(f, "#0 r4 +a=3@4; #1 r4 +a=3@4; #1 r4 canceled");
    fake_compact(server_mvcc(f->s), 5);
    watch_hub_compacted(server_watches(f->s), 5);
    assert_answers(f, "#0 r5 +a=4@5");
    gather(f, "a", "5");
    step(f);
    assert_answers(f, "#0 r6 +a=5@6");
}

static void stream_that_goes_takes_what_was_gathered_for_it(void **state)
{
    struct fix *f = *state;
    struct grpc_call *other = fake_call(f->s, watch_methods, "/etcdserverpb.Watch/Watch");

    create_on(other, (struct watch_create){KEY("a")});
    CREATE(f, KEY("a"));
    gather(f, "a", "1");
    fake_cancel(other);
    fake_call_free(other);
    gather(f, "a", "2");
    flush(f);
    assert_answers(f, "#0 r1 created; #0 r3 +a=1@2 +a=2@3");
}

static void slow_stream_is_fed_the_batch_later(void **state)
{
    struct fix *f = *state;

    CREATE(f, KEY("a"));
    answers_of(f, f->c);
    gather(f, "a", "1");
    fake_set_queued(f->c, WATCH_QUEUE_MAX + 1);
    gather(f, "a", "2");
    flush(f);
    gather(f, "a", "3");
    flush(f);
    assert_answers(f, "");
    fake_set_queued(f->c, 0);
    step(f);
    assert_answers(f, "#0 r4 +a=1@2 +a=2@3 +a=3@4");
}

static void what_cannot_be_encoded_is_fed_after_what_could(void **state)
{
    struct fix *f = *state;

    put(f, "a", "0");
    CREATE(f, KEY("a"), .flags = WATCH_PREV_KV);
    answers_of(f, f->c);
    gather(f, "a", "1");
    fake_mvcc_fail(server_mvcc(f->s), ERR_DATA_DAMAGED);
    gather(f, "a", "2");
    gather(f, "a", "3");
    flush(f);
    assert_answers(f, "#0 r3 +a=1@3(0)");
    fake_mvcc_fail(server_mvcc(f->s), 0);
    step(f);
    assert_answers(f, "#0 r5 +a=2@4(1) +a=3@5(2)");
}

static void much_gathered_is_flushed_early(void **state)
{
    struct fix *f = *state;
    enum { VALUE = 100000, WRITES = 25 };
    cleanup_free char *big = xmalloc(VALUE + 1);
    size_t n = 0, messages = 0;
    const Etcdserverpb__WatchResponse *r;

    memset(big, 'x', VALUE);
    big[VALUE] = 0;
    CREATE(f, KEY("a"));
    answers_of(f, f->c);
    for (int i = 0; i < WRITES; i++) {
        gather(f, "a", big);
        fake_set_queued(f->c, 0);
    }
    assert_int_equal(fake_sent(f->c), 3);
    flush(f);
    for (; (r = next(f->c)); messages++) {
        for (size_t i = 0; i < r->n_events; i++)
            assert_int_equal(r->events[i]->kv->mod_revision, 2 + (int)n++);
        assert_int_equal(r->header->revision, n + 1);
        assert_in_range(r->n_events * VALUE, 1, WATCH_CATCHUP_BYTES);
    }
    assert_int_equal(messages, 3);
    assert_int_equal(n, WRITES);
}

static void batch_for_many_watchers_is_flushed_early(void **state)
{
    struct fix *f = *state;
    enum { WATCHERS = 1000, WRITES = 200 }; /* more pairs than are gathered */
    struct watch_hub_stats stats;

    fake_call_discard(f->c);
    for (int i = 0; i < WATCHERS; i++)
        CREATE(f, KEY("a"));
    for (int i = 0; i < WRITES; i++)
        gather(f, "a", "1");
    watch_hub_stats(server_watches(f->s), &stats);
    assert_in_range(stats.pending_events, 1, WATCHERS * WRITES - 1);
    flush(f);
    watch_hub_stats(server_watches(f->s), &stats);
    assert_int_equal(stats.pending_events, 0);
    assert_int_equal(stats.slow_watchers, 0);
    assert_int_equal(stats.events, WATCHERS * WRITES);
    assert_int_equal(fake_sent(f->c), 3 * WATCHERS);
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(batch_is_one_message_for_each_watcher),
        TEST(requests_and_compaction_come_after_what_was_written_before_them),
        TEST(stream_that_goes_takes_what_was_gathered_for_it),
        TEST(slow_stream_is_fed_the_batch_later),
        TEST(what_cannot_be_encoded_is_fed_after_what_could),
        TEST(much_gathered_is_flushed_early),
        TEST(batch_for_many_watchers_is_flushed_early),
    };
    return cmocka_run_group_tests_name("watch_batch", tests, NULL, NULL);
}
