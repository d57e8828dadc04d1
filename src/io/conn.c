/*
 * One connection: bytes in (through TLS), protocol told, bytes out, timers, end.
 */
#include "base/log.h"
#include "io/server_internal.h"

#define LINGER_MS      2000 /* for the peer's FIN after ours */
#define KEEPALIVE_S    60   /* TCP's own, for peers that vanish without a word */
#define TLS_LOGS_PER_S 5
#define OUTPUT_KEEP    (16u * 1024)

static const uint8_t preface[PREFACE_LEN + 1] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static void conn_update_reading(struct conn *c);

static void on_output(void *ctx)
{
    server_conn_dirty(ctx);
}

/*
 * The end.
 */

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    struct io_server *s = c->server;

    list_del(&c->node);
    s->nconns--;
    buf_deinit(&c->writing);
    free(c);
    server_check_stopped(s);
}

void conn_close(struct conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    c->state = CONN_CLOSED;
    list_del(&c->dirty);
    grpc_conn_free(take_ptr(&c->h2));
    http1_free(take_ptr(&c->h1));
    tls_conn_free(take_ptr(&c->tls));
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    struct conn *c = req->handle->data;

    if (status < 0)
        conn_close(c);
}

static void begin_linger(struct conn *c)
{
    if (c->eof || uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shutdown) < 0) {
        conn_close(c);
        return;
    }
    c->state = CONN_LINGER;
    c->since_ns = server_now_ns(c->server);
    grpc_conn_free(take_ptr(&c->h2));
    http1_free(take_ptr(&c->h1));
    conn_update_reading(c);
}

/* Nothing more will come out of this connection than what is in the output. */
static bool wants_close(const struct conn *c)
{
    if (c->eof || c->over)
        return true;
    switch (c->state) {
    case CONN_HTTP2:
        return http2_done(grpc_conn_http2(c->h2));
    case CONN_HTTP1:
        return http1_done(c->h1) || (c->server->stopping && http1_phase(c->h1) != HTTP1_ANSWERING);
    default:
        return false;
    }
}

/*
 * Bytes out.
 */

static void on_written(uv_write_t *req, int status)
{
    struct conn *c = req->handle->data;

    buf_shrink(&c->writing, OUTPUT_KEEP);
    if (c->state == CONN_CLOSED)
        return;
    if (status < 0)
        conn_close(c);
    else
        server_conn_dirty(c);
}

/* The output's memory goes to the loop as it is; the output starts afresh. */
static void write_rest(struct conn *c, struct buf *out, size_t written)
{
    struct buf spare = c->writing;
    size_t max = out->max;

    c->writing = *out;
    *out = spare;
    out->n = 0;
    out->max = max;
    uv_buf_t b = uv_buf_init((char *)c->writing.p + written, (unsigned)(c->writing.n - written));
    c->write_left = b.len;
    c->write_ns = server_now_ns(c->server);
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &b, 1, on_written) < 0)
        conn_close(c);
}

static struct buf *plain_output(struct conn *c)
{
    if (c->state == CONN_HTTP1)
        return http1_output(c->h1);
    if (c->state != CONN_HTTP2)
        return NULL;
    struct http2 *h = grpc_conn_http2(c->h2);
    http2_flush(h);
    c->more = http2_output(h)->n >= HTTP2_OUTPUT_HIGH;
    return http2_output(h);
}

/* What goes to the socket; NULL: nothing can. */
static struct buf *collect_output(struct conn *c)
{
    struct buf *plain = plain_output(c);

    if (!c->tls)
        return plain;
    if (plain && plain->n && tls_conn_write(c->tls, buf_slice(plain)) < 0)
        return NULL;
    if (plain)
        buf_clear(plain);
    if (!c->more && wants_close(c))
        tls_conn_shutdown(c->tls);
    return tls_conn_output(c->tls);
}

static void finish_flush(struct conn *c)
{
    if (c->state == CONN_CLOSED || c->writing.n > 0)
        return;
    if (c->more)
        server_conn_dirty(c);
    else if (c->state != CONN_LINGER && wants_close(c))
        begin_linger(c);
}

/* http1 keeps input while its output is large; only being fed lets it go on. */
static bool http1_held(const struct conn *c)
{
    return c->state == CONN_HTTP1 && !http1_wants_read(c->h1);
}

