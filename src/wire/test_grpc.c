#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "health.pb-c.h"
#include "rpc.pb-c.h"
#include "wire/grpc_client.h"
#include "wire/grpc_conn.h"
#include "wire/pb.h"

#define REQUEST_MAX (64u * 1024)

/*
 * The server under test.
 */

struct app {
    int started, canceled, writable, half_closed;
    struct grpc_call *waiting;
    char metadata[64];
    bool state_was_zero;
    struct http_exchange *exchange;
    bool aborted;
    char request[256];
};

static void reply_serving(struct grpc_call *c)
{
    Grpc__Health__V1__HealthCheckResponse r = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    r.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    grpc_call_reply(c, &r.base);
}

static void on_unary(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    struct app *app = grpc_call_app(c);
    int *state = grpc_call_state(c);
    struct slice v = grpc_call_metadata(c, "x-token");

    app->started++;
    app->state_was_zero = *state == 0;
    *state = 7;
    snprintf(app->metadata, sizeof app->metadata, "%.*s", (int)v.n, v.p ? (const char *)v.p : "");
    reply_serving(c);
}

static void on_later(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    struct app *app = grpc_call_app(c);

    app->started++;
    app->waiting = c;
}

static void on_fail(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    grpc_call_fail(c, ERR_COMPACTED);
}

static void on_cancel(struct grpc_call *c)
{
    struct app *app = grpc_call_app(c);

    app->canceled++;
    app->waiting = NULL;
}

static void on_echo(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    const Grpc__Health__V1__HealthCheckRequest *r = (const void *)msg;
    struct app *app = grpc_call_app(c);

    app->started++;
    if (strcmp(r->service, "stop") == 0) {
        grpc_call_finish(c, GRPC_ABORTED, "stopped: 100%\n");
        return;
    }
    grpc_call_send_parts(c, (struct slice[]){{raw.p, 1}, {raw.p + 1, raw.n - 1}}, 2);
}

static void on_half_close(struct grpc_call *c)
{
    struct app *app = grpc_call_app(c);

    app->half_closed++;
    grpc_call_finish(c, GRPC_OK, NULL);
}

static void on_writable(struct grpc_call *c)
{
    struct app *app = grpc_call_app(c);

    app->writable++;
}

#define HEALTH .request = &grpc__health__v1__health_check_request__descriptor
static const struct grpc_method methods[] = {
    {.path = "/t.S/Unary", HEALTH, .state_size = sizeof(int), .on_message = on_unary},
    {.path = "/t.S/Later", HEALTH, .on_message = on_later, .on_cancel = on_cancel},
    {.path = "/t.S/Fail", HEALTH, .on_message = on_fail},
    {.path = "/t.S/Watch",
     HEALTH,
     .server_streaming = true,
     .on_message = on_later,
     .on_cancel = on_cancel,
     .on_writable = on_writable},
    {.path = "/t.S/Echo",
     HEALTH,
     .client_streaming = true,
     .server_streaming = true,
     .on_message = on_echo,
     .on_half_close = on_half_close,
     .on_cancel = on_cancel},
    {0},
};

static void on_abort(struct http_exchange *x)
{
    struct app *app = x->user;

    app->aborted = true;
}

static void handler(void *ctx, struct http_exchange *x)
{
    struct app *app = ctx;
    const struct http_request *r = x->req;

    snprintf(app->request, sizeof app->request, "%.*s %.*s ?%.*s @%.*s %zu %zu", (int)r->method.n,
             (const char *)r->method.p, (int)r->path.n, (const char *)r->path.p, (int)r->query.n,
             r->query.p ? (const char *)r->query.p : "", (int)r->authority.n,
             (const char *)r->authority.p, r->nheaders, r->body.n);
    if (slice_eq_str(r->path, "/later")) {
        app->exchange = x;
        x->user = app;
        x->on_abort = on_abort;
        return;
    }
    http_reply(x, 200, "text/plain", SLICE_LIT("fine\n"));
}

/*
 * The client.
 */

struct outcome {
    int status; /* -1: none yet */
    char text[256];
    size_t messages, bytes;
};
struct rig {
    struct app app;
    struct grpc_methods *methods;
    struct grpc_conn_conf conf;
    struct grpc_conn *server;
    struct grpc_client *client;
    uint64_t now_ns;
};

