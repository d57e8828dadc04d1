#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "health.pb-c.h"
#include "io/server_internal.h"
#include "wire/grpc_client.h"

#define WAIT_MS 5000 /* for what should happen at once */
#define BIG     (8u * 1024 * 1024)

struct rig {
    uv_loop_t loop;
    struct io_server *server;
    struct grpc_methods *methods;
    uint16_t port;
    int turns, requests;
    struct grpc_call *waiting;
    struct http_exchange *held;
    bool answer_in_turn;
    bool aborted;
    bool stopped;
    uint8_t *big;
};

static void reply_serving(struct grpc_call *c)
{
    Grpc__Health__V1__HealthCheckResponse r = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    r.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    grpc_call_reply(c, &r.base);
}

static void on_check(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    struct rig *r = grpc_call_app(c);

    r->requests++;
    r->waiting = c;
    if (!r->answer_in_turn)
        reply_serving(c);
}

static void on_wait(struct grpc_call *c, const ProtobufCMessage *msg, struct slice raw)
{
    struct rig *r = grpc_call_app(c);

    r->requests++;
}

static const struct grpc_method methods[] = {
    {.path = "/t.S/Check",
     .request = &grpc__health__v1__health_check_request__descriptor,
     .on_message = on_check},
    {.path = "/t.S/Wait",
     .request = &grpc__health__v1__health_check_request__descriptor,
     .on_message = on_wait},
    {0},
};

static void on_turn(void *ctx)
{
    struct rig *r = ctx;

    r->turns++;
    if (r->answer_in_turn && r->waiting)
        reply_serving(take_ptr(&r->waiting));
}

static void on_abort(struct http_exchange *x)
{
    struct rig *r = x->user;

    r->aborted = true;
    r->held = NULL;
}

static void on_http(void *ctx, struct http_exchange *x)
{
    struct rig *r = ctx;

    r->requests++;
    if (slice_eq_str(x->req->path, "/big")) {
        http_reply(x, 200, "text/plain", slice_of(r->big, BIG));
    } else if (slice_eq_str(x->req->path, "/hold")) {
        r->held = x;
        x->user = r;
        x->on_abort = on_abort;
    } else {
        http_reply(x, 200, "text/plain", SLICE_LIT("fine"));
    }
}

static void start(struct rig *r, struct io_server_conf conf, struct tls_context *tls)
{
    struct err e = {0};

    *r = (struct rig){.big = xcalloc(1, BIG)};
    uv_loop_init(&r->loop);
    r->methods = grpc_methods_new(r);
    grpc_methods_add(r->methods, methods);
    conf.loop = &r->loop;
    conf.methods = r->methods;
    conf.http = on_http;
    conf.http_ctx = conf.turn_ctx = r;
    conf.on_turn = on_turn;
    assert_int_equal(io_server_new(&conf, &r->server, &e), 0);
    if (io_server_listen(r->server, "127.0.0.1", 0, tls, &r->port, &e) < 0)
        fail_msg("%s", e.msg);
}

static void on_stopped(void *ctx)
{
    struct rig *r = ctx;

    r->stopped = true;
}

static void finish(struct rig *r)
{
    if (!r->server->stopping)
        io_server_stop(r->server, 0, on_stopped, r);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_true(r->stopped);
    io_server_free(r->server);
    grpc_methods_free(r->methods);
    assert_int_equal(uv_loop_close(&r->loop), 0);
    free(r->big);
}

/*
 * A client on a socket, driven in turn with the loop.
 */

