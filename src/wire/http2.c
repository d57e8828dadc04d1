#include "wire/http2_internal.h"

#define STREAM_WINDOW (1024 * 1024)     /* a request of usual size without waiting for us */
#define CONN_WINDOW   (4 * 1024 * 1024) /* enough for 10 Gbit/s at 3 ms */
#define OUTPUT_MAX    (HTTP2_OUTPUT_HIGH + (1u << 20)) /* one frame past the mark, with room */
#define OUTPUT_KEEP   (16u * 1024)                     /* memory an idle connection may hold */
#define RESET_BURST   (5 * LIMIT_RESETS_PER_S)
#define CONTROL_BURST LIMIT_CONTROL_PER_S
#define GOAWAY_FIXED  17         /* frame head, last stream, error */
#define NO_LIMIT      (1u << 30) /* nghttp2's own reset limit runs on its own clock; ours rules */

/*
 * What arrives.
 */

static struct http2_stream *stream_of(nghttp2_session *ng, const nghttp2_frame *f)
{
    return nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);
}

/* A callback's result: after http2_terminate the rest of the input is not looked at. */
static int still_on(const struct http2 *h)
{
    return h->terminated ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *f, void *user)
{
    struct http2 *h = user;

    h->block.n = 0;
    h->block.too_large = false;
    buf_clear(&h->block.bytes);
    if (h->conf.server && f->headers.cat == NGHTTP2_HCAT_REQUEST)
        nghttp2_session_set_stream_user_data(ng, f->hd.stream_id,
                                             http2_stream_add(h, f->hd.stream_id));
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    struct header_block *b = &((struct http2 *)user)->block;

    if (b->n == LIMIT_HEADER_COUNT || b->bytes.max - b->bytes.n < name_n + value_n)
        b->too_large = true;
    if (b->too_large || buf_reserve(&b->bytes, name_n + value_n) < 0)
        return 0;
    buf_append(&b->bytes, name, name_n);
    buf_append(&b->bytes, value, value_n);
    b->fields[b->n].name_n = (uint32_t)name_n;
    b->fields[b->n++].value_n = (uint32_t)value_n;
    return 0;
}

static size_t block_fields(const struct header_block *b, struct http_header *ret)
{
    const uint8_t *p = b->bytes.p;

    for (size_t i = 0; i < b->n; i++) {
        ret[i].name = slice_of(p, b->fields[i].name_n);
        p += b->fields[i].name_n;
        ret[i].value = slice_of(p, b->fields[i].value_n);
        p += b->fields[i].value_n;
    }
    return b->n;
}

static bool is_informational(const struct http_header *fields, size_t n)
{
    return n > 0 && slice_eq_str(fields[0].name, ":status") && fields[0].value.n == 3 &&
           fields[0].value.p[0] == '1';
}

static void got_headers(struct http2_stream *s, bool end)
{
    UNZEROED struct http_header fields[LIMIT_HEADER_COUNT];
    struct http2 *h = s->h;
    size_t n = block_fields(&h->block, fields);

    if (s->got_headers) {
        if (h->ops->on_trailers)
            h->ops->on_trailers(s, fields, n);
        return;
    }
    if (!h->conf.server && is_informational(fields, n))
        return;
    s->got_headers = s->announced = true;
    s->remote_ended = end;
    h->ops->on_headers(s, fields, n, h->block.too_large, end);
}

static void got_end(struct http2_stream *s)
{
    s->remote_ended = true;
    if (s->h->ops->on_end)
        s->h->ops->on_end(s);
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t n,
                   void *user)
{
    struct http2_stream *s = nghttp2_session_get_stream_user_data(ng, id);

    if (s && n && !s->reset && s->h->ops->on_data)
        s->h->ops->on_data(s, slice_of(data, n));
    return 0;
}