static void client_message(struct grpc_client_call *c, struct slice raw)
{
    struct outcome *o = grpc_client_call_user(c);

    o->messages++;
    o->bytes += raw.n;
}

static void client_status(struct grpc_client_call *c, int status, struct slice text,
                          const struct http_header *trailers, size_t n)
{
    struct outcome *o = grpc_client_call_user(c);

    assert_int_equal(o->status, -1);
    o->status = status;
    snprintf(o->text, sizeof o->text, "%.*s", (int)text.n, text.p ? (const char *)text.p : "");
}

static const struct grpc_client_handler client_handler = {.on_message = client_message,
                                                          .on_status = client_status};

static int setup(void **state)
{
    struct rig *r = xcalloc(1, sizeof *r);
    struct grpc_client_conf cc = {.authority = "here:1", .user_agent = "test/1"};

    r->now_ns = NS_PER_S;
    r->methods = grpc_methods_new(&r->app);
    grpc_methods_add(r->methods, methods);
    r->conf = (struct grpc_conn_conf){.methods = r->methods,
                                      .http = handler,
                                      .http_ctx = &r->app,
                                      .request_max = REQUEST_MAX,
                                      .streams_max = 2000};
    r->server = grpc_conn_new(&r->conf, r->now_ns);
    r->client = grpc_client_new(&cc, r->now_ns);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    grpc_conn_free(r->server);
    grpc_client_free(r->client, NULL);
    grpc_methods_free(r->methods);
    free(r);
    return 0;
}

static bool carry(struct rig *r, bool to_server)
{
    struct http2 *s = grpc_conn_http2(r->server);
    struct buf *out = to_server ? grpc_client_output(r->client) : http2_output(s);

    if (to_server)
        grpc_client_flush(r->client);
    else
        http2_flush(s);
    if (out->n == 0)
        return false;
    if (to_server)
        grpc_conn_feed(r->server, buf_slice(out), r->now_ns);
    else
        grpc_client_feed(r->client, buf_slice(out), r->now_ns);
    buf_clear(out);
    return true;
}

static void run(struct rig *r)
{
    for (bool moved = true; moved;) {
        moved = carry(r, true);
        moved |= carry(r, false);
    }
}

static struct grpc_client_call *open_call(struct rig *r, const char *path, struct outcome *o)
{
    *o = (struct outcome){.status = -1};
    return grpc_client_open(r->client, path, 0, r->now_ns, NULL, 0, &client_handler, o);
}

/* "service" = name */
static void send_name(struct grpc_client_call *c, const char *name)
{
    Grpc__Health__V1__HealthCheckRequest q;

    grpc__health__v1__health_check_request__init(&q);
    q.service = (char *)(uintptr_t)name;
    assert_int_equal(grpc_client_send(c, &q.base), 0);
}

static struct outcome unary(struct rig *r, const char *path)
{
    struct outcome o;
    struct grpc_client_call *c = open_call(r, path, &o);

    send_name(c, "x");
    grpc_client_half_close(c);
    run(r);
    return o;
}

static void stats_of(void *ctx, const struct grpc_method_stats *s)
{
    struct grpc_method_stats *want = ctx;

    if (strcmp(s->method->path, want->method->path) == 0)
        *want = *s;
}

static struct grpc_method_stats stats(struct rig *r, size_t method)
{
    struct grpc_method_stats s = {.method = &methods[method]};

    grpc_methods_stats(r->methods, stats_of, &s);
    return s;
}

/*
 * Calls.
 */

static void unary_call_is_answered(void **state)
{
    struct rig *r = *state;

    for (int i = 0; i < 3; i++) {
        struct outcome o = unary(r, "/t.S/Unary");
        assert_int_equal(o.status, GRPC_OK);
        assert_int_equal(o.messages, 1);
        assert_int_equal(o.bytes, 2);
        assert_true(r->app.state_was_zero);
    }
    assert_int_equal(stats(r, 0).started, 3);
    assert_int_equal(stats(r, 0).handled[GRPC_OK], 3);
    assert_int_equal(stats(r, 0).msg_sent, 3);
    assert_int_equal(grpc_methods_bytes_received(r->methods), 9);
    assert_int_equal(grpc_methods_bytes_sent(r->methods), 6);
    assert_int_equal(grpc_conn_open(r->server), 0);
    assert_int_equal(http2_open_streams(grpc_conn_http2(r->server)), 0);
}

