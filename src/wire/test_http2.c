#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "wire/http2.h"
#include "wire/http2_guard.h"

#define HDR(n, v)                                                                                  \
    {                                                                                              \
        SLICE_LIT(n), SLICE_LIT(v)                                                                 \
    }

static const struct http_header request[] = {
    HDR(":method", "POST"),
    HDR(":scheme", "http"),
    HDR(":path", "/x"),
    HDR(":authority", "here"),
};
static const struct http_header ok[] = {HDR(":status", "200")};
static const struct http_header trailer[] = {HDR("x-end", "yes")};

/* Both ends of a connection, and what each of them was told. */
struct side {
    struct http2 *h;
    struct http2_stream *s; /* the last one seen */
    char log[256];          /* one letter a callback */
    struct buf body;
    char end_value[32];
    uint32_t error;
    char goaway[64];
};
struct pair {
    struct side server, client;
    uint64_t now_ns;
};

static void note(struct side *side, char c)
{
    size_t n = strlen(side->log);

    if (n + 1 < sizeof side->log)
        side->log[n] = c;
}

static struct side *side_of(struct http2_stream *s)
{
    return http2_user(http2_stream_conn(s));
}

static void on_headers(struct http2_stream *s, const struct http_header *h, size_t n,
                       bool too_large, bool end)
{
    struct side *side = side_of(s);

    side->s = s;
    note(side, too_large ? 'L' : 'H');
}

static void on_trailers(struct http2_stream *s, const struct http_header *h, size_t n)
{
    note(side_of(s), 'T');
    snprintf(side_of(s)->end_value, 32, "%.*s", (int)h[0].value.n, (const char *)h[0].value.p);
}

static void on_data(struct http2_stream *s, struct slice data)
{
    buf_append_slice(&side_of(s)->body, data);
}

static void on_end(struct http2_stream *s)
{
    note(side_of(s), 'E');
}

static void on_writable(struct http2_stream *s)
{
    note(side_of(s), 'W');
}

static void on_close(struct http2_stream *s, uint32_t error)
{
    note(side_of(s), 'C');
    side_of(s)->error = error;
    side_of(s)->s = NULL;
}

static void on_goaway(struct http2 *h, uint32_t error, int32_t last, struct slice text)
{
    struct side *side = http2_user(h);

    note(side, 'G');
    snprintf(side->goaway, sizeof side->goaway, "%.*s", (int)text.n, (const char *)text.p);
}

static const struct http2_ops ops = {on_headers,  on_trailers, on_data,  on_end,
                                     on_writable, on_close,    on_goaway};

static void pair_init_conf(struct pair *p, struct http2_conf server, struct http2_conf client)
{
    *p = (struct pair){.now_ns = NS_PER_S};
    buf_init(&p->server.body, 64u << 20);
    buf_init(&p->client.body, 64u << 20);
    server.server = true;
    server.ops = client.ops = &ops;
    server.user = &p->server;
    client.user = &p->client;
    if (!server.streams_max)
        server.streams_max = 100;
    p->server.h = http2_new(&server, p->now_ns);
    p->client.h = http2_new(&client, p->now_ns);
}

static void pair_init(struct pair *p)
{
    pair_init_conf(p, (struct http2_conf){0}, (struct http2_conf){0});
}

static void pair_deinit(struct pair *p)
{
    http2_free(p->server.h);
    http2_free(p->client.h);
    buf_deinit(&p->server.body);
    buf_deinit(&p->client.body);
}

static bool carry(struct pair *p, struct http2 *from, struct http2 *to)
{
    struct buf *out = http2_output(from);

    http2_flush(from);
    if (out->n == 0)
        return false;
    http2_feed(to, buf_slice(out), p->now_ns);
    buf_clear(out);
    return true;
}

static void run(struct pair *p)
{
    for (bool moved = true; moved;) {
        moved = carry(p, p->client.h, p->server.h);
        moved |= carry(p, p->server.h, p->client.h);
    }
}

static void request_and_answer_with_trailers(void **state)
{
    struct pair p;

    pair_init(&p);
    struct http2_stream *s = http2_request(p.client.h, request, 4, false, NULL);
    assert_int_equal(http2_send(s, SLICE_LIT("question")), 0);
    http2_send_end(s);
    assert_int_equal(http2_send(s, SLICE_LIT("more")), -EPIPE);
    run(&p);
    assert_string_equal(p.server.log, "HE");
    assert_true(slice_eq_str(buf_slice(&p.server.body), "question"));
    assert_int_equal(http2_respond_static(p.server.s, ok, 1), 0);
    assert_int_equal(http2_respond_static(p.server.s, ok, 1), -EPIPE);
    assert_int_equal(http2_send(p.server.s, SLICE_LIT("answer")), 0);
    http2_send_trailers(p.server.s, trailer, 1);
    run(&p);
    assert_string_equal(p.server.log, "HEC");
    assert_string_equal(p.client.log, "HTEC");
    assert_true(slice_eq_str(buf_slice(&p.client.body), "answer"));
    assert_string_equal(p.client.end_value, "yes");
    assert_int_equal(p.client.error, HTTP2_NO_ERROR);
    assert_int_equal(http2_open_streams(p.server.h), 0);
    pair_deinit(&p);
}