void conn_flush(struct conn *c)
{
    c->more = false;
    if (c->state == CONN_CLOSED || c->state == CONN_LINGER)
        return;
    if (c->writing.n > 0) {
        conn_update_reading(c);
        return;
    }
    struct buf *out = collect_output(c);
    if (out && out->n > 0) {
        uv_buf_t b = uv_buf_init((char *)out->p, (unsigned)out->n);
        int n = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
        if (n < 0 && n != UV_EAGAIN) {
            conn_close(c);
            return;
        }
        if (n == (int)out->n)
            buf_clear(out);
        else
            write_rest(c, out, n < 0 ? 0 : (size_t)n);
        if (http1_held(c)) /* there is room again */
            c->more = true;
    }
    finish_flush(c);
    conn_update_reading(c);
}

/*
 * Bytes in.
 */

static void http1_handler(void *ctx, struct http_exchange *x)
{
    struct conn *c = ctx;
    const struct io_server_conf *conf = &c->server->conf;

    c->since_ns = server_now_ns(c->server); /* a request has ended: the next gets its own time */
    if (conf->http)
        conf->http(conf->http_ctx, x);
    else
        http_reply(x, 404, "text/plain", SLICE_LIT("404 page not found\n"));
}

static void begin_http2(struct conn *c)
{
    c->state = CONN_HTTP2;
    c->h2 = grpc_conn_new(&c->server->grpc, server_now_ns(c->server));
    http2_set_output_hook(grpc_conn_http2(c->h2), on_output, c);
}

static void begin_http1(struct conn *c)
{
    c->state = CONN_HTTP1;
    c->since_ns = server_now_ns(c->server);
    c->phase = HTTP1_IDLE;
    c->h1 = http1_new(http1_handler, c, LIMIT_HTTP1_BODY);
    http1_set_output_hook(c->h1, on_output, c);
}

static void note_phase(struct conn *c)
{
    enum http1_phase now = http1_phase(c->h1);

    if (now != c->phase)
        c->since_ns = server_now_ns(c->server);
    c->phase = now;
}

static void feed(struct conn *c, struct slice in)
{
    c->server->received = true;
    if (c->state == CONN_HTTP2) {
        (void)grpc_conn_feed(c->h2, in,
                             server_now_ns(c->server)); /* then it is done, and says why */
    } else {
        (void)http1_feed(c->h1, in); /* likewise */
        note_phase(c);
    }
}

/* HTTP/2 is told by its preface, whose first bytes no HTTP/1 request we accept shares for long. */
static void detect(struct conn *c, struct slice in)
{
    struct slice seen;
    size_t n = MIN(in.n, PREFACE_LEN - c->nseen);

    memcpy(c->seen + c->nseen, in.p, n);
    c->nseen += n;
    in = slice_skip(in, n);
    if (memcmp(c->seen, preface, c->nseen) != 0)
        begin_http1(c);
    else if (c->nseen == PREFACE_LEN)
        begin_http2(c);
    else
        return;
    seen = slice_of(c->seen, c->nseen);
    feed(c, seen);
    if (in.n)
        feed(c, in);
}

static void got_plain(struct conn *c, struct slice in)
{
    if (in.n == 0)
        return;
    if (c->state == CONN_DETECT)
        detect(c, in);
    else
        feed(c, in);
}

static void log_tls_failure(struct conn *c, const struct err *e)
{
    if (rate_take(&c->server->tls_log, TLS_LOGS_PER_S, TLS_LOGS_PER_S, server_now_ns(c->server)))
        log_warn("embed", "rejected connection on client endpoint", LOG_STR("error", e->msg));
}

static void got_encrypted(struct conn *c, struct slice in)
{
    struct buf *plain = &c->server->plain;
    struct err e = {0};

    int r = tls_conn_feed(c->tls, in, plain, &e);
    if (tls_conn_ready(c->tls) || plain->n)
        got_plain(c, buf_slice(plain));
    buf_clear(plain);
    if (r < 0)
        log_tls_failure(c, &e);
    if (r != 0)
        c->over = true;
}