static void metadata_reaches_the_method(void **state)
{
    struct rig *r = *state;
    struct http_header md[] = {{SLICE_LIT("x-token"), SLICE_LIT("secret")}};
    struct outcome o = {.status = -1};
    Grpc__Health__V1__HealthCheckRequest q;

    grpc__health__v1__health_check_request__init(&q);
    grpc_client_unary(r->client, "/t.S/Unary", NS_PER_S, r->now_ns, md, 1, &q.base, &client_handler,
                      &o);
    run(r);
    assert_int_equal(o.status, GRPC_OK);
    assert_string_equal(r->app.metadata, "secret");
}

static void answer_may_come_later(void **state)
{
    struct rig *r = *state;
    struct outcome o;
    struct grpc_client_call *c = open_call(r, "/t.S/Later", &o);

    send_name(c, "x");
    grpc_client_half_close(c);
    run(r);
    assert_int_equal(o.status, -1);
    assert_int_equal(grpc_methods_unary_open(r->methods), 1);
    reply_serving(r->app.waiting);
    assert_int_equal(grpc_methods_unary_open(r->methods), 0);
    run(r);
    assert_int_equal(o.status, GRPC_OK);
    assert_int_equal(r->app.canceled, 0);
}

static void errors_travel_with_code_and_text(void **state)
{
    struct rig *r = *state;
    struct outcome o = unary(r, "/t.S/Fail");

    assert_int_equal(o.status, GRPC_OUT_OF_RANGE);
    assert_string_equal(o.text, "etcdserver: mvcc: required revision has been compacted");
}

static void unknown_paths_are_unimplemented(void **state)
{
    static const struct {
        const char *path, *text;
    } cases[] = {{"/t.S/Nope", "unknown method Nope for service t.S"},
                 {"/no.S/Unary", "unknown service no.S"},
                 {"/x", "malformed method name: \"/x\""}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct outcome o = unary(*state, cases[i].path);
        assert_int_equal(o.status, GRPC_UNIMPLEMENTED);
        assert_string_equal(o.text, cases[i].text);
    }
}

static void oversized_message_is_refused(void **state)
{
    struct rig *r = *state;
    static const uint8_t big[REQUEST_MAX + 1];
    struct outcome o;
    struct grpc_client_call *c = open_call(r, "/t.S/Unary", &o);

    grpc_client_send_raw(c, slice_of(big, sizeof big));
    run(r); /* not yet ended: the head is enough */
    assert_int_equal(o.status, GRPC_RESOURCE_EXHAUSTED);
    assert_string_equal(o.text, "grpc: received message larger than max (65537 vs. 65536)");
    assert_int_equal(r->app.started, 0);
}

static void malformed_message_is_refused(void **state)
{
    struct rig *r = *state;
    static const char *const paths[] = {"/t.S/Unary", "/t.S/Echo"};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct outcome o;
        struct grpc_client_call *c = open_call(r, paths[i], &o);
        grpc_client_send_raw(c, SLICE_LIT("\x0a\x7fx"));
        grpc_client_half_close(c);
        run(r);
        assert_int_equal(o.status, GRPC_INTERNAL);
        assert_string_equal(o.text, "grpc: error unmarshalling request");
        assert_int_equal(r->app.started, 0);
    }
}

static void unary_call_takes_exactly_one_message(void **state)
{
    struct rig *r = *state;
    struct outcome o;

    for (int n = 0; n <= 2; n += 2) {
        struct grpc_client_call *c = open_call(r, "/t.S/Unary", &o);
        for (int i = 0; i < n; i++)
            send_name(c, "x");
        grpc_client_half_close(c);
        run(r);
        assert_int_equal(o.status, GRPC_INTERNAL);
        assert_int_equal(r->app.started, 0);
    }
}