static void answer_in_parts_over_time(void **state)
{
    struct pair p;

    pair_init(&p);
    http2_request(p.client.h, request, 4, true, NULL);
    run(&p);
    http2_respond(p.server.s, ok, 1, false);
    for (int i = 0; i < 5; i++) {
        run(&p);
        http2_send(p.server.s, SLICE_LIT("part"));
    }
    run(&p);
    assert_int_equal(p.client.body.n, 20);
    assert_string_equal(p.client.log, "H");
    http2_send_end(p.server.s);
    run(&p);
    assert_string_equal(p.client.log, "HEC");
    pair_deinit(&p);
}

static void end_before_the_peers_resets_with_no_error(void **state)
{
    struct pair p;

    pair_init(&p);
    http2_request(p.client.h, request, 4, false, NULL);
    run(&p);
    http2_respond(p.server.s, ok, 1, true);
    run(&p);
    assert_string_equal(p.client.log, "HEC");
    assert_int_equal(p.client.error, HTTP2_NO_ERROR);
    assert_int_equal(http2_open_streams(p.server.h), 0);
    pair_deinit(&p);
}

static void large_answers_wait_with_the_stream_not_in_the_output(void **state)
{
    struct pair p;
    const size_t size = 8u << 20;

    pair_init(&p);
    http2_request(p.client.h, request, 4, true, NULL);
    run(&p);
    http2_respond(p.server.s, ok, 1, false);
    memset(http2_send_reserve(p.server.s, size), 'x', size);
    http2_flush(p.server.h);
    assert_in_range(http2_output(p.server.h)->n, HTTP2_OUTPUT_HIGH, HTTP2_OUTPUT_HIGH + 65536);
    assert_in_range(http2_queued(p.server.h), size, size + 65536);
    run(&p);
    assert_int_equal(p.client.body.n, size);
    assert_int_equal(http2_stream_queued(p.server.s), 0);
    assert_string_equal(p.server.log, "HEW");
    pair_deinit(&p);
}

static void a_small_answer_overtakes_a_large_one(void **state)
{
    struct pair p;
    const size_t size = 700 * 1024; /* inside the window, so only turns decide */

    pair_init(&p);
    http2_request(p.client.h, request, 4, true, NULL);
    run(&p);
    struct http2_stream *large = p.server.s;
    http2_request(p.client.h, request, 4, true, NULL);
    run(&p);
    struct http2_stream *small = p.server.s;
    http2_respond(large, ok, 1, false);
    memset(http2_send_reserve(large, size), 'x', size);
    http2_respond(small, ok, 1, false);
    http2_send(small, SLICE_LIT("small"));
    http2_flush(p.server.h);
    assert_int_equal(http2_stream_queued(small), 0);
    assert_true(http2_stream_queued(large) > size / 2);
    pair_deinit(&p);
}

static void reset_reaches_the_other_side(void **state)
{
    struct pair p;

    pair_init(&p);
    struct http2_stream *s = http2_request(p.client.h, request, 4, false, NULL);
    run(&p);
    http2_reset(s, HTTP2_CANCEL);
    run(&p);
    assert_string_equal(p.server.log, "HC");
    assert_int_equal(p.server.error, HTTP2_CANCEL);
    assert_int_equal(http2_queued(p.server.h), 0);
    pair_deinit(&p);
}

static void free_closes_open_streams(void **state)
{
    struct pair p;

    pair_init(&p);
    http2_request(p.client.h, request, 4, false, NULL);
    run(&p);
    http2_free(p.server.h);
    p.server.h = NULL;
    assert_string_equal(p.server.log, "HC");
    assert_int_equal(p.server.error, HTTP2_CANCEL);
    pair_deinit(&p);
}

static void header_limits_are_told(void **state)
{
    static const struct {
        size_t count, value_n;
        char seen;
    } cases[] = {{10, 10, 'H'}, {60, 10, 'H'}, {61, 1, 'L'}, {2, 8000, 'H'}, {3, 8000, 'L'}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_header h[80];
        uint8_t value[8000];
        struct pair p;

        memset(value, 'v', sizeof value);
        memcpy(h, request, sizeof request);
        for (size_t k = 0; k < cases[i].count; k++)
            h[4 + k] = (struct http_header){SLICE_LIT("x"), slice_of(value, cases[i].value_n)};
        pair_init(&p);
        if (4 + cases[i].count <= LIMIT_HEADER_COUNT + 8)
            http2_request(p.client.h, h, 4 + cases[i].count, true, NULL);
        run(&p);
        assert_int_equal(p.server.log[0], cases[i].seen);
        pair_deinit(&p);
    }
}