/* rcvbuf: bytes the kernel may hold for us; 0: its own choice. */
static int dial_with(struct rig *r, int rcvbuf)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(r->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (rcvbuf)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static int dial(struct rig *r)
{
    return dial_with(r, 0);
}

static void turn_loop(struct rig *r)
{
    uv_run(&r->loop, UV_RUN_NOWAIT);
}

/* Runs the loop until the socket has something, and reads it: bytes, 0 at the end, -1 on error. */
static ssize_t receive(struct rig *r, int fd, void *to, size_t n)
{
    uint64_t end = uv_hrtime() + WAIT_MS * NS_PER_MS;

    while (uv_hrtime() < end) {
        turn_loop(r);
        ssize_t got = recv(fd, to, n, MSG_DONTWAIT);
        if (got >= 0 || errno != EAGAIN)
            return got;
        poll(&(struct pollfd){fd, POLLIN, 0}, 1, 1);
    }
    fail_msg("nothing came");
    return -1;
}

static void send_all(struct rig *r, int fd, struct slice s)
{
    while (s.n > 0) {
        ssize_t n = send(fd, s.p, s.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            assert_int_equal(errno, EAGAIN);
        else
            s = slice_skip(s, (size_t)n);
        turn_loop(r);
    }
}

/* Reads to the connection's end. */
static size_t receive_all(struct rig *r, int fd, struct buf *to)
{
    uint8_t part[65536];
    ssize_t n;

    while ((n = receive(r, fd, part, sizeof part)) > 0)
        buf_append(to, part, (size_t)n);
    assert_int_equal(n, 0);
    return to->n;
}

static size_t count(const struct buf *b, const char *word)
{
    size_t found = 0, n = strlen(word);

    for (const uint8_t *p = b->p; b->n && (p = memmem(p, b->n - (size_t)(p - b->p), word, n)); p++)
        found++;
    return found;
}

/* A gRPC client on a socket, through TLS or not. */
struct remote {
    int fd, status, messages;
    struct grpc_client *c;
    struct tls_conn *tls;
    char text[128];
};

static void on_message(struct grpc_client_call *c, struct slice raw)
{
    struct remote *m = grpc_client_call_user(c);

    m->messages++;
}

static void on_status(struct grpc_client_call *c, int status, struct slice text,
                      const struct http_header *trailers, size_t n)
{
    struct remote *m = grpc_client_call_user(c);

    m->status = status;
    snprintf(m->text, sizeof m->text, "%.*s", (int)text.n, text.p ? (const char *)text.p : "");
}

static const struct grpc_client_handler handler = {.on_message = on_message,
                                                   .on_status = on_status};

static void remote_open(struct rig *r, struct remote *m, struct tls_context *tls)
{
    struct grpc_client_conf conf = {.authority = "localhost", .user_agent = "test"};

    *m = (struct remote){.fd = dial(r), .status = -1, .c = grpc_client_new(&conf, 1)};
    if (tls)
        m->tls = tls_conn_new(tls, "localhost");
}

static void remote_close(struct remote *m)
{
    grpc_client_free(m->c, NULL);
    tls_conn_free(m->tls);
    close(m->fd);
}

static void remote_send(struct rig *r, struct remote *m)
{
    struct buf *out = grpc_client_output(m->c);

    grpc_client_flush(m->c);
    if (m->tls) {
        tls_conn_write(m->tls, buf_slice(out));
        buf_clear(out);
        out = tls_conn_output(m->tls);
    }
    send_all(r, m->fd, buf_slice(out));
    buf_clear(out);
}

static void remote_receive(struct rig *r, struct remote *m)
{
    uint8_t part[65536];
    cleanup_buf struct buf plain;
    struct err e;
    ssize_t n = receive(r, m->fd, part, sizeof part);

    buf_init(&plain, 1u << 20);
    assert_true(n > 0);
    if (m->tls) {
        assert_int_equal(tls_conn_feed(m->tls, slice_of(part, (size_t)n), &plain, &e), 0);
        grpc_client_feed(m->c, buf_slice(&plain), 1);
    } else {
        grpc_client_feed(m->c, slice_of(part, (size_t)n), 1);
    }
}

static void remote_begin(struct rig *r, struct remote *m, const char *path)
{
    Grpc__Health__V1__HealthCheckRequest q;

    grpc__health__v1__health_check_request__init(&q);
    m->status = -1;
    grpc_client_unary(m->c, path, 0, 1, NULL, 0, &q.base, &handler, m);
    remote_send(r, m);
}

static int remote_call(struct rig *r, struct remote *m, const char *path)
{
    remote_begin(r, m, path);
    while (m->status < 0) {
        remote_receive(r, m);
        remote_send(r, m);
    }
    return m->status;
}

#define GET(path) SLICE_LIT("GET " path " HTTP/1.1\r\nHost: a\r\n\r\n")

/*
 * Tests.
 */

static void one_port_speaks_http1_and_grpc(void **state)
{
    struct rig r;
    struct remote m;
    char answer[256] = "";

    start(&r, (struct io_server_conf){0}, NULL);
    cleanup_close int fd = dial(&r);
    for (int i = 0; i < 2; i++) {
        send_all(&r, fd, GET("/health"));
        ssize_t n = receive(&r, fd, answer, sizeof answer - 1);
        assert_true(n > 4);
        assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
        assert_memory_equal(answer + n - 4, "fine", 4);
    }
    remote_open(&r, &m, NULL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(remote_call(&r, &m, "/t.S/Check"), GRPC_OK);
    assert_int_equal(m.messages, 2);
    assert_int_equal(io_server_connections(r.server), 2);
    remote_close(&m);
    finish(&r);
}

static void the_preface_may_come_byte_by_byte(void **state)
{
    struct rig r;
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    uint8_t answer[64];

    start(&r, (struct io_server_conf){0}, NULL);
    cleanup_close int fd = dial(&r);
    for (size_t i = 0; i < sizeof preface - 1; i++) {
        send_all(&r, fd, slice_of(preface + i, 1));
        turn_loop(&r);
    }
    assert_true(receive(&r, fd, answer, sizeof answer) > 9);
    assert_int_equal(answer[3], 4); /* SETTINGS */
    finish(&r);
}

static void tls_carries_both_protocols(void **state)
{
    char dir[] = "/tmp/test_server.XXXXXX";
    struct tls_context *server, *client;
    struct err e = {0};
    struct rig r;
    struct remote m;

    assert_non_null(mkdtemp(dir));
    assert_int_equal(tls_server_context_auto(dir, 1, &server, &e), 0);
    cleanup_free char *ca = xasprintf("%s/cert.pem", dir);
    assert_int_equal(tls_client_context(&(struct tls_files){.trusted_ca = ca}, &client, &e), 0);
    start(&r, (struct io_server_conf){0}, server);
    remote_open(&r, &m, client);
    assert_int_equal(remote_call(&r, &m, "/t.S/Check"), GRPC_OK);
    assert_string_equal(tls_conn_alpn(m.tls), "h2");
    remote_close(&m);

    struct tls_conn *t = tls_conn_new(client, "localhost");
    cleanup_close int fd = dial(&r);
    cleanup_buf struct buf plain;
    buf_init(&plain, 1u << 20);
    tls_conn_write(t, SLICE_LIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    for (int done = 0; done == 0;) {
        uint8_t part[4096];
        send_all(&r, fd, buf_slice(tls_conn_output(t)));
        buf_clear(tls_conn_output(t));
        ssize_t n = receive(&r, fd, part, sizeof part);
        assert_true(n > 0);
        done = tls_conn_feed(t, slice_of(part, (size_t)n), &plain, &e);
        assert_true(done >= 0);
    }
    assert_int_equal(count(&plain, "fine"), 1); /* and close-notify came */
    tls_conn_free(t);
    finish(&r);
    tls_context_free(client);
    tls_context_free(server);
    cleanup_free char *command = xasprintf("rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void a_plain_request_to_a_tls_port_is_closed(void **state)
{
    char dir[] = "/tmp/test_server.XXXXXX";
    struct tls_context *server;
    struct err e = {0};
    struct rig r;
    cleanup_buf struct buf all;

    buf_init(&all, 4096);
    assert_non_null(mkdtemp(dir));
    assert_int_equal(tls_server_context_auto(dir, 1, &server, &e), 0);
    start(&r, (struct io_server_conf){0}, server);
    cleanup_close int fd = dial(&r);
    send_all(&r, fd, GET("/"));
    receive_all(&r, fd, &all);
    assert_int_equal(r.requests, 0);
    finish(&r);
    tls_context_free(server);
    cleanup_free char *command = xasprintf("rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void answers_made_in_on_turn_leave_in_the_same_turn(void **state)
{
    struct rig r;
    struct remote m;

    start(&r, (struct io_server_conf){0}, NULL);
    remote_open(&r, &m, NULL);
    assert_int_equal(remote_call(&r, &m, "/t.S/Check"), GRPC_OK);
    r.waiting = NULL;
    r.answer_in_turn = true;
    r.turns = r.requests = 0;
    Grpc__Health__V1__HealthCheckRequest q;
    grpc__health__v1__health_check_request__init(&q);
    m.status = -1;
    grpc_client_unary(m.c, "/t.S/Check", 0, 1, NULL, 0, &q.base, &handler, &m);
    grpc_client_flush(m.c);
    struct buf *out = grpc_client_output(m.c);
    assert_int_equal(send(m.fd, out->p, out->n, 0), (ssize_t)out->n);
    buf_clear(out);
    while (r.requests == 0)
        turn_loop(&r);
    assert_int_equal(r.turns, 1);
    uint8_t part[4096];
    poll(&(struct pollfd){m.fd, POLLIN, 0}, 1, WAIT_MS); /* and no further turn */
    ssize_t n = recv(m.fd, part, sizeof part, MSG_DONTWAIT);
    assert_true(n > 0);
    grpc_client_feed(m.c, slice_of(part, (size_t)n), 1);
    assert_int_equal(m.status, GRPC_OK);
    turn_loop(&r);
    assert_int_equal(r.turns, 1); /* nothing received, no turn */
    remote_close(&m);
    finish(&r);
}

static void a_large_answer_to_a_slow_reader_is_whole(void **state)
{
    struct rig r;
    cleanup_buf struct buf all;

    buf_init(&all, 2 * BIG);
    start(&r, (struct io_server_conf){0}, NULL);
    cleanup_close int fd = dial_with(&r, 128 * 1024);
    send_all(&r, fd, SLICE_LIT("GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    for (int i = 0; i < 50; i++)
        turn_loop(&r);
    assert_in_range(receive_all(&r, fd, &all), BIG, BIG + 1000);
    finish(&r);
}

static void a_peer_that_reads_nothing_is_not_served_without_end(void **state)
{
    struct rig r;
    cleanup_buf struct buf all;
    size_t sent = 0;

    buf_init(&all, 100 * (size_t)BIG);
    start(&r, (struct io_server_conf){0}, NULL);
    cleanup_close int fd = dial(&r);
    struct slice get = GET("/big");
    for (int i = 0; i < 64; i++, sent++)
        if (send(fd, get.p, get.n, MSG_DONTWAIT) != (ssize_t)get.n)
            break;
    for (int i = 0; i < 500; i++)
        turn_loop(&r);
    assert_in_range(r.requests, 1, LIMIT_HTTP1_PIPELINE + 1);
    shutdown(fd, SHUT_WR);
    finish(&r);
}

static void pipelined_answers_all_arrive(void **state)
{
    struct rig r;
    uint8_t part[65536];
    size_t got = 0;

    start(&r, (struct io_server_conf){0}, NULL);
    cleanup_close int fd = dial(&r);
    for (int i = 0; i < 20; i++)
        send_all(&r, fd, GET("/big"));
    while (got < 20 * (size_t)BIG) {
        ssize_t n = receive(&r, fd, part, sizeof part);
        assert_true(n > 0);
        got += (size_t)n;
    }
    assert_int_equal(r.requests, 20);
    finish(&r);
}

static void a_client_that_half_closes_gets_its_answer(void **state)
{
    struct rig r;
    cleanup_buf struct buf all;

    buf_init(&all, 4096);
    start(&r, (struct io_server_conf){0}, NULL);
    cleanup_close int fd = dial(&r);
    struct slice get = GET("/");
    assert_int_equal(send(fd, get.p, get.n, 0), (ssize_t)get.n);
    shutdown(fd, SHUT_WR);
    receive_all(&r, fd, &all);
    assert_int_equal(count(&all, "fine"), 1);
    finish(&r);
}

static void the_last_answer_survives_what_the_client_still_sends(void **state)
{
    struct rig r;
    cleanup_buf struct buf all;
    cleanup_free uint8_t *rest = xcalloc(1, 300000);

    buf_init(&all, 4096);
    start(&r, (struct io_server_conf){0}, NULL);
    cleanup_close int fd = dial(&r);
    send_all(&r, fd, SLICE_LIT("nonsense\r\n\r\n"));
    send_all(&r, fd, slice_of(rest, 300000));
    receive_all(&r, fd, &all);
    assert_int_equal(count(&all, "HTTP/1.1 400"), 1);
    finish(&r);
}

static void a_vanished_client_aborts_its_exchange(void **state)
{
    struct rig r;

    start(&r, (struct io_server_conf){0}, NULL);
    int fd = dial(&r);
    send_all(&r, fd, GET("/hold"));
    for (int i = 0; i < 100 && !r.held; i++)
        turn_loop(&r);
    assert_non_null(r.held);
    close(fd);
    for (int i = 0; i < 100 && !r.aborted; i++)
        turn_loop(&r);
    assert_true(r.aborted);
    assert_int_equal(io_server_connections(r.server), 0);
    finish(&r);
}

static void connections_past_the_limit_are_closed(void **state)
{
    struct rig r;
    char c;

    start(&r, (struct io_server_conf){.connections_max = 2}, NULL);
    cleanup_close int a = dial(&r);
    turn_loop(&r);
    cleanup_close int b = dial(&r);
    turn_loop(&r);
    cleanup_close int third = dial(&r);
    assert_int_equal(receive(&r, third, &c, 1), 0);
    send_all(&r, a, GET("/"));
    assert_int_equal(receive(&r, a, &c, 1), 1);
    send_all(&r, b, GET("/"));
    assert_int_equal(receive(&r, b, &c, 1), 1);
    finish(&r);
}

static size_t conns_after(struct rig *r, uint64_t ms)
{
    list_for_each (it, &r->server->conns)
        conn_tick(container_of(it, struct conn, node), server_now_ns(r->server) + ms * NS_PER_MS);
    turn_loop(r);
    return io_server_connections(r->server);
}

static void slow_and_idle_connections_are_closed(void **state)
{
    static const struct {
        struct slice sent;
        uint64_t lives_ms, gone_ms;
    } cases[] = {
        {SLICE_LIT("PRI"), LIMIT_HANDSHAKE_MS - 1000, LIMIT_HANDSHAKE_MS + 1000},
        {SLICE_LIT("GET / HT"), LIMIT_HEADERS_MS - 1000, LIMIT_HEADERS_MS + 1000},
        {SLICE_LIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), LIMIT_HTTP1_IDLE_MS - 1000,
         LIMIT_HTTP1_IDLE_MS + 1000},
        {SLICE_LIT("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"), 10 * LIMIT_HTTP1_IDLE_MS, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig r;
        start(&r, (struct io_server_conf){0}, NULL);
        cleanup_close int fd = dial(&r);
        send_all(&r, fd, cases[i].sent);
        for (int k = 0; k < 10; k++)
            turn_loop(&r);
        assert_int_equal(conns_after(&r, cases[i].lives_ms), 1);
        if (cases[i].gone_ms)
            assert_int_equal(conns_after(&r, cases[i].gone_ms), 0);
        finish(&r);
    }
}

static void a_stalled_writer_is_closed(void **state)
{
    struct rig r;

    start(&r, (struct io_server_conf){0}, NULL);
    cleanup_close int fd = dial_with(&r, 128 * 1024);
    send_all(&r, fd, GET("/big"));
    for (int k = 0; k < 10; k++)
        turn_loop(&r);
    assert_int_equal(conns_after(&r, LIMIT_WRITE_STALL_MS - 1000), 1);
    assert_int_equal(conns_after(&r, 2 * LIMIT_WRITE_STALL_MS), 0);
    finish(&r);
}

static void stop_answers_open_calls_and_ends(void **state)
{
    struct rig r;
    struct remote m;

    start(&r, (struct io_server_conf){0}, NULL);
    cleanup_close int idle = dial(&r);
    assert_true(idle >= 0);
    remote_open(&r, &m, NULL);
    remote_begin(&r, &m, "/t.S/Wait");
    while (r.requests == 0)
        turn_loop(&r);
    io_server_stop(r.server, 60000, on_stopped, &r);
    while (m.status < 0)
        remote_receive(&r, &m);
    assert_int_equal(m.status, GRPC_UNAVAILABLE);
    assert_string_equal(m.text, "etcdserver: server stopped");
    remote_close(&m);
    for (int i = 0; i < 1000 && !r.stopped; i++)
        turn_loop(&r);
    assert_true(r.stopped);
    finish(&r);
}

static void stop_waits_for_an_open_exchange(void **state)
{
    struct rig r;
    cleanup_buf struct buf all;

    buf_init(&all, 4096);
    start(&r, (struct io_server_conf){0}, NULL);
    cleanup_close int fd = dial(&r);
    send_all(&r, fd, GET("/hold"));
    while (!r.held)
        turn_loop(&r);
    io_server_stop(r.server, 60000, on_stopped, &r);
    for (int i = 0; i < 20; i++)
        turn_loop(&r);
    assert_false(r.stopped);
    http_reply(r.held, 200, "text/plain", SLICE_LIT("at last"));
    receive_all(&r, fd, &all);
    assert_int_equal(count(&all, "at last"), 1);
    finish(&r);
}

static void a_taken_port_is_an_error_with_its_name(void **state)
{
    struct rig r;
    struct err e = {0};
    char want[64];

    start(&r, (struct io_server_conf){0}, NULL);
    assert_int_equal(io_server_listen(r.server, "127.0.0.1", r.port, NULL, NULL, &e), -EADDRINUSE);
    snprintf(want, sizeof want, "listen on '127.0.0.1:%u'", (unsigned)r.port);
    assert_non_null(strstr(e.msg, want));
    assert_true(io_server_listen(r.server, "no such host", 1, NULL, NULL, &e) < 0);
    uint16_t port = 0;
    assert_int_equal(io_server_listen(r.server, "", 0, NULL, &port, &e), 0);
    assert_true(port > 0);
    finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_port_speaks_http1_and_grpc),
        cmocka_unit_test(the_preface_may_come_byte_by_byte),
        cmocka_unit_test(tls_carries_both_protocols),
        cmocka_unit_test(a_plain_request_to_a_tls_port_is_closed),
        cmocka_unit_test(answers_made_in_on_turn_leave_in_the_same_turn),
        cmocka_unit_test(a_large_answer_to_a_slow_reader_is_whole),
        cmocka_unit_test(a_peer_that_reads_nothing_is_not_served_without_end),
        cmocka_unit_test(pipelined_answers_all_arrive),
        cmocka_unit_test(a_client_that_half_closes_gets_its_answer),
        cmocka_unit_test(the_last_answer_survives_what_the_client_still_sends),
        cmocka_unit_test(a_vanished_client_aborts_its_exchange),
        cmocka_unit_test(connections_past_the_limit_are_closed),
        cmocka_unit_test(slow_and_idle_connections_are_closed),
        cmocka_unit_test(a_stalled_writer_is_closed),
        cmocka_unit_test(stop_answers_open_calls_and_ends),
        cmocka_unit_test(stop_waits_for_an_open_exchange),
        cmocka_unit_test(a_taken_port_is_an_error_with_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