static void streams_echo_until_half_close(void **state)
{
    struct rig *r = *state;
    struct outcome o;
    struct grpc_client_call *c = open_call(r, "/t.S/Echo", &o);

    for (size_t i = 1; i <= 5; i++) {
        send_name(c, "abc");
        run(r);
        assert_int_equal(o.messages, i);
    }
    assert_int_equal(grpc_methods_unary_open(r->methods), 0);
    grpc_client_half_close(c);
    run(r);
    assert_int_equal(o.status, GRPC_OK);
    assert_int_equal(r->app.half_closed, 1);
    assert_int_equal(stats(r, 4).msg_received, 5);
}

static void finish_inside_a_message_ends_the_stream(void **state)
{
    struct rig *r = *state;
    struct outcome o;
    struct grpc_client_call *c = open_call(r, "/t.S/Echo", &o);

    send_name(c, "one");
    send_name(c, "stop");
    send_name(c, "three");
    run(r);
    assert_int_equal(r->app.started, 2);
    assert_int_equal(o.messages, 1);
    assert_int_equal(o.status, GRPC_ABORTED);
    assert_string_equal(o.text, "stopped: 100%\n");
    assert_int_equal(http2_open_streams(grpc_conn_http2(r->server)), 0);
    assert_int_equal(r->app.canceled, 0);
}

static void clients_cancel_is_told_once(void **state)
{
    struct rig *r = *state;
    struct outcome o;
    struct grpc_client_call *c = open_call(r, "/t.S/Later", &o);

    send_name(c, "x");
    grpc_client_half_close(c);
    run(r);
    grpc_client_cancel(c);
    run(r);
    assert_int_equal(r->app.canceled, 1);
    assert_int_equal(o.status, -1);
    assert_int_equal(stats(r, 1).handled[GRPC_CANCELED], 1);
    assert_int_equal(grpc_methods_unary_open(r->methods), 0);
}

static void cancel_before_the_message_does_not_reach_the_method(void **state)
{
    struct rig *r = *state;
    struct outcome o;
    struct grpc_client_call *c = open_call(r, "/t.S/Later", &o);

    run(r);
    grpc_client_cancel(c);
    run(r);
    assert_int_equal(r->app.canceled, 0);
    assert_int_equal(grpc_conn_open(r->server), 0);
}

static void servers_deadline_cancels_and_answers(void **state)
{
    struct rig *r = *state;
    struct outcome o = {.status = -1}, o2 = {.status = -1};
    Grpc__Health__V1__HealthCheckRequest q;

    grpc__health__v1__health_check_request__init(&q);
    grpc_client_unary(r->client, "/t.S/Later", 5 * NS_PER_S, r->now_ns, NULL, 0, &q.base,
                      &client_handler, &o);
    grpc_client_unary(r->client, "/t.S/Later", 9 * NS_PER_S, r->now_ns, NULL, 0, &q.base,
                      &client_handler, &o2);
    assert_int_equal(grpc_conn_wake_ns(r->server), UINT64_MAX);
    run(r);
    assert_int_equal(grpc_conn_wake_ns(r->server), 6 * NS_PER_S);
    grpc_conn_tick(r->server, 6 * NS_PER_S - 1);
    run(r);
    assert_int_equal(o.status, -1);
    grpc_conn_tick(r->server, 6 * NS_PER_S);
    run(r);
    assert_int_equal(o.status, GRPC_DEADLINE_EXCEEDED);
    assert_string_equal(o.text, "context deadline exceeded");
    assert_int_equal(r->app.canceled, 1);
    assert_int_equal(o2.status, -1);
    assert_int_equal(grpc_conn_wake_ns(r->server), 10 * NS_PER_S);
    grpc_conn_tick(r->server, 10 * NS_PER_S);
    run(r);
    assert_int_equal(o2.status, GRPC_DEADLINE_EXCEEDED);
}