static void reset_flood_ends_the_connection(void **state)
{
    struct pair p;
    int i;

    pair_init(&p);
    for (i = 0; i < 5000 && http2_usable(p.client.h); i++) {
        struct http2_stream *s = http2_request(p.client.h, request, 4, false, NULL);
        run(&p);
        if (s && p.client.s != s && http2_usable(p.client.h))
            http2_reset(s, HTTP2_CANCEL);
        run(&p);
    }
    assert_int_equal(i, 5 * LIMIT_RESETS_PER_S + 1);
    assert_true(http2_done(p.server.h));
    assert_string_equal(p.client.goaway, "too many resets");
    pair_deinit(&p);
}

static void resets_at_a_bearable_pace_are_fine(void **state)
{
    struct pair p;

    pair_init(&p);
    for (int i = 0; i < 3000; i++) {
        struct http2_stream *s = http2_request(p.client.h, request, 4, false, NULL);
        run(&p);
        http2_reset(s, HTTP2_CANCEL);
        run(&p);
        p.now_ns += NS_PER_S / LIMIT_RESETS_PER_S;
    }
    assert_true(http2_usable(p.client.h));
    pair_deinit(&p);
}

/* Frames a well-behaved client does not send. */
static const struct slice ping = SLICE_LIT("\0\0\x08\x06\0\0\0\0\0________");
static const struct slice settings = SLICE_LIT("\0\0\0\x04\0\0\0\0\0");
static const struct slice empty_data = SLICE_LIT("\0\0\0\0\0\0\0\0\x01");

static void floods_of_control_frames_end_the_connection(void **state)
{
    const struct slice frames[] = {ping, settings, empty_data};

    for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
        struct pair p;
        int n = 0;

        pair_init(&p);
        http2_request(p.client.h, request, 4, false, NULL);
        run(&p);
        while (n < 5000 && !http2_done(p.server.h)) {
            http2_feed(p.server.h, frames[i], p.now_ns);
            n++;
            http2_flush(p.server.h);
            buf_clear(http2_output(p.server.h));
        }
        assert_in_range(n, LIMIT_CONTROL_PER_S - 2, LIMIT_CONTROL_PER_S + 1);
        pair_deinit(&p);
    }
}

static void pings_that_answer_our_data_are_no_flood(void **state)
{
    struct pair p;

    pair_init(&p);
    http2_request(p.client.h, request, 4, false, NULL);
    run(&p);
    http2_respond(p.server.s, ok, 1, false);
    for (int i = 0; i < 5 * LIMIT_CONTROL_PER_S; i++) {
        http2_send(p.server.s, SLICE_LIT("x"));
        run(&p);
        http2_feed(p.server.h, ping, p.now_ns);
        run(&p);
        assert_false(http2_done(p.server.h));
    }
    pair_deinit(&p);
}

/* Sends a ping each gap_ns until the server has enough; how many it took, at most 10. */
static int pings_until_goaway(uint64_t gap_ns, bool with_stream, bool answer_between)
{
    struct pair p;
    int n = 0;

    pair_init_conf(&p, (struct http2_conf){.keepalive_min_ns = 5 * NS_PER_S},
                   (struct http2_conf){0});
    if (with_stream)
        http2_request(p.client.h, request, 4, false, NULL);
    run(&p);
    if (answer_between)
        http2_respond(p.server.s, ok, 1, false);
    while (n < 10 && !http2_done(p.server.h)) {
        http2_feed(p.server.h, ping, p.now_ns);
        n++;
        p.now_ns += gap_ns;
        if (answer_between)
            http2_send(p.server.s, SLICE_LIT("x"));
        run(&p);
    }
    if (n < 10)
        assert_string_equal(p.client.goaway, "too_many_pings");
    pair_deinit(&p);
    return n;
}

static void too_many_pings_are_policed_as_grpc_go_does(void **state)
{
    assert_int_equal(pings_until_goaway(NS_PER_S, true, false), 4); /* first free, 2 strikes, out */
    assert_int_equal(pings_until_goaway(6 * NS_PER_S, true, false), 10);
    assert_int_equal(pings_until_goaway(6 * NS_PER_S, false, false), 4);
    assert_int_equal(pings_until_goaway(NS_PER_S, true, true), 10);
}