static void take_control(struct http2 *h)
{
    if (!rate_take(&h->control, LIMIT_CONTROL_PER_S, CONTROL_BURST, h->now_ns))
        http2_terminate(h, HTTP2_ENHANCE_YOUR_CALM, "too many control frames");
}

static void take_reset(struct http2 *h)
{
    if (!rate_take(&h->resets, LIMIT_RESETS_PER_S, RESET_BURST, h->now_ns))
        http2_terminate(h, HTTP2_ENHANCE_YOUR_CALM, "too many resets");
}

/* grpc-go measures its round trip with a ping for each burst of data it receives, thousands a
 * second under load: a ping behind something we have sent is no flood. */
static void got_ping(struct http2 *h)
{
    if (!h->police.forgiven)
        take_control(h);
    if (h->conf.server && h->conf.keepalive_min_ns &&
        !ping_allowed(&h->police, h->conf.keepalive_min_ns, h->nstreams > 0, h->now_ns))
        http2_terminate(h, HTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
    h->police.forgiven = false;
}

static void close_streams_above(struct http2 *h, int32_t last)
{
    list_for_each (it, &h->streams) {
        struct http2_stream *s = container_of(it, struct http2_stream, node);
        if (s->id <= last)
            continue;
        nghttp2_session_set_stream_user_data(h->ng, s->id, NULL);
        http2_stream_gone(s, HTTP2_REFUSED_STREAM);
    }
}

static void got_goaway(struct http2 *h, const nghttp2_goaway *g)
{
    h->goaway = true;
    /* nghttp2 closes these too, but not those that wait inside it for their turn. */
    if (!h->conf.server)
        close_streams_above(h, g->last_stream_id);
    if (h->ops->on_goaway)
        h->ops->on_goaway(h, g->error_code, g->last_stream_id,
                          slice_of(g->opaque_data, g->opaque_data_len));
}

static void got_stream_frame(struct http2 *h, nghttp2_session *ng, const nghttp2_frame *f)
{
    struct http2_stream *s = stream_of(ng, f);
    bool end = f->hd.flags & NGHTTP2_FLAG_END_STREAM;

    if (f->hd.type == NGHTTP2_DATA && f->hd.length == 0 && !end)
        take_control(h);
    if (!s || s->reset)
        return;
    if (f->hd.type == NGHTTP2_HEADERS)
        got_headers(s, end);
    if (end && !s->reset)
        got_end(s);
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *user)
{
    struct http2 *h = user;
    bool ack = f->hd.flags & NGHTTP2_FLAG_ACK;

    switch (f->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        got_stream_frame(h, ng, f);
        break;
    case NGHTTP2_RST_STREAM: {
        struct http2_stream *s = stream_of(ng, f);
        if (s)
            s->reset_counted = true;
        if (h->conf.server)
            take_reset(h);
        break;
    }
    case NGHTTP2_PING:
        if (!ack)
            got_ping(h);
        break;
    case NGHTTP2_SETTINGS:
        if (!ack)
            take_control(h);
        break;
    case NGHTTP2_GOAWAY:
        got_goaway(h, &f->goaway);
        break;
    default:
        break;
    }
    return still_on(h);
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t error, void *user)
{
    struct http2 *h = user;
    struct http2_stream *s = nghttp2_session_get_stream_user_data(ng, id);

    if (!s)
        return 0;
    /* A peer can also make us reset its streams, with frames that break the rules. */
    if (h->conf.server && error && !s->reset && !s->reset_counted)
        take_reset(h);
    nghttp2_session_set_stream_user_data(ng, id, NULL);
    http2_stream_gone(s, error);
    return still_on(h);
}

/* The end said before the peer's: let it stop sending (RFC 9113 section 8.1). */
static int on_frame_sent(nghttp2_session *ng, const nghttp2_frame *f, void *user)
{
    struct http2 *h = user;

    if (!(f->hd.flags & NGHTTP2_FLAG_END_STREAM) || f->hd.type > NGHTTP2_HEADERS)
        return 0;
    struct http2_stream *s = stream_of(ng, f);
    if (h->conf.server && s && !s->remote_ended)
        nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
    return 0;
}

/* A client's request that nghttp2 could not send: its stream was perhaps never opened, so no close
 * is reported. */
static int on_frame_not_send(nghttp2_session *ng, const nghttp2_frame *f, int error, void *user)
{
    struct http2 *h = user;

    if (h->conf.server || f->hd.type != NGHTTP2_HEADERS)
        return 0;
    list_for_each (it, &h->streams) {
        struct http2_stream *s = container_of(it, struct http2_stream, node);
        if (s->id != f->hd.stream_id)
            continue;
        nghttp2_session_set_stream_user_data(ng, s->id, NULL);
        http2_stream_gone(s, HTTP2_REFUSED_STREAM);
        break;
    }
    return 0;
}

/*
 * Life cycle.
 */

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *cb;

    if (nghttp2_session_callbacks_new(&cb) != 0)
        abort();
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_frame_not_send);
    nghttp2_session_callbacks_set_send_data_callback(cb, http2_send_data);
    return cb;
}