static void clients_deadline_ends_the_call(void **state)
{
    struct rig *r = *state;
    struct outcome o = {.status = -1};
    Grpc__Health__V1__HealthCheckRequest q;

    grpc__health__v1__health_check_request__init(&q);
    grpc_client_unary(r->client, "/t.S/Later", 5 * NS_PER_S, r->now_ns, NULL, 0, &q.base,
                      &client_handler, &o);
    run(r);
    assert_int_equal(grpc_client_wake_ns(r->client), 6 * NS_PER_S);
    grpc_client_tick(r->client, 6 * NS_PER_S);
    assert_int_equal(o.status, GRPC_DEADLINE_EXCEEDED);
    run(r);
    assert_int_equal(r->app.canceled, 1);
}

static void large_answers_pass_and_writable_is_told(void **state)
{
    struct rig *r = *state;
    struct outcome o;
    const size_t size = 20u << 20;
    cleanup_free uint8_t *big = xcalloc(1, size);
    struct grpc_client_call *c = open_call(r, "/t.S/Watch", &o);

    send_name(c, "x");
    grpc_client_half_close(c);
    run(r);
    assert_int_equal(grpc_call_send_parts(r->app.waiting, &(struct slice){big, size}, 1), 0);
    assert_int_equal(grpc_call_queued(r->app.waiting), size + 5);
    run(r);
    assert_int_equal(o.messages, 1);
    assert_int_equal(o.bytes, size);
    assert_int_equal(r->app.writable, 1);
    assert_int_equal(grpc_call_queued(r->app.waiting), 0);
    grpc_call_finish(r->app.waiting, GRPC_OK, NULL);
    run(r);
    assert_int_equal(o.status, GRPC_OK);
}

/* Reads requests but no answers: 20 MiB wait, the next call has to as well. */
static void calls_wait_while_the_peer_takes_no_answers(void **state)
{
    struct rig *r = *state;
    struct outcome o, o2, o3;
    const size_t size = 20u << 20;
    cleanup_free uint8_t *big = xcalloc(1, size);
    struct grpc_client_call *c = open_call(r, "/t.S/Watch", &o);

    send_name(c, "x");
    grpc_client_half_close(c);
    run(r);
    grpc_call_send_parts(r->app.waiting, &(struct slice){big, size}, 1);
    struct grpc_client_call *c2 = open_call(r, "/t.S/Unary", &o2);
    send_name(c2, "x");
    grpc_client_half_close(c2);
    struct grpc_client_call *c3 = open_call(r, "/t.S/Unary", &o3);
    send_name(c3, "x");
    grpc_client_half_close(c3);
    carry(r, true);
    assert_int_equal(r->app.started, 1);
    assert_false(grpc_conn_resume(r->server));
    grpc_client_cancel(c3);
    run(r);
    assert_true(grpc_conn_resume(r->server));
    assert_int_equal(r->app.started, 2);
    run(r);
    assert_int_equal(o2.status, GRPC_OK);
    assert_int_equal(o.bytes, size);
    grpc_client_cancel(c);
    run(r);
    assert_int_equal(grpc_conn_open(r->server), 0);
}

static void stop_ends_open_calls(void **state)
{
    struct rig *r = *state;
    struct outcome o, o2;
    struct grpc_client_call *c = open_call(r, "/t.S/Watch", &o);

    send_name(c, "x");
    open_call(r, "/t.S/Echo", &o2);
    run(r);
    grpc_client_half_close(c);
    run(r);
    grpc_conn_stop(r->server);
    run(r);
    assert_int_equal(o.status, GRPC_UNAVAILABLE);
    assert_string_equal(o.text, "etcdserver: server stopped");
    assert_int_equal(o2.status, GRPC_UNAVAILABLE);
    assert_int_equal(r->app.canceled, 1);
    assert_true(http2_done(grpc_conn_http2(r->server)));
    assert_false(grpc_client_usable(r->client));
}

static void lost_connection_ends_calls_on_both_sides(void **state)
{
    struct rig *r = *state;
    struct outcome o;
    struct grpc_client_call *c = open_call(r, "/t.S/Watch", &o);

    send_name(c, "x");
    grpc_client_half_close(c);
    run(r);
    grpc_conn_free(r->server);
    r->server = NULL;
    assert_int_equal(r->app.canceled, 1);
    grpc_client_free(r->client, "connection refused");
    r->client = NULL;
    assert_int_equal(o.status, GRPC_UNAVAILABLE);
    assert_string_equal(o.text, "connection refused");
}