static void silent_peer_is_pinged_then_given_up(void **state)
{
    struct pair p;

    pair_init_conf(&p,
                   (struct http2_conf){.keepalive_interval_ns = 10 * NS_PER_S,
                                       .keepalive_timeout_ns = 3 * NS_PER_S},
                   (struct http2_conf){0});
    run(&p);
    assert_int_equal(http2_wake_ns(p.server.h), 11 * NS_PER_S);
    p.now_ns = 11 * NS_PER_S;
    http2_tick(p.server.h, p.now_ns);
    run(&p); /* the client answers */
    assert_int_equal(http2_wake_ns(p.server.h), 21 * NS_PER_S);
    http2_tick(p.server.h, 21 * NS_PER_S);
    http2_flush(p.server.h);
    assert_int_equal(http2_output(p.server.h)->n, 17);
    assert_false(http2_done(p.server.h));
    http2_tick(p.server.h, 24 * NS_PER_S);
    assert_true(http2_done(p.server.h));
    pair_deinit(&p);
}

static void shutdown_lets_open_streams_finish(void **state)
{
    struct pair p;

    pair_init(&p);
    http2_request(p.client.h, request, 4, true, NULL);
    run(&p);
    http2_shutdown(p.server.h);
    run(&p);
    assert_string_equal(p.client.log, "G");
    assert_null(http2_request(p.client.h, request, 4, true, NULL));
    assert_false(http2_done(p.server.h));
    http2_respond(p.server.s, ok, 1, true);
    run(&p);
    assert_string_equal(p.client.log, "GHEC");
    assert_true(http2_done(p.server.h));
    assert_true(http2_done(p.client.h));
    pair_deinit(&p);
}

static void requests_past_the_peers_limit_wait(void **state)
{
    struct pair p;

    pair_init_conf(&p, (struct http2_conf){.streams_max = 2}, (struct http2_conf){0});
    run(&p);
    for (int i = 0; i < 3; i++)
        http2_request(p.client.h, request, 4, true, NULL);
    run(&p);
    assert_string_equal(p.server.log, "HEHE");
    http2_respond(p.server.s, ok, 1, true);
    run(&p);
    assert_string_equal(p.server.log, "HEHECHE");
    pair_deinit(&p);
}

static void a_request_that_still_waits_can_be_reset(void **state)
{
    struct pair p;

    pair_init_conf(&p, (struct http2_conf){.streams_max = 1}, (struct http2_conf){0});
    run(&p);
    http2_request(p.client.h, request, 4, true, NULL);
    struct http2_stream *waiting = http2_request(p.client.h, request, 4, true, NULL);
    run(&p);
    http2_reset(waiting, HTTP2_CANCEL);
    http2_respond(p.server.s, ok, 1, true);
    run(&p);
    assert_int_equal(http2_open_streams(p.client.h), 0);
    pair_deinit(&p);
}

static void goaway_refuses_requests_not_yet_sent(void **state)
{
    struct pair p;

    pair_init_conf(&p, (struct http2_conf){.streams_max = 1}, (struct http2_conf){0});
    run(&p);
    http2_request(p.client.h, request, 4, true, NULL);
    http2_request(p.client.h, request, 4, true, NULL);
    run(&p);
    http2_shutdown(p.server.h);
    run(&p);
    assert_string_equal(p.client.log, "CG");
    assert_int_equal(p.client.error, HTTP2_REFUSED_STREAM);
    assert_int_equal(http2_open_streams(p.client.h), 1);
    pair_deinit(&p);
}

static void garbage_ends_the_connection(void **state)
{
    struct pair p;

    pair_init(&p);
    assert_int_equal(http2_feed(p.server.h, SLICE_LIT("GET / HTTP/1.1\r\n\r\n and more"), 1),
                     ERR_MALFORMED);
    assert_true(http2_done(p.server.h));
    pair_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_and_answer_with_trailers),
        cmocka_unit_test(answer_in_parts_over_time),
        cmocka_unit_test(end_before_the_peers_resets_with_no_error),
        cmocka_unit_test(large_answers_wait_with_the_stream_not_in_the_output),
        cmocka_unit_test(a_small_answer_overtakes_a_large_one),
        cmocka_unit_test(reset_reaches_the_other_side),
        cmocka_unit_test(free_closes_open_streams),
        cmocka_unit_test(header_limits_are_told),
        cmocka_unit_test(reset_flood_ends_the_connection),
        cmocka_unit_test(resets_at_a_bearable_pace_are_fine),
        cmocka_unit_test(floods_of_control_frames_end_the_connection),
        cmocka_unit_test(pings_that_answer_our_data_are_no_flood),
        cmocka_unit_test(too_many_pings_are_policed_as_grpc_go_does),
        cmocka_unit_test(silent_peer_is_pinged_then_given_up),
        cmocka_unit_test(shutdown_lets_open_streams_finish),
        cmocka_unit_test(requests_past_the_peers_limit_wait),
        cmocka_unit_test(a_request_that_still_waits_can_be_reset),
        cmocka_unit_test(goaway_refuses_requests_not_yet_sent),
        cmocka_unit_test(garbage_ends_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