static void on_alloc(uv_handle_t *handle, size_t want, uv_buf_t *ret)
{
    struct conn *c = handle->data;

    *ret = uv_buf_init((char *)c->server->in, READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct conn *c = stream->data;

    if (n == 0 || c->state == CONN_CLOSED || (n > 0 && c->over))
        return;
    if (c->state == CONN_LINGER) {
        if (n < 0)
            conn_close(c);
        return;
    }
    if (n < 0 && n != UV_EOF) {
        conn_close(c);
        return;
    }
    if (n == UV_EOF)
        c->eof = true;
    else if (c->tls)
        got_encrypted(c, slice_of(b->base, (size_t)n));
    else
        got_plain(c, slice_of(b->base, (size_t)n));
    server_conn_dirty(c);
}

/* Reading stops only while the socket takes nothing: what a peer's flow control holds back waits in
 * its streams, and the frames that release it have to be read. */
static bool may_read(const struct conn *c)
{
    size_t queued = c->writing.n;

    if (c->eof)
        return false;
    if (c->state == CONN_HTTP1)
        return http1_wants_read(c->h1) && queued < LIMIT_STREAM_QUEUE;
    if (c->state == CONN_HTTP2 && queued > 0)
        return queued + http2_queued(grpc_conn_http2(c->h2)) < LIMIT_CONN_QUEUE;
    return true;
}

static void conn_update_reading(struct conn *c)
{
    bool want = c->state != CONN_CLOSED && may_read(c);

    if (want == c->reading || c->state == CONN_CLOSED)
        return;
    c->reading = want;
    if (want)
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    else
        uv_read_stop((uv_stream_t *)&c->tcp);
}

/*
 * The beginning.
 */

void conn_accept(struct io_server *s, uv_stream_t *listener, struct tls_context *tls)
{
    struct conn *c = xcalloc(1, sizeof *c);

    c->server = s;
    c->tcp.data = c;
    c->since_ns = server_now_ns(s);
    list_init(&c->dirty);
    list_add_tail(&s->conns, &c->node);
    s->nconns++;
    uv_tcp_init(s->conf.loop, &c->tcp);
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) < 0 || s->nconns > s->conf.connections_max) {
        conn_close(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    uv_tcp_keepalive(&c->tcp, 1, KEEPALIVE_S);
    if (tls)
        c->tls = tls_conn_new(tls, NULL);
    conn_update_reading(c);
}

/*
 * Timers and stop.
 */

void conn_resume(struct conn *c)
{
    if (c->state == CONN_HTTP2 && grpc_conn_resume(c->h2))
        c->server->received = true;
    if (http1_held(c) && c->writing.n == 0)
        feed(c, SLICE_EMPTY);
}

static bool write_stalled(struct conn *c, uint64_t now_ns)
{
    if (c->writing.n == 0)
        return false;
    size_t left = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
    if (left != c->write_left) {
        c->write_left = left;
        c->write_ns = now_ns;
    }
    return now_ns - c->write_ns > LIMIT_WRITE_STALL_MS * NS_PER_MS;
}

static uint64_t state_max_ms(const struct conn *c)
{
    switch (c->state) {
    case CONN_DETECT:
        return LIMIT_HANDSHAKE_MS;
    case CONN_LINGER:
        return LINGER_MS;
    case CONN_HTTP1:
        break;
    default:
        return UINT64_MAX;
    }
    switch (http1_phase(c->h1)) {
    case HTTP1_IDLE:
        return LIMIT_HTTP1_IDLE_MS;
    case HTTP1_RECEIVING:
        return LIMIT_HEADERS_MS;
    default:
        return UINT64_MAX;
    }
}

void conn_tick(struct conn *c, uint64_t now_ns)
{
    if (c->state == CONN_CLOSED)
        return;
    if (c->state == CONN_HTTP1)
        note_phase(c);
    if (write_stalled(c, now_ns) || (now_ns - c->since_ns) / NS_PER_MS > state_max_ms(c)) {
        conn_close(c);
        return;
    }
    if (c->state == CONN_HTTP2 && now_ns >= grpc_conn_wake_ns(c->h2)) {
        grpc_conn_tick(c->h2, now_ns);
        server_conn_dirty(c);
    }
}

void conn_stop(struct conn *c)
{
    if (c->state == CONN_DETECT) {
        conn_close(c);
        return;
    }
    if (c->state == CONN_HTTP2)
        grpc_conn_stop(c->h2);
    server_conn_dirty(c);
}