static void unfinished_requests_are_bounded_per_connection(void **state)
{
    struct rig *r = *state;
    static const uint8_t half[REQUEST_MAX - 100];
    static struct outcome o[1100];
    size_t refused = 0;

    for (size_t i = 0; i < ARRAY_LEN(o); i++) {
        struct grpc_client_call *c = open_call(r, "/t.S/Unary", &o[i]);
        grpc_client_send_raw(c, slice_of(half, sizeof half));
        run(r);
        refused += o[i].status == GRPC_RESOURCE_EXHAUSTED;
    }
    assert_in_range(refused, 50, 100); /* 1024 of 64 KiB fit */
}

/*
 * What is no proper call.
 */

struct plain {
    struct http2 *h;
    char status[8], type[32], grpc_status[4], text[128], body[64];
    bool closed;
};

static void copy(char *to, size_t size, struct slice s)
{
    snprintf(to, size, "%.*s", (int)s.n, (const char *)s.p);
}

static void plain_headers(struct http2_stream *s, const struct http_header *h, size_t n,
                          bool too_large, bool end)
{
    struct plain *p = http2_user(http2_stream_conn(s));

    for (size_t i = 0; i < n; i++) {
        if (slice_eq_str(h[i].name, ":status"))
            copy(p->status, sizeof p->status, h[i].value);
        if (slice_eq_str(h[i].name, "content-type"))
            copy(p->type, sizeof p->type, h[i].value);
        if (slice_eq_str(h[i].name, "grpc-status"))
            copy(p->grpc_status, sizeof p->grpc_status, h[i].value);
        if (slice_eq_str(h[i].name, "grpc-message"))
            copy(p->text, sizeof p->text, h[i].value);
    }
}

static void plain_data(struct http2_stream *s, struct slice data)
{
    struct plain *p = http2_user(http2_stream_conn(s));

    copy(p->body, sizeof p->body, data);
}

static void plain_close(struct http2_stream *s, uint32_t error)
{
    struct plain *p = http2_user(http2_stream_conn(s));

    p->closed = true;
}

static const struct http2_ops plain_ops = {
    .on_headers = plain_headers, .on_data = plain_data, .on_close = plain_close};

static void plain_run(struct rig *r, struct plain *p)
{
    struct http2 *s = grpc_conn_http2(r->server);

    for (int i = 0; i < 20; i++) {
        http2_flush(p->h);
        grpc_conn_feed(r->server, buf_slice(http2_output(p->h)), r->now_ns);
        buf_clear(http2_output(p->h));
        http2_flush(s);
        http2_feed(p->h, buf_slice(http2_output(s)), r->now_ns);
        buf_clear(http2_output(s));
    }
}

static struct http2_stream *plain_request(struct rig *r, struct plain *p, const char *method,
                                          const char *path, const char *type, struct slice body,
                                          bool end)
{
    struct http2_conf conf = {.ops = &plain_ops, .user = p};
    struct http_header h[] = {
        {SLICE_LIT(":method"), slice_str(method)},    {SLICE_LIT(":scheme"), SLICE_LIT("http")},
        {SLICE_LIT(":path"), slice_str(path)},        {SLICE_LIT(":authority"), SLICE_LIT("me")},
        {SLICE_LIT("content-type"), slice_str(type)}, {SLICE_LIT("grpc-encoding"), SLICE_LIT("gz")},
    };

    *p = (struct plain){0};
    p->h = http2_new(&conf, r->now_ns);
    struct http2_stream *s = http2_request(p->h, h, ARRAY_LEN(h), false, NULL);
    http2_send(s, body);
    if (end)
        http2_send_end(s);
    plain_run(r, p);
    return s;
}

static void plain_done(struct rig *r, struct plain *p)
{
    http2_free(p->h);
    grpc_conn_free(r->server);
    r->server = grpc_conn_new(&r->conf, r->now_ns);
}