static void make_session(struct http2 *h)
{
    nghttp2_session_callbacks *cb = make_callbacks();
    nghttp2_option *opt;

    if (nghttp2_option_new(&opt) != 0)
        abort();
    nghttp2_option_set_no_closed_streams(opt, 1);
    nghttp2_option_set_stream_reset_rate_limit(opt, NO_LIMIT, NO_LIMIT);
    int r = h->conf.server ? nghttp2_session_server_new2(&h->ng, cb, h, opt)
                           : nghttp2_session_client_new2(&h->ng, cb, h, opt);
    if (r != 0)
        abort();
    nghttp2_option_del(opt);
    nghttp2_session_callbacks_del(cb);
}

static void submit_settings(struct http2 *h)
{
    nghttp2_settings_entry server[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->conf.streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, LIMIT_HEADER_BYTES},
        /* The tree of RFC 7540 priorities costs on every stream and nobody sends them. */
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    nghttp2_settings_entry client[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, LIMIT_HEADER_BYTES},
    };

    if (h->conf.server)
        nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, server, ARRAY_LEN(server));
    else
        nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, client, ARRAY_LEN(client));
    nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW);
}

struct http2 *http2_new(const struct http2_conf *conf, uint64_t now_ns)
{
    struct http2 *h = xcalloc(1, sizeof *h);

    assert(conf->ops && conf->ops->on_headers);
    h->conf = *conf;
    h->ops = conf->ops;
    h->now_ns = now_ns;
    list_init(&h->streams);
    buf_init(&h->out, OUTPUT_MAX);
    buf_init(&h->block.bytes, LIMIT_HEADER_BYTES);
    h->keepalive = (struct keepalive){.interval_ns = conf->keepalive_interval_ns,
                                      .timeout_ns = conf->keepalive_timeout_ns,
                                      .heard_ns = now_ns};
    make_session(h);
    submit_settings(h);
    return h;
}

void http2_free(struct http2 *h)
{
    if (!h)
        return;
    h->terminated = true;
    h->hook = NULL;
    while (!list_empty(&h->streams)) {
        struct http2_stream *s = list_first(&h->streams, struct http2_stream, node);
        nghttp2_session_set_stream_user_data(h->ng, s->id, NULL);
        http2_stream_gone(s, HTTP2_CANCEL);
    }
    nghttp2_session_del(h->ng);
    buf_deinit(&h->out);
    buf_deinit(&h->block.bytes);
    free(h);
}

int http2_feed(struct http2 *h, struct slice in, uint64_t now_ns)
{
    h->now_ns = now_ns;
    keepalive_heard(&h->keepalive, now_ns);
    if (h->terminated)
        return 0;
    ssize_t took = nghttp2_session_mem_recv(h->ng, in.p, in.n);
    if (took >= 0)
        return 0;
    if (!h->terminated)
        http2_terminate(h, HTTP2_PROTOCOL_ERROR, nghttp2_strerror((int)took));
    return ERR_MALFORMED;
}