static void requests_that_are_no_proper_calls(void **state)
{
    static const struct {
        const char *method, *path, *type;
        struct slice body;
        const char *status, *grpc_status, *text, *answer;
    } cases[] = {
        {"GET", "/t.S/Unary", "application/grpc", SLICE_LIT(""), "405", "", "", ""},
        {"POST", "/t.S/Unary", "text/plain", SLICE_LIT(""), "415", "", "", ""},
        {"POST", "/t.S/Unary", "application/grpcx", SLICE_LIT(""), "415", "", "", ""},
        {"POST", "/t.S/Unary", "application/grpc+proto", SLICE_LIT("\0\0\0\0\0"), "200", "", "",
         "*"},
        {"POST", "/t.S/Unary", "application/grpc", SLICE_LIT("\1\0\0\0\0"), "200", "12",
         "grpc: Decompressor is not installed for grpc-encoding \"gz\"", ""},
        {"POST", "/t.S/Unary", "application/grpc", SLICE_LIT("\0\0\0"), "200", "13",
         "unexpected EOF", ""},
        {"GET", "/health?x=1", "text/plain", SLICE_LIT(""), "200", "", "", "fine\n"},
        {"HEAD", "/health", "text/plain", SLICE_LIT(""), "200", "", "", ""},
    };
    struct rig *r = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct plain p;
        plain_request(r, &p, cases[i].method, cases[i].path, cases[i].type, cases[i].body, true);
        assert_string_equal(p.status, cases[i].status);
        assert_string_equal(p.grpc_status, cases[i].grpc_status);
        assert_string_equal(p.text, cases[i].text);
        if (cases[i].answer[0] != '*')
            assert_string_equal(p.body, cases[i].answer);
        assert_true(p.closed);
        plain_done(r, &p);
    }
}

static void http_request_reaches_the_handler_whole(void **state)
{
    struct rig *r = *state;
    struct plain p;

    plain_request(r, &p, "PUT", "/a/b?c=d", "text/plain", SLICE_LIT("body"), true);
    assert_string_equal(r->app.request, "PUT /a/b ?c=d @me 2 4");
    assert_string_equal(p.type, "text/plain");
    plain_done(r, &p);
}

static void http_answer_may_come_later_or_never(void **state)
{
    struct rig *r = *state;
    struct plain p;

    plain_request(r, &p, "GET", "/later", "text/plain", SLICE_LIT(""), true);
    assert_string_equal(p.status, "");
    http_reply(r->app.exchange, 503, NULL, SLICE_LIT("soon"));
    plain_run(r, &p);
    assert_string_equal(p.status, "503");
    assert_string_equal(p.body, "soon");
    plain_done(r, &p);

    struct http2_stream *s =
        plain_request(r, &p, "GET", "/later", "text/plain", SLICE_LIT(""), true);
    http2_reset(s, HTTP2_CANCEL);
    plain_run(r, &p);
    assert_true(r->app.aborted);
    assert_int_equal(grpc_conn_open(r->server), 0);
    plain_done(r, &p);
}

static void http_body_is_bounded(void **state)
{
    struct rig *r = *state;
    struct plain p;
    cleanup_free uint8_t *big = xcalloc(1, LIMIT_HTTP1_BODY + 1);

    plain_request(r, &p, "PUT", "/a", "text/plain", slice_of(big, LIMIT_HTTP1_BODY + 1), true);
    assert_string_equal(p.status, "413");
    plain_done(r, &p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(unary_call_is_answered),
        T(metadata_reaches_the_method),
        T(answer_may_come_later),
        T(errors_travel_with_code_and_text),
        T(unknown_paths_are_unimplemented),
        T(oversized_message_is_refused),
        T(malformed_message_is_refused),
        T(unary_call_takes_exactly_one_message),
        T(streams_echo_until_half_close),
        T(finish_inside_a_message_ends_the_stream),
        T(clients_cancel_is_told_once),
        T(cancel_before_the_message_does_not_reach_the_method),
        T(servers_deadline_cancels_and_answers),
        T(clients_deadline_ends_the_call),
        T(large_answers_pass_and_writable_is_told),
        T(calls_wait_while_the_peer_takes_no_answers),
        T(stop_ends_open_calls),
        T(lost_connection_ends_calls_on_both_sides),
        T(unfinished_requests_are_bounded_per_connection),
        T(requests_that_are_no_proper_calls),
        T(http_request_reaches_the_handler_whole),
        T(http_answer_may_come_later_or_never),
        T(http_body_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