void http2_flush(struct http2 *h)
{
    const uint8_t *p = NULL;

    h->dirty = false;
    /* What is queued soon stands in the output: grown to it in one step. Failing is no matter. */
    (void)buf_reserve(&h->out, MIN(h->queued, (size_t)HTTP2_OUTPUT_HIGH));
    while (!h->terminated && h->out.n < HTTP2_OUTPUT_HIGH) {
        ssize_t n = nghttp2_session_mem_send(h->ng, &p);
        if (n == 0)
            break;
        if (n < 0 || buf_append(&h->out, p, (size_t)n) < 0)
            h->terminated = true;
    }
    if (h->out.n == 0)
        buf_shrink(&h->out, OUTPUT_KEEP);
}

struct buf *http2_output(struct http2 *h)
{
    return &h->out;
}

void http2_set_output_hook(struct http2 *h, void (*hook)(void *ctx), void *ctx)
{
    h->hook = hook;
    h->hook_ctx = ctx;
}

bool http2_done(const struct http2 *h)
{
    return h->terminated ||
           (!nghttp2_session_want_read(h->ng) && !nghttp2_session_want_write(h->ng));
}

uint64_t http2_wake_ns(const struct http2 *h)
{
    return h->terminated ? UINT64_MAX : keepalive_wake_ns(&h->keepalive);
}

void http2_tick(struct http2 *h, uint64_t now_ns)
{
    h->now_ns = now_ns;
    if (h->terminated)
        return;
    /* A client without streams stays quiet: servers police pings then. */
    if (!h->conf.server && !h->conf.keepalive_without_streams && h->nstreams == 0 &&
        !h->keepalive.pinged_ns) {
        if (now_ns >= http2_wake_ns(h))
            keepalive_heard(&h->keepalive, now_ns);
        return;
    }
    switch (keepalive_tick(&h->keepalive, now_ns)) {
    case KEEPALIVE_WAIT:
        break;
    case KEEPALIVE_PING:
        nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, NULL);
        http2_touch(h);
        break;
    case KEEPALIVE_DEAD:
        http2_terminate(h, HTTP2_NO_ERROR, "keepalive ping timed out");
        break;
    }
}

void http2_shutdown(struct http2 *h)
{
    if (h->terminated || (h->conf.server && h->goaway))
        return;
    h->goaway = true;
    nghttp2_submit_goaway(h->ng, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h->ng),
                          NGHTTP2_NO_ERROR, NULL, 0);
    http2_touch(h);
}

/* GOAWAY is written here and not through nghttp2, which sends no text with its own and would put
 * ours behind what is queued. The output holds whole frames, so it may go behind them. */
void http2_terminate(struct http2 *h, enum http2_error error, const char *text)
{
    uint8_t frame[GOAWAY_FIXED] = {0};
    size_t n = strlen(text);

    if (h->terminated)
        return;
    put_be32(frame, (uint32_t)(8 + n) << 8 | NGHTTP2_GOAWAY); /* 24 bits of length, then type */
    put_be32(frame + 9, (uint32_t)nghttp2_session_get_last_proc_stream_id(h->ng));
    put_be32(frame + 13, (uint32_t)error);
    if (buf_append(&h->out, frame, sizeof frame) == 0)
        (void)buf_append(&h->out, text, n);
    h->terminated = h->goaway = true;
    http2_touch(h);
}

void *http2_user(const struct http2 *h)
{
    return h->conf.user;
}

size_t http2_open_streams(const struct http2 *h)
{
    return h->nstreams;
}

size_t http2_queued(const struct http2 *h)
{
    return h->queued + h->out.n;
}

bool http2_usable(const struct http2 *h)
{
    return !h->terminated && !h->goaway && nghttp2_session_check_request_allowed(h->ng);
}
